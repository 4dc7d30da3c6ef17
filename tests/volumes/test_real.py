"""Objects of scanners and tools of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from her2node import rois, volumes
from her2node.errors import DuplicateSlices, NotCalibrated, OtherKindOfImage, Refused
from her2node.selection.study import Instance, Study, group, open_instance, open_study


def study(folder: Path) -> Study:
    return open_study(sorted(p for p in folder.rglob("*") if p.is_file()), tolerant=True)


@pytest.mark.truth
def test_the_portal_series_of_ge_is_built_and_its_border_is_no_tissue(shared: Path) -> None:
    series = study(shared / "data/ct-abdomen-portal-crlm1004").series[0]
    volume = volumes.build(series)
    assert volume.geometry.shape == (41, 512, 512)
    assert volume.geometry.spacing_mm == (5.0, 0.796875, 0.796875)
    assert volume.geometry.origin_mm == (-198.199997, -204.0, -375.0)
    assert volume.voxels.min() == -3024  # the stored padding value, -2000, on the HU scale
    assert volume.voxels[volume.valid].min() >= -1024
    corners = volume.valid[:, ::511, ::511]
    assert not corners.any()
    # the field of view is a circle: pi / 4 of the square
    assert volume.valid.mean() == pytest.approx(np.pi / 4, abs=0.01)


@pytest.mark.truth
def test_the_arterial_series_of_siemens_is_spaced_by_its_positions(shared: Path) -> None:
    volume = volumes.build(study(shared / "data/ct-abdomen-arterial-kits00072").series[0])
    assert volume.geometry.shape == (18, 512, 512)
    assert volume.geometry.spacing_mm == (2.5, 0.6640625, 0.6640625)  # SliceThickness says 3
    assert volume.valid.all()


@pytest.mark.truth
def test_the_spacing_of_the_dcmqi_case_is_not_its_slice_thickness(shared: Path) -> None:
    folder = shared / "data/seg-sr-dcmqi-highdicom/dcmqi/segmentations/ct-3slice"
    assert volumes.stack_of(study(folder).series[0]).geometry.spacing_mm[0] == 1.0  # SliceThickness says 1.25


@pytest.mark.truth
@pytest.mark.parametrize("size", ["23x38x3", "24x38x3"])
def test_a_legacy_converted_object_has_the_grid_of_its_originals_but_no_hounsfield_units(
    size: str, shared: Path
) -> None:
    folder = shared / "data/seg-sr-dcmqi-highdicom/dcmqi/segmentations" / size
    for part in ("image", "multiframe"):
        with pytest.raises(NotCalibrated, match="RescaleType is US"):
            volumes.stack_of(study(folder / part).series[0])


@pytest.mark.truth
@pytest.mark.parametrize(
    "folder", ["data/petct-qin0024-pet-seg/pet", "data/mr-dwi-vendors", "data/ibsi-digital-phantom"]
)
def test_pet_mr_and_segmentations_are_no_ct(folder: str, shared: Path) -> None:
    for part in [p for p in sorted((shared / folder).rglob("*")) if p.is_dir()] or [shared / folder]:
        series = group([next(study_of_some(part))]).series[0]
        assert series.modality in ("PT", "MR", "SEG")
        with pytest.raises(OtherKindOfImage):
            volumes.build(series)


def study_of_some(folder: Path) -> Iterator[Instance]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "SOURCE.txt"):
        try:
            yield open_instance(path)
        except Refused:
            continue


@pytest.mark.truth
def test_the_enhanced_ct_that_came_with_the_supplement_has_no_hounsfield_units(shared: Path) -> None:
    enhanced = open_instance(shared / "data/transfer-syntaxes/pydicom-data/eCT_Supplemental.dcm")
    with pytest.raises(NotCalibrated, match="RescaleType is US"):
        volumes.build(group([enhanced]).series[0])


@pytest.mark.truth
def test_one_slice_given_sixteen_times_is_a_duplicate(shared: Path) -> None:
    instances = list(study_of_some(shared / "data/transfer-syntaxes/cornerstone"))
    ct = [i for i in instances if i.identity.sop_class_uid.endswith("5.1.4.1.1.2")]
    with pytest.raises(DuplicateSlices):
        volumes.build(group(ct).series[0])


def odd_files() -> list[Path]:
    """The files that come with pydicom: truncated, wrong VR, no meta, DICOMDIR, character sets, every kind of object.

    Its own function for listing them would try to download what is not there.
    """
    return sorted(p for p in (Path(pydicom.__file__).parent / "data").rglob("*") if p.is_file())


def judge(path: Path) -> volumes.Volume | Refused:
    """What the node makes of one file, alone in its study. Anything but a Refused goes through."""
    try:
        one = group([open_instance(path)])
        for region in rois.given(one):
            assert region.tracking_id
        return volumes.build(one.series[0])
    except Refused as error:
        return error


@pytest.mark.truth
@pytest.mark.filterwarnings("ignore")
def test_every_odd_file_of_pydicom_is_a_value_or_refused_and_never_an_accident() -> None:
    found = {path: judge(path) for path in odd_files()}
    built = [one for one in found.values() if isinstance(one, volumes.Volume)]
    assert all(volume.voxels.shape == volume.valid.shape == volume.geometry.shape for volume in built)
    assert len(built) >= 5
    assert len(found) - len(built) >= 100
