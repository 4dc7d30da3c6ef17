from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from her2node.quantities import decay

OSIPI = ("generic.json", "generic_one.json", "generic_two.json", "generic_three.json", "generic_four.json",
         "generic_brain.json")  # fmt: skip
B = np.array([0, 10, 20, 50, 80, 100, 150, 200, 400, 600, 800.0])


def ivim(b: np.ndarray, d: Any, d_star: Any, f: Any) -> np.ndarray:
    """The model written out anew."""
    column = b[:, None]
    return np.asarray((1 - f) * np.exp(-column * d) + f * np.exp(-column * d_star))


def osipi_cases(shared: Path) -> list[tuple[np.ndarray, dict[str, Any]]]:
    found = []
    for name in OSIPI:
        table = json.loads((shared / "reference" / "osipi-ivim" / name).read_text())
        b = np.array(table.pop("config")["bvalues"], dtype=float)
        found += [(b, case) for case in table.values()]
    return found


@pytest.mark.truth
def test_ivim_of_osipi_s_tissues_is_inside_its_tolerance_for_all_124(shared: Path) -> None:
    """OSIPI asks for D only below f 0.8 and for D* only above f 0.03: beyond, the data do not tell them."""
    cases = osipi_cases(shared)
    assert len(cases) == 124
    for b, case in cases:
        fit = decay.variable_projection(np.array(case["data"])[:, None], b)
        assert fit.f[0] == pytest.approx(case["f"], rel=0.1, abs=0.2)
        if case["f"] < 0.8:
            assert fit.d[0] == pytest.approx(case["D"], rel=0.1, abs=5e-4)
        if case["f"] > 0.03:
            assert fit.d_star[0] == pytest.approx(case["Dp"], rel=0.1, abs=0.1)


@pytest.mark.truth
def test_ivim_of_osipi_s_tissues_is_near_the_truth(shared: Path) -> None:
    cases = [(b, case) for b, case in osipi_cases(shared) if 0.03 < case["f"] < 0.8]
    assert len(cases) > 60
    for b, case in cases:
        fit = decay.variable_projection(np.array(case["data"])[:, None], b)
        assert fit.f[0] == pytest.approx(case["f"], abs=0.01)
        assert fit.d[0] == pytest.approx(case["D"], rel=0.01)
        assert fit.d_star[0] == pytest.approx(case["Dp"], rel=0.06)


@pytest.mark.truth
def test_the_log_linear_fit_beyond_perfusion_is_near_d_of_osipi_s_tissues(shared: Path) -> None:
    for b, case in osipi_cases(shared):
        if case["f"] >= 0.5 or case["Dp"] < 0.02:
            continue
        high = b >= 200
        fit = decay.log_linear(np.array(case["data"])[high, None], b[high])
        assert fit.d[0] == pytest.approx(case["D"], rel=0.03)


@pytest.mark.parametrize("weighted", [True, False])
def test_a_single_exponential_is_found_exactly(weighted: bool) -> None:
    d, s0 = np.array([0.0005, 0.001, 0.003]), np.array([10.0, 500.0, 1000.0])
    fit = decay.log_linear(s0 * np.exp(-B[:, None] * d), B, weighted=weighted)
    np.testing.assert_allclose(fit.d, d, rtol=1e-9)
    np.testing.assert_allclose(fit.s0, s0, rtol=1e-9)
    np.testing.assert_allclose(fit.r2, 1, atol=1e-9)


def test_two_points_give_the_quotient_of_their_signals() -> None:
    fit = decay.two_point(np.array([[1000.0], [55.0], [400.0]]), np.array([0.0, 50.0, 800.0]))
    assert fit.d[0] == pytest.approx(np.log(1000 / 400) / 800, rel=1e-12)


def test_weights_make_the_fit_nearer_to_the_truth_under_the_noise_of_magnitude_images() -> None:
    rng = np.random.default_rng(3)
    clean = 300 * np.exp(-B[:, None] * np.full(4000, 0.002))
    noisy = np.hypot(clean + 15 * rng.standard_normal(clean.shape), 15 * rng.standard_normal(clean.shape))
    off = {w: abs(np.nanmean(decay.log_linear(noisy, B, weighted=w).d) - 0.002) for w in (True, False)}
    assert off[True] < off[False] / 2


def test_samples_at_the_noise_floor_and_beyond_count_in_no_fit() -> None:
    signal = 1000 * np.exp(-B[:, None] * np.array([0.004]))
    floored = np.maximum(signal, 60.0)
    assert decay.log_linear(floored, B, floor=60.0).d[0] == pytest.approx(0.004, rel=1e-9)
    assert decay.log_linear(floored, B, weighted=False).d[0] < 0.0039


