"""The objects of a study: valid, one study, the same every time, whoever reads them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from her2node.dicom.uids import is_valid_uid
from her2node.errors import PhantomRefused
from her2node.phantoms import (
    Border,
    CharacterSet,
    Descriptions,
    Form,
    Patient,
    PhantomOptions,
    PhantomStudy,
    Phase,
    RoiForm,
    ct,
    write,
)
from her2node.phantoms.rendering import mask
from tests.conftest import system_tool, tool

SMALL = {"seed": 7, "rows": 96, "columns": 128, "slices": 16, "slice_spacing_mm": 5.0}
ALL_ROIS = tuple(RoiForm)
STUDY_REFERENCE = re.compile(r"Error - Missing SOPInstanceUID that was referenced - (\S+) for file")
"""RTReferencedStudySequence names the study in an attribute made for objects (PS3.3 C.8.8.5), as the structure sets of
all makers do and viewers expect; dcentvfy then misses an object of that UID."""


def _bytes(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _digest(study: PhantomStudy) -> str:
    digest = hashlib.sha256()
    for ds in study.datasets:
        digest.update(_bytes(ds))
    return digest.hexdigest()


def _images(study: PhantomStudy) -> Iterator[Dataset]:
    return (ds for ds in study.datasets if ds.Modality == "CT")


def _voxels(study: PhantomStudy) -> dict[str, np.ndarray]:
    """Stored values of each CT series by SeriesDescription, shape (slices, rows, columns)."""
    frames: dict[str, list[np.ndarray]] = {}
    for ds in _images(study):
        values = np.frombuffer(ds.PixelData, dtype="<i2").reshape(-1, ds.Rows, ds.Columns)
        frames.setdefault(ds.SeriesDescription, []).append(values)
    return {description: np.concatenate(values) for description, values in frames.items()}


def _complaints(program: str, *arguments: str | Path) -> list[str]:
    result = subprocess.run([tool(program), *map(str, arguments)], capture_output=True, text=True, check=False)
    return [line for line in (result.stdout + result.stderr).splitlines() if "Error" in line or "Abort" in line]


CASES = [
    PhantomOptions(**SMALL, rois=ALL_ROIS),
    PhantomOptions(**SMALL, rois=ALL_ROIS, form=Form.ENHANCED),
    PhantomOptions(
        **SMALL,
        rois=ALL_ROIS,
        character_set=CharacterSet.GB18030,
        descriptions=Descriptions.CHINESE,
        border=Border.PADDED,
        thickness_mm=6.0,
    ),
    PhantomOptions(
        **SMALL,
        rois=ALL_ROIS,
        form=Form.ENHANCED,
        character_set=CharacterSet.UTF8,
        descriptions=Descriptions.CHINESE,
        border=Border.PADDED,
        phases=(Phase.PLAIN, Phase.EQUILIBRIUM),
    ),
]
NAMES = ["classic", "enhanced", "classic in GB18030, padded", "enhanced in UTF-8, padded, two phases"]


@pytest.mark.parametrize("options", CASES, ids=NAMES)
def test_every_object_passes_dciodvfy_and_the_set_passes_dcentvfy(options: PhantomOptions, tmp_path: Path) -> None:
    study = ct.make(options)
    paths = write(study, tmp_path)
    by_series = {path.parent: path for path in paths}
    first_and_last_of_each = sorted({*by_series.values(), *{path.parent: path for path in reversed(paths)}.values()})
    for path in first_and_last_of_each:
        assert _complaints("dciodvfy", path) == [], path.name
    for complaint in _complaints("dcentvfy", *paths):
        named = STUDY_REFERENCE.search(complaint)
        assert named is not None, complaint
        assert named[1] == study.study_instance_uid


@pytest.mark.parametrize("form", list(Form))
def test_the_same_options_give_the_same_bytes(form: Form) -> None:
    options = PhantomOptions(**SMALL, rois=ALL_ROIS, form=form)
    assert _digest(ct.make(options)) == _digest(ct.make(options))


def test_reading_the_objects_twice_gives_the_same_objects() -> None:
    study = ct.make(PhantomOptions(**SMALL))
    assert _digest(study) == _digest(study)


def test_another_seed_gives_another_study_and_other_voxels() -> None:
    one, other = (ct.make(PhantomOptions(**{**SMALL, "seed": seed}, rois=())) for seed in (1, 2))
    assert one.study_instance_uid != other.study_instance_uid
    ours, theirs = _voxels(one), _voxels(other)
    assert not any(np.array_equal(ours[description], theirs[description]) for description in ours)


def test_two_calls_can_make_two_parts_of_one_study() -> None:
    early = ct.make(PhantomOptions(**SMALL, phases=(Phase.PLAIN, Phase.ARTERIAL)))
    late = ct.make(PhantomOptions(**{**SMALL, "slices": 20}, phases=(Phase.PORTAL,)))
    assert early.study_instance_uid == late.study_instance_uid
    assert early.frame_of_reference_uid == late.frame_of_reference_uid
    assert early.truth == late.truth
    uids = [series.series_instance_uid for study in (early, late) for series in study.series]
    assert len(set(uids)) == 3


def test_a_phase_alone_is_the_same_series_as_among_others() -> None:
    whole = ct.make(PhantomOptions(**SMALL))
    alone = ct.make(PhantomOptions(**SMALL, phases=(Phase.PORTAL,)))
    assert alone.series == (whole.series_of(Phase.PORTAL),)


def test_classic_and_enhanced_hold_the_same_voxels_in_the_same_places() -> None:
    classic = ct.make(PhantomOptions(**SMALL, rois=()))
    enhanced = ct.make(PhantomOptions(**SMALL, rois=(), form=Form.ENHANCED))
    places = [ds.ImagePositionPatient for ds in _images(classic)]
    ours, theirs = _voxels(classic), _voxels(enhanced)
    for image in _images(enhanced):
        assert np.array_equal(ours[image.SeriesDescription], theirs[image.SeriesDescription])
        groups = image.PerFrameFunctionalGroupsSequence
        frames = [group.PlanePositionSequence[0].ImagePositionPatient for group in groups]
        assert frames == places[: len(frames)]


def test_every_uid_is_valid_and_no_object_shares_one() -> None:
    uids = [ds.SOPInstanceUID for ds in ct.make(PhantomOptions(**SMALL, rois=ALL_ROIS)).datasets]
    assert all(map(is_valid_uid, uids))
    assert len(set(uids)) == len(uids) == 4 * 16 + 4


def test_all_objects_lie_in_one_frame_of_reference() -> None:
    study = ct.make(PhantomOptions(**SMALL, rois=ALL_ROIS))
    assert {ds.FrameOfReferenceUID for ds in study.datasets} == {study.frame_of_reference_uid}


@pytest.mark.parametrize("character_set", [CharacterSet.UTF8, CharacterSet.GB18030])
def test_chinese_names_survive_the_file(character_set: CharacterSet, tmp_path: Path) -> None:
    name = "Jing^Xiao=俓^曉=张^晓"  # in GB18030 the second byte of 俓 is a backslash
    options = PhantomOptions(
        **SMALL,
        phases=(Phase.PORTAL,),
        patient=Patient(name=name),
        character_set=character_set,
        descriptions=Descriptions.CHINESE,
        rois=ALL_ROIS,
    )
    for path in write(ct.make(options), tmp_path):
        ds = pydicom.dcmread(path)
        assert str(ds.PatientName) == name
        assert ds.PatientName.phonetic == "张^晓"
        assert ds.SpecificCharacterSet == character_set.value
        if ds.Modality == "CT":
            assert ds.SeriesDescription == "上腹部增强 门静脉期"


def test_dcmtk_reads_the_gb18030_names(tmp_path: Path) -> None:
    options = PhantomOptions(**SMALL, phases=(Phase.PORTAL,), character_set=CharacterSet.GB18030, rois=())
    path = write(ct.make(options), tmp_path)[0]
    dump = subprocess.run(
        [system_tool("dcmdump"), "+U8", "+P", "PatientName", str(path)],
        capture_output=True,
        check=True,
        env={**os.environ, "TCP_NODELAY": "1"},
    )
    assert "王^小东" in dump.stdout.decode()


def test_phase_times_follow_the_injection() -> None:
    for seed in range(20):
        study = ct.make(PhantomOptions(seed=seed))
        after = {series.phase: series.acquired - study.injected for series in study.series}
        assert after[Phase.PLAIN] < timedelta(0)
        assert abs(after[Phase.ARTERIAL] - timedelta(seconds=30)) <= timedelta(seconds=2)
        assert abs(after[Phase.PORTAL] - timedelta(seconds=70)) <= timedelta(seconds=5)
        assert abs(after[Phase.EQUILIBRIUM] - timedelta(seconds=150)) <= timedelta(seconds=5)


def test_contrast_is_named_with_every_phase_but_plain() -> None:
    for ds in ct.make(PhantomOptions(**SMALL, rois=())).datasets:
        if ds.SeriesDescription == "Abdomen Plain":
            assert "ContrastBolusAgent" not in ds
        else:
            assert ds.ContrastBolusAgent
            assert ds.ContrastBolusStartTime < ds.AcquisitionTime


def test_descriptions_can_say_nothing_or_the_wrong_thing() -> None:
    nothing, wrong = (
        ct.make(PhantomOptions(**SMALL, descriptions=which)).series for which in (Descriptions.NONE, Descriptions.WRONG)
    )
    assert {series.description for series in nothing} == {"Abdomen"}
    assert wrong[0].description == "Abdomen Arterial phase"
    assert wrong[-1].description == "Abdomen Plain"


@pytest.mark.parametrize("form", [RoiForm.BINARY, RoiForm.LABELMAP, RoiForm.FRACTIONAL])
@pytest.mark.parametrize("images", list(Form))
def test_dcmqi_reads_the_segmentation_back_voxel_for_voxel(form: RoiForm, images: Form, tmp_path: Path) -> None:
    study = ct.make(PhantomOptions(**SMALL, phases=(Phase.PORTAL,), rois=(form,), form=images))
    path = write(study, tmp_path)[-1]
    arguments = ["--inputDICOM", str(path), "--outputDirectory", str(tmp_path), "-t", "nii"]
    subprocess.run([tool("segimage2itkimage"), *arguments], check=True, capture_output=True)
    raw = gzip.decompress((tmp_path / "1.nii.gz").read_bytes())
    columns, rows, slices = np.frombuffer(raw, dtype="<i2", offset=42, count=3)
    kind = {2: "u1", 4: "<i2", 16: "<f4", 512: "<u2"}[int(np.frombuffer(raw, dtype="<i2", offset=70, count=1)[0])]
    offset = int(np.frombuffer(raw, dtype="<f4", offset=108, count=1)[0])
    voxels = np.frombuffer(raw, dtype=kind, offset=offset).reshape(slices, rows, columns)
    drawn = [mask(study.anatomy.tumour.shape, planned.plane) for planned in study.roi_series.slices]
    if form is RoiForm.FRACTIONAL:
        volume = float(voxels.sum()) / voxels.max() * 5.0 * np.prod(study.options.spacing_mm)
        assert volume == pytest.approx(study.truth.tumour.volume_mm3, rel=0.01)
    else:
        expected = np.stack([frame for frame in drawn if frame.any()])
        assert np.array_equal(voxels > 0, expected)
    described = json.loads((tmp_path / "meta.json").read_text())
    label = described["segmentAttributes"][0][0]
    assert label["SegmentLabel"] == "Tumour"
    assert label["TrackingUniqueIdentifier"]


def test_contours_enclose_the_analytic_area_of_each_section() -> None:
    study = ct.make(PhantomOptions(**SMALL, phases=(Phase.PORTAL,), rois=(RoiForm.CONTOURS,)))
    (structure_set,) = (ds for ds in study.datasets if ds.Modality == "RTSTRUCT")
    outlined = structure_set.ROIContourSequence[0].ContourSequence
    shape = study.anatomy.tumour.shape
    cuts = [shape.section(p.plane.origin_mm, p.plane.row, p.plane.column) for p in study.roi_series.slices]
    areas = [cut.area_mm2 for cut in cuts if cut is not None]
    assert len(outlined) == len(areas)
    for contour, area in zip(outlined, areas, strict=True):
        x, y, z = np.array(contour.ContourData, dtype=float).reshape(-1, 3).T
        assert np.ptp(z) == 0
        assert 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) == pytest.approx(area, rel=1e-3)


def test_a_tumour_between_slices_still_makes_a_valid_segmentation(tmp_path: Path) -> None:
    far = PhantomOptions(seed=1, rows=64, columns=64, slices=1, pixel_spacing_mm=(0.2, 0.2), rois=(RoiForm.BINARY,))
    path = write(ct.make(far), tmp_path)[-1]
    assert _complaints("dciodvfy", path) == []


def test_a_large_study_streams_object_by_object() -> None:
    study = ct.make(PhantomOptions(seed=1, rows=512, columns=512, slices=600, slice_spacing_mm=1.0))
    first = list(islice(study.datasets, 3))
    assert [ds.InstanceNumber for ds in first] == [1, 2, 3]
    assert all(len(ds.PixelData) == 512 * 512 * 2 for ds in first)


def test_write_puts_the_truth_beside_the_objects(tmp_path: Path) -> None:
    study = ct.make(PhantomOptions(**SMALL))
    paths = write(study, tmp_path)
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert len(paths) == 65
    assert all(path.is_file() for path in paths)
    assert truth["study_instance_uid"] == study.study_instance_uid
    assert truth["tumour"]["hu"]["portal"] == study.truth.tumour.hu[Phase.PORTAL]
    assert [series["phase"] for series in truth["series"]] == ["plain", "arterial", "portal", "equilibrium"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": 63},
        {"columns": 1025},
        {"slices": 0},
        {"supersampling": 0},
        {"slice_spacing_mm": 0.0},
        {"pixel_spacing_mm": (1.0, -1.0)},
        {"phases": ()},
        {"phases": (Phase.PORTAL, Phase.PORTAL)},
        {"noise_hu": -1.0},
        {"started": datetime(2024, 1, 1)},
        {"descriptions": Descriptions.CHINESE},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_made_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(PhantomRefused):
        PhantomOptions(**wrong)
