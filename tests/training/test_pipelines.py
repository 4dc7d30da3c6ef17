from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from her2node.errors import CohortRefused, TooFewEvents
from her2node.models.package import OUTPUT
from her2node.models.session import Session
from her2node.training import harmonising, penalised
from her2node.training.arrays import Cases, Doubles
from her2node.training.folds import folds_of
from her2node.training.packaging import graph
from her2node.training.pipelines import Method, Model, Plan, apart, check_size, fewest, fit
from her2node.training.validation import validate
from tests.training.making import EFFECT, NOTHING, drawn


def through_onnx(model: Model, names: tuple[str, ...], values: Doubles, scanner: float | None = None) -> Doubles:
    session = Session(graph(model, names))
    inputs = {name: np.ascontiguousarray(values[:, place]) for place, name in enumerate(names)}
    if scanner is not None:
        inputs["scanner"] = np.full(len(values), scanner)
    return np.asarray(session.run(inputs)[OUTPUT], dtype=np.float64)


def of_scales(seed: int, exponents: list[int], count: int = 80) -> Cases:
    """Features whose sizes are these powers of ten, each spread by 2 to 50 % of its size."""
    rng = np.random.default_rng(seed)
    base = drawn(count, EFFECT[: len(exponents)], rng, intercept=0.0)
    size = 10.0 ** np.array(exponents)
    return Cases(base.names, size * (1 + rng.uniform(0.02, 0.5, len(size)) * base.values), base.labels, base.patients)


EXPONENTS = st.lists(st.integers(-6, 9), min_size=2, max_size=5)


@pytest.mark.truth
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), EXPONENTS, st.sampled_from([Method.LOGISTIC, Method.LDA]))
def test_the_graph_says_what_scikit_learn_says_for_features_of_any_size(
    seed: int, exponents: list[int], method: Method
) -> None:
    cases = of_scales(seed, exponents)
    model = fit(Plan(method), cases, 1)
    estimator = (
        LinearDiscriminantAnalysis()
        if method is Method.LDA
        else LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    )
    theirs = make_pipeline(StandardScaler(), estimator).fit(cases.values, cases.labels)
    ours = through_onnx(model, cases.names, cases.values)
    assert ours == pytest.approx(theirs.predict_proba(cases.values)[:, 1], abs=1e-6)


@pytest.mark.truth
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), EXPONENTS)
def test_the_graph_of_a_lasso_says_what_scikit_learn_says_at_the_same_penalty(seed: int, exponents: list[int]) -> None:
    cases = of_scales(seed, exponents)
    scaler = StandardScaler().fit(cases.values)
    standardised = scaler.transform(cases.values)
    lambdas = penalised.penalties(standardised, cases.labels)
    place = penalised.chosen(cases.values, cases.labels, folds_of(cases.labels, cases.patients, 5, 1), lambdas)
    strength = 1 / (len(cases) * lambdas[place])
    theirs = LogisticRegression(l1_ratio=1.0, solver="saga", C=strength, tol=1e-9, max_iter=100_000)
    theirs.fit(standardised, cases.labels)
    ours = through_onnx(fit(Plan(Method.LASSO), cases, 1), cases.names, cases.values)
    assert ours == pytest.approx(theirs.predict_proba(standardised)[:, 1], abs=1e-6)


@pytest.mark.truth
@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1), EXPONENTS)
def test_the_graph_of_a_nomogram_says_what_scikit_learn_says_of_score_and_clinical_input(
    seed: int, exponents: list[int]
) -> None:
    """The second step is scikit-learn's; the score is a LASSO's, which the test above holds against it."""
    base = of_scales(seed, exponents)
    clinical = (np.random.default_rng(seed).uniform(size=len(base)) < np.where(base.labels, 0.6, 0.3)).astype(float)
    last = len(exponents)
    both = Cases((*base.names, "c"), np.column_stack([base.values, clinical]), base.labels, base.patients)
    folds, score = folds_of(base.labels, base.patients, 5, 1), np.empty(len(base))
    for fold in range(5):
        seen = fit(Plan(Method.LASSO), base.among(folds != fold), 1)
        score[folds == fold] = seen.log_odds(base.values[folds == fold])
    second = make_pipeline(
        StandardScaler(), LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    )
    second.fit(np.column_stack([score, clinical]), base.labels)
    final = fit(Plan(Method.LASSO), base, 1).log_odds(base.values)
    wanted = second.predict_proba(np.column_stack([final, clinical]))[:, 1]
    ours = through_onnx(fit(Plan(Method.NOMOGRAM, clinical=(last,)), both, 1), both.names, both.values)
    assert ours == pytest.approx(wanted, abs=1e-6)


