"""Images turned as a network wants them, by geometry."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from her2node.models.segmenter.turning import turn_to

AXES = np.eye(3)
WAYS = [
    [AXES[axis] * sign for axis, sign in zip(order, signs, strict=True)]
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]
TOWARDS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "LAS", "SPL", "AIR"])
def test_wherever_a_series_runs_the_network_sees_its_own_orientation_and_the_answer_comes_back(
    orientation: str,
) -> None:
    index = np.stack(np.meshgrid(*map(np.arange, (3, 4, 5)), indexing="ij"), axis=-1)
    for directions in WAYS:
        places = index @ np.array(directions)
        turn = turn_to(orientation, directions)
        seen = [turn.turned(places[..., axis]) for axis in range(3)]
        for place, letter in enumerate(reversed(orientation)):
            axis, sign = TOWARDS[letter]
            assert (np.diff(seen[axis], axis=place) * sign == 1).all()
        assert np.array_equal(turn.back(seen[0]), places[..., 0])
        assert turn.spacing((3.0, 4.0, 5.0)) == tuple(float(n) for n in seen[0].shape)


def test_an_axial_series_is_left_as_it_is() -> None:
    turn = turn_to("LPS", [(0, 0, 1), (0, 1, 0), (1, 0, 0)])
    assert (turn.order, turn.mirrored) == ((0, 1, 2), ())


def test_an_oblique_series_is_turned_to_the_nearest_way() -> None:
    turn = turn_to("LPS", [(0, -0.6, 0.8), (0, 0.8, 0.6), (1, 0, 0)])
    assert (turn.order, turn.mirrored) == ((0, 1, 2), ())
    turn = turn_to("LPS", [(0.8, 0, -0.6), (0, 1, 0), (-0.6, 0, -0.8)])
    assert (turn.order, turn.mirrored) == ((2, 1, 0), (0,))
