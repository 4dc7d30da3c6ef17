from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.training.nomogram import nomogram
from her2node.training.pipelines import Model


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_points_added_by_hand_give_the_log_odds_of_the_model(seed: int) -> None:
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(1, 3)) * (rng.uniform(size=3) < 0.8)
    model = Model(rng.normal(size=1), slopes)
    values = np.column_stack([rng.normal(90, 10, 30), rng.integers(0, 2, 30), rng.uniform(1, 9, 30)])
    found = nomogram(model, ("a", "b", "c"), values)
    row = rng.integers(0, 5, size=3)
    points, case = 0.0, np.array(values[0])
    for scale in found.scales:
        place = "abc".index(scale.label)
        value, here = scale.ticks[row[place] % len(scale.ticks)]
        points += here
        case[place] = value
    assert found.log_odds(points) == pytest.approx(model.log_odds(case[None, :])[0], abs=1e-9)


def test_the_weightiest_input_is_a_hundred_points_long_and_none_is_negative() -> None:
    model = Model(np.array([-1.0]), np.array([[0.5, -2.0, 0.0]]))
    values = np.array([[0.0, 0.0, 3.0], [2.0, 1.0, 4.0]])
    found = nomogram(model, ("a", "b", "c"), values)
    assert [scale.label for scale in found.scales] == ["a", "b"]
    ends = [max(points for _, points in scale.ticks) for scale in found.scales]
    assert ends == pytest.approx([50.0, 100.0])
    assert min(points for scale in found.scales for _, points in scale.ticks) == pytest.approx(0, abs=1e-12)
    assert found.most_points == pytest.approx(150)
