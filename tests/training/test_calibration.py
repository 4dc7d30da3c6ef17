from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from her2node.training.calibration import THRESHOLDS, calibration, decision_curve, groups, in_the_large, slope

RNG = np.random.default_rng(3)
ODDS = RNG.normal(-1, 1.5, size=4000)
LABELS = RNG.uniform(size=4000) < expit(ODDS)


def test_true_probabilities_are_calibrated() -> None:
    found = calibration(ODDS[None, :], LABELS)
    assert found.slope == pytest.approx(1, abs=0.1)
    assert found.intercept == pytest.approx(0, abs=0.1)
    assert found.brier < found.brier_prevalence


@pytest.mark.parametrize(("stretch", "shift"), [(2.0, 0.0), (0.5, 0.0), (1.0, 0.7)])
def test_probabilities_too_far_apart_or_too_high_are_found_out(stretch: float, shift: float) -> None:
    true = ODDS / 1.0
    assert slope(stretch * true + shift, LABELS) == pytest.approx(slope(true, LABELS) / stretch, rel=1e-6)
    assert in_the_large(true + shift, LABELS) == pytest.approx(in_the_large(true, LABELS) - shift, abs=1e-8)


def test_the_slope_is_that_of_a_logistic_regression_on_the_log_odds() -> None:
    theirs = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(ODDS[:, None], LABELS)
    assert slope(ODDS, LABELS) == pytest.approx(theirs.coef_[0, 0], rel=1e-7)


def test_equal_probabilities_have_no_slope() -> None:
    assert math.isnan(slope(np.full(10, -1.0), np.arange(10) < 3))
    assert in_the_large(np.full(10, 5.0), np.arange(10) < 3) == pytest.approx(float(logit(0.3)) - 5)


def test_the_groups_hold_every_case_once_and_lie_on_the_diagonal_when_calibrated() -> None:
    found = groups(np.array([ODDS, ODDS]), LABELS)
    assert [group.said for group in found] == sorted(group.said for group in found)
    assert np.mean([group.seen.value for group in found]) == pytest.approx(LABELS.mean())
    assert all(group.seen.low <= group.said <= group.seen.high for group in found)


def test_net_benefit_by_counting() -> None:
    odds, labels = logit(np.array([0.1, 0.3, 0.6, 0.9])), np.array([False, True, False, True])
    found = decision_curve(odds[None, :], labels)
    at = {round(float(t), 2): i for i, t in enumerate(THRESHOLDS)}
    assert found.model[at[0.5]] == pytest.approx(1 / 4 - 1 / 4)
    assert found.model[at[0.2]] == pytest.approx(2 / 4 - 1 / 4 * 0.25)
    assert found.everybody[at[0.2]] == pytest.approx(0.5 - 0.5 * 0.25)


def test_true_probabilities_are_never_worse_than_acting_on_everybody_or_nobody() -> None:
    found = decision_curve(ODDS[None, :], LABELS)
    assert (found.model >= np.maximum(found.everybody, 0) - 0.01).all()
