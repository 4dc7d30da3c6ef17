from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path

import pytest

from her2node.dicom.codes import Unit
from her2node.errors import PackageRefused, TranscriptsDiffer
from her2node.models.inputs import Where, gather
from her2node.models.manifest import QuantityInput, Scalar
from her2node.models.package import load
from her2node.models.prediction import Level
from her2node.models.trust import Trust, read_key
from her2node.quantities.quantity import Quantity
from her2node.quantities.signature import text_of
from her2node.selection.roles import Role
from her2node.training.paper import from_paper
from tests.models.making import make_keys

PAPER = """\
[paper]
typed_by = "A. Reader"
doi = "10.1000/j.paper.1"
table = "Table 3"
intercept = -2.0
positives = 30
negatives = 120

[paper.odds_ratios]
metastasis = 4.43

[paper.coefficients]
portal_mean = 0.02

[[paper.examples]]
inputs = { metastasis = 1.0, portal_mean = 50.0 }
probability = 0.620
"""
HEAD = """\
format = 1
kind = "scalar"
name = "paper-2024"
version = "1.0.0"
title = "A model that was printed whole"
citation = "Somebody 2024."
intended_use = "Research on unresectable cancer."
reference_test = "Tissue."
roi = "needed"

[output]
likely = 0.5
unlikely = 0.1
explanation = "As in the paper."

[[requires]]
role = "portal"

"""
INPUTS = """\
[[inputs]]
source = "reader"
name = "metastasis"
meaning = "Is there a metastasis"
values = [0.0, 1.0]

[[inputs]]
source = "quantity"
name = "portal_mean"
meaning = "Mean attenuation"
role = "portal"
code = { value = "112031", scheme = "DCM", meaning = "Attenuation Coefficient" }
unit = "[hnsf'U]"
limits = { usual = [0.0, 150.0] }

"""
WHOLE = HEAD + INPUTS
SECOND = INPUTS + PAPER.replace("A. Reader", "B. Checker")
ENTROPY = (
    INPUTS.replace('code = { value = "112031", scheme = "DCM", meaning = "Attenuation Coefficient" }\n', "")
    .replace('unit = "[hnsf\'U]"', 'feature = "ih_entropy"\nunit = "1"')
    .replace("portal_mean", "portal_entropy")
)
SIGNATURE = (
    PAPER.replace("portal_mean", "portal_entropy")
    .replace(
        "portal_entropy = 0.02",
        "portal_entropy = 0.8\n\n[paper.standardised]\nportal_entropy = { mean = 3.2, sd = 0.5 }",
    )
    .replace("portal_entropy = 50.0", "portal_entropy = 3.7")
    .replace("0.620", "0.572")
)
"""A model of an entropy that the paper standardised."""


def typed(folder: Path, first: str = WHOLE + PAPER, second: str = SECOND) -> Path:
    (folder / "first.toml").write_text(first)
    (folder / "second.toml").write_text(second)
    keys = make_keys(folder)
    return from_paper(folder / "first.toml", folder / "second.toml", folder / "out", keys.pair.private_pem)


def test_what_two_people_read_alike_becomes_a_signed_package_that_says_who_and_where(tmp_path: Path) -> None:
    folder = typed(tmp_path)
    package = load(folder, Trust({}, (read_key(tmp_path / "public.pem"),)))
    said = package.manifest
    assert isinstance(said, Scalar)
    assert said.level is Level.PUBLISHED_COMPLETE
    assert package.ref.citation == "Somebody 2024. doi:10.1000/j.paper.1"
    assert "Table 3, typed by A. Reader and, independently, by B. Checker" in said.cautions[-1]
    assert (said.prior.positives, said.prior.negatives) == (30, 120)
    answer = package.probabilities([{"metastasis": 1.0, "portal_mean": 50.0}])[0]
    assert answer == pytest.approx(1 / (1 + math.exp(2.0 - math.log(4.43) - 1.0)), abs=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("intercept = -2.0", "intercept = -2.9", r"intercept: -2\.0 and -2\.9"),
        ("4.43", "4.34", r"odds_ratios\.metastasis: 4\.43 and 4\.34"),
        ("portal_mean = 0.02\n", "", r"coefficients\.portal_mean: 0\.02 and None"),
        ("10.1000/j.paper.1", "10.1000/j.paper.2", "doi"),
        ("B. Checker", " a. reader", "both are by A. Reader"),
        ("[hnsf'U]", "1", r"inputs\.portal_mean\.unit: \[hnsf'U\] and 1"),
        ("112031", "112032", r"inputs\.portal_mean\.code"),
        ("values = [0.0, 1.0]", "values = [1.0, 2.0]", r"inputs\.metastasis\.values"),
        (INPUTS, "", r"inputs\.metastasis\.source: reader and None"),
        ("0.620", "0.62", r"the example of .*: 0\.620 and 0\.62$"),
        ("0.620", "0.6204", r"the example of metastasis 1\.0, portal_mean 50\.0: 0\.620 and 0\.6204"),
    ],
)
def test_what_two_people_read_differently_is_refused_by_name(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SECOND
    with pytest.raises(TranscriptsDiffer, match=said):
        typed(tmp_path, second=SECOND.replace(old, new))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("intercept = -2.0\n", "", r"paper\.intercept"),
        ('doi = "10.1000/j.paper.1"', 'doi = "in print"', r"paper\.doi"),
        ('table = "Table 3"\n', "", r"paper\.table"),
        ("metastasis = 4.43", "other = 4.43", "differ"),
        ("metastasis = 4.43", "metastasis = 4.43\nportal_mean = 1.02", "differ"),
    ],
)
def test_a_model_that_was_not_printed_whole_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(PackageRefused, match=said):
        typed(tmp_path, (WHOLE + PAPER).replace(old, new), SECOND.replace(old, new))


