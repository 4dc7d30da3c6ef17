"""CARD.md of packages of every kind."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from her2node.models.literature.card import card as literature_card
from her2node.models.literature.writing import DECLARED
from her2node.models.manifest import Segmenter, parse
from her2node.models.model_card import HEADINGS, model_card
from her2node.models.package import CARD, SHIPPED
from her2node.training import nnunet, report
from her2node.training.discrimination import Interval
from her2node.training.nnunet import Said
from her2node.training.paper import from_paper
from her2node.training.validation import Validation
from tests.models.making import make_keys
from tests.training.making import cohort, form
from tests.training.test_paper import PAPER, SECOND, WHOLE


def of_the_literature(_: Path) -> str:
    return "\n".join(map(literature_card, DECLARED[:1]))


def of_a_paper(folder: Path) -> str:
    first, second = folder / "a.toml", folder / "b.toml"
    first.write_text(WHOLE + PAPER, encoding="utf-8")
    second.write_text(SECOND, encoding="utf-8")
    package = from_paper(first, second, folder / "out", make_keys(folder).pair.private_pem)
    return (package / CARD).read_text(encoding="utf-8")


def of_a_network(_: Path) -> str:
    said = Said("site-net", "A network", "Nobody 2024.", "Tests.", "A reader.", ("portal",))
    text = nnunet.manifest_of(said, "3d_fullres", ["fold-0.onnx"], ())
    manifest = parse(f'{text}\n[files]\n"CARD.md" = "{"0" * 64}"\n'.encode())
    assert isinstance(manifest, Segmenter)
    return nnunet.card(manifest, 1e-6)


def of_a_training(folder: Path) -> str:
    members = cohort()
    odds = np.random.default_rng(1).normal(size=(2, len(members.cases))) + members.cases.labels
    area = Interval(0.7, 0.6, 0.8)
    found = Validation(odds, members.cases.labels, area, area, 0.8, 0.9, 5)
    return report.card(form(folder), members, found, ("TOO FEW EVENTS",), 1)


SHIPS = sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir())


@pytest.mark.parametrize("kind", [of_the_literature, of_a_paper, of_a_network, of_a_training], ids=lambda f: f.__name__)
def test_every_card_has_every_section_in_order_and_says_something_in_it(kind, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    hold(kind(tmp_path))


@pytest.mark.parametrize("name", SHIPS)
def test_every_package_that_ships_has_such_a_card(name: str) -> None:
    hold((SHIPPED / name / CARD).read_text(encoding="utf-8"))


def hold(card: str) -> None:
    found = [one for one in re.findall(r"(?m)^## (.+)$", card) if one in HEADINGS]
    assert tuple(found) == HEADINGS
    sections = re.split(r"(?m)^## .+$", card)[1:]
    assert all(len(section.strip()) > 15 for section in sections)
    assert "not a medical device" in card


def test_a_card_without_a_section_is_not_written() -> None:
    with pytest.raises(KeyError, match="Factors"):
        model_card("x", dict.fromkeys([one for one in HEADINGS if one != "Factors"], "said"))


def test_the_card_of_a_training_has_both_thresholds_and_their_figures(tmp_path: Path) -> None:
    card = of_a_training(tmp_path)
    for wanted in ("sensitivity at 0.5", "specificity at 0.5", "sensitivity at 0.2", "specificity at 0.2", "Brier"):
        assert wanted in card


def test_the_card_of_a_training_says_which_values_of_single_cases_the_package_holds(tmp_path: Path) -> None:
    card = of_a_training(tmp_path)
    assert "no patient's" not in card
    held = ("the lowest and the highest", "Mean and covariance", "Venn-Abers steps", "SHA-256", "the site's key")
    assert all(said in card for said in held)
