"""The slice in which texture is measured, and its grey levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from her2node.errors import Refused, TooFewVoxels, Undefined
from her2node.quantities.histogram import spread

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

SIGMAS = 3.0


@dataclass(frozen=True)
class Plane:
    """The slice where the region has the most voxels with image, cut to the region: HU and region (rows, columns)."""

    image: Floats
    region: Bools

    @property
    def values(self) -> Floats:
        return self.image[self.region]


def largest(voxels: npt.NDArray[np.float32], region: Bools) -> Plane | Refused:
    """The slice of the largest area, the first of several; TooFewVoxels where no voxel of the region has an image."""
    areas = np.count_nonzero(region, axis=(1, 2))
    at = int(areas.argmax())
    if areas[at] == 0:
        return TooFewVoxels("no voxel of the region has an image")
    rows, columns = np.nonzero(region[at])
    box = (at, slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    return Plane(voxels[box].astype(np.float64), region[box])


def normalised(plane: Plane) -> Plane | Refused:
    """(x - mean) / SD, limited to +-3, with mean and SD (divisor n) of the region; Undefined where the SD is 0.

    Source: Collewet 2004 (limitation of dynamics to mean +- 3 SD), as MaZda offers it.
    """
    if not spread(plane.values):
        return Undefined("the voxels of the largest slice do not differ")
    scaled = (plane.image - plane.values.mean()) / plane.values.std()
    return Plane(np.clip(scaled, -SIGMAS, SIGMAS), plane.region)


def levels_of(normal: Plane, bits: int) -> Levels:
    """Grey levels 1 to 2^bits of equal width between -3 and +3 SD; 0 outside the region."""
    count = 2**bits
    steps = np.floor((normal.image + SIGMAS) / (2 * SIGMAS) * count).astype(np.intp)
    return np.where(normal.region, np.minimum(steps, count - 1) + 1, 0)
