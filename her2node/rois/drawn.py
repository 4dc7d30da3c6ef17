"""A region that this node drew itself, as a mask on a series: laid on other series like one that was given.

A voxel of another grid belongs to it when its centre lies in one of the mask's own voxels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np

from her2node.errors import EmptyRoi
from her2node.rois.roi import Laid
from her2node.rois.sampling import Drawn, Planes, crop, sampled
from her2node.rois.slabs import Slabs
from her2node.volumes.frames import Plane
from her2node.volumes.volume import Bools, Geometry

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class DrawnMask:
    """A mask, bool, of the shape of ``geometry``."""

    mask: Bools = field(repr=False)
    geometry: Geometry = field(repr=False)

    def planes(self) -> Planes:
        """The mask's voxels, a slice a slab. Raises EmptyRoi where it has none."""
        geometry = self.geometry
        slices, down, across = geometry.directions
        at_mm = geometry.to_patient([(index, 0, 0) for index in range(geometry.shape[0])])
        like = Plane(geometry.origin_mm, across, down, geometry.spacing_mm[1:], *geometry.shape[1:])
        drawn = [
            Drawn(index, cast(Triple, tuple(at_mm[index].tolist())), *cropped)
            for index in range(geometry.shape[0])
            if (cropped := crop(self.mask[index])) is not None
        ]
        if not drawn:
            raise EmptyRoi("the mask has no voxel")
        return Planes(Slabs(at_mm @ np.array(slices), geometry.spacing_mm[0]), tuple(drawn), like)

    def laid(self, geometry: Geometry) -> Laid:
        """The mask on the grid of another series of the same frame of reference. Raises EmptyRoi."""
        return sampled(self.planes(), geometry)
