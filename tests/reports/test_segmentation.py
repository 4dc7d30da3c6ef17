"""The segmentation: on which series, of which regions, and whose work it says it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node.dicom.codes import Code, Finding
from her2node.reading import Reading
from her2node.reports import ObjectKind, write
from her2node.reports.regions import most_important, outlines
from her2node.selection.roles import Role
from tests.reports import making
from tests.reports.conftest import Case


def _segmentation(reading: Reading) -> making.Report:
    return write(reading, making.STAMP, ("segmentation",))[0]


def test_it_lies_on_the_portal_series_for_that_matters_most(classic: Case) -> None:
    portal = next(m.series_instance_uid for m in classic.reading.measured if m.role is Role.PORTAL)
    ds = classic.reports[ObjectKind.SEGMENTATION].dataset
    assert [item.SeriesInstanceUID for item in ds.ReferencedSeriesSequence] == [portal]


def test_a_series_with_the_tumour_goes_before_a_more_important_one_without(classic: Case) -> None:
    portal = next(m.series_instance_uid for m in classic.reading.measured if m.role is Role.PORTAL)
    arterial = next(m.series_instance_uid for m in classic.reading.measured if m.role is Role.ARTERIAL)
    rois = tuple(one for one in classic.reading.rois if one.series_instance_uid != portal)
    assert most_important(replace(classic.reading, rois=rois)) == arterial
    assert most_important(replace(classic.reading, rois=())) == portal


def test_frames_refer_to_the_images_and_frames_that_they_lie_on(case: Case) -> None:
    ds = case.reports[ObjectKind.SEGMENTATION].dataset
    measured = next(
        m for m in case.reading.measured if m.series_instance_uid == ds.ReferencedSeriesSequence[0].SeriesInstanceUID
    )
    mask = next(o.roi.mask for o in case.reading.rois if o.series_instance_uid == measured.series_instance_uid)
    used = [source for source, plane in zip(measured.sources, mask, strict=True) if plane.any()]
    found = [
        (one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID, one.get("ReferencedFrameNumber"))
        for frame in ds.PerFrameFunctionalGroupsSequence
        for one in frame.DerivationImageSequence[0].SourceImageSequence
    ]
    assert sorted(found, key=str) == sorted(((s.sop_class_uid, s.sop_instance_uid, s.frame) for s in used), key=str)


def test_last_digits_that_differ_from_slice_to_slice_keep_nothing_back(tmp_path: Path) -> None:
    def jitter(ds: Dataset) -> None:
        if "ImageOrientationPatient" in ds and ds.InstanceNumber % 2:
            ds.ImageOrientationPatient = ["1", "0.00000001", "0", "-0.00000001", "1", "0"]
            ds.PixelSpacing = [f"{value + 1e-8:.10f}" for value in ds.PixelSpacing]

    reading = making.reading_of(making.folder_of(tmp_path / "study", making.SMALL, jitter))
    written = write(reading, making.STAMP, (ObjectKind.SEGMENTATION, ObjectKind.PARAMETRIC_MAP))
    assert {one.kind for one in written} == {ObjectKind.SEGMENTATION, ObjectKind.PARAMETRIC_MAP}


def test_planes_bear_the_source_s_own_figures(real: Case) -> None:
    ds = real.reports[ObjectKind.SEGMENTATION].dataset
    sources = {s.SOPInstanceUID: s for s in (dcmread(f, stop_before_pixels=True) for f in real.sources)}
    for frame in ds.PerFrameFunctionalGroupsSequence:
        source = sources[frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        assert list(frame.PlanePositionSequence[0].ImagePositionPatient) == list(source.ImagePositionPatient)
        spacing = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
        assert list(spacing) == list(source.PixelSpacing)


@pytest.mark.parametrize(("kind", "named"), [("MANUAL", None), ("SEMIAUTOMATIC", "GrowCut"), ("AUTOMATIC", "nnU-Net")])
def test_it_says_who_drew_the_region_as_the_source_says_it(classic: Case, kind: str, named: str | None) -> None:
    roi = classic.reading.rois[0].roi
    instances = classic.reading.study.instances
    header = next(i.header for i in instances if i.identity.sop_instance_uid == roi.source_sop_instance_uid)
    segment = header.SegmentSequence[0]
    before = segment.SegmentAlgorithmType
    try:
        segment.SegmentAlgorithmType = kind
        segment.SegmentAlgorithmName = named or ""
        description = _segmentation(classic.reading).dataset.SegmentSequence[0]
    finally:
        segment.SegmentAlgorithmType = before
    assert description.SegmentAlgorithmType == kind
    assert description.get("SegmentAlgorithmName") == named
    assert "SegmentationAlgorithmIdentificationSequence" not in description


def test_a_contour_of_which_nothing_is_said_counts_as_drawn_by_hand(enhanced: Case) -> None:
    description = enhanced.reports[ObjectKind.SEGMENTATION].dataset.SegmentSequence[0]
    assert description.SegmentAlgorithmType in ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC")


def test_regions_keep_their_codes_and_overlap_as_they_did(classic: Case) -> None:
    aorta = Code("15825003", "SCT", "Aorta")
    rois = classic.reading.rois
    more = tuple(
        replace(one, roi=replace(one.roi, tracking_id="two", tracking_uid="2.25.5", category=None, type=aorta))
        for one in rois
    )
    third = tuple(
        replace(one, roi=replace(one.roi, tracking_id="three", tracking_uid="2.25.6", category=None, type=None))
        for one in rois
    )
    ds = _segmentation(replace(classic.reading, rois=(*more, *rois, *third))).dataset
    found = [
        (
            s.TrackingID,
            s.SegmentedPropertyTypeCodeSequence[0].CodeValue,
            s.SegmentedPropertyCategoryCodeSequence[0].CodeValue,
        )
        for s in ds.SegmentSequence
    ]
    assert found == [
        (classic.reading.tumour, "372087000", "49755003"),
        ("two", "15825003", Finding.TISSUE.value),
        ("three", Finding.TISSUE.value, Finding.TISSUE.value),
    ]
    assert ds.SegmentsOverlap == "YES"


def test_the_outline_of_one_voxel_has_more_points_than_a_rectangle() -> None:
    mask = np.zeros((5, 5), bool)
    mask[2, 3] = True
    (points,) = outlines(mask)
    assert len(points) >= 8
    assert points.mean(axis=0) == pytest.approx((3.5, 2.5), abs=0.1)


def test_parts_of_a_region_are_outlined_apart_largest_first_and_holes_left_out() -> None:
    mask = np.zeros((12, 12), bool)
    mask[1:7, 1:7] = True
    mask[3, 3] = False
    mask[9:11, 9:11] = True
    large, small = outlines(mask)
    assert (large.min(), large.max()) == (1.0, 7.0)
    assert (small.min(), small.max()) == (9.0, 11.0)
