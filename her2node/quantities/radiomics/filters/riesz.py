"""Riesz transforms: directional derivatives that keep every frequency's strength, of an isotropic filter's response."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import fft

from her2node.quantities.radiomics.filters.grid import Reach, needs
from her2node.quantities.radiomics.filters.kernel import Floats, axes_of
from her2node.quantities.radiomics.filters.linear import LaplacianOfGaussian
from her2node.quantities.radiomics.filters.wavelets import NonSeparableWavelet, frequencies


@dataclass(frozen=True)
class Riesz:
    """Riesz transform of the response to a Laplacian of Gaussian or a non-separable wavelet.

    Formula: the spectrum of the response times (-i)^L sqrt(L! / (l1! l2! l3!)) v1^l1 v2^l2 v3^l3 / |v|^L, order
    (l1, l2, l3) along k1 (columns), k2 (rows), k3 (slices), L = l1 + l2 + l3; 0 at frequency 0.
    Source: IBSI 2, Riesz transform (AYRS). Without alignment to the structure tensor: IBSI reached no consensus on
    aligned maps (9.b.2, 10.b.2), on map 10.a, nor on any feature of a Riesz-transformed image.
    Known deviation: the transform itself is periodic whatever the boundary of the filter before it.
    """

    kind: ClassVar[str] = "riesz"

    order: tuple[int, ...]
    of: LaplacianOfGaussian | NonSeparableWavelet

    def __post_init__(self) -> None:
        fits = len(self.order) == self.dimensions and min(self.order) >= 0 and sum(self.order) >= 1
        needs(fits, f"{self.kind}: order must be {self.dimensions} numbers, not all 0, not {list(self.order)}")

    @property
    def dimensions(self) -> int:
        return self.of.dimensions

    def reach(self, spacing_mm: tuple[float, float, float]) -> Reach:
        return None

    def apply(self, voxels: Floats, spacing_mm: tuple[float, float, float]) -> Floats:
        axes = axes_of(self.dimensions)
        spectrum = fft.rfftn(self.of.apply(voxels, spacing_mm), axes=axes)
        total = sum(self.order)
        factor = (-1j) ** total * math.sqrt(math.factorial(total) / math.prod(map(math.factorial, self.order)))
        parts = frequencies(voxels.shape, axes)
        length = np.sqrt(sum((part**2 for part in parts[1:]), parts[0] ** 2))
        length[length == 0] = np.inf
        for part, order in zip(parts, reversed(self.order), strict=True):
            spectrum *= (part / length) ** order
        response = fft.irfftn(factor * spectrum, s=[voxels.shape[axis] for axis in axes], axes=axes)
        return np.asarray(response)
