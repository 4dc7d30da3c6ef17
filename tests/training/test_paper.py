from __future__ import annotations

import math
from pathlib import Path

import pytest

from her2node.errors import PackageRefused, TranscriptsDiffer
from her2node.models.manifest import Scalar
from her2node.models.package import load
from her2node.models.prediction import Level
from her2node.models.trust import Trust, read_key
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
SECOND = PAPER.replace("A. Reader", "B. Checker")
WHOLE = """\
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


def test_a_printed_example_that_the_coefficients_do_not_give_is_refused_and_leaves_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match="do not give what the paper prints"):
        typed(tmp_path, WHOLE + PAPER.replace("0.620", "0.720"))
    assert not (tmp_path / "out" / "paper-2024").exists()
