"""The packages with weights fitted on phantoms: what they say, and that only a demonstration runs them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from her2node.errors import DemonstrationOnly, NoRoi
from her2node.models.literature.forms import FORMS, NONE_INVENTED
from her2node.models.manifest import Scalar, Segmenter
from her2node.models.package import MANIFEST, SHIPPED, load, shipped_trust
from her2node.models.predicting import Conditions, Findings, predict
from her2node.models.prediction import Level
from her2node.reading.drawing import draw
from her2node.selection.choice import Selection
from her2node.selection.study import Study
from her2node.service import demo_weights, shelf
from her2node.service.shelf import DEMONSTRATION_PACKAGES, FORMS_OF_DEMONSTRATION, demonstration_name
from her2node.settings import Settings
from her2node.training.labels import OF_PHANTOMS
from her2node.training.packaging import RECORD

NOWHERE = Findings(Study("1.2", ()), Selection((), {}, {}), (), (), NoRoi())


@pytest.mark.parametrize("name", DEMONSTRATION_PACKAGES)
def test_what_is_fitted_on_phantoms_is_refused_outside_a_demonstration(name: str, tmp_path: Path) -> None:
    package = load(SHIPPED / name, shipped_trust())
    assert package.manifest.level is Level.SYNTHETIC_DEMO
    if isinstance(package.manifest, Segmenter):
        with pytest.raises(NoRoi, match="demonstration"):
            draw([package], NOWHERE.study, NOWHERE.selection, demonstration=False, batch=1, seconds=60)
    else:
        with pytest.raises(DemonstrationOnly):
            predict(package, NOWHERE, Conditions({}))
    with pytest.raises(DemonstrationOnly):
        shelf.enable(Settings(state_dir=tmp_path), name)


def test_a_demonstration_runs_them_all_and_an_ordinary_node_none(tmp_path: Path) -> None:
    ordinary, demonstration = Settings(state_dir=tmp_path), Settings(state_dir=tmp_path, demonstration=True)
    assert set(DEMONSTRATION_PACKAGES) <= set(shelf.running_of(demonstration).on)
    assert not set(DEMONSTRATION_PACKAGES) & set(shelf.running_of(ordinary).on)


@pytest.mark.parametrize("form", FORMS_OF_DEMONSTRATION)
def test_the_card_says_seed_and_command_and_the_form_keeps_its_own_folder(form: str) -> None:
    package = load(SHIPPED / demonstration_name(form), shipped_trust())
    assert isinstance(package.manifest, Scalar)
    assert "python -m her2node.service.demo_weights" in package.card
    assert f"seed {demo_weights.SEED}" in package.card
    assert any("SYNTHETIC" in said for said in package.manifest.cautions)
    assert load(SHIPPED / form, shipped_trust()).session is None


@pytest.mark.parametrize("form", FORMS_OF_DEMONSTRATION)
def test_no_tissue_no_hand_and_no_paper_is_claimed_of_what_was_fitted_on_phantoms(form: str) -> None:
    package = load(SHIPPED / demonstration_name(form), shipped_trust())
    said = package.manifest
    assert isinstance(said, Scalar)
    assert said.reference_test == f"None: labels are {OF_PHANTOMS}"
    assert said.prior.source == f"the training cohort; {OF_PHANTOMS}"
    assert said.roi_protocol == ""
    assert NONE_INVENTED in load(SHIPPED / form, shipped_trust()).manifest.cautions
    assert NONE_INVENTED not in said.cautions
    assert NONE_INVENTED not in package.card
    assert "Label: drawn for phantoms" in package.card
    assert json.loads((SHIPPED / said.name / RECORD).read_bytes())["definition"] == OF_PHANTOMS


def test_every_form_is_fitted_on_one_cohort_of_its_kind_of_imaging_and_says_so() -> None:
    fitted = [form for one in demo_weights.COHORTS for form in one.forms]
    assert sorted(fitted) == sorted(FORMS_OF_DEMONSTRATION)
    assert set(fitted) == {one.manifest.name for one in FORMS}
    for one in demo_weights.COHORTS:
        for form in one.forms:
            said = load(SHIPPED / demonstration_name(form), shipped_trust()).card
            assert f"an invented relation to {one.relation} (" in said
            assert one.words in said


@pytest.mark.parametrize("form", FORMS_OF_DEMONSTRATION)
def test_the_card_says_where_what_a_reader_enters_came_from(form: str) -> None:
    asked = [given.name for given in load(SHIPPED / form, shipped_trust()).manifest.inputs if given.source == "reader"]
    card = load(SHIPPED / demonstration_name(form), shipped_trust()).card
    assert bool(asked) is ("What only a reader knows" in card)
    assert all(f"`{name}`" in card for name in asked)


@pytest.mark.parametrize("form", FORMS_OF_DEMONSTRATION)
def test_the_card_says_how_well_the_fit_does_and_an_answer_has_an_interval(form: str) -> None:
    package = load(SHIPPED / demonstration_name(form), shipped_trust())
    assert "AUC of the fitted pipeline on new cases" in package.card
    said = package.manifest
    assert isinstance(said, Scalar)
    assert said.venn_abers or (said.logistic and said.logistic.covariance)


REFITTED = ("he2015-adc", "zhaoh-iodine")
"""One of MR, one of CT: of the cohorts whose studies are made and read soonest."""


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_fitting_anew_gives_the_coefficients_that_ship(tmp_path: Path) -> None:
    """Of the forms that are measured soonest; not bit by bit, for linear algebra differs from processor to processor.

    All sixteen are fitted anew, written and pinned by `python -m her2node.service.demo_weights`.
    """
    for made in demo_weights.make(tmp_path, REFITTED):
        anew, ships = (tomllib.loads((folder / MANIFEST).read_text()) for folder in (made, SHIPPED / made.name))
        assert anew["logistic"]["coefficients"] == pytest.approx(ships["logistic"]["coefficients"], rel=1e-6)
        assert anew["logistic"]["intercept"] == pytest.approx(ships["logistic"]["intercept"], rel=1e-6)
        assert anew["training_set"]["mean"] == pytest.approx(ships["training_set"]["mean"], rel=1e-9)
