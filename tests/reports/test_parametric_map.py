"""Maps: every voxel, its place, its meaning, and nothing where there is no value."""

from __future__ import annotations

import math
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.dicom.codes import DualEnergy, Unit
from her2node.phantoms import DualEnergyOptions, IodineUnit, PhantomOptions, Phase
from her2node.quantities.quantity import QuantityMap
from her2node.reading import Measured, Methods, Reading, read
from her2node.reports import ObjectKind, Report, write
from her2node.reports.parametric_map import LARGEST_BYTES
from her2node.selection.study import open_study
from her2node.volumes import build
from her2node.volumes.volume import SliceSource
from tests.orthanc import Orthanc, wait_for
from tests.reports import gates, making
from tests.reports.conftest import Case
from tests.volumes import made

STAMP = replace(making.STAMP, predecessors=())


def maps_of(reading: Reading, *maps: QuantityMap) -> list[Report]:
    return list(write(replace(reading, maps=maps), STAMP, ("parametric-map",)))


def read_back(report: Report) -> Dataset:
    return dcmread(BytesIO(report.content()))


def stored_as(one: QuantityMap, ds: Dataset) -> np.ndarray:
    """The map's voxels as they must be stored: padding where there is no value."""
    padding = ds.get("FloatPixelPaddingValue", 0.0)
    return np.where(np.isfinite(one.voxels), one.voxels, np.float32(padding))


def on_grid_of(dcmqi: gates.Map, one: QuantityMap) -> np.ndarray:
    """dcmqi's voxels at the places of the map's, by geometry."""
    places = one.geometry.to_patient(np.argwhere(np.ones(one.geometry.shape, bool)))
    index = np.rint((places - dcmqi.origin_mm) @ np.linalg.inv(dcmqi.steps_mm)).astype(int)  # column, row, slice
    residual = places - (index @ dcmqi.steps_mm + dcmqi.origin_mm)
    assert np.abs(residual).max() < 0.02
    return dcmqi.voxels[index[:, 2], index[:, 1], index[:, 0]].reshape(one.geometry.shape)


# --- what others read --------------------------------------------------------------------------------------------


@pytest.mark.truth
def test_dcmqi_reads_back_every_voxel_at_its_place_with_its_meaning(case: Case, tmp_path: Path) -> None:
    (one,) = case.reading.maps
    found = gates.parametric_map(case.files[ObjectKind.PARAMETRIC_MAP], tmp_path)
    assert np.array_equal(on_grid_of(found, one), stored_as(one, case.reports[ObjectKind.PARAMETRIC_MAP].dataset))
    assert found.said["QuantityValueCode"] == {
        "CodeMeaning": "Iodine", "CodeValue": "44588005", "CodingSchemeDesignator": "SCT",
    }  # fmt: skip
    assert found.said["MeasurementUnitsCode"]["CodeValue"] == "mg/ml"
    assert found.said["MeasurementMethodCode"]["CodeValue"] == "MD-40-140"
    assert found.said["AnatomicRegionSequence"]["CodeValue"] == "69695003"
    assert float(found.said["RealWorldValueSlope"]) == 1


@pytest.mark.truth
@pytest.mark.parametrize("orientation", ["sagittal", "tilted", "oblique"])
def test_dcmqi_finds_an_oblique_map_where_it_belongs(orientation: str, tmp_path: Path) -> None:
    a, b = math.cos(0.3), math.sin(0.3)
    row, column = np.array([a, b, 0.0]), np.array([-b * math.cos(0.5), a * math.cos(0.5), math.sin(0.5)])
    directions = {
        "sagittal": made.SAGITTAL,
        "tilted": (1.0, 0.0, 0.0, 0.0, a, b),
        "oblique": (*row, *column),
    }[orientation]
    (tmp_path / "study").mkdir()
    series = made.classic(tmp_path / "study", made.values(6, 20, 17), orientation=directions, spacing=(2.5, 0.7, 0.9))
    volume = build(series)
    measured = Measured(series.series_instance_uid, None, volume.geometry, volume.unit, volume.sources)
    study = open_study(sorted((tmp_path / "study").iterdir()))
    reading = replace(read(study, ()), measured=(measured,))
    one = making.iodine_map(measured)
    (report,) = maps_of(reading, one)
    file = making.write_files((report,), tmp_path / "out")[ObjectKind.PARAMETRIC_MAP]
    assert gates.dciodvfy(file)[0] == []
    found = gates.parametric_map(file, tmp_path / "dcmqi")
    assert np.array_equal(on_grid_of(found, one), stored_as(one, report.dataset))


