"""The demonstration's parts without a running node: what is planned, compared, read out of reports and told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from rich.console import Console

from her2node.dicom.codes import Uptake
from her2node.errors import Refused, Transient
from her2node.ledger.story_records import StudyLine
from her2node.phantoms import RoiForm, ct, write
from her2node.phantoms.shapes import Ellipsoid
from her2node.service import demo, folders
from her2node.service.demonstration import running, studies
from her2node.service.demonstration.comparison import Comparison, compare
from her2node.service.demonstration.overlap import compare_drawn
from her2node.service.demonstration.studies import Kind, Shown, plan
from her2node.service.demonstration.told import Told, ToldStudy, tell
from tests.scenarios.node import ROOT, until

KINDS = list(Kind)


@pytest.fixture(scope="module")
def pet() -> Shown:
    return plan(Kind.PET)


@pytest.fixture(scope="module")
def returned(pet: Shown, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What the node would send back of the PET, by the demonstration's own settings."""
    folder = tmp_path_factory.mktemp("pet")
    write(pet.study, folder / "images")
    (folder / "images" / "truth.json").unlink()
    settings = running.write_settings(folder, 11113)
    return [path for _, path in folders.read(settings, folder / "images", folder / "out", None, {}).files]


@pytest.fixture(scope="module")
def told(pet: Shown, returned: list[Path]) -> ToldStudy:
    return tell(pet, None, returned, 0.0, delivered=True)


def report_of(files: Sequence[Path]) -> Dataset:
    return next(dcmread(file) for file in files if file.name == "report.dcm")


@pytest.mark.parametrize("kind", KINDS)
def test_every_study_has_truths_at_tolerances_far_within_them(kind: Kind) -> None:
    shown = plan(kind)
    assert len(shown.expected) >= 3
    assert len({one.name for one in shown.expected}) == len(shown.expected)
    for one in shown.expected:
        assert 0 < one.tolerance <= (0.15 if shown.to_draw else 0.1) * one.truth, one.name


