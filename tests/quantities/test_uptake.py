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
from her2node.errors import (
    InputMissing,
    InvalidAttribute,
    MissingAttribute,
    NotCalibrated,
    OutsideProtocol,
    RegionMissing,
    TooFewVoxels,
)
from her2node.quantities import uptake
from her2node.quantities.preparation import GATES, Gates, Preparation
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
FASTING = Preparation(timedelta(hours=1), glucose_mg_dl=95.0, signet_ring=False, mucinous=False)


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
    around = Circumstances(built.normalisation.body, Preparation(built.normalisation.uptake))
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


@over(arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 50)))
def test_minimum_median_mean_and_maximum_are_in_order(values: np.ndarray) -> None:
    assert uptake.minimum(values) <= uptake.median(values) <= uptake.maximum(values)
    assert uptake.minimum(values) <= uptake.mean(values) * (1 + 1e-12)


def test_lowest_and_middle_uptake_of_a_region_are_given() -> None:
    voxels = np.array([[[0.2, 1.0, 1.0, 4.0, 3.0]]], dtype=np.float32)
    values = uptake.measure(pet_of(voxels), roi_of(pet_of(voxels), voxels > 0), Role.PET, AROUND)
    assert found(values, Uptake.SUVBW, Derivation.MINIMUM) == pytest.approx(0.2)
    assert found(values, Uptake.SUVBW, Derivation.MEDIAN) == pytest.approx(1.0)


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
        pet_of(voxels), roi_of(pet_of(voxels), voxels > 0), None, Circumstances(BODY, FASTING, liver=liver)
    )
    assert found(values, Uptake.MTV, method=Uptake.ABOVE_PERCIST) == pytest.approx(216 * 0.064)
    assert uptake.percist_threshold(liver) == pytest.approx(3.0)
    assert found(values, Uptake.UPTAKE_TIME) == 60


def told(preparation: Preparation, gates: Gates = GATES) -> tuple[Quantity | NotMeasured, ...]:
    voxels = np.full((6, 6, 6), 10.0, dtype=np.float32)
    around = Circumstances(BODY, preparation, gates, liver=np.full(100, 2.0))
    return uptake.measure(pet_of(voxels), roi_of(pet_of(voxels), voxels > 0), Role.PET, around)


def test_time_and_glucose_are_told_beside_the_uptake_and_a_patient_as_prescribed_bears_no_flag() -> None:
    values = told(FASTING)
    assert found(values, Uptake.UPTAKE_TIME) == 60
    assert found(values, Uptake.GLUCOSE) == 95
    assert not [q for q in values if isinstance(q, Quantity) and q.flags]
    assert not refusals(values)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"glucose_mg_dl": 140.0}, "blood glucose 140 mg/dl is not below 140: uptake reads low"),
        ({"uptake": timedelta(minutes=41)}, "scanned 41 min after injection, not 55 to 75: uptake reads low"),
        ({"uptake": timedelta(minutes=95)}, "scanned 95 min after injection, not 55 to 75: uptake reads high"),
    ],
)
def test_uptake_of_a_patient_prepared_otherwise_is_flagged_and_percist_refused(
    change: dict[str, object], words: str
) -> None:
    values = told(replace(FASTING, **change))  # type: ignore[arg-type]
    flagged = [q for q in values if isinstance(q, Quantity) and q.code in (Uptake.SUVBW, Uptake.MTV, Uptake.TLG)]
    assert flagged
    assert all(q.flags == (words,) for q in flagged)
    assert refusals(values) == {Uptake.MTV.value: OutsideProtocol, Uptake.TLG.value: OutsideProtocol}


def test_the_limits_of_the_preparation_are_the_site_s_and_printed() -> None:
    gates = Gates(glucose_below_mg_dl=200.0, uptake_minutes=(50.0, 100.0))
    values = told(replace(FASTING, glucose_mg_dl=180.0, uptake=timedelta(minutes=90)), gates)
    highest = next(q for q in values if isinstance(q, Quantity))
    assert highest.flags == ()
    assert "comparable with glucose below 200 mg/dl and scanned 50 to 100 min after injection" in highest.parameters


def test_what_is_not_known_of_the_preparation_is_refused_by_name_and_flagged() -> None:
    values = told(Preparation())
    assert refusals(values)[Uptake.GLUCOSE.value] is InputMissing
    assert refusals(values)[Uptake.UPTAKE_TIME.value] is MissingAttribute
    highest = next(q for q in values if isinstance(q, Quantity))
    assert [flag.split(":")[0].split(" (")[0] for flag in highest.flags] == [
        "blood glucose was not entered",
        "the time since injection is not known",
        "signet-ring or mucinous histology, which takes up little FDG, was not ruled out by a reader",
    ]


@pytest.mark.parametrize("uptake_time", [timedelta(0), timedelta(minutes=-30), timedelta(days=3)])
def test_a_time_since_injection_that_cannot_be_is_no_time(uptake_time: timedelta) -> None:
    values = told(replace(FASTING, uptake=uptake_time))
    assert refusals(values)[Uptake.UPTAKE_TIME.value] is InvalidAttribute


@pytest.mark.parametrize("preparation", [Preparation(timedelta(hours=1)), replace(FASTING, glucose_mg_dl=150.0)])
def test_strict_gates_refuse_uptake_that_cannot_be_compared(preparation: Preparation) -> None:
    refused, *others = told(preparation, Gates(strict=True))
    assert isinstance(refused, NotMeasured)
    assert isinstance(refused.refused, OutsideProtocol)
    assert refused.code is None
    assert {item.code for item in others} == {Uptake.UPTAKE_TIME, Uptake.GLUCOSE}


def test_strict_gates_let_a_patient_as_prescribed_through() -> None:
    assert found(told(FASTING, Gates(strict=True)), Uptake.SUVBW, Derivation.MAXIMUM) == 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"signet_ring": True}, "signet-ring cell carcinoma: takes up little FDG"),
        ({"mucinous": True}, "mucinous adenocarcinoma: takes up little FDG"),
        ({"signet_ring": True, "mucinous": True}, "signet-ring cell carcinoma and mucinous adenocarcinoma: takes"),
    ],
)
def test_histology_that_takes_up_little_is_flagged(change: dict[str, bool], words: str) -> None:
    (flag,) = next(q for q in told(replace(FASTING, **change)) if isinstance(q, Quantity)).flags
    assert flag.startswith(words)


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
