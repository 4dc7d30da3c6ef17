"""Segments of a DICOM SEG on the voxels of any series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from her2node import rois
from her2node.dicom.codes import Finding
from her2node.errors import (
    EmptyRoi,
    InvalidAttribute,
    MissingAttribute,
    NoFrameOfReference,
    OtherFrameOfReference,
    PixelsUnreadable,
    Refused,
    RoiUnreadable,
)
from her2node.rois import RoiOrigin
from her2node.volumes.volume import Volume
from tests.rois import made
from tests.volumes import made as ct

AXIAL = made.grid((4, 5, 7))
MASK = np.zeros((4, 5, 7), bool)
MASK[1:3, 2:4, 1:5] = True
MASK[1, 2, 1] = False


def laid(path: Path, volume: Volume = AXIAL, which: int = 0) -> rois.Roi:
    return rois.lay(made.regions_of(path)[which], volume)


def by_definition(mask: np.ndarray, source: Volume, target: Volume) -> np.ndarray:
    """Each target centre looked up in the source voxel that holds it, one by one."""
    found = np.zeros(target.geometry.shape, bool)
    for index in np.ndindex(*found.shape):
        at = source.geometry.to_index(target.geometry.to_patient(index))
        nearest = np.floor(at + 0.5 + 1e-6).astype(int)
        if (nearest >= 0).all() and (nearest < mask.shape).all():
            found[index] = mask[tuple(nearest)]
    return found


def test_a_binary_segment_lies_on_its_own_grid_voxel_for_voxel(tmp_path: Path) -> None:
    roi = laid(made.segmentation(tmp_path, MASK[None], AXIAL))
    assert np.array_equal(roi.mask, MASK)
    assert not roi.cut_off
    assert (roi.origin, roi.source_number, roi.label) == (RoiOrigin.SEGMENTATION, 1, "Lesion 1")
    assert (roi.category, roi.type) == (Finding.ABNORMAL_STRUCTURE, Finding.PRIMARY_NEOPLASM)
    assert roi.geometry is AXIAL.geometry


def test_the_mask_is_read_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        laid(made.segmentation(tmp_path, MASK[None], AXIAL)).mask[0, 0, 0] = True


@pytest.mark.parametrize("meaning", ["PROBABILITY", "OCCUPANCY"])
def test_a_fractional_segment_holds_what_is_half_or_more_of_the_maximum(meaning: str, tmp_path: Path) -> None:
    stored = np.zeros((1, *MASK.shape), "u1")
    stored[0, 1, 2, :4] = (99, 100, 101, 200)
    path = made.segmentation(
        tmp_path, stored, AXIAL, kind="FRACTIONAL", change=lambda ds: setattr(ds, "SegmentationFractionalType", meaning)
    )
    assert np.argwhere(laid(path).mask).tolist() == [[1, 2, 1], [1, 2, 2], [1, 2, 3]]


def test_a_fractional_segment_without_a_maximum_is_refused(tmp_path: Path) -> None:
    path = made.segmentation(
        tmp_path, 200 * MASK[None], AXIAL, kind="FRACTIONAL", change=lambda ds: delattr(ds, "MaximumFractionalValue")
    )
    with pytest.raises(RoiUnreadable, match="MaximumFractionalValue"):
        laid(path)


def test_each_label_of_a_label_map_is_a_region_and_the_background_is_none(tmp_path: Path) -> None:
    stored = np.where(MASK, 2, 0)
    stored[3, 4, 6] = 3
    path = made.segmentation(tmp_path, stored, AXIAL, kind="LABELMAP", numbers=(0, 2, 3))
    regions = made.regions_of(path)
    assert [region.number for region in regions] == [2, 3]
    assert np.array_equal(rois.lay(regions[0], AXIAL).mask, MASK)
    assert np.argwhere(rois.lay(regions[1], AXIAL).mask).tolist() == [[3, 4, 6]]


def test_overlapping_segments_are_kept_apart(tmp_path: Path) -> None:
    other = np.roll(MASK, 1, axis=2)
    path = made.segmentation(tmp_path, np.stack([MASK, other]), AXIAL, numbers=(1, 5))
    assert np.array_equal(laid(path).mask, MASK)
    assert np.array_equal(laid(path, which=1).mask, other)


def test_frames_may_be_missing_where_the_segment_has_no_voxel(tmp_path: Path) -> None:
    mask = np.zeros((4, 5, 7), bool)
    mask[[0, 3], 2, 2] = True
    path = made.segmentation(tmp_path, mask[None], AXIAL, slices=(3, 0))
    assert np.array_equal(laid(path).mask, mask)


def test_a_single_frame_reaches_no_further_than_its_own_slice(tmp_path: Path) -> None:
    path = made.segmentation(tmp_path, MASK[None], AXIAL, slices=(1,))
    expected = MASK.copy()
    expected[2] = False
    assert np.array_equal(laid(path).mask, expected)


def test_the_spacing_of_frames_comes_from_their_positions(tmp_path: Path) -> None:
    def misstated(ds: Dataset) -> None:
        measures = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        measures.SpacingBetweenSlices, measures.SliceThickness = 4.0, 6.0

    fine = made.grid((10, 5, 7), spacing=(1.0, 0.7, 0.9))
    path = made.segmentation(tmp_path, MASK[None], AXIAL, change=misstated)
    assert np.array_equal(laid(path, fine).mask, by_definition(MASK, AXIAL, fine))


def without_spacing(thickness: float, series_uid: str) -> made.Change:
    """No SpacingBetweenSlices, overlapping slices, and the series that the segment was drawn on."""

    def change(ds: Dataset) -> None:
        measures = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        measures.SliceThickness = thickness
        del measures.SpacingBetweenSlices
        ds.ReferencedSeriesSequence = [Dataset()]
        ds.ReferencedSeriesSequence[0].SeriesInstanceUID = series_uid

    return change


@pytest.mark.parametrize("slices", [(1,), (0, 2)])
def test_frames_drawn_on_a_series_of_overlapping_slices_fill_one_slice_each(
    slices: tuple[int, ...], tmp_path: Path
) -> None:
    mask = np.zeros((4, 5, 7), bool)
    mask[list(slices), 2, 2] = True
    path = made.segmentation(tmp_path, mask[None], AXIAL, slices=slices, change=without_spacing(5.0, ct.SERIES))
    assert np.array_equal(laid(path).mask, mask)


def test_a_lone_frame_of_another_series_is_as_thick_as_it_says(tmp_path: Path) -> None:
    fine = made.grid((20, 5, 7), spacing=(0.5, 0.7, 0.9))
    path = made.segmentation(tmp_path, MASK[None], AXIAL, slices=(1,), change=without_spacing(2.0, "1.2.3.99"))
    # the frame lies at 2.5 mm and reaches from 1.5 mm, which it holds, to 3.5 mm, which it does not
    assert np.flatnonzero(laid(path, fine).mask.any(axis=(1, 2))).tolist() == [3, 4, 5, 6]


TARGETS = {
    "finer": made.grid((16, 11, 13), spacing=(0.8, 0.35, 0.5), origin=(-10.2, -20.1, 28.9)),
    "coarser": made.grid((3, 3, 3), spacing=(4.0, 1.5, 2.0)),
    "shifted by half a voxel": made.grid((4, 5, 7), origin=(-9.55, -19.65, 31.25)),
    "larger": made.grid((8, 9, 11), origin=(-12.7, -21.4, 22.5)),
    "from the other side": made.grid((4, 5, 7), orientation=(-1, 0, 0, 0, 1, 0), origin=(-4.6, -20.0, 37.5)),
    "sagittal": made.grid((9, 12, 10), spacing=(0.6, 1.1, 0.5), origin=(-5, -21, 40), orientation=ct.SAGITTAL),
    "oblique": made.grid((9, 9, 9), spacing=(1.1, 0.8, 0.7), origin=(-9, -21, 29), orientation=(0.8, 0.6, 0, 0, 0, 1)),
}


@pytest.mark.parametrize("which", TARGETS)
def test_a_segment_is_laid_on_another_grid_by_voxel_centre(which: str, tmp_path: Path) -> None:
    target = TARGETS[which]
    mask = laid(made.segmentation(tmp_path, MASK[None], AXIAL), target).mask
    assert np.array_equal(mask, by_definition(MASK, AXIAL, target))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bits=st.integers(1, 2**60 - 1),
    spacing=st.tuples(*[st.sampled_from([0.4, 0.7, 1.1, 1.9])] * 3),
    # off the grid by 0.3 um: no centre falls on the very end of a slab, where the last digit decides
    origin=st.tuples(*[st.floats(-3, 3).map(lambda x: round(x, 3) + 0.0003)] * 3),
    orientation=st.sampled_from([ct.AXIAL, ct.SAGITTAL, (0.6, 0.8, 0, -0.8, 0.6, 0), (0.8, 0, 0.6, 0, 1, 0)]),
)
def test_any_segment_on_any_grid_is_found_where_its_voxels_are(
    bits: int,
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    orientation: tuple[float, ...],
    tmp_path: Path,
) -> None:
    mask = np.array([bits >> i & 1 for i in range(60)], bool).reshape(3, 4, 5)
    source = made.grid((3, 4, 5), spacing=(1.0, 0.9, 0.8), origin=(0, 0, 0))
    target = made.grid((5, 4, 6), spacing=spacing, origin=origin, orientation=orientation)
    expected = by_definition(mask, source, target)
    path = made.segmentation(tmp_path, mask[None], source)
    if not expected.any():
        with pytest.raises(EmptyRoi):
            laid(path, target)
    else:
        assert np.array_equal(laid(path, target).mask, expected)


def test_a_region_that_reaches_beyond_the_series_is_known_to_be_cut_off(tmp_path: Path) -> None:
    path = made.segmentation(tmp_path, MASK[None], AXIAL)
    lower_half = made.grid((2, 5, 7))
    roi = laid(path, lower_half)
    assert roi.cut_off
    assert np.array_equal(roi.mask, MASK[:2])


def test_empty_margins_beyond_the_series_cut_nothing_off(tmp_path: Path) -> None:
    path = made.segmentation(tmp_path, MASK[None], AXIAL)
    assert not laid(path, made.grid((2, 5, 7), origin=(-10.0, -20.0, 32.5))).cut_off


def test_a_region_outside_the_series_is_empty_there(tmp_path: Path) -> None:
    path = made.segmentation(tmp_path, MASK[None], AXIAL)
    with pytest.raises(EmptyRoi, match="outside"):
        laid(path, made.grid((4, 5, 7), origin=(-10, -20, 300)))


def test_a_segment_without_voxels_is_empty(tmp_path: Path) -> None:
    with pytest.raises(EmptyRoi, match="no voxel"):
        laid(made.segmentation(tmp_path, 0 * MASK[None], AXIAL))


def test_another_frame_of_reference_is_refused_even_at_the_same_place(tmp_path: Path) -> None:
    path = made.segmentation(tmp_path, MASK[None], AXIAL)
    with pytest.raises(OtherFrameOfReference):
        laid(path, made.grid((4, 5, 7), frame_of_reference_uid="1.2.9"))


def without_frame_of_reference(ds: Dataset) -> None:
    del ds.FrameOfReferenceUID


def without_positions(ds: Dataset) -> None:
    for groups in ds.PerFrameFunctionalGroupsSequence:
        del groups.PlanePositionSequence


def turned_halfway(ds: Dataset) -> None:
    ds.PerFrameFunctionalGroupsSequence[1].update(
        ct.one_item("PlaneOrientationSequence", ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    )


def too_many_frames(ds: Dataset) -> None:
    ds.NumberOfFrames = 40000


def half_the_pixels(ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[:4]


def without_segments(ds: Dataset) -> None:
    del ds.SegmentSequence


def without_number(ds: Dataset) -> None:
    del ds.SegmentSequence[0].SegmentNumber


FLAWS: dict[str, tuple[made.Change, type[Refused]]] = {
    "no frame of reference": (without_frame_of_reference, NoFrameOfReference),
    "no plane positions": (without_positions, MissingAttribute),
    "a frame of another orientation": (turned_halfway, RoiUnreadable),
    "a giant claim of frames": (too_many_frames, InvalidAttribute),
    "too little pixel data": (half_the_pixels, PixelsUnreadable),
    "no segments": (without_segments, RoiUnreadable),
    "a segment without number": (without_number, RoiUnreadable),
}


@pytest.mark.parametrize("what", FLAWS)
def test_a_flawed_segmentation_is_listed_and_refused_by_name_when_laid(what: str, tmp_path: Path) -> None:
    change, expected = FLAWS[what]
    path = made.segmentation(tmp_path, MASK[None], AXIAL, change=change)
    with pytest.raises(expected):
        laid(path)


def tracked(ds: Dataset) -> None:
    ds.SegmentSequence[0].TrackingID, ds.SegmentSequence[0].TrackingUID = "Tumour", "1.2.3.77"


def test_a_tracking_id_goes_with_the_region(tmp_path: Path) -> None:
    roi = laid(made.segmentation(tmp_path, MASK[None], AXIAL, change=tracked))
    assert (roi.tracking_id, roi.tracking_uid) == ("Tumour", "1.2.3.77")


def test_a_region_without_tracking_uid_gets_the_same_one_every_time(tmp_path: Path) -> None:
    path = made.segmentation(tmp_path, np.stack([MASK, MASK]), AXIAL, numbers=(1, 2))
    first, second = made.regions_of(path), made.regions_of(path)
    assert [r.tracking_uid for r in first] == [r.tracking_uid for r in second]
    assert first[0].tracking_uid != first[1].tracking_uid


def test_two_lesions_of_one_name_are_told_apart(tmp_path: Path) -> None:
    def same_label(ds: Dataset) -> None:
        for item in ds.SegmentSequence:
            item.SegmentLabel = "Tumour"

    path = made.segmentation(tmp_path, np.stack([MASK] * 3), AXIAL, numbers=(1, 2, 3), change=same_label)
    assert [region.tracking_id for region in made.regions_of(path)] == ["Tumour", "Tumour (2)", "Tumour (3)"]


def test_the_object_says_when_it_was_made_and_on_which_series(tmp_path: Path) -> None:
    def dated(ds: Dataset) -> None:
        ds.ContentDate, ds.ContentTime = "20260102", "030405"
        ds.ReferencedSeriesSequence = [Dataset()]
        ds.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3.2"

    (region,) = made.regions_of(made.segmentation(tmp_path, MASK[None], AXIAL, change=dated))
    assert region.created is not None
    assert region.created.isoformat() == "2026-01-02T03:04:05+00:00"
    assert region.drawn_on == ("1.2.3.2",)


def test_a_segment_that_no_frame_names_is_empty(tmp_path: Path) -> None:
    def renamed(ds: Dataset) -> None:
        ds.SegmentSequence[0].SegmentNumber = 9

    for kind in ("BINARY", "FRACTIONAL"):
        with pytest.raises(EmptyRoi, match="no voxel"):
            laid(made.segmentation(tmp_path, MASK[None], AXIAL, kind=kind, change=renamed))
