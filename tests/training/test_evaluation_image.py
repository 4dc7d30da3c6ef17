"""An image package on an external cohort: from phantoms through the node's own reading to the report."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from her2node import reading
from her2node.errors import DemonstrationOnly, PackageRefused, PatientInTwoFolds
from her2node.models.package import SHIPPED, load, shipped_trust
from her2node.phantoms import PhantomOptions, ct, write
from her2node.phantoms.anatomy import Phase
from her2node.selection.study import open_study
from her2node.service import training
from her2node.service.workshop import methods_of
from her2node.settings import Settings
from her2node.training.packaging import study_digest
from tests.models.image.made import write as write_beholder
from tests.models.making import make_keys

NAME = "synthetic-demo-image"
BOTH = PhantomOptions(rows=96, columns=96, slices=24, slice_spacing_mm=5.0, phases=(Phase.ARTERIAL, Phase.PORTAL))
CASES = {
    "first": (replace(BOTH, seed=4), "3+"),
    "second": (replace(BOTH, seed=5), "0"),
    "thick": (replace(BOTH, seed=7, slices=12, slice_spacing_mm=10.0), "3+"),
    "one phase": (replace(BOTH, seed=8, phases=(Phase.PORTAL,)), "0"),
    "no outline": (replace(BOTH, seed=9, rois=()), "0"),
    "unsure": (replace(BOTH, seed=10, phases=(Phase.PORTAL,), slices=2), "2+"),
}
"""Options and IHC of each study."""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    with (folder / "table.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["study", "ihc"])
        for name, (options, ihc) in CASES.items():
            write(ct.make(options), folder / "studies" / name)
            table.writerow([name, ihc])
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(state_dir=tmp_path_factory.mktemp("state"), demonstration=True, packages={"enabled": []})


@pytest.fixture(scope="module")
def found(cohort: Path, settings: Settings) -> training.Evaluated:
    return training.evaluate(settings, NAME, cohort / "studies", cohort / "table.csv", cohort / "out")


def files(cohort: Path, name: str) -> list[Path]:
    return sorted((cohort / "studies" / name).rglob("*.dcm"))


def test_what_the_node_refuses_is_left_out_with_the_reason(found: training.Evaluated) -> None:
    left_out = dict(found.evaluation.excluded)
    assert left_out.keys() == {"one phase", "no outline", "unsure"}
    assert "arterial" in left_out["one phase"]
    assert left_out["no outline"].startswith("No region of interest was given")
    assert left_out["unsure"] == "IHC 2+ without ISH"


def test_an_answer_is_that_of_the_node_flags_and_all(
    found: training.Evaluated, cohort: Path, settings: Settings
) -> None:
    package = load(SHIPPED / NAME, shipped_trust())
    node = reading.read(
        open_study(files(cohort, "thick")), (package,), demonstration=True, methods=methods_of(settings)
    )
    (said,) = node.predictions
    case = found.evaluation.answered[2]
    assert case.study_instance_uid == node.study.study_instance_uid
    assert (case.probability, case.category) == (said.answers[0].probability, said.answers[0].category)
    assert case.flags == said.flags
    assert len(node.maps) == 1


def test_the_report_counts_flags_and_gives_the_area(found: training.Evaluated) -> None:
    html, pdf = found.report
    page = html.read_text()
    assert f"{NAME} 1.0.0 on an external cohort" in page
    assert "3 cases, 2 positive" in page
    assert "AUC (DeLong)" in page
    assert "<td>slice-thickness</td><td>1</td>" in page
    assert pdf.read_bytes().startswith(b"%PDF")


def test_evaluating_again_reads_no_image(
    found: training.Evaluated, cohort: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwanted(*_: object, **__: object) -> reading.Reading:
        raise AssertionError("a study was read again")

    monkeypatch.setattr("her2node.service.training.reading.read", unwanted)
    again = training.evaluate(settings, NAME, cohort / "studies", cohort / "table.csv", cohort / "again")
    assert again.evaluation == found.evaluation


def test_outside_demonstration_mode_a_demonstration_is_not_evaluated(cohort: Path, settings: Settings) -> None:
    real = settings.model_copy(update={"demonstration": False})
    with pytest.raises(DemonstrationOnly):
        training.evaluate(real, NAME, cohort / "studies", cohort / "table.csv", cohort / "none")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("synthetic-demo-segmenter", "lay the regions that it draws beside readers'"),
        ("wangshuxing2021-radscore", "train it first"),
        ("ji2017-f", "can be trained"),
    ],
)
def test_what_gives_no_probability_is_refused_by_name_with_what_to_do(
    name: str, remedy: str, cohort: Path, settings: Settings
) -> None:
    with pytest.raises(PackageRefused, match=f"{name} is of the kind .* gives no probability") as refused:
        training.evaluate(settings, name, cohort / "studies", cohort / "table.csv", cohort / "none")
    assert remedy in refused.value.remedy


def test_a_study_that_trained_an_image_package_is_refused(cohort: Path, tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    study = open_study(files(cohort, "first")).study_instance_uid
    record = f'{{"studies_sha256": ["{study_digest(study)}"]}}'.encode()
    package = write_beholder(tmp_path, keys, **{"training.json": record})
    site = Settings(state_dir=tmp_path / "state", packages={"enabled": [], "trusted_keys": [keys.public]})
    with pytest.raises(PatientInTwoFolds, match="first is one that beholder was trained on"):
        training.evaluate(site, str(package), cohort / "studies", cohort / "table.csv", tmp_path / "out")
