from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.quantities import kinetics
from tests.quantities.osipi import array, rows

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


@pytest.mark.parametrize("delay", [0.0, 3.0, 7.0])
def test_a_delay_moves_tmax_by_itself_and_leaves_the_flow(delay: float) -> None:
    times = np.arange(0, 90, 1.0)
    arterial = np.exp(-(((times - 20) / 5) ** 2))
    late = np.exp(-(((times - 20 - delay) / 5) ** 2))
    curves = 0.01 * np.stack([kinetics.convolved(times, late, np.array(1 / 12))])
    found = kinetics.Deconvolver.of(arterial, 1.0)(curves)
    still = kinetics.Deconvolver.of(arterial, 1.0)(
        0.01 * kinetics.convolved(times, arterial, np.array(1 / 12))[np.newaxis]
    )
    assert found.peak_s[0] - still.peak_s[0] == pytest.approx(delay, abs=0.1)
    assert found.peak[0] == pytest.approx(still.peak[0], rel=0.01)


def test_curves_are_deconvolved_alike_alone_and_among_others() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(0, 40, 1.0)
    arterial = np.exp(-(((times - 12) / 4) ** 2))
    curves = np.stack([kinetics.convolved(times, arterial, np.array(rate)) for rate in (0.05, 0.2, 1.0)])
    curves = curves + 0.02 * rng.standard_normal(curves.shape)
    deconvolver = kinetics.Deconvolver.of(arterial, 1.0)
    together, alone = deconvolver(curves), [deconvolver(curve[np.newaxis]) for curve in curves]
    assert together.peak == pytest.approx([one.peak[0] for one in alone])
    assert together.threshold == pytest.approx([one.threshold[0] for one in alone])


def test_a_curve_without_contrast_has_no_flow_that_is_no_number() -> None:
    arterial = np.exp(-(((np.arange(30) - 10) / 3.0) ** 2))
    found = kinetics.Deconvolver.of(arterial, 1.0)(np.zeros((1, 30)))
    assert np.isfinite([found.peak, found.area, found.peak_s]).all()


# --- truth -------------------------------------------------------------------------------------------------------


@pytest.mark.truth
def test_osipi_deconvolution_cases_are_all_within_tolerance_and_the_median_flow_within_two_per_cent(
    shared: Path,
) -> None:
    """The oscillation index was chosen on these cases, so the median shows that it still fits, not that it is right."""
    errors = []
    for row in rows(shared, "DSCmodels/dsc_data.csv"):
        flow, volume = float(row["cbf"]), float(row["cbv"])
        found = kinetics.Deconvolver.of(array(row["C_aif"]), float(row["tr"]))(array(row["C_tis"])[np.newaxis])
        assert abs(6000 * found.peak[0] - flow) <= 15 + 0.1 * flow, row["label"]
        assert abs(100 * found.area[0] - volume) <= 1 + 0.1 * volume, row["label"]
        errors.append(6000 * found.peak[0] / flow - 1)
    assert len(errors) == 14
    print(f"flow: median error {np.median(errors):+.4f}, of the absolute {np.median(np.abs(errors)):.4f}")
    assert abs(np.median(errors)) < 0.02


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


def fitted(fit: object, table: list[dict[str, str]], delays_s: list[float]) -> kinetics.Exchange:
    """All rows at once: OSIPI's cases of one table share their arterial curve."""
    arterial = array(table[0]["cp_aif"])
    assert all((array(row["cp_aif"]) == arterial).all() for row in table)
    curves = np.stack([array(row["C_t"]) for row in table])
    assert callable(fit)
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


@pytest.mark.soak
@pytest.mark.truth
def test_osipi_exchange_cases_of_unknown_delay_miss_once_for_their_noise(shared: Path) -> None:
    """Case 8 has PS 0.128 where 0.150 is the truth: the fit there is closer to the noisy curve than the truth is."""
    table = rows(shared, "DCEmodels/2cxm_sd_0.001_delay_5.csv")
    found = fitted(kinetics.two_compartment_exchange, table, list(np.arange(0, 10.5, 1.0)))
    missed = misses(table, found)
    assert [one.split()[:2] for one in missed] == [["case_8_delayed", "ps"]]
    place = [row["label"] for row in table].index("case_8_delayed")
    assert found.error[place] < 0.001  # OSIPI's noise: 0.001


@pytest.mark.soak
@pytest.mark.truth
def test_osipi_uptake_cases_of_unknown_delay_are_all_within_tolerance(shared: Path) -> None:
    table = rows(shared, "DCEmodels/2cum_sd_0.0025_delay_5.csv")
    found = fitted(kinetics.two_compartment_uptake, table, list(np.arange(0, 10.5, 1.0)))
    assert misses(table, found) == []
