"""The sentences of a report about packages, from values alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from her2node.dicom.codes import Statement
from her2node.errors import ModalityAbsent, RoleMissing
from her2node.models.prediction import (
    Answer,
    Category,
    Flag,
    InputUsed,
    IntervalKind,
    Level,
    NotPredicted,
    Observation,
    PackageRef,
    Prediction,
    Stability,
)
from her2node.reading import Reading
from her2node.reports.wording import Said, refusals, statements
from her2node.selection.study import group
from tests.selection.headers import instance


def package(name: str, level: Level = Level.PUBLISHED_THRESHOLD) -> PackageRef:
    return PackageRef(name, "1.0.0", level, f"title of {name}", "Somebody 2017.", "research", "0" * 64, "tissue")


def reading(**what: Any) -> Reading:
    nothing: dict[str, Any] = dict.fromkeys(
        ("assignments", "measured", "rois", "quantities", "not_measured", "predictions", "not_predicted"), ()
    )
    return Reading(study=group([instance("1.2.3.1")]), tumour=None, **(nothing | what))


USED = InputUsed(
    "adc_mean", 1.4, "10-3 mm2/s", "measured", ("1.2.3.1",), "ADC, unweighted log-linear, b 0 50 800 s/mm2"
)
SURE = Prediction(
    package("adc"),
    (Answer((USED,), 0.3128, Category.INDETERMINATE, (0.21, 0.44)),),
    (),
    0.15,
    "registry of the site",
    flags=(Flag("age", "age is not known"),),
    conflicts=("ADC: higher in A; lower in B.",),
    cautions=("The b-values were not at hand.",),
    categories="likely from a probability of 0.5, unlikely below 0.1, indeterminate between. The node's own.",
    remarks=("The rule adc_mean >= 1.321 is positive: likelihood ratio 2.58 (95 % 1.7 to 3.9).",),
    stability=Stability(8, 7, 0.0312, ("dilated",)),
)
OTHER = Prediction(package("suv"), (Answer((), 0.04, Category.UNLIKELY),), (), 0.15, "registry of the site")
BESIDE = Observation(package("mtv", Level.MEASURED_ONLY), (USED,), ("mtv 11 cm3 is below the printed cut-off 12.1.",))


def said(found: Reading) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for one in statements(found):
        assert isinstance(one, Said)
        told.setdefault(one.concept.value, []).append(one.text)
    return told


def test_an_estimate_is_told_with_interval_rule_prior_categories_stability_and_reservations() -> None:
    told = said(reading(predictions=(SURE,)))
    assert "probability 0.3128 (95 % interval 0.2100 to 0.4400)" in told[Statement.CONCLUSION.value][0]
    assert "likelihood ratio 2.58" in told[Statement.REMARK.value][0]
    assert "prior probability 0.15 (registry of the site)" in told[Statement.PRIOR.value][0]
    assert "unlikely below 0.1" in told[Statement.CATEGORIES.value][0]
    assert told[Statement.STABILITY.value] == [
        "adc 1.0.0: the category holds in 7 of 8 regions drawn a voxel otherwise, the probability changes by at most "
        "0.0312; not with the region dilated"
    ]
    assert told[Statement.FLAG.value] == ["adc 1.0.0: age is not known"]
    assert told[Statement.CAUTION.value] == ["adc 1.0.0: The b-values were not at hand."]
    assert told[Statement.CONFLICT.value] == ["adc 1.0.0: ADC: higher in A; lower in B."]
    assert told[Statement.LEVEL.value] == ["adc 1.0.0: published-threshold"]
    assert Statement.AGREEMENT.value not in told


def test_an_interval_without_a_level_of_confidence_is_never_called_one_of_95_percent() -> None:
    answer = Answer((USED,), 0.3128, Category.INDETERMINATE, (0.21, 0.29), IntervalKind.VENN_ABERS)
    told = said(reading(predictions=(replace(SURE, answers=(answer,)),)))
    assert "(Venn-Abers interval 0.2100 to 0.2900)" in told[Statement.CONCLUSION.value][0]
    assert "95 %" not in told[Statement.CONCLUSION.value][0]


def test_several_estimates_are_summed_up_before_them_and_not_combined() -> None:
    found = statements(reading(predictions=(SURE, OTHER)))
    kinds = [one.concept for one in found]
    assert kinds.index(Statement.AGREEMENT) < kinds.index(Statement.CONCLUSION)
    (words,) = said(reading(predictions=(SURE, OTHER)))[Statement.AGREEMENT.value]
    assert "adc indeterminate; suv unlikely. They do not say the same. They are not combined" in words


def test_what_is_measured_only_has_no_conclusion_prior_or_category() -> None:
    told = said(reading(observations=(BESIDE,), quantities=(object(),)))
    assert told[Statement.OBSERVATION.value] == ["mtv 1.0.0: mtv 11 cm3 is below the printed cut-off 12.1."]
    assert told[Statement.LEVEL.value] == ["mtv 1.0.0: measured-only"]
    assert told[Statement.INTENDED_USE.value] == ["mtv 1.0.0: research"]
    assert not {Statement.CONCLUSION.value, Statement.PRIOR.value, Statement.CATEGORIES.value} & told.keys()


def test_packages_for_other_modalities_take_one_sentence_together() -> None:
    absent = [NotPredicted(package(name), ModalityAbsent(modality)) for name, modality in (("a", "MR"), ("b", "PT"))]
    found = refusals(reading(not_predicted=(*absent, NotPredicted(package("c"), RoleMissing("portal")))))
    assert found == (
        "c 1.0.0 did not run: A series that the method needs is not there: portal",
        "did not run, for the study has no series of their modality: a 1.0.0 (MR); b 1.0.0 (PT)",
    )


def test_packages_in_shadow_stand_in_no_sentence() -> None:
    assert statements(reading(predictions=(SURE,), shadows=(OTHER,))) == statements(reading(predictions=(SURE,)))
