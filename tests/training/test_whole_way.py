"""From images to a package that the node runs: phantoms, a table, the commands, and the node's own reading."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread

from her2node.models.manifest import QuantityInput, Scalar
from her2node.models.package import load
from her2node.models.trust import Trust, keygen, read_key
from her2node.phantoms import PhantomOptions, RoiForm, cohort, ct, write
from her2node.phantoms.anatomy import Phase
from tests.training import making
from tests.training.making import written

ROOT = Path(__file__).resolve().parents[2]
TRAINING, EXTERNAL, SITE = 48, 8, 22
TEMPLATE = PhantomOptions(
    rois=(RoiForm.BINARY,),
    rows=64,
    columns=64,
    slices=16,
    slice_spacing_mm=8.0,
    phases=(Phase.PORTAL,),
)
FORM = "wangshuxing2021-radscore"
"""Radiomics of the portal phase among which training selects, and T stage, which the table has."""


def her2node(*arguments: object, state: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(state),
        "HER2NODE_STATE_DIR": str(state / "state"),
        "XDG_CONFIG_HOME": str(state / "none"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "her2node", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=600, check=False)


def made(folder: Path, count: int, seed: int) -> Path:
    """``count`` phantoms in folders of their own, and the table of their 'tissue results'."""
    with (folder / "table.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["study", "ihc", "ish", "specimen", "specimen_date", "ct_t_stage", "ct_t_stage_date"])
        for number, case in enumerate(cohort.cohort(count, seed, TEMPLATE)):
            write(ct.make(case.options), folder / "studies" / f"case-{number:03d}")
            result = (
                ("3+", "")
                if case.her2_positive and number % 2
                else ("2+", "positive" if case.her2_positive else "negative")
            )
            table.writerow([f"case-{number:03d}", *result, "biopsy", "2024-03-01", 1 + number % 4, "2024-03-01"])
    return folder


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_form_that_ships_goes_the_whole_way_from_images_to_a_package_that_runs_in_the_node(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "external").mkdir()
    ours, theirs = made(tmp_path / "training", TRAINING, 27), made(tmp_path / "external", EXTERNAL, 5)
    pair, private, public = keygen(), tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(pair.private_pem)
    public.write_bytes(pair.public_pem)

    done = her2node(
        "train", FORM, "--as", "ours@1.2.0", "--studies", ours / "studies", "--table", ours / "table.csv",
        "--out", tmp_path / "out", "--key", private, state=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "AUC on new cases" in done.stdout
    assert "fitted on phantoms" in done.stdout
    assert (tmp_path / "out" / "report.pdf").exists()
    folder = tmp_path / "out" / "packages" / "ours"
    package = load(folder, Trust({}, (read_key(public),)))
    said = package.manifest
    assert isinstance(said, Scalar)
    assert package.features is not None
    measured = [given for given in said.inputs if isinstance(given, QuantityInput)]
    assert measured
    for given in measured:
        seen = _measured(tmp_path, given)
        assert given.limits.usual == pytest.approx((seen.min(), seen.max()), abs=1e-9)

    settings = tmp_path / "her2node.toml"
    settings.write_text(
        f'demonstration = true\nstate_dir = "{tmp_path / "state"}"\n[packages]\nenabled = ["ours"]\n'
        f'folders = ["{folder.parent}"]\ntrusted_keys = ["{public}"]\n'
    )
    read = her2node(
        "read", theirs / "studies" / "case-000", "--out", tmp_path / "results", "--json", "--config", settings,
        state=tmp_path,
    )  # fmt: skip
    assert read.returncode == 0, read.stderr
    told = json.loads(read.stdout)
    # Packages of the demonstration answer beside it.
    (estimate,) = (one for one in told["estimates"] if one["package"] == "ours@1.2.0")
    assert estimate["level"] == "synthetic-demo"
    said_so = [answer["probability"] for answer in estimate["answers"]]
    assert said_so == pytest.approx(_by_hand(folder, told["quantities"]), abs=1e-9)

    evaluated = her2node(
        "evaluate", folder, "--studies", theirs / "studies", "--table", theirs / "table.csv",
        "--out", tmp_path / "evaluation", "--config", settings, state=tmp_path,
    )  # fmt: skip
    assert evaluated.returncode == 0, evaluated.stderr
    assert f"{EXTERNAL} cases answered" in evaluated.stdout
    settings.write_text(settings.read_text().replace("demonstration = true", "demonstration = false"))
    refused = her2node(
        "evaluate", folder, "--studies", theirs / "studies", "--table", theirs / "table.csv",
        "--out", tmp_path / "again", "--config", settings, state=tmp_path,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "demonstration" in refused.stderr


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_package_of_the_sites_own_cases_goes_from_images_through_a_node_that_is_no_demonstration(
    tmp_path: Path,
) -> None:
    """The images are phantoms whose word that they are is taken off, and so stand for patients; where it is left on,
    the test above shows that no package for patients comes out."""
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    pair = keygen()
    private.write_bytes(pair.private_pem)
    public.write_bytes(pair.public_pem)
    written(tmp_path / "form", making.FORM)
    with (tmp_path / "table.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["study", "ihc", "metastasis", "metastasis_date", "specimen", "specimen_date"])
        for number, case in enumerate(cohort.cohort(SITE, 6, TEMPLATE)):
            of_a_patient(tmp_path / "studies" / f"case-{number:03d}", case.options)
            row = [f"case-{number:03d}", "3+" if number % 2 else "1+", number // 2 % 2, "2024-01-01"]
            table.writerow([*row, "biopsy", "2024-01-01"])
    done = her2node(
        "train", tmp_path / "form", "--as", "ours", "--studies", tmp_path / "studies", "--table",
        tmp_path / "table.csv", "--out", tmp_path / "out", "--key", private, state=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "phantoms" not in done.stdout
    folder = tmp_path / "out" / "packages" / "ours"
    settings = tmp_path / "her2node.toml"
    settings.write_text(
        f'state_dir = "{tmp_path / "state"}"\n[packages]\nenabled = ["ours"]\n'
        f'folders = ["{folder.parent}"]\ntrusted_keys = ["{public}"]\n'
    )
    (new,) = cohort.cohort(1, 7, TEMPLATE)
    of_a_patient(tmp_path / "new", new.options)
    read = her2node(
        "read", tmp_path / "new", "--out", tmp_path / "results", "--json", "--config", settings, state=tmp_path
    )
    assert read.returncode == 0, read.stderr
    told = json.loads(read.stdout)
    (estimate,) = (one for one in told["estimates"] if one["package"] == "ours@1.0.0")
    assert estimate["level"] == "site-trained"
    assert [one["probability"] for one in estimate["answers"]] == pytest.approx(
        _by_hand(folder, told["quantities"]), abs=1e-9
    )
    record = json.loads((folder / "training.json").read_bytes())
    assert len(record["patients_hmac"]) == SITE


def of_a_patient(folder: Path, options: PhantomOptions) -> None:
    """A phantom's study, whose headers say no more that it is one."""
    for path in write(ct.make(options), folder):
        dataset = dcmread(path)
        dataset.pop("QualityControlSubject", None)
        dataset.Manufacturer = "Maker"
        dataset.save_as(path, enforce_file_format=True)