@pytest.mark.truth
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), EXPONENTS)
def test_the_graph_of_a_harmonised_model_says_what_scikit_learn_says_of_harmonised_features(
    seed: int, exponents: list[int]
) -> None:
    base = of_scales(seed, exponents)
    on_b = np.arange(len(base)) % 2 == 1
    rng = np.random.default_rng(seed)
    size = 10.0 ** np.array(exponents)
    shift, stretch = rng.uniform(-0.3, 0.3, len(exponents)) * size, rng.uniform(0.7, 1.5, len(exponents))
    values = np.where(on_b[:, None], shift + stretch * base.values, base.values)
    scanners = tuple("AB"[int(b)] for b in on_b)
    places = tuple(range(len(exponents)))
    factors, offsets = harmonising.fit(values, scanners).of(scanners)
    theirs = make_pipeline(
        StandardScaler(), LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    )
    wanted = theirs.fit(factors * values + offsets, base.labels).predict_proba(factors * values + offsets)[:, 1]
    cases = Cases(base.names, values, base.labels, base.patients, scanners)
    model = fit(Plan(Method.LOGISTIC, harmonised=places), cases, 1)
    for place, mask in enumerate((~on_b, on_b)):
        ours = through_onnx(model, base.names, values[mask], float(place))
        assert ours == pytest.approx(wanted[mask], abs=1e-6)


@pytest.mark.truth
def test_the_graph_says_what_skl2onnx_makes_of_scikit_learns_estimator() -> None:
    """A third opinion: another converter's graph, which takes the inputs as one matrix of doubles. Not of LDA: for two
    classes skl2onnx 1.20 doubles its log odds, which scikit-learn's own predict_proba contradicts."""
    cases = of_scales(5, [9, -6, 0, 3])
    estimator = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    theirs = make_pipeline(StandardScaler(), estimator).fit(cases.values, cases.labels)
    matrix = [("x", DoubleTensorType([None, 4]))]
    proto = to_onnx(theirs, initial_types=matrix, options={"zipmap": False}, target_opset=17)
    session = Session(proto.SerializeToString())
    wanted = np.asarray(session.run({"x": cases.values})[session.outputs[1].name], dtype=np.float64)[:, 1]
    ours = through_onnx(fit(Plan(Method.LOGISTIC), cases, 1), cases.names, cases.values)
    assert ours == pytest.approx(wanted, abs=1e-6)


def test_the_graph_of_several_scanners_chooses_the_row() -> None:
    rng = np.random.default_rng(3)
    model = Model(rng.normal(size=3), rng.normal(size=(3, 2)), ("A", "B", "C"))
    values = rng.normal(size=(7, 2))
    for place, scanner in enumerate(model.scanners):
        wanted = 1 / (1 + np.exp(-model.log_odds(values, [scanner] * 7)))
        assert through_onnx(model, ("x", "y"), values, float(place)) == pytest.approx(wanted, abs=1e-12)


def test_lasso_keeps_every_feature_that_matters() -> None:
    kept = fit(Plan(Method.LASSO), drawn(2000, EFFECT, np.random.default_rng(1)), 1).kept
    assert set(kept) >= {0, 1, 2}


def test_logistic_regression_finds_the_planted_coefficients() -> None:
    model = fit(Plan(Method.LOGISTIC), drawn(20_000, EFFECT, np.random.default_rng(1)), 1)
    assert model.slopes[0] == pytest.approx(EFFECT, abs=0.1)
    assert model.intercepts[0] == pytest.approx(-0.7, abs=0.1)


