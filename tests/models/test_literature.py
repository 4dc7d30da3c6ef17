"""What ships of the literature: made from declarations, true to what was printed, and silent where nothing was."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node.dicom.codes import Derivation, Diffusion, Unit, Uptake
from her2node.errors import ModalityAbsent, NeedsTraining, QuantityMissing, RoleMissing
from her2node.models.literature import forms, published, studies
from her2node.models.literature.writing import DECLARED, TABLE, manifest_text, write_all
from her2node.models.manifest import Form, MeasuredOnly, Scalar
from her2node.models.package import PINNED, SHIPPED, load, load_packages, shipped_trust
from her2node.models.predicting import Conditions, Findings, predict
from her2node.models.prediction import Category, Level, Observation, Prediction
from her2node.quantities.quantity import Quantity
from her2node.selection import select
from her2node.selection.roles import Role
from her2node.selection.study import Instance, group
from her2node.training.pipelines import Method
from tests.selection.headers import instance

PACKAGES = {p.manifest.name: p for p in load_packages([one.manifest.name for one in DECLARED]).packages}
MR, PT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"


def diffusion() -> Instance:
    return instance("1.2.3.1", 1, MR, Modality="MR", DiffusionBValue=800.0, SeriesDescription="DWI", PatientAge="060Y")


def pet() -> Instance:
    given = Dataset()
    given.Radiopharmaceutical = "FDG"
    return instance(
        "1.2.3.1", 1, PT, Modality="PT", CorrectedImage=["ATTN"], ImageType=["ORIGINAL", "PRIMARY"], PatientAge="060Y",
        RadiopharmaceuticalInformationSequence=[given],
    )  # fmt: skip


def found(one: Instance, *quantities: Quantity) -> Findings:
    study = group([one])
    return Findings(study, select(study, (), {}), quantities, (), "tumour")


def adc(value: float, method: Any = Diffusion.unweighted([0.0, 50.0, 800.0]), code: Any = Diffusion.ADC) -> Quantity:  # noqa: B008
    return Quantity(
        "tumour", Role.DIFFUSION, code, value, Unit.UM2_PER_S, Derivation.MEAN, method, series_uids=("1.2.3.1",)
    )


def uptake(value: float) -> Quantity:
    return Quantity(
        "tumour", Role.PET, Uptake.SUVBW, value, Unit.SUVBW, Derivation.MAXIMUM, Uptake.BY_WEIGHT,
        series_uids=("1.2.3.1",),
    )  # fmt: skip


MEASURED = {
    "ji2017-adc": lambda value: found(diffusion(), adc(value * 1000)),
    "ji2017-d": lambda value: found(diffusion(), adc(value * 1000, Diffusion.IVIM, Diffusion.D)),
    "zhangjn2016-suvmax": lambda value: found(pet(), uptake(value)),
}
"""A study in which the rule's quantity has a value in the paper's unit, measured in the node's own."""


# --- the folders -----------------------------------------------------------------------------------------------


