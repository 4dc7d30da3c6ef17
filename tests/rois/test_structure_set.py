"""Contours of an RTSTRUCT on the voxels of a series."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node import rois
from her2node.errors import EmptyRoi, NoFrameOfReference, OtherFrameOfReference, Refused, RoiUnreadable
from her2node.rois import RoiOrigin
from her2node.selection.study import group, open_instance
from her2node.volumes.volume import Volume
from tests.rois import made
from tests.volumes import made as ct

GRID = made.grid((5, 9, 9))
SQUARE = [(1.5, 1.5), (1.5, 6.5), (6.5, 6.5), (6.5, 1.5)]
HOLE = [(3.5, 3.5), (3.5, 4.5), (4.5, 4.5), (4.5, 3.5)]


def laid(path: Path, volume: Volume = GRID) -> rois.Roi:
    (region,) = made.regions_of(path)
    return rois.lay(region, volume)


def squares(*slices: float, like: Volume = GRID) -> list[np.ndarray]:
    return [made.contour(like, slice_, SQUARE) for slice_ in slices]


def filled(*slices: int) -> np.ndarray:
    mask = np.zeros((5, 9, 9), bool)
    mask[list(slices), 2:7, 2:7] = True
    return mask


def test_contours_fill_the_voxels_whose_centres_they_hold(tmp_path: Path) -> None:
    roi = laid(made.structure_set(tmp_path, squares(1, 2, 3)))
    assert np.array_equal(roi.mask, filled(1, 2, 3))
    assert (roi.origin, roi.source_number, roi.label) == (RoiOrigin.STRUCTURE_SET, 7, "GTV")
    assert not roi.cut_off


def test_an_inner_contour_is_a_hole(tmp_path: Path) -> None:
    roi = laid(made.structure_set(tmp_path, [*squares(1, 2), made.contour(GRID, 1, HOLE)]))
    expected = filled(1, 2)
    expected[1, 4, 4] = False
    assert np.array_equal(roi.mask, expected)


def test_several_contours_on_a_slice_are_several_parts(tmp_path: Path) -> None:
    far = [(r, c + 6) for r, c in HOLE]
    roi = laid(made.structure_set(tmp_path, [made.contour(GRID, 1, HOLE), made.contour(GRID, 1, far)]))
    assert np.argwhere(roi.mask[1]).tolist() == [[4, 4]]
    assert not roi.mask[2:].any()


def test_a_part_in_the_last_column_is_not_lost(tmp_path: Path) -> None:
    far = [(r, c + 4) for r, c in HOLE]
    assert np.argwhere(laid(made.structure_set(tmp_path, [made.contour(GRID, 1, far)])).mask).tolist() == [[1, 4, 8]]


def test_newer_contours_that_say_they_are_combined_by_xor_are_read(tmp_path: Path) -> None:
    path = made.structure_set(tmp_path, squares(1), geometric_type="CLOSEDPLANAR_XOR")
    assert np.array_equal(laid(path).mask, filled(1))


def test_slices_between_contours_left_out_stay_empty(tmp_path: Path) -> None:
    assert np.array_equal(laid(made.structure_set(tmp_path, squares(0, 1, 3))).mask, filled(0, 1, 3))


def test_contours_of_thick_slices_fill_the_thin_slices_between(tmp_path: Path) -> None:
    thin = made.grid((21, 9, 9), spacing=(0.5, 0.7, 0.9))
    mask = laid(made.structure_set(tmp_path, squares(1, 2)), thin).mask
    # planes at 2.5 and 5.0 mm reach 1.25 mm either way: 1.25 to 6.25 mm, slices 3 to 12 at every 0.5 mm
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == list(range(3, 13))


def drawn_on(series_uid: str) -> made.Change:
    def change(ds: Dataset) -> None:
        frame, study, series = Dataset(), Dataset(), Dataset()
        series.SeriesInstanceUID = series_uid
        study.RTReferencedSeriesSequence, frame.RTReferencedStudySequence = [series], [study]
        frame.FrameOfReferenceUID = ct.FRAME
        ds.ReferencedFrameOfReferenceSequence = [frame]

    return change


def test_contours_on_every_other_slice_of_their_own_series_fill_no_slice_between(tmp_path: Path) -> None:
    path = made.structure_set(tmp_path, squares(0, 2, 4), change=drawn_on(ct.SERIES))
    assert np.array_equal(laid(path).mask, filled(0, 2, 4))


def test_two_lesions_far_apart_stay_two_lesions(tmp_path: Path) -> None:
    long = made.grid((40, 9, 9))
    mask = laid(made.structure_set(tmp_path, squares(3, 33, like=long)), long).mask
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [3, 33]


def test_a_thick_slice_takes_the_contour_nearest_to_its_centre(tmp_path: Path) -> None:
    thin = made.grid((25, 9, 9), spacing=(0.5, 0.7, 0.9))
    contours = [made.contour(thin, k, SQUARE if k == 5 else HOLE) for k in range(3, 8)]
    mask = laid(made.structure_set(tmp_path, contours)).mask
    assert np.array_equal(mask, filled(1))


def test_contours_a_little_off_the_slices_by_rounding_are_on_them(tmp_path: Path) -> None:
    assert np.array_equal(laid(made.structure_set(tmp_path, squares(0.99, 2.01, 3.0))).mask, filled(1, 2, 3))


def test_the_other_direction_of_the_slices_changes_nothing(tmp_path: Path) -> None:
    other = made.grid((5, 9, 9), orientation=(-1, 0, 0, 0, 1, 0), origin=(-2.8, -20.0, 40.0))
    mask = laid(made.structure_set(tmp_path, squares(1, 2)), other).mask
    assert np.array_equal(mask[::-1, :, ::-1], filled(1, 2))


def test_contours_across_the_slices_are_refused(tmp_path: Path) -> None:
    sagittal = made.grid((9, 9, 9), orientation=ct.SAGITTAL)
    with pytest.raises(RoiUnreadable, match="across the slices"):
        laid(made.structure_set(tmp_path, squares(1, 2)), sagittal)


@pytest.mark.parametrize("kind", ["POINT", "OPEN_PLANAR", "OPEN_NONPLANAR", ""])
def test_what_encloses_nothing_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(RoiUnreadable, match="type"):
        laid(made.structure_set(tmp_path, squares(1), geometric_type=kind))


def test_a_region_beyond_the_series_is_known_to_be_cut_off(tmp_path: Path) -> None:
    roi = laid(made.structure_set(tmp_path, squares(3, 4, 5)))
    assert roi.cut_off
    assert np.array_equal(roi.mask, filled(3, 4))


def test_a_region_outside_the_series_is_empty_there(tmp_path: Path) -> None:
    with pytest.raises(EmptyRoi, match="outside"):
        laid(made.structure_set(tmp_path, squares(20, 21)))


def test_a_contour_between_voxel_centres_holds_none(tmp_path: Path) -> None:
    tiny = [(1.2, 1.2), (1.2, 1.8), (1.8, 1.8), (1.8, 1.2)]
    with pytest.raises(EmptyRoi):
        laid(made.structure_set(tmp_path, [made.contour(GRID, 1, tiny)]))


def another_frame(ds: Dataset) -> None:
    ds.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.9"


def no_frame(ds: Dataset) -> None:
    del ds.StructureSetROISequence[0].ReferencedFrameOfReferenceUID


def odd_data(ds: Dataset) -> None:
    contour = ds.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = list(contour.ContourData)[:-1]


def no_data(ds: Dataset) -> None:
    del ds.ROIContourSequence[0].ContourSequence[0].ContourData


def no_regions(ds: Dataset) -> None:
    del ds.StructureSetROISequence


def no_number(ds: Dataset) -> None:
    del ds.StructureSetROISequence[0].ROINumber


FLAWS: dict[str, tuple[made.Change, type[Refused]]] = {
    "another frame of reference": (another_frame, OtherFrameOfReference),
    "no frame of reference": (no_frame, NoFrameOfReference),
    "coordinates not in threes": (odd_data, RoiUnreadable),
    "no coordinates": (no_data, RoiUnreadable),
    "no regions": (no_regions, RoiUnreadable),
    "a region without number": (no_number, RoiUnreadable),
}


@pytest.mark.parametrize("what", FLAWS)
def test_a_flawed_structure_set_is_listed_and_refused_by_name_when_laid(what: str, tmp_path: Path) -> None:
    change, expected = FLAWS[what]
    path = made.structure_set(tmp_path, squares(1), change=change)
    with pytest.raises(expected):
        laid(path)


def test_the_frame_of_reference_of_the_object_stands_in_where_the_region_names_none(tmp_path: Path) -> None:
    def by_object(ds: Dataset) -> None:
        no_frame(ds)
        ds.ReferencedFrameOfReferenceSequence = [Dataset()]
        ds.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = ct.FRAME

    assert np.array_equal(laid(made.structure_set(tmp_path, squares(1), change=by_object)).mask, filled(1))


def test_a_region_without_contours_is_not_listed(tmp_path: Path) -> None:
    assert made.regions_of(made.structure_set(tmp_path, [])) == ()


def test_a_structure_set_says_when_it_was_made(tmp_path: Path) -> None:
    (region,) = made.regions_of(made.structure_set(tmp_path, squares(1)))
    assert region.created is not None
    assert region.created.isoformat() == "2026-01-02T03:04:05+00:00"


def test_contours_of_a_large_organ_are_laid_in_a_moment(tmp_path: Path) -> None:
    big = made.grid((60, 512, 512), spacing=(1.0, 0.7, 0.7))
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    corners = 256 + 150 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    path = made.structure_set(tmp_path, [made.contour(big, k, corners) for k in range(60)])
    (region,) = made.regions_of(path)
    begin = time.process_time()
    mask = rois.lay(region, big).mask
    assert time.process_time() - begin < 3
    assert mask.sum() / (60 * np.pi * 150**2) == pytest.approx(1, abs=2e-3)


def test_contours_are_read_from_the_bytes_of_the_file_where_nobody_decoded_them(tmp_path: Path) -> None:
    path = made.structure_set(tmp_path, squares(1, 2))
    undecoded = dcmread(path)
    instance = replace(open_instance(path), header=undecoded)
    (region,) = rois.given(group([instance]))
    assert np.array_equal(rois.lay(region, GRID).mask, filled(1, 2))


def test_a_coordinate_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = made.structure_set(tmp_path, squares(1))
    content = path.read_bytes()
    first = content.index(b"-8.650000")
    path.write_bytes(content[:first] + b"-8.65o000" + content[first + 9 :])
    with pytest.raises(Refused):
        laid(path)
