"""MaZda's co-occurrence features: pairs of grey levels at a distance, within the region."""

from __future__ import annotations

import numpy as np

from her2node.errors import Refused, TooFewVoxels, Undefined
from her2node.quantities.texture.slice_levels import Floats, Levels

BITS = 6
OFFSETS = tuple((dx * d, dy * d) for d in range(1, 6) for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)))
"""(columns, rows); MaZda writes S(1,-1). Rows are taken to go downwards, which MaZda's papers do not say: S(d,d) and
S(d,-d) may be exchanged."""


def cooccurrence_matrix(levels: Levels, offset: tuple[int, int]) -> Floats:
    """Share of the pairs by the grey levels of both pixels, both orders counted, (2^bits, 2^bits); all 0: no pair."""
    dx, dy = offset
    rows, columns = levels.shape
    first = levels[max(0, -dy) : max(0, rows - dy), : max(0, columns - dx)]
    second = levels[max(0, dy) : max(0, rows + dy), dx:]
    pairs = (first > 0) & (second > 0)
    size = 2**BITS
    counts = np.bincount((first[pairs] - 1) * size + second[pairs] - 1, minlength=size * size).reshape(size, size)
    both = (counts + counts.T).astype(np.float64)
    return np.asarray(both / max(both.sum(), 1))


def angular_second_moment(p: Floats) -> float:
    """AngScMom: angular second moment.

    Formula: sum of p(i, j)^2.
    Unit: 1.
    Shapes: p (levels, levels), symmetric, of sum 1.
    Source: Haralick 1973; IBSI 8ZQL.
    Known deviation: none.
    """
    return float((p**2).sum())


def contrast(p: Floats) -> float:
    """Contrast.

    Formula: sum of (i - j)^2 p(i, j).
    Unit: 1.
    Shapes: p (levels, levels), symmetric, of sum 1.
    Source: Haralick 1973; IBSI ACUI.
    Known deviation: none.
    """
    i, j = _levels(p)
    return float(((i - j) ** 2 * p).sum())


def correlation(p: Floats) -> float:
    """Correlat: correlation.

    Formula: (sum of i j p(i, j) - mean^2) / variance, of the marginal distribution.
    Unit: 1.
    Shapes: p (levels, levels), symmetric, of sum 1, more than one level.
    Source: Haralick 1973; IBSI NI2N.
    Known deviation: none.
    """
    i, j = _levels(p)
    mean = (i * p).sum()
    return float(((i - mean) * (j - mean) * p).sum() / sum_of_squares(p))


def sum_of_squares(p: Floats) -> float:
    """SumOfSqs: sum of squares.

    Formula: sum of (i - mean)^2 p(i, j).
    Unit: 1.
    Shapes: p (levels, levels), symmetric, of sum 1.
    Source: Haralick 1973 (variance); IBSI UR99.
    Known deviation: none.
    """
    i, _ = _levels(p)
    return float(((i - (i * p).sum()) ** 2 * p).sum())


def inverse_difference_moment(p: Floats) -> float:
    """InvDfMom: inverse difference moment.

    Formula: sum of p(i, j) / (1 + (i - j)^2).
    Unit: 1.
    Shapes: p (levels, levels), symmetric, of sum 1.
    Source: Haralick 1973; IBSI WF0Z.
    Known deviation: none.
    """
    i, j = _levels(p)
    return float((p / (1 + (i - j) ** 2)).sum())


def sum_average(p: Floats) -> float:
    """SumAverg: sum average.

    Formula: sum over k of k s(k), s(k) = sum of p(i, j) with i + j = k.
    Unit: 1.
    Shapes: p (levels, levels), symmetric, of sum 1.
    Source: Haralick 1973; IBSI ZGXS.
    Known deviation: none.
    """
    s = _sums(p)
    return float((np.arange(len(s)) * s).sum())


def sum_variance(p: Floats) -> float:
    """SumVarnc: sum variance.

    Formula: sum over k of (k - SumAverg)^2 s(k), s(k) = sum of p(i, j) with i + j = k.
    Unit: 1.
    Shapes: p (levels, levels), symmetric, of sum 1.
    Source: Haralick 1973, with the average in place of the printed entropy; IBSI OEEB.
    Known deviation: none.
    """
    s = _sums(p)
    return float(((np.arange(len(s)) - sum_average(p)) ** 2 * s).sum())


