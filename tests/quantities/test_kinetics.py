from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from her2node.quantities import kinetics
from tests.quantities.osipi import array, rows

Floats = NDArray[np.float64]
TIMES = np.array([0.0, 0.7, 1.5, 3.0, 4.0, 6.5, 9.0])

# --- mathematics -------------------------------------------------------------------------------------------------


@given(rate=st.floats(0, 20), slope=st.floats(-5, 5), start=st.floats(-5, 5))
def test_the_convolution_of_a_straight_line_is_that_of_calculus(rate: float, slope: float, start: float) -> None:
    found = kinetics.convolved(TIMES, start + slope * TIMES, np.array(rate))
    fine = np.linspace(0, TIMES[-1], 20001)
    kernel = np.exp(-rate * (TIMES[-1] - fine))
    expected = np.trapezoid((start + slope * fine) * kernel, fine)
    assert found[-1] == pytest.approx(expected, abs=2e-4)


def test_a_rate_of_nought_gives_the_integral() -> None:
    curve = np.array([0.0, 1, 3, 2, 5, 1, 0])
    assert kinetics.convolved(TIMES, curve, np.array(0.0)) == pytest.approx(kinetics.integrated(TIMES, curve))


def test_uneven_samples_of_a_line_come_out_even() -> None:
    steady, curves = kinetics.even(TIMES, 2 * TIMES[np.newaxis] + 1, 0.5)
    assert np.diff(steady) == pytest.approx(0.5)
    assert curves[0] == pytest.approx(2 * steady + 1)


def test_a_tissue_that_lets_nothing_through_is_given_no_exchange() -> None:
    """Of two exponentials where one would do any exchange could be read."""
    times = np.arange(0, 60, 1.0)
    arterial = np.exp(-(((times - 15) / 5) ** 2))
    curves = 0.01 * kinetics.convolved(times, arterial, np.array([[1 / 6], [1 / 15]]))[:, 0]
    found = kinetics.two_compartment_exchange(times, arterial, curves, np.arange(0.0, 5.0))
    assert found.exchange == pytest.approx(0, abs=1e-9)
    assert 6000 * found.flow == pytest.approx(60, rel=0.01)


def test_likely_tissues_give_the_curve_they_were_drawn_for_and_are_the_same_again() -> None:
    times = np.arange(0, 60, 2.0)
    arterial = np.exp(-(((times - 15) / 5) ** 2))
    both = kinetics.convolved(times, arterial, np.array([0.2, 0.01]))
    curve = 0.008 * both[0] + 0.002 * both[1]
    drawn = [kinetics.likely_exchanges(times, arterial, curve, 0.0, np.arange(3.0), 16) for _ in range(2)]
    (tissues, curves), (_, again) = drawn
    assert curves == pytest.approx(again, abs=0)
    assert np.abs(curves - curve).max() < 0.05 * curve.max()
    assert np.median(6000 * tissues.flow) == pytest.approx(60, rel=0.1)


# --- truth -------------------------------------------------------------------------------------------------------


@pytest.mark.truth
@pytest.mark.parametrize("delay", [0, 5])
def test_osipi_patlak_cases_are_all_within_tolerance(shared: Path, delay: int) -> None:
    table = rows(shared, f"DCEmodels/patlak_sd_0.02_delay_{delay}.csv")
    assert len(table) == 9
    for row in table:
        times, arterial = array(row["t"]), array(row["cp_aif"])
        late = kinetics.delayed(times, arterial, np.array(float(delay)))
        found = kinetics.patlak(times, late, array(row["C_t"])[np.newaxis], times[0])
        assert abs(60 * found.exchange[0] - float(row["ps"])) <= 0.005 + 0.1 * float(row["ps"]), row["label"]
        assert abs(found.volume[0] - float(row["vp"])) <= 0.025, row["label"]


def misses(table: list[dict[str, str]], found: kinetics.Exchange) -> list[str]:
    """What lies outside OSIPI's tolerances, with the least squares at the fit."""
    missed = []
    for place, row in enumerate(table):
        pairs = [
            ("fp", 6000 * found.flow[place], 5.0, 0.1),
            ("ps", 60 * found.exchange[place], 0.005, 0.1),
            ("vp", found.volume[place], 0.025, 0.0),
            ("ve", found.interstitium[place], 0.05, 0.0),
            ("arterial_delay", found.delay_s[place], 1.0, 0.0),
        ]
        for name, value, absolute, relative in pairs:
            if name in row and not abs(value - float(row[name])) <= absolute + relative * float(row[name]):
                missed.append(f"{row['label']} {name} {value:.4g}, truth {row[name]}")
    return missed


