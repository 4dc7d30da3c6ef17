from __future__ import annotations

import tarfile
import tracemalloc
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

from her2node.dicom.codes import Code, Dce, Derivation, Unit, percentile_modifier
from her2node.errors import (
    InvalidAttribute,
    MissingAttribute,
    NoArterialInput,
    NoBaseline,
    NoEnhancement,
    TooFewTimePoints,
    Undefined,
)
from her2node.quantities import dce, kinetics, population
from her2node.quantities.dce import DceFactors, DceFit
from her2node.quantities.dce_signal import signal_of
from her2node.quantities.kinetics import VOXELS_AT_ONCE
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois.roi import Roi, RoiOrigin
from her2node.selection.roles import Role
from her2node.volumes.dce import Contrast, DceVolume
from her2node.volumes.volume import Geometry, SliceSource
from tests.quantities.dce_made import Made, Tissue, concentration, echo, examination

TOFTS = DceFactors(model="tofts")
Found = tuple[Quantity | NotMeasured, ...]


def region(mask: np.ndarray, volume: DceVolume) -> Roi:
    return Roi(mask, volume.geometry, "Tumour", "1.9", "T", RoiOrigin.SEGMENTATION, "1.2.8", "1.2.9", 1)


def fit_of(made: Made, factors: DceFactors = dce.FACTORS, *, volume: DceVolume | None = None) -> DceFit:
    return dce.fitted(volume or made.volume, made.flip_angles, factors, made.body, made.artery)


def in_block(fit: DceFit, made: Made, number: int = 0) -> Found:
    return dce.measure(fit, region(made.mask(number), made.volume), None)


def value(found: Found, code: Code, method: Code, modifier: Code | None = None) -> float:
    [one] = [q for q in found if isinstance(q, Quantity) and (q.code, q.method, q.modifier) == (code, method, modifier)]
    return one.value


def refusals(found: Found, code: Code | None) -> list[type[Exception]]:
    return [type(q.refused) for q in found if isinstance(q, NotMeasured) and q.code == code]


# --- transfer ----------------------------------------------------------------------------------------------------


def test_the_voxels_of_a_region_give_the_transfer_that_they_were_made_with() -> None:
    made = examination([Tissue(0.15, 0.3, 0.03), Tissue(0.3, 0.4, 0.05, t1_s=1.3)])
    fit = fit_of(made)
    for number, (ktrans, ve, vp) in enumerate([(0.15, 0.3, 0.03), (0.3, 0.4, 0.05)]):
        found = in_block(fit, made, number)
        of = (Dce.EXTENDED_TOFTS, Derivation.MEAN)
        assert value(found, Dce.KTRANS, *of) == pytest.approx(ktrans, rel=0.03)
        assert value(found, Dce.KEP, *of) == pytest.approx(ktrans / ve, rel=0.04)
        assert value(found, Dce.VE, *of) == pytest.approx(ve, rel=0.03)
        assert value(found, Dce.VP, *of) == pytest.approx(vp, abs=0.004)
        curve = value(found, Dce.KTRANS, Dce.EXTENDED_TOFTS_CURVE)
        assert curve == pytest.approx(value(found, Dce.KTRANS, *of), rel=1e-3)


def test_the_histogram_of_the_reviews_study_is_all_there() -> None:
    """Mean, P10, P25, P50, P75 and P90 of Ktrans, kep and ve."""
    made = examination([Tissue(0.2, 0.3, 0.02)], noise=1.0)
    found = in_block(fit_of(made), made)
    for code in (Dce.KTRANS, Dce.KEP, Dce.VE):
        ordered = [
            value(found, code, Dce.EXTENDED_TOFTS, modifier)
            for modifier in (
                percentile_modifier(10), percentile_modifier(25), Derivation.MEDIAN, percentile_modifier(75),
                percentile_modifier(90),
            )
        ]  # fmt: skip
        assert ordered == sorted(ordered)
        assert ordered[0] < value(found, code, Dce.EXTENDED_TOFTS, Derivation.MEAN) < ordered[-1]


