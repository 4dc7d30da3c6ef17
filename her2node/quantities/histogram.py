"""First-order statistics of any set of voxel values: the shared mathematics of perfusion, iodine, ADC, Ktrans and SUV.

``histogram_of`` gives them with codes. A NaN among the values stands for a voxel where the quantity is not defined
(as in ``QuantityMap``) and counts in no statistic. Percentiles, skewness, kurtosis and entropy need 30 voxels, the
standard deviation two; skewness and kurtosis of equal values are Undefined by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from her2node.dicom.codes import Code, Derivation, Histogram, Method, Unit, percentile_modifier
from her2node.errors import Refused, TooFewVoxels, Undefined
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.selection.roles import Role

Values = npt.NDArray[np.float64]

PERCENTS = (1, 5, 10, 25, 50, 75, 90, 95, 99)
"""What is told where nothing else is asked for. The 50th is reported as the median."""
EVERY_PERCENT = tuple(range(1, 100))
FEWEST = 30
"""Below this the shape of a distribution says more about chance than about the tissue."""


def mean(values: Values) -> float:
    """Mean.

    Formula: sum(x) / n.
    Unit: that of the values.
    Shapes: values (n,), n >= 1.
    Source: IBSI Q4LE; DICOM (373098007, SCT).
    Known deviation: none; summed pairwise in float64.
    """
    return float(values.mean())


def standard_deviation(values: Values) -> float:
    """Standard deviation, of a sample.

    Formula: sqrt(sum((x - mean)^2) / (n - 1)).
    Unit: that of the values.
    Shapes: values (n,), n >= 2.
    Source: DICOM (386136009, SCT) with divisor n-1.
    Known deviation: IBSI's variance (ECT3) divides by n.
    """
    return float(values.std(ddof=1))


def minimum(values: Values) -> float:
    """Minimum.

    Formula: min(x).
    Unit: that of the values.
    Shapes: values (n,), n >= 1.
    Source: IBSI 1GSF; DICOM (255605001, SCT).
    Known deviation: none.
    """
    return float(values.min())


def maximum(values: Values) -> float:
    """Maximum.

    Formula: max(x).
    Unit: that of the values.
    Shapes: values (n,), n >= 1.
    Source: IBSI 84IY; DICOM (56851009, SCT).
    Known deviation: none.
    """
    return float(values.max())


def percentile(values: Values, percent: int) -> float:
    """Percentile.

    Formula: with h = (n - 1) percent / 100 and x sorted, x[floor h] + (h - floor h) (x[floor h + 1] - x[floor h]).
    Unit: that of the values.
    Shapes: values (n,), n >= 30.
    Source: Hyndman and Fan 1996, type 7 (linear), the default of numpy and R.
    Known deviation: SPSS uses type 6; IBSI names no interpolation.
    """
    return float(np.percentile(values, percent, method="linear"))


def skewness(values: Values) -> float:
    """Skewness: how far the tails differ; above 0 with the longer tail at high values.

    Formula: (sum((x - mean)^3) / n) / (sum((x - mean)^2) / n)^(3/2).
    Unit: 1.
    Shapes: values (n,), n >= 30, not all equal.
    Source: IBSI KE2A; DICOM (126051, DCM).
    Known deviation: SPSS and Excel print the sample-corrected G1 = sqrt(n (n - 1)) / (n - 2) times this.
    """
    return float(np.mean(_standardised(values) ** 3))


def kurtosis(values: Values) -> float:
    """Excess kurtosis: how heavy the tails are; 0 for a normal distribution.

    Formula: (sum((x - mean)^4) / n) / (sum((x - mean)^2) / n)^2 - 3.
    Unit: 1.
    Shapes: values (n,), n >= 30, not all equal.
    Source: IBSI IPH6; DICOM (126052, DCM).
    Known deviation: PyRadiomics does not subtract 3; SPSS and Excel print the sample-corrected G2.
    """
    return float(np.mean(_standardised(values) ** 4) - 3)


def entropy(values: Values, bin_width: float) -> float:
    """Entropy of the histogram, in bits.

    Formula: - sum over the bins [k w, (k + 1) w), k whole, of p log2(p), p the share of the values in the bin.
    Unit: 1.
    Shapes: values (n,), n >= 30; w = bin_width > 0 in the unit of the values.
    Source: IBSI TLU2 with bins of fixed width (IBSI Q3RU).
    Known deviation: the bins start at 0 and not at the lowest value, so that regions are comparable.
    """
    _, counts = np.unique(np.floor(values / bin_width), return_counts=True)
    p = counts / counts.sum()
    return float(abs(np.sum(p * np.log2(p))))


MEASURES: tuple[Callable[..., float], ...] = (
    mean,
    standard_deviation,
    minimum,
    maximum,
    percentile,
    skewness,
    kurtosis,
    entropy,
)
"""Every statistic."""


def histogram_of(
    values: npt.ArrayLike,
    concept: Code,
    unit: Code,
    roi: str,
    role: Role | None,
    series_uids: tuple[str, ...],
    *,
    bin_width: float,
    percents: Sequence[int] = PERCENTS,
) -> tuple[Quantity | NotMeasured, ...]:
    """Every statistic of ``values`` as quantities of ``concept``, in a fixed order.

    ``values`` of any shape, in ``unit``, no larger than float32 holds; ``bin_width`` in the same unit, for the entropy,
    whose method code names it; ``percents`` are the percentiles wanted.
    A statistic for which there are too few values is a NotMeasured with TooFewVoxels, skewness and kurtosis of values
    that do not differ one with Undefined. ValueError for an infinite value or a bin width of 0 or below: faults of the
    caller.
    """
    if not 0 < bin_width < np.inf:
        raise ValueError(f"a bin must have a width, not {bin_width}")
    given = np.asarray(values, dtype=np.float64).ravel()
    defined = given[~np.isnan(given)]
    if np.isinf(defined).any():
        raise ValueError(f"infinite values of {concept.meaning}")

    def judged(statistic: _Statistic) -> Quantity | NotMeasured:
        refused = _refusal(statistic, defined)
        if refused is not None:
            return NotMeasured(roi, role, refused, concept, series_uids, modifier=statistic.modifier)
        own = unit if statistic.unit is None else statistic.unit
        return Quantity(
            roi, role, concept, statistic.of(defined), own, statistic.modifier, statistic.method, series_uids
        )

    return tuple(judged(statistic) for statistic in _statistics(bin_width, percents))


@dataclass(frozen=True)
class _Statistic:
    """A statistic with its codes and what it needs; without a unit it has that of the values."""

    of: Callable[[Values], float]
    modifier: Code
    method: Code | None = None
    fewest: int = 1
    unit: Code | None = None
    needs_spread: bool = False


def _statistics(bin_width: float, percents: Sequence[int]) -> tuple[_Statistic, ...]:
    return (
        _Statistic(mean, Derivation.MEAN),
        _Statistic(standard_deviation, Derivation.STANDARD_DEVIATION, Method.SD_N_MINUS_1, fewest=2),
        _Statistic(minimum, Derivation.MINIMUM),
        _Statistic(maximum, Derivation.MAXIMUM),
        *(_percentile(percent) for percent in percents),
        _Statistic(skewness, Histogram.SKEWNESS, Histogram.MOMENTS_N, FEWEST, Unit.ONE, needs_spread=True),
        _Statistic(kurtosis, Histogram.KURTOSIS, Histogram.EXCESS_N, FEWEST, Unit.ONE, needs_spread=True),
        _Statistic(
            lambda values: entropy(values, bin_width), Histogram.ENTROPY, Histogram.bits(bin_width), FEWEST, Unit.ONE
        ),
    )


def _percentile(percent: int) -> _Statistic:
    modifier = Derivation.MEDIAN if percent == 50 else percentile_modifier(percent)
    return _Statistic(lambda values: percentile(values, percent), modifier, Method.PERCENTILE_LINEAR, FEWEST)


def _refusal(statistic: _Statistic, values: Values) -> Refused | None:
    name = statistic.modifier.meaning
    if len(values) < statistic.fewest:
        return TooFewVoxels(f"{name}: {len(values)} voxels with a value, {statistic.fewest} needed")
    if statistic.needs_spread and not spread(values):
        return Undefined(f"{name}: the values do not differ")
    return None


def spread(values: Values) -> bool:
    """Whether the values, at least one, differ by more than float64 can lose."""
    scale = float(np.abs(values).max())
    return bool(np.ptp(values) > 8 * np.finfo(np.float64).eps * scale and values.std() > 0)


def _standardised(values: Values) -> Values:
    return np.asarray((values - values.mean()) / values.std())
