"""Iodine: exact against the tables of attenuation, refused where its unit is not sure."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.dicom.codes import Code, Derivation, DualEnergy, Histogram, Method, Unit, percentile_modifier
from her2node.errors import InvalidAttribute, NoReference, NoRoi, TooFewVoxels
from her2node.quantities import dual_energy
from her2node.quantities.dual_energy import Aorta, Provenance, decompose
from her2node.quantities.photon_attenuation import hu_of_iodine
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Volume
from tests.quantities import made


def attenuation(kev: float) -> tuple[float, float]:
    """Mass attenuation of iodine and of water in cm2/g, by XrayDB."""
    with warnings.catch_warnings(action="ignore"):
        import xraydb

        return float(xraydb.mu_elam("I", 1000 * kev)), float(xraydb.material_mu("H2O", 1000 * kev, density=1.0))


def image_at(kev: float, density: np.ndarray, iodine: np.ndarray) -> np.ndarray:
    """HU of water of some density (g/ml) with iodine (mg/ml) at a photon energy: the definition of the HU, float64."""
    of_iodine, of_water = attenuation(kev)
    return 1000 * ((density * of_water + iodine / 1000 * of_iodine) / of_water - 1)


# --- attenuation -------------------------------------------------------------------------------------------------


@pytest.mark.truth
@pytest.mark.parametrize(("kev", "hu"), [(40, 82.4), (70, 26.0), (100, 11.4), (140, 5.4)])
def test_a_milligram_of_iodine_adds_what_the_tables_of_attenuation_say(kev: float, hu: float) -> None:
    of_iodine, of_water = attenuation(kev)
    assert hu_of_iodine(kev) == pytest.approx(of_iodine / of_water, rel=1e-7)
    assert hu_of_iodine(kev) == pytest.approx(hu, abs=0.05)


@pytest.mark.truth
@pytest.mark.parametrize("kev", [40.5, 42.5, 47.3, 66.6, 71, 93.2, 138, 187.5])
def test_between_its_nodes_the_table_is_as_near_as_it_says(kev: float) -> None:
    of_iodine, of_water = attenuation(kev)
    assert hu_of_iodine(kev) == pytest.approx(of_iodine / of_water, rel=2.5e-5)


@pytest.mark.parametrize("kev", [39.9, 190.1, 0, float("nan")])
def test_no_energy_outside_the_table_is_guessed(kev: float) -> None:
    with pytest.raises(InvalidAttribute, match="40 to 190 keV"):
        hu_of_iodine(kev)


# --- two energies ------------------------------------------------------------------------------------------------


@pytest.mark.truth
@pytest.mark.parametrize(("low", "high"), [(40, 70), (40, 140), (50, 80), (40, 190), (70, 100), (55, 120)])
def test_iodine_is_exact_on_synthetic_pairs(low: float, high: float) -> None:
    rng = np.random.default_rng(7)
    density, iodine = rng.uniform(0.9, 1.1, (4, 16, 16)), rng.uniform(0, 20, (4, 16, 16))
    pair = [image_at(kev, density, iodine).astype(np.float32) for kev in (low, high)]
    found = decompose(*pair, low, high)
    assert found.dtype == np.float32
    rounding = 4e-4 / (hu_of_iodine(low) - hu_of_iodine(high))  # of float32 at 4000 HU, in mg/ml
    assert found == pytest.approx(iodine, rel=2e-6, abs=rounding)


@given(
    st.floats(-200, 200), st.floats(0, 30), st.sampled_from([(40.0, 70.0), (45.0, 150.0), (60.0, 61.0), (40.0, 190.0)])
)
def test_density_leaves_no_iodine_and_iodine_adds_up(plain: float, iodine: float, kev: tuple[float, float]) -> None:
    low, high = (np.array([plain + iodine * hu_of_iodine(energy)], dtype=np.float32) for energy in kev)
    contrast = hu_of_iodine(kev[0]) - hu_of_iodine(kev[1])
    assert decompose(low, high, *kev)[0] == pytest.approx(iodine, abs=1e-3 / contrast + 1e-5 * iodine)


# --- in a region -------------------------------------------------------------------------------------------------


def scene(lesion: np.ndarray, aorta: float, unit: Code = Unit.MG_PER_ML) -> tuple[Volume, Roi, Roi]:
    """A volume whose first slice is the lesion and whose last is the aorta."""
    voxels = np.zeros((3, *lesion.shape))
    voxels[0], voxels[2] = lesion, aorta
    volume = made.volume(voxels, unit=unit)
    masks = np.zeros((2, *voxels.shape), bool)
    masks[0, 0], masks[1, 2] = True, True
    return volume, made.roi(masks[0], volume), made.roi(masks[1], volume)


def measured(*args: object) -> dict[tuple[str, Code | None], Quantity | NotMeasured]:
    found = dual_energy.measure(*args)  # type: ignore[arg-type]
    return {(one.code.value if one.code else "", getattr(one, "modifier", None)): one for one in found}


LESION = np.array([[1.0, 2.0], [2.5, 4.5]])


def test_iodine_comes_with_its_codes_and_unit() -> None:
    volume, roi, aorta = scene(LESION, 5.0)
    found = measured(volume, roi, Role.IODINE, Provenance(), Aorta(aorta.mask))
    mean = found["44588005", Derivation.MEAN]
    assert mean == Quantity("T", Role.IODINE, DualEnergy.IODINE, 2.5, Unit.MG_PER_ML, Derivation.MEAN, None, ("1.2.4",))
    deviation = found["44588005", Derivation.STANDARD_DEVIATION]
    assert isinstance(deviation, Quantity)
    assert (deviation.value, deviation.method) == (pytest.approx(LESION.std(ddof=1)), Method.SD_N_MINUS_1)
    maximum = found["44588005", Derivation.MAXIMUM]
    assert isinstance(maximum, Quantity)
    assert maximum.value == 4.5
    ratio = found["NIC", None]
    assert ratio == Quantity(
        "T", Role.IODINE, DualEnergy.NORMALIZED_IODINE, 0.5, Unit.ONE, None, DualEnergy.REGION_OF_AORTA, ("1.2.4",)
    )


@pytest.mark.parametrize(("times", "median"), [(10.0, "22.5"), (1.0, "2.25"), (0.1, "0.225")])
def test_without_a_unit_iodine_is_refused_however_low_and_the_ratio_needs_none(times: float, median: str) -> None:
    volume, roi, aorta = scene(times * LESION, times * 5.0)
    found = measured(volume, roi, Role.IODINE, Provenance(stated=False), Aorta(aorta.mask))
    refusal = found["44588005", None]
    assert isinstance(refusal, NotMeasured)
    assert refusal.refused.reason == "unit-missing"
    assert f"median of {median} and no unit: mg/ml or 100 ug/ml?" in str(refusal.refused)
    assert "RescaleType" in refusal.refused.remedy
    ratio = found["NIC", None]
    assert isinstance(ratio, Quantity)
    assert ratio.value == pytest.approx(0.5)
    assert set(found) == {("44588005", None), ("NIC", None)}


def test_a_stated_unit_is_believed_but_more_than_tissue_takes_up_is_flagged() -> None:
    volume, roi, aorta = scene(np.full((2, 2), 24.19), 134.0)
    mean = measured(volume, roi, Role.IODINE, Provenance(), Aorta(aorta.mask))["44588005", Derivation.MEAN]
    assert isinstance(mean, Quantity)
    assert mean.value == pytest.approx(24.19)
    assert any("check the unit" in flag for flag in mean.flags)


@pytest.mark.parametrize(("aorta_mg", "flagged"), [(50.0, False), (51.0, True), (2.1, False), (2.0, True)])
def test_a_ratio_outside_what_a_tumour_can_have_is_flagged(aorta_mg: float, flagged: bool) -> None:
    volume, roi, aorta = scene(LESION, aorta_mg)
    ratio = measured(volume, roi, Role.IODINE, Provenance(), Aorta(aorta.mask))["NIC", None]
    assert isinstance(ratio, Quantity)
    assert bool(ratio.flags) is flagged


@pytest.mark.parametrize("aorta_mg", [0.0, -1.0])
def test_an_aorta_without_iodine_gives_no_ratio(aorta_mg: float) -> None:
    volume, roi, aorta = scene(LESION, aorta_mg)
    ratio = measured(volume, roi, Role.IODINE, Provenance(), Aorta(aorta.mask))["NIC", None]
    assert isinstance(ratio, NotMeasured)
    assert isinstance(ratio.refused, NoReference)


def test_the_reason_why_there_is_no_aorta_is_the_reason_why_there_is_no_ratio() -> None:
    volume, roi, _ = scene(LESION, 5.0)
    reason = NoRoi("somewhere")
    ratio = measured(volume, roi, Role.IODINE, Provenance(), reason)["NIC", None]
    assert isinstance(ratio, NotMeasured)
    assert ratio.refused is reason


def test_voxels_without_image_do_not_count_and_a_region_of_them_is_refused() -> None:
    volume, roi, aorta = scene(LESION, 5.0)
    half = made.volume(volume.voxels, unit=Unit.MG_PER_ML, valid=volume.voxels != 4.5)
    mean = measured(half, roi, Role.IODINE, Provenance(), Aorta(aorta.mask))["44588005", Derivation.MEAN]
    assert isinstance(mean, Quantity)
    assert mean.value == pytest.approx(5.5 / 3)
    none = made.volume(volume.voxels, unit=Unit.MG_PER_ML, valid=np.zeros(volume.voxels.shape, bool))
    (refusal,) = dual_energy.measure(none, roi, Role.IODINE, Provenance(), Aorta(aorta.mask))
    assert isinstance(refusal, NotMeasured)
    assert refusal.refused.reason == "too-few-voxels"


def test_one_voxel_has_a_mean_and_no_deviation() -> None:
    volume, roi, _ = scene(np.array([[2.0]]), 5.0)
    found = measured(volume, roi, Role.IODINE, Provenance(), None)
    values = {modifier for (_, modifier), one in found.items() if isinstance(one, Quantity)}
    assert values == {Derivation.MEAN, Derivation.MINIMUM, Derivation.MAXIMUM}
    assert {type(one.refused) for one in found.values() if isinstance(one, NotMeasured)} == {TooFewVoxels}


def test_iodine_has_its_histogram_and_a_method_s_words_are_not_lost_beside_a_percentile_s() -> None:
    lesion = np.random.default_rng(3).gamma(4.0, 0.5, (8, 8))
    volume, roi, _ = scene(lesion, 5.0)
    told = DualEnergy.converted(0.1, "100ug/cm3")
    found = measured(volume, roi, Role.IODINE, Provenance(method=told), None)
    for percent in (1, 5, 10, 25, 75, 90, 95, 99):
        one = found["44588005", percentile_modifier(percent)]
        assert isinstance(one, Quantity)
        assert one.value == pytest.approx(np.percentile(volume.voxels[0], percent))
        assert (one.unit, one.method, one.parameters) == (Unit.MG_PER_ML, Method.PERCENTILE_LINEAR, (told.meaning,))
    mean, entropy = found["44588005", Derivation.MEAN], found["44588005", Histogram.ENTROPY]
    assert isinstance(mean, Quantity)
    assert (mean.method, mean.parameters) == (told, ())
    assert isinstance(entropy, Quantity)
    assert entropy.method == Histogram.bits(dual_energy.BIN_MG_PER_ML)


def test_an_aorta_that_the_node_found_is_told_from_one_that_was_given() -> None:
    volume, roi, aorta = scene(LESION, 5.0)
    ratio = measured(volume, roi, Role.IODINE, Provenance(), Aorta(aorta.mask, found=True))["NIC", None]
    assert isinstance(ratio, Quantity)
    assert (ratio.value, ratio.method) == (0.5, DualEnergy.FOUND_AORTA)


def test_an_effective_atomic_number_is_a_mean_without_unit() -> None:
    volume, roi, _ = scene(np.array([[8.0, 9.0]]), 10.0, Unit.ONE)
    (found,) = dual_energy.measure_effective_z(volume, roi, Role.EFFECTIVE_Z)
    assert isinstance(found, Quantity)
    assert (found.code.value, found.value, found.unit, found.modifier) == ("129320", 8.5, Unit.ONE, Derivation.MEAN)