def test_no_two_studies_are_one() -> None:
    assert len({plan(kind).study.study_instance_uid for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_planted_is_what_the_phantoms_own_truth_says(kind: Kind) -> None:
    shown = plan(kind)
    assert shown.planted == shown.study.as_json()["her2_probability"]


def test_the_ct_comes_without_a_region_and_everything_else_with_one() -> None:
    for kind in KINDS:
        shown = plan(kind)
        modalities = {str(ds.Modality) for ds in shown.study.datasets}
        assert bool(modalities & {"SEG", "RTSTRUCT"}) is (shown.to_draw is None), kind
        assert (shown.to_draw is not None) is (kind is Kind.CT)


def test_a_report_of_the_truth_agrees_and_its_packages_are_told_with_what_was_planted(told: ToldStudy) -> None:
    assert told.succeeded, [row for row in told.comparisons if not row.agrees]
    assert {one.package.split()[0] for one in told.answers} == {
        "zhangjn2016-suvmax",
        "mi-uptake-volume-demo",
        "chen2016-suvmax-demo",
        "park-suvmax-demo",
        "bai-suvmax-demo",
    }
    assert {one.level for one in told.answers} == {"published-threshold", "synthetic-demo"}
    silent = {one.package.split()[0]: one.reason for one in told.silent}
    assert silent["ji2017-adc"] == "no series of MR"
    assert silent["synthetic-demo-ct"] == "no series of CT"
    assert silent["pumc2022-mtv"].startswith("measured only, mtv ")
    demo_answer = next(one for one in told.answers if one.level == "synthetic-demo")
    assert demo_answer.probability == pytest.approx(told.planted, abs=0.25)  # the fit had 80 phantoms


def test_a_number_off_its_truth_differs_and_so_does_one_that_is_not_there(pet: Shown, returned: list[Path]) -> None:
    highest = pet.expected[0]
    off = replace(highest, truth=highest.truth * 1.01)
    absent = replace(highest, concept=Uptake.SIGNET_RING)
    found = compare(report_of(returned), [highest, off, absent])
    assert [row.agrees for row in found] == [True, False, False]
    assert found[2].value is None
    assert not any(row.agrees for row in compare(None, pet.expected))


def test_of_several_numbers_that_are_meant_the_worst_counts(pet: Shown, returned: list[Path]) -> None:
    report, highest = report_of(returned), pet.expected[0]
    (group,) = [g for g in _groups(report) if any(_is_highest(item) for item in g.ContentSequence)]
    other = dcmread(next(file for file in returned if file.name == "report.dcm"))
    (again,) = [g for g in _groups(other) if any(_is_highest(item) for item in g.ContentSequence)]
    wrong = next(item for item in again.ContentSequence if _is_highest(item))
    wrong.MeasuredValueSequence[0].NumericValue = "3.5"
    wrong.MeasuredValueSequence[0].pop("FloatingPointValue", None)
    group.ContentSequence.append(wrong)
    assert compare(report, [highest])[0].value == 3.5


def _groups(report: Dataset) -> list[Dataset]:
    measurements = (c for c in report.ContentSequence if c.ConceptNameCodeSequence[0].get("CodeValue") == "126010")
    return [group for container in measurements for group in container.ContentSequence]


def _is_highest(item: Dataset) -> bool:
    derived = {
        c.ConceptCodeSequence[0].get("CodeValue") for c in item.get("ContentSequence", []) if c.ValueType == "CODE"
    }
    return item.ConceptNameCodeSequence[0].get("CodeValue") == Uptake.SUVBW.value and "56851009" in derived


def test_a_study_without_a_report_or_with_two_fails_the_demonstration(pet: Shown, returned: list[Path]) -> None:
    nothing = tell(pet, None, [], 0.0, delivered=True)
    twice = tell(pet, None, [*returned, *returned], 0.0, delivered=True)
    assert (nothing.reports, nothing.succeeded) == (0, False)
    assert (twice.reports, twice.succeeded) == (2, False)
    assert not Told((tell(pet, None, returned, 0.0, delivered=True), nothing), 1.0, Path()).succeeded
    assert not Told((), 1.0, Path()).succeeded


def test_a_study_of_which_something_never_arrived_fails_the_demonstration_and_is_told(told: ToldStudy) -> None:
    late = replace(told, delivered=False)
    console = Console(record=True, width=200)
    late.print(console)
    assert "MISSING: not all results were delivered" in console.export_text()
    assert (late.as_json()["delivered"], late.as_json()["succeeded"]) == (False, False)
    assert told.as_json()["delivered"]
    assert not Told((told, late), 1.0, Path()).succeeded


def test_a_study_whose_map_the_pacs_refused_is_not_delivered() -> None:
    def line(*states: str) -> StudyLine:
        now = datetime.now(UTC)
        return StudyLine("1.2.3", "CT", now, now, 1, "read", "", 9, 0, len(states), Counter(states))

    assert running.delivered(line("sent", "confirmed"))
    assert not running.delivered(line("sent", "refused"))
    assert not running.delivered(line("sent", "due"))
    assert not running.delivered(line())


def test_what_is_printed_names_each_number_and_what_differs(told: ToldStudy) -> None:
    console = Console(record=True, width=200)
    row = told.comparisons[0]
    spoilt = replace(told, comparisons=(replace(row, value=1.0), Comparison("never measured", None, 1.0, "1", 0.1)))
    Told((told, spoilt), 12.0, Path("somewhere")).print(console)
    text = console.export_text()
    assert all(one.name in text for one in told.comparisons)
    assert text.count("DIFFERS") == 2
    assert f"planted in the phantom: {told.planted:.3f}" in text
    assert "no estimate: ji2017-adc 1.0.0" in text
    assert f"2 studies, 2 reports, {len(told.comparisons)} of {len(told.comparisons) + 2} numbers agree" in text


def test_json_holds_what_is_printed(told: ToldStudy) -> None:
    said = json.loads(json.dumps(Told((told,), 12.0, Path("somewhere")).as_json()))
    (study,) = said["studies"]
    assert said["succeeded"] is study["succeeded"] is True
    assert study["kind"] == "pet"
    assert [row["name"] for row in study["comparisons"]] == [row.name for row in told.comparisons]
    assert {row["package"] for row in study["estimates"]} == {one.package for one in told.answers}
    assert len(study["arrived"]) == len(told.arrived)


def test_a_region_that_is_the_tumour_has_dice_one_and_a_shifted_one_fails(tmp_path: Path) -> None:
    study = ct.make(replace(studies.CT_OPTIONS, rows=64, columns=64, slices=16, slice_spacing_mm=7.5))
    drawn = ct.make(replace(study.options, rois=(RoiForm.BINARY,)))
    (file,) = [path for path in write(drawn, tmp_path) if dcmread(path, stop_before_pixels=True).Modality == "SEG"]
    own = compare_drawn(file, drawn)
    assert (own.value, own.agrees) == (1.0, True)
    tumour = drawn.anatomy.tumour
    x, y, z = tumour.shape.centre_mm
    elsewhere = Ellipsoid((x + 15, y, z), tumour.shape.semi_axes_mm, tumour.shape.axes)
    moved = replace(drawn, anatomy=replace(drawn.anatomy, tumour=replace(tumour, shape=elsewhere)))
    assert not compare_drawn(file, moved).agrees
    assert not compare_drawn(None, drawn).agrees


def test_a_study_that_there_is_not_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no study xray"):
        demo.run(tmp_path / "out", ["pet", "xray"], print)
    assert not (tmp_path / "out").exists()


def test_a_node_that_has_ended_is_told_at_once_with_its_log(returned: list[Path], tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    ended = running.RunningNode(running.write_settings(tmp_path, 11113), process, tmp_path / "node.log")
    with pytest.raises(Transient, match="ended"):
        running.send(ended, returned)
    with pytest.raises(Transient, match="ended"):
        running.wait(ended, ["1.2.3"])


@pytest.mark.timeout(600)
def test_a_demonstration_that_is_told_to_end_leaves_no_process_behind(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "her2node", "demo", "--only", "diffusion", "--out", str(folder)]
    with (tmp_path / "said").open("wb") as said:
        demonstration = subprocess.Popen(command, stdout=said, stderr=said, cwd=ROOT, start_new_session=True)
    try:
        until(lambda: _role_of(folder, "up") and _role_of(folder, "work"), 250, "a node with its roles")
        demonstration.terminate()
        assert demonstration.wait(250) == 128 + signal.SIGTERM, (tmp_path / "said").read_text()
        until(lambda: not _processes_of(folder), 60, "the end of all roles")
    finally:
        for process in _processes_of(folder):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        demonstration.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_the_demonstration_leaves_it_as_an_exception_and_is_told_by_its_exit_status(
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as told, demo.ended_by_signal():
        signal.raise_signal(number)
    assert told.value.code == 128 + number
    assert signal.getsignal(number) == before


def _role_of(folder: Path, role: str) -> bool:
    return any(role in command for command in _processes_of(folder).values())


def _processes_of(folder: Path) -> dict[int, list[str]]:
    """Process and command line of all that were started with a file of this folder."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended as we looked
            command = entry.read_text(errors="replace").split("\0")
            if any(argument.startswith(str(folder)) for argument in command):
                found[int(entry.parent.name)] = command
    return found


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(Refused, match="not empty"):
        demo.run(tmp_path, [], print)
