"""Dual-energy studies through the whole reading, against the truth of their phantoms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.misc import is_dicom

from her2node import phantoms
from her2node.dicom.codes import Code, Derivation, DualEnergy
from her2node.phantoms import Descriptions, DualEnergyOptions, IodineUnit, PhantomOptions, PhantomStudy, Phase, mishaps
from her2node.quantities.quantity import Quantity
from her2node.reading import Methods, Reading, looking, read
from her2node.reports.wording import statements
from her2node.rois.landmarks import Landmarks
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from her2node.selection.witnesses import SILENT
from tests.reading.recognised import CONTRAST_TAGS
from tests.selection import headers

BASE = PhantomOptions(
    seed=3, rows=128, columns=128, slices=16, slice_spacing_mm=4.0, noise_hu=8.0, phases=(Phase.PORTAL,)
)

PORTAL_LOOK = Landmarks("1.9", aorta=150.0, ceiling=160.0, liver=115.0, spleen=123.0, portal_vein=160.0)


def made(folder: Path, **options: object) -> tuple[PhantomStudy, Study]:
    phantom = phantoms.dual_energy.make(DualEnergyOptions(**{"base": BASE, **options}))  # type: ignore[arg-type]
    return phantom, open_study(phantoms.write(phantom, folder))


def value(reading: Reading, code: Code, modifier: Code | None = None) -> float:
    (found,) = (q.value for q in reading.quantities if (q.code, q.modifier) == (code, modifier))
    return found


def agrees(reading: Reading, phantom: PhantomStudy) -> None:
    """Iodine and its ratio to the aorta within three standard errors and the voxels at the border of the core."""
    truth = phantom.truth.iodine
    assert truth is not None
    count = next(int(laid.roi.mask.sum()) for laid in reading.rois)
    error = 3 * value(reading, DualEnergy.IODINE, Derivation.STANDARD_DEVIATION) / np.sqrt(count)
    assert value(reading, DualEnergy.IODINE, Derivation.MEAN) == pytest.approx(truth.tumour, abs=error + 0.01)
    ratio = value(reading, DualEnergy.NORMALIZED_IODINE)
    assert ratio == pytest.approx(truth.normalized, abs=(error + 0.02) / truth.aorta)


@pytest.mark.parametrize("unit", [IodineUnit.MGML, IodineUnit.REAL_WORLD, IodineUnit.HUNDRED_UG])
def test_an_iodine_map_is_measured_as_it_was_made_whatever_its_unit(tmp_path: Path, unit: IodineUnit) -> None:
    phantom, study = made(tmp_path, unit=unit, energies=())
    reading = read(study, ())
    agrees(reading, phantom)
    assert not reading.not_measured


def test_a_map_in_another_unit_is_converted_printed_and_sent_as_a_map(tmp_path: Path) -> None:
    _, study = made(tmp_path, unit=IodineUnit.HUNDRED_UG, energies=())
    reading = read(study, ())
    mean = next(q for q in reading.quantities if (q.code, q.modifier) == (DualEnergy.IODINE, Derivation.MEAN))
    assert mean.method == DualEnergy.converted(0.1, "100ug/cm3")
    (one,) = reading.maps
    assert (one.method, one.role, one.unit.value) == (mean.method, Role.IODINE, "mg/ml")
    assert one.series_uids == mean.series_uids


def test_the_scanners_own_map_in_mg_per_ml_is_not_sent_back_to_it(tmp_path: Path) -> None:
    _, study = made(tmp_path, unit=IodineUnit.MGML, energies=())
    assert read(study, ()).maps == ()


def without_unit(folder: Path) -> Study:
    """What lies in a folder, whose iodine map no longer says that it is in mg/ml."""
    images = [(path, dcmread(path)) for path in sorted(folder.rglob("*")) if path.is_file() and is_dicom(path)]
    said = [(path, image) for path, image in images if image.get("RescaleType") == "MGML"]
    assert said
    for path, image in said:
        del image.RescaleType
        image.save_as(path)
    return open_study(path for path, _ in images)


@pytest.mark.parametrize("unit", [IodineUnit.UNSTATED, IodineUnit.MGML], ids=["above ten", "below ten"])
def test_of_a_map_without_a_unit_the_ratio_alone_is_told_and_the_report_asks(tmp_path: Path, unit: IodineUnit) -> None:
    phantom, study = made(tmp_path, unit=unit, energies=())
    reading = read(study if unit is IodineUnit.UNSTATED else without_unit(tmp_path), ())
    assert not [q for q in reading.quantities if q.code == DualEnergy.IODINE]
    (refusal,) = reading.not_measured
    assert (refusal.refused.reason, refusal.code, refusal.roi) == ("unit-missing", DualEnergy.IODINE, reading.tumour)
    assert any("mg/ml or 100 ug/ml?" in said.text for said in statements(reading))
    assert phantom.truth.iodine is not None
    assert value(reading, DualEnergy.NORMALIZED_IODINE) == pytest.approx(phantom.truth.iodine.normalized, abs=0.02)


def test_a_map_in_hounsfield_units_is_refused_by_name(tmp_path: Path) -> None:
    _, study = made(tmp_path, unit=IodineUnit.HOUNSFIELD, energies=())
    (refusal,) = read(study, ()).not_measured
    assert (refusal.refused.reason, refusal.role) == ("not-calibrated", Role.IODINE)


def test_two_energies_are_decomposed_only_when_that_is_asked_for(tmp_path: Path) -> None:
    phantom, study = made(tmp_path, unit=None)
    unasked = read(study, ())
    (refusal,) = unasked.not_measured
    assert (refusal.refused.reason, refusal.code) == ("not-requested", DualEnergy.IODINE)
    assert "dual_energy.decompose" in refusal.refused.remedy
    assert not [q for q in unasked.quantities if q.code == DualEnergy.IODINE]
    asked = read(study, (), methods=Methods(decompose=True))
    agrees(asked, phantom)
    assert not asked.not_measured


def test_decomposed_iodine_says_from_what_it_was_had(tmp_path: Path) -> None:
    _, study = made(tmp_path, unit=None, energies=(50, 70, 140))
    reading = read(study, (), methods=Methods(decompose=True))
    mean = next(q for q in reading.quantities if (q.code, q.modifier) == (DualEnergy.IODINE, Derivation.MEAN))
    assert mean.method is not None
    assert mean.method.meaning == "Iodine and water decomposed from images at 50 and 140 keV"
    assert [study.series_of(uid).description[-7:] for uid in mean.series_uids] == [" 50 keV", "140 keV"]  # type: ignore[union-attr]
    (one,) = reading.maps
    assert one.series_uids == mean.series_uids
    laid = next(laid for laid in reading.rois if laid.series_instance_uid == mean.series_uids[0])
    assert float(one.voxels[laid.roi.mask].mean(dtype=np.float64)) == pytest.approx(mean.value, rel=1e-6)


def test_a_map_of_the_scanner_goes_before_two_energies(tmp_path: Path) -> None:
    _, study = made(tmp_path, unit=IodineUnit.MGML)
    reading = read(study, (), methods=Methods(decompose=True))
    (mean,) = (q for q in reading.quantities if (q.code, q.modifier) == (DualEnergy.IODINE, Derivation.MEAN))
    assert len(mean.series_uids) == 1


def test_one_energy_alone_is_not_decomposed(tmp_path: Path) -> None:
    _, study = made(tmp_path, unit=None, energies=(70,))
    (refusal,) = read(study, (), methods=Methods(decompose=True)).not_measured
    assert refusal.refused.reason == "role-missing"


def test_the_classic_series_beside_them_is_measured_as_ever(tmp_path: Path) -> None:
    _, study = made(tmp_path, effective_z=True)
    classic = replace(study, series=tuple(s for s in study.series if s.number == 4 or s.modality != "CT"))
    alone = read(classic, ()).quantities
    assert alone
    together = read(study, ()).quantities
    assert tuple(q for q in together if q.role is Role.PORTAL) == alone
    assert {q.role for q in together} == {Role.PORTAL, Role.IODINE, Role.EFFECTIVE_Z}


def test_an_effective_atomic_number_lies_between_water_and_iodine(tmp_path: Path) -> None:
    _, study = made(tmp_path, energies=(), unit=None, effective_z=True)
    assert 7.42 < value(read(study, ()), DualEnergy.EFFECTIVE_ATOMIC_NUMBER, Derivation.MEAN) < 9.5


# --- the aorta ---------------------------------------------------------------------------------------------------


def without_classic(study: Study) -> Study:
    return replace(study, series=tuple(series for series in study.series if series.number != 4))


def ratio_of(reading: Reading) -> Quantity:
    (found,) = (q for q in reading.quantities if q.code == DualEnergy.NORMALIZED_IODINE)
    return found


def test_where_no_aorta_is_given_or_found_there_is_iodine_but_no_ratio(tmp_path: Path) -> None:
    _, study = made(tmp_path, energies=(), aorta=False)
    reading = read(without_classic(study), ())
    (refusal,) = reading.not_measured
    assert (refusal.refused.reason, refusal.code) == ("no-reference", DualEnergy.NORMALIZED_IODINE)
    assert value(reading, DualEnergy.IODINE, Derivation.MEAN) > 0


def test_an_aorta_that_is_given_goes_before_one_that_is_found(tmp_path: Path) -> None:
    _, study = made(tmp_path, energies=())
    assert ratio_of(read(study, ())).method == DualEnergy.REGION_OF_AORTA


@pytest.mark.parametrize("classic", [True, False])
def test_an_aorta_found_in_the_phase_or_in_images_of_70_kev_serves_where_none_is_given(
    tmp_path: Path, classic: bool
) -> None:
    phantom, study = made(tmp_path, energies=(70,), aorta=False)
    reading = read(study if classic else without_classic(study), ())
    agrees(reading, phantom)
    assert ratio_of(reading).method == DualEnergy.FOUND_AORTA


def test_iodine_bears_the_phase_in_which_it_was_taken_up(tmp_path: Path) -> None:
    _, study = made(tmp_path, energies=(), effective_z=True)
    reading = read(study, ())
    dual = [q for q in reading.quantities if q.role in (Role.IODINE, Role.EFFECTIVE_Z)]
    assert {q.phase for q in dual} == {Role.PORTAL}
    assert {q.phase for q in reading.quantities if q.role is Role.PORTAL} == {None}


def test_every_region_that_is_asked_for_is_measured_and_the_aorta_not_against_itself(tmp_path: Path) -> None:
    _, study = made(tmp_path, energies=())
    reading = read(study, (), every_roi=True)
    ratios = [q.roi for q in reading.quantities if q.code == DualEnergy.NORMALIZED_IODINE]
    means = [q.roi for q in reading.quantities if (q.code, q.modifier) == (DualEnergy.IODINE, Derivation.MEAN)]
    assert (sorted(means), ratios) == (["Aorta 1", "Tumour 1"], ["Tumour 1"])


@pytest.mark.parametrize("phase", [Phase.ARTERIAL, Phase.PORTAL, Phase.EQUILIBRIUM])
@pytest.mark.parametrize("classic", [True, False])
def test_iodine_that_no_header_gives_a_phase_has_that_of_the_images_of_its_acquisition(
    tmp_path: Path, phase: Phase, classic: bool
) -> None:
    base = replace(
        BASE, seed=5, rows=144, columns=144, slices=30, slice_spacing_mm=5.0, phases=(phase,),
        descriptions=Descriptions.NONE,
    )  # fmt: skip
    phantom = phantoms.dual_energy.make(DualEnergyOptions(base=base, energies=(70,), aorta=False))
    study = open_study(phantoms.write(mishaps.without(phantom, *CONTRAST_TAGS), tmp_path))
    if not classic:
        study = replace(study, series=tuple(series for series in study.series if series.description != "Abdomen"))
    reading = read(study, ())
    assert {q.phase for q in reading.quantities if q.role is Role.IODINE} == {Role(phase.value)}


@pytest.mark.parametrize("description", ["VNC", "Iodine map", "Monoenergetic", "50 keV", "VNC 70 keV"])
def test_images_that_show_no_attenuation_as_at_120_kvp_testify_to_nothing(description: str) -> None:
    """Virtual images without contrast, iodine, and images whose energy nothing tells or is another."""
    assert looking.testimony(headers.series(description), PORTAL_LOOK).testimony is SILENT
    assert looking.testimony(headers.series("70 keV"), PORTAL_LOOK).testimony.phases == {Role.PORTAL}


def test_a_virtual_series_that_a_reader_names_plain_is_measured_and_so_is_all_else(tmp_path: Path) -> None:
    _, study = made(tmp_path, energies=(70,), unit=None)
    virtual = [replace(one, description="VNC") if "keV" in one.description else one for one in study.series]
    uid = next(one.series_instance_uid for one in virtual if one.description == "VNC")
    for one in (each for series in virtual for each in series.instances if series.series_instance_uid == uid):
        del one.header.MultienergyCTCharacteristicsSequence
        one.header.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    reading = read(replace(study, series=tuple(virtual)), (), entered_roles={uid: Role.PLAIN})
    assert reading.selection is not None
    assert reading.selection.of(uid).role is Role.PLAIN
    assert {q.role for q in reading.quantities} == {Role.PLAIN, Role.PORTAL}
