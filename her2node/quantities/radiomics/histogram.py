"""Intensity histogram (IBSI ZVCW): the distribution of discretised grey levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import SupportsFloat

import numpy as np

from her2node.errors import Undefined
from her2node.quantities.radiomics import statistics
from her2node.quantities.radiomics.feature import Feature, Floats, Integers, Values, evaluated
from her2node.quantities.radiomics.statistics import Sample


@dataclass(frozen=True)
class Histogram:
    """Grey levels ``levels``, shape (n,), from 1; ``counts`` (highest level,) says how many voxels have each."""

    levels: Integers

    @cached_property
    def sample(self) -> Sample:
        return Sample(self.levels.astype(np.float64))

    @cached_property
    def counts(self) -> Floats:
        return np.bincount(self.levels)[1:].astype(np.float64)

    @cached_property
    def probabilities(self) -> Floats:
        return np.asarray(self.counts / self.counts.sum())

    @cached_property
    def gradient(self) -> Floats:
        if len(self.counts) < 2:
            raise Undefined("a histogram of one bin has no gradient")
        return np.gradient(self.counts)


def entropy(p: Floats) -> float:
    """-sum(p log2 p) over the p above zero."""
    positive = p[p > 0]
    return float(-np.sum(positive * np.log2(positive))) + 0.0


def mode(h: Histogram) -> float:
    """The most frequent level; of several the one nearest to the mean, the lower of two as near."""
    candidates = np.flatnonzero(h.counts == h.counts.max()) + 1
    return float(candidates[np.argmin(np.abs(candidates - h.sample.mean))])


def _of(statistic: Callable[[Sample], SupportsFloat]) -> Callable[[Histogram], SupportsFloat]:
    return lambda h: statistic(h.sample)


_CODES = {
    "mean": "X6K6",
    "var": "CH89",
    "skew": "88K1",
    "kurt": "C3I7",
    "median": "WIFQ",
    "min": "1PR8",
    "p10": "GPMT",
    "p90": "OZ0C",
    "max": "3NCY",
    "iqr": "WR0O",
    "range": "5Z3W",
    "mad": "D2ZX",
    "rmad": "WRZB",
    "medad": "4RNL",
    "cov": "CWYJ",
    "qcod": "SLWD",
}
"""Of the statistics that are taken of grey levels as of intensities."""

FEATURES: tuple[Feature[Histogram], ...] = (
    *(
        Feature(
            tag=f"ih_{short}",
            code=_CODES[short],
            name=f"Histogram: {feature.name}",
            formula=f"{feature.formula}, x the grey levels",
            of=_of(feature.of),
        )
        for feature in statistics.FEATURES
        if (short := feature.tag.removeprefix("stat_")) in _CODES
    ),
    Feature(
        "ih_mode", "AMMC", "Histogram mode", "the level with most voxels, of several the nearest to the mean", mode
    ),
    Feature("ih_entropy", "TLU2", "Histogram entropy", "-sum(p log2 p)", lambda h: entropy(h.probabilities)),
    Feature("ih_uniformity", "BJ5W", "Histogram uniformity", "sum(p^2)", lambda h: np.sum(h.probabilities**2)),
    Feature(
        "ih_max_grad",
        "12CE",
        "Maximum histogram gradient",
        "max of (n[i+1] - n[i-1]) / 2, one-sided at the ends",
        lambda h: h.gradient.max(),
    ),
    Feature(
        "ih_max_grad_g",
        "8E6O",
        "Maximum histogram gradient grey level",
        "the (lowest) level of the maximum gradient",
        lambda h: h.gradient.argmax() + 1,
    ),
    Feature(
        "ih_min_grad",
        "VQB3",
        "Minimum histogram gradient",
        "min of (n[i+1] - n[i-1]) / 2, one-sided at the ends",
        lambda h: h.gradient.min(),
    ),
    Feature(
        "ih_min_grad_g",
        "RHQZ",
        "Minimum histogram gradient grey level",
        "the (lowest) level of the minimum gradient",
        lambda h: h.gradient.argmin() + 1,
    ),
)


def histogram(levels: Integers) -> Values:
    """The 23 features of grey levels (n,), n >= 1, counted from 1."""
    return evaluated(FEATURES, Histogram(levels))
