"""A study whose region was drawn in another frame of reference than the series that it is measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.dicom.codes import Derivation, Diffusion
from her2node.dicom.uids import derived_uid
from her2node.phantoms.diffusion import DiffusionOptions, make
from her2node.quantities.quantity import Quantity
from her2node.reading import Reading, read
from her2node.reports.report import ObjectKind
from her2node.reports.writing import write
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from tests.reports.gates import dciodvfy
from tests.reports.making import STAMP
from tests.rois import registering

OPTIONS = DiffusionOptions(b_values=(0, 50, 800), rows=64, columns=64, spacing_mm=4.0)
ELSEWHERE = derived_uid("another")


def moved(ds: Dataset) -> None:
    """The scanner moved its coordinates between the series and the outline: 12 mm to the left, 8 mm to the back."""
    if ds.Modality == "MR":
        ds.FrameOfReferenceUID = ELSEWHERE
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [float(x) + 12, float(y) + 8, float(z)]


def written(folder: Path, change: Callable[[Dataset], None] | None = None) -> list[Path]:
    paths = phantoms.write(make(OPTIONS), folder)
    for path in paths if change else ():
        ds = dcmread(path)
        change(ds)
        ds.save_as(path)
    return list(paths)


def registered(folder: Path, paths: list[Path], shift: tuple[float, float, float] = (12, 8, 0)) -> Study:
    first = next(ds for path in paths if (ds := dcmread(path, stop_before_pixels=True)).Modality == "RTSTRUCT")
    drawn_in = first.StructureSetROISequence[0].ReferencedFrameOfReferenceUID

    def of_the_patient(ds: Dataset) -> None:
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate"):
            setattr(ds, keyword, first.get(keyword, ""))

    reg = registering.spatial(folder, ELSEWHERE, {drawn_in: [registering.rigid(0, shift)]}, change=of_the_patient)
    return open_study([*paths, reg])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("moved")
    return registered(folder, written(folder, moved))


@pytest.fixture(scope="module")
def reading(study: Study) -> Reading:
    return read(study, ())


def adc(reading: Reading) -> Quantity:
    return next(q for q in reading.quantities if (q.code, q.modifier) == (Diffusion.ADC, Derivation.MEAN))


def test_the_region_is_measured_where_the_registration_leads_it(reading: Reading, tmp_path: Path) -> None:
    plain = read(open_study(written(tmp_path)), ())
    assert adc(reading).value == adc(plain).value
    (carried,), (drawn,) = reading.rois, plain.rois
    assert np.array_equal(carried.roi.mask, drawn.roi.mask)


def test_every_value_names_the_registration(reading: Reading) -> None:
    words = f"region carried by registration {registering.REG}"
    assert reading.quantities
    assert all(words in quantity.parameters for quantity in reading.quantities)


def test_the_report_names_the_registration_and_rests_on_it(reading: Reading, tmp_path: Path) -> None:
    (report,) = (one for one in write(reading, STAMP, [ObjectKind.REPORT]) if one.kind is ObjectKind.REPORT)
    path = tmp_path / "report.dcm"
    path.write_bytes(report.content())
    assert dciodvfy(path)[0] == []
    ds = dcmread(path)
    (evidence,) = ds.CurrentRequestedProcedureEvidenceSequence
    rests_on = {
        one.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert registering.REG in rests_on
    assert f"region carried by registration {registering.REG}" in ds.to_json()


def test_the_series_of_the_registration_plays_that_role(reading: Reading) -> None:
    (assignment,) = (a for a in reading.assignments if a.role is Role.REGISTRATION)
    assert assignment.series_instance_uid == f"{registering.REG}.1"
    assert not assignment.ignored


def test_without_the_registration_the_region_is_refused(study: Study) -> None:
    kept = tuple(series for series in study.series if series.modality != "REG")
    found = read(replace(study, series=kept), ())
    assert not found.rois
    (refused,) = (item for item in found.not_measured if item.roi)
    assert refused.refused.reason == "other-frame-of-reference"
    assert "no registration object says" in str(refused.refused)


def test_a_registration_that_a_reader_keeps_out_leads_nowhere(study: Study) -> None:
    found = read(study, (), entered_roles={f"{registering.REG}.1": None})
    assert [item.refused.reason for item in found.not_measured if item.roi] == ["other-frame-of-reference"]


def test_a_registration_with_a_flaw_is_named_where_it_was_needed(tmp_path: Path) -> None:
    study = registered(tmp_path, written(tmp_path, moved), shift=(1e7, 0, 0))
    (refused,) = (item for item in read(study, ()).not_measured if item.roi)
    assert refused.refused.reason == "registration-unusable"
    assert registering.REG in str(refused.refused)
