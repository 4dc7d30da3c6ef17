"""Image planes in the patient, and what shapes look like on them: which structure each voxel centre lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from her2node.phantoms.anatomy import Structure
from her2node.phantoms.shapes import Floats, Point, Shape, point

Labels = npt.NDArray[np.uint8]
Axes3 = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class Plane:
    """A slice: centre of its first voxel, unit vectors of growing column and row index, spacing, size, thickness.

    ``row`` is the direction along a row (ImageOrientationPatient 1-3), ``column`` that along a column (4-6);
    ``spacing_mm`` is (between rows, between columns) as in PixelSpacing; ``size`` is (rows, columns).
    """

    origin_mm: Point
    row: Point
    column: Point
    spacing_mm: tuple[float, float]
    size: tuple[int, int]
    thickness_mm: float

    @property
    def normal(self) -> Point:
        return point(np.cross(self.row, self.column))

    def moved(self, along_normal_mm: float) -> Plane:
        """The same plane shifted along its normal."""
        shift = along_normal_mm * np.asarray(self.normal)
        return replace(self, origin_mm=point(np.asarray(self.origin_mm) + shift))

    def coordinates(self, offset: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Axes3:
        """x, y and z of all voxel centres, mm, shifted by ``offset`` in (row, column, slice) index.

        Each array has the smallest shape that broadcasts to ``size``: (1, columns) where only the column matters.
        """
        down = (np.arange(self.size[0], dtype=np.float64)[:, None] + offset[0]) * self.spacing_mm[0]
        across = (np.arange(self.size[1], dtype=np.float64)[None, :] + offset[1]) * self.spacing_mm[1]
        start = np.asarray(self.origin_mm) + offset[2] * self.thickness_mm * np.asarray(self.normal)
        x, y, z = (_sum(float(start[axis]), (across, self.row[axis]), (down, self.column[axis])) for axis in range(3))
        return x, y, z


def _sum(start: float, *terms: tuple[Floats, float]) -> Floats:
    """start + Σ index·step, leaving out the directions that do not matter."""
    total = np.full((1, 1), start)
    for index, step in terms:
        if step:
            total = total + index * step
    return total


def transverse(size: tuple[int, int], slices: int, spacing_mm: float, slice_spacing_mm: float) -> tuple[Plane, ...]:
    """Slices from foot to head about the origin, square voxels in the plane, as thick as they are apart."""
    rows, columns = size
    left, back = -(columns - 1) / 2 * spacing_mm, -(rows - 1) / 2 * spacing_mm
    heights = ((index - (slices - 1) / 2) * slice_spacing_mm for index in range(slices))
    return tuple(
        Plane(
            (left, back, height),
            (1.0, 0.0, 0.0),
            (0.0, 1.0, 0.0),
            (spacing_mm, spacing_mm),
            size,
            slice_spacing_mm,
        )
        for height in heights
    )


def labels(structures: Sequence[Structure], at: Axes3, size: tuple[int, int]) -> Labels:
    """For each voxel 1 + the index of the last structure that holds its centre, 0 for none; shape ``size``."""
    found = np.zeros(size, dtype=np.uint8)
    for number, structure in enumerate(structures, start=1):
        window = _window(structure.shape, at, size)
        if window is not None:
            rows, columns = window
            x, y, z = (_cut(values, rows, columns) for values in at)
            found[rows, columns][np.broadcast_to(structure.shape.contains(x, y, z), found[rows, columns].shape)] = (
                number
            )
    return found


def holds(shape: Shape, at: Axes3, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which voxel centres the shape holds; shape ``size``."""
    found = np.zeros(size, dtype=np.bool_)
    window = _window(shape, at, size)
    if window is not None:
        x, y, z = (_cut(values, *window) for values in at)
        found[window] = shape.contains(x, y, z)
    return found


def _window(shape: Shape, at: Axes3, size: tuple[int, int]) -> tuple[slice, slice] | None:
    """The part of the image that the shape's bounding box allows, None where that is empty."""
    rows, columns = slice(0, size[0]), slice(0, size[1])
    for values, low, high in reversed(tuple(zip(at, *shape.bounds_mm, strict=True))):  # z misses most often
        if values.size == 1:
            if not low <= values[0, 0] <= high:
                return None
            continue
        inside = (values >= low) & (values <= high)
        if not inside.any():
            return None
        if values.shape[0] > 1 and values.shape[1] == 1:
            rows = _overlap(rows, np.flatnonzero(inside[:, 0]))
        elif values.shape[1] > 1 and values.shape[0] == 1:
            columns = _overlap(columns, np.flatnonzero(inside[0]))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _overlap(part: slice, wanted: npt.NDArray[np.intp]) -> slice:
    return slice(max(part.start, int(wanted[0])), min(part.stop, int(wanted[-1]) + 1))


def _cut(values: Floats, rows: slice, columns: slice) -> Floats:
    return values[rows if values.shape[0] > 1 else slice(None), columns if values.shape[1] > 1 else slice(None)]
