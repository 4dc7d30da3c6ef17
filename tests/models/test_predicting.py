from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.dicom.codes import Code, Derivation, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import (
    AmbiguousRoi,
    DemonstrationOnly,
    GantryTilt,
    InputMissing,
    InputRefused,
    ModalityAbsent,
    NoRoi,
    OutsideIntendedUse,
    PackageRefused,
    QuantityMissing,
    Refused,
    RoleMissing,
    UnknownUnit,
)
from her2node.models.needs import Need, needs
from her2node.models.package import load_packages
from her2node.models.predicting import Conditions, Findings, category, logit, predict, shifted_probability
from her2node.models.prediction import Category, Flag
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.selection import select
from her2node.selection.roles import Role
from her2node.selection.study import group
from tests.models.making import attenuation, small
from tests.models.segmenter.packaged import bright
from tests.selection.headers import instance

LEE, DEMO = load_packages(["lee2017-portal-liver", "synthetic-demo-ct"]).packages
PORTAL = {"SeriesDescription": "portal", "SliceThickness": 5, "KVP": 120, "PatientAge": "060Y"}


def findings(
    quantities: Sequence[Quantity] = (attenuation(50.0),),
    not_measured: Sequence[NotMeasured] = (),
    tumour: str | Refused = "tumour",
    **attributes: Any,
) -> Findings:
    """A study of one portal series, and what was found in it."""
    study = group([instance("1.2.3.1", **(PORTAL | attributes))])
    return Findings(study, select(study, (), {}), quantities, not_measured, tumour)


def conditions(prior: float | None = None, **entered: str) -> Conditions:
    return Conditions(entered, prior, "the site's registry" if prior else "")


def test_with_every_input_known_there_is_one_answer(tmp_path: Path) -> None:
    found = predict(small(tmp_path), findings(), conditions(metastasis="1"))
    (answer,) = found.answers
    assert answer.probability == pytest.approx(1 / (1 + math.exp(-1.5)))
    assert answer.category is Category.LIKELY
    assert [(used.name, used.value, used.unit, used.source) for used in answer.inputs] == [
        ("metastasis", 1.0, "1", "entered"),
        ("portal_mean", 50.0, "[hnsf'U]", "measured"),
    ]
    assert answer.inputs[1].series_uids == ("1.2.3.1",)
    assert (found.open_inputs, found.roi) == ((), "tumour")
    assert found.prior == 0.2
    assert found.prior_source == "cohort of the package (20 of 100): invented"


def test_what_a_reader_has_not_entered_is_answered_for_each_possible_value() -> None:
    found = predict(LEE, findings(), conditions())
    assert found.open_inputs == ("portal_hyperattenuation", "hepatic_metastasis")
    shown = [(*(used.value for used in a.inputs), round(a.probability, 3), a.category) for a in found.answers]
    assert shown == [
        (0, 0, 0.049, Category.UNLIKELY),
        (0, 1, 0.187, Category.INDETERMINATE),
        (1, 0, 0.195, Category.INDETERMINATE),
        (1, 1, 0.518, Category.LIKELY),
    ]
    assert {used.source for answer in found.answers for used in answer.inputs} == {"assumed"}


def test_entering_one_input_leaves_the_alternatives_of_the_other() -> None:
    found = predict(LEE, findings(), conditions(hepatic_metastasis="yes"))
    assert found.open_inputs == ("portal_hyperattenuation",)
    assert [answer.inputs[1].source for answer in found.answers] == ["entered", "entered"]
    every = predict(LEE, findings(), conditions())
    assert {a.probability for a in found.answers} < {a.probability for a in every.answers}


@pytest.mark.parametrize(
    ("said", "value"), [("1", 1), ("0.0", 0), ("Yes", 1), (" no ", 0), ("True", 1), ("是", 1), ("无", 0)]
)
def test_a_reader_may_say_it_in_several_ways(said: str, value: float) -> None:
    found = predict(LEE, findings(), conditions(hepatic_metastasis=said, portal_hyperattenuation="0"))
    assert found.answers[0].inputs[1].value == value


@pytest.mark.parametrize("said", ["2", "perhaps", "", "nan", "inf", "0.5"])
def test_a_value_that_the_package_does_not_allow_is_refused(said: str) -> None:
    with pytest.raises(InputRefused, match="hepatic_metastasis"):
        predict(LEE, findings(), conditions(hepatic_metastasis=said))


