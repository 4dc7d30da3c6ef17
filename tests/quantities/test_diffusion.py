from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from her2node.dicom.codes import Code, Derivation, Diffusion, Unit, percentile_modifier
from her2node.errors import BValuesMissing, TooFewVoxels
from her2node.quantities import diffusion
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.selection.study import Series, open_study
from her2node.volumes.diffusion import DiffusionSeries, build
from her2node.volumes.mr import build_adc
from her2node.volumes.volume import SliceSource
from tests.quantities import made

MANY = (0.0, 10.0, 20.0, 50.0, 80.0, 100.0, 150.0, 200.0, 400.0, 600.0, 800.0)
SHAPE = (3, 40, 40)


def examination(b_values: tuple[float, ...], adc: np.ndarray | float = 1e-3, sigma: float = 0.0) -> DiffusionSeries:
    """A block of tissue in air: S0 1000 and a single exponential, mm2/s."""
    tissue = np.zeros(SHAPE)
    tissue[:, 10:30, 10:30] = 1000.0
    signal = np.stack([tissue * np.exp(-b * adc) for b in b_values])
    if sigma:
        rng = np.random.default_rng(1)
        signal = np.hypot(signal + sigma * rng.standard_normal(signal.shape), sigma * rng.standard_normal(signal.shape))
    volume = made.volume(tissue)
    return DiffusionSeries(
        b_values=b_values,
        signal=signal.astype(np.float32),
        valid=np.ones(SHAPE, np.bool_),
        geometry=volume.geometry,
        combined=("trace image",) * len(b_values),
        series_uids=(("1.2.4",),) * len(b_values),
        sources=(tuple(SliceSource("1.2.5", f"1.2.6.{i}") for i in range(3)),) * len(b_values),
    )


def region(rows: slice = slice(12, 28), columns: slice = slice(12, 28)) -> Roi:
    mask = np.zeros(SHAPE, np.bool_)
    mask[1, rows, columns] = True
    return made.roi(mask, made.volume(np.zeros(SHAPE)))


def measured(series: DiffusionSeries, roi: Roi | None = None) -> tuple[Quantity | NotMeasured, ...]:
    return diffusion.measure(diffusion.fitted(series), roi or region(), Role.DIFFUSION)


def value(found: tuple[Quantity | NotMeasured, ...], code: Code, modifier: Code | None, method: str = "") -> Quantity:
    return next(
        q
        for q in found
        if isinstance(q, Quantity)
        and q.code == code
        and q.modifier == modifier
        and method in (q.method or code).meaning
    )


def refusals(found: tuple[Quantity | NotMeasured, ...]) -> dict[str, str]:
    return {r.code.meaning if r.code else "": str(r.refused) for r in found if isinstance(r, NotMeasured)}


def test_adc_comes_in_square_micrometres_per_second_and_names_its_b_values() -> None:
    found = measured(examination((0.0, 50.0, 800.0)))
    for words in (
        "ADC, weighted log-linear, b 0 50 800 s/mm2",
        "ADC, unweighted log-linear, b 0 50 800 s/mm2",
        "ADC, two-point, b 0 800 s/mm2",
    ):
        adc = value(found, Diffusion.ADC, Derivation.MEAN, words)
        assert adc.value == pytest.approx(1000.0, rel=1e-5)
        assert adc.unit == Unit.UM2_PER_S


def test_two_b_values_give_the_two_point_adc_alone() -> None:
    found = measured(examination((0.0, 1000.0)))
    adc = [q for q in found if isinstance(q, Quantity) and q.code == Diffusion.ADC and q.modifier == Derivation.MEAN]
    assert [q.method.meaning for q in adc if q.method] == ["ADC, two-point, b 0 1000 s/mm2"]
    assert not any(isinstance(q, Quantity) and q.code == Diffusion.R2 for q in found)


def test_methods_of_unlike_b_values_have_unlike_codes_that_fit_their_elements() -> None:
    codes = [Diffusion.log_linear(b) for b in (MANY, MANY[:-1], (0.0, 800.0), (0.0, 1000.0))]
    assert len({code.value for code in codes}) == 4
    assert all(len(code.value) <= 16 and len(code.meaning) <= 64 for code in codes)


def test_the_adc_minimum_comes_in_both_senses_and_with_its_robust_neighbour() -> None:
    adc = np.full(SHAPE, 1.2e-3)
    adc[1, 18:24, 18:24] = 0.8e-3  # 12 mm square: holds discs of 8 mm
    adc[1, 14, 14] = 0.3e-3
    found = measured(examination(MANY, adc))
    assert value(found, Diffusion.ADC, Derivation.MINIMUM).value == pytest.approx(300, rel=1e-4)
    assert value(found, Diffusion.ADC, Diffusion.LOWEST_DISC).value == pytest.approx(800, rel=1e-4)
    assert value(found, Diffusion.ADC, percentile_modifier(5)).value == pytest.approx(800, rel=1e-4)