@pytest.mark.parametrize("name", population.INPUTS)
def test_a_population_input_gives_the_transfer_of_tissue_that_it_fed(name: str) -> None:
    """Where the plasma is that population's, its curve is placed by the tissue alone."""
    of_blood, source = population.INPUTS[name]
    made = examination([Tissue()])
    fine = np.arange(0, made.volume.times_s[-1] + 0.1, 0.1)
    plasma = of_blood(fine - 24.0) / 0.55
    signal = made.volume.voxels.copy()
    for number, ktrans in enumerate((0.1, 0.2)):
        stored = kinetics.convolved(fine, plasma, np.array(ktrans / 0.3 / 60))
        curve = np.interp(made.volume.times_s, fine, ktrans / 60 * stored)
        signal[:, :, number * 8 : number * 8 + 8] = echo(curve, 1.0)[:, None, None, None]
    volume = made.with_(voxels=signal)
    fit = dce.fitted(volume, None, replace(TOFTS, population_aif=name), np.ones_like(made.body), None)
    assert fit.given is not None
    assert fit.given.delay_s == pytest.approx(24.0, abs=0.5)
    found = in_block(fit, made)
    assert value(found, Dce.KTRANS, Dce.TOFTS, Derivation.MEAN) == pytest.approx(0.1, rel=0.05)
    assert value(found, Dce.VE, Dce.TOFTS, Derivation.MEAN) == pytest.approx(0.3, rel=0.05)
    assert any(source in words for words in fit.words)
    named = [q.refused.detail for q in found if isinstance(q, NotMeasured) and q.code == Dce.KTRANS]
    assert any("flow takes an arterial input measured" in words for words in named)


def test_t1_comes_from_the_flip_angles_where_there_are_any_and_is_assumed_aloud_otherwise() -> None:
    made = examination([Tissue(t1_s=1.3)])
    measured = fit_of(made)
    assert value(in_block(measured, made), Dce.T1, Dce.FLIP_ANGLES, Derivation.MEAN) == pytest.approx(1300, rel=1e-3)
    assumed = dce.fitted(made.volume, None, dce.FACTORS, made.body, made.artery)
    assert any("T1 of tissue 1 s assumed" in words for words in assumed.words)
    found = in_block(assumed, made)
    assert not [q for q in found if q.code == Dce.T1]
    assert value(found, Dce.KTRANS, Dce.EXTENDED_TOFTS, Derivation.MEAN) > 0.22, "a wrong T1 shows"


def test_every_quantity_prints_what_it_was_calculated_with() -> None:
    made = examination([Tissue()])
    volume = made.with_(contrast=Contrast(agent="Gadovist"), notes=("a note of the reader",))
    found = in_block(fit_of(made, volume=volume), made)
    for quantity in found:
        if isinstance(quantity, Quantity):
            words = "; ".join(quantity.parameters)
            for wanted in (
                "4.6 /s/mM of gadobutrol", "haematocrit 0.45", "TR 5 ms", "baseline of", "T1 of blood 1.44",
                "arterial input measured", "a note of the reader",
            ):  # fmt: skip
                assert wanted in words


def test_the_area_under_the_first_minute_is_that_of_the_concentration() -> None:
    made = examination([Tissue(0.2, 0.3, 0.02)])
    fit = fit_of(made)
    fine = np.arange(0, 300, 0.1)
    begin = fit.signal.arrival_s
    inside = (fine >= begin) & (fine <= begin + 60)
    expected = np.trapezoid(concentration(Tissue(0.2, 0.3, 0.02), fine)[inside], fine[inside])
    found = value(in_block(fit, made), Dce.IAUC60, Dce.OF_EACH_VOXEL, Derivation.MEAN)
    assert found == pytest.approx(expected, rel=0.01)


def bright_first(made: Made, by: float) -> np.ndarray:
    """Signal whose first image of still tissue was acquired before it was steady; blood flows in and is."""
    signal = made.volume.voxels.copy()
    signal[0, made.body] *= by
    return signal


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_a_first_image_that_is_not_steady_is_left_out_and_said(noise: float) -> None:
    made = examination([Tissue(0.02, 0.2), Tissue()], times_s=np.arange(0, 300, 5.0), noise=noise)
    whole = made.volume
    later = made.with_(voxels=whole.voxels[1:], times_s=whole.times_s[1:], sources=whole.sources[1:])
    steady = fit_of(made, volume=later)
    fit = fit_of(made, volume=made.with_(voxels=bright_first(made, 1.35)))
    assert any("first image left out" in words for words in fit.words)
    assert not any("first image left out" in words for words in (*steady.words, *fit_of(made).words))
    plain, found = in_block(steady, made), in_block(fit, made)
    assert [q.value for q in found if isinstance(q, Quantity)] == [q.value for q in plain if isinstance(q, Quantity)]
    assert value(found, Dce.TIME_TO_PEAK, Dce.OF_CURVE) > 0


