"""A study of MR alone is reported as one of CT is, and passes the validators of others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from her2node import phantoms
from her2node.dicom.codes import Diffusion
from her2node.phantoms.diffusion import DiffusionOptions, make
from her2node.phantoms.weighting import Tagging
from her2node.reading import Reading, read
from her2node.reports import ObjectKind, write
from her2node.selection.study import open_study
from tests.reports import gates, making

pytestmark = pytest.mark.truth

SMALL = DiffusionOptions(rows=64, columns=64, spacing_mm=4.0)


@dataclass(frozen=True)
class Written:
    reading: Reading
    sources: tuple[Path, ...]
    files: dict[ObjectKind, Path]


@pytest.fixture(scope="module", params=[Tagging.GE, Tagging.SIEMENS_MOSAIC, Tagging.ENHANCED])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp(request.param)
    sources = phantoms.write(make(replace(SMALL, tagging=request.param)), folder / "study")
    reading = read(open_study(sources), ())
    stamp = replace(making.STAMP, predecessors=())
    return Written(reading, tuple(sources), making.write_files(write(reading, stamp, making.ALL), folder / "reports"))


def test_dciodvfy_finds_no_error_and_no_warning(written: Written) -> None:
    assert {ObjectKind.REPORT, ObjectKind.OUTLINE, ObjectKind.SEGMENTATION} <= set(written.files)
    for file in written.files.values():
        assert gates.dciodvfy(file) == ([], []), file


def test_dcmqi_reads_back_every_coefficient_with_its_unit_and_derivation(written: Written, tmp_path: Path) -> None:
    groups = gates.measurement_groups(written.files[ObjectKind.REPORT], tmp_path)
    items = [item for group in groups for item in group["measurementItems"]]
    diffusion = [q for q in written.reading.quantities if q.unit.value == "um2/s"]
    assert len({q.code for q in diffusion}) == 3
    for quantity in diffusion:
        same = [
            item
            for item in items
            if item["quantity"]["CodeValue"] == quantity.code.value
            and item.get("derivationModifier", {}).get("CodeValue") == (quantity.modifier and quantity.modifier.value)
            and float(item["value"]) == pytest.approx(quantity.value, rel=1e-12)
        ]
        assert same
        assert same[0]["units"]["CodeValue"] == "um2/s"


def test_dcmqi_reads_back_the_maps_of_adc_d_d_star_and_f(written: Written, tmp_path: Path) -> None:
    back = {}
    for number, one in enumerate(write(written.reading, making.STAMP, (ObjectKind.PARAMETRIC_MAP,))):
        file = tmp_path / f"{number}.dcm"
        file.write_bytes(one.content())
        assert gates.dciodvfy(file) == ([], [])
        found = gates.parametric_map(file, tmp_path / str(number))
        back[found.said["QuantityValueCode"]["CodeValue"], found.said["MeasurementUnitsCode"]["CodeValue"]] = found
    units = {Diffusion.ADC: "um2/s", Diffusion.D: "um2/s", Diffusion.D_STAR: "um2/s", Diffusion.F: "1"}
    assert back.keys() == {(code.value, unit) for code, unit in units.items()}
    for code, unit in units.items():
        found, made = back[code.value, unit], next(m for m in written.reading.maps if m.code == code)
        defined = np.isfinite(made.voxels)
        assert defined.any()
        assert (found.voxels[defined] == made.voxels[defined]).all()
        assert (found.voxels[~defined] < np.nanmin(made.voxels)).all()
        assert found.origin_mm == pytest.approx(made.geometry.origin_mm)


@pytest.mark.parametrize(
    "name", ["ge_pioneer_b0_1000", "philips_achieva_private_b0_1000", "siemens_mosaic_b0_800", "siemens_xa30_enhanced"]
)
def test_images_of_every_vendor_come_back_as_a_map_of_adc(shared: Path, name: str, tmp_path: Path) -> None:
    files = [file for file in sorted((shared / "data" / "mr-dwi-vendors" / name).rglob("*")) if file.is_file()]
    reading = read(open_study(files), ())
    (one,) = write(reading, making.STAMP, (ObjectKind.PARAMETRIC_MAP,))
    (tmp_path / "map.dcm").write_bytes(one.content())
    errors, _ = gates.dciodvfy(tmp_path / "map.dcm")  # it warns of what the study itself lacks
    assert errors == []


def test_the_report_says_that_mr_was_done(written: Written) -> None:
    report = dcmread(written.files[ObjectKind.REPORT])
    done = [
        item.ConceptCodeSequence[0]
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Procedure reported"
    ]
    assert [code.CodeMeaning for code in done] == ["MRI unspecified body region"]


def test_a_segment_lies_where_the_region_was_laid(written: Written) -> None:
    segmentation = dcmread(written.files[ObjectKind.SEGMENTATION])
    roi = written.reading.rois[0].roi
    heights = sorted(
        float(frame.PlanePositionSequence[0].ImagePositionPatient[2])
        for frame in segmentation.PerFrameFunctionalGroupsSequence
    )
    slices = roi.mask.any(axis=(1, 2)).nonzero()[0]
    assert heights == pytest.approx([float(roi.geometry.to_patient((index, 0, 0))[2]) for index in slices])
    assert int(segmentation.pixel_array.sum()) == int(roi.mask.sum())
