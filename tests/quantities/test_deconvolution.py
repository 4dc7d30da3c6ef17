"""What comes out of a curve without a model of its tissue."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from her2node.dicom.codes import Quantity as Concept
from her2node.phantoms.flow import Artery, Tissue, uptake
from her2node.quantities import deconvolution, kinetics, perfusion
from her2node.quantities.bolus import bolus_of
from her2node.quantities.deconvolution import OSCILLATION_INDEX, Deconvolver
from tests.quantities.osipi import array, rows

Floats = NDArray[np.float64]

# --- mathematics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0.0, 3.0, 7.0])
def test_a_delay_moves_tmax_by_itself_and_leaves_the_flow(delay: float) -> None:
    times = np.arange(0, 90, 1.0)
    arterial = np.exp(-(((times - 20) / 5) ** 2))
    late = np.exp(-(((times - 20 - delay) / 5) ** 2))
    curves = 0.01 * np.stack([kinetics.convolved(times, late, np.array(1 / 12))])
    found = Deconvolver.of(arterial, 1.0)(curves)
    still = Deconvolver.of(arterial, 1.0)(0.01 * kinetics.convolved(times, arterial, np.array(1 / 12))[np.newaxis])
    assert found.peak_s[0] - still.peak_s[0] == pytest.approx(delay, abs=0.1)
    assert found.peak[0] == pytest.approx(still.peak[0], rel=0.01)


def test_curves_are_deconvolved_alike_alone_and_among_others() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(0, 40, 1.0)
    arterial = np.exp(-(((times - 12) / 4) ** 2))
    curves = np.stack([kinetics.convolved(times, arterial, np.array(rate)) for rate in (0.05, 0.2, 1.0)])
    curves = curves + 0.02 * rng.standard_normal(curves.shape)
    deconvolver = Deconvolver.of(arterial, 1.0)
    together, alone = deconvolver(curves), [deconvolver(curve[np.newaxis]) for curve in curves]
    assert together.peak == pytest.approx([one.peak[0] for one in alone])
    assert together.threshold == pytest.approx([one.threshold[0] for one in alone])


def test_each_curve_is_truncated_where_its_residue_function_begins_to_swing() -> None:
    """Written out: every level's residue function by a filter, and the last before the first that is too rough. How
    sums round may decide a curve of which a level is as rough as the limit; those are few."""
    rng = np.random.default_rng(4)
    times = np.arange(0, 45, 1.5)
    arterial = np.exp(-(((times - 12) / 4) ** 2))
    curves = np.stack([kinetics.convolved(times, arterial, np.array(rate)) for rate in rng.uniform(0.05, 1, 60)])
    curves = np.concatenate([curves + 0.1 * rng.standard_normal(curves.shape), -curves[:2]])
    deconvolver = Deconvolver.of(arterial, 1.5)
    for one in (deconvolver, deconvolver.single()):
        found, chosen, left = one(curves), [], 0
        for row, curve in enumerate(curves):
            tried = np.fft.irfft(np.fft.rfft(curve, 2 * len(times)) * deconvolver.filters, 2 * len(times))
            rough = deconvolution.oscillation(tried)
            if np.abs(rough / OSCILLATION_INDEX - 1).min() < 1e-3:
                left += 1
                continue
            level = next((n for n in range(1, len(tried)) if not rough[n] < OSCILLATION_INDEX), len(tried)) - 1
            chosen.append(level)
            assert found.threshold[row] == deconvolver.thresholds[level]
            assert found.peak[row] == pytest.approx(tried[level].max(), rel=1e-4)
            assert found.area[row] == pytest.approx(1.5 * tried[level].sum(), rel=1e-3, abs=1e-4)
        assert left <= 5
        assert len(set(chosen)) > 5


def test_a_long_recording_at_fine_steps_holds_one_inverse_at_a_time() -> None:
    times = np.arange(0, 300, 0.5)
    arterial = np.exp(-(((times - 20) / 2) ** 2))
    curves = 0.01 * kinetics.convolved(times, arterial, np.array([1 / 4, 1 / 12]))
    tracemalloc.start()
    deconvolver = Deconvolver.of(arterial, 0.5)
    deconvolver(curves, index=np.inf)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    one = 2 * len(times) ** 2 * arterial.itemsize
    assert len(deconvolver.thresholds) > 20
    assert most < 4 * one


def test_a_curve_without_contrast_has_no_flow_that_is_no_number() -> None:
    arterial = np.exp(-(((np.arange(30) - 10) / 3.0) ** 2))
    found = Deconvolver.of(arterial, 1.0)(np.zeros((1, 30)))
    assert np.isfinite([found.peak, found.area, found.peak_s]).all()


ONCE = Artery(again=0.0, staying=0.0)
EVERY_SECOND = tuple(float(t) for t in range(121))


@pytest.mark.parametrize("transit_s", [4.0, 8.0, 16.0])
@pytest.mark.parametrize("delay_s", [0.0, 2.3])
def test_what_truncation_takes_from_flow_is_given_back(transit_s: float, delay_s: float) -> None:
    """Without a leak; the peak alone is a fifth to a half too low at 4 s."""
    tissue = Tissue(6000 * 0.06 / transit_s, 0.06, delay_s=delay_s)
    arterial = np.array([ONCE.at(t) for t in EVERY_SECOND])
    found = Deconvolver.of(arterial, 1.0)(uptake(ONCE, tissue, EVERY_SECOND)[np.newaxis])
    assert found.resolved.all()
    assert 6000 * found.flow[0] == pytest.approx(tissue.flow, rel=0.15)
    assert found.volume[0] == pytest.approx(0.06, rel=0.05)
    if transit_s == 4:
        assert 6000 * found.peak[0] < 0.85 * tissue.flow


def test_an_early_last_image_takes_less_of_the_volume_than_of_the_area() -> None:
    times, tissue = EVERY_SECOND[:61], Tissue(20, 0.08)
    arterial = np.array([ONCE.at(t) for t in times])
    found = Deconvolver.of(arterial, 1.0)(uptake(ONCE, tissue, times)[np.newaxis])
    assert found.area[0] < 0.85 * 0.08
    assert found.volume[0] == pytest.approx(0.08, rel=0.1)


def test_a_transit_shorter_than_the_samples_tell_is_not_resolved() -> None:
    times, tissue = EVERY_SECOND[::3], Tissue(240, 0.06)
    arterial = np.array([ONCE.at(t) for t in times])
    assert not Deconvolver.of(arterial, 3.0)(uptake(ONCE, tissue, times)[np.newaxis]).resolved.any()


@pytest.mark.parametrize("transit_s", [8.0, 16.0])
def test_each_convolution_reads_what_it_made_and_the_other_by_half_a_step_of_the_transit_wrong(
    transit_s: float,
) -> None:
    times = np.arange(0, 120, 2.0)
    arterial = np.exp(-(((times - 20) / 5) ** 2))
    decay = np.exp(-times / transit_s)
    made = {
        "integral": 0.01 * kinetics.convolved(times, arterial, np.array(1 / transit_s)),
        "sum": 0.01 * 2.0 * np.convolve(arterial, decay)[: len(times)],
    }
    volume = 0.01 * transit_s
    for by, operator in (("integral", Deconvolver.of), ("sum", SUM)):
        found = {how: operator(arterial, 2.0)(curve[np.newaxis]) for how, curve in made.items()}
        other = next(how for how in made if how != by)
        assert found[by].flow[0] == pytest.approx(0.01, rel=0.05)
        assert found[by].volume[0] == pytest.approx(volume, rel=0.001)
        sign = 1 if by == "integral" else -1
        assert sign * (found[other].volume[0] / volume - 1) == pytest.approx(1.0 / transit_s, abs=0.25 / transit_s)
        assert sign * (found[other].flow[0] / 0.01 - 1) > 0.15


# --- truth -------------------------------------------------------------------------------------------------------


# OSIPI's curves are sums over samples, C_i = h sum_j Ca_j K_(i-j) with K = F exp(-t / T), where tissue integrates. Both
# differ by the whole weight that a sum gives to the jump of K: by the trapezoid's rule sum - integral =
# h / 2 (F Ca_i + K_i Ca_0), to first order in h. To take that away one has to know F, which is what is sought. So
# curves that were made by a sum are read with `perfusion.convolution = "sum"`, a setting that every value's parameters
# print; what the default, which integrates, reads of them stands beside it.

Operator = Callable[[Floats, float], Deconvolver]
SUM: Operator = partial(Deconvolver.of, convolution="sum")


def integrated(row: dict[str, str]) -> Floats:
    """A published tissue curve with its noise, the sum of its stated flow and volume replaced by the integral."""
    arterial, step_s = array(row["C_aif"]), float(row["tr"])
    flow, transit_s = float(row["cbf"]) / 6000, 60 * float(row["cbv"]) / float(row["cbf"])
    times_s = step_s * np.arange(len(arterial))
    summed = step_s * np.convolve(arterial, np.exp(-times_s / transit_s))[: len(times_s)]
    return array(row["C_tis"]) + flow * (kinetics.convolved(times_s, arterial, np.array(1 / transit_s)) - summed)


def compared(shared: Path, operator: Operator, tissue: Callable[[dict[str, str]], Floats]) -> Floats:
    """Of every case (14, 3): the relative errors of flow and volume, and whether OSIPI's tolerance holds for both."""
    cases = []
    for row in rows(shared, "DSCmodels/dsc_data.csv"):
        flow, volume = float(row["cbf"]), float(row["cbv"])
        found = operator(array(row["C_aif"]), float(row["tr"]))(tissue(row)[np.newaxis])
        by_flow, by_volume = float(6000 * found.flow[0]) - flow, float(100 * found.volume[0]) - volume
        within = abs(by_flow) <= 15 + 0.1 * flow and abs(by_volume) <= 1 + 0.1 * volume
        cases.append((by_flow / flow, by_volume / volume, float(within)))
    assert len(cases) == 14
    return np.array(cases)