def sum_entropy(p: Floats) -> float:
    """SumEntrp: sum entropy.

    Formula: - sum over k of s(k) log10 s(k), s(k) = sum of p(i, j) with i + j = k.
    Unit: 1.
    Shapes: p (levels, levels), symmetric, of sum 1.
    Source: Haralick 1973; IBSI P6QZ with another base.
    Known deviation: base 10 is taken to be MaZda's, not verified; IBSI's base is 2 (multiply by log2(10) = 3.322).
    """
    return _entropy(_sums(p))


def joint_entropy(p: Floats) -> float:
    """Entropy.

    Formula: - sum of p(i, j) log10 p(i, j).
    Unit: 1.
    Shapes: p (levels, levels), symmetric, of sum 1.
    Source: Haralick 1973; IBSI TU9B with another base.
    Known deviation: base 10 is taken to be MaZda's, not verified; IBSI's base is 2 (multiply by log2(10) = 3.322).
    """
    return _entropy(p)


def difference_variance(p: Floats) -> float:
    """DifVarnc: difference variance.

    Formula: sum over k of (k - mean)^2 d(k), d(k) = sum of p(i, j) with |i - j| = k.
    Unit: 1.
    Shapes: p (levels, levels), symmetric, of sum 1.
    Source: Haralick 1973; IBSI D3YU.
    Known deviation: none.
    """
    d = _differences(p)
    k = np.arange(len(d))
    return float(((k - (k * d).sum()) ** 2 * d).sum())


def difference_entropy(p: Floats) -> float:
    """DifEntrp: difference entropy.

    Formula: - sum over k of d(k) log10 d(k), d(k) = sum of p(i, j) with |i - j| = k.
    Unit: 1.
    Shapes: p (levels, levels), symmetric, of sum 1.
    Source: Haralick 1973; IBSI NTRS with another base.
    Known deviation: base 10 is taken to be MaZda's, not verified; IBSI's base is 2 (multiply by log2(10) = 3.322).
    """
    return _entropy(_differences(p))


MEASURES = (
    angular_second_moment,
    contrast,
    correlation,
    sum_of_squares,
    inverse_difference_moment,
    sum_average,
    sum_variance,
    sum_entropy,
    joint_entropy,
    difference_variance,
    difference_entropy,
)
_KINDS = (
    "AngScMom",
    "Contrast",
    "Correlat",
    "SumOfSqs",
    "InvDfMom",
    "SumAverg",
    "SumVarnc",
    "SumEntrp",
    "Entropy",
    "DifVarnc",
    "DifEntrp",
)
NAMES = tuple(f"S({dx},{dy}){kind}" for dx, dy in OFFSETS for kind in _KINDS)


def features(levels: Levels) -> dict[str, float | Refused]:
    """Eleven at each of twenty offsets by MaZda's names: five distances in four directions."""
    matrices = [cooccurrence_matrix(levels, offset) for offset in OFFSETS]
    values = [_refusal(p, of is correlation) or of(p) for p in matrices for of in MEASURES]
    return dict(zip(NAMES, values, strict=True))


def _refusal(p: Floats, of_spread: bool) -> Refused | None:
    if not p.any():
        return TooFewVoxels("no two pixels of the region are so far apart in this direction")
    if of_spread and np.count_nonzero(p.sum(axis=0)) < 2:
        return Undefined("the pairs have one grey level")
    return None


def _levels(p: Floats) -> tuple[Floats, Floats]:
    level = np.arange(1.0, len(p) + 1)
    return level[:, None], level[None, :]


def _sums(p: Floats) -> Floats:
    """s(k), index k from 0."""
    i, j = np.indices(p.shape) + 1
    return np.asarray(np.bincount((i + j).ravel(), p.ravel()), np.float64)


def _differences(p: Floats) -> Floats:
    i, j = np.indices(p.shape)
    return np.asarray(np.bincount(np.abs(i - j).ravel(), p.ravel()), np.float64)


def _entropy(p: Floats) -> float:
    some = p[p > 0]
    return float(abs((some * np.log10(some)).sum()))
