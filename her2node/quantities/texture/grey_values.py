"""MaZda's histogram features: of the attenuation itself, for normalisation would make mean and variance the same."""

from __future__ import annotations

import numpy as np

from her2node.errors import Refused, Undefined
from her2node.quantities import histogram
from her2node.quantities.histogram import spread
from her2node.quantities.texture.slice_levels import Floats

PERCENTS = (1, 10, 50, 90, 99)


def grey_mean(values: Floats) -> float:
    """Mean: mean attenuation in the slice.

    Formula: sum(x) / n.
    Unit: [hnsf'U].
    Shapes: values (n,), n >= 1.
    Source: MaZda (Szczypinski 2009).
    Known deviation: in HU before normalisation; MaZda prints grey levels.
    """
    return float(values.mean())


def grey_variance(values: Floats) -> float:
    """Variance: variance of attenuation in the slice.

    Formula: sum((x - mean)^2) / n.
    Unit: [hnsf'U]2.
    Shapes: values (n,), n >= 1.
    Source: MaZda (Szczypinski 2009).
    Known deviation: in HU before normalisation; MaZda prints grey levels.
    """
    return float(values.var())


def grey_skewness(values: Floats) -> float:
    """Skewness of attenuation in the slice.

    Formula: (sum((x - mean)^3) / n) / variance^(3/2).
    Unit: 1.
    Shapes: values (n,), not all equal.
    Source: MaZda (Szczypinski 2009).
    Known deviation: before normalisation, which by limiting to +-3 SD would change it a little.
    """
    return histogram.skewness(values)


def grey_kurtosis(values: Floats) -> float:
    """Kurtosis: excess kurtosis of attenuation in the slice.

    Formula: (sum((x - mean)^4) / n) / variance^2 - 3.
    Unit: 1.
    Shapes: values (n,), not all equal.
    Source: MaZda (Szczypinski 2009).
    Known deviation: before normalisation, which by limiting to +-3 SD would change it a little.
    """
    return histogram.kurtosis(values)


def grey_percentile(values: Floats, percent: int) -> float:
    """Perc.01%, 10%, 50%, 90%, 99%: percentiles of attenuation in the slice.

    Formula: the lowest value that at least so many percent of the values do not exceed.
    Unit: [hnsf'U].
    Shapes: values (n,), n >= 1.
    Source: MaZda (Szczypinski 2009), from the cumulated histogram; Hyndman and Fan 1996, type 1.
    Known deviation: in HU before normalisation; MaZda prints grey levels.
    """
    return float(np.percentile(values, percent, method="inverted_cdf"))


MEASURES = (grey_mean, grey_variance, grey_skewness, grey_kurtosis, grey_percentile)


def features(values: Floats) -> dict[str, float | Refused]:
    """Nine by MaZda's names."""
    flat = None if spread(values) else Undefined("the voxels of the largest slice do not differ")
    found: dict[str, float | Refused] = {
        "Mean": grey_mean(values),
        "Variance": grey_variance(values),
        "Skewness": flat or grey_skewness(values),
        "Kurtosis": flat or grey_kurtosis(values),
    }
    return found | {f"Perc.{percent:02d}%": grey_percentile(values, percent) for percent in PERCENTS}