def test_a_nomogram_weighs_its_score_by_cases_that_the_score_has_not_seen() -> None:
    """Where no measured input says anything, the score that was fitted to noise must not be believed."""
    rng, believed = np.random.default_rng(5), []
    for _ in range(10):
        cases = drawn(120, NOTHING, rng)
        clinical = cases.labels + rng.normal(0, 1.5, 120)
        both = Cases((*cases.names, "c"), np.column_stack([cases.values, clinical]), cases.labels, cases.patients)
        model = fit(Plan(Method.NOMOGRAM, clinical=(10,)), both, 1)
        assert model.slopes[0, 10] > 0
        spread = (both.values[:, :10] @ model.slopes[0, :10])[both.labels].mean()
        believed.append(spread - (both.values[:, :10] @ model.slopes[0, :10])[~both.labels].mean())
    assert np.mean(believed) < 0.25


@pytest.mark.parametrize("method", [Method.LASSO, Method.LDA, Method.LOGISTIC])
def test_the_same_seed_gives_the_same_model(method: Method) -> None:
    cases = drawn(100, EFFECT, np.random.default_rng(4))
    first, again = fit(Plan(method), cases, 7), fit(Plan(method), cases, 7)
    assert first.slopes.tobytes() == again.slopes.tobytes()
    assert first.intercepts.tobytes() == again.intercepts.tobytes()


def test_separated_classes_are_noticed() -> None:
    labels = np.arange(60) % 2 == 0
    values = np.column_stack([np.where(labels, 1.0, -1.0) + np.linspace(0, 0.5, 60), np.linspace(0, 1, 60)])
    cases = Cases(("a", "b"), values, labels, tuple(map(str, range(60))))
    assert apart(fit(Plan(Method.LOGISTIC), cases, 1), cases)
    assert not apart(
        fit(Plan(Method.LDA), drawn(100, EFFECT, np.random.default_rng(1)), 1),
        drawn(100, EFFECT, np.random.default_rng(1)),
    )


def test_a_handful_of_positive_patients_is_refused_before_anything_is_fitted() -> None:
    cases = drawn(60, EFFECT, np.random.default_rng(4))
    few = Cases(cases.names, cases.values, np.arange(60) < 9, cases.patients)
    with pytest.raises(TooFewEvents, match="9 patients are positive"):
        check_size(Plan(Method.LASSO), few)


@pytest.mark.parametrize("method", [Method.LASSO, Method.NOMOGRAM])
def test_as_many_patients_as_are_wanted_are_enough_and_one_less_is_said_with_the_number(method: Method) -> None:
    cases = drawn(40, EFFECT[:4], np.random.default_rng(4))
    least = fewest(method)
    enough, few = (Cases(cases.names, cases.values, np.arange(40) < n, cases.patients) for n in (least, least - 1))
    with pytest.raises(TooFewEvents, match=f"{least - 1} patients are positive, at least {least} are needed"):
        validate(Plan(method, (0,)), few, 1, repeats=1)
    assert validate(Plan(method, (0,)), enough, 1, repeats=1).log_odds.shape == (1, 40)


def test_a_patient_with_cases_of_both_classes_counts_among_the_positive_as_where_folds_are_dealt() -> None:
    cases = drawn(60, EFFECT, np.random.default_rng(4))
    few = Cases(
        cases.names, cases.values, np.arange(60) % 2 == 0, tuple(f"p{i // 2 if i < 48 else i}" for i in range(60))
    )
    with pytest.raises(TooFewEvents, match="6 patients are negative"):
        check_size(Plan(Method.LASSO), few)


@pytest.mark.parametrize("values", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(values: float) -> None:
    with pytest.raises(CohortRefused, match="finite"):
        Cases(("a",), np.full((3, 1), values), np.array([True, False, False]), ("1", "2", "3"))


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(CohortRefused, match="both classes"):
        Cases(("a",), np.zeros((3, 1)), np.zeros(3, dtype=bool), ("1", "2", "3"))
