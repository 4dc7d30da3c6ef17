"""Deformations on a grid of vectors (PS3.3 C.20.3.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from scipy import ndimage

from her2node.dicom.attributes import items, needed_numbers, text
from her2node.errors import RegistrationUnusable
from her2node.rois.matrices import Matrix, matrix_of

Points = npt.NDArray[np.float64]
MOST_VECTORS = 1 << 27
"""1.5 GiB; no deformation of a body is finer."""


@dataclass(frozen=True)
class Deformation:
    """x' = post (pre x + d(x)). ``vectors`` (3, depth, rows, columns) in mm, or None where d is 0 everywhere;
    ``to_grid`` leads from mm to (column, row, depth) index."""

    pre: Matrix
    post: Matrix
    vectors: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    to_grid: Matrix = field(default_factory=lambda: Matrix(np.eye(4)), repr=False)

    def carried(self, points: Points) -> Points:
        """Places (n, 3) mapped; NaN beyond the centres of the grid and where the grid has no vector."""
        moved = self.pre.carried(points)
        if self.vectors is not None:
            index = self.to_grid.carried(points)[:, ::-1].T
            moved = moved + np.stack([self._interpolated(one, index) for one in self.vectors], axis=1)
        return self.post.carried(moved)

    def _interpolated(self, values: npt.NDArray[np.float32], index: Points) -> Points:
        size = np.array(values.shape)[:, np.newaxis]
        inside = ((index > -1e-6) & (index < size - 1 + 1e-6)).all(axis=0)
        found = np.full(index.shape[1], np.nan)
        at = np.clip(index[:, inside], 0, size - 1)
        found[inside] = ndimage.map_coordinates(values, at, order=1, mode="nearest", output=np.float64)
        return found


def deformation_of(item: Dataset, *, big_endian: bool) -> Deformation:
    """An item of DeformableRegistrationSequence, of an object that stores numbers so.

    Raises RegistrationUnusable, MissingAttribute, InvalidAttribute.
    """
    pre = _matrix(item, "PreDeformationMatrixRegistrationSequence")
    post = _matrix(item, "PostDeformationMatrixRegistrationSequence")
    grids = items(item, "DeformableRegistrationGridSequence")
    if not grids:
        return Deformation(pre, post)
    grid = grids[0]
    columns, rows, depth = (int(n) for n in needed_numbers(grid, "GridDimensions", 3))
    if min(columns, rows, depth) < 1 or columns * rows * depth > MOST_VECTORS:
        raise RegistrationUnusable(f"GridDimensions holds {columns}, {rows}, {depth}")
    content = grid.get("VectorGridData")
    if not isinstance(content, bytes) or len(content) != 12 * columns * rows * depth:
        raise RegistrationUnusable("VectorGridData does not hold three numbers for each place of the grid")
    vectors = (
        np.frombuffer(content, dtype=">f4" if big_endian else "<f4")
        .reshape(depth, rows, columns, 3)
        .transpose(3, 0, 1, 2)
    )
    return Deformation(pre, post, vectors, _to_grid(grid))


def _matrix(item: Dataset, sequence: str) -> Matrix:
    given = items(item, sequence)
    if not given:
        return Matrix(np.eye(4))
    values = needed_numbers(given[0], "FrameOfReferenceTransformationMatrix", 16)
    return matrix_of(values, text(given[0], "FrameOfReferenceTransformationMatrixType"))


def _to_grid(grid: Dataset) -> Matrix:
    """From mm to (column, row, depth) index: the depth axis is the cross product of row and column direction."""
    direction = np.array(needed_numbers(grid, "ImageOrientationPatient", 6))
    step = np.array(needed_numbers(grid, "GridResolution", 3))
    axes = np.stack([direction[:3], direction[3:], np.cross(direction[:3], direction[3:])])
    if np.abs(axes @ axes.T - np.eye(3)).max() > 1e-3 or not (step > 0).all():
        raise RegistrationUnusable("ImageOrientationPatient or GridResolution of the deformation span no grid")
    to_patient = np.eye(4)
    to_patient[:3, :3] = (axes * step[:, np.newaxis]).T
    to_patient[:3, 3] = needed_numbers(grid, "ImagePositionPatient", 3)
    return Matrix(to_patient).inverse
