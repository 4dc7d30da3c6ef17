from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given as over
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from her2node.dicom.codes import Code, Derivation, Unit, Uptake
from her2node.errors import MissingAttribute, NotCalibrated, RegionMissing, TooFewVoxels
from her2node.quantities import uptake
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.quantities.uptake import Circumstances
from her2node.rois import given, lay
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.selection.study import open_study
from her2node.volumes import pet
from her2node.volumes.body import Body
from her2node.volumes.volume import Volume
from tests.quantities import made

BODY = Body(70.0, 1.75, "M")
AROUND = Circumstances(BODY)


def pet_of(voxels: np.ndarray, spacing_mm: tuple[float, float, float] = (4.0, 4.0, 4.0)) -> Volume:
    return made.volume(voxels, spacing=spacing_mm, unit=Unit.SUVBW)


def roi_of(volume: Volume, mask: np.ndarray) -> Roi:
    return made.roi(mask, volume)


def found(
    values: tuple[Quantity | NotMeasured, ...], code: Code, modifier: Code | None = None, method: Code | None = None
) -> float:
    (value,) = (
        q.value
        for q in values
        if isinstance(q, Quantity) and (q.code, q.modifier) == (code, modifier) and method in (None, q.method)
    )
    return value


def refusals(values: tuple[Quantity | NotMeasured, ...]) -> dict[str, type]:
    return {v.code.value: type(v.refused) for v in values if isinstance(v, NotMeasured) and v.code is not None}


@pytest.mark.truth
@pytest.mark.parametrize(("label", "volume_ml", "highest"), [("Primary", 2.281, 4.4264), ("Secondary", 8.955, 7.2081)])
def test_the_lesions_of_a_whole_body_pet_have_their_uptake(
    shared: Path, label: str, volume_ml: float, highest: float
) -> None:
    folder = shared / "data" / "petct-qin0024-pet-seg"
    study = open_study(sorted(path for path in folder.rglob("*") if path.suffix in ("", ".dcm") and path.is_file()))
    built = pet.build(next(series for series in study.series if series.modality == "PT"))
    assert built.normalisation.factors[0] == pytest.approx(2.94480e-4, rel=2e-5)
    region = next(region for region in given(study) if label.lower() in region.label.lower())
    roi = lay(region, built.volume)
    assert roi.mask.sum() * built.volume.geometry.voxel_volume_mm3 / 1000 == pytest.approx(volume_ml, abs=5e-4)
    around = Circumstances(built.normalisation.body, built.normalisation.uptake)
    values = uptake.measure(built.volume, roi, Role.PET, around)
    assert found(values, Uptake.SUVBW, Derivation.MAXIMUM) == pytest.approx(highest, abs=5e-5)
    refused = refusals(values)  # there is no PatientSize
    assert refused[Uptake.SUVLBM_JANMAHASATIAN.value] is MissingAttribute
    assert refused[Uptake.SUVLBM_JAMES128.value] is MissingAttribute
    assert refused[Uptake.SUVBSA.value] is MissingAttribute
    assert refused[Uptake.MTV.value] is MissingAttribute  # of PERCIST alone: the other thresholds have values
    assert found(values, Uptake.MTV, method=Uptake.ABOVE_41) > 0


def test_a_uniform_lesion_has_one_uptake_whatever_the_statistic() -> None:
    voxels = np.full((9, 9, 9), 3.0, dtype=np.float32)
    mask = np.zeros(voxels.shape, dtype=bool)
    mask[3:6, 3:6, 3:6] = True
    values = uptake.measure(pet_of(voxels), roi_of(pet_of(voxels), mask), Role.PET, AROUND)
    for modifier in (Derivation.MAXIMUM, Derivation.MEAN, Uptake.PEAK):
        assert found(values, Uptake.SUVBW, modifier) == pytest.approx(3.0)
    for method in (Uptake.ABOVE_41, Uptake.ABOVE_40, Uptake.ABOVE_FIXED):
        assert found(values, Uptake.MTV, method=method) == pytest.approx(27 * 0.064)
        assert found(values, Uptake.TLG, method=method) == pytest.approx(3 * 27 * 0.064)
    assert found(values, Uptake.HETEROGENEITY) == pytest.approx(0, abs=1e-12)


