"""Affine matrices between frames of reference, judged by what their object says that they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from her2node.errors import RegistrationUnusable

Points = npt.NDArray[np.float64]

_ROUNDED = 1e-3
"""Matrices are decimal strings of 16 characters, often rounded to fewer digits."""
_FLATTEST, _LARGEST = 0.1, 10.0
"""By which volumes may shrink or grow in a body that is registered with another."""
_FARTHEST_MM = 1e5


@dataclass(frozen=True)
class Matrix:
    """(4, 4), homogeneous, last row 0 0 0 1: x' = A x + t."""

    values: npt.NDArray[np.float64]

    def carried(self, points: Points) -> Points:
        """Places (n, 3) mapped."""
        return np.asarray(points @ self.values[:3, :3].T + self.values[:3, 3])

    def then(self, following: Matrix) -> Matrix:
        """This one first, ``following`` after it."""
        return Matrix(np.asarray(following.values @ self.values, dtype=np.float64))

    @property
    def inverse(self) -> Matrix:
        return Matrix(np.asarray(np.linalg.inv(self.values), dtype=np.float64))


def matrix_of(values: Sequence[float], kind: str) -> Matrix:
    """16 numbers in row-major order, of the kind RIGID, RIGID_SCALE or AFFINE (PS3.3 C.20.2.1.2).

    Raises RegistrationUnusable for one that is not what it says, mirrors, or shrinks or grows a body beyond belief.
    """
    found = np.asarray(values, dtype=np.float64).reshape(4, 4)
    linear = found[:3, :3]
    square = linear.T @ linear
    off = np.abs(square - np.diag(np.diag(square))).max()
    if np.abs(found[3] - (0, 0, 0, 1)).max() > _ROUNDED:
        raise RegistrationUnusable("the last row of FrameOfReferenceTransformationMatrix is not 0 0 0 1")
    if np.abs(found[:3, 3]).max() > _FARTHEST_MM:
        raise RegistrationUnusable("FrameOfReferenceTransformationMatrix leads out of any body")
    if not _FLATTEST <= np.linalg.det(linear) <= _LARGEST:
        raise RegistrationUnusable(f"FrameOfReferenceTransformationMatrix has determinant {np.linalg.det(linear):.3g}")
    if kind not in ("RIGID", "RIGID_SCALE", "AFFINE"):
        raise RegistrationUnusable(f"FrameOfReferenceTransformationMatrixType is {kind or 'absent'}")
    if kind == "RIGID" and np.abs(square - np.eye(3)).max() > _ROUNDED:
        raise RegistrationUnusable("FrameOfReferenceTransformationMatrix is called RIGID and is not")
    if kind == "RIGID_SCALE" and off > _ROUNDED:
        raise RegistrationUnusable("FrameOfReferenceTransformationMatrix is called RIGID_SCALE and shears")
    found[3] = 0, 0, 0, 1
    return Matrix(found)
