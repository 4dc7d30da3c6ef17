"""Cohorts of numbers with a known effect, and cohorts of findings that no image was read for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from her2node.dicom.codes import Derivation, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.models.inputs import Where
from her2node.models.predicting import Standing
from her2node.quantities.quantity import Quantity
from her2node.selection.roles import Role
from her2node.training.arrays import Cases, Doubles
from her2node.training.cohort import Cohort, Member, Row
from her2node.training.findings import Findings, Made
from her2node.training.form import Form, read
from her2node.training.labels import Tissue

EFFECT = np.array([0.9, -0.6, 0.4, 0, 0, 0, 0, 0, 0, 0])
NOTHING = np.zeros(10)


def drawn(count: int, slopes: Doubles, rng: np.random.Generator, intercept: float = -0.7) -> Cases:
    """Correlated normal features (0.3) and labels by a logistic relation; each case a patient."""
    features = len(slopes)
    own, common = rng.normal(size=(count, features)), rng.normal(size=(count, 1))
    values = np.sqrt(0.7) * own + np.sqrt(0.3) * common
    labels = rng.uniform(size=count) < 1 / (1 + np.exp(-(intercept + values @ slopes)))
    return Cases(tuple(f"f{i}" for i in range(features)), values, labels, tuple(map(str, range(count))))


FORM = """\
format = 1
kind = "form"
name = "ours"
version = "1.0.0"
level = "site-trained"
title = "Portal attenuation and the reader's word: a form without weights"
citation = "Nobody 2024."
intended_use = "Tests."
reference_test = "Tissue."
roi = "needed"

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
modifier = { value = "373098007", scheme = "SCT", meaning = "Mean" }
unit = "[hnsf'U]"
limits = { hard = [-200.0, 400.0] }

[training]
model = "logistic"
patients = 30
must = ["Train it."]
output = { likely = 0.5, unlikely = 0.2, explanation = "Chosen for tests." }
"""


def written(folder: Path, text: str) -> Path:
    """A folder that holds a form."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.toml").write_text(text, encoding="utf-8")
    (folder / "CARD.md").write_text("# A form\n", encoding="utf-8")
    return folder


STANDING = Standing(Where("t", {(Role.PORTAL, None): "1.3"}, scanners=("Maker Model",)), ())
"""The tumour, measured on one portal series of one scanner."""


def form(folder: Path, *changes: tuple[str, str]) -> Form:
    """The form of a package ``ours-trained``, its text changed."""
    text = FORM
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return read(written(folder / "form", text))


def findings(number: int, portal: float, **changes: Any) -> Findings:
    """What a reading would have found in the study ``1.2.NUMBER``."""
    quantity = Quantity("t", Role.PORTAL, Concept.ATTENUATION, portal, Unit.HU, Derivation.MEAN, series_uids=("1.3",))
    said: dict[str, Any] = {
        "study_instance_uid": f"1.2.{number}",
        "patient": f"p{number}",
        "studied": date(2024, 3, 1),
        "age_years": 50.0 + number % 20,
        "scanner": "Maker Model",
        "quantities": (quantity,),
        "refusals": (),
        "made": {(Role.PORTAL, None): Made(3.0, 120.0, "B30f", "Maker Model")},
        "standing": STANDING,
    }
    return Findings(**(said | changes))


def cohort(count: int = 60, *, rows: Sequence[Mapping[str, Any]] = (), seed: int = 3) -> Cohort:
    """A cohort for ``form``: portal attenuation and metastasis speak for a positive label. ``rows`` change the rows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3 == 0
    portal = rng.normal(80 + 12 * labels, 12)
    metastasis = (rng.uniform(size=count) < np.where(labels, 0.5, 0.25)).astype(float)
    members: list[Member] = []
    for number in range(count):
        changes: Mapping[str, Any] = rows[number] if number < len(rows) else {}
        row: dict[str, Any] = {
            "study": f"1.2.{number}",
            "tissue": Tissue(3 if labels[number] else 1, None),
            "specimen": "biopsy",
            "specimen_date": date(2024, 2, 1),
            "treated": date(2024, 3, 20),
            "entered": {"metastasis": str(metastasis[number])},
            "dates": {"metastasis": date(2024, 3, 1)},
        }
        members.append(Member(Row(**{**row, **changes}), findings(number, float(portal[number]))))
    cases = Cases(
        ("metastasis", "portal_mean"),
        np.column_stack([metastasis, portal]),
        np.array([member.row.tissue.label for member in members]),
        tuple(member.patient for member in members),
        tuple(member.scanner for member in members),
    )
    return Cohort(tuple(members), cases, ())
