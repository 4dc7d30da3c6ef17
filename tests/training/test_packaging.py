"""What a trained package asks for: what its model uses, and what shut patients out of its cohort."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from her2node.errors import OutsideIntendedUse
from her2node.models.inputs import gather
from her2node.models.literature import features
from her2node.models.manifest import Scalar
from her2node.models.package import Package, load
from her2node.models.uncertainty import interval_of
from her2node.reading.entered import INPUTS
from her2node.training.arrays import Cases
from her2node.training.cohort import Cohort, read_table
from her2node.training.course import train
from her2node.training.evaluation import rule_of
from her2node.training.form import Form
from her2node.training.labels import Rule
from her2node.training.packaging import RECORD
from tests.models.making import make_keys
from tests.training.making import STANDING, cohort, findings, form

SIGNET = """\
[[inputs]]
source = "reader"
name = "signet_ring"
meaning = "Signet-ring cell carcinoma; such patients were left out"
values = [0.0, 1.0]
limits = { hard = [0.0, 0.0] }

[training]
"""


def gated(folder: Path, *changes: tuple[str, str]) -> tuple[Form, Cohort]:
    """A form that shuts out signet-ring carcinoma, and a cohort, of which none is left."""
    base = cohort()
    values = np.column_stack([base.cases.values, np.zeros(len(base.cases))])
    cases = Cases((*base.cases.names, "signet_ring"), values, base.cases.labels, base.cases.patients)
    told = form(folder, ("[training]\n", SIGNET), *changes)
    assert told.names == cases.names
    return told, replace(base, cases=cases)


def trained(folder: Path, told: Form, given: Cohort) -> tuple[Package, Scalar]:
    keys = make_keys(folder)
    package = load(train(told, given, folder / "out", keys.pair.private_pem, 1, lambda said: None).package, keys.trust)
    assert isinstance(package.manifest, Scalar)
    return package, package.manifest


@pytest.mark.parametrize(
    "model", ["logistic", "lasso-logistic", "lda", "nomogram", "lda-1nn", "nda-ann"], ids=lambda model: str(model)
)
def test_whom_the_form_shuts_out_the_trained_package_does_not_answer(tmp_path: Path, model: str) -> None:
    clinical = '\nclinical = ["metastasis"]' if model == "nomogram" else ""
    told, given = gated(tmp_path, ('model = "logistic"', f'model = "{model}"{clinical}'))
    package, said = trained(tmp_path, told, given)
    assert said.inputs[-1].name == "signet_ring"
    one = findings(1, 90.0)
    allowed = gather(said, one.quantities, (), STANDING.where, {"metastasis": "1", "signet_ring": "0"})
    case = {used.name: used.value for used in allowed.cases[0]}
    assert 0 < package.probabilities([case])[0] < 1
    with pytest.raises(OutsideIntendedUse, match="signet_ring"):
        gather(said, one.quantities, (), STANDING.where, {"metastasis": "1", "signet_ring": "1"})


def test_an_input_that_only_shuts_out_takes_no_interval_away_and_adds_nothing_to_it(tmp_path: Path) -> None:
    (tmp_path / "gated").mkdir()
    (tmp_path / "plain").mkdir()
    _, with_gate = trained(tmp_path / "gated", *gated(tmp_path / "gated"))
    _, without = trained(tmp_path / "plain", form(tmp_path / "plain"), cohort())
    case = {"metastasis": 1.0, "portal_mean": 90.0}
    expected = interval_of(without, case, 0.4)
    assert expected is not None
    assert interval_of(with_gate, case | {"signet_ring": 0.0}, 0.4) == pytest.approx(expected)
    assert with_gate.training_set == without.training_set


def test_labels_by_another_definition_are_told_as_such_wherever_the_package_tells_of_them(tmp_path: Path) -> None:
    keys, told = make_keys(tmp_path), replace(form(tmp_path), rule=Rule.IHC_2_3)
    done = train(told, cohort(), tmp_path / "out", keys.pair.private_pem, 1, lambda said: None)
    said = load(done.package, keys.trust).manifest
    assert isinstance(said, Scalar)
    assert all("positive: IHC 2+ or 3+" in one for one in (said.reference_test, said.prior.source))
    assert "not the guideline's" in (done.package / "CARD.md").read_text()
    assert json.loads((done.package / RECORD).read_bytes())["definition"] == Rule.IHC_2_3.definition
    assert rule_of(done.package) is Rule.IHC_2_3, "an external cohort is labelled as the training was"
    assert rule_of(tmp_path) is Rule.GUIDELINE


def test_a_table_is_read_by_the_definition_that_was_chosen(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("study,ihc\n1.2,2+\n")
    labels = {rule: read_table(table, (), rule=rule)[0].tissue.label for rule in Rule}
    assert labels == {Rule.GUIDELINE: None, Rule.IHC_3: False, Rule.IHC_2_3: True}


def test_the_form_of_uptake_asks_for_signet_rings_by_the_name_that_the_node_asks_by() -> None:
    assert features.SIGNET_RING.name in {given.name for given in INPUTS}
    assert features.SIGNET_RING.limits.hard == (0.0, 0.0)
