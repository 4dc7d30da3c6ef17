"""Whose study it is, who wrote, when: the same in every object, copied and never invented."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node.dicom.uids import is_valid_uid
from her2node.reading import Reading, read
from her2node.reports import ObjectKind, Predecessor, Stamp, write
from her2node.selection.study import open_study
from her2node.settings import ObjectKind as SettingsKind
from tests.reports import gates, making
from tests.reports.conftest import Case
from tests.reports.test_charset import TINY

TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip


def _reading(folder: Path, *absent: str) -> Reading:
    def strip(ds: Dataset) -> None:
        for keyword in absent:
            if keyword in ds:
                delattr(ds, keyword)

    making.folder_of(folder, TINY, strip)
    return read(open_study(sorted(folder.rglob("*.dcm"))), ())


def test_kinds_are_those_of_the_settings() -> None:
    assert {kind.value for kind in ObjectKind} == set(SettingsKind.__args__)


@pytest.mark.parametrize(
    ("which", "kinds"), [("classic", making.ALL), ("enhanced", making.MOST), ("real", making.MOST)]
)
def test_the_same_reading_and_stamp_give_the_same_bytes(
    request: pytest.FixtureRequest, which: str, kinds: tuple[ObjectKind, ...]
) -> None:
    case: Case = request.getfixturevalue(which)
    again = write(case.reading, replace(making.STAMP, predecessors=()), kinds)
    assert len(again) >= 3
    assert all(report.content() == case.reports[report.kind].content() for report in again)


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    making.folder_of(tmp_path, TINY)
    program = (
        "import hashlib; from pathlib import Path; from tests.reports import making;"
        "from her2node.reports import write; from her2node.reading import read;"
        "from her2node.selection.study import open_study;"
        f"r = read(open_study(sorted(Path({str(tmp_path)!r}).rglob('*.dcm'))), ());"
        "print([hashlib.sha256(x.content()).hexdigest() for x in write(r, making.STAMP, making.MOST)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": "4711", "PATH": "/usr/bin"},
    )  # fmt: skip
    reading = read(open_study(sorted(tmp_path.rglob("*.dcm"))), ())
    here = [hashlib.sha256(x.content()).hexdigest() for x in write(reading, making.STAMP, making.MOST)]
    assert done.stdout.strip() == str(here)


@pytest.mark.parametrize(
    "other",
    [
        replace(making.STAMP, edition=3),
        replace(making.STAMP, input_hash="00"),
        replace(making.STAMP, version="0.1.1"),
        replace(making.STAMP, moment=datetime.fromisoformat("2025-03-04T15:06:08+08:00")),
        replace(making.STAMP, device_uid="2.25.9"),
        replace(making.STAMP, predecessors=()),
    ],
)
def test_whatever_shapes_an_object_shapes_its_uids(other: Stamp) -> None:
    uids = {stamp.uid("2.25.1", kind, what) for stamp in (making.STAMP, other) for kind in ObjectKind for what in "ab"}
    assert len(uids) == 2 * len(ObjectKind) * 2
    assert all(map(is_valid_uid, uids))


def test_a_stamp_without_a_zone_is_no_stamp() -> None:
    with pytest.raises(ValueError, match="time zone"):
        replace(making.STAMP, moment=datetime.fromisoformat("2025-03-04T15:06:07"))


def test_no_date_or_time_is_the_clock_s(case: Case) -> None:
    study_day = {case.reading.study.series[0].first.get("StudyDate")}
    for report in case.reports.values():
        for element in report.dataset.iterall():
            if element.VR == "DA" and element.value and element.keyword.startswith(("Instance", "Series", "Content")):
                assert element.value == "20250304"
            if element.VR in ("DT", "DA") and element.value:
                assert str(element.value)[:4] in {"2025", *(str(day)[:4] for day in study_day)} or (
                    element.keyword == "PatientBirthDate"
                )


def test_the_moment_is_written_in_the_zone_that_the_source_declares(tmp_path: Path) -> None:
    making.folder_of(tmp_path, TINY, lambda ds: setattr(ds, "TimezoneOffsetFromUTC", "-0330"))
    reading = read(open_study(sorted(tmp_path.rglob("*.dcm"))), ())
    ds = write(reading, making.STAMP, ("report",))[0].dataset
    assert (ds.ContentDate, ds.ContentTime, ds.TimezoneOffsetFromUTC) == ("20250304", "033607.080910", "-0330")


def test_every_object_says_what_it_is_not_for(case: Case) -> None:
    for report in case.reports.values():
        assert report.dataset.SeriesDescription.startswith("HER2 AI - not for diagnosis -")
        assert report.dataset.Manufacturer == "her2node"
        assert report.dataset.SoftwareVersions == "0.1.0"
    numbers = [report.dataset.SeriesNumber for report in case.reports.values()]
    assert len(set(numbers)) == len(numbers)


def test_series_numbers_keep_clear_of_the_study_s_own(tmp_path: Path) -> None:
    making.folder_of(tmp_path, TINY, lambda ds: setattr(ds, "SeriesNumber", 9204))
    reading = read(open_study(sorted(tmp_path.rglob("*.dcm"))), ())
    assert [r.dataset.SeriesNumber for r in write(reading, making.STAMP, making.ALL)] == [9211, 9212, 9213, 9214, 9215]


@pytest.mark.truth
def test_absent_attributes_of_type_2_become_empty_and_every_object_stays_valid(tmp_path: Path) -> None:
    reading = _reading(tmp_path / "study", *TYPE_2, "SliceThickness", "PositionReferenceIndicator", "StudyDescription")
    reports = (
        *write(reading, making.STAMP, making.ALL),
        *write(making.nothing_read(reading), making.STAMP, making.ALL),
    )
    assert len(reports) == 8
    for report in reports:
        for keyword in TYPE_2:
            assert report.dataset[keyword].is_empty, keyword
        assert "StudyDescription" not in report.dataset
        file = making.write_files((report,), tmp_path / "out")[report.kind]
        assert gates.dciodvfy(file)[0] == []


def test_a_value_that_breaks_its_rules_is_left_empty(tmp_path: Path) -> None:
    reading = _reading(tmp_path)
    for instance in reading.study.instances:
        instance.header.PatientSex = "U"
        with warnings.catch_warnings(action="ignore"):
            instance.header.PatientAge = "60"
    ds = write(reading, making.STAMP, ("report",))[0].dataset
    assert ds.PatientSex == ""
    assert "PatientAge" not in ds


def test_study_and_patient_are_those_of_the_source(case: Case) -> None:
    source = dcmread(case.sources[0], stop_before_pixels=True)
    for report in case.reports.values():
        for keyword in (*TYPE_2, "StudyDescription", "StudyInstanceUID", "PatientAge"):
            assert report.dataset.get(keyword) == source.get(keyword), keyword


def test_a_report_names_those_of_its_kind_that_it_takes_the_place_of(classic: Case) -> None:
    sr = "1.2.840.10008.5.1.4.1.1.88.34"
    stamp = replace(
        making.STAMP,
        predecessors=(
            Predecessor(ObjectKind.COULD_NOT, sr, "2.25.1", "2.25.11"),
            Predecessor(ObjectKind.OUTLINE, sr, "2.25.2", "2.25.12"),
            Predecessor(ObjectKind.SEGMENTATION, "1.2.840.10008.5.1.4.1.1.66.4", "2.25.3", "2.25.13"),
        ),
    )
    found = {report.kind: report.dataset for report in write(classic.reading, stamp, making.ALL)}

    def named(ds: Dataset) -> list[tuple[str, str, str]]:
        return [
            (study.StudyInstanceUID, series.SeriesInstanceUID, one.ReferencedSOPInstanceUID)
            for study in ds.get("PredecessorDocumentsSequence", ())
            for series in study.ReferencedSeriesSequence
            for one in series.ReferencedSOPSequence
        ]

    study = classic.reading.study.study_instance_uid
    assert named(found[ObjectKind.REPORT]) == [(study, "2.25.11", "2.25.1")]
    assert named(found[ObjectKind.OUTLINE]) == [(study, "2.25.12", "2.25.2")]
    assert named(found[ObjectKind.SEGMENTATION]) == []


def test_equipment_that_contributed_is_named_but_packages_not_in_the_segmentation(classic: Case) -> None:
    def models(kind: ObjectKind) -> list[str]:
        return [item.ManufacturerModelName for item in classic.reports[kind].dataset.ContributingEquipmentSequence]

    scanner = classic.reading.study.series[0].first.ManufacturerModelName
    assert models(ObjectKind.REPORT) == [scanner, "synthetic-demo", "lee2017-portal-liver"]
    assert models(ObjectKind.SEGMENTATION) == [scanner]