def test_the_declarations_give_the_folders_that_ship_byte_for_byte(tmp_path: Path) -> None:
    write_all(tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for declared in DECLARED:
        shipped = SHIPPED / declared.manifest.name
        assert {path.name for path in shipped.iterdir()} == {p.name for p in (tmp_path / shipped.name).iterdir()}
    for path, content in made.items():
        assert (SHIPPED / path).read_bytes() == content, path
    assert Path(TABLE) in made


def test_a_form_that_harmonises_is_written_as_toml_that_says_so() -> None:
    form = next(one.manifest for one in forms.FORMS if one.manifest.training.candidates)
    harmonised = replace(form, training=replace(form.training, harmonise=True))
    assert tomllib.loads(manifest_text(harmonised))["training"]["harmonise"] is True


def test_every_package_but_the_demonstrations_own_is_declared() -> None:
    pinned = set(json.loads(PINNED.read_text()))
    demonstrations = {name for name in pinned if name.startswith("synthetic-demo-") or name.endswith("-demo")}
    assert pinned == {one.manifest.name for one in DECLARED} | demonstrations


def test_every_study_of_the_review_is_in_the_table_and_every_package_stands_for_one() -> None:
    assert {study.ref for study in studies.STUDIES} >= {str(ref) for ref in range(12, 35)} | {"10"}
    assert {name for study in studies.STUDIES for name in study.packages} == set(PACKAGES)
    nothing = {study.ref for study in studies.STUDIES if not study.packages}
    assert nothing == {"14", "17", "19", "29", "30"}


def test_the_table_says_of_study_20_that_the_node_trains_both_of_its_classifiers_as_it_does() -> None:
    (study,) = (study for study in studies.STUDIES if study.ref == "20")
    shapes = {one.manifest.training.model for one in forms.FORMS if one.manifest.name in study.packages}
    assert shapes == {Method.LDA_1NN, Method.NDA_ANN}
    assert "`her2node train` fits both" in (SHIPPED / TABLE).read_text(encoding="utf-8")


@pytest.mark.parametrize("declared", DECLARED, ids=lambda one: one.manifest.name)
def test_every_card_has_the_sections_of_a_model_card_and_the_literature_that_contradicts(declared: Any) -> None:
    card = PACKAGES[declared.manifest.name].card
    for section in (
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ):  # fmt: skip
        assert f"## {section}\n" in card
    assert all(given.name in card for given in declared.manifest.inputs)
    assert all(one.words in card for one in declared.manifest.evidence)


# --- threshold rules -------------------------------------------------------------------------------------------


@pytest.mark.truth
@pytest.mark.parametrize("name", MEASURED)
def test_post_test_probabilities_are_the_published_ones_through_the_units(name: str, shared: Path) -> None:
    reference = json.loads((shared / "reference/published-models.json").read_text())["models"]
    paper = next(model for model in reference if model["id"] == name)
    package = PACKAGES[name]
    rule = package.manifest.threshold
    assert rule.cut_off == paper["cutoff"]
    assert rule.sensitivity / (1 - rule.specificity) == pytest.approx(paper["lr_positive"], abs=1e-4)
    assert (1 - rule.sensitivity) / rule.specificity == pytest.approx(paper["lr_negative"], abs=1e-4)
    for row in paper["post_test"]:
        for value, wanted in ((paper["cutoff"] + 0.2, row["positive"]), (paper["cutoff"] - 0.2, row["negative"])):
            said = predict(package, MEASURED[name](value), Conditions({}, row["prior"], "registry"))
            assert said.answers[0].probability == pytest.approx(wanted, abs=1e-4)
            assert (said.prior, said.prior_source) == (row["prior"], "registry")
            low, high = said.answers[0].interval
            assert low < said.answers[0].probability < high


@pytest.mark.parametrize("name", MEASURED)
def test_a_rule_says_what_it_decided_with_its_likelihood_ratio_and_its_intervals(name: str) -> None:
    above = predict(PACKAGES[name], MEASURED[name](9.9 if name.startswith("zhang") else 2.0), Conditions({}, 0.15))
    assert "is positive" in above.remarks[0]
    assert all(word in above.remarks[0] for word in ("likelihood ratio", "sensitivity", "specificity", "95 %"))
    below = predict(PACKAGES[name], MEASURED[name](0.5), Conditions({}, 0.15))
    assert "is negative" in below.remarks[0]
    assert below.answers[0].category is Category.UNLIKELY


def test_the_cut_off_itself_is_positive_after_the_conversion_of_units() -> None:
    for value, word in ((1321.0, "positive"), (1320.999, "negative")):
        said = predict(PACKAGES["ji2017-adc"], found(diffusion(), adc(value)), Conditions({}))
        assert f"is {word}" in said.remarks[0]


def test_an_adc_of_two_b_values_is_not_taken_for_that_of_many() -> None:
    two = adc(1500.0, Diffusion.two_point([0.0, 800.0]))
    with pytest.raises(QuantityMissing, match="unweighted log-linear"):
        predict(PACKAGES["ji2017-adc"], found(diffusion(), two), Conditions({}))
    both = predict(PACKAGES["ji2017-adc"], found(diffusion(), two, adc(1400.0)), Conditions({}))
    (used,) = both.answers[0].inputs
    assert used.value == pytest.approx(1.4)
    assert "b 0 50 800" in used.method


def test_without_a_prior_of_the_site_the_cohort_s_own_is_named() -> None:
    said = predict(PACKAGES["zhangjn2016-suvmax"], found(pet(), uptake(7.0)), Conditions({}))
    assert (said.prior, "28 of 57" in said.prior_source) == (28 / 57, True)
    assert any("several times what is usual" in caution for caution in said.cautions)


# --- reconstructed models --------------------------------------------------------------------------------------


def counts_missed(covered: tuple[float, ...], model: Any, wanted: tuple[float, float, float]) -> float:
    """By how many patients a two-variable model misses the printed group counts."""
    design = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=float)
    p = 1 / (1 + np.exp(-(model.intercept + design[:, 1:] @ np.array(list(model.coefficients.values())))))
    return float(np.abs(design.T @ (np.array(covered) * p) - np.array(wanted)).max())


def test_the_reconstruction_of_lee_reproduces_the_printed_counts_and_that_of_zheng_does_not() -> None:
    lee, zheng = published.LEE.manifest.logistic, published.ZHENG.manifest.logistic
    assert counts_missed((69, 44, 46, 22), lee, (32, 20, 20)) < 0.02
    assert counts_missed((68, 45, 47, 21), lee, (32, 20, 20)) > 0.2
    missed = {
        both: counts_missed((433 - 203 - 263 + both, 203 - both, 263 - both, both), zheng, (133, 94, 49))
        for both in range(64, 203)
    }
    assert min(missed, key=missed.get) == 110
    assert 0.3 < missed[110] < 1.5
    assert any("Approximate" in caution for caution in published.ZHENG.manifest.cautions)


def test_the_standard_errors_of_lee_give_the_printed_p_values() -> None:
    logistic = published.LEE.manifest.logistic
    errors = np.sqrt(np.diag(np.array(logistic.covariance)))[1:]
    z = np.array(list(logistic.coefficients.values())) / errors
    first, second = (2 * (1 - float(_normal(one))) for one in z)
    assert first < 0.001
    assert round(second, 3) == 0.001


