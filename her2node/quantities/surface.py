"""The surface of a region, in space and in a slice: shared mathematics of what measures shape.

Both surfaces stand half-way between the centres of neighbouring voxels of which one belongs to the region and one does
not: marching cubes, and in a slice marching squares, at 0.5 of the mask.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError
from skimage.measure import marching_cubes

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Mesh:
    """Triangles: ``vertices_mm`` (n, 3) along slice, row and column; ``faces`` (m, 3), indices of vertices."""

    vertices_mm: Floats = field(repr=False)
    faces: npt.NDArray[np.int32] = field(repr=False)

    @property
    def volume_mm3(self) -> float:
        """|sum over triangles (a, b, c) of a . (b x c)| / 6."""
        corners = (self.vertices_mm - self.vertices_mm.mean(axis=0))[self.faces]
        a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
        return float(abs(np.einsum("ij,ij->", a, np.cross(b, c))) / 6)

    @property
    def area_mm2(self) -> float:
        """Sum over triangles (a, b, c) of |(b - a) x (c - a)| / 2."""
        corners = self.vertices_mm[self.faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return float(np.sqrt(np.einsum("ij,ij->i", across, across)).sum() / 2)


def cropped(mask: Bools) -> Bools:
    """The smallest box with every True voxel, and one layer of False around it."""
    ends = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    box = tuple(slice(int(found[0]), int(found[-1]) + 1) for found in ends)
    return np.pad(mask[box], 1)


def mesh_of(mask: Bools, spacing_mm: tuple[float, float, float]) -> Mesh:
    """The closed surface of a mask of shape (slices, rows, columns) with at least one True voxel."""
    values = cropped(mask).astype(np.float32)
    vertices, faces, _, _ = marching_cubes(values, level=0.5, spacing=spacing_mm)  # type: ignore[no-untyped-call]
    return Mesh(np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int32))


def hull(points: Floats) -> Floats:
    """The corners (k, d) of the convex hull of points (n, d); the points themselves where they span no such body."""
    try:
        return np.asarray(points[ConvexHull(points).vertices])
    except QhullError:
        return points


def farthest(points: Floats) -> tuple[int, int, float]:
    """The two points (n, d) that lie farthest apart, lower index first, and their distance."""
    best = (0, 0, -1.0)
    for start in range(0, len(points), _ROWS_AT_ONCE):
        block = points[start : start + _ROWS_AT_ONCE]
        squared = ((block[:, np.newaxis] - points[np.newaxis]) ** 2).sum(axis=2)
        row, column = np.unravel_index(int(squared.argmax()), squared.shape)
        if squared[row, column] > best[2]:
            best = (start + int(row), int(column), float(squared[row, column]))
    return best[0], best[1], float(np.sqrt(best[2]))


def outline(mask: Bools, spacing_mm: tuple[float, float]) -> Floats:
    """Points (n, 2) in mm along row and column where the outline of a 2-D mask, shape (rows, columns), passes."""
    padded = np.pad(mask, 1).astype(np.int8)
    points = []
    for axis in (0, 1):
        where = np.argwhere(np.diff(padded, axis=axis)).astype(np.float64) - 1
        where[:, axis] += 0.5
        points.append(where)
    return np.asarray(np.concatenate(points) * spacing_mm)
