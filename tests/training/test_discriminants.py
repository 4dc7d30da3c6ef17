"""Study 20's classifiers, held against scikit-learn's own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from her2node.errors import CohortRefused
from her2node.models.package import OUTPUT
from her2node.models.session import Session
from her2node.training.arrays import Cases, Doubles
from her2node.training.discriminants import Nearest, Network
from her2node.training.packaging import graph
from her2node.training.pipelines import Fitted, Method, Plan, fit
from her2node.training.selecting import EACH, fisher, information, selected
from her2node.training.validation import validate
from tests.training.making import EFFECT, NOTHING, drawn


def many(seed: int, count: int = 80, sizes: tuple[int, int] = (-6, 9)) -> Cases:
    """Sixty features of sizes between these powers of ten, ten of which say anything."""
    rng = np.random.default_rng(seed)
    base = drawn(count, np.concatenate([2 * EFFECT, np.zeros(50)]), rng, intercept=0.0)
    size = 10.0 ** rng.integers(*sizes, 60)
    return Cases(base.names, size * (1 + rng.uniform(0.02, 0.5, 60) * base.values), base.labels, base.patients)


def through_onnx(model: Fitted, cases: Cases, values: Doubles) -> Doubles:
    names = tuple(cases.names[place] for place in model.kept)
    session = Session(graph(model.of_inputs(model.kept), names))
    columns = {name: np.ascontiguousarray(values[:, cases.names.index(name)]) for name in names}
    return np.asarray(session.run(columns)[OUTPUT], dtype=np.float64)


@pytest.mark.truth
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_graph_of_the_nearest_neighbour_calls_as_scikit_learn_does(seed: int) -> None:
    cases, new = many(seed), many(seed + 1)
    model = fit(Plan(Method.LDA_1NN), cases, 1)
    assert isinstance(model, Nearest)
    places = list(model.kept)
    linear = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis()).fit(cases.values[:, places], cases.labels)
    line = linear.decision_function(cases.values[:, places])[:, None]
    theirs = KNeighborsClassifier(1).fit(line, cases.labels)
    said = theirs.predict(linear.decision_function(new.values[:, places])[:, None])
    shares = 1 / (1 + np.exp(-np.array(model.odds)))
    assert through_onnx(model, cases, new.values) == pytest.approx(shares[said.astype(int)], abs=1e-12)
    assert (model.called(cases.values) == cases.labels).all()


@pytest.mark.truth
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_graph_of_the_network_says_what_scikit_learn_says(seed: int) -> None:
    cases, new = many(seed), many(seed + 1)
    model = fit(Plan(Method.NDA_ANN), cases, 3)
    assert isinstance(model, Network)
    places = list(model.kept)
    theirs = make_pipeline(
        StandardScaler(),
        MLPClassifier((2,), activation="tanh", solver="lbfgs", alpha=1.0, max_iter=2000, random_state=3),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(cases.values[:, places], cases.labels)
    wanted = theirs.predict_proba(new.values[:, places])[:, 1]
    assert through_onnx(model, cases, new.values) == pytest.approx(wanted, abs=1e-6)


def test_the_two_probabilities_are_shares_of_cases_that_the_models_had_not_seen() -> None:
    """Of noise a nearest neighbour knows nothing: both answers lie near the prevalence."""
    found = [fit(Plan(Method.LDA_1NN), drawn(150, NOTHING, np.random.default_rng(i), 0.0), 1) for i in range(8)]
    shares = np.array([1 / (1 + np.exp(-np.array(model.odds))) for model in found if isinstance(model, Nearest)])
    assert np.abs(shares.mean(axis=0) - 0.5).max() < 0.1


def test_selection_takes_what_speaks_and_at_most_thirty() -> None:
    cases = many(3, count=400)
    kept = selected(cases.values, cases.labels)
    assert {0, 1} <= set(kept)
    assert EACH <= len(kept) <= 3 * EACH
    assert kept == selected(cases.values * 1000 + 7, cases.labels)


def test_the_rules_of_selection_agree_with_their_formulas_worked_by_hand() -> None:
    labels = np.array([True, True, False, False])
    values = np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0], [7.0, 0.0]])
    assert fisher(values, labels) == pytest.approx([16 / 1, 0.0])
    sure = np.repeat([[0.0], [1.0]], 8, axis=0)
    assert information(sure, np.arange(16) < 8) == pytest.approx([1.0])
    assert information(sure, np.arange(16) % 2 == 0) == pytest.approx([0.0])


def test_inputs_that_never_change_teach_nothing() -> None:
    labels = np.arange(40) % 2 == 0
    cases = Cases(("a",), np.ones((40, 1)), labels, tuple(map(str, range(40))))
    with pytest.raises(CohortRefused, match="no input varies"):
        fit(Plan(Method.NDA_ANN), cases, 1)


@pytest.mark.parametrize("method", [Method.LDA_1NN, Method.NDA_ANN])
def test_selection_lies_inside_the_folds(method: Method) -> None:
    noise = drawn(100, np.zeros(200), np.random.default_rng(1), intercept=0.0)
    honest = validate(Plan(method), noise, 1, repeats=1)
    assert honest.fitted_auc.low <= 0.5 <= honest.fitted_auc.high
    assert honest.apparent > 0.9
