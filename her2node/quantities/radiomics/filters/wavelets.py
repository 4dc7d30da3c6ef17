"""Wavelets: separable ones by their filter taps, non-separable ones by their bands of frequency."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import ClassVar

import numpy as np
from scipy import fft

from her2node.quantities.radiomics.filters.grid import Reach, needs, reach_of
from her2node.quantities.radiomics.filters.kernel import (
    Boundary,
    Chain,
    Floats,
    Kernel,
    Pooling,
    axes_of,
    pooled,
    separable,
)


class Family(StrEnum):
    """Orthogonal wavelets; the number is that of the vanishing moments over 1 (Daubechies) or 2 (Coiflet)."""

    HAAR = "haar"
    DAUBECHIES_2 = "daubechies-2"
    DAUBECHIES_3 = "daubechies-3"
    DAUBECHIES_4 = "daubechies-4"
    DAUBECHIES_5 = "daubechies-5"
    DAUBECHIES_6 = "daubechies-6"
    COIFLET_1 = "coiflet-1"


@dataclass(frozen=True)
class SeparableWavelet:
    """Undecimated separable wavelet: one subband of one level.

    Formula: at level j the taps stand 2^(j-1) voxels apart; the response of level j to the subband, e.g. LLH, is that
    of low- (L) and high-pass (H) taps along k1, k2, k3 to the low-pass response of level j-1; with ``pooling`` over
    all right-angle rotations, each carried through all levels.
    Source: IBSI 2, separable wavelets, 'a trous'; Daubechies 1992, tables 6.1 and 8.1.
    Known deviation: none.
    """

    kind: ClassVar[str] = "separable-wavelet"

    family: Family
    subband: str
    """Two or three of L and H along k1 (columns), k2 (rows), k3 (slices)."""
    level: int
    boundary: Boundary
    pooling: Pooling | None = None

    def __post_init__(self) -> None:
        letters = set(self.subband) <= {"L", "H"} and self.dimensions in {2, 3}
        needs(letters, f"{self.kind}: subband must be two or three of L and H, not {self.subband!r}")
        needs(self.level >= 1, f"{self.kind}: level must be at least 1, not {self.level}")

    @property
    def dimensions(self) -> int:
        return len(self.subband)

    def reach(self, spacing_mm: tuple[float, float, float]) -> Reach:
        return reach_of(sum(kernel.reach for kernel in self._chain("L")), self.dimensions, self.boundary)

    def apply(self, voxels: Floats, spacing_mm: tuple[float, float, float]) -> Floats:
        chains = [self._chain(letter) for letter in reversed(self.subband)]
        if self.pooling is None:
            return separable(voxels, chains, self.boundary)
        return pooled(voxels, chains, self.boundary, self.pooling)

    def _chain(self, letter: str) -> Chain:
        low, high = (Kernel.centred(taps) for taps in analysis_taps(self.family))
        last = low if letter == "L" else high
        before = tuple(low.dilated(2**level) for level in range(self.level - 1))
        return (*before, last.dilated(2 ** (self.level - 1)))


@cache
def analysis_taps(family: Family) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Low- and high-pass taps of the analysis, of norm 1 (the low-pass ones sum to sqrt(2)).

    Formula: with h the scaling filter, low[k] = h[n-1-k] and high[k] = (-1)^(k+1) h[k].
    Source: Daubechies 1992, section 5.1.
    """
    scaling = _scaling_taps(family)
    high = tuple(tap if k % 2 else -tap for k, tap in enumerate(scaling))
    return scaling[::-1], high


def _scaling_taps(family: Family) -> tuple[float, ...]:
    if family is Family.HAAR:
        return (math.sqrt(0.5), math.sqrt(0.5))
    if family is Family.COIFLET_1:
        r = math.sqrt(7)
        return tuple(t / (16 * math.sqrt(2)) for t in (1 - r, 5 + r, 14 + 2 * r, 14 - 2 * r, 1 - r, -3 + r))
    return _daubechies(int(family.value.rsplit("-", 1)[1]))


