"""How well scores order cases: the area under the ROC curve with DeLong's interval, and proportions with Wilson's.

Every area here is made of placements: of a positive case the share of negatives below it, of a negative case the share
of positives above it, ties counted half. Their means are the area, their variances DeLong's variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from her2node.training.arrays import Bools, Doubles

CONFIDENCE = 0.95
Z = float(ndtri((1 + CONFIDENCE) / 2))


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def placements(scores: Doubles, labels: Bools) -> Doubles:
    """Of each case, shape (n,): the share of the other class that it is ordered rightly against, ties counted half.

    NaN where the other class has no case.
    """
    count = len(labels)
    positives = int(labels.sum())
    overall = rankdata(scores)
    found = np.full(count, np.nan)
    if 0 < positives < count:
        below = overall[labels] - rankdata(scores[labels])
        found[labels] = below / (count - positives)
        found[~labels] = 1 - (overall[~labels] - rankdata(scores[~labels])) / positives
    return found


def placements_within(scores: Doubles, labels: Bools, folds: Sequence[Bools]) -> Doubles:
    """As ``placements``, each case against its own fold (``folds``: masks (n,)) alone.

    Scores of models that were fitted on different cases are not compared: their levels differ by what was left out.
    """
    found = np.full(len(labels), np.nan)
    for fold in folds:
        found[fold] = placements(scores[fold], labels[fold])
    return found


def area(placed: Doubles, labels: Bools) -> float:
    """Area under the ROC curve: the mean placement of the positives and of the negatives, which agree within a fold and
    are averaged over folds of different composition. Formula: (mean V10 + mean V01) / 2. Unit: 1."""
    return float((placed[labels].mean() + placed[~labels].mean()) / 2)


def variance(placed: Doubles, labels: Bools, patients: Sequence[str]) -> float:
    """DeLong's variance of ``area``; where a patient has several cases, that of Obuchowski for clustered cases.

    Formula: with m positives of I patients, n negatives of J patients and c running over patients,
    I/(I-1) sum_c (sum V10 - A)^2 / m^2 + J/(J-1) sum_c (sum V01 - A)^2 / n^2 + 2/(mn) sum_c of both sums' product.
    Source: DeLong 1988, Biometrics 44:837; Obuchowski 1997, Biometrics 53:567.
    """
    _, whose = np.unique(np.asarray(patients), return_inverse=True)
    sums = []
    for of_class in (labels, ~labels):
        off = (placed[of_class] - placed[of_class].mean()) / of_class.sum()
        sums.append((np.bincount(whose[of_class], off, minlength=whose.max() + 1), len(set(whose[of_class]))))
    (positive, i), (negative, j) = sums
    own = sum(k / (k - 1) * float((part**2).sum()) if k > 1 else math.inf for part, k in ((positive, i), (negative, j)))
    return own + 2 * float((positive * negative).sum())


def delong(scores: Doubles, labels: Bools, patients: Sequence[str]) -> Interval:
    """The area of a model that has not seen these cases, with its interval (``interval``)."""
    return interval(placements(scores, labels), labels, patients)


def interval(placed: Doubles, labels: Bools, patients: Sequence[str], inflation: float = 1.0) -> Interval:
    """The area with DeLong's interval, cut at 0 and 1, its variance ``inflation`` times as large.

    Of cases in order without a single fault DeLong's variance is 0 however few they are. There one end is the area and
    the other the exact one of k pairs of a positive with a negative, all ordered rightly (or wrongly), of which each is
    so with a probability that is the area: (0.025)^(1/k). No patient stands in two of the pairs. Source: Clopper 1934,
    Biometrika 26:404. With ``inflation`` as many pairs count as k / inflation.
    """
    value = area(placed, labels)
    if 0 < value < 1:
        return around(value, math.sqrt(inflation * variance(placed, labels, patients)))
    positive, negative = (set(np.asarray(patients)[mask].tolist()) for mask in (labels, ~labels))
    pairs = min(len(positive), len(negative), len(positive | negative) // 2)
    end = ((1 - CONFIDENCE) / 2) ** (inflation / pairs) if pairs else 0.0
    return Interval(1.0, end, 1.0) if value == 1 else Interval(0.0, 0.0, 1 - end)


def around(value: float, standard_error: float) -> Interval:
    """value -+ z standard errors, within [0, 1]."""
    return Interval(value, max(0.0, value - Z * standard_error), min(1.0, value + Z * standard_error))


def wilson(share: float, count: int) -> Interval:
    """Wilson's interval of a proportion that was seen in ``count`` cases. Source: Wilson 1927, JASA 22:209."""
    if count == 0:
        return Interval(math.nan, 0.0, 1.0)
    shrink = 1 + Z**2 / count
    middle = (share + Z**2 / (2 * count)) / shrink
    half = Z * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2)) / shrink
    return Interval(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def curve(scores: Doubles, labels: Bools) -> tuple[Doubles, Doubles]:
    """The ROC curve: false and true positive fractions for every threshold, from (0, 0) to (1, 1)."""
    thresholds = np.concatenate([[np.inf], np.unique(scores)[::-1]])
    above = scores[None, :] >= thresholds[:, None]
    return above[:, ~labels].mean(axis=1), above[:, labels].mean(axis=1)