SEEN = 'inputs = ["portal_mean"]\nmean = [50.0]\ncovariance = [[9.0]]\nusual = 3.84\n'
TRAINED = 'low = [0.1]\nhigh = [0.9]\nsource = "nobody"\n'
"""What alone would give a flag and an interval that no second person has read."""
LIMITS = "limits = { usual = [0.0, 150.0] }"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (INPUTS, 'inputs = "x"\n', r"first\.toml: inputs: "),
        (INPUTS, "inputs = [1, 2]\n", r"first\.toml: inputs\.0: .*inputs\.1: "),
        (LIMITS, "limits = 3", r"first\.toml: inputs\.1\.limits: "),
        (LIMITS, "limits = { usual = 3 }", r"first\.toml: inputs\.1\.limits\.usual: "),
        ("values = [0.0, 1.0]", "values = 1", r"first\.toml: inputs\.0\.values: "),
        ("format = 1", 'format = 1\nprior = "x"', r"first\.toml: prior: "),
        ("format = 1", 'format = 1\ncautions = "abc"', r"first\.toml: cautions: "),
        ("format = 1", f"format = 1\ndeep = {'[' * 5000}{']' * 5000}", r"first\.toml cannot be read: "),
        ("format = 1", f"format = {'1' * 5000}", r"first\.toml cannot be read: "),
        ('"paper-2024"', '"../paper-2024"', r"first\.toml: name: "),
        ("[output]", f"[venn_abers]\n{TRAINED}\n[output]", r"first\.toml: venn_abers: nobody else has read it"),
        ("[output]", f"[training_set]\n{SEEN}\n[output]", r"first\.toml: training_set: nobody else has read it"),
        ('name = "paper-2024"\n', "", r"first\.toml: name is missing"),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_not_in_the_form_is_refused_by_name_and_nothing_is_written(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = HEAD + (INPUTS if old != INPUTS else "") + PAPER
    given = new + text if old == INPUTS else text.replace(old, new)
    assert given != text
    with pytest.raises(PackageRefused, match=said):
        typed(tmp_path, given)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "paper-2024").exists()


def test_the_card_says_what_two_people_read_alike_and_what_one_typed(tmp_path: Path) -> None:
    card = (typed(tmp_path) / "CARD.md").read_text()
    assert "worked examples, the inputs with their units, codes, values and limits" in card
    assert "All else was typed once, the thresholds of the categories" in card


def test_two_people_may_word_a_meaning_otherwise(tmp_path: Path) -> None:
    worded = SECOND.replace("Mean attenuation", "Attenuation, mean").replace("Attenuation Coefficient", "Attenuation")
    assert typed(tmp_path, second=worded).is_dir()


def radiomics(folder: Path, theirs: str = "") -> Path:
    """The package of a paper whose model is one of radiomics; ``theirs``: the second person's features file."""
    ours = text_of("ibsi-c", (Role.PORTAL,))
    (folder / "ours.toml").write_text(ours)
    (folder / "theirs.toml").write_text(theirs or f"# typed by B. Checker\n{ours}")
    first = 'features = "ours.toml"\n' + HEAD + ENTROPY + SIGNATURE
    second = 'features = "theirs.toml"\n' + ENTROPY + SIGNATURE.replace("A. Reader", "B. Checker")
    return typed(folder, first, second)