def test_a_first_image_that_differs_by_noise_or_little_stays_in_the_baseline() -> None:
    made = examination([Tissue()], noise=20.0)
    for by in (1.0, 1.03, 0.9):
        fit = fit_of(made, volume=made.with_(voxels=bright_first(made, by)))
        assert len(fit.signal.volume.times_s) == len(made.volume.times_s)


# --- what is undefined, by name ------------------------------------------------------------------------------------


def test_no_quantity_and_no_refusal_holds_a_nan() -> None:
    made = examination([Tissue(0.2, 0.3, 0.02), Tissue(0.0, 0.3)], noise=20.0)
    for number in (0, 1):
        for one in in_block(fit_of(made), made, number):
            assert isinstance(one, NotMeasured) or np.isfinite(one.value)


def test_tissue_without_uptake_is_named_and_has_no_transfer() -> None:
    made = examination([Tissue(), Tissue(0.0, 0.3)])
    found = in_block(fit_of(made), made, 1)
    assert refusals(found, None) == [NoEnhancement]
    assert refusals(found, Dce.KTRANS) == [Undefined]
    [reason] = [q.refused for q in found if isinstance(q, NotMeasured) and q.code == Dce.KTRANS]
    assert "64 of 64 voxels no uptake" in reason.detail


def test_more_interstitium_than_tissue_is_undefined() -> None:
    made = examination([Tissue(), Tissue(0.4, 2.5)])
    found = in_block(fit_of(made, TOFTS), made, 1)
    for code in (Dce.KTRANS, Dce.KEP, Dce.VE):
        assert Undefined in refusals(found, code)
    told = [q.refused.detail for q in found if isinstance(q, NotMeasured) and q.code == Dce.KTRANS]
    assert any("ve above 1" in words for words in told)


def test_signal_beyond_the_sequence_is_counted_by_name() -> None:
    made = examination([Tissue()])
    signal = made.volume.voxels.copy()
    signal[50:53, 0, 0, :3] = 1e6
    found = in_block(fit_of(made, volume=made.with_(voxels=signal)), made)
    [count] = [q for q in found if isinstance(q, Quantity) and q.code == Dce.EXCLUDED]
    assert count.value == 3
    assert any("3 of 64 voxels signal beyond" in flag for flag in count.flags)


def test_a_region_of_any_size_takes_the_memory_of_one_block() -> None:
    """Some 33 bytes a voxel and time point of a block."""
    made = examination([Tissue()], times_s=np.arange(0, 140, 2.0), block=6000)
    tracemalloc.start()
    try:
        places = np.flatnonzero(made.mask(0))
        signal = signal_of(made.volume, None, dce.FACTORS, made.body, made.artery)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        mean, contrast = signal.mean_curve(places), signal.mean_concentration(places)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 50 * VOXELS_AT_ONCE * len(made.volume.times_s)
    assert len(places) > 10 * VOXELS_AT_ONCE
    assert mean == pytest.approx(signal.curves(places[:1]))
    assert contrast == pytest.approx(signal.concentration(signal.curves(places[:1]), signal.rates(places[:1])))


def test_a_region_outside_the_body_is_named() -> None:
    made = examination([Tissue()])
    found = dce.measure(fit_of(made), region(made.artery, made.volume), None)
    assert [type(q) for q in found] == [NotMeasured]


