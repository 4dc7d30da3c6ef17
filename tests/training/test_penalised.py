from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from her2node.training import penalised
from tests.training.making import EFFECT, drawn


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(30, 120), st.integers(0, penalised.STEPS - 1))
def test_every_solution_satisfies_the_conditions_of_the_minimum(seed: int, count: int, step: int) -> None:
    """Of a kept input the gradient is -lambda sign(b), of a dropped one it is at most lambda, of the intercept 0."""
    cases = drawn(count, EFFECT, np.random.default_rng(seed), intercept=0.0)
    centre, scale = penalised.standards(cases.values)
    x = (cases.values - centre) / scale
    penalty = penalised.penalties(x, cases.labels)[: step + 1]
    fitted = penalised.path(x, cases.labels, penalty)[-1]
    residual = 1 / (1 + np.exp(-(fitted[0] + x @ fitted[1:]))) - cases.labels
    gradient = x.T @ residual / count
    kept = fitted[1:] != 0
    assert residual.mean() == pytest.approx(0, abs=1e-8)
    assert gradient[kept] == pytest.approx(-penalty[-1] * np.sign(fitted[1:][kept]), abs=1e-8)
    assert np.abs(gradient[~kept]).max(initial=0) <= penalty[-1] + 1e-8


@pytest.mark.truth
@pytest.mark.parametrize("step", [3, 10, 19])
def test_solutions_are_those_of_scikit_learn(step: int) -> None:
    cases = drawn(150, EFFECT, np.random.default_rng(11))
    centre, scale = penalised.standards(cases.values)
    x = (cases.values - centre) / scale
    penalty = penalised.penalties(x, cases.labels)
    ours = penalised.path(x, cases.labels, penalty)[step]
    theirs = LogisticRegression(
        l1_ratio=1.0, solver="saga", C=1 / (150 * penalty[step]), tol=1e-10, max_iter=100_000
    ).fit(x, cases.labels)
    assert ours[1:] == pytest.approx(theirs.coef_[0], abs=1e-7)
    assert ours[0] == pytest.approx(theirs.intercept_[0], abs=1e-7)


def test_the_path_begins_where_nothing_is_kept() -> None:
    cases = drawn(100, EFFECT, np.random.default_rng(2))
    centre, scale = penalised.standards(cases.values)
    x = (cases.values - centre) / scale
    fitted = penalised.path(x, cases.labels, penalised.penalties(x, cases.labels))
    kept = (fitted[:, 1:] != 0).sum(axis=1)
    assert kept[0] == 0
    assert kept[1] >= 1
    assert fitted[0, 0] == pytest.approx(np.log(cases.positives / cases.negatives), abs=1e-8)


def test_an_input_that_never_changes_is_never_kept() -> None:
    cases = drawn(100, EFFECT, np.random.default_rng(2))
    values = cases.values.copy()
    values[:, 0] = 7.0
    centre, scale = penalised.standards(values)
    fitted = penalised.path((values - centre) / scale, cases.labels, np.array([0.05, 0.01]))
    assert (fitted[:, 1] == 0).all()
    assert np.isfinite(fitted).all()


def test_the_penalty_that_is_chosen_has_the_lowest_deviance_on_the_cases_left_out() -> None:
    cases = drawn(120, EFFECT, np.random.default_rng(4))
    folds = np.arange(120) % 5
    centre, scale = penalised.standards(cases.values)
    lambdas = penalised.penalties((cases.values - centre) / scale, cases.labels)
    deviance = []
    for penalty in lambdas:
        total = 0.0
        for fold in range(5):
            ours, theirs = cases.among(folds != fold), cases.among(folds == fold)
            mean, spread = ours.values.mean(axis=0), ours.values.std(axis=0)
            fitted = penalised.path((ours.values - mean) / spread, ours.labels, np.array([penalty]))[0]
            said = 1 / (1 + np.exp(-(fitted[0] + (theirs.values - mean) / spread @ fitted[1:])))
            total -= float(np.log(np.where(theirs.labels, said, 1 - said)).sum())
        deviance.append(total)
    assert penalised.chosen(cases.values, cases.labels, folds, lambdas) == int(np.argmin(deviance))
