from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from her2node.models.applicability import unlike_training
from her2node.models.manifest import Input, Logistic, Scalar, is_covariance
from her2node.models.package import load
from her2node.models.prediction import IntervalKind
from her2node.models.uncertainty import interval_kind, interval_of
from her2node.training.arrays import Cases
from her2node.training.certainty import covariance, training_set, with_covariance
from her2node.training.course import train
from her2node.training.pipelines import Method, Plan, fit
from tests.models.making import make_keys
from tests.training.making import cohort, drawn, form

SLOPES = np.array([0.8, -0.5])


def fitted(cases: Cases) -> Logistic:
    model = fit(Plan(Method.LOGISTIC), cases, 1)
    return Logistic(float(model.intercepts[0]), dict(zip(cases.names, model.slopes[0].tolist(), strict=True)))


def test_the_covariance_is_the_spread_of_coefficients_over_cohorts() -> None:
    rng = np.random.default_rng(1)
    found, said = [], []
    for _ in range(200):
        cases = drawn(300, SLOPES, rng)
        model = fitted(cases)
        found.append([model.intercept, *model.coefficients.values()])
        said.append(covariance(model, cases.values, cases.labels, cases.patients))
    assert np.sqrt(np.mean(said, axis=0).diagonal()) == pytest.approx(np.std(found, axis=0), rel=0.12)


def test_units_of_inputs_scale_the_covariance_and_nothing_else() -> None:
    cases = drawn(200, SLOPES, np.random.default_rng(2))
    factors = np.array([1e-6, 1e9])
    other = replace(cases, values=cases.values * factors)
    by = np.concatenate([[1.0], 1 / factors])
    ours, theirs = (covariance(fitted(one), one.values, one.labels, one.patients) for one in (cases, other))
    assert theirs / by / by[:, None] == pytest.approx(ours, rel=1e-5)
    assert is_covariance(tuple(map(tuple, theirs.tolist())), 3)


def test_a_patient_with_every_case_twice_is_no_surer_than_one_with_each_once() -> None:
    once = drawn(200, SLOPES, np.random.default_rng(2))
    twice = Cases(once.names, np.tile(once.values, (2, 1)), np.tile(once.labels, 2), once.patients * 2)
    independent = replace(twice, patients=tuple(map(str, range(400))))
    errors = [
        np.sqrt(covariance(fitted(one), one.values, one.labels, one.patients).diagonal())
        for one in (once, twice, independent)
    ]
    assert errors[1] == pytest.approx(errors[0], rel=0.15)
    assert errors[2] == pytest.approx(errors[0] / np.sqrt(2), rel=1e-6)


def test_inputs_that_determine_each_other_leave_no_covariance() -> None:
    cases = drawn(100, SLOPES, np.random.default_rng(2))
    double = np.column_stack([cases.values[:, 0], 2 * cases.values[:, 0]])
    model = Logistic(-1.0, {"f0": 0.1, "f1": 0.2})
    assert with_covariance(model, double, cases.labels, cases.patients) == model
    assert training_set(measured(2), double) is None


def measured(count: int) -> tuple[Input, ...]:
    from her2node.dicom.codes import Quantity as Concept
    from her2node.models.manifest import QuantityInput
    from her2node.selection.roles import Role

    return tuple(
        QuantityInput("quantity", f"f{i}", "Tests", Role.PORTAL, Concept.ATTENUATION, "[hnsf'U]") for i in range(count)
    )


def test_no_case_of_the_training_set_is_unlike_it_and_one_against_the_grain_is() -> None:
    values = np.random.default_rng(4).multivariate_normal([50, 80], [[100, 95], [95, 100]], size=100)
    seen = training_set(measured(2), values)
    assert seen is not None
    rows = [dict(zip(seen.inputs, row, strict=True)) for row in values.tolist()]
    assert [flag for row in rows for flag in unlike_training(seen, [row])] == []
    (flag,) = unlike_training(seen, [{"f0": 65.0, "f1": 65.0}])
    assert flag.kind == "unlike-training"


def test_a_logistic_package_answers_with_a_confidence_interval_and_one_with_selection_with_venn_and_abers(
    tmp_path: Path,
) -> None:
    keys = make_keys(tmp_path)
    case = {"metastasis": 1.0, "portal_mean": 90.0}
    said = {}
    for model in ("logistic", "lasso-logistic"):
        wanted = form(tmp_path, ('model = "logistic"', f'model = "{model}"'))
        done = train(wanted, cohort(), tmp_path / model, keys.pair.private_pem, 1, lambda _: None)
        package = load(done.package, keys.trust)
        assert isinstance(package.manifest, Scalar)
        assert package.manifest.training_set is not None
        assert package.manifest.training_set.inputs == ("portal_mean",)
        asked = {given.name: case[given.name] for given in package.manifest.inputs}
        (probability,) = package.probabilities([asked])
        kind = interval_kind(package.manifest)
        said[model] = (interval_of(package.manifest, asked, probability), probability, kind)
    interval, probability, kind = said["logistic"]
    assert kind is IntervalKind.CONFIDENCE
    assert interval is not None
    assert interval[0] < probability < interval[1]
    interval, probability, kind = said["lasso-logistic"]
    assert kind is IntervalKind.VENN_ABERS
    assert interval is not None
    assert 0 < interval[0] < interval[1] < 1
