from __future__ import annotations

import numpy as np
import pytest

from her2node.quantities import dce_curve

TIMES = np.array([0.0, 10.0, 20.0, 40.0, 100.0, 220.0])
RELATIVE = np.array([[0.0, 0.0, 0.5, 1.2, 1.0, 0.6]])
ARRIVAL_S = 10.0


def test_the_peak_and_its_time_are_those_of_the_highest_sample() -> None:
    assert dce_curve.peak_enhancement(RELATIVE) == pytest.approx(1.2)
    assert dce_curve.time_to_peak(TIMES, RELATIVE, ARRIVAL_S) == pytest.approx(30.0)


def test_wash_in_is_the_mean_slope_to_the_peak_and_wash_out_that_from_it() -> None:
    assert dce_curve.wash_in(TIMES, RELATIVE, ARRIVAL_S) == pytest.approx(60 * 1.2 / 30)
    assert dce_curve.wash_out(TIMES, RELATIVE) == pytest.approx(60 * (0.6 - 1.2) / 180)


def test_a_curve_that_still_rises_has_no_wash_out() -> None:
    assert np.isnan(dce_curve.wash_out(TIMES, np.arange(6.0)[np.newaxis])).all()


def test_a_peak_before_the_arrival_has_no_wash_in() -> None:
    assert np.isnan(dce_curve.wash_in(TIMES, RELATIVE, 50.0)).all()


def test_the_ratio_of_early_to_late_is_above_one_where_contrast_washes_out() -> None:
    found = dce_curve.signal_enhancement_ratio(np.array([1.2, 0.5, 0.3]), np.array([0.8, 1.0, 0.0]))
    assert found[:2] == pytest.approx([1.5, 0.5])
    assert np.isnan(found[2])
