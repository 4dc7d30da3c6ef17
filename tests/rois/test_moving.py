from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from her2node.rois.moving import narrowed


@given(arrays.arrays(np.bool_, st.tuples(*[st.integers(1, 7)] * 3)))
def test_a_narrowed_region_is_the_erosion_on_the_whole_grid(mask: np.ndarray) -> None:
    assert np.array_equal(narrowed(mask), ndimage.binary_erosion(mask))
