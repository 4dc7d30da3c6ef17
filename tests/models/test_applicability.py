"""The gate before an answer: what a package was not made for is flagged, counted by kind, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.dicom.codes import Derivation, Method, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import PackageRefused, QuantityAmbiguous, QuantityMissing
from her2node.models.applicability import unlike_training
from her2node.models.manifest import TrainingSet
from her2node.models.predicting import Conditions, Findings, predict
from her2node.models.prediction import Flag
from her2node.quantities.quantity import Quantity
from her2node.selection import select
from her2node.selection.roles import Role
from her2node.selection.study import group
from tests.models.making import attenuation, small
from tests.models.test_predicting import PORTAL, conditions, findings
from tests.selection.headers import instance

MADE_FOR = 'role = "portal"\nusual_kernel = "^B[r]?[23]"\nusual_scanner = "SIEMENS.*(Force|Drive)"\nslice'


def gated(folder: Path) -> Any:
    return small(folder, lambda manifest: manifest.replace('role = "portal"\nslice', MADE_FOR))


@pytest.mark.parametrize(
    ("attributes", "kinds"),
    [
        ({"ConvolutionKernel": "Br36d", "Manufacturer": "Siemens", "ManufacturerModelName": "SOMATOM Force"}, set()),
        ({"ConvolutionKernel": ["B30f", "3"], "Manufacturer": "SIEMENS", "ManufacturerModelName": "Drive"}, set()),
        ({"ConvolutionKernel": "Bl57", "Manufacturer": "SIEMENS", "ManufacturerModelName": "Drive"}, {"kernel"}),
        ({"ConvolutionKernel": "B30f", "Manufacturer": "GE", "ManufacturerModelName": "Revolution"}, {"scanner"}),
        ({}, {"kernel", "scanner"}),
    ],
)
def test_kernel_and_scanner_are_flagged_where_they_differ_or_are_not_told(
    attributes: dict[str, Any], kinds: set[str], tmp_path: Path
) -> None:
    flags = predict(gated(tmp_path), findings(**attributes), conditions()).flags
    assert {flag.kind for flag in flags} == kinds


def test_a_pattern_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match="no regular expression"):
        small(tmp_path, lambda m: m.replace('role = "portal"\nslice', 'role = "portal"\nusual_kernel = "("\nslice'))


# --- the training set ------------------------------------------------------------------------------------------

SEEN = TrainingSet(("a", "b"), (10.0, 1.0), ((4.0, 1.5), (1.5, 1.0)), 9.21)


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_a_case_is_flagged_by_its_mahalanobis_distance(a: float, b: float) -> None:
    apart = np.array([a - 10, b - 1])
    distance = apart @ np.linalg.inv(np.array(SEEN.covariance)) @ apart
    if abs(distance - SEEN.usual) > 1e-6:
        assert bool(list(unlike_training(SEEN, {"a": a, "b": b, "more": 0.0}))) is bool(distance > SEEN.usual)


def test_a_pair_that_never_occurs_is_flagged_though_each_value_does(tmp_path: Path) -> None:
    assert not list(unlike_training(SEEN, {"a": 14.0, "b": 3.0}))
    (flag,) = unlike_training(SEEN, {"a": 14.0, "b": -1.0})
    assert flag.kind == "unlike-training"
    package = small(
        tmp_path,
        lambda m: m + '[training_set]\ninputs = ["portal_mean"]\nmean = [50.0]\ncovariance = [[25.0]]\nusual = 9.0\n',
    )
    assert predict(package, findings(), conditions()).flags == ()
    far = predict(package, findings((attenuation(66.0),)), conditions()).flags
    assert [flag.kind for flag in far] == ["unlike-training"]


@pytest.mark.parametrize(
    "said",
    [
        'inputs = ["other"]\nmean = [1.0]\ncovariance = [[1.0]]\nusual = 1.0',
        'inputs = ["portal_mean"]\nmean = [1.0, 2.0]\ncovariance = [[1.0]]\nusual = 1.0',
        'inputs = ["portal_mean"]\nmean = [1.0]\ncovariance = [[-1.0]]\nusual = 1.0',
        'inputs = ["metastasis", "portal_mean"]\nmean = [1.0, 1.0]\ncovariance = [[1.0, 2.0], [2.0, 1.0]]\nusual = 1.0',
    ],
)
def test_a_training_set_that_cannot_be_is_refused(said: str, tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match="training_set"):
        small(tmp_path, lambda m: f"{m}[training_set]\n{said}\n")


# --- which quantity --------------------------------------------------------------------------------------------


def test_the_chosen_series_decides_whose_value_is_taken(tmp_path: Path) -> None:
    other = instance("1.2.3.9", **(PORTAL | {"SliceThickness": 1}))
    study = group([instance("1.2.3.1", **PORTAL), other])
    quantities = (attenuation(30.0, series_uid="1.2.3.1"), attenuation(70.0, series_uid="1.2.3.9"))
    said = predict(small(tmp_path), Findings(study, select(study, (), {}), quantities, (), "tumour"), Conditions({}))
    assert {answer.inputs[1].value for answer in said.answers} == {70.0}
    assert {answer.inputs[1].series_uids for answer in said.answers} == {("1.2.3.9",)}


def by(method: Any, value: float) -> Quantity:
    return Quantity(
        "tumour", Role.PORTAL, Concept.ATTENUATION, value, Unit.HU, Derivation.MEAN, method, series_uids=("1.2.3.1",)
    )


def test_several_methods_of_one_quantity_are_ambiguous_until_the_package_names_one(tmp_path: Path) -> None:
    measured = findings((by(Method.SAME_REGION, 40.0), by(Method.NARROWED, 60.0)))
    with pytest.raises(QuantityAmbiguous, match="Means over the same region, Means over the region, moved"):
        predict(small(tmp_path / "none"), measured, conditions())
    named = 'unit = "[hnsf\'U]"\nmethod = { value = "%s", scheme = "99HER2NODE", meaning = "m" }'
    for value, wanted in (("NARROWED", 60.0), ("SAME*", 40.0), ("NARROWED*", 60.0)):
        package = small(tmp_path / value.strip("*") / str(len(value)), lambda m, v=value: m.replace(
            'unit = "[hnsf\'U]"', named % v))  # fmt: skip
        said = predict(package, measured, conditions())
        assert said.answers[0].inputs[1].value == wanted
    with pytest.raises(QuantityMissing, match="by m"):
        predict(small(tmp_path / "other", lambda m: m.replace('unit = "[hnsf\'U]"', named % "NARROW")), measured,
                conditions())  # fmt: skip


def test_a_flag_says_what_it_is_about_and_prints_as_its_sentence() -> None:
    assert str(Flag("age", "age 12 years lies outside 18 to 120 years")) == "age 12 years lies outside 18 to 120 years"
