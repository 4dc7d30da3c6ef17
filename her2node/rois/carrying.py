"""A region carried into another frame of reference: which voxel centres, led to where it was drawn, lie in it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from her2node.rois.registration import Way
from her2node.rois.roi import Laid
from her2node.volumes.volume import Bools, Geometry

Points = npt.NDArray[np.float64]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

_AT_ONCE = 1 << 20


class Shape(Protocol):
    """A region in its own frame of reference, mm."""

    def contains(self, points: Points) -> Bools:
        """Which places (n, 3) lie in it."""

    def reach(self) -> Points:
        """Places (n, 3) whose convex hull holds all of it."""

    def parts(self) -> Points:
        """Places (n, 3) that all lie in a series which holds the region wholly."""


def carried(shape: Shape, geometry: Geometry, way: Way) -> Laid:
    """The voxels of a grid whose centres, led the ``way`` into the region's frame of reference, lie in the region.

    Where the way deforms, the region counts as cut off when it touches a face of the grid, or a voxel from which the
    way is undefined: it cannot be told what lies beyond.
    """
    matrix = way.matrix
    if matrix is None:
        mask, undefined = _mask(shape, geometry, way, _everything(geometry))
        faces = np.pad(np.zeros(tuple(n - 2 for n in geometry.shape), np.bool_), 1, constant_values=True) if (
            min(geometry.shape) > 2
        ) else np.ones(geometry.shape, np.bool_)  # fmt: skip
        return Laid(mask, bool((mask & (faces | ndimage.binary_dilation(undefined))).any()))
    back = matrix.inverse
    mask, _ = _mask(shape, geometry, way, _box(geometry.to_index(back.carried(shape.reach())), geometry))
    index = geometry.to_index(back.carried(shape.parts()))
    beyond = (index < -0.501) | (index > np.array(geometry.shape) - 0.499)
    return Laid(mask, bool(beyond.any()))


def _everything(geometry: Geometry) -> Box:
    slices, rows, columns = geometry.shape
    return (0, slices), (0, rows), (0, columns)


def _box(index: Points, geometry: Geometry) -> Box:
    """First, and behind the last, index along each axis that the hull of some places can touch."""
    low = np.clip(np.floor(index.min(axis=0)), 0, geometry.shape).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 1, 0, geometry.shape).astype(int)
    (s0, r0, c0), (s1, r1, c1) = low.tolist(), high.tolist()
    return (s0, s1), (r0, r1), (c0, c1)


def _mask(shape: Shape, geometry: Geometry, way: Way, box: Box) -> tuple[Bools, Bools]:
    """The region within a box of the grid, some rows at a time, and where the way is undefined."""
    mask, undefined = np.zeros(geometry.shape, np.bool_), np.zeros(geometry.shape, np.bool_)
    (s0, s1), (r0, r1), (c0, c1) = box
    if s0 >= s1 or r0 >= r1 or c0 >= c1:
        return mask, undefined
    rows = max(_AT_ONCE // (c1 - c0), 1)
    for index in range(s0, s1):
        for first in range(r0, r1, rows):
            last = min(first + rows, r1)
            grid = np.stack(np.meshgrid([index], np.arange(first, last), np.arange(c0, c1), indexing="ij"), axis=-1)
            places = way.carried(geometry.to_patient(grid.reshape(-1, 3)))
            known = np.isfinite(places).all(axis=1)
            held = np.zeros(len(places), np.bool_)
            held[known] = shape.contains(places[known])
            mask[index, first:last, c0:c1] = held.reshape(last - first, c1 - c0)
            undefined[index, first:last, c0:c1] = ~known.reshape(last - first, c1 - c0)
    return mask, undefined
