"""What a tumour's attenuation does about its mean, as functions of place whose statistics are known in closed form.

Each texture says at every place by how much the attenuation differs from the mean, and what must come out where it is
measured: distribution and autocorrelation, from which variance, percentiles, entropy and co-occurrence follow. Places
are millimetres from the tumour's centre, so that the texture moves with it and knows no voxels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import NormalDist
from typing import Protocol

import numpy as np

from her2node.phantoms.shapes import Floats, Point

_WAVES = 1024


class Texture(Protocol):
    """Differences from the mean, distributed evenly about 0, so that their skewness is 0."""

    @property
    def variance_hu2(self) -> float:
        """Of all places."""

    @property
    def kurtosis(self) -> float:
        """Excess kurtosis of all places."""

    def share_below(self, hu: float) -> float:
        """The share of all places that lie below."""

    def quantile(self, share: float) -> float:
        """What the share of all places lies below; not the median of two values alone."""

    def correlation(self, by_mm: Point) -> float:
        """Autocorrelation of places that lie so far apart."""

    def standard_errors(self, volume_mm3: float) -> tuple[float, float] | None:
        """Of mean (HU) and variance (HU²) over one tumour of that volume; None where no chance is in them."""

    def at(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """HU above the mean; shape of the arguments."""


@dataclass(frozen=True)
class Checker:
    """Boxes of ``side_mm`` that lie by turns ``height_hu`` above and below the mean.

    Where the sides are whole voxels, two voxels lie in unlike boxes with probability (1 − correlation) / 2 exactly.
    """

    height_hu: float
    side_mm: Point

    @property
    def variance_hu2(self) -> float:
        return self.height_hu**2

    @property
    def kurtosis(self) -> float:
        return -2.0

    def share_below(self, hu: float) -> float:
        return 0.5 * ((hu > -self.height_hu) + (hu > self.height_hu))

    def quantile(self, share: float) -> float:
        return math.copysign(self.height_hu, share - 0.5)

    def correlation(self, by_mm: Point) -> float:
        """The product over the axes of a triangle wave: 1 at no distance, −1 at one side."""
        turns = (by / (2 * side) for by, side in zip(by_mm, self.side_mm, strict=True))
        return math.prod(1 - 4 * abs(turn - round(turn)) for turn in turns)

    def standard_errors(self, volume_mm3: float) -> None:
        return None

    def at(self, x: Floats, y: Floats, z: Floats) -> Floats:
        boxes = sum(np.floor(places / side) for places, side in zip((x, y, z), self.side_mm, strict=True))
        return np.asarray(np.where(np.asarray(boxes) % 2, -self.height_hu, self.height_hu))


@dataclass(frozen=True)
class Grating:
    """A wave of length ``period_mm`` along the unit vector ``along``: height_hu · sin(2π·r·along / period_mm)."""

    height_hu: float
    period_mm: float
    along: Point

    @property
    def variance_hu2(self) -> float:
        return self.height_hu**2 / 2

    @property
    def kurtosis(self) -> float:
        return -1.5

    def share_below(self, hu: float) -> float:
        """The arcsine distribution."""
        return 0.5 + math.asin(min(max(hu / self.height_hu, -1.0), 1.0)) / math.pi

    def quantile(self, share: float) -> float:
        return self.height_hu * math.sin(math.pi * (share - 0.5))

    def correlation(self, by_mm: Point) -> float:
        return math.cos(2 * math.pi * float(np.dot(by_mm, self.along)) / self.period_mm)

    def standard_errors(self, volume_mm3: float) -> None:
        return None

    def at(self, x: Floats, y: Floats, z: Floats) -> Floats:
        along = self.along[0] * x + self.along[1] * y + self.along[2] * z
        return np.asarray(self.height_hu * np.sin(2 * np.pi / self.period_mm * along))


@dataclass(frozen=True)
class RandomField:
    """A normal random field of ``sd_hu`` whose autocorrelation over a distance d is exp(−d² / (2·length_mm²)).

    Made as a sum of many waves of normally distributed wave vectors (Shinozuka 1972), drawn from ``seed``. What one
    tumour shows of it differs from the field by chance, more so the fewer lengths the tumour holds.
    """

    sd_hu: float
    length_mm: float
    seed: int

    @property
    def variance_hu2(self) -> float:
        return self.sd_hu**2

    @property
    def kurtosis(self) -> float:
        return 0.0

    def share_below(self, hu: float) -> float:
        return NormalDist(0, self.sd_hu).cdf(hu)

    def quantile(self, share: float) -> float:
        return NormalDist(0, self.sd_hu).inv_cdf(share)

    def correlation(self, by_mm: Point) -> float:
        return math.exp(-float(np.dot(by_mm, by_mm)) / (2 * self.length_mm**2))

    def standard_errors(self, volume_mm3: float) -> tuple[float, float]:
        """sd·√(∫ρ/V) of the mean and sd²·√(2∫ρ²/V) of the variance, the integrals over all space."""
        of_mean = (2 * math.pi) ** 1.5 * self.length_mm**3 / volume_mm3
        of_variance = 2 * math.pi**1.5 * self.length_mm**3 / volume_mm3
        return self.sd_hu * math.sqrt(of_mean), self.sd_hu**2 * math.sqrt(of_variance)

    def at(self, x: Floats, y: Floats, z: Floats) -> Floats:
        vectors, starts = self._waves
        total = np.zeros(np.shape(x))
        for vector, start in zip(vectors, starts, strict=True):
            total += np.cos(vector[0] * x + vector[1] * y + vector[2] * z + start)
        return total * (self.sd_hu * math.sqrt(2 / _WAVES))

    @cached_property
    def _waves(self) -> tuple[Floats, Floats]:
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, 6]))
        return rng.standard_normal((_WAVES, 3)) / self.length_mm, rng.uniform(0, 2 * np.pi, _WAVES)


def entropy_bits(texture: Texture, mean_hu: float, bin_width_hu: int) -> float:
    """Entropy of the histogram of whole Hounsfield units about a mean, by bins [k·w, (k + 1)·w), k whole.

    A place is rounded to the nearest whole unit, so the bin's share is that between k·w − ½ and (k + 1)·w − ½.
    """
    reach = 8 * math.sqrt(texture.variance_hu2)
    first, last = (math.floor((mean_hu + side * reach) / bin_width_hu) for side in (-1, 1))
    edges = (bin_width_hu * number - 0.5 - mean_hu for number in range(first, last + 2))
    below = [texture.share_below(edge) for edge in edges]
    shares = (high - low for low, high in pairwise(below))
    return -sum(share * math.log2(share) for share in shares if share > 0)
