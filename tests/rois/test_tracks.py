"""Vessels that cross the planes of a stack: told from organs, strands and noise by shape and course."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from her2node.rois.tracks import Track, _opened, tracks

PIXEL_MM = (1.5, 1.5)
SHAPE = (12, 60, 60)
ALL = range(12)
Stack = np.ndarray


def discs(*, hu: float, radius_mm: float, lean_mm: float = 0.0, slices: range = ALL, around: float = 20.0) -> Stack:
    """A round vessel that leans so far to the columns from slice to slice, blurred as an image is."""
    image = np.full(SHAPE, around, dtype=np.float32)
    rows, columns = np.indices(SHAPE[1:]) * PIXEL_MM[0]
    for index in slices:
        image[index][np.hypot(rows - 45.0, columns - 40.0 - lean_mm * index) <= radius_mm] = hu
    return np.asarray(ndimage.gaussian_filter(image, (0, 0.8, 0.8)))


def longest(image: Stack) -> Track:
    return tracks(image, PIXEL_MM)[0]


@pytest.mark.parametrize("hu", [45.0, 100.0, 150.0, 310.0, 480.0])
@pytest.mark.parametrize("radius_mm", [6.5, 9.0, 13.0])
def test_a_vessel_is_followed_through_all_slices_whatever_its_contrast(hu: float, radius_mm: float) -> None:
    found = longest(discs(hu=hu, radius_mm=radius_mm, around=hu - 45.0 if hu < 100 else 20.0))
    assert len(found.discs) == 12
    assert 0 <= hu - found.hu <= max(18.0, 0.12 * hu), "a blurred rim darkens a disc by less than half its band"
    assert (found.row * 1.5, found.column * 1.5) == pytest.approx((45.0, 40.0), abs=1.0)
    assert found.radius_mm == pytest.approx(radius_mm, abs=2.0)


def test_a_vessel_that_leans_is_one_track_and_one_that_jumps_is_two() -> None:
    assert len(longest(discs(hu=200, radius_mm=8, lean_mm=2.0)).discs) == 12
    below, above = discs(hu=200, radius_mm=8, slices=ALL[:6]), discs(hu=200, radius_mm=8, lean_mm=4.0, slices=ALL[6:])
    jump = below + above - 20
    assert [len(track.discs) for track in tracks(jump, PIXEL_MM)[:2]] == [6, 6]


def test_a_vessel_whose_contrast_ends_is_not_followed_into_the_dark() -> None:
    dark = discs(hu=200, radius_mm=8, slices=ALL[:6]) + discs(hu=90, radius_mm=8, slices=ALL[6:]) - 20
    assert [len(track.discs) for track in tracks(dark, PIXEL_MM)[:2]] == [6, 6]


def test_a_slab_an_organ_and_a_thread_are_no_vessels() -> None:
    rows, columns = np.indices(SHAPE[1:]) * PIXEL_MM[0]
    slab, organ, thread = (np.full(SHAPE, 20.0, dtype=np.float32) for _ in range(3))
    slab[:, (np.abs(rows - 45) < 5) & (np.abs(columns - 45) < 30)] = 150
    organ[:, np.hypot(rows - 45, columns - 45) < 30] = 150
    thread[:, np.hypot(rows - 45, columns - 45) < 2.5] = 150
    for image in (slab, organ, thread):
        assert tracks(np.asarray(ndimage.gaussian_filter(image, (0, 0.8, 0.8))), PIXEL_MM) == []


def test_of_two_vessels_side_by_side_each_has_its_own_track() -> None:
    image = np.maximum(discs(hu=200, radius_mm=8), np.roll(discs(hu=160, radius_mm=8), 20, axis=2))
    found = tracks(image, PIXEL_MM)[:2]
    assert [len(track.discs) for track in found] == [12, 12]
    assert sorted(track.hu for track in found) == pytest.approx([160, 200], rel=0.06)


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_opening_by_shifted_views_is_the_morphological_one(band: np.ndarray) -> None:
    assert np.array_equal(_opened(band), ndimage.binary_opening(band, np.ones((3, 3), np.bool_)))
