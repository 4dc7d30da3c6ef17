"""The PET phantom through the node's reading: every vendor's way of writing gives the uptake that was painted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from her2node import phantoms
from her2node.dicom.codes import Code, Derivation, Uptake
from her2node.phantoms import RoiForm, pet
from her2node.phantoms.activity import Decay, Units
from her2node.phantoms.pet import LESIONS, LIVER_SUV, TUMOUR, OutlinedOn, PetOptions
from her2node.reading import Reading, read
from her2node.selection.roles import Role
from her2node.selection.study import Series, open_study
from her2node.volumes.pet import PetVolume, build

COARSE = PetOptions(rows=40, columns=40, slices=10, spacing_mm=8.0, slice_spacing_mm=16.0, rois=(), ct=False)
FINE = PetOptions(rows=110, columns=110, slices=60, spacing_mm=3.0, slice_spacing_mm=3.0, ct_slice_spacing_mm=2.0)
"""The lesions lie within, limbs and shoulders of the trunk do not."""


def built(folder: Path, options: PetOptions) -> PetVolume:
    phantoms.write(pet.make(options), folder)
    (series,) = (one for one in open_study(sorted(folder.rglob("*.dcm"))).series if _is_corrected(one))
    return build(series)


def _is_corrected(series: Series) -> bool:
    return series.modality == "PT" and "ATTN" in series.first.CorrectedImage


@pytest.mark.parametrize("units", list(Units))
@pytest.mark.parametrize("decay", list(Decay))
def test_every_unit_and_decay_correction_becomes_the_uptake_that_was_painted(
    units: Units, decay: Decay, tmp_path: Path
) -> None:
    found = built(tmp_path, replace(COARSE, units=units, decay=decay))
    of_liver = found.volume.voxels[4:6, 19, 9]  # a slice of either bed position
    assert of_liver == pytest.approx([LIVER_SUV] * 2, rel=2e-4)
    assert found.normalisation.uptake == COARSE.uptake
    assert found.normalisation.dose_bq == pytest.approx(COARSE.dose_bq)


@pytest.mark.parametrize(("sex", "units"), [("F", Units.GML_LEAN), ("M", Units.CM2ML)])
def test_masses_of_either_sex_are_turned_back_alike(sex: str, units: Units, tmp_path: Path) -> None:
    found = built(tmp_path, replace(COARSE, sex=sex, units=units))
    assert found.volume.voxels[4, 19, 9] == pytest.approx(LIVER_SUV, rel=2e-4)


def reading(folder: Path, options: PetOptions) -> Reading:
    phantoms.write(pet.make(options), folder)
    return read(open_study(sorted(folder.rglob("*.dcm"))), (), entered={"glucose_mg_dl": "95"}, every_roi=True)


def value(found: Reading, label: str, code: Code, modifier: Code | None = None, method: Code | None = None) -> float:
    (one,) = (
        q.value
        for q in found.quantities
        if (q.roi, q.role, q.code, q.modifier) == (label, Role.PET, code, modifier) and method in (None, q.method)
    )
    return one


@pytest.mark.parametrize(
    ("on", "roi", "border"),
    [
        (OutlinedOn.PET, RoiForm.BINARY, 0.04),
        (OutlinedOn.CT, RoiForm.BINARY, 0.06),  # as slabs of 2 mm, laid on slices of 3 mm
        (OutlinedOn.CT, RoiForm.CONTOURS, 0.06),
    ],
)
def test_lesions_outlined_on_either_modality_have_their_uptake_volume_and_glycolysis(
    on: OutlinedOn, roi: RoiForm, border: float, tmp_path: Path
) -> None:
    """The border of the region takes in or leaves out voxels of another uptake, by a share of ``border`` at most."""
    found = reading(tmp_path, replace(FINE, outlined_on=on, rois=(roi,)))
    for lesion in LESIONS:
        known = lesion.figures(FINE.calibration.person, LIVER_SUV)
        for code, name in (
            (Uptake.SUVBW, "suvbw"),
            (Uptake.SUVLBM_JANMAHASATIAN, "suvlbm_janmahasatian"),
            (Uptake.SUVLBM_JAMES128, "suvlbm_james128"),
            (Uptake.SUVBSA, "suvbsa"),
        ):
            truth = known[name]
            assert value(found, lesion.label, code, Derivation.MAXIMUM) == pytest.approx(truth["max"], rel=1e-3)
            assert value(found, lesion.label, code, Uptake.PEAK) == pytest.approx(truth["peak"], rel=1e-3)
            assert value(found, lesion.label, code, Derivation.MEAN) == pytest.approx(truth["mean"], rel=border)
        for method, name in (
            (Uptake.ABOVE_41, "41_percent"),
            (Uptake.ABOVE_40, "40_percent"),
            (Uptake.ABOVE_FIXED, "suv_2.5"),
            (Uptake.ABOVE_PERCIST, "percist"),
        ):
            truth = known[name]
            assert value(found, lesion.label, Uptake.MTV, method=method) == pytest.approx(truth["mtv_ml"], rel=border)
            assert value(found, lesion.label, Uptake.TLG, method=method) == pytest.approx(truth["tlg_g"], rel=border)
    slope = TUMOUR.figures(FINE.calibration.person, LIVER_SUV)["heterogeneity_ml_per_percent"]
    assert value(found, "Tumour", Uptake.HETEROGENEITY) == pytest.approx(slope, rel=border)
    assert value(found, "Tumour", Uptake.UPTAKE_TIME) == pytest.approx(61)


def test_the_series_without_attenuation_correction_is_not_measured(tmp_path: Path) -> None:
    study = pet.make(replace(COARSE, uncorrected=True, rois=(RoiForm.BINARY,)))
    phantoms.write(study, tmp_path)
    found = read(open_study(sorted(tmp_path.rglob("*.dcm"))), ())
    uids = {uid for q in found.quantities for uid in q.series_uids}
    assert uids == {study.head("pet").series_instance_uid}
