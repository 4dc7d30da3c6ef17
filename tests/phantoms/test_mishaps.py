"""Each mishap spoils what it says, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node.phantoms import Form, PhantomOptions, PhantomStudy, Phase, RoiForm, ct, mishaps, write
from tests.phantoms.test_objects import _complaints

OPTIONS = {"seed": 5, "rows": 64, "columns": 64, "slices": 9, "slice_spacing_mm": 5.0, "rois": ()}
Places = list[tuple[float, ...]]


def _study(form: Form = Form.CLASSIC, **others: object) -> PhantomStudy:
    return ct.make(PhantomOptions(**{**OPTIONS, "phases": (Phase.ARTERIAL, Phase.PORTAL), "form": form, **others}))


def _planes(study: PhantomStudy, phase: Phase) -> tuple[Places, Places]:
    """Positions and orientations as the objects of a phase give them."""
    positions: Places = []
    orientations: Places = []
    for ds in study.datasets:
        if ds.SeriesInstanceUID != study.series_of(phase).series_instance_uid:
            continue
        if "PerFrameFunctionalGroupsSequence" not in ds:
            positions.append(tuple(map(float, ds.ImagePositionPatient)))
            orientations.append(tuple(map(float, ds.ImageOrientationPatient)))
            continue
        for group in ds.PerFrameFunctionalGroupsSequence:
            positions.append(tuple(map(float, group.PlanePositionSequence[0].ImagePositionPatient)))
            orientations.append(tuple(map(float, group.PlaneOrientationSequence[0].ImageOrientationPatient)))
    return positions, orientations


@pytest.mark.parametrize("form", list(Form))
def test_a_missing_slice_leaves_a_gap_in_one_phase_only(form: Form) -> None:
    whole = _study(form)
    spoiled = mishaps.missing_slice(whole, Phase.PORTAL)
    positions, _ = _planes(spoiled, Phase.PORTAL)
    gaps = np.diff([z for *_, z in positions])
    assert len(positions) == 8
    assert sorted(np.round(gaps, 3))[-2:] == [5.0, 10.0]
    assert _planes(spoiled, Phase.ARTERIAL) == _planes(whole, Phase.ARTERIAL)


@pytest.mark.parametrize("form", list(Form))
def test_a_duplicated_slice_lies_where_another_lies(form: Form) -> None:
    spoiled = mishaps.duplicated_slice(_study(form))
    for phase in (Phase.ARTERIAL, Phase.PORTAL):
        positions, _ = _planes(spoiled, phase)
        assert sorted(Counter(positions).values())[-2:] == [1, 2]
    uids = [ds.SOPInstanceUID for ds in spoiled.datasets]
    assert len(set(uids)) == len(uids)


@pytest.mark.parametrize("form", list(Form))
def test_uneven_spacing_moves_one_slice(form: Form) -> None:
    positions, _ = _planes(mishaps.uneven_spacing(_study(form)), Phase.PORTAL)
    gaps = Counter(np.round(np.diff([z for *_, z in positions]), 3))
    assert gaps == {5.0: 6, 7.0: 1, 3.0: 1}


@pytest.mark.parametrize("form", list(Form))
def test_gantry_tilt_shears_the_stack_and_is_declared(form: Form) -> None:
    spoiled = mishaps.gantry_tilt(_study(form), degrees=15)
    positions, orientations = _planes(spoiled, Phase.PORTAL)
    assert len(set(orientations)) == 1
    row, column = np.array(orientations[0][:3]), np.array(orientations[0][3:])
    travel = np.subtract(positions[1], positions[0])
    sine = np.linalg.norm(np.cross(np.cross(row, column), travel)) / np.linalg.norm(travel)
    assert np.degrees(np.arcsin(sine)) == pytest.approx(15)
    for ds in spoiled.datasets:
        shared = ds if form is Form.CLASSIC else ds.SharedFunctionalGroupsSequence[0].CTAcquisitionDetailsSequence[0]
        assert shared.GantryDetectorTilt == 15


def test_mixed_orientations_turn_one_slice() -> None:
    _, orientations = _planes(mishaps.mixed_orientations(_study()), Phase.PORTAL)
    assert sorted(Counter(orientations).values()) == [1, 8]


def test_head_first_numbers_the_same_slices_from_the_head() -> None:
    whole = _study()
    positions, _ = _planes(mishaps.head_first(whole), Phase.PORTAL)
    assert positions == _planes(whole, Phase.PORTAL)[0][::-1]
    numbers = [ds.InstanceNumber for ds in mishaps.head_first(whole).datasets]
    assert numbers == [*range(1, 10), *range(1, 10)]


def test_a_localizer_is_a_valid_series_of_its_own(tmp_path: Path) -> None:
    paths = write(mishaps.localizer(_study()), tmp_path)
    assert len(paths) == 19
    assert _complaints("dciodvfy", paths[0]) == []
    first = next(mishaps.localizer(_study()).datasets)
    assert first.ImageType[2] == "LOCALIZER"
    assert first.SeriesNumber == 1


@pytest.mark.parametrize("form", list(Form))
def test_without_a_frame_of_reference_no_object_names_one(form: Form) -> None:
    spoiled = mishaps.without_frame_of_reference(_study(form, rois=(RoiForm.BINARY, RoiForm.CONTOURS)))
    for ds in spoiled.datasets:
        assert not _holds(ds, "FrameOfReferenceUID")


def test_without_type_2_attributes_the_identity_is_still_there() -> None:
    for ds in mishaps.without_type_2(_study(rois=(RoiForm.BINARY,))).datasets:
        assert not any(_holds(ds, keyword) for keyword in mishaps.TYPE_2)
        assert ds.StudyInstanceUID
        assert ds.SOPInstanceUID


def test_emptied_attributes_are_there_without_a_value() -> None:
    for ds in mishaps.emptied(_study(), "PatientName", "SliceThickness").datasets:
        assert "PatientName" in ds
        assert not ds.PatientName
        assert ds.SliceThickness is None


@pytest.mark.parametrize("form", list(Form))
def test_without_rescale_nothing_tells_the_hounsfield_units(form: Form) -> None:
    for ds in mishaps.without_rescale(_study(form)).datasets:
        assert not _holds(ds, "RescaleSlope")


def test_another_patient_has_one_series() -> None:
    spoiled = mishaps.other_patient(_study(), Phase.PORTAL)
    ids = {ds.SeriesInstanceUID: ds.PatientID for ds in spoiled.datasets}
    assert ids[spoiled.series_of(Phase.PORTAL).series_instance_uid] == "SOMEBODY-ELSE"
    assert ids[spoiled.series_of(Phase.ARTERIAL).series_instance_uid] == "PHANTOM-000005"


def test_a_conflicting_duplicate_has_the_uid_of_the_first_object_and_other_content() -> None:
    objects = list(mishaps.conflicting_duplicate(_study()).datasets)
    assert objects[-1].SOPInstanceUID == objects[0].SOPInstanceUID
    assert objects[-1] != objects[0]


@pytest.mark.parametrize(
    "mishap",
    [mishaps.missing_slice, mishaps.gantry_tilt, mishaps.without_type_2, mishaps.localizer],
    ids=lambda mishap: mishap.__name__,
)
def test_the_given_study_stays_as_it_was(mishap: Callable[[PhantomStudy], PhantomStudy]) -> None:
    whole = _study()
    before = list(whole.datasets)
    list(mishap(whole).datasets)
    assert list(whole.datasets) == before


def test_mishaps_add_up() -> None:
    spoiled = mishaps.localizer(mishaps.missing_slice(mishaps.without(_study(), "PatientName")))
    objects = list(spoiled.datasets)
    assert len(objects) == 1 + 2 * 8
    assert not any("PatientName" in ds for ds in objects)


def _holds(ds: Dataset, keyword: str) -> bool:
    inner = (item for element in ds if element.VR == "SQ" for item in element.value)
    return keyword in ds or any(_holds(item, keyword) for item in inner)
