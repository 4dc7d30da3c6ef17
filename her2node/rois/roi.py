"""A region of interest on the voxels of a volume."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from her2node.dicom.codes import Code
from her2node.volumes.volume import Geometry


class RoiOrigin(StrEnum):
    """Who drew it."""

    SEGMENTATION = "segmentation"
    """A segment of a DICOM SEG of others."""
    STRUCTURE_SET = "structure-set"
    """A region of an RTSTRUCT of others."""
    MODEL = "model"
    """A segmenter package of this node."""


@dataclass(frozen=True)
class Roi:
    """A mask of shape ``geometry.shape``, bool, at least one voxel True.

    ``tracking_uid`` and ``tracking_id`` follow the region through SEG and SR; taken from the SEG where it has them,
    else derived from the source object and number. ``source_*`` name the object and the segment or ROI number.
    """

    mask: npt.NDArray[np.bool_] = field(repr=False)
    geometry: Geometry
    label: str
    tracking_uid: str
    tracking_id: str
    origin: RoiOrigin
    source_sop_class_uid: str
    source_sop_instance_uid: str
    source_number: int
    category: Code | None = None
    type: Code | None = None
    cut_off: bool = False
    """Part of the region as drawn lies outside the series: its size cannot be known there."""
    carried_by: tuple[str, ...] = ()
    """The registrations (SOP Instance UIDs) that led it here from another frame of reference, in their order."""

    @cached_property
    def box(self) -> tuple[slice, slice, slice]:
        """The smallest box that holds the mask."""
        slices = _occupied(np.asarray(self.mask.any(axis=(1, 2))))
        plane = np.asarray(self.mask[slices].any(axis=0))
        return slices, _occupied(np.asarray(plane.any(axis=1))), _occupied(np.asarray(plane.any(axis=0)))


def _occupied(along: npt.NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(along)
    return slice(int(places[0]), int(places[-1]) + 1)


@dataclass(frozen=True)
class Laid:
    """What laying a region on a grid gives: a mask of the grid's shape, and whether part of it fell outside."""

    mask: npt.NDArray[np.bool_] = field(repr=False)
    cut_off: bool