# --- what is in it -----------------------------------------------------------------------------------------------


def test_frames_name_the_slices_that_they_lie_on_and_bear_their_voxels(case: Case) -> None:
    (one,) = case.reading.maps
    ds = read_back(case.reports[ObjectKind.PARAMETRIC_MAP])
    order = [
        (image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber"))
        for frame in ds.PerFrameFunctionalGroupsSequence
        for image in frame.DerivationImageSequence[0].SourceImageSequence
    ]
    assert order == [(source.sop_instance_uid, source.frame) for source in one.sources]
    assert np.array_equal(ds.pixel_array, stored_as(one, ds))


def test_frames_ascend_along_their_normal_for_readers_that_do_not_look_at_positions(case: Case) -> None:
    ds = case.reports[ObjectKind.PARAMETRIC_MAP].dataset
    normal = case.reading.maps[0].geometry.directions[0]
    positions = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in ds.PerFrameFunctionalGroupsSequence]
    assert (np.diff(np.array(positions, dtype=float) @ normal) > 0).all()
    places = [frame.FrameContentSequence[0].DimensionIndexValues for frame in ds.PerFrameFunctionalGroupsSequence]
    assert places == list(range(1, len(places) + 1))


def test_a_voxel_without_a_value_bears_the_declared_padding_outside_the_mapped_range(classic: Case) -> None:
    (one,) = classic.reading.maps
    ds = read_back(classic.reports[ObjectKind.PARAMETRIC_MAP])
    mapping = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    values = one.voxels[np.isfinite(one.voxels)]
    assert mapping.DoubleFloatRealWorldValueFirstValueMapped == values.min()
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == values.max()
    assert ds.FloatPixelPaddingValue < values.min()
    assert values.min() - ds.FloatPixelPaddingValue < values.max() - values.min()  # near, for windows that follow it
    assert np.isfinite(ds.pixel_array).all()
    assert np.count_nonzero(ds.pixel_array == np.float32(ds.FloatPixelPaddingValue)) == np.isnan(one.voxels).sum()


def test_a_map_with_a_value_everywhere_declares_no_padding(classic: Case) -> None:
    (one,) = classic.reading.maps
    (report,) = maps_of(classic.reading, replace(one, voxels=np.ones(one.geometry.shape, np.float32)))
    assert "FloatPixelPaddingValue" not in report.dataset
    assert (read_back(report).pixel_array == 1).all()


def test_infinite_values_are_none(classic: Case) -> None:
    (one,) = classic.reading.maps
    voxels = np.ones(one.geometry.shape, np.float32)
    voxels[0, 0, 0], voxels[0, 0, 1] = np.inf, -np.inf
    (report,) = maps_of(classic.reading, replace(one, voxels=voxels))
    assert np.count_nonzero(read_back(report).pixel_array == np.float32(report.dataset.FloatPixelPaddingValue)) == 2


def test_a_map_without_any_value_is_not_written(classic: Case) -> None:
    (one,) = classic.reading.maps
    assert maps_of(classic.reading, replace(one, voxels=np.full(one.geometry.shape, np.nan, np.float32))) == []


def test_a_map_too_large_for_an_object_is_not_written(classic: Case) -> None:
    (one,) = classic.reading.maps
    slices = LARGEST_BYTES // (4 * 64 * 64) + 1
    huge = np.broadcast_to(np.float32(1), (slices, 64, 64))
    geometry = replace(one.geometry, shape=huge.shape)
    sources = (SliceSource("1.2", "1.3"),) * 3
    assert maps_of(classic.reading, replace(one, voxels=huge, geometry=geometry, sources=sources)) == []


def test_it_is_a_map_for_research_in_a_series_of_its_own(classic: Case) -> None:
    (one,) = classic.reading.maps
    arterial = replace(one, role=classic.reading.measured[1].role)
    first, second = (report.dataset for report in maps_of(classic.reading, one, arterial))
    assert first.ContentQualification == "RESEARCH"
    assert first.SeriesDescription == "HER2 AI - not for diagnosis - map Iodine, edition 2"
    assert second.SeriesDescription == "HER2 AI - not for diagnosis - map Iodine, arterial, edition 2"
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert (first.SeriesNumber, second.SeriesNumber) == (9210, 9211)
    assert "Iodine and water decomposed from images at 40 and 140 keV" in first.DerivationDescription
    window = first.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence[0]
    assert (window.WindowCenter, window.WindowWidth) == (2.5, 5.0)


