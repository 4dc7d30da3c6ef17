from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from her2node.selection import extent_of
from her2node.selection.study import group, open_study
from tests.selection.headers import instance, series


def test_the_extent_runs_from_the_lowest_to_the_highest_slice() -> None:
    assert extent_of(series(images=4)) == (5.0, 20.0)


def test_head_first_and_feet_first_have_the_same_extent() -> None:
    flipped = {"ImageOrientationPatient": [1, 0, 0, 0, -1, 0]}
    assert extent_of(series(images=4, **flipped)) == extent_of(series(images=4))


def test_an_oblique_series_is_measured_along_its_normal() -> None:
    oblique = {"ImageOrientationPatient": [1, 0, 0, 0, 0.6, 0.8]}
    made = [instance("1.2", n, **oblique, ImagePositionPatient=[0, -8.0 * n, 6.0 * n]) for n in range(3)]
    assert extent_of(group(made).series[0]) == pytest.approx((-20.0, 0.0))


def test_a_series_without_positions_has_no_extent() -> None:
    assert extent_of(series(ImagePositionPatient=None)) is None
    assert extent_of(series(ImageOrientationPatient=[1, 0])) is None


def test_an_enhanced_object_has_the_extent_of_its_frames() -> None:
    orientation, shared, frames = Dataset(), Dataset(), []
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = [orientation]
    for z in (10.0, 12.5, 15.0):
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, z]
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    enhanced = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": frames}
    assert extent_of(series(sop_class_uid=EnhancedCTImageStorage, **enhanced)) == (10.0, 15.0)


@pytest.mark.truth
def test_the_real_portal_series_reaches_two_hundred_millimetres(shared: Path) -> None:
    study = open_study(sorted((shared / "data/ct-abdomen-portal-crlm1004").glob("*.dcm")))
    extent = extent_of(study.series[0])
    assert extent is not None
    assert extent[1] - extent[0] == 200.0