# --- refused by name -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "change"),
    [("RepetitionTime", {"repetition_time_ms": None}), ("FlipAngle", {"flip_angle_deg": None})],
)
def test_without_tr_or_flip_angle_only_the_signal_is_told(keyword: str, change: dict[str, None]) -> None:
    made = examination([Tissue()])
    found = in_block(fit_of(made, volume=made.with_(**change)), made)
    for code in (Dce.KTRANS, Dce.KEP, Dce.VE, Dce.VP, Dce.IAUC60):
        assert refusals(found, code) == [MissingAttribute]
    assert {q.refused.detail for q in found if isinstance(q, NotMeasured) and q.code == Dce.VE} == {keyword}
    assert value(found, Dce.PEAK_ENHANCEMENT, Dce.OF_CURVE) > 0.1


@pytest.mark.parametrize("change", [{"repetition_time_ms": 0.0}, {"repetition_time_ms": 4000.0},
                                    {"flip_angle_deg": -5.0}, {"flip_angle_deg": 180.0}])  # fmt: skip
def test_a_tr_or_flip_angle_that_cannot_be_is_refused(change: dict[str, float]) -> None:
    made = examination([Tissue()])
    assert refusals(in_block(fit_of(made, volume=made.with_(**change)), made), Dce.KTRANS) == [InvalidAttribute]


def test_one_flip_angle_gives_no_t1() -> None:
    made = examination([Tissue()])
    alone = replace(made.flip_angles, voxels=made.flip_angles.voxels[:1], flip_angles_deg=(2.0,))
    fit = dce.fitted(made.volume, alone, dce.FACTORS, made.body, made.artery)
    assert refusals(in_block(fit, made), Dce.KTRANS) == [MissingAttribute]


def test_too_few_times_no_baseline_and_no_contrast_are_refused() -> None:
    made = examination([Tissue()])
    times = made.volume.times_s
    few = made.with_(voxels=made.volume.voxels[:5], times_s=times[:5])
    late = made.with_(voxels=made.volume.voxels[20:], times_s=times[20:] - times[20])
    still = made.with_(voxels=np.repeat(made.volume.voxels[:1], len(times), axis=0))
    for volume, refused in ((few, TooFewTimePoints), (late, NoBaseline), (still, NoArterialInput)):
        with pytest.raises(refused):
            fit_of(made, volume=volume)


def test_an_artery_whose_signal_no_blood_gives_is_refused() -> None:
    made = examination([Tissue()])
    signal = made.volume.voxels.copy()
    signal[12:16, made.artery] *= 10
    found = in_block(fit_of(made, volume=made.with_(voxels=signal)), made)
    assert refusals(found, Dce.KTRANS) == [NoArterialInput]
    assert value(found, Dce.PEAK_ENHANCEMENT, Dce.OF_CURVE) > 0.1


def test_flow_is_refused_where_the_bolus_is_not_sampled_and_patlak_where_contrast_comes_back() -> None:
    made = examination([Tissue()], times_s=np.arange(0, 300, 6.0))
    found = in_block(fit_of(made), made)
    named = [q.refused.detail for q in found if isinstance(q, NotMeasured) and q.code == Dce.KTRANS]
    assert any("Two-compartment" in words and "between samples" in words for words in named)
    assert any("Patlak" in words and "comes back" in words for words in named)


def test_two_compartments_are_refused_where_one_explains_the_curve() -> None:
    """The exchange model then calls the interstitium plasma, and nothing leaves it."""
    made = examination([Tissue(0.2, 0.3)])
    found = in_block(fit_of(made), made)
    told = [q.refused.detail for q in found if isinstance(q, NotMeasured) and q.code == Dce.KTRANS]
    assert any("Two-compartment" in words and "one compartment explains" in words for words in told), told


def test_patlak_agrees_with_tofts_where_hardly_anything_comes_back() -> None:
    made = examination([Tissue(0.02, 0.5, 0.03)], times_s=np.arange(0, 200, 2.0))
    found = in_block(fit_of(made), made)
    line = value(found, Dce.KTRANS, Dce.PATLAK_CURVE)
    assert line == pytest.approx(0.02, rel=0.1)
    assert value(found, Dce.VP, Dce.PATLAK_CURVE) == pytest.approx(0.03, abs=0.004)


