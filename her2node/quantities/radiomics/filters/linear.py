"""Mean, Laplacian-of-Gaussian and Laws filters: products of short kernels."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from her2node.quantities.radiomics.filters.grid import Reach, isotropic_mm, needs, reach_of
from her2node.quantities.radiomics.filters.kernel import Boundary, Floats, Kernel, Pooling, axes_of, pooled, separable


@dataclass(frozen=True)
class Mean:
    """Mean of a square or cube of voxels.

    Formula: sum over the M^D voxels around / M^D.
    Source: IBSI 2, mean filter (S60F).
    Known deviation: none.
    """

    kind: ClassVar[str] = "mean"

    support: int
    """M, voxels along each axis, odd."""
    dimensions: int
    boundary: Boundary

    def __post_init__(self) -> None:
        needs(self.support >= 1 and self.support % 2 == 1, f"{self.kind}: support must be odd, not {self.support}")
        needs(self.dimensions in {2, 3}, f"{self.kind}: dimensions must be 2 or 3, not {self.dimensions}")

    def reach(self, spacing_mm: tuple[float, float, float]) -> Reach:
        return reach_of(self.support // 2, self.dimensions, self.boundary)

    def apply(self, voxels: Floats, spacing_mm: tuple[float, float, float]) -> Floats:
        return separable(voxels, [(_box(self.support),)] * self.dimensions, self.boundary)


@dataclass(frozen=True)
class LaplacianOfGaussian:
    """Laplacian of a Gaussian: blobs and edges of one size.

    Formula: g(k) = -(1 / sigma^2) (1 / (sqrt(2 pi) sigma))^D (D - |k|^2 / sigma^2) exp(-|k|^2 / (2 sigma^2)), k and
    sigma in voxels, cut off at ``cutoff`` sigma along each axis.
    Source: IBSI 2, Laplacian-of-Gaussian filter (L6PA).
    Known deviation: the sampled Gaussian is divided by its sum, and its second derivative is corrected by a multiple of
    it so that the taps sum to 0 and a constant image has response 0 (with cutoff 4 and sigma of 0.75 voxels or more,
    below 1e-3 of the largest tap).
    """

    kind: ClassVar[str] = "laplacian-of-gaussian"

    sigma_mm: float
    dimensions: int
    boundary: Boundary
    cutoff: float = 4.0

    def __post_init__(self) -> None:
        needs(self.sigma_mm > 0, f"{self.kind}: sigma_mm must be above 0, not {self.sigma_mm}")
        needs(self.cutoff > 0, f"{self.kind}: cutoff must be above 0, not {self.cutoff}")
        needs(self.dimensions in {2, 3}, f"{self.kind}: dimensions must be 2 or 3, not {self.dimensions}")

    def reach(self, spacing_mm: tuple[float, float, float]) -> Reach:
        return reach_of(self._gaussian(spacing_mm).reach, self.dimensions, self.boundary)

    def apply(self, voxels: Floats, spacing_mm: tuple[float, float, float]) -> Floats:
        smooth, curved = self._gaussian(spacing_mm), self._second_derivative(spacing_mm)
        response = np.zeros_like(voxels)
        for curved_axis in range(self.dimensions):
            chains = [(curved if axis == curved_axis else smooth,) for axis in range(self.dimensions)]
            response += separable(voxels, chains, self.boundary)
        return response

    def _offsets(self, spacing_mm: tuple[float, float, float]) -> tuple[Floats, float]:
        sigma = self.sigma_mm / isotropic_mm(spacing_mm, axes_of(self.dimensions), self.kind)
        radius = math.floor(self.cutoff * sigma + 0.5)
        return np.arange(-radius, radius + 1, dtype=np.float64), sigma

    def _gaussian(self, spacing_mm: tuple[float, float, float]) -> Kernel:
        k, sigma = self._offsets(spacing_mm)
        taps = np.exp(-(k**2) / (2 * sigma**2))
        return Kernel.centred(taps / taps.sum())

    def _second_derivative(self, spacing_mm: tuple[float, float, float]) -> Kernel:
        k, sigma = self._offsets(spacing_mm)
        gaussian = np.array(self._gaussian(spacing_mm).taps)
        taps = (k**2 / sigma**4 - 1 / sigma**2) * gaussian
        return Kernel.centred(taps - taps.sum() * gaussian)


_LAWS = {
    "L3": (6, (1, 2, 1)),
    "L5": (70, (1, 4, 6, 4, 1)),
    "E3": (2, (-1, 0, 1)),
    "E5": (10, (-1, -2, 0, 2, 1)),
    "S3": (6, (-1, 2, -1)),
    "S5": (6, (-1, 0, 2, 0, -1)),
    "W5": (10, (-1, 2, 0, -2, 1)),
    "R5": (70, (1, -4, 6, -4, 1)),
}
"""Sum of squares and taps (IBSI 2, table of Laws kernels)."""


@dataclass(frozen=True)
class Laws:
    """Products of Laws' level, edge, spot, wave and ripple kernels, and their energy.

    Formula: response h = image * g1 (x) g2 (x) g3, kernels divided by their Euclidean norm; with ``pooling`` over all
    right-angle rotations; with ``energy_distance`` d the mean of |h| over the (2d+1)^D voxels around.
    Source: IBSI 2, Laws kernels (JTXT), energy images.
    Known deviation: none.
    """

    kind: ClassVar[str] = "laws"

    kernels: str
    """Two or three of L3 L5 E3 E5 S3 S5 W5 R5 along k1 (columns), k2 (rows), k3 (slices): ``L5E5E5``."""
    boundary: Boundary
    pooling: Pooling | None = None
    energy_distance: int | None = None

    def __post_init__(self) -> None:
        named = all(name in _LAWS for name in self._names) and "".join(self._names) == self.kernels
        needs(named and self.dimensions in {2, 3}, f"{self.kind}: no two or three Laws kernels: {self.kernels!r}")
        needs(
            self.energy_distance is None or self.energy_distance >= 1,
            f"{self.kind}: energy_distance must be at least 1, not {self.energy_distance}",
        )

    @property
    def _names(self) -> list[str]:
        return re.findall("..", self.kernels)

    @property
    def dimensions(self) -> int:
        return len(self._names)

    def reach(self, spacing_mm: tuple[float, float, float]) -> Reach:
        longest = max(len(_LAWS[name][1]) for name in self._names) // 2
        return reach_of(longest + (self.energy_distance or 0), self.dimensions, self.boundary)

    def apply(self, voxels: Floats, spacing_mm: tuple[float, float, float]) -> Floats:
        chains = [(_laws(name),) for name in reversed(self._names)]
        if self.pooling is None:
            response = separable(voxels, chains, self.boundary)
        else:
            response = pooled(voxels, chains, self.boundary, self.pooling)
        if self.energy_distance is None:
            return response
        box = [(_box(2 * self.energy_distance + 1),)] * self.dimensions
        return separable(np.abs(response), box, self.boundary)


def _box(support: int) -> Kernel:
    return Kernel.centred([1 / support] * support)


def _laws(name: str) -> Kernel:
    squares, taps = _LAWS[name]
    return Kernel.centred([tap / math.sqrt(squares) for tap in taps])
