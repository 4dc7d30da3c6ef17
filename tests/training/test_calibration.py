from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from her2node.training.calibration import THRESHOLDS, calibration, decision_curve, groups, in_the_large, slope
from her2node.training.discrimination import Z

RNG = np.random.default_rng(3)
ODDS = RNG.normal(-1, 1.5, size=4000)
LABELS = RNG.uniform(size=4000) < expit(ODDS)


def test_true_probabilities_are_calibrated() -> None:
    found = calibration(ODDS[None, :], LABELS)
    assert found.slope.value == pytest.approx(1, abs=0.1)
    assert found.intercept.value == pytest.approx(0, abs=0.1)
    assert found.brier < found.brier_prevalence


@pytest.mark.parametrize(("stretch", "shift"), [(2.0, 0.0), (0.5, 0.0), (1.0, 0.7)])
def test_probabilities_too_far_apart_or_too_high_are_found_out(stretch: float, shift: float) -> None:
    true = ODDS / 1.0
    assert slope(stretch * true + shift, LABELS).value == pytest.approx(slope(true, LABELS).value / stretch, rel=1e-6)
    assert in_the_large(true + shift, LABELS).value == pytest.approx(in_the_large(true, LABELS).value - shift, abs=1e-8)


def test_the_slope_is_that_of_a_logistic_regression_on_the_log_odds() -> None:
    theirs = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(ODDS[:, None], LABELS)
    assert slope(ODDS, LABELS).value == pytest.approx(theirs.coef_[0, 0], rel=1e-7)


def test_equal_probabilities_have_no_slope() -> None:
    assert math.isnan(slope(np.full(10, -1.0), np.arange(10) < 3).value)
    assert in_the_large(np.full(10, 5.0), np.arange(10) < 3).value == pytest.approx(float(logit(0.3)) - 5)


def test_of_a_constant_the_interval_of_the_intercept_is_that_of_a_proportions_log_odds() -> None:
    """By hand: the variance of log(p / (1 - p)) is 1 / (n p (1 - p))."""
    found = in_the_large(np.zeros(50), np.arange(50) < 10)
    assert found.high - found.low == pytest.approx(2 * Z / math.sqrt(50 * 0.2 * 0.8), rel=1e-6)


def test_intervals_of_slope_and_intercept_cover_the_truth_as_often_as_they_say() -> None:
    rng, hits = np.random.default_rng(2), np.zeros(2)
    for _ in range(400):
        odds = rng.normal(-1, 1.5, size=150)
        labels = rng.uniform(size=150) < expit(odds)
        found = calibration(odds[None, :], labels)
        hits += [found.slope.low <= 1 <= found.slope.high, found.intercept.low <= 0 <= found.intercept.high]
    assert (hits / 400 >= 0.92).all()
    assert (hits / 400 <= 0.98).all()


def test_repeats_make_no_interval_narrower() -> None:
    few, labels = ODDS[:80], LABELS[:80]
    once, often = (calibration(np.tile(few, (n, 1)), labels).slope for n in (1, 5))
    assert often.half_width == pytest.approx(once.half_width)


def test_classes_that_do_not_overlap_have_no_slope() -> None:
    for sign in (1, -1):
        assert math.isnan(slope(sign * np.array([-1.0, -0.5, 0.5, 1.0]), np.array([False, False, True, True])).value)
    assert math.isnan(slope(np.array([-1.0, 0.5, 0.5, 1.0]), np.array([False, False, True, True])).value)


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
