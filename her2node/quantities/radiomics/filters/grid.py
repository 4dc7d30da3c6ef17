"""What filters ask of the voxel grid and of their parameters."""

from __future__ import annotations

from her2node.errors import AnisotropicVoxels, SettingsRefused
from her2node.quantities.radiomics.filters.kernel import Boundary

Reach = tuple[int, int, int] | None
"""Voxels (slices, rows, columns) around a voxel on which its response depends; None: the whole image."""

_SAME_SPACING = 1e-3
"""Relative. Spacings are written with few decimals in DICOM."""


def needs(holds: bool, otherwise: str) -> None:
    """A parameter outside its range is SettingsRefused, when the filter is made and not when it runs."""
    if not holds:
        raise SettingsRefused(otherwise)


def reach_of(voxels: int, dimensions: int, boundary: Boundary) -> Reach:
    """Of a kernel that extends so many voxels; a periodic image goes on at its other end."""
    if boundary is Boundary.PERIODIC:
        return None
    return (voxels if dimensions == 3 else 0, voxels, voxels)


def isotropic_mm(spacing_mm: tuple[float, float, float], axes: tuple[int, ...], kind: str) -> float:
    """The spacing that the axes of a filter share; AnisotropicVoxels where they do not."""
    along = [spacing_mm[axis] for axis in axes]
    if max(along) - min(along) > _SAME_SPACING * min(along):
        raise AnisotropicVoxels(f"{kind} along spacings of {along} mm: interpolate first")
    return sum(along) / len(along)
