from __future__ import annotations

import pytest

from her2node.errors import LabelRefused
from her2node.training.labels import Rule, tissue


@pytest.mark.parametrize(
    ("ihc", "ish", "ratio", "label"),
    [
        ("0", "", "", False),
        ("1+", "", "", False),
        ("1", "positive", "", False),
        ("2+", "positive", "", True),
        ("2+", "negative", "", False),
        ("2", "", "2.0", True),
        ("2+", "", "1.99", False),
        ("2+", "", "", None),
        ("3+", "", "", True),
        ("3+", "negative", "", True),
    ],
)
def test_the_label_goes_by_the_guideline(ihc: str, ish: str, ratio: str, label: bool | None) -> None:
    assert tissue(ihc, ish, ratio).label is label


@pytest.mark.parametrize(
    ("rule", "ihc", "ish", "label"),
    [
        (Rule.IHC_3, "2+", "positive", False),
        (Rule.IHC_3, "2+", "", False),
        (Rule.IHC_3, "3+", "negative", True),
        (Rule.IHC_2_3, "2+", "negative", True),
        (Rule.IHC_2_3, "2+", "", True),
        (Rule.IHC_2_3, "1+", "positive", False),
        (Rule.IHC_2_3, "3+", "", True),
    ],
)
def test_another_definition_may_be_followed(rule: Rule, ihc: str, ish: str, label: bool) -> None:
    assert tissue(ihc, ish, rule=rule).label is label
    assert "not the guideline's" in rule.definition


def test_ihc_and_ish_that_contradict_each_other_are_told() -> None:
    assert tissue("3+", "negative").discordant
    assert tissue("0", "positive").discordant
    assert not tissue("2+", "positive").discordant
    assert not tissue("3+", "positive").discordant
    assert not tissue("3+").discordant


@pytest.mark.parametrize(
    ("ihc", "ish", "ratio", "said"),
    [
        ("", "", "", "IHC"),
        ("4+", "", "", "IHC"),
        ("2+", "perhaps", "", "ISH"),
        ("2+", "", "many", "ratio"),
        ("2+", "", "-1", "ratio"),
        ("2+", "", "nan", "ratio"),
        ("2+", "negative", "3.1", "contradict"),
    ],
)
def test_what_cannot_be_read_is_refused_and_never_guessed(ihc: str, ish: str, ratio: str, said: str) -> None:
    with pytest.raises(LabelRefused, match=said):
        tissue(ihc, ish, ratio)