def test_lean_and_surface_uptake_scale_by_the_patients_own_mass() -> None:
    voxels = np.full((5, 5, 5), 2.0, dtype=np.float32)
    values = uptake.measure(pet_of(voxels), roi_of(pet_of(voxels), voxels > 0), Role.PET, AROUND)
    assert found(values, Uptake.SUVLBM_JANMAHASATIAN, Derivation.MAXIMUM) == pytest.approx(
        2 * BODY.lean_janmahasatian_kg / 70
    )
    assert found(values, Uptake.SUVLBM_JAMES128, Derivation.MAXIMUM) == pytest.approx(2 * BODY.lean_james_kg / 70)
    assert found(values, Uptake.SUVBSA, Derivation.MAXIMUM) == pytest.approx(2 * BODY.surface_cm2 / 70_000)


def test_the_peak_of_a_lone_hot_voxel_is_its_share_of_a_sphere_of_one_millilitre() -> None:
    voxels = np.zeros((21, 21, 21), dtype=np.float32)
    voxels[10, 10, 10] = 100.0
    volume = pet_of(voxels, (1.0, 1.0, 1.0))
    values = uptake.measure(volume, roi_of(volume, voxels > 0), None, AROUND)
    inside = sum(z * z + y * y + x * x <= 6.2035**2 for z in range(-6, 7) for y in range(-6, 7) for x in range(-6, 7))
    assert found(values, Uptake.SUVBW, Uptake.PEAK) == pytest.approx(100 / inside)


def test_the_heterogeneity_of_a_ramp_is_the_slope_of_its_volume() -> None:
    ramp = np.linspace(0.005, 1.0, 200)  # at a threshold of t, (1 - t) of the voxels remain
    assert uptake.heterogeneity(ramp, 1.0) == pytest.approx(2.0, rel=0.02)  # 200 voxels over 100 %


def test_percist_takes_its_threshold_from_the_liver() -> None:
    voxels = np.full((6, 6, 6), 10.0, dtype=np.float32)
    liver = np.full(100, 2.0)
    values = uptake.measure(
        pet_of(voxels), roi_of(pet_of(voxels), voxels > 0), None, Circumstances(BODY, timedelta(hours=1), liver)
    )
    assert found(values, Uptake.MTV, method=Uptake.ABOVE_PERCIST) == pytest.approx(216 * 0.064)
    assert uptake.percist_threshold(liver) == pytest.approx(3.0)
    assert found(values, Uptake.UPTAKE_TIME) == 60


@pytest.mark.parametrize(
    ("around", "reason"),
    [
        (Circumstances(BODY), RegionMissing),
        (Circumstances(BODY, liver=np.ones(29)), TooFewVoxels),
        (Circumstances(Body(70.0, None, "M"), liver=np.ones(100)), MissingAttribute),
        (Circumstances(Body(70.0, 1.7, ""), liver=np.ones(100)), MissingAttribute),
    ],
)
def test_percist_without_liver_size_or_sex_is_refused(around: Circumstances, reason: type) -> None:
    voxels = np.full((3, 3, 3), 4.0, dtype=np.float32)
    values = uptake.measure(pet_of(voxels), roi_of(pet_of(voxels), voxels > 0), None, around)
    assert refusals(values)[Uptake.MTV.value] is reason
    assert refusals(values)[Uptake.TLG.value] is reason


def test_a_volume_in_another_unit_is_refused() -> None:
    voxels = np.ones((3, 3, 3), dtype=np.float32)
    volume = replace(pet_of(voxels), unit=Unit.HU)
    (refused,) = uptake.measure(volume, roi_of(volume, voxels > 0), None, AROUND)
    assert isinstance(refused, NotMeasured)
    assert isinstance(refused.refused, NotCalibrated)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_region_without_uptake_is_refused(value: float) -> None:
    voxels = np.full((3, 3, 3), value, dtype=np.float32)
    (refused,) = uptake.measure(pet_of(voxels), roi_of(pet_of(voxels), np.ones((3, 3, 3), bool)), None, AROUND)
    assert isinstance(refused, NotMeasured)


def test_one_voxel_is_measured() -> None:
    voxels = np.full((3, 3, 3), 2.0, dtype=np.float32)
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[0, 0, 0] = True
    values = uptake.measure(pet_of(voxels), roi_of(pet_of(voxels), mask), None, AROUND)
    assert all(np.isfinite(q.value) for q in values if isinstance(q, Quantity))


@over(arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(0.01, 50)))
def test_volume_falls_and_glycolysis_stays_below_the_whole_as_the_threshold_rises(values: np.ndarray) -> None:
    thresholds = [0.2 * values.max(), 0.5 * values.max(), values.max()]
    volumes = [uptake.metabolic_volume(values, t, 0.064) for t in thresholds]
    assert volumes == sorted(volumes, reverse=True)
    assert volumes[-1] >= 0.064
    for threshold in thresholds:
        whole = values.sum() * 0.064
        assert uptake.glycolysis(values, threshold, 0.064) <= whole + 1e-9
