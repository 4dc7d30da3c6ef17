"""Every object passes the validators and readers of others."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highdicom.sr import MeasurementsAndQualitativeEvaluations, PlanarROIMeasurementsAndQualitativeEvaluations

from her2node import phantoms
from her2node.dicom.codes import Quantity as Concept
from her2node.reading import read
from her2node.reports import ObjectKind, document, write
from her2node.reports.drawn import outline_groups
from her2node.selection.study import open_study
from tests.conftest import system_tool
from tests.reports import gates, making
from tests.reports.conftest import Case

SR = (ObjectKind.REPORT, ObjectKind.OUTLINE, ObjectKind.COULD_NOT)

pytestmark = pytest.mark.truth


@pytest.mark.parametrize("kind", list(ObjectKind))
def test_dciodvfy_finds_no_error_and_no_warning_that_the_source_does_not_have(case: Case, kind: ObjectKind) -> None:
    errors, warnings = gates.dciodvfy(case.files[kind])
    of_the_source = ("DICOMDIR", "Patient's Name", "GEIIS") if "CRLM" in str(case.reading.study.instances) else ()
    assert errors == []
    assert [line for line in warnings if not any(known in line for known in of_the_source)] == []


def test_dcentvfy_finds_the_set_with_its_sources_consistent_and_nothing_missing(case: Case) -> None:
    found = gates.dcentvfy([*case.files.values(), *case.sources])
    ours = {str(file) for file in case.files.values()}
    assert [line for line in found if any(file in line for file in ours)] == []


def test_dcmqi_reads_back_every_number_code_and_tracking_uid(case: Case, tmp_path: Path) -> None:
    """dcmqi tells one source series of a group: a number that compares series is looked for under any of its own."""
    groups = gates.measurement_groups(case.files[ObjectKind.REPORT], tmp_path)
    for quantity in case.reading.quantities:
        ((group, item),) = (
            (group, item)
            for group in groups
            if group["TrackingIdentifier"] == quantity.roi
            and group["SourceSeriesForImageSegmentation"] in quantity.series_uids
            for item in group["measurementItems"]
            if _names(item) == (quantity.code.value, quantity.modifier and quantity.modifier.value)
            and float(item["value"]) == pytest.approx(quantity.value, rel=1e-12)
        )
        assert item["quantity"]["CodingSchemeDesignator"] == quantity.code.scheme
        assert item["units"]["CodeValue"] == quantity.unit.value
        roi = next(laid.roi for laid in case.reading.rois if laid.roi.tracking_id == quantity.roi)
        assert group["TrackingUniqueIdentifier"] == roi.tracking_uid
        assert group["segmentationSOPInstanceUID"] == case.reports[ObjectKind.SEGMENTATION].sop_instance_uid


def _names(item: dict[str, Any]) -> tuple[str, str | None]:
    return item["quantity"]["CodeValue"], item.get("derivationModifier", {}).get("CodeValue")


def test_dcmqi_reads_back_every_answer_with_its_coded_word(case: Case, tmp_path: Path) -> None:
    groups = gates.measurement_groups(case.files[ObjectKind.REPORT], tmp_path)
    found = [
        (
            float(item["value"]),
            next(
                evaluation["conceptValue"]["CodeValue"].lower()
                for evaluation in group["qualitativeEvaluations"]
                if evaluation["conceptCode"]["CodeValue"] == "HER2-EST"
            ),
        )
        for group in groups
        for item in group["measurementItems"]
        if item["quantity"]["CodeValue"] == "P-HER2POS"
    ]
    answers = [answer for prediction in case.reading.predictions for answer in prediction.answers]
    assert [word for _, word in found] == [answer.category.value for answer in answers]
    assert [value for value, _ in found] == pytest.approx([answer.probability for answer in answers])


def test_dcmqi_reads_back_every_voxel_of_the_region_at_its_place(case: Case, tmp_path: Path) -> None:
    found = gates.segments(case.files[ObjectKind.SEGMENTATION], tmp_path)
    referenced = case.reports[ObjectKind.SEGMENTATION].dataset.ReferencedSeriesSequence[0].SeriesInstanceUID
    laid = [one for one in case.reading.rois if one.series_instance_uid == referenced]
    assert len(found) == len(laid) == 1
    truth = laid[0].roi.geometry.to_patient(np.argwhere(laid[0].roi.mask))
    truth = truth[np.lexsort(np.round(truth, 2).T)]
    assert found[0].positions_mm() == pytest.approx(truth, abs=0.011)
    assert found[0].said["TrackingUniqueIdentifier"] == laid[0].roi.tracking_uid
    assert found[0].said["TrackingIdentifier"] == laid[0].roi.tracking_id
    assert found[0].said["SegmentedPropertyTypeCodeSequence"]["CodeValue"] == "372087000"


@pytest.mark.parametrize("kind", SR)
@pytest.mark.parametrize("program", ["dsrdump", "dsr2html"])
def test_dcmtk_reads_every_structured_report(case: Case, kind: ObjectKind, program: str) -> None:
    done = gates.run(system_tool(program), "+U8", case.files[kind])
    assert done.returncode == 0, done.stderr
    assert "Research use only" in done.stdout or "Research use..." in done.stdout or "Research us" in done.stdout
    assert all("VR checker" in line for line in done.stderr.splitlines() if line.strip())


def test_dcmtk_gets_the_picture_and_the_document_back(case: Case, tmp_path: Path) -> None:
    ppm, pdf = tmp_path / "page.ppm", tmp_path / "page.pdf"
    assert gates.run(system_tool("dcm2pnm"), case.files[ObjectKind.SUMMARY_IMAGE], ppm).returncode == 0
    image = case.reports[ObjectKind.SUMMARY_IMAGE].dataset
    pixels = ppm.read_bytes()[-image.Rows * image.Columns * 3 :]
    assert pixels == image.PixelData[: len(pixels)]
    assert gates.run(system_tool("dcm2pdf"), case.files[ObjectKind.SUMMARY_DOCUMENT], pdf).returncode == 0
    document = case.reports[ObjectKind.SUMMARY_DOCUMENT].dataset
    assert pdf.read_bytes().startswith(b"%PDF-1.4")
    assert pdf.read_bytes().rstrip(b"\0") == document.EncapsulatedDocument.rstrip(b"\0")
    if shutil.which("pdftoppm"):
        assert gates.run("pdftoppm", "-png", "-r", "50", pdf, tmp_path / "page").returncode == 0
        assert len(list(tmp_path.glob("page-*.png"))) == 1


def test_pixelmed_finds_no_error_in_the_text_report(tmp_path: Path) -> None:
    options = replace(making.SMALL, phases=(phantoms.Phase.PORTAL,))
    files = making.write_files(write(_read(tmp_path / "study", options), making.STAMP, ("report",)), tmp_path / "out")
    assert gates.pixelmed(files[ObjectKind.REPORT]) == []


@pytest.mark.soak
@pytest.mark.parametrize("kind", [ObjectKind.REPORT, ObjectKind.COULD_NOT])
def test_pixelmed_finds_no_error_in_any_kind_of_text_report(case: Case, kind: ObjectKind) -> None:
    assert gates.pixelmed(case.files[kind]) == []


@pytest.mark.soak
def test_pixelmed_only_misjudges_an_outline_with_axes(case: Case) -> None:
    found = gates.pixelmed(case.files[ObjectKind.OUTLINE])
    assert all("Template 1410" in line and "Missing conditional content item" in line for line in found), found


@pytest.mark.soak
@pytest.mark.parametrize(
    "alone", [PlanarROIMeasurementsAndQualitativeEvaluations, MeasurementsAndQualitativeEvaluations]
)
def test_pixelmed_finds_no_error_in_outline_or_axes_alone(
    classic: Case, alone: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [drawn for drawn in outline_groups(classic.reading) if isinstance(drawn[0], alone)]
    assert len(groups) == 1
    monkeypatch.setattr(document, "outline_groups", lambda _: groups)
    files = making.write_files(write(classic.reading, making.STAMP, ("outline",)), tmp_path)
    assert gates.pixelmed(files[ObjectKind.OUTLINE]) == []


def test_dcmqi_reads_back_both_axes_of_the_outline(case: Case, tmp_path: Path) -> None:
    groups = gates.measurement_groups(case.files[ObjectKind.OUTLINE], tmp_path)
    lines = next(group for group in groups if "Bidirectional" in group["TrackingIdentifier"])
    read_back = {item["quantity"]["CodeValue"]: float(item["value"]) for item in lines["measurementItems"]}
    series = next(one.series_instance_uid for one in case.reading.rois if one.roi.tracking_id == case.reading.tumour)
    measured = {
        quantity.code.value: quantity.value
        for quantity in case.reading.quantities
        if quantity.code in (Concept.LONG_AXIS, Concept.SHORT_AXIS) and quantity.series_uids == (series,)
    }
    assert read_back == pytest.approx(measured, rel=1e-12)


@pytest.mark.soak
def test_pixelmed_finds_no_error_in_estimates_without_a_region(classic: Case, tmp_path: Path) -> None:
    reading = replace(making.nothing_read(classic.reading), predictions=(making.open_lee(None),))
    files = making.write_files(write(reading, making.STAMP, ("report",)), tmp_path)
    assert gates.pixelmed(files[ObjectKind.REPORT]) == []


@pytest.mark.soak
def test_pixelmed_only_misjudges_a_report_that_mixes_kinds_of_groups(classic: Case, tmp_path: Path) -> None:
    reading = replace(classic.reading, predictions=(making.open_lee(None),))
    files = making.write_files(write(reading, making.STAMP, ("report",)), tmp_path)
    found = gates.pixelmed(files[ObjectKind.REPORT])
    assert all("Template 1411" in line and "Missing conditional content item" in line for line in found), found


def _read(folder: Path, options: phantoms.PhantomOptions) -> making.Reading:
    making.folder_of(folder, options)
    reading = read(open_study(sorted(folder.rglob("*.dcm"))), ())
    return replace(reading, predictions=(making.closed_demo(reading.tumour, reading.measured[0].series_instance_uid),))
