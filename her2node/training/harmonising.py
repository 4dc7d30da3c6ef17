"""ComBat: the same feature on different scanners brought to one level and spread, fitted on training cases alone.

Source: Johnson 2007, Biostatistics 8:118 (parametric empirical Bayes), without covariates: the label, which ComBat is
often given to preserve, may not be known of a case that is to be predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from her2node.errors import CohortRefused, ScannerUnknown
from her2node.training.arrays import Doubles

FEWEST_CASES = 5
"""Of a scanner, in what ComBat is fitted on."""
_FEWEST_FEATURES = 10
"""With fewer there is no distribution over features to borrow from: means and spreads are taken as they are."""


@dataclass(frozen=True)
class Harmonisation:
    """x' = factor x + offset for each scanner (rows, in the order of ``scanners``) and feature."""

    scanners: tuple[str, ...]
    factors: Doubles
    offsets: Doubles

    def of(self, scanners: Sequence[str]) -> tuple[Doubles, Doubles]:
        """Factors and offsets of these cases, each (n, p). Raises ScannerUnknown."""
        rows = rows_of(self.scanners, scanners)
        return self.factors[rows], self.offsets[rows]


def rows_of(known: Sequence[str], scanners: Sequence[str]) -> list[int]:
    """The place of each case's scanner among those that are known. Raises ScannerUnknown."""
    unknown = sorted(set(scanners) - set(known))
    if unknown:
        raise ScannerUnknown(unknown[0], remedy=f"harmonised are {', '.join(known)}")
    return [known.index(scanner) for scanner in scanners]


def fit(values: Doubles, scanners: Sequence[str]) -> Harmonisation:
    """Fit on (n, p) features. Raises CohortRefused for a scanner with fewer than five cases.

    Formula: with a the mean, s the pooled standard deviation within scanners, z = (x - a)/s, and g, d the mean and
    standard deviation of z on one scanner, shrunk to those of all features: x' = s (z - g)/d + a.
    """
    names = tuple(sorted(set(scanners)))
    masks = [np.array([scanner == name for scanner in scanners]) for name in names]
    for name, mask in zip(names, masks, strict=True):
        if mask.sum() < FEWEST_CASES:
            raise CohortRefused(f"{mask.sum()} cases are from the scanner {name}; ComBat needs {FEWEST_CASES}")
    centre = values.mean(axis=0)
    within = sum(((values[mask] - values[mask].mean(axis=0)) ** 2).sum(axis=0) for mask in masks)
    spread = np.sqrt(within / len(values))
    spread = np.where(spread > 0, spread, 1.0)
    z = (values - centre) / spread
    rows = [_shift_and_spread(z[mask]) for mask in masks]
    factors = np.array([1 / d for _, d in rows])
    shifts = np.array([g for g, _ in rows])
    return Harmonisation(names, factors, centre - (centre + spread * shifts) * factors)


def _shift_and_spread(z: Doubles) -> tuple[Doubles, Doubles]:
    """g and d of one scanner, (p,) each: by empirical Bayes where there are features enough to learn a prior from."""
    mean, square = z.mean(axis=0), z.var(axis=0, ddof=1)
    square = np.where(square > 0, square, 1.0)
    if z.shape[1] < _FEWEST_FEATURES:
        return mean, np.sqrt(square)
    count = len(z)
    prior_mean, prior_variance = mean.mean(), mean.var(ddof=1)
    moment, moment_variance = square.mean(), square.var(ddof=1)
    shape = (2 * moment_variance + moment**2) / moment_variance
    rate = (moment * moment_variance + moment**3) / moment_variance
    g, d2 = mean, square
    for _ in range(1000):
        new_g = (count * prior_variance * mean + d2 * prior_mean) / (count * prior_variance + d2)
        new_d2 = (rate + ((z - new_g) ** 2).sum(axis=0) / 2) / (count / 2 + shape - 1)
        moved = max(np.abs(new_g - g).max(), np.abs(new_d2 - d2).max())
        g, d2 = new_g, new_d2
        if moved < 1e-10:
            break
    return g, np.sqrt(d2)