def _normal(z: float) -> float:
    from math import erf, sqrt

    return (1 + erf(z / sqrt(2))) / 2


# --- what gives no estimate ------------------------------------------------------------------------------------


def test_measured_only_packages_print_the_cut_off_and_no_probability() -> None:
    f = Quantity(
        "tumour", Role.DIFFUSION, Diffusion.F, 0.2, Unit.ONE, Derivation.MEAN, Diffusion.IVIM, series_uids=("1.2.3.1",)
    )
    said = predict(PACKAGES["ji2017-f"], found(diffusion(), f), Conditions({}))
    assert isinstance(said, Observation)
    assert said.package.level is Level.MEASURED_ONLY
    assert "f_mean 0.2 is at or above the printed cut-off 0.119" in said.remarks[0]
    assert "no estimate follows" in said.remarks[0]
    volumes = [
        Quantity("tumour", Role.PET, Uptake.MTV, value, Unit.ML, None, method, series_uids=("1.2.3.1",))
        for value, method in ((9.0, Uptake.ABOVE_41), (11.0, Uptake.ABOVE_40), (30.0, Uptake.ABOVE_FIXED))
    ]
    (remark,) = predict(PACKAGES["pumc2022-mtv"], found(pet(), *volumes), Conditions({})).remarks
    assert "mtv 11 cm3 is below the printed cut-off 12.1" in remark


@pytest.mark.truth
def test_the_cut_offs_of_measured_only_packages_are_the_published_ones_in_the_paper_s_unit(shared: Path) -> None:
    """The reference spells D* in one word."""
    reference = json.loads((shared / "reference/published-models.json").read_text())["models"]
    papers = {one["id"].replace("dstar", "d-star"): one for one in reference if one["level"] == "measured-only"}
    shipped = {name: one.manifest for name, one in PACKAGES.items() if isinstance(one.manifest, MeasuredOnly)}
    assert shipped.keys() == papers.keys()
    for name, said in shipped.items():
        (cut,), (given,) = said.cut_offs, said.inputs
        assert (cut.value, given.unit) == (papers[name]["cutoff"], papers[name].get("unit", "1"))
        printed = {word: papers[name][key] for key, word in (("sens", "sensitivity"), ("spec", "specificity"))
                   if key in papers[name]}  # fmt: skip
        assert all(f"{word} {value:.3f}" in cut.said for word, value in printed.items())
        if "accuracy" in papers[name]:
            assert f"accuracy {100 * papers[name]['accuracy']:.1f} %" in cut.said


@pytest.mark.parametrize("form", [one.manifest for one in forms.FORMS], ids=lambda form: form.name)
def test_a_form_has_no_weights_and_says_what_a_site_must_do(form: Form) -> None:
    package = PACKAGES[form.name]
    assert package.session is None
    assert not {path.name for path in (SHIPPED / form.name).iterdir()} & {"model.onnx", "cases.json"}
    modalities = {requirement.modality for requirement in form.requires}
    images = [instance(f"1.2.3.{n}", Modality=modality) for n, modality in enumerate(modalities)]
    study = group(images)
    with pytest.raises(NeedsTraining, match=form.name) as caught:
        predict(package, Findings(study, select(study, (), {}), (), (), "tumour"), Conditions({}))
    assert f"at least {form.training.patients} patients" in caught.value.remedy
    assert "her2node train" in caught.value.remedy


def test_forms_ask_for_ten_positives_a_coefficient() -> None:
    assert forms.patients_for(3) == 200
    assert all(
        one.manifest.training.patients >= forms.patients_for(max(1, len(one.manifest.inputs) - 1))
        for one in forms.FORMS
    )


def test_the_model_of_negative_tumours_has_its_label_inverted() -> None:
    inverted = {one.manifest.name for one in forms.FORMS if one.manifest.training.label == "her2-negative"}
    assert inverted == {"wangy-radiomics"}


def test_packages_of_another_modality_say_so_before_anything_else() -> None:
    for name in ("ji2017-adc", "zhangjn2016-suvmax", "he2015-adc"):
        study = group([instance("1.2.3.1", SeriesDescription="portal")])
        with pytest.raises(ModalityAbsent):
            predict(PACKAGES[name], Findings(study, select(study, (), {}), (), (), "tumour"), Conditions({}))
    with pytest.raises(RoleMissing):
        predict(PACKAGES["ji2017-adc"], found(instance("1.2.3.1", 1, MR, Modality="MR")), Conditions({}))


def test_every_kind_of_package_is_among_them() -> None:
    kinds = {type(package.manifest) for package in PACKAGES.values()}
    assert kinds == {Scalar, MeasuredOnly, Form}
    answer = predict(PACKAGES["ji2017-adc"], found(diffusion(), adc(1500.0)), Conditions({}))
    assert isinstance(answer, Prediction)


def test_a_package_loads_from_its_folder_alone() -> None:
    for name in ("he2015-adc", "ji2017-f"):
        assert load(SHIPPED / name, shipped_trust()).manifest.name == name
