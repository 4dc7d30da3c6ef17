"""Intensity statistics (IBSI UHIW): the distribution of intensities, without order or place.

``statistics(values)`` takes the intensities of a region, in any unit, and serves filtered images as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from her2node.errors import Undefined
from her2node.quantities.radiomics.feature import Dimension, Feature, Floats, Value, evaluated, over

_ZERO = 1e-13
"""Part of the largest magnitude below which a mean is zero but for rounding."""


@dataclass(frozen=True)
class Sample:
    """Intensities ``x``, shape (n,), n >= 1, with what several features need."""

    x: Floats

    @cached_property
    def lowest(self) -> float:
        return float(self.x.min())

    @cached_property
    def highest(self) -> float:
        return float(self.x.max())

    @cached_property
    def mean(self) -> float:
        if self.lowest == self.highest:
            return self.lowest  # exactly, so that no rounding becomes a variance
        mean = float(self.x.mean())
        return 0.0 if abs(mean) <= _ZERO * max(abs(self.lowest), abs(self.highest)) else mean

    @cached_property
    def deviation(self) -> Floats:
        return np.asarray(self.x - self.mean)

    @cached_property
    def variance(self) -> float:
        return float(np.mean(self.deviation**2))

    @cached_property
    def percentiles(self) -> dict[int, float]:
        found = np.percentile(self.x, (10, 25, 50, 75, 90), method="linear")
        return dict(zip((10, 25, 50, 75, 90), map(float, found), strict=True))


def mean(s: Sample) -> float:
    return s.mean


def variance(s: Sample) -> float:
    return s.variance


def skewness(s: Sample) -> float:
    return 0.0 if s.variance == 0 else float(np.mean(s.deviation**3) / s.variance**1.5)


def kurtosis(s: Sample) -> float:
    return 0.0 if s.variance == 0 else float(np.mean((s.deviation**2) ** 2) / s.variance**2 - 3)


def interquartile_range(s: Sample) -> float:
    return s.percentiles[75] - s.percentiles[25]


def mean_absolute_deviation(s: Sample) -> float:
    return float(np.mean(np.abs(s.deviation)))


def robust_mean_absolute_deviation(s: Sample) -> float:
    low, high = s.percentiles[10], s.percentiles[90]
    kept = s.x[(s.x >= low) & (s.x <= high)]
    if not len(kept):
        raise Undefined("no intensity lies between the 10th and the 90th percentile")
    return float(np.mean(np.abs(kept - kept.mean())))


def median_absolute_deviation(s: Sample) -> float:
    return float(np.mean(np.abs(s.x - s.percentiles[50])))


def coefficient_of_variation(s: Sample) -> float:
    return over(float(np.sqrt(s.variance)), s.mean, "the mean")


def quartile_dispersion(s: Sample) -> float:
    return over(interquartile_range(s), s.percentiles[75] + s.percentiles[25], "the sum of the quartiles")


_I, _I2 = Dimension.INTENSITY, Dimension.INTENSITY2
FEATURES: tuple[Feature[Sample], ...] = (
    Feature("stat_mean", "Q4LE", "Mean intensity", "sum(x) / n", mean, _I),
    Feature("stat_var", "ECT3", "Intensity variance", "sum((x - mean)^2) / n", variance, _I2),
    Feature("stat_skew", "KE2A", "Intensity skewness", "mean((x - mean)^3) / var^1.5; 0 if var = 0", skewness),
    Feature("stat_kurt", "IPH6", "Excess intensity kurtosis", "mean((x - mean)^4) / var^2 - 3; 0 if var = 0", kurtosis),
    Feature("stat_median", "Y12H", "Median intensity", "50th percentile", lambda s: s.percentiles[50], _I),
    Feature("stat_min", "1GSF", "Minimum intensity", "min(x)", lambda s: s.lowest, _I),
    Feature("stat_p10", "QG58", "10th intensity percentile", "Hyndman-Fan type 7", lambda s: s.percentiles[10], _I),
    Feature("stat_p90", "8DWT", "90th intensity percentile", "Hyndman-Fan type 7", lambda s: s.percentiles[90], _I),
    Feature("stat_max", "84IY", "Maximum intensity", "max(x)", lambda s: s.highest, _I),
    Feature("stat_iqr", "SALO", "Intensity interquartile range", "P75 - P25", interquartile_range, _I),
    Feature("stat_range", "2OJQ", "Intensity range", "max(x) - min(x)", lambda s: s.highest - s.lowest, _I),
    Feature(
        "stat_mad", "4FUA", "Intensity mean absolute deviation", "sum(|x - mean|) / n", mean_absolute_deviation, _I
    ),
    Feature(
        "stat_rmad",
        "1128",
        "Intensity robust mean absolute deviation",
        "mean absolute deviation of the x with P10 <= x <= P90 from their own mean",
        robust_mean_absolute_deviation,
        _I,
    ),
    Feature(
        "stat_medad",
        "N72L",
        "Intensity median absolute deviation",
        "sum(|x - median|) / n",
        median_absolute_deviation,
        _I,
    ),
    Feature("stat_cov", "7TET", "Intensity coefficient of variation", "sqrt(var) / mean", coefficient_of_variation),
    Feature(
        "stat_qcod",
        "9S40",
        "Intensity quartile coefficient of dispersion",
        "(P75 - P25) / (P75 + P25)",
        quartile_dispersion,
    ),
    Feature("stat_energy", "N8CA", "Intensity energy", "sum(x^2)", lambda s: float(np.sum(s.x**2)), _I2),
    Feature(
        "stat_rms", "5ZWQ", "Root mean square intensity", "sqrt(sum(x^2) / n)", lambda s: np.sqrt(np.mean(s.x**2)), _I
    ),
)


def statistics(values: npt.ArrayLike) -> dict[str, Value]:
    """The 18 statistics of intensities (n,), by tag: a finite float, or Undefined with its reason.

    Raises ValueError for an empty or non-finite sample: a fault of the caller.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    if not len(x) or not np.isfinite(x).all():
        raise ValueError("statistics need at least one intensity, all of them finite")
    return evaluated(FEATURES, Sample(x))
