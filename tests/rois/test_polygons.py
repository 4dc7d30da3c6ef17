"""Which pixel centres lie in polygons."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.rois.polygons import inside

SQUARE = np.array([(1.5, 1.5), (1.5, 6.5), (6.5, 6.5), (6.5, 1.5)])


def by_definition(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The plainest ray casting, one pixel and one edge at a time."""
    mask = np.zeros(shape, bool)
    for row in range(shape[0]):
        for column in range(shape[1]):
            for polygon in polygons:
                for (r0, c0), (r1, c1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
                    if (r0 <= row) != (r1 <= row) and c0 + (row - r0) * (c1 - c0) / (r1 - r0) <= column:
                        mask[row, column] ^= True
    return mask


corner = st.tuples(st.floats(-3, 13).map(lambda x: round(x, 3)), st.floats(-3, 13).map(lambda x: round(x, 3)))
polygon = st.lists(corner, min_size=1, max_size=9).map(lambda corners: np.array(corners, float))


@settings(deadline=None, max_examples=60)
@given(st.lists(polygon, min_size=0, max_size=4))
def test_the_fast_way_agrees_with_the_plainest_ray_casting(polygons: list[np.ndarray]) -> None:
    assert np.array_equal(inside(polygons, (10, 11)), by_definition(polygons, (10, 11)))


def test_a_square_holds_the_centres_within() -> None:
    assert np.argwhere(inside([SQUARE], (9, 9))).min() == 2
    assert inside([SQUARE], (9, 9)).sum() == 25


def test_an_inner_contour_is_a_hole_and_one_in_the_hole_an_island() -> None:
    hole, island = (SQUARE - 4) * 0.6 + 4, (SQUARE - 4) * 0.2 + 4
    mask = inside([SQUARE, hole, island], (9, 9))
    assert mask[4, 4]
    assert not mask[4, 3]
    assert mask[4, 2]
    assert mask.sum() == 25 - 9 + 1


def test_a_keyhole_cut_to_the_inside_makes_a_hole() -> None:
    hole = [(2.6, 2.6), (5.4, 2.6), (5.4, 5.4), (2.6, 5.4)]
    keyhole = np.array([(1.5, 1.5), (2.6, 2.6), *hole[1:], (2.6, 2.6), (1.5, 1.5), (1.5, 6.5), (6.5, 6.5), (6.5, 1.5)])
    assert inside([keyhole], (9, 9)).sum() == 25 - 9


def test_the_turn_of_a_contour_and_its_first_corner_do_not_matter() -> None:
    expected = inside([SQUARE], (9, 9))
    assert np.array_equal(inside([SQUARE[::-1]], (9, 9)), expected)
    assert np.array_equal(inside([np.roll(SQUARE, 1, axis=0)], (9, 9)), expected)


def test_neighbours_that_share_an_edge_on_pixel_centres_share_no_pixel_and_leave_none_out() -> None:
    left = np.array([(0.0, 0.0), (0.0, 4.0), (8.0, 4.0), (8.0, 0.0)])
    right = left + np.array([0, 4])
    a, b = inside([left], (8, 8)), inside([right], (8, 8))
    assert not (a & b).any()
    assert (a | b).all()


def test_a_corner_that_arithmetic_moved_by_the_last_digit_changes_nothing() -> None:
    on_centres = np.array([(2.0, 2.0), (2.0, 6.0), (6.0, 6.0), (6.0, 2.0)])
    for noise in (1e-10, -1e-10):
        assert np.array_equal(inside([on_centres + noise], (9, 9)), inside([on_centres], (9, 9)))


def test_points_and_lines_enclose_nothing() -> None:
    assert not inside([np.array([(3.0, 3.0)]), np.array([(1.0, 1.0), (5.0, 5.0)])], (9, 9)).any()


def test_a_hundred_thousand_corners_across_the_whole_image_take_well_under_a_second() -> None:
    rng = np.random.default_rng(1)
    angle = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    radius = 200 + rng.normal(0, 1, len(angle))
    ragged = 256 + radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    begin = time.process_time()
    mask = inside([ragged], (512, 512))
    assert time.process_time() - begin < 1
    assert abs(mask.sum() / (np.pi * 200**2) - 1) < 0.01


def test_a_claim_of_coordinates_far_outside_costs_no_memory() -> None:
    spikes = np.array([(0.0, 0.0), (1e6, 5.0)] * 5000)
    assert inside([spikes], (64, 64)).shape == (64, 64)