def test_it_names_every_series_that_it_was_calculated_from(classic: Case) -> None:
    (one,) = classic.reading.maps
    ds = classic.reports[ObjectKind.PARAMETRIC_MAP].dataset
    assert tuple(item.SeriesInstanceUID for item in ds.ReferencedSeriesSequence) == one.series_uids
    assert len(one.series_uids) == 2


def test_series_numbers_of_maps_keep_clear_of_the_study_s_own(classic: Case) -> None:
    (one,) = classic.reading.maps
    header = classic.reading.study.series[0].first
    before = header.SeriesNumber
    try:
        header.SeriesNumber = 9211
        numbers = [report.dataset.SeriesNumber for report in maps_of(classic.reading, one, one)]
    finally:
        header.SeriesNumber = before
    assert numbers == [9230, 9231]


# --- the whole way -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[None, IodineUnit.HUNDRED_UG], ids=["decomposed", "100ug"])
def dual_energy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A dual-energy study through the node: iodine had from two energies, or from a map in another unit."""
    folder = tmp_path_factory.mktemp("dual_energy")
    base = PhantomOptions(
        seed=3, rows=96, columns=96, slices=12, slice_spacing_mm=5.0, noise_hu=5.0, phases=(Phase.PORTAL,)
    )
    sources = tuple(
        phantoms.write(phantoms.dual_energy.make(DualEnergyOptions(base, unit=request.param)), folder / "study")
    )
    reading = read(open_study(sources), (), methods=Methods(decompose=True))
    reports = write(reading, STAMP, (*making.MOST, ObjectKind.PARAMETRIC_MAP))
    return Case(sources, reading, {r.kind: r for r in reports}, making.write_files(reports, folder / "reports"))


@pytest.mark.truth
def test_the_objects_of_a_dual_energy_study_pass_the_gates(dual_energy: Case, tmp_path: Path) -> None:
    for kind, file in dual_energy.files.items():
        assert gates.dciodvfy(file) == ([], []), kind
    found = gates.dcentvfy([*dual_energy.files.values(), *dual_energy.sources])
    ours = {str(file) for file in dual_energy.files.values()}
    assert [line for line in found if any(file in line for file in ours)] == []
    (one,) = dual_energy.reading.maps
    back = gates.parametric_map(dual_energy.files[ObjectKind.PARAMETRIC_MAP], tmp_path)
    assert np.array_equal(on_grid_of(back, one), stored_as(one, dual_energy.reports[ObjectKind.PARAMETRIC_MAP].dataset))


@pytest.mark.truth
def test_dcmqi_reads_iodine_with_its_codes_and_unit(dual_energy: Case, tmp_path: Path) -> None:
    groups = gates.measurement_groups(dual_energy.files[ObjectKind.REPORT], tmp_path)
    found = {
        (item["quantity"]["CodeValue"], item.get("derivationModifier", {}).get("CodeValue")): (
            item["quantity"]["CodingSchemeDesignator"], item["units"]["CodeValue"], float(item["value"]),
        )
        for group in groups
        for item in group["measurementItems"]
    }  # fmt: skip
    measured = {(q.code.value, q.modifier and q.modifier.value): q.value for q in dual_energy.reading.quantities}
    iodine, ratio = found["44588005", "373098007"], found["NIC", None]
    assert iodine == ("SCT", "mg/ml", pytest.approx(measured["44588005", "373098007"], rel=1e-12))
    assert ratio == ("99HER2NODE", "1", pytest.approx(measured["NIC", None], rel=1e-12))


@pytest.mark.servers
def test_orthanc_keeps_a_map_as_it_was_sent(classic: Case, tmp_path: Path) -> None:
    with Orthanc(tmp_path / "orthanc") as pacs:
        file = classic.files[ObjectKind.PARAMETRIC_MAP]
        pacs.upload(file)
        uid = classic.reports[ObjectKind.PARAMETRIC_MAP].sop_instance_uid
        wait_for(lambda: pacs.instances(classic.reading.study.study_instance_uid), 10, "the map in the PACS")
        assert pacs.fetch(uid) == file.read_bytes()
        (series,) = pacs.series(classic.reading.study.study_instance_uid)
        assert series["MainDicomTags"]["SeriesDescription"].startswith("HER2 AI - not for diagnosis - map Iodine")


@pytest.mark.truth
def test_codes_and_unit_are_those_that_dicom_has_for_iodine() -> None:
    assert (DualEnergy.IODINE.value, DualEnergy.IODINE.scheme) == ("44588005", "SCT")
    assert (Unit.MG_PER_ML.value, Unit.MG_PER_ML.scheme) == ("mg/ml", "UCUM")
