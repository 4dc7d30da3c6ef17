"""MaZda's gradient features: how steep the image is within the region."""

from __future__ import annotations

import numpy as np

from her2node.errors import Refused, TooFewVoxels, Undefined
from her2node.quantities.histogram import spread
from her2node.quantities.texture.slice_levels import Floats, Levels

BITS = 4
FEWEST = 2


def absolute_gradient(levels: Levels) -> Floats:
    """The gradient's length in grey levels at every pixel whose four partners lie in the region, shape (n,).

    Formula: sqrt((x(i+2, j) - x(i-2, j))^2 + (x(i, j+2) - x(i, j-2))^2), of 16 grey levels (MaZda's 5 x 5
    neighbourhood).
    """
    if min(levels.shape) < 5:
        return np.empty(0)
    centre = levels[2:-2, 2:-2]
    up, down, left, right = levels[:-4, 2:-2], levels[4:, 2:-2], levels[2:-2, :-4], levels[2:-2, 4:]
    inside = (centre > 0) & (up > 0) & (down > 0) & (left > 0) & (right > 0)
    length = np.hypot((down - up).astype(np.float64), (right - left).astype(np.float64))
    return np.asarray(length[inside])


def gradient_mean(lengths: Floats) -> float:
    """GrMean: mean absolute gradient.

    Formula: sum(g) / n.
    Unit: 1.
    Shapes: lengths (n,), n >= 2, in grey levels over four pixels.
    Source: Materka and Strzelecki 1998; MaZda (Szczypinski 2009).
    Known deviation: checked on analytic cases only; MaZda also offers a 3 x 3 neighbourhood, and which one study 20
    used is not known.
    """
    return float(lengths.mean())


def gradient_variance(lengths: Floats) -> float:
    """GrVariance: variance of the absolute gradient.

    Formula: sum((g - mean)^2) / n.
    Unit: 1.
    Shapes: lengths (n,), n >= 2.
    Source: Materka and Strzelecki 1998; MaZda (Szczypinski 2009).
    Known deviation: checked on analytic cases only; neighbourhood as for GrMean.
    """
    return float(lengths.var())


def gradient_skewness(lengths: Floats) -> float:
    """GrSkewness: skewness of the absolute gradient.

    Formula: (sum((g - mean)^3) / n) / variance^(3/2).
    Unit: 1.
    Shapes: lengths (n,), n >= 2, not all equal.
    Source: Materka and Strzelecki 1998; MaZda (Szczypinski 2009).
    Known deviation: checked on analytic cases only; neighbourhood as for GrMean.
    """
    return float(np.mean(((lengths - lengths.mean()) / lengths.std()) ** 3))


def gradient_kurtosis(lengths: Floats) -> float:
    """GrKurtosis: excess kurtosis of the absolute gradient.

    Formula: (sum((g - mean)^4) / n) / variance^2 - 3.
    Unit: 1.
    Shapes: lengths (n,), n >= 2, not all equal.
    Source: Materka and Strzelecki 1998; MaZda (Szczypinski 2009).
    Known deviation: checked on analytic cases only; neighbourhood as for GrMean.
    """
    return float(np.mean(((lengths - lengths.mean()) / lengths.std()) ** 4) - 3)


def gradient_nonzeros(lengths: Floats) -> float:
    """GrNonZeros: share of pixels whose absolute gradient is not 0.

    Formula: number of g > 0 / n.
    Unit: 1.
    Shapes: lengths (n,), n >= 2.
    Source: Materka and Strzelecki 1998; MaZda (Szczypinski 2009).
    Known deviation: checked on analytic cases only; neighbourhood as for GrMean.
    """
    return float(np.mean(lengths > 0))


MEASURES = (gradient_mean, gradient_variance, gradient_skewness, gradient_kurtosis, gradient_nonzeros)
NAMES = ("GrMean", "GrVariance", "GrSkewness", "GrKurtosis", "GrNonZeros")
_OF_SHAPE = (gradient_skewness, gradient_kurtosis)


def features(levels: Levels) -> dict[str, float | Refused]:
    """The five by MaZda's names."""
    lengths = absolute_gradient(levels)
    if len(lengths) < FEWEST:
        few = TooFewVoxels(f"{len(lengths)} pixels have their gradient within the region, {FEWEST} needed")
        return dict.fromkeys(NAMES, few)
    flat = None if spread(lengths) else Undefined("the gradient is the same everywhere")
    return {name: flat if flat and of in _OF_SHAPE else of(lengths) for name, of in zip(NAMES, MEASURES, strict=True)}
