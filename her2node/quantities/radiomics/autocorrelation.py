"""Moran's I and Geary's C over all pairs of voxels, by Fourier transform of the masked box.

The weight of a pair depends on the step between its voxels alone, so a sum over pairs is a sum over steps of weight
times autocorrelation, and Parseval's theorem makes that one sum over frequencies: N log N in place of N squared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from her2node.quantities.radiomics.feature import Bools, Floats, Spacing, over


@dataclass(frozen=True)
class Pairs:
    """Sums over ordered pairs of different voxels with weight w = 1 / distance; g the intensity less its mean.

    ``weights`` sum(w); ``products`` sum(w g1 g2); ``squares`` sum(w (g1^2 + g2^2)) / 2; ``energy`` sum(g^2) over the
    ``voxels``.
    """

    voxels: int
    weights: float
    products: float
    squares: float
    energy: float

    @property
    def moran_i(self) -> float:
        return over(over(self.voxels * self.products, self.weights, "the number of pairs"), self.energy, "the variance")

    @property
    def geary_c(self) -> float:
        differences = 2 * (self.squares - self.products)  # (g1 - g2)^2 = g1^2 + g2^2 - 2 g1 g2
        spread = over((self.voxels - 1) * differences, 2 * self.weights, "the number of pairs")
        return over(spread, self.energy, "the variance")


def pairs(mask: Bools, x: Floats, spacing_mm: Spacing) -> Pairs:
    """The sums over a mask (slices, rows, columns) with intensities ``x`` (n,) in its order."""
    n = len(x)
    if n < 2:
        return Pairs(n, 0.0, 0.0, 0.0, 0.0)
    g = x - x.mean() if x.min() < x.max() else np.zeros(n)
    shape = tuple(fft.next_fast_len(2 * size - 1, real=True) for size in mask.shape)
    kernel = fft.rfftn(_weights(mask.shape, shape, spacing_mm)).real
    occupied = _transformed(mask, np.ones(n), shape)
    weights = _summed(kernel, occupied, occupied, shape)
    squares = _summed(kernel, _transformed(mask, g**2, shape), occupied, shape)
    del occupied
    centred = _transformed(mask, g, shape)
    return Pairs(n, weights, _summed(kernel, centred, centred, shape), squares, float(g @ g))


Complexes = np.ndarray[tuple[int, ...], np.dtype[np.complex128]]


def _transformed(mask: Bools, values: Floats, shape: tuple[int, ...]) -> Complexes:
    box = np.zeros(mask.shape)
    box[mask] = values
    return np.asarray(fft.rfftn(box, s=shape))


def _weights(box: tuple[int, ...], shape: tuple[int, ...], spacing_mm: Spacing) -> Floats:
    """1 / distance at every step of the periodic grid that two voxels of the box can lie apart; 0 elsewhere."""
    squared = np.zeros((1, 1, 1))
    within = np.ones((1, 1, 1), dtype=np.bool_)
    for axis, (size, length, spacing) in enumerate(zip(box, shape, spacing_mm, strict=True)):
        steps = np.minimum(np.arange(length), length - np.arange(length))
        along = [-1 if a == axis else 1 for a in range(3)]
        squared = squared + ((steps * spacing) ** 2).reshape(along)
        within = within & (steps < size).reshape(along)
    squared[0, 0, 0] = np.inf
    return np.where(within, 1 / np.sqrt(squared), 0)


def _summed(kernel: Floats, a: Complexes, b: Complexes, shape: tuple[int, ...]) -> float:
    """sum over steps of weight times correlation of two real boxes, from their half spectra."""
    spectrum = kernel * (a.real * b.real + a.imag * b.imag)
    total = 2 * spectrum.sum() - spectrum[..., 0].sum()  # the other half mirrors this one, but for the first plane
    if shape[-1] % 2 == 0:
        total -= spectrum[..., -1].sum()
    return float(total / np.prod(shape))
