"""Two scanners from images to a harmonised package: one name of a scanner in training, evaluation and the node."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node import reading
from her2node.models.manifest import Scalar, ScannerInput
from her2node.models.package import load
from her2node.models.prediction import NotPredicted, Prediction
from her2node.models.trust import Trust, read_key
from her2node.phantoms import PhantomOptions, RoiForm, ct, write
from her2node.phantoms.anatomy import Phase
from her2node.reading import Reading
from her2node.selection.study import open_study
from her2node.service import training
from her2node.settings import Settings
from tests.models.making import make_keys
from tests.training.making import FORM, written

SMALL = {"rows": 64, "columns": 64, "slices": 16, "slice_spacing_mm": 8.0, "phases": (Phase.PORTAL,)}
BRIGHTER = 25
"""By how much the second scanner is."""
KNOWN = ("her2node phantoms Alpha", "her2node phantoms Beta")


def harmonised_form(folder: Path) -> Path:
    """The mean attenuation of the portal phase, over scanners."""
    head, _, rest = FORM.partition("[[inputs]]")
    measured = rest[rest.index("[[inputs]]") :].replace("[training]", "[training]\nharmonise = true")
    return written(folder, head + measured)


def study(folder: Path, seed: int, model: str) -> Path:
    """A phantom on a scanner of this model, in a folder."""

    def scanned(ds: Dataset) -> Dataset:
        ds.ManufacturerModelName = model
        if model == "Beta" and ds.Modality == "CT":
            ds.RescaleIntercept = ds.RescaleIntercept + BRIGHTER
        return ds

    options = PhantomOptions(seed=seed, rois=(RoiForm.BINARY,), **SMALL)  # type: ignore[arg-type]
    write(ct.make(options).with_edit(scanned), folder)
    return folder


def made(folder: Path, seed: int, models: list[str]) -> Path:
    """A study on each model in turn, and the table of 'tissue results', half of each scanner's positive."""
    folder.mkdir()
    with (folder / "table.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["study", "ihc", "specimen", "specimen_date"])
        for number, model in enumerate(models):
            study(folder / "studies" / f"case-{number:02d}", seed + number, model)
            table.writerow([f"case-{number:02d}", "3+" if number % 4 < 2 else "1+", "biopsy", "2024-03-01"])
    return folder


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_harmonised_package_is_trained_evaluated_and_asked_by_the_name_in_the_headers(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys")
    private = tmp_path / "keys" / "private.pem"
    private.write_bytes(keys.pair.private_pem)
    settings = Settings(
        state_dir=tmp_path / "state", demonstration=True, packages={"enabled": [], "trusted_keys": [keys.public]}
    )
    ours = made(tmp_path / "ours", 100, ["Alpha", "Beta"] * 14)
    form = harmonised_form(tmp_path / "form")
    told = training.train(
        settings, str(form), "both@1.0.0", ours / "studies", ours / "table.csv", tmp_path / "out", private, 1, print
    )
    package = load(told.package, Trust({}, (read_key(keys.public),)))
    said = package.manifest
    assert isinstance(said, Scalar)
    (scanner,) = (given for given in said.inputs if isinstance(given, ScannerInput))
    assert scanner.scanners == KNOWN

    theirs = made(tmp_path / "theirs", 200, ["Alpha", "Beta", "Gamma", "Beta", "Alpha", "Beta"])
    found = training.evaluate(
        settings, str(told.package), theirs / "studies", theirs / "table.csv", tmp_path / "evaluation"
    ).evaluation
    assert len(found.answered) == 5
    ((name, why),) = found.excluded
    assert name == "case-02"
    assert "her2node phantoms Gamma" in why

    def asked(number: int, **entered: str) -> Reading:
        files = sorted((theirs / "studies" / f"case-{number:02d}").rglob("*.dcm"))
        return reading.read(open_study(files), (package,), entered=entered, demonstration=True)

    by_study = {case.study_instance_uid: case.probability for case in found.answered}
    for number, place in ((0, 0), (1, 1)):
        node = asked(number)
        (predicted,) = node.predictions
        assert isinstance(predicted, Prediction)
        used = {one.name: one for one in predicted.answers[0].inputs}
        assert (used["scanner"].value, used["scanner"].source, used["scanner"].method) == (
            place,
            "header",
            KNOWN[place],
        )
        assert by_study[node.study.study_instance_uid] == predicted.answers[0].probability
        odds = told.model.log_odds(np.array([[used["portal_mean"].value]]), [KNOWN[place]])[0]
        assert predicted.answers[0].probability == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-9)
    unknown = asked(2)
    assert unknown.predictions == ()
    (refused,) = unknown.not_predicted
    assert isinstance(refused, NotPredicted)
    assert refused.refused.reason == "scanner-unknown"
    assert "her2node phantoms Gamma" in str(refused.refused)
    assert len(asked(2, scanner=KNOWN[0]).predictions) == 1