def test_a_number_without_a_list_of_values_cannot_be_left_open(tmp_path: Path) -> None:
    package = small(tmp_path, lambda manifest: manifest.replace("values = [0.0, 1.0]\n", ""))
    with pytest.raises(InputMissing, match="metastasis") as caught:
        predict(package, findings(), conditions())
    assert "enter metastasis=VALUE" in caught.value.remedy
    assert len(predict(package, findings(), conditions(metastasis="0.7")).answers) == 1
    with pytest.raises(InputRefused):
        predict(package, findings(), conditions(metastasis="inf"))


# --- the prior -------------------------------------------------------------------------------------------------


@given(st.floats(0.001, 0.999))
def test_another_prior_moves_the_intercept_and_nothing_else(prior: float) -> None:
    found = predict(LEE, findings(), conditions(prior))
    intercept = -2.959 + math.log(prior / (1 - prior)) - math.log(32 / 149)
    for answer in found.answers:
        x1, x2 = (used.value for used in answer.inputs)
        expected = 1 / (1 + math.exp(-(intercept + 1.5433 * x1 + 1.4884 * x2)))
        assert answer.probability == pytest.approx(expected, rel=1e-9)
    assert (found.prior, found.prior_source) == (prior, "the site's registry")


def test_the_cohorts_own_prior_changes_no_digit() -> None:
    own = predict(LEE, findings(), conditions())
    stated = predict(LEE, findings(), conditions(LEE.manifest.prior.prevalence))
    assert [answer.probability for answer in own.answers] == [answer.probability for answer in stated.answers]


def test_a_prior_without_a_source_says_so() -> None:
    found = predict(LEE, findings(), Conditions({}, prior=0.1))
    assert found.prior_source == "setting of the site, its source is not stated"


def test_a_package_may_forbid_another_prior(tmp_path: Path) -> None:
    package = small(tmp_path, lambda m: m.replace('source = "invented"', 'source = "invented"\nshift = false'))
    found = predict(package, findings(), conditions(0.5, metastasis="1"))
    assert found.prior == 0.2


@given(st.floats(0, 1), st.floats(-30, 30))
def test_a_shifted_probability_is_a_probability_and_can_be_shifted_back(probability: float, shift: float) -> None:
    moved = shifted_probability(probability, shift)
    assert 0 <= moved <= 1
    if 1e-6 < probability < 1 - 1e-6 and 0 < moved < 1 - 1e-12:
        assert shifted_probability(moved, -shift) == pytest.approx(probability, rel=1e-3)


@given(st.floats(1e-12, 1 - 1e-12), st.floats(0, 40))
def test_a_higher_prior_never_lowers_the_answer(probability: float, shift: float) -> None:
    assert shifted_probability(probability, shift) >= probability * (1 - 1e-12)


@pytest.mark.truth
@pytest.mark.parametrize(
    ("prior", "positive", "negative"), [(0.10, 0.2227, 0.0168), (0.15, 0.3128, 0.0264), (0.20, 0.3920, 0.0370)]
)
def test_the_shift_is_bayes_rule_on_published_likelihood_ratios(prior: float, positive: float, negative: float) -> None:
    """Ji 2017, ADC: sensitivity 0.900, specificity 0.651 (doi 10.18632/oncotarget.17570); post-test by arithmetic."""
    assert shifted_probability(prior, math.log(0.9 / (1 - 0.651))) == pytest.approx(positive, abs=1e-4)
    assert shifted_probability(prior, math.log((1 - 0.9) / 0.651)) == pytest.approx(negative, abs=1e-4)
    assert logit(prior) == pytest.approx(math.log(prior / (1 - prior)))


def test_the_category_follows_the_thresholds_with_their_ends(tmp_path: Path) -> None:
    output = small(tmp_path).manifest.output
    assert category(0.5, output) is Category.LIKELY
    assert category(0.4999, output) is Category.INDETERMINATE
    assert category(0.2, output) is Category.INDETERMINATE
    assert category(0.1999, output) is Category.UNLIKELY


# --- refusals, each by its name --------------------------------------------------------------------------------


def test_synthetic_weights_run_in_demonstration_mode_only() -> None:
    with pytest.raises(DemonstrationOnly, match="synthetic-demo-ct"):
        predict(DEMO, findings(), conditions())
    with pytest.raises(RoleMissing, match="arterial"):
        predict(DEMO, findings(), Conditions({}, demonstration=True))


def test_without_the_phase_the_package_is_refused_by_name() -> None:
    with pytest.raises(RoleMissing, match="portal"):
        predict(LEE, findings(SeriesDescription="arterial"), conditions())


def test_a_package_that_needs_a_region_says_why_there_is_none(tmp_path: Path) -> None:
    for reason in (NoRoi("no SEG"), AmbiguousRoi("'a', 'b'")):
        with pytest.raises(type(reason)):
            predict(small(tmp_path), findings((), tumour=reason), conditions())


