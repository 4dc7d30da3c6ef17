"""Neighbourhood grey tone difference (IBSI IPET): how far a voxel differs from the mean of its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from her2node.quantities.radiomics.feature import Feature, Floats, over

GREATEST_COARSENESS = 1e6
"""What IBSI gives a region without any difference."""


@dataclass(frozen=True)
class ToneDifference:
    """By grey level ``i`` that occurs, shape (levels,): ``n`` voxels with a neighbour, ``s`` their differences' sum."""

    i: Floats
    n: Floats
    s: Floats

    @cached_property
    def total(self) -> float:
        """Voxels with a neighbour."""
        return float(self.n.sum())

    @cached_property
    def p(self) -> Floats:
        return np.asarray(self.n / self.total)

    @cached_property
    def apart(self) -> Floats:
        """i1 - i2, shape (levels, levels)."""
        return np.subtract.outer(self.i, self.i)


def coarseness(m: ToneDifference) -> float:
    weighted = float(m.p @ m.s)
    return 1 / weighted if weighted > 0 else GREATEST_COARSENESS


def contrast(m: ToneDifference) -> float:
    levels = len(m.i)
    if levels == 1:
        return 0.0
    return float(m.p @ m.apart**2 @ m.p) / (levels * (levels - 1)) * float(m.s.sum()) / m.total


def busyness(m: ToneDifference) -> float:
    if len(m.i) == 1:
        return 0.0
    weighted = m.i * m.p
    return over(
        float(m.p @ m.s), float(np.abs(np.subtract.outer(weighted, weighted)).sum()), "the sum of |i1 p1 - i2 p2|"
    )


def complexity(m: ToneDifference) -> float:
    weighted = m.p * m.s
    pairs = np.abs(m.apart) * np.add.outer(weighted, weighted) / np.add.outer(m.p, m.p)
    return float(pairs.sum()) / m.total


def strength(m: ToneDifference) -> float:
    total = float(m.s.sum())
    return float((np.add.outer(m.p, m.p) * m.apart**2).sum()) / total if total > 0 else 0.0


FEATURES: tuple[Feature[ToneDifference], ...] = (
    Feature("ngt_coarseness", "QCDE", "Coarseness", "1 / sum(p s); 10^6 if the sum is 0", coarseness),
    Feature(
        "ngt_contrast",
        "65HE",
        "Contrast of tone differences",
        "sum(p1 p2 (i1 - i2)^2) / (G (G - 1)) sum(s) / N, G levels that occur; 0 if G = 1",
        contrast,
    ),
    Feature("ngt_busyness", "NQ30", "Busyness", "sum(p s) / sum(|i1 p1 - i2 p2|); 0 if G = 1", busyness),
    Feature("ngt_complexity", "HDEZ", "Complexity", "sum(|i1 - i2| (p1 s1 + p2 s2) / (p1 + p2)) / N", complexity),
    Feature("ngt_strength", "1X9X", "Strength", "sum((p1 + p2) (i1 - i2)^2) / sum(s); 0 if sum(s) = 0", strength),
)
