"""Whether an estimate holds when the tumour is drawn a voxel otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from her2node import phantoms
from her2node.models.package import load_packages
from her2node.models.prediction import Category, Prediction
from her2node.reading import Reading, read
from her2node.rois.varied import VARIATIONS
from her2node.selection.study import open_study
from tests.models.making import make_keys, small

OPTIONS = phantoms.PhantomOptions(seed=3, rows=96, columns=96, slices=12, slice_spacing_mm=5.0)
LEE, DEMO = load_packages(["lee2017-portal-liver", "synthetic-demo-ct"]).packages


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("phantom")
    phantoms.write(phantoms.ct.make(OPTIONS), place)
    return place


def reading(folder: Path, *packages: object, stability: bool = True) -> Reading:
    study = open_study(sorted(folder.rglob("*.dcm")))
    return read(study, packages, demonstration=True, stability=stability)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def both(folder: Path) -> tuple[Reading, Reading]:
    return reading(folder, LEE, DEMO), reading(folder, LEE, DEMO, stability=False)


def test_only_what_rests_on_the_region_is_tried_otherwise(both: tuple[Reading, Reading]) -> None:
    lee, demo = both[0].predictions
    assert lee.stability is None
    assert demo.stability is not None
    assert demo.stability.tried == len(VARIATIONS)
    assert demo.stability.held + len(demo.stability.moved) == demo.stability.tried
    assert 0 < demo.stability.change < 1


def test_nothing_else_of_the_reading_changes(both: tuple[Reading, Reading]) -> None:
    tried, not_tried = both
    assert all(said.stability is None for said in not_tried.predictions)
    assert tuple(replace(said, stability=None) for said in tried.predictions) == not_tried.predictions
    assert (tried.quantities, tried.evaluations) == (not_tried.quantities, not_tried.evaluations)
    assert [str(one.refused) for one in tried.not_measured] == [str(one.refused) for one in not_tried.not_measured]
    assert {laid.roi.tracking_id for laid in tried.rois} == {laid.roi.tracking_id for laid in not_tried.rois}


def test_a_package_that_answers_the_same_everywhere_is_stable(folder: Path, tmp_path: Path) -> None:
    flat = small(
        tmp_path, lambda m: m.replace("likely = 0.5", "likely = 0.0001").replace("unlikely = 0.2", "unlikely = 0.0")
    )  # fmt: skip
    (said,) = reading(folder, flat).predictions
    assert isinstance(said, Prediction)
    assert {answer.category for answer in said.answers} == {Category.LIKELY}
    assert said.stability is not None
    assert (said.stability.held, said.stability.moved) == (len(VARIATIONS), ())


def test_a_region_that_gives_no_answer_counts_as_moved_with_its_reason(folder: Path, tmp_path: Path) -> None:
    portal = next(q.value for q in reading(folder, LEE, stability=False).quantities
                  if q.role == "portal" and q.modifier is not None and q.modifier.meaning == "Mean")  # fmt: skip
    narrow = f"hard = [{portal - 0.01:.4f}, {portal + 0.01:.4f}]"
    (said,) = reading(folder, small(tmp_path, lambda m: m.replace("hard = [-200.0, 400.0]", narrow))).predictions
    assert said.stability is not None
    assert said.stability.held < said.stability.tried
    assert any("outside-intended-use" in one for one in said.stability.moved)


def test_packages_in_shadow_are_answered_and_told_apart(folder: Path, tmp_path: Path) -> None:
    make_keys(tmp_path)
    study = open_study(sorted(folder.rglob("*.dcm")))
    found = read(study, (LEE,), shadow=(DEMO,), demonstration=True)
    assert [said.package.name for said in found.predictions] == ["lee2017-portal-liver"]
    assert [said.package.name for said in found.shadows] == ["synthetic-demo-ct"]