def test_of_many_b_values_the_two_point_adc_tells_its_mean_and_lowest_disc_and_the_weighted_one_its_mean() -> None:
    adc = np.full(SHAPE, 1.2e-3)
    adc[1, 18:24, 18:24] = 0.8e-3
    found = [q for q in measured(examination(MANY, adc)) if isinstance(q, Quantity) and q.code == Diffusion.ADC]
    two_point, weighted = Diffusion.two_point([MANY[0], MANY[-1]]), Diffusion.log_linear(list(MANY))
    assert [q.modifier for q in found if q.method == two_point] == [Derivation.MEAN, Diffusion.LOWEST_DISC]
    assert [q.modifier for q in found if q.method == weighted] == [Derivation.MEAN]
    (lowest,) = (q.value for q in found if q.method == two_point and q.modifier == Diffusion.LOWEST_DISC)
    assert lowest == pytest.approx(800, rel=1e-4)


def test_a_region_too_small_for_any_disc_has_no_lowest_disc_and_says_so() -> None:
    found = measured(examination(MANY), region(slice(12, 14), slice(12, 28)))
    assert any(isinstance(r, NotMeasured) and "no disc of 50 mm2 fits" in str(r.refused) for r in found)
    assert any(isinstance(r, NotMeasured) and isinstance(r.refused, TooFewVoxels) for r in found)


@pytest.mark.parametrize(
    ("b_values", "lacking"),
    [
        ((50.0, 80.0, 400.0, 800.0), "b 0"),
        ((0.0, 50.0, 400.0, 800.0), "two b-values from 10 to 150 (there are 1)"),
        ((0.0, 20.0, 50.0, 100.0, 800.0), "two of at least 200 (there are 1)"),
        ((10.0, 50.0, 400.0, 800.0), "two b-values from 10 to 150 (there are 1)"),
    ],
)
def test_ivim_that_the_b_values_do_not_permit_is_refused_by_what_is_lacking(
    b_values: tuple[float, ...], lacking: str
) -> None:
    refused = diffusion.ivim_permitted(b_values)
    assert isinstance(refused, BValuesMissing)
    assert lacking in str(refused)
    found = measured(examination(b_values))
    assert lacking in refusals(found)[Diffusion.F.meaning]
    assert lacking in refusals(found)[Diffusion.D_STAR.meaning]
    assert value(found, Diffusion.ADC, Derivation.MEAN).value == pytest.approx(1000, rel=1e-4)


def test_d_alone_comes_from_the_b_values_beyond_perfusion_where_they_permit_no_more() -> None:
    found = measured(examination((0.0, 50.0, 400.0, 800.0)))
    d = value(found, Diffusion.D, Derivation.MEAN)
    assert d.value == pytest.approx(1000, rel=1e-4)
    assert d.method is not None
    assert d.method.meaning == "D, log-linear, b 400 800 s/mm2"


def test_one_b_value_permits_nothing() -> None:
    found = measured(examination((800.0,)))
    assert not any(isinstance(q, Quantity) for q in found)
    assert "b 800 s/mm2 alone" in refusals(found)[Diffusion.ADC.meaning]


def test_the_noise_floor_is_the_95th_percentile_of_what_air_reads() -> None:
    floor = diffusion.noise_floor(examination(MANY, sigma=8.0))
    assert floor == pytest.approx(8.0 * np.sqrt(-2 * np.log(0.05)), rel=0.03)


def test_a_blanked_background_gives_no_noise_floor() -> None:
    assert diffusion.noise_floor(examination(MANY)) is None


def test_voxels_without_a_fit_are_counted_and_count_in_no_statistic() -> None:
    found = measured(examination(MANY), region(slice(12, 28), slice(6, 28)))
    assert value(found, Diffusion.EXCLUDED, None, "weighted").value == 16 * 4
    assert value(found, Diffusion.ADC, Derivation.MEAN).value == pytest.approx(1000, rel=1e-4)


def test_a_region_in_air_is_not_measured() -> None:
    found = measured(examination(MANY, sigma=8.0), region(slice(0, 8), slice(0, 8)))
    assert not any(isinstance(q, Quantity) for q in found)


