from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.models.literature import published
from her2node.models.manifest import Prior, Scalar, Threshold
from her2node.models.uncertainty import interval_of, likelihood_ratio, log_ratio_error, remarks_of, wilson

RULE = Threshold("x", 1.0, ">=", 0.9, 0.8, 9, 16)
COHORT = Prior(10, 20, "invented")
LEE: Scalar = published.LEE.manifest  # type: ignore[assignment]


def test_the_error_of_a_likelihood_ratio_is_simels() -> None:
    assert log_ratio_error(RULE, COHORT, positive=True) == pytest.approx(math.sqrt(1 / 9 - 1 / 10 + 1 / 4 - 1 / 20))
    assert log_ratio_error(RULE, COHORT, positive=False) == pytest.approx(math.sqrt(1 / 1 - 1 / 10 + 1 / 16 - 1 / 20))
    assert likelihood_ratio(RULE, positive=True) == pytest.approx(4.5)
    assert likelihood_ratio(RULE, positive=False) == pytest.approx(0.125)


def test_the_interval_of_a_share_is_wilsons() -> None:
    """Newcombe (Stat Med 1998;17:857) prints 0.2553 to 0.3662 for 81 of 263."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_the_interval_of_a_logistic_answer_covers_as_often_as_it_says() -> None:
    """Cohorts are drawn from Lee's model and fitted anew; the interval with their own information covers the truth."""
    rng = np.random.default_rng(3)
    design = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=float)
    patients, truth = np.array([69, 44, 46, 22]), np.array([-2.959, 1.5433, 1.4884])
    probability = 1 / (1 + np.exp(-design @ truth))
    covered = tried = 0
    for _ in range(400):
        positive = rng.binomial(patients, probability)
        weights = np.zeros(3)
        for _ in range(30):
            p = 1 / (1 + np.exp(-design @ weights))
            information = (design * (patients * p * (1 - p))[:, None]).T @ design
            weights = weights + np.linalg.solve(information, design.T @ (positive - patients * p))
        if np.abs(weights).max() > 8:  # one cell had no positive at all
            continue
        rows = tuple(tuple(float(v) for v in row) for row in np.linalg.inv(information))
        model = replace(LEE, logistic=replace(LEE.logistic, covariance=rows))
        case = {"portal_hyperattenuation": 1.0, "hepatic_metastasis": 0.0}
        low, high = interval_of(model, case, float(1 / (1 + np.exp(-weights[0] - weights[1]))))
        covered += low <= probability[1] <= high
        tried += 1
    assert tried > 380
    assert 0.92 <= covered / tried <= 0.98


@given(st.floats(0.01, 0.99), st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0]))
def test_an_interval_holds_its_own_probability(probability: float, x1: float, x2: float) -> None:
    low, high = interval_of(LEE, {"portal_hyperattenuation": x1, "hepatic_metastasis": x2}, probability)
    assert 0 < low < probability < high < 1


def test_a_package_without_a_covariance_has_no_interval_and_says_so() -> None:
    bare = replace(LEE, logistic=replace(LEE.logistic, covariance=()))
    case = {"portal_hyperattenuation": 1.0, "hepatic_metastasis": 0.0}
    assert interval_of(bare, case, 0.2) is None
    assert "does not say how sure" in remarks_of(bare, [case])[0]


def test_certainty_has_no_interval() -> None:
    assert interval_of(LEE, {"portal_hyperattenuation": 1.0, "hepatic_metastasis": 0.0}, 1.0) is None