def test_a_package_that_only_wants_a_region_answers_without_one() -> None:
    found = predict(LEE, findings((), tumour=NoRoi("no SEG")), conditions())
    assert found.roi is None
    assert predict(LEE, findings(()), conditions()).roi == "tumour"


def test_a_quantity_that_could_not_be_measured_refuses_with_its_own_reason(tmp_path: Path) -> None:
    tilted = NotMeasured("", Role.PORTAL, GantryTilt("12 degrees"), series_uids=("1.2.3.1",))
    with pytest.raises(GantryTilt, match="12 degrees"):
        predict(small(tmp_path), findings((), (tilted,)), conditions())


def test_the_reason_of_another_role_or_region_is_not_borrowed(tmp_path: Path) -> None:
    others = (
        NotMeasured("", Role.ARTERIAL, GantryTilt("arterial")),
        NotMeasured("liver", Role.PORTAL, GantryTilt("liver")),
    )
    with pytest.raises(QuantityMissing, match="portal_mean"):
        predict(small(tmp_path), findings((), others), conditions())


def test_the_reason_of_another_statistic_or_method_is_not_borrowed(tmp_path: Path) -> None:
    def refusal(modifier: Code | None = None, method: Code | None = None) -> NotMeasured:
        refused = GantryTilt(f"of {modifier and modifier.meaning}")
        return NotMeasured("tumour", Role.PORTAL, refused, Concept.ATTENUATION, modifier=modifier, method=method)

    spread, mean, alike = refusal(Derivation.MAXIMUM), refusal(Derivation.MEAN), refusal()
    with pytest.raises(QuantityMissing, match="portal_mean"):
        predict(small(tmp_path / "none"), findings((), (spread,)), conditions())
    with pytest.raises(GantryTilt, match="of Mean"):
        predict(small(tmp_path / "mean"), findings((), (spread, mean)), conditions())
    with pytest.raises(GantryTilt, match="of None"):
        predict(small(tmp_path / "all"), findings((), (spread, alike)), conditions())
    family = 'method = { value = "WAY-*", scheme = "99HER2NODE", meaning = "A way" }\nlimits = { usual = [0.0'
    by_ways = small(tmp_path / "ways", lambda m: m.replace("limits = { usual = [0.0, 150.0", f"{family}, 150.0"))
    other, own = (refusal(Derivation.MEAN, Code(way, "99HER2NODE", way)) for way in ("OTHER", "WAY-1"))
    with pytest.raises(QuantityMissing, match="by A way"):
        predict(by_ways, findings((), (other,)), conditions())
    with pytest.raises(GantryTilt):
        predict(by_ways, findings((), (other, own)), conditions())


def test_only_the_tumours_own_quantity_of_the_right_role_and_code_is_taken(tmp_path: Path) -> None:
    wrong = (
        attenuation(1.0, roi="liver"),
        attenuation(2.0, role=Role.ARTERIAL),
        replace(attenuation(3.0), modifier=Derivation.MAXIMUM),
        replace(attenuation(4.0), code=Concept.VOLUME),
    )
    found = predict(small(tmp_path), findings((*wrong, attenuation(50.0))), conditions())
    assert found.answers[0].inputs[1].value == 50.0


def test_a_measured_value_is_converted_to_the_packages_unit() -> None:
    volume = Quantity("tumour", Role.PORTAL, Concept.VOLUME, 25_000.0, Unit.MM3, series_uids=("1.2.3.1",))
    arterial = instance("1.2.3.2", **(PORTAL | {"SeriesDescription": "arterial"}))
    study = group([instance("1.2.3.1", **PORTAL), arterial])
    quantities = (attenuation(100.0), attenuation(70.0, Role.ARTERIAL, series_uid="1.2.3.2"), volume)
    found = predict(
        DEMO,
        Findings(study, select(study, (), {}), quantities, (), "tumour"),
        Conditions({}, demonstration=True),
    )
    assert [used.value for used in found.answers[0].inputs] == [100.0, 70.0, 25.0]


def test_a_unit_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnknownUnit):
        predict(small(tmp_path), findings((attenuation(50.0, unit=Unit.MM),)), conditions())


# --- applicability ---------------------------------------------------------------------------------------------


def test_a_usual_study_has_no_flag_but_the_packages_cautions(tmp_path: Path) -> None:
    for package in (small(tmp_path), LEE):
        found = predict(package, findings(), conditions())
        assert (found.flags, found.cautions) == ((), package.manifest.cautions)