def test_the_noise_floor_keeps_the_adc_of_fast_decay_from_reading_low() -> None:
    found = measured(examination(MANY, 4e-3, sigma=60.0))
    guarded = value(found, Diffusion.ADC, Derivation.MEAN, "ADC, weighted").value
    as_scanners = value(found, Diffusion.ADC, Derivation.MEAN, "unweighted")
    assert guarded == pytest.approx(4000, rel=0.03)
    assert as_scanners.value < 3700
    (flag,) = as_scanners.flags
    assert re.match(r"in \d+ of 256 voxels a sample is at the noise floor: there this fit reads low", flag)


def test_the_adc_that_stands_first_is_fitted_as_scanners_do_and_flagged_only_at_the_noise_floor() -> None:
    first = next(q for q in measured(examination(MANY, sigma=4.0)) if isinstance(q, Quantity))
    assert (first.code, first.method) == (Diffusion.ADC, Diffusion.unweighted(MANY))
    assert first.flags == ()
    (shown,) = (m for m in diffusion.maps(diffusion.fitted(examination((0.0, 50.0, 800.0))), None))
    assert shown.method == Diffusion.unweighted((0.0, 50.0, 800.0))


def test_the_segmented_fit_and_a_declared_noise_floor_are_had_on_request_and_named() -> None:
    fit = diffusion.fitted(
        examination(MANY, sigma=4.0), diffusion.Factors(ivim="segmented", perfusion_gone=400.0, noise_floor=30.0)
    )
    assert fit.floor == 30.0
    found = diffusion.measure(fit, region(), Role.DIFFUSION)
    d = value(found, Diffusion.D, Derivation.MEAN)
    assert d.method == Diffusion.IVIM_SEGMENTED
    assert d.value == pytest.approx(1000, rel=0.01)
    assert d.parameters[:3] == ("IVIM fit segmented", "perfusion gone from b 400 s/mm2", "noise floor 30 as set")
    assert [words.rpartition(" s/mm2: ")[2] for words in d.parameters[3:]] == ["trace image"]


def test_the_threshold_of_perfusion_decides_which_b_values_permit_ivim() -> None:
    b_values = (0.0, 20.0, 50.0, 100.0, 300.0, 800.0)
    assert diffusion.ivim_permitted(b_values) is None
    assert "two of at least 400 (there are 1)" in str(diffusion.ivim_permitted(b_values, 400.0))
    refused = refusals(
        diffusion.measure(
            diffusion.fitted(examination(b_values), diffusion.Factors(perfusion_gone=400.0)), region(), Role.DIFFUSION
        )
    )
    assert "two of at least 400" in refused[Diffusion.F.meaning]


def test_maps_are_one_a_quantity_with_nan_where_there_is_no_tissue() -> None:
    fit = diffusion.fitted(examination(MANY, sigma=4.0))
    maps = diffusion.maps(fit, Role.DIFFUSION)
    assert [m.code for m in maps] == [Diffusion.ADC, Diffusion.D, Diffusion.D_STAR, Diffusion.F]
    assert [m.unit.value for m in maps] == ["um2/s", "um2/s", "um2/s", "1"]
    for one in maps:
        assert one.voxels.shape == SHAPE
        assert not one.voxels.flags.writeable
        assert np.isnan(one.voxels[1, 2, 2])
    assert np.nanmedian(maps[0].voxels) == pytest.approx(1000, rel=0.01)


def folder(shared: Path, name: str) -> Series:
    return open_study(sorted((shared / "data" / "mr-prostatex0218-dwi-dce" / name).iterdir())).series[0]


@pytest.mark.truth
@pytest.mark.parametrize(
    ("names", "vendor"),
    [
        (("s08_dwi_b0_100_400_800",), "s09_vendor_adc"),
        (("s17_dwi_b100", "s18_dwi_b500", "s19_dwi_b1400"), "s21_vendor_adc_highb"),
    ],
)
def test_the_log_linear_adc_is_that_of_the_scanner_on_prostatex_0218(
    shared: Path, names: tuple[str, ...], vendor: str
) -> None:
    """The scanner's map names no unit, so the node does not convert it; its values are taken as um2/s here. All voxels
    of the body count, but those that the scanner left out (0) or cut at the end of its range."""
    stored = build_adc(folder(shared, vendor)).voxels
    fit = diffusion.fitted(build([folder(shared, name) for name in names]))
    adc = fit.parameters[0].voxels
    assert "unweighted" in fit.parameters[0].method.meaning
    both = np.isfinite(adc) & (stored > 0) & (stored < 4095)
    assert both.sum() > 250_000
    assert np.corrcoef(adc[both], stored[both])[0, 1] >= 0.999
    assert 1.02 <= np.median(adc[both] / stored[both]) <= 1.04
