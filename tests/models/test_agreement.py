from __future__ import annotations

from dataclasses import replace

import pytest

from her2node.models.agreement import agreement
from her2node.models.prediction import Answer, Category, Level, PackageRef, Prediction

LIKELY, OPEN, UNLIKELY = Category.LIKELY, Category.INDETERMINATE, Category.UNLIKELY


def said(name: str, *categories: Category) -> Prediction:
    package = PackageRef(name, "1.0.0", Level.SITE_TRAINED, "t", "c", "u", "0" * 64, "r")
    return Prediction(package, tuple(Answer((), 0.5, category) for category in categories), (), 0.2, "cohort")


@pytest.mark.parametrize(
    ("one", "two", "word"),
    [
        ((LIKELY,), (LIKELY,), "They agree."),
        ((LIKELY,), (UNLIKELY,), "They contradict each other."),
        ((LIKELY,), (OPEN,), "They do not say the same."),
        ((LIKELY, UNLIKELY), (LIKELY,), "Whether they agree depends on what nobody has entered."),
        ((LIKELY, UNLIKELY), (LIKELY, UNLIKELY), "Whether they agree depends on what nobody has entered."),
    ],
)
def test_several_packages_are_summed_up_in_words(one: tuple, two: tuple, word: str) -> None:
    words = agreement([said("a", *one), said("b", *two)])
    assert word in words
    assert words.startswith("2 packages gave an estimate: a ")
    assert words.endswith("They are not combined: each stands on a cohort, a prior and inputs of its own.")


def test_a_contradiction_is_not_hidden_by_a_third_package() -> None:
    assert "contradict" in agreement([said("a", LIKELY), said("b", LIKELY, OPEN), said("c", UNLIKELY)])


def test_one_package_alone_needs_no_summary() -> None:
    assert agreement([]) == agreement([said("a", LIKELY)]) == ""


def test_no_probability_stands_in_the_summary() -> None:
    steep = replace(said("a", LIKELY), prior=0.123456)
    assert not any(character.isdigit() for character in agreement([steep, said("b", LIKELY)]).removeprefix("2"))
