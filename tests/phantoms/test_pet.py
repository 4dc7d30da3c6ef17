"""The truth of the PET phantom against sums over its own voxels, and how each vendor's way says the same."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.dicom.codes import Finding
from her2node.errors import PhantomRefused
from her2node.phantoms import RoiForm, activity, pet, uptake_truth
from her2node.phantoms.activity import Decay, Person, Units
from her2node.phantoms.pet import LIVER_SUV, TUMOUR, OutlinedOn, PetOptions
from her2node.phantoms.planes import transverse
from her2node.phantoms.shapes import Ellipsoid
from her2node.phantoms.uptake_truth import Lesion
from tests.reports.gates import dciodvfy

SMALL = PetOptions(
    rows=40, columns=40, slices=10, spacing_mm=8.0, slice_spacing_mm=16.0, ct_slice_spacing_mm=5.0, rois=(), ct=False
)
MAN, WOMAN = Person("M", 70.0, 1.75), Person("F", 60.0, 1.62)


def voxels(lesion: Lesion) -> tuple[np.ndarray, float]:
    """SUVbw of the voxels of a lesion on a fine grid, and the volume of one in ml."""
    planes = transverse((280, 280), 260, 0.5, 0.5)
    values = []
    for plane in planes:
        at = replace(plane, origin_mm=tuple(np.add(plane.origin_mm, lesion.shape.centre_mm)))
        painted = pet.painted(at, lesion.parts, -1.0)
        values.append(painted[painted >= 0])
    return np.concatenate(values), 0.5**3 / 1000


def test_the_figures_of_a_lesion_are_those_of_its_voxels() -> None:
    values, voxel_ml = voxels(TUMOUR)
    known = TUMOUR.figures(MAN, LIVER_SUV)
    assert known["volume_ml"] == pytest.approx(len(values) * voxel_ml, rel=1e-3)
    assert known["suvbw"] == pytest.approx({"max": values.max(), "mean": values.mean(), "peak": 14.0}, rel=1e-3)
    for name, threshold in (
        ("41_percent", 0.41 * 14.0), ("40_percent", 0.40 * 14.0), ("suv_2.5", 2.5), ("percist", 1.5 * LIVER_SUV)
    ):  # fmt: skip
        above = values[values >= threshold]
        expected = {"mtv_ml": len(above) * voxel_ml, "tlg_g": above.sum() * voxel_ml}
        assert known[name] == pytest.approx(expected, rel=2e-3)
    shares = np.array([40, 50, 60, 70, 80])
    volumes = [voxel_ml * np.count_nonzero(values >= share / 100 * values.max()) for share in shares]
    assert known["heterogeneity_ml_per_percent"] == pytest.approx(-np.polyfit(shares, volumes, 1)[0], rel=2e-3)


def test_no_two_thresholds_keep_the_same_part_of_the_tumour() -> None:
    known = TUMOUR.figures(MAN, LIVER_SUV)
    volumes = {json.dumps(known[name]) for name in ("41_percent", "40_percent", "suv_2.5", "percist")}
    assert len(volumes) == 4


def test_masses_are_those_of_published_examples() -> None:
    # 70 kg, 1.75 m: Du Bois 1.8481 m2; Janmahasatian 9270 * 70 / (6680 + 216 * 22.857) = 55.85 kg.
    assert MAN.surface_cm2_per_g * 70_000 == pytest.approx(18_481, rel=1e-3)
    assert MAN.lean_janmahasatian * 70 == pytest.approx(55.85, abs=0.01)
    assert WOMAN.lean_james128 * 60 == pytest.approx(1.07 * 60 - 148 * (60 / 162) ** 2)


def images(options: PetOptions, name: str = "pet") -> list[Dataset]:
    study = pet.make(options)
    uid = study.head(name).series_instance_uid
    return [ds for ds in study.datasets if uid == ds.SeriesInstanceUID]


def rescaled(ds: Dataset) -> np.ndarray:
    return ds.pixel_array * float(ds.RescaleSlope)


LIVER = (slice(4, 6), 19, 9)
"""Two slices, one a bed position, and a voxel in the liver."""


def liver(options: PetOptions) -> list[float]:
    found = images(options)[LIVER[0]]
    return [float(rescaled(ds)[LIVER[1:]]) for ds in found]


def test_an_image_corrected_to_the_start_shows_what_was_left_of_the_dose_then() -> None:
    left = 2.6e8 * 2 ** (-61 * 60 / 6586.2)
    assert liver(SMALL) == pytest.approx([LIVER_SUV * left / 72_000] * 2, rel=1e-4)


def test_an_image_corrected_to_the_injection_shows_the_whole_dose() -> None:
    assert liver(replace(SMALL, decay=Decay.ADMIN)) == pytest.approx([LIVER_SUV * 2.6e8 / 72_000] * 2, rel=1e-4)


def test_without_correction_each_bed_shows_the_mean_of_its_own_minutes() -> None:
    seconds = np.arange(0.05, 180, 0.1)
    expected = [
        LIVER_SUV * 2.6e8 / 72_000 * np.mean(2 ** (-(61 * 60 + begin + seconds) / 6586.2)) for begin in (0, 180)
    ]
    assert liver(replace(SMALL, decay=Decay.NONE)) == pytest.approx(expected, rel=1e-4)


def test_units_of_uptake_hold_uptake_itself() -> None:
    masses = {
        Units.GML: 1.0,
        Units.GML_LEAN: SMALL.calibration.person.lean_janmahasatian,
        Units.CM2ML: SMALL.calibration.person.surface_cm2_per_g,
    }
    for units, mass in masses.items():
        assert liver(replace(SMALL, units=units)) == pytest.approx([mass * LIVER_SUV] * 2, rel=1e-4)


def test_counts_of_philips_become_uptake_or_activity_by_their_private_factor() -> None:
    direct = images(replace(SMALL, units=Units.PHILIPS_SUV))[4]
    assert rescaled(direct)[LIVER[1:]] * float(direct[0x7053, 0x1000].value) == pytest.approx(LIVER_SUV, rel=1e-4)
    by_activity = images(replace(SMALL, units=Units.PHILIPS_ACTIVITY))[4]
    activity_bqml = rescaled(by_activity)[LIVER[1:]] * float(by_activity[0x7053, 0x1009].value)
    assert activity_bqml == pytest.approx(liver(SMALL)[0], rel=1e-4)


@pytest.mark.parametrize("decay", [Decay.START_GE, Decay.START_COUNTED])
def test_a_late_series_time_says_nothing_of_the_start(decay: Decay) -> None:
    assert liver(replace(SMALL, decay=decay)) == pytest.approx(liver(SMALL), rel=1e-6)
    for ds in images(replace(SMALL, decay=decay)):
        assert ds.SeriesTime > ds.AcquisitionTime
        assert ((0x0009, 0x100D) in ds) == (decay is Decay.START_GE)


def test_the_frame_reference_time_leads_back_to_the_start() -> None:
    first, later = images(SMALL)[0], images(SMALL)[-1]
    # Half of the duration, and a little less as there is more activity in the first half.
    assert float(first.FrameReferenceTime) == pytest.approx(90_000, rel=4e-3)
    assert float(later.FrameReferenceTime) - float(first.FrameReferenceTime) == pytest.approx(180_000, abs=1)
    assert later.AcquisitionTime > first.AcquisitionTime


def test_slopes_differ_from_slice_to_slice() -> None:
    assert len({str(ds.RescaleSlope) for ds in images(PetOptions(rois=(), ct=False, rows=40, columns=40))}) > 5


def test_the_series_without_attenuation_correction_says_so() -> None:
    found = images(replace(SMALL, uncorrected=True), "nac")
    assert found
    assert all("ATTN" not in ds.CorrectedImage for ds in found)


def test_the_ct_shares_the_frame_of_reference_but_not_the_grid() -> None:
    study = pet.make(replace(SMALL, ct=True))
    found = {ds.Modality: ds for ds in study.datasets}
    assert found["CT"].FrameOfReferenceUID == found["PT"].FrameOfReferenceUID
    assert (found["CT"].Rows, found["CT"].PixelSpacing[0]) == (53, 6.0)


@pytest.mark.parametrize("on", list(OutlinedOn))
def test_regions_lie_on_the_images_that_were_asked_for(on: OutlinedOn) -> None:
    options = replace(SMALL, ct=True, outlined_on=on, rois=(RoiForm.BINARY, RoiForm.CONTOURS))
    objects = list(pet.make(options).datasets)
    of_modality = {ds.SOPInstanceUID for ds in objects if ds.Modality == {"ct": "CT", "pet": "PT"}[on]}
    segmented, drawn = objects[-2:]
    named = {_source(group) for group in segmented.PerFrameFunctionalGroupsSequence}
    assert named
    assert named <= of_modality
    assert [roi.ROIName for roi in drawn.StructureSetROISequence] == ["Tumour", "Lymph node metastasis", "Liver"]
    contours = drawn.ROIContourSequence[0].ContourSequence
    assert {one.ContourImageSequence[0].ReferencedSOPInstanceUID for one in contours} <= of_modality


def _source(group: Dataset) -> str:
    return str(group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)


def _every(options: PetOptions, tmp_path: Path) -> Iterator[Path]:
    seen = set()
    for path in phantoms.write(pet.make(options), tmp_path):
        if path.parent not in seen:
            seen.add(path.parent)
            yield path


def test_one_object_of_every_kind_is_valid(tmp_path: Path) -> None:
    options = replace(SMALL, ct=True, uncorrected=True, rois=(RoiForm.BINARY, RoiForm.CONTOURS))
    for path in _every(options, tmp_path):
        errors, _ = dciodvfy(path)
        assert errors == [], path


def test_the_same_options_give_the_same_objects_and_others_other_uids() -> None:
    one, other = (list(pet.make(SMALL).datasets) for _ in range(2))
    assert one == other
    assert len({ds.SOPInstanceUID for ds in one}) == len(one)
    assert pet.make(replace(SMALL, uptake=timedelta(hours=1))).study_instance_uid != pet.make(SMALL).study_instance_uid


def test_the_forward_model_shares_nothing_with_what_is_held_against_it() -> None:
    for module in (activity, pet, uptake_truth):
        tree = ast.parse(Path(module.__file__).read_text())
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any("quantities" in name or "volumes" in name for name in imported)


def test_the_truth_is_written_with_the_study(tmp_path: Path) -> None:
    phantoms.write(pet.make(SMALL), tmp_path)
    written = json.loads((tmp_path / "truth.json").read_text())
    assert set(written["lesions"]) == {"Tumour", "Lymph node metastasis"}
    assert written["lesions"]["Tumour"]["suvbw"]["max"] == 14.0
    assert written["uptake_minutes"] == 61


@pytest.mark.parametrize(
    "options",
    [{"outlined_on": OutlinedOn.CT, "ct": False}, {"rois": (RoiForm.LABELMAP,)}, {"sex": "O"}, {"slices": 1}],
    ids=str,
)
def test_what_cannot_be_made_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(PhantomRefused):
        PetOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("layers", [((0.9, 3.0),), ((1.0, 3.0), (0.5, 2.0)), ((1.0, 3.0), (1.1, 4.0))])
def test_a_lesion_whose_uptake_does_not_rise_inwards_is_refused(layers: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(PhantomRefused):
        Lesion("Tumour", Finding.PRIMARY_NEOPLASM, Ellipsoid((0.0, 0.0, 0.0), (9.0, 9.0, 9.0)), layers)
