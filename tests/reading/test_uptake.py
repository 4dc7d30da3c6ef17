"""A whole-body PET with outlined lesions, from files to a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from her2node.dicom.codes import Answer, Derivation, Document, Uptake
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.reading import Methods, Reading, read, uptake
from her2node.reports.report import ObjectKind
from her2node.reports.writing import write
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from tests.reports.gates import dciodvfy, measurement_groups, parametric_map
from tests.reports.making import STAMP
from tests.volumes.made import pet_series


@pytest.fixture(scope="module")
def study(shared: Path) -> Study:
    folder = shared / "data" / "petct-qin0024-pet-seg"
    return open_study(sorted(path for path in folder.rglob("*") if path.suffix in ("", ".dcm") and path.is_file()))


@pytest.fixture(scope="module")
def reading(study: Study) -> Reading:
    return read(study, ())


@pytest.mark.truth
def test_the_primary_of_a_whole_body_pet_is_measured(reading: Reading) -> None:
    assert Role.PET in {assignment.role for assignment in reading.assignments}
    (highest,) = (q for q in reading.quantities if (q.code, q.modifier) == (Uptake.SUVBW, Derivation.MAXIMUM))
    assert highest.value == pytest.approx(4.4264, abs=5e-5)
    refused = {item.code for item in reading.not_measured if isinstance(item, NotMeasured)}
    assert {Uptake.SUVLBM_JANMAHASATIAN, Uptake.SUVLBM_JAMES128, Uptake.SUVBSA} <= refused


def test_a_report_on_pet_alone_passes_the_validator(reading: Reading, tmp_path: Path) -> None:
    for one in write(reading, STAMP, [ObjectKind.REPORT, ObjectKind.OUTLINE, ObjectKind.SEGMENTATION]):
        path = tmp_path / f"{one.kind}.dcm"
        path.write_bytes(one.content())
        errors, _ = dciodvfy(path)
        assert errors == []
    report = dcmread(tmp_path / "report.dcm")
    said = report.to_json()
    assert Document.PET_PROCEDURE.value in said
    assert "g/ml{SUVbw}" in said


def test_the_uptake_of_a_whole_body_is_a_parametric_map_that_others_read(reading: Reading, tmp_path: Path) -> None:
    (one,) = reading.maps
    (found,) = write(reading, STAMP, [ObjectKind.PARAMETRIC_MAP])
    path = tmp_path / "map.dcm"
    path.write_bytes(found.content())
    assert dciodvfy(path)[0] == []
    back = parametric_map(path, tmp_path / "dcmqi")
    assert back.said["QuantityValueCode"]["CodeValue"] == Uptake.SUVBW.value
    assert back.said["MeasurementUnitsCode"]["CodeValue"] == "g/ml{SUVbw}"
    assert np.array_equal(back.voxels, one.voxels)
    assert back.origin_mm == pytest.approx(one.geometry.origin_mm, abs=1e-3)
    (laid,) = reading.rois
    (highest,) = (q for q in reading.quantities if (q.code, q.modifier) == (Uptake.SUVBW, Derivation.MAXIMUM))
    assert float(back.voxels[laid.roi.mask].max()) == highest.value


def test_what_a_reader_enters_stands_beside_the_uptake(study: Study, tmp_path: Path) -> None:
    entered = {"glucose_mg_dl": "105", "signet_ring": "yes", "mucinous": "no"}
    reading = read(study, (), entered=entered, methods=Methods(suv_maps=False))
    assert reading.maps == ()
    (glucose,) = (q for q in reading.quantities if q.code == Uptake.GLUCOSE)
    assert (glucose.value, glucose.unit.value) == (105, "mg/dl")
    assert {(e.code, e.value) for e in reading.evaluations} == {
        (Uptake.SIGNET_RING, Answer.YES),
        (Uptake.MUCINOUS, Answer.NO),
    }
    (highest,) = (q for q in reading.quantities if (q.code, q.modifier) == (Uptake.SUVBW, Derivation.MAXIMUM))
    assert any(flag.startswith("signet-ring cell carcinoma") for flag in highest.flags)
    (report,) = (one for one in write(reading, STAMP, [ObjectKind.REPORT]) if one.kind is ObjectKind.REPORT)
    path = tmp_path / "report.dcm"
    path.write_bytes(report.content())
    assert dciodvfy(path)[0] == []
    (group,) = (g for g in measurement_groups(path, tmp_path) if len(g["measurementItems"]) > 5)
    said = {
        one["conceptCode"]["CodeValue"]: one["conceptValue"]["CodeValue"] for one in group["qualitativeEvaluations"]
        if isinstance(one["conceptValue"], dict)
    }  # fmt: skip
    assert said[Uptake.SIGNET_RING.value] == Answer.YES.value
    assert said[Uptake.MUCINOUS.value] == Answer.NO.value


def test_a_map_for_which_no_memory_is_left_is_refused_and_its_series_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = pet_series(tmp_path, 4)
    one_map = 4 * 4 * 5 * 4
    monkeypatch.setattr(uptake, "MOST_MAP_BYTES", one_map)
    assert len(read(Study("1.2.3.1", (series,)), ()).maps) == 1
    monkeypatch.setattr(uptake, "MOST_MAP_BYTES", one_map - 1)
    found = read(Study("1.2.3.1", (series,)), ())
    assert found.maps == ()
    assert [m.role for m in found.measured] == [Role.PET]
    assert "too-large" in [item.refused.reason for item in found.not_measured]


def test_an_entered_value_that_cannot_be_refuses_the_uptake_by_name(tmp_path: Path) -> None:
    series = pet_series(tmp_path, 4)
    found = read(Study("1.2.3.1", (series,)), (), entered={"glucose_mg_dl": "6.1"})
    assert [item.refused.reason for item in found.not_measured if item.role is Role.PET] == ["input-refused"]


def test_pet_of_another_tracer_is_measured_in_a_role_that_no_package_of_fdg_gets(study: Study) -> None:
    pet = next(series for series in study.series if series.modality == "PT")
    given = [instance.header.RadiopharmaceuticalInformationSequence[0] for instance in pet.instances]
    before = [one.get("Radiopharmaceutical") for one in given]
    for one in given:
        one.Radiopharmaceutical = "Ga68-PSMA"
    try:
        found = read(study, ())
    finally:
        for one, tracer in zip(given, before, strict=True):
            one.Radiopharmaceutical = tracer
    assert {q.role for q in found.quantities} == {Role.PET_OTHER_TRACER}
    (highest,) = (q for q in found.quantities if (q.code, q.modifier) == (Uptake.SUVBW, Derivation.MAXIMUM))
    assert highest.value == pytest.approx(4.4264, abs=5e-5)
    assert highest.flags == ()
    refused = {item.code: item.refused.reason for item in found.not_measured}
    assert refused[Uptake.MTV] == refused[Uptake.TLG] == refused[Uptake.HETEROGENEITY] == "outside-protocol"
    assert Uptake.GLUCOSE not in refused


def test_objects_that_do_not_agree_on_the_sex_are_told_and_the_pet_decides(study: Study) -> None:
    assert not _said_of_sex(read(study, ()))
    outline = next(series for series in study.series if series.modality == "SEG").instances[0].header
    before, outline.PatientSex = outline.PatientSex, "O"
    try:
        found = read(study, ())
    finally:
        outline.PatientSex = before
    (said,) = _said_of_sex(found)
    assert "PatientSex is O in other series" in said


def _said_of_sex(found: Reading) -> set[str]:
    return {rule for q in found.quantities for rule in q.parameters if "PatientSex" in rule}


def test_pet_without_attenuation_correction_is_kept_out(tmp_path: Path) -> None:
    series = pet_series(tmp_path, 2, lambda _, ds: setattr(ds, "CorrectedImage", ["DECY"]))
    found = read(Study("1.2.3.1", (series,)), ())
    (assignment,) = found.assignments
    assert assignment.ignored
    assert "attenuation" in assignment.evidence[0]


def test_a_series_that_cannot_be_normalised_says_why(study: Study) -> None:
    pet = next(series for series in study.series if series.modality == "PT")
    for instance in pet.instances:
        instance.header.Units = "PROPCPS"
    try:
        found = read(replace(study), ())
    finally:
        for instance in pet.instances:
            instance.header.Units = "BQML"
    assert "not-calibrated" in {item.refused.reason for item in found.not_measured}
    assert not [q for q in found.quantities if isinstance(q, Quantity) and q.role is Role.PET]