def published(row: dict[str, str]) -> Floats:
    return array(row["C_tis"])


@pytest.mark.truth
def test_of_osipis_sums_the_nodes_integral_reads_a_quarter_more_flow_and_one_case_is_beyond_tolerance(
    shared: Path,
) -> None:
    """By default: what was made by a sum and is read by an integral misses what either alone holds."""
    flow, volume, within = compared(shared, Deconvolver.of, published).T
    assert np.median(flow) == pytest.approx(0.273, abs=0.005)
    assert np.median(volume) == pytest.approx(0.108, abs=0.005)
    assert within.sum() == 13


@pytest.mark.truth
def test_of_osipis_tissues_as_integrals_the_operator_that_runs_is_within_tolerance_in_all(shared: Path) -> None:
    """It knows the stated flow and volume, as a phantom does: it holds the operator, not OSIPI's curves, to account."""
    flow, volume, within = compared(shared, Deconvolver.of, integrated).T
    assert within.all()
    assert abs(np.median(flow)) < 0.03
    assert abs(np.median(volume)) < 0.01


@pytest.mark.truth
def test_of_osipis_sums_deconvolution_by_sum_is_within_tolerance_in_all_and_within_two_per_cent_in_the_median(
    shared: Path,
) -> None:
    """Nothing was set on these cases: the formula and the oscillation index are the published ones (Wu 2003)."""
    assert OSCILLATION_INDEX == 0.035
    flow, volume, within = compared(shared, SUM, published).T
    assert within.all()
    assert abs(np.median(flow)) < 0.02
    assert abs(np.median(volume)) < 0.02