def test_a_voxel_from_which_contrast_comes_back_has_nothing_by_patlaks_line_and_is_counted() -> None:
    made = examination([Tissue(0.25, 0.3, 0.02), Tissue(0.02, 0.5, 0.03)], times_s=np.arange(0, 140, 2.0))
    fit = fit_of(made, DceFactors(model="patlak"))
    back, still = in_block(fit, made, 0), in_block(fit, made, 1)
    assert refusals(back, Dce.KTRANS)[0] is Undefined
    [reason] = [q.refused.detail for q in back if isinstance(q, NotMeasured) and q.code == Dce.VP]
    assert "64 of 64 voxels contrast comes back" in reason
    [count] = [q.value for q in back if isinstance(q, Quantity) and q.code == Dce.EXCLUDED]
    assert count == 64
    [ktrans] = [one.voxels for one in dce.maps(fit, None) if one.code == Dce.KTRANS]
    assert np.isnan(ktrans[made.mask(0)]).all()
    assert value(still, Dce.KTRANS, Dce.PATLAK, Derivation.MEAN) == pytest.approx(0.02, rel=0.1)
    assert np.isfinite(ktrans[made.mask(1)]).all()


@pytest.mark.parametrize("model", ["tofts", "extended-tofts", "patlak", "2cxm"])
def test_every_model_gives_maps_with_codes_and_words(model: str) -> None:
    made = examination([Tissue(0.2, 0.3, 0.03)], times_s=np.arange(0, 160, 2.0), block=2)
    fit = fit_of(made, DceFactors(model=model))
    found = dce.maps(fit, Role.PERFUSION)
    units = {one.code: one.unit for one in found}
    assert units[Dce.KTRANS] == Unit.PER_MINUTE
    assert units[Dce.IAUC60] == Unit.MMOL_S_PER_L
    for one in found:
        assert one.voxels.shape == made.volume.geometry.shape
        assert one.voxels.dtype == np.float32
        assert not one.voxels.flags.writeable
        assert np.isnan(one.voxels[made.artery]).all()
        assert not np.isinf(one.voxels).any()
        assert one.parameters == fit.words


# --- truth -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def qiba(shared: Path) -> DceVolume:
    """QIBA's Tofts object as an array: 1321 big endian images whose InstanceNumber alone tells the time."""
    images = {}
    with tarfile.open(shared / "reference" / "qiba-dce-v6" / "QIBA_v06_Tofts_dicom.tar.gz") as archive:
        for member in archive:
            if member.name.endswith(".dcm") and (file := archive.extractfile(member)):
                ds = pydicom.dcmread(BytesIO(file.read()))
                images[int(ds.InstanceNumber)] = ds.pixel_array.astype(np.float32)
    voxels = np.stack([images[number] for number in sorted(images)])[:, np.newaxis]
    geometry = Geometry((1, 80, 50), (5, 1, 1), (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "1.2.3")
    return DceVolume(
        voxels, np.ones((1, 80, 50), np.bool_), 0.5 * np.arange(len(voxels)), geometry, ("1.2.4",),
        ((SliceSource("1.2.5", "1.2.6"),),) * len(voxels), "InstanceNumber", 5.0, 2.1, 30.0, 1.5, Contrast(),
    )  # fmt: skip


@pytest.mark.truth
def test_qibas_object_has_its_ktrans_within_0_2_and_its_ve_within_0_3_per_cent(qiba: DceVolume) -> None:
    """T1 of tissue 1.0 s, of blood 1.44 s, r1 4.5 /s/mM and haematocrit 0.45 are what this node assumes anyway."""
    rows = np.arange(80)[np.newaxis, :, np.newaxis] * np.ones((1, 1, 50))
    fit = dce.fitted(qiba, None, TOFTS, (rows >= 10) & (rows < 70), rows >= 70)
    named = {parameter.code: parameter.voxels[0] for parameter in fit.parameters}
    ktrans, ve = (named[code][10:70].reshape(6, 10, 5, 10).transpose(0, 2, 1, 3) for code in (Dce.KTRANS, Dce.VE))
    true_ktrans = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.35])[:, None, None, None]
    true_ve = np.array([0.01, 0.05, 0.1, 0.2, 0.5])[None, :, None, None]
    apart = float(np.abs(ktrans / true_ktrans - 1).max()), float(np.abs(ve / true_ve - 1).max())
    print(f"largest error of any voxel: Ktrans {apart[0]:.5f}, ve {apart[1]:.5f}")
    assert apart[0] < 0.002
    assert apart[1] < 0.003
