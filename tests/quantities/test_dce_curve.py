from __future__ import annotations

import numpy as np
import pytest

from her2node.quantities import dce_curve

TIMES = np.array([0.0, 10.0, 20.0, 40.0, 100.0, 220.0])
RELATIVE = np.array([[0.0, 0.0, 0.5, 1.2, 1.0, 0.6]])
ARRIVAL_S = 10.0


def test_the_peak_and_its_time_are_those_of_the_highest_sample() -> None:
    assert dce_curve.peak_enhancement(TIMES, RELATIVE, ARRIVAL_S) == pytest.approx(1.2)
    assert dce_curve.time_to_peak(TIMES, RELATIVE, ARRIVAL_S) == pytest.approx(30.0)


def test_wash_in_is_the_mean_slope_to_the_peak_and_wash_out_that_from_it() -> None:
    assert dce_curve.wash_in(TIMES, RELATIVE, ARRIVAL_S) == pytest.approx(60 * 1.2 / 30)
    assert dce_curve.wash_out(TIMES, RELATIVE, ARRIVAL_S) == pytest.approx(60 * (0.6 - 1.2) / 180)


def test_a_curve_that_still_rises_has_no_wash_out() -> None:
    assert np.isnan(dce_curve.wash_out(TIMES, np.arange(6.0)[np.newaxis], ARRIVAL_S)).all()


def test_what_is_bright_before_the_arrival_is_no_peak() -> None:
    bright = np.array([[3.0, 0.0, 0.5, 1.2, 1.0, 0.6]])
    assert dce_curve.peak_enhancement(TIMES, bright, ARRIVAL_S) == pytest.approx(1.2)
    assert dce_curve.time_to_peak(TIMES, bright, ARRIVAL_S) == pytest.approx(30.0)
    assert dce_curve.wash_in(TIMES, bright, ARRIVAL_S) == pytest.approx(60 * 1.2 / 30)
    assert dce_curve.wash_out(TIMES, bright, ARRIVAL_S) == pytest.approx(60 * (0.6 - 1.2) / 180)


@pytest.mark.parametrize(("relative", "arrival_s"), [(RELATIVE, 220.0), (np.full((1, 6), np.nan), ARRIVAL_S)])
def test_without_a_sample_after_the_arrival_or_a_signal_before_nothing_is_defined(
    relative: np.ndarray, arrival_s: float
) -> None:
    for measure in (dce_curve.peak_enhancement, dce_curve.time_to_peak, dce_curve.wash_in, dce_curve.wash_out):
        assert np.isnan(measure(TIMES, relative, arrival_s)).all()


def test_the_ratio_of_early_to_late_is_above_one_where_contrast_washes_out() -> None:
    found = dce_curve.signal_enhancement_ratio(np.array([1.2, 0.5]), np.array([0.8, 1.0]))
    assert found == pytest.approx([1.5, 0.5])


def test_what_is_not_enhanced_early_or_late_has_no_ratio() -> None:
    early, late = np.array([0.3, 0.0, -0.1, -0.1, np.nan]), np.array([0.0, 0.8, 0.8, -0.2, 1.0])
    assert np.isnan(dce_curve.signal_enhancement_ratio(early, late)).all()