def fitted(
    fit: Callable[..., kinetics.Exchange], table: list[dict[str, str]], delays_s: list[float]
) -> kinetics.Exchange:
    """All rows at once: OSIPI's cases of one table share their arterial curve."""
    arterial = array(table[0]["cp_aif"])
    assert all((array(row["cp_aif"]) == arterial).all() for row in table)
    curves = np.stack([array(row["C_t"]) for row in table])
    return fit(array(table[0]["t"]), arterial, curves, np.array(delays_s))


@pytest.mark.truth
def test_osipi_exchange_cases_are_all_within_tolerance(shared: Path) -> None:
    table = rows(shared, "DCEmodels/2cxm_sd_0.001_delay_0.csv")
    assert len(table) == 24
    assert misses(table, fitted(kinetics.two_compartment_exchange, table, [0.0])) == []


@pytest.mark.truth
def test_osipi_uptake_cases_are_all_within_tolerance(shared: Path) -> None:
    table = rows(shared, "DCEmodels/2cum_sd_0.0025_delay_0.csv")
    assert len(table) == 27
    assert misses(table, fitted(kinetics.two_compartment_uptake, table, [0.0])) == []


def least_deviations(row: dict[str, str], noise: float) -> Floats:
    """Standard deviations of F, v, PS, ve and delay that no unbiased estimate of this case falls below (Cramer-Rao)."""
    times, arterial = array(row["t"]), array(row["cp_aif"])

    def curve(truth: Floats) -> Floats:
        flow, volume, exchange, interstitium, delay = truth
        through, back = flow / volume, exchange / interstitium
        both = (flow + exchange) / volume + back
        fast, slow = (both + sign * np.sqrt(both**2 - 4 * through * back) for sign in (1, -1))
        fast, slow = fast / 2, slow / 2
        share = (fast - through) / (fast - slow)
        late = kinetics.delayed(times, arterial, np.array(delay))
        first, second = kinetics.convolved(times, late, np.array([fast, slow]))
        return np.asarray(flow * ((1 - share) * first + share * second))

    truth = np.array([float(row[name]) for name in ("fp", "vp", "ps", "ve", "arterial_delay")])
    truth /= (6000, 1, 60, 1, 1)
    slopes = [(curve(truth + step) - curve(truth - step)) / (2 * step.sum()) for step in np.diag(1e-3 * truth)]
    return np.asarray(noise * np.sqrt(np.diag(np.linalg.inv(np.array(slopes) @ np.array(slopes).T))))


@pytest.mark.soak
@pytest.mark.truth
def test_osipi_exchange_cases_of_unknown_delay_miss_once_where_the_noise_leaves_the_tolerance_open(
    shared: Path,
) -> None:
    """Case 8: PS 0.128 where 0.150 is the truth and 0.020 the tolerance, but the noise alone spreads any unbiased
    estimate by 0.011 (with a known delay by 0.006, and there it is met)."""
    table = rows(shared, "DCEmodels/2cxm_sd_0.001_delay_5.csv")
    found = fitted(kinetics.two_compartment_exchange, table, list(np.arange(0, 10.5, 1.0)))
    missed = misses(table, found)
    assert [one.split()[:2] for one in missed] == [["case_8_delayed", "ps"]]
    place = [row["label"] for row in table].index("case_8_delayed")
    least = 60 * least_deviations(table[place], 0.001)[2]
    assert 2 * least > 0.005 + 0.1 * 0.15, "two standard deviations exceed the tolerance"
    assert abs(60 * found.exchange[place] - 0.15) < 2 * least
    assert found.error[place] < 0.001, "closer to the curve than the truth is"


@pytest.mark.soak
@pytest.mark.truth
def test_osipi_uptake_cases_of_unknown_delay_are_all_within_tolerance(shared: Path) -> None:
    table = rows(shared, "DCEmodels/2cum_sd_0.0025_delay_5.csv")
    found = fitted(kinetics.two_compartment_uptake, table, list(np.arange(0, 10.5, 1.0)))
    assert misses(table, found) == []