def test_a_radiomics_model_of_standardised_inputs_is_typed_in_with_its_features_file(tmp_path: Path) -> None:
    package = load(radiomics(tmp_path), Trust({}, (read_key(tmp_path / "public.pem"),)))
    said, wanted = package.manifest, package.features
    assert isinstance(said, Scalar)
    assert wanted is not None
    assert wanted.phases == (Role.PORTAL,)
    entropy = said.inputs[1]
    assert isinstance(entropy, QuantityInput)
    assert (entropy.code.value, entropy.method) == ("TLU2", wanted.methods()[0])
    measured = Quantity(
        "t", Role.PORTAL, entropy.code, 3.7, Unit.ONE, entropy.modifier, entropy.method, series_uids=("1.3",)
    )
    where = Where("t", {(Role.PORTAL, None): "1.3"})
    (case,) = gather(said, [measured], (), where, {"metastasis": "1"}).cases
    answer = package.probabilities([{used.name: used.value for used in case}])[0]
    assert answer == pytest.approx(1 / (1 + math.exp(2.0 - math.log(4.43) - 0.8 * (3.7 - 3.2) / 0.5)), abs=1e-12)
    assert "standardised values, whose scale is folded in here: portal_entropy" in package.card


def test_features_that_two_people_read_differently_are_refused(tmp_path: Path) -> None:
    other = text_of("ibsi-c", (Role.PORTAL,)).replace("size = 25", "size = 20")
    with pytest.raises(TranscriptsDiffer, match="the features of"):
        radiomics(tmp_path, other)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("mean = 3.2", "mean = 3.3", "standardised.portal_entropy"),
        ("sd = 0.5", "sd = 0.0", "paper.standardised.portal_entropy.sd"),
        ('"ours.toml"', '"../ours.toml"', "names no file beside it"),
        ('"ours.toml"', '"none.toml"', "cannot be used"),
        ('"ih_entropy"', '"ih_entrophy"', "asks for no ih_entrophy"),
    ],
)
def test_a_radiomics_model_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    (tmp_path / "ours.toml").write_text(text_of("ibsi-c", (Role.PORTAL,)))
    text = 'features = "ours.toml"\n' + HEAD + ENTROPY + SIGNATURE
    assert old in text
    second = 'features = "ours.toml"\n' + ENTROPY + SIGNATURE.replace("A. Reader", "B. Checker")
    with pytest.raises((PackageRefused, TranscriptsDiffer), match=said):
        typed(tmp_path, text.replace(old, new), second)


def printing(folder: Path, probability: str) -> Path:
    """The package of a paper that prints ``probability`` of a case of which the formula gives 0.61973."""
    return typed(folder, *(text.replace("0.620", probability) for text in (WHOLE + PAPER, SECOND)))


@pytest.mark.parametrize("printed", ["0.6", "0.62", "0.620", "0.6197", "6.2e-1"])
def test_a_printed_example_holds_to_as_many_digits_as_are_printed(tmp_path: Path, printed: str) -> None:
    cases = json.loads((printing(tmp_path, printed) / "cases.json").read_text())
    assert cases[0]["probability"] == pytest.approx(1 / (1 + math.exp(2.0 - math.log(4.43) - 1.0)), abs=1e-12)
    assert cases[0]["tolerance"] == 1e-9
    assert f"10.1000/j.paper.1, which prints {Decimal(printed)}" in cases[0]["source"]


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("0.7", "0.619729 for metastasis 1.0, portal_mean 50.0, 0.7 printed"),
        ("0.61", "0.61 printed"),
        ("0.619", "0.619 printed"),
        ("0.6198", "0.6198 printed"),
        ("1", "has no decimals"),
        ("0e-999999999", "or more than 15"),
        ("1.1", "less than or equal to 1"),
        ("nan", "finite"),
        (f"1e{'9' * 30}", "cannot be read"),
    ],
)
def test_an_example_that_rounds_to_something_else_is_refused(tmp_path: Path, printed: str, said: str) -> None:
    with pytest.raises(PackageRefused, match=said):
        printing(tmp_path, printed)
    assert not (tmp_path / "out").exists()


def test_an_example_that_leaves_an_input_out_is_refused(tmp_path: Path) -> None:
    first, second = (text.replace("metastasis = 1.0, ", "") for text in (WHOLE + PAPER, SECOND))
    with pytest.raises(PackageRefused, match=r"the example of portal_mean 50\.0 does not give every input"):
        typed(tmp_path, first, second)


def test_a_printed_example_that_the_coefficients_do_not_give_is_refused_and_leaves_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match="do not give what the paper prints"):
        typed(tmp_path, WHOLE + PAPER.replace("0.620", "0.720"), SECOND.replace("0.620", "0.720"))
    assert not (tmp_path / "out" / "paper-2024").exists()
