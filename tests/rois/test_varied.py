from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from her2node.rois.varied import VARIATIONS, Variation, varied

BY_NAME = {variation.name: variation for variation in VARIATIONS}
masks = arrays(np.bool_, st.tuples(*[st.integers(1, 7)] * 3))


@given(masks)
def test_eroding_and_dilating_keep_to_the_slices(mask: np.ndarray) -> None:
    cross = ndimage.generate_binary_structure(2, 1)
    for at in range(len(mask)):
        eroded = ndimage.binary_erosion(mask[at], cross, border_value=0)
        dilated = ndimage.binary_dilation(mask[at], cross)
        np.testing.assert_array_equal(varied(mask, BY_NAME["eroded"])[at], eroded)
        np.testing.assert_array_equal(varied(mask, BY_NAME["dilated"])[at], dilated)


@given(masks)
def test_a_shift_moves_every_voxel_and_wraps_none(mask: np.ndarray) -> None:
    for variation in VARIATIONS:
        if variation.grow:
            continue
        found = varied(mask, variation)
        moved = np.pad(mask, 1)
        for axis, by in enumerate(variation.shift):
            moved = np.roll(moved, by, axis)
        np.testing.assert_array_equal(found, moved[1:-1, 1:-1, 1:-1])


def test_the_mask_itself_is_left_alone() -> None:
    mask = np.ones((3, 5, 5), dtype=np.bool_)
    for variation in VARIATIONS:
        varied(mask, variation)
    assert mask.all()


@pytest.mark.parametrize("variation", VARIATIONS, ids=lambda variation: variation.name)
def test_every_variation_differs_from_the_region_by_about_its_rim(variation: Variation) -> None:
    mask = np.zeros((9, 40, 40), dtype=np.bool_)
    mask[2:7, 10:30, 10:30] = True
    share = np.count_nonzero(varied(mask, variation) ^ mask) / np.count_nonzero(mask)
    assert 0.05 < share < 0.5
