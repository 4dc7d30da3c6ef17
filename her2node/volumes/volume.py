"""A calibrated stack of voxels with its place in the patient."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from her2node.dicom.codes import Code

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

SAME_GRID_MM = 0.05
"""Distance up to which the corners of two grids are one: headers round."""


@dataclass(frozen=True)
class Geometry:
    """Where voxel (slice, row, column) lies: position_mm = origin + directions^T (spacing * index).

    ``shape`` (slices, rows, columns). ``spacing_mm`` along (slice, row, column) index, positive. ``directions`` are
    three unit vectors in the patient system (LPS), one a row, for a step in slice, row and column index; slices are
    ordered so that the three are right-handed as (column, row, slice), i.e. slice = column-direction x row-direction.
    ``origin_mm`` is the centre of voxel (0, 0, 0).
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    directions: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
    frame_of_reference_uid: str

    @property
    def voxel_volume_mm3(self) -> float:
        return float(np.prod(self.spacing_mm))

    def to_patient(self, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Positions in mm, shape (..., 3), of fractional (slice, row, column) indices, shape (..., 3)."""
        scaled = np.asarray(index, dtype=np.float64) * np.asarray(self.spacing_mm)
        return np.asarray(scaled @ np.asarray(self.directions) + np.asarray(self.origin_mm))

    def to_index(self, position_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Fractional (slice, row, column) indices, shape (..., 3), of positions in mm, shape (..., 3)."""
        offset = np.asarray(position_mm, dtype=np.float64) - np.asarray(self.origin_mm)
        return np.asarray(offset @ np.asarray(self.directions).T / np.asarray(self.spacing_mm))


def same_grid(one: Geometry, other: Geometry) -> bool:
    """Whether voxels of two series stand for the same places: frame of reference, shape and corners."""
    if (one.shape, one.frame_of_reference_uid) != (other.shape, other.frame_of_reference_uid):
        return False
    corners = np.array(
        [(s, r, c) for s in (0, one.shape[0] - 1) for r in (0, one.shape[1] - 1) for c in (0, one.shape[2] - 1)]
    )
    return bool(np.abs(one.to_patient(corners) - other.to_patient(corners)).max() <= SAME_GRID_MM)


@dataclass(frozen=True)
class SliceSource:
    """The object, and the frame in it (1-based; None for a single-frame object), that a slice was read from."""

    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None = None


@dataclass(frozen=True)
class Volume:
    """Calibrated voxels of one series.

    ``voxels`` float32, shape ``geometry.shape``, read-only. ``valid`` is False where there is no image (padding,
    outside the field of view). ``sources`` has one entry a slice.
    """

    geometry: Geometry
    voxels: Floats = field(repr=False)
    valid: Bools = field(repr=False)
    unit: Code
    series_instance_uid: str
    sources: tuple[SliceSource, ...] = field(repr=False)