def test_a_voxel_with_fewer_than_two_samples_above_the_floor_has_no_fit() -> None:
    signal = np.array([[100.0, 5.0], [5.0, 5.0], [100.0, 5.0]])
    fit = decay.log_linear(signal, np.array([0.0, 50.0, 800.0]), floor=10.0)
    assert np.isnan(fit.d).all()
    assert np.isnan(fit.r2).all()


@pytest.mark.parametrize("fit", [decay.variable_projection, decay.segmented])
@pytest.mark.parametrize("beyond", [55.0, 0.0, np.nan])
def test_ivim_takes_no_sample_from_the_noise_floor_on(fit: Any, beyond: float) -> None:
    """Nor one that is above it again."""
    signal = 1000 * ivim(B, 0.001, 0.05, 0.2)
    stopped = signal.copy()
    stopped[-2] = beyond
    found, shorter = fit(stopped, B, floor=60.0), fit(signal[:-2], B[:-2], floor=60.0)
    assert found.d[0] == pytest.approx(shorter.d[0], rel=1e-3)
    assert found.r2[0] == pytest.approx(shorter.r2[0], rel=1e-6)


def test_ivim_by_variable_projection_takes_four_samples_and_by_segments_two_beyond_perfusion() -> None:
    signal = 1000 * ivim(B, 0.001, 0.05, 0.2)
    for fit, enough in ((decay.variable_projection, 4), (decay.segmented, int(np.searchsorted(B, 200)) + 2)):
        for samples in (enough - 1, enough):
            found = fit(np.where(np.arange(len(B))[:, None] < samples, signal, 0.0), B)
            assert [bool(np.isnan(values[0])) for values in vars(found).values()] == [samples < enough] * 5


@pytest.mark.parametrize("fit", [decay.variable_projection, decay.segmented])
def test_ivim_without_noise_is_found(fit: Any) -> None:
    rng = np.random.default_rng(1)
    d, d_star, f = rng.uniform(0.0005, 0.002, 300), rng.uniform(0.03, 0.1, 300), rng.uniform(0.05, 0.4, 300)
    found = fit(800 * ivim(B, d, d_star, f), B)
    within = 1e-3 if fit is decay.variable_projection else 0.02  # at b 200 a little of the fast part is left
    np.testing.assert_allclose(found.d, d, rtol=within)
    np.testing.assert_allclose(found.f, f, rtol=within, atol=within * 0.4)
    np.testing.assert_allclose(found.d_star, d_star, rtol=within * 4)
    assert found.r2.min() > 0.999


def test_without_a_fast_part_d_star_is_not_told_and_d_is() -> None:
    found = decay.variable_projection(1000 * np.exp(-B[:, None] * np.array([0.001])), B)
    assert found.d[0] == pytest.approx(0.001, rel=1e-3)
    assert found.f[0] == pytest.approx(0, abs=1e-3)


def test_every_parameter_stays_within_its_bounds_whatever_the_signal() -> None:
    rng = np.random.default_rng(2)
    signal = rng.gamma(2.0, 300.0, (len(B), 5000))
    found = decay.variable_projection(signal, B)
    for values, (low, high) in ((found.d, decay.D_BOUNDS), (found.d_star, decay.D_STAR_BOUNDS), (found.f, (0, 1))):
        values = values[np.isfinite(values)]
        assert values.min() >= low * (1 - 1e-12)
        assert values.max() <= high * (1 + 1e-12)


def test_the_fit_of_a_voxel_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(5)
    signal = np.abs(500 * ivim(B, 0.001, 0.05, 0.2) + 5 * rng.standard_normal((len(B), 9000)))
    together, alone = decay.variable_projection(signal, B), decay.variable_projection(signal[:, 7000:7003], B)
    np.testing.assert_allclose(together.d[7000:7003], alone.d, rtol=1e-9)


def test_no_voxel_gives_no_fit() -> None:
    assert decay.log_linear(np.empty((3, 0)), np.array([0.0, 50.0, 800.0])).d.shape == (0,)
    assert decay.variable_projection(np.empty((len(B), 0)), B).f.shape == (0,)


@pytest.mark.parametrize("samples", [5, 6, 8])
def test_ivim_of_a_shortened_voxel_is_fitted_as_well_as_if_nothing_more_had_been_acquired(samples: int) -> None:
    rng = np.random.default_rng(samples)
    d, d_star, f = rng.uniform(0.0005, 0.003, 2000), rng.uniform(0.01, 0.1, 2000), rng.uniform(0.05, 0.4, 2000)
    signal = 1000 * ivim(B, d, d_star, f) + rng.normal(scale=20, size=(len(B), 2000))
    cut = np.where(np.arange(len(B))[:, None] < samples, signal, 0.0)
    found, shorter = decay.variable_projection(cut, B), decay.variable_projection(signal[:samples], B[:samples])
    np.testing.assert_array_equal(found.r2, shorter.r2)
