"""Voxels of one grid looked up at the voxel centres of another."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from her2node.rois.roi import Laid
from her2node.rois.slabs import Slabs
from her2node.volumes.frames import Plane
from her2node.volumes.volume import Bools, Geometry

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_TIE = 1e-6
"""A target centre on the border of two voxels belongs to the upper one, whatever the last digits say."""
_NEGLIGIBLE = 1e-3
"""A slope that moves an index less than this over the whole grid is rounding of headers."""


@dataclass(frozen=True)
class Drawn:
    """Voxels of one plane: ``position_mm`` of the frame's first pixel, and the part of the frame that holds any."""

    slab: int
    position_mm: tuple[float, float, float]
    row: int
    column: int
    pixels: Bools = field(repr=False)


def crop(pixels: Bools) -> tuple[int, int, Bools] | None:
    """First row, first column and a copy of the smallest box with every True pixel; None where there is none."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return None
    r0, r1, c0, c1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return r0, c0, pixels[r0:r1, c0:c1].copy()


@dataclass(frozen=True)
class Planes:
    """A region as voxels of its own: parallel frames, each in a slab, all with the directions and pixel spacing of
    ``like``. Frames need not lie straight above each other."""

    slabs: Slabs
    drawn: tuple[Drawn, ...]
    like: Plane

    @property
    def axes(self) -> Floats:
        """Three rows: unit vectors along the normal, for a step in row index and in column index."""
        along_row, along_column = np.asarray(self.like.along_row), np.asarray(self.like.along_column)
        return np.stack([np.cross(along_row, along_column), along_column, along_row])

    def contains(self, points: Floats) -> Bools:
        """Which places in mm, (n, 3), lie in a True voxel."""
        normal, down, across = self.axes
        steps = np.stack([down / self.like.spacing_mm[0], across / self.like.spacing_mm[1]], axis=1)
        slab = self.slabs.nearest(points @ normal)
        held = np.zeros(len(points), dtype=np.bool_)
        for drawn in self.drawn:
            here = np.flatnonzero(slab == drawn.slab)
            row, column = (_whole((points[here] - drawn.position_mm) @ steps) - (drawn.row, drawn.column)).T
            rows, columns = drawn.pixels.shape
            inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            held[here[inside]] |= drawn.pixels[row[inside], column[inside]]
        return held

    def reach(self) -> Floats:
        """The outer corners of every plane's voxels, (n, 3)."""
        half = self.slabs.spacing_mm / 2
        return np.concatenate([_corners(self, drawn, above) for drawn in self.drawn for above in (-half, half)])

    def parts(self) -> Floats:
        """The centre of every True voxel, (n, 3)."""
        return np.concatenate([self.positions(drawn, np.argwhere(drawn.pixels)) for drawn in self.drawn])

    def positions(self, drawn: Drawn, pixels: npt.ArrayLike, above_mm: float = 0.0) -> Floats:
        """Places in mm, (n, 3), of (row, column) pixels (n, 2) counted from the part that ``drawn`` keeps."""
        rows_and_columns = np.asarray(pixels, dtype=np.float64) + np.array([drawn.row, drawn.column])
        normal, *in_plane = self.axes
        return np.asarray(
            drawn.position_mm + rows_and_columns * self.like.spacing_mm @ np.stack(in_plane) + above_mm * normal
        )


def sampled(planes: Planes, geometry: Geometry) -> Laid:
    """The voxels of ``geometry`` whose centres lie in a voxel of ``planes``, and whether any of those lies outside."""
    mask = np.zeros(geometry.shape, dtype=np.bool_)
    for drawn in planes.drawn:
        low, high = _reach(planes, drawn, geometry)
        if (low < high).all():
            box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
            mask[box] |= _held(planes, drawn, geometry, low, high)
    return Laid(mask, any(_cut_off(planes, drawn, geometry) for drawn in planes.drawn))


def _reach(planes: Planes, drawn: Drawn, geometry: Geometry) -> tuple[Indices, Indices]:
    """The box of target indices, first and behind the last, that the voxels of one plane can touch."""
    half = planes.slabs.spacing_mm
    corners = np.concatenate([_corners(planes, drawn, above) for above in (-half, half)])
    index = geometry.to_index(corners)
    low = np.clip(np.floor(index.min(axis=0)), 0, geometry.shape)
    high = np.clip(np.ceil(index.max(axis=0)) + 1, 0, geometry.shape)
    return low.astype(np.intp), high.astype(np.intp)


def _corners(planes: Planes, drawn: Drawn, above_mm: float) -> Floats:
    """The outer corners of the voxels of one plane, ``above_mm`` above it."""
    rows, columns = drawn.pixels.shape
    return planes.positions(drawn, [(r, c) for r in (-0.5, rows - 0.5) for c in (-0.5, columns - 0.5)], above_mm)


def _held(planes: Planes, drawn: Drawn, geometry: Geometry, low: Indices, high: Indices) -> Bools:
    """Which target voxels of a box have their centre in a True voxel of one plane; broadcasts to the box."""
    start = geometry.to_patient(low)
    steps = np.asarray(geometry.directions) * np.asarray(geometry.spacing_mm)[:, np.newaxis]
    normal, down, across = planes.axes
    down, across = down / planes.like.spacing_mm[0], across / planes.like.spacing_mm[1]
    along = _linear(start @ normal, steps @ normal, high - low)
    offset = start - drawn.position_mm
    row = _whole(_linear(offset @ down, steps @ down, high - low)) - drawn.row
    column = _whole(_linear(offset @ across, steps @ across, high - low)) - drawn.column
    rows, columns = drawn.pixels.shape
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    held = drawn.pixels[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
    return np.asarray(held & inside & (planes.slabs.nearest(along) == drawn.slab))


def _linear(start: float, slopes: Floats, shape: Indices) -> Floats:
    """``start`` + slopes . index over a box of ``shape``, broadcastable to it: an axis without slope keeps length 1."""
    total = np.full((1, 1, 1), start)
    for axis, (slope, count) in enumerate(zip(slopes, shape, strict=True)):
        if abs(slope) * count >= _NEGLIGIBLE:
            total = total + slope * np.arange(count).reshape([-1 if a == axis else 1 for a in range(3)])
    return total


def _whole(index: Floats) -> Indices:
    return np.asarray(np.floor(index + 0.5 + _TIE).astype(np.intp))


def _cut_off(planes: Planes, drawn: Drawn, geometry: Geometry) -> bool:
    """Whether the centre of any voxel of one plane lies beyond the outer faces of the grid."""
    rows, columns = drawn.pixels.shape
    ends = [(r, c) for r in (0, rows - 1) for c in (0, columns - 1)]
    if not _beyond(planes.positions(drawn, ends), geometry).any():
        return False
    return bool(_beyond(planes.positions(drawn, np.argwhere(drawn.pixels)), geometry).any())


def _beyond(positions_mm: Floats, geometry: Geometry) -> Bools:
    index = geometry.to_index(positions_mm)
    return np.asarray(((index < -0.501) | (index > np.array(geometry.shape) - 0.499)).any(axis=1))
