"""Reports on a tumour that a network drew: whose work it is stands in every object, and the validators pass them."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom.pixels.utils import pack_bits
from pydicom.uid import generate_uid

from her2node import phantoms
from her2node.models.package import Package
from her2node.phantoms import Phase
from her2node.reading import Reading, read
from her2node.reports import ObjectKind, Report, write
from her2node.reports.page import page_of
from her2node.rois import RoiOrigin, given
from her2node.selection.study import open_study
from tests.models.segmenter.packaged import bright
from tests.reading.test_drawing import files_of
from tests.reports import gates, making

OPTIONS = phantoms.PhantomOptions(
    seed=3, rows=64, columns=64, slices=24, slice_spacing_mm=5.0, phases=(Phase.PORTAL,), rois=()
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return phantoms.write(phantoms.ct.make(OPTIONS), tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def segmenter(images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Package:
    def reserved(manifest: str) -> str:
        limits = 'role = "portal"\nslice_thickness_mm = { usual = [0.5, 2.0] }'
        said = manifest.replace('role = "portal"', limits)
        return said.replace("\n\n[[requires]]", '\ncautions = ["Seen by nobody."]\n\n[[requires]]', 1)

    return bright(tmp_path_factory.mktemp("package"), reserved, **files_of(open_study(images)))


@pytest.fixture(scope="module")
def reading(images: list[Path], segmenter: Package) -> Reading:
    return read(open_study(images), [segmenter])


@pytest.fixture(scope="module")
def reports(reading: Reading) -> dict[ObjectKind, Report]:
    kinds = (ObjectKind.REPORT, ObjectKind.OUTLINE, ObjectKind.SEGMENTATION, ObjectKind.SUMMARY_DOCUMENT)
    return {one.kind: one for one in write(reading, making.STAMP, kinds)}


def test_the_segmentation_says_that_a_named_package_made_it_automatically(
    reading: Reading, reports: dict[ObjectKind, Report]
) -> None:
    (segment,) = reports[ObjectKind.SEGMENTATION].dataset.SegmentSequence
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert segment.SegmentAlgorithmName == "bright 1.0.0"
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("bright", "1.0.0")
    assert reading.segmented is not None
    assert reading.segmented.package.sha256 in algorithm.AlgorithmParameters
    (laid,) = reading.rois
    assert segment.TrackingUID == laid.roi.tracking_uid


def test_the_report_names_the_package_with_every_measurement_and_in_words(
    reading: Reading, reports: dict[ObjectKind, Report]
) -> None:
    assert reading.segmented is not None
    said = reports[ObjectKind.REPORT].dataset.to_json()
    assert f"region drawn by bright 1.0.0, package sha256 {reading.segmented.package.sha256}" in said
    assert "bright 1.0.0: drew the region of the tumour, for none was given; no reader has checked it" in said
    assert "bright 1.0.0: site-trained" in said


def test_every_object_names_the_package_and_says_that_no_reader_has_checked_the_region(
    reading: Reading, segmenter: Package, reports: dict[ObjectKind, Report]
) -> None:
    """The page is the content of the PDF and of the secondary capture."""
    assert segmenter.manifest.cautions == ("Seen by nobody.",)
    drew = "bright 1.0.0: drew the region of the tumour, for none was given; no reader has checked it"
    for kind in (ObjectKind.REPORT, ObjectKind.OUTLINE):
        said = reports[kind].dataset.to_json()
        assert drew in said
        assert "bright 1.0.0: Seen by nobody." in said
    segmentation = reports[ObjectKind.SEGMENTATION].dataset
    assert "checked by no reader" in segmentation.ContentDescription
    assert segmentation.SegmentSequence[0].SegmentDescription == "bright 1.0.0 drew it; no reader has checked it"
    heading, remarks = page_of(reading, making.STAMP).remarks[0]
    assert heading == "Region of the tumour"
    assert drew in remarks
    assert "bright 1.0.0: Seen by nobody." in remarks
    assert reading.segmented is not None
    (flag,) = reading.segmented.flags
    assert flag.kind == "slice-thickness"
    assert f"bright 1.0.0: {flag}" in remarks


@pytest.mark.truth
def test_the_validators_of_others_find_no_error(reports: dict[ObjectKind, Report], tmp_path: Path) -> None:
    for file in making.write_files(tuple(reports.values()), tmp_path).values():
        errors, warnings = gates.dciodvfy(file)
        assert errors == []
        assert warnings == []


def test_the_mask_in_the_segmentation_is_what_the_network_drew(
    reading: Reading, reports: dict[ObjectKind, Report]
) -> None:
    (laid,) = reading.rois
    assert reports[ObjectKind.SEGMENTATION].dataset.pixel_array.sum() == np.count_nonzero(laid.roi.mask)


def test_what_a_network_drew_comes_back_with_an_exported_study_and_is_no_region_that_was_given(
    images: list[Path], segmenter: Package, reports: dict[ObjectKind, Report], tmp_path: Path
) -> None:
    file = making.write_files((reports[ObjectKind.SEGMENTATION],), tmp_path)[ObjectKind.SEGMENTATION]
    exported = open_study([*images, file])
    assert given(exported) == ()
    without = read(exported, [])
    assert without.tumour is None
    assert [refused.refused.reason for refused in without.not_measured] == ["no-roi"]
    again = read(exported, [segmenter])
    assert again.segmented is not None
    assert {laid.roi.origin for laid in again.rois} == {RoiOrigin.MODEL}


def test_a_readers_correction_of_what_the_network_drew_takes_its_place(
    images: list[Path], segmenter: Package, reports: dict[ObjectKind, Report], tmp_path: Path
) -> None:
    """The network's segmentation without its first frame that holds anything, stored anew as viewers do."""
    network = reports[ObjectKind.SEGMENTATION].dataset
    corrected = deepcopy(network)
    frames = np.atleast_3d(network.pixel_array).copy()
    first = int(np.flatnonzero(frames.any(axis=(1, 2)))[0])
    frames[first] = 0
    corrected.PixelData = pack_bits(frames.ravel())
    corrected.SOPInstanceUID = corrected.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    corrected.SeriesInstanceUID = generate_uid()
    corrected.SegmentSequence[0].SegmentAlgorithmType = "SEMIAUTOMATIC"
    corrected.save_as(tmp_path / "corrected.dcm", enforce_file_format=True)
    found = read(open_study([*images, tmp_path / "corrected.dcm"]), [segmenter])
    (laid,) = found.rois
    assert laid.roi.origin is RoiOrigin.SEGMENTATION
    assert found.segmented is None
    assert np.count_nonzero(laid.roi.mask) == np.count_nonzero(frames) < np.count_nonzero(network.pixel_array)