def _by_hand(folder: Path, quantities: list[dict[str, Any]]) -> list[float]:
    """1 / (1 + exp(-(b0 + sum of b x))) from the coefficients in package.toml and the quantities that the node printed;
    of what nobody entered, for every value that it may have."""
    package = tomllib.loads((folder / "package.toml").read_text())
    said = package["logistic"]
    choices = [
        [float(value) for value in given["values"]]
        if given["source"] == "reader"
        else [next(one["value"] for one in quantities if _same(given, one))]
        for given in package["inputs"]
    ]
    slopes = [said["coefficients"][given["name"]] for given in package["inputs"]]
    odds = (said["intercept"] + sum(b * x for b, x in zip(slopes, case, strict=True)) for case in product(*choices))
    return [1 / (1 + math.exp(-one)) for one in odds]


def _same(given: dict[str, Any], one: dict[str, Any]) -> bool:
    keys = ("code", "modifier", "method")
    return "value" in one and all((one.get(k) or {}).get("value") == given.get(k, {}).get("value") for k in keys)


def _measured(state: Path, given: QuantityInput) -> npt.NDArray[np.float64]:
    """The values of an input in the findings that the training kept."""
    found = []
    for kept in (state / "state" / "findings").glob("*.json"):
        for quantity in json.loads(kept.read_text())["quantities"]:
            codes = [(quantity[key] or {}).get("value") for key in ("code", "modifier", "method")]
            wanted = [code.value if code else None for code in (given.code, given.modifier, given.method)]
            if codes == wanted:
                found.append(quantity["value"])
    assert len(found) == TRAINING
    return np.array(found)
