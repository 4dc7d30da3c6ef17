"""Nested cross-validation: what a pipeline is worth on cases that it has not seen.

Each outer fold is predicted by a model for which everything, from scaling to the choice of the penalty, was fitted on
the other folds. The whole is repeated with other splits, so that the answer does not hang on one of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from her2node.errors import CohortRefused
from her2node.training import folds as splits
from her2node.training.arrays import Bools, Cases, Doubles, Integers
from her2node.training.discrimination import Interval, area, interval, placements, placements_within
from her2node.training.pipelines import Fitted, Plan, check_size, fit

FOLDS = 5
REPEATS = 5


@dataclass(frozen=True)
class Validation:
    """``log_odds`` (repeats, n): what models said of cases that they had not seen; ``labels`` (n,) the truth.

    ``auc``: area of these predictions with DeLong's interval, which takes the models as given. ``fitted_auc``: the same
    area with an interval for what the pipeline, fitted on all cases, will reach on new ones. ``apparent``: the area on
    the very cases it was fitted on, which is too good. ``agreement``: see ``inflation``.
    """

    log_odds: Doubles
    labels: Bools
    auc: Interval
    fitted_auc: Interval
    apparent: float
    agreement: float
    folds: int

    @property
    def repeats(self) -> int:
        return len(self.log_odds)


def validate(
    plan: Plan,
    cases: Cases,
    seed: int,
    *,
    repeats: int = REPEATS,
    given_folds: Integers | None = None,
) -> Validation:
    """Cross-validate. ``given_folds`` (n,): centres or scanners to be left out in turn, in one repeat.

    Raises PatientInTwoFolds, TooFewEvents, CohortRefused (a fold of one class), ScannerUnknown.
    """
    check_size(plan, cases)
    if given_folds is None:
        drawn = [
            splits.folds_of(cases.labels, cases.patients, FOLDS, seed + repeat, cases.scanners)
            for repeat in range(repeats)
        ]
    else:
        drawn = [given_folds]
    log_odds, placed = [], []
    for repeat, folds in enumerate(drawn):
        splits.check(folds, cases.patients)
        masks = [folds == fold for fold in np.unique(folds)]
        if any(len(set(cases.labels[mask])) < 2 for mask in masks):
            raise CohortRefused("a fold holds cases of one class only", remedy="join folds")
        said = _unseen(plan, cases, masks, seed + repeat)
        log_odds.append(said)
        placed.append(placements_within(said, cases.labels, masks))
    mean = np.mean(placed, axis=0)
    agreement = _agreement(plan, cases, [seed + repeat for repeat in range(len(drawn))])
    placed_apparent = placements(fit(plan, cases, seed).log_odds(cases.values, cases.scanners), cases.labels)
    apparent = area(placed_apparent, cases.labels)
    return Validation(
        log_odds=np.array(log_odds),
        labels=cases.labels,
        auc=interval(mean, cases.labels, cases.patients),
        fitted_auc=interval(mean, cases.labels, cases.patients, inflation(agreement)),
        apparent=apparent,
        agreement=agreement,
        folds=len(np.unique(drawn[0])),
    )


def inflation(agreement: float) -> float:
    """By how much DeLong's variance of a cross-validated area is too small for the area that the pipeline, fitted on
    all cases, will reach.

    Formula: 1 - s + 2 s (1 + (1 - s)/2)^2 with s = (1 - r)/(1 + r), r in [0, 1] the agreement of models fitted on two
    halves of the cases. Unit: 1. It is 1 when the halves agree and 2 when there is nothing to be found.

    DeLong takes the models as given. But in cross-validation each case that tests one model also trained the others.
    With d_k the difference of class means in fold k, and models that follow the sum of the other folds' differences,
    the area is a sum of d_k · d_l over pairs of folds, and every pair comes twice. The share 1 - s of the score's
    variance that lies along the true direction is not concerned; what is noise, s = sin^2 t with t the angle between
    fitted and true direction, counts double. The same noise turns the final model away from the true direction: where
    it lifts the cross-validated area by q it lowers the final one by q cos^2(t) / 2, so that both differ by
    q (1 + (1 - s)/2). Models of two halves agree by r = cos^2 t' with tan^2 t' = 2 tan^2 t, which gives s.
    Known deviation: derived for linear scores of normal features; the tests measure the coverage that follows.
    """
    r = min(max(agreement, 0.0), 1.0)
    noise = (1 - r) / (1 + r)
    return 1 - noise + 2 * noise * (1 + (1 - noise) / 2) ** 2


def _unseen(plan: Plan, cases: Cases, masks: Sequence[Bools], seed: int) -> Doubles:
    said = np.empty(len(cases))
    for mask in masks:
        scanners = [cases.scanners[i] for i in np.flatnonzero(mask)] if cases.scanners else ()
        said[mask] = fit(plan, cases.among(~mask), seed).log_odds(cases.values[mask], scanners)
    return said


def _agreement(plan: Plan, cases: Cases, seeds: Sequence[int]) -> float:
    """Correlation, within classes, of what models fitted on two halves say of all cases, averaged over splits."""
    found = []
    for seed in seeds:
        half = splits.folds_of(cases.labels, cases.patients, 2, seed, cases.scanners) == 0
        first, second = (_within(fit(plan, cases.among(side), seed), cases) for side in (half, ~half))
        norm = math.sqrt(float((first**2).sum() * (second**2).sum()))
        found.append(float((first * second).sum()) / norm if norm > 0 else 0.0)
    return float(np.mean(found))


def _within(model: Fitted, cases: Cases) -> Doubles:
    odds = model.log_odds(cases.values, cases.scanners)
    for mask in (cases.labels, ~cases.labels):
        odds[mask] -= odds[mask].mean()
    return odds