def _daubechies(order: int) -> tuple[float, ...]:
    """Scaling taps with ``order`` vanishing moments, of minimal phase.

    Formula: h(z) proportional to (1 + z)^N prod (1 - z / z_i), z_i the roots outside the unit circle of
    P(y) = sum_k C(N-1+k, k) y^k, y = (2 - z - 1/z) / 4.
    Source: Daubechies 1992, section 6.1.
    """
    binomials = [math.comb(order - 1 + k, k) for k in range(order)]
    inside = []
    for y in np.roots(binomials[::-1]):
        pair = np.roots([1, 4 * y - 2, 1])
        inside.append(pair[np.argmin(np.abs(pair))])
    taps = np.real(np.poly([*[-1.0] * order, *inside]))
    return tuple((taps * math.sqrt(2) / taps.sum()).tolist())


class Band(StrEnum):
    """Isotropic wavelets that are defined by their band of frequency."""

    SIMONCELLI = "simoncelli"
    SHANNON = "shannon"


@dataclass(frozen=True)
class NonSeparableWavelet:
    """One band of frequency of the image, the same in every direction.

    Formula: with v = |frequency| / (Nyquist 2^(1-level)), the spectrum is multiplied by
    cos(pi/2 log2(2 v)) for 1/4 < v <= 1 (Simoncelli) or by 1 for 1/2 < v <= 1 (Shannon), by 0 elsewhere.
    Source: IBSI 2, non-separable wavelets (LODD); Simoncelli (PRT7) and Shannon.
    Known deviation: the grid of frequencies is that of IBSI's consensus maps, n equal steps from -Nyquist to +Nyquist,
    so with an even n it lies half a step off the frequencies of the discrete Fourier transform (with these, map 8.a.3
    would differ by 8 % of its range). The image is periodic: no other boundary can be chosen.
    """

    kind: ClassVar[str] = "non-separable-wavelet"

    family: Band
    level: int
    dimensions: int

    def __post_init__(self) -> None:
        needs(self.level >= 1, f"{self.kind}: level must be at least 1, not {self.level}")
        needs(self.dimensions in {2, 3}, f"{self.kind}: dimensions must be 2 or 3, not {self.dimensions}")

    def reach(self, spacing_mm: tuple[float, float, float]) -> Reach:
        return None

    def apply(self, voxels: Floats, spacing_mm: tuple[float, float, float]) -> Floats:
        axes = axes_of(self.dimensions)
        spectrum = fft.rfftn(voxels, axes=axes)
        spectrum *= self._transfer(voxels.shape)
        return np.asarray(fft.irfftn(spectrum, s=[voxels.shape[axis] for axis in axes], axes=axes))

    def _transfer(self, shape: tuple[int, ...]) -> Floats:
        """The mean of a frequency's and its opposite's factor: the real part of what the uneven grid gives."""
        axes = axes_of(self.dimensions)
        return (self._factor(_steps(shape, axes)) + self._factor(_steps(shape, axes, opposite=True))) / 2

    def _factor(self, parts: list[Floats]) -> Floats:
        v = np.sqrt(sum((part**2 for part in parts[1:]), parts[0] ** 2)) * 2 ** (self.level - 1)
        if self.family is Band.SHANNON:
            return np.where((v > 0.5) & (v <= 1), 1.0, 0.0)
        inside = (v > 0.25) & (v <= 1)
        return np.where(inside, np.cos(np.pi / 2 * np.log2(2 * np.where(inside, v, 1.0))), 0.0)


def _steps(shape: tuple[int, ...], axes: tuple[int, ...], *, opposite: bool = False) -> list[Floats]:
    """IBSI's grid: n equal steps from -Nyquist to +Nyquist, both included, on the places of the half spectrum."""
    found = []
    for axis, places in zip(axes, frequencies(shape, axes), strict=True):
        n = shape[axis]
        index = np.round(places * n / 2)
        if opposite:
            index = -index
        index = np.where(index == n / 2, -n / 2, index)
        found.append((index + (0.5 if n % 2 == 0 else 0.0)) / max((n - 1) / 2, 1))
    return found


def frequencies(shape: tuple[int, ...], axes: tuple[int, ...]) -> list[Floats]:
    """Frequencies of the half spectrum along each axis, over Nyquist's, shaped to be broadcast on the spectrum."""
    found = []
    for axis in axes:
        half = axis == axes[-1]
        values = fft.rfftfreq(shape[axis], 0.5) if half else fft.fftfreq(shape[axis], 0.5)
        found.append(np.asarray(values).reshape([-1 if other == axis else 1 for other in range(len(shape))]))
    return found