@pytest.mark.truth
def test_so_it_is_the_whole_way_from_the_two_curves_to_flow_per_volume_of_tissue(shared: Path) -> None:
    """Baselines, bolus and factors are the node's own; the setting is the one that a site would write."""
    factors = perfusion.Factors(density_g_ml=1.0, convolution="sum")
    flows = []
    for row in rows(shared, "DSCmodels/dsc_data.csv"):
        arterial, wanted = array(row["C_aif"]), {Concept.BLOOD_FLOW: (15, "cbf"), Concept.BLOOD_VOLUME: (1, "cbv")}
        bolus = bolus_of(float(row["tr"]) * np.arange(len(arterial)), arterial, 0.5 * arterial.max())
        curves = perfusion.Curves.of(bolus, array(row["C_tis"])[np.newaxis])
        found = {code: values[0] for code, _, values in perfusion.deconvolve(curves, factors)}
        for code, (apart, column) in wanted.items():
            assert found[code] == pytest.approx(float(row[column]), abs=apart + 0.1 * float(row[column]))
        flows.append(found[Concept.BLOOD_FLOW] / float(row["cbf"]) - 1)
    assert len(flows) == 14
    assert abs(np.median(flows)) < 0.02


@pytest.mark.truth
def test_osipi_curves_were_added_up_not_integrated(shared: Path) -> None:
    """Their areas exceed the stated volumes by h / 2 of the transit, 3 % at 24 s and 18 % at 3.4 s."""
    excess, expected = [], []
    for row in rows(shared, "DSCmodels/dsc_data.csv"):
        area = array(row["C_tis"]).sum() / array(row["C_aif"]).sum()
        excess.append(100 * area / float(row["cbv"]) - 1)
        expected.append(float(row["tr"]) / 2 / (60 * float(row["cbv"]) / float(row["cbf"])))
    assert np.polyfit(expected, excess, 1) == pytest.approx([1.0, 0.0], abs=0.2)
    assert np.corrcoef(expected, excess)[0, 1] > 0.8