@pytest.mark.parametrize(
    ("attributes", "flag"),
    [
        ({"SliceThickness": 7.5}, "slice thickness (portal) 7.5 mm lies outside 0 to 5 mm"),
        ({"KVP": 80}, "tube voltage (portal) 80 kV lies outside 100 to 140 kV"),
        ({"KVP": None}, "tube voltage (portal) is not known"),
    ],
)
def test_an_unusual_study_is_answered_with_a_flag(tmp_path: Path, attributes: dict[str, Any], flag: str) -> None:
    assert flag in map(str, predict(small(tmp_path), findings(**attributes), conditions()).flags)


def test_beyond_a_hard_limit_there_is_no_answer(tmp_path: Path) -> None:
    package = small(tmp_path)
    with pytest.raises(OutsideIntendedUse, match="slice thickness"):
        predict(package, findings(SliceThickness=12), conditions())
    with pytest.raises(OutsideIntendedUse, match="portal_mean 500"):
        predict(package, findings((attenuation(500.0),)), conditions())
    with pytest.raises(ModalityAbsent, match="CT"):
        predict(package, findings(Modality="MR"), conditions())


def test_a_value_beyond_the_training_range_is_flagged(tmp_path: Path) -> None:
    flags = predict(small(tmp_path), findings((attenuation(200.0),)), conditions()).flags
    assert flags == (Flag("input-range", "portal_mean 200 [hnsf'U] lies outside 0 to 150 [hnsf'U]"),)


@pytest.mark.parametrize(
    ("attributes", "flagged"),
    [
        ({"PatientAge": "017Y"}, True),
        ({"PatientAge": "018Y"}, False),
        ({"PatientAge": "036M"}, True),
        ({"PatientAge": "", "PatientBirthDate": "20100101", "StudyDate": "20240101"}, True),
        ({"PatientAge": "", "PatientBirthDate": "19600101", "StudyDate": "20240101"}, False),
        ({"PatientAge": "", "PatientBirthDate": ""}, True),
    ],
)
def test_age_comes_from_its_tag_or_the_dates_and_is_never_invented(attributes: dict[str, Any], flagged: bool) -> None:
    flags = predict(LEE, findings(**attributes), conditions()).flags
    assert ("age" in {flag.kind for flag in flags}) is flagged


def test_contradicting_literature_goes_with_every_answer() -> None:
    assert len(predict(LEE, findings(), conditions()).conflicts) == 3


# --- needs -----------------------------------------------------------------------------------------------------


def test_the_needs_of_packages_are_plain_values() -> None:
    assert needs([LEE, DEMO]) == (
        Need("lee2017-portal-liver", "CT", ("portal",), True),
        Need("synthetic-demo-ct", "CT", ("portal", "arterial"), True),
    )


def test_where_a_segmenter_draws_regions_nobody_waits_for_one_but_it_waits_for_its_series(tmp_path: Path) -> None:
    segmenter = bright(tmp_path)
    assert needs([LEE, segmenter, DEMO]) == (
        Need("lee2017-portal-liver", "CT", ("portal",), False),
        Need("bright", "CT", ("portal",), False),
        Need("synthetic-demo-ct", "CT", ("portal", "arterial"), False),
    )


def test_a_segmenter_says_nothing_of_a_study_itself(tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match="draws regions"):
        predict(bright(tmp_path), findings(), conditions())


# --- dual energy -----------------------------------------------------------------------------------------------------


def of_iodine(phase: str) -> str:
    return f'role = "iodine"\nphase = "{phase}"'


def test_iodine_is_taken_from_the_phase_that_the_package_names(tmp_path: Path) -> None:
    package = small(tmp_path, lambda said: said.replace('role = "portal"', of_iodine("portal")))
    described = {"1.2.3.1": "Iodine map arterial", "1.2.3.2": "Iodine map portal"}
    study = group([instance(uid, **(PORTAL | {"SeriesDescription": words})) for uid, words in described.items()])
    in_phase = [
        replace(attenuation(hu, Role.IODINE), phase=phase, series_uids=(uid,))
        for hu, phase, uid in ((20.0, Role.ARTERIAL, "1.2.3.1"), (50.0, Role.PORTAL, "1.2.3.2"))
    ]
    found = Findings(study, select(study, (), {}), in_phase, (), "tumour")
    (answer,) = predict(package, found, conditions(metastasis="1")).answers
    assert {one.name: one.value for one in answer.inputs}["portal_mean"] == 50.0
    with pytest.raises(QuantityMissing):
        predict(package, replace(found, quantities=in_phase[:1]), conditions(metastasis="1"))


def test_an_input_in_a_phase_that_is_not_required_is_refused(tmp_path: Path) -> None:
    def input_alone(said: str) -> str:
        head, _, tail = said.rpartition('role = "portal"')
        return head + of_iodine("portal") + tail

    with pytest.raises(PackageRefused, match="does not require"):
        small(tmp_path, input_alone)
