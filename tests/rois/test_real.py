"""Regions drawn by tools of others."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from her2node import rois, volumes
from her2node.errors import PixelsUnreadable, Refused
from her2node.selection.study import group, open_instance, open_study
from her2node.volumes.volume import Volume
from tests.rois import made

DCMQI = "data/seg-sr-dcmqi-highdicom/dcmqi/segmentations"


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file())


def nifti_mask(path: Path) -> np.ndarray:
    """A NIfTI-1 mask of bytes as (slice, row, column)."""
    raw = gzip.decompress(path.read_bytes())
    columns, rows, slices = np.frombuffer(raw[42:48], "<i2")
    return np.frombuffer(raw[352:], "u1").reshape(slices, rows, columns) > 0


@pytest.fixture(scope="module")
def liver_ct(shared: Path) -> Volume:
    return volumes.build(open_study(files(shared / DCMQI / "ct-3slice")).series[0])


@pytest.mark.truth
def test_the_structure_set_of_the_ibsi_ct_phantom_gives_its_nifti_mask_exactly(shared: Path) -> None:
    phantom = shared / "reference/ibsi1/ct_phantom"
    volume = volumes.build(open_study(files(phantom / "dicom/image")).series[0])
    (region,) = rois.given(open_study(files(phantom / "dicom/mask")))
    roi = rois.lay(region, volume)
    assert roi.mask.sum() == 125_256
    assert np.array_equal(roi.mask, nifti_mask(phantom / "nifti/mask/mask.nii.gz"))


@pytest.mark.truth
def test_the_liver_segment_of_dcmqi_has_its_published_statistics(shared: Path, liver_ct: Volume) -> None:
    (region,) = made.regions_of(shared / DCMQI / "liver.dcm")
    values = liver_ct.voxels[rois.lay(region, liver_ct).mask].astype(float)
    assert values.mean() == pytest.approx(37.3289, abs=5e-5)
    assert values.std(ddof=1) == pytest.approx(59.1691, abs=5e-5)
    assert (values.min(), values.max()) == (-778, 221)
    assert len(values) * liver_ct.geometry.voxel_volume_mm3 == pytest.approx(70361.9, abs=0.05)


@pytest.mark.truth
@pytest.mark.parametrize("name", ["liver_j2k", "liver_expb"])
def test_a_segmentation_is_the_same_in_every_transfer_syntax_that_can_be_decoded(
    name: str, shared: Path, liver_ct: Volume
) -> None:
    (plain,) = made.regions_of(shared / DCMQI / "liver.dcm")
    (other,) = made.regions_of(shared / f"data/transfer-syntaxes/pydicom-data/{name}.dcm")
    assert np.array_equal(rois.lay(other, liver_ct).mask, rois.lay(plain, liver_ct).mask)


@pytest.mark.truth
@pytest.mark.parametrize("name", ["liver_rle", "liver_deflate"])
def test_bits_in_a_compression_that_no_decoder_knows_are_refused(name: str, shared: Path, liver_ct: Volume) -> None:
    (region,) = made.regions_of(shared / f"data/transfer-syntaxes/pydicom-data/{name}.dcm")
    with pytest.raises(PixelsUnreadable):
        rois.lay(region, liver_ct)


@pytest.mark.truth
def test_partly_overlapping_segments_with_sparse_frames_match_what_they_were_made_from(
    shared: Path, liver_ct: Volume
) -> None:
    regions = made.regions_of(shared / DCMQI / "partial_overlaps.dcm")
    slices = {r.label: np.flatnonzero(rois.lay(r, liver_ct).mask.any(axis=(1, 2))).tolist() for r in regions}
    assert slices == {"GREEN": [1], "ORANGE": [1], "PURPLE": [0, 1, 2], "LIGHT_BLUE": [0], "DARK_BLUE": [0]}


@pytest.mark.truth
@pytest.mark.parametrize("size", ["23x38x3", "24x38x3"])
def test_frames_that_end_within_a_byte_give_the_mask_of_the_nrrd_file(size: str, shared: Path) -> None:
    folder = shared / DCMQI / size
    series = open_study(files(folder / "image")).series[0]
    grid = made.grid((3, 38, int(size[:2])), spacing=(2.5, 0.7, 0.7), origin=(46.4649, 5.01881, -177.75))
    assert series.first.ImagePositionPatient == list(grid.geometry.origin_mm)
    object.__setattr__(grid.geometry, "frame_of_reference_uid", str(series.first.FrameOfReferenceUID))
    (region, *_) = made.regions_of(folder / "seg/label.seg")
    assert np.array_equal(rois.lay(region, grid).mask, nrrd_mask(folder / "nrrd/label.nrrd"))


def nrrd_mask(path: Path) -> np.ndarray:
    """A gzip-compressed NRRD label image as (slice, row, column)."""
    head, _, body = path.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
    kind = {"unsigned char": "u1", "uint8": "u1", "short": "<i2", "unsigned short": "<u2", "int": "<i4"}[fields["type"]]
    raw = gzip.decompress(body) if fields["encoding"] in ("gzip", "gz") else body
    sizes = tuple(map(int, fields["sizes"].split()))
    return np.frombuffer(raw, kind).reshape(sizes[::-1]) > 0


@pytest.mark.truth
@pytest.mark.parametrize("name", ["noppv", "ppv5"])
def test_a_sparse_label_map_reaches_no_further_than_its_slices(name: str, shared: Path) -> None:
    (region,) = made.regions_of(shared / DCMQI / f"sparse-labelmap-{name}.dcm")
    grid = made.grid(
        (3, 38, 24),
        spacing=(2.5, 0.7, 0.7),
        origin=(46.464901, 5.0188098, -177.75),
        frame_of_reference_uid=region.frame_of_reference_uid,
    )
    mask = rois.lay(region, grid).mask
    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == [0, 2]  # the frame between is not in the object


@pytest.mark.truth
def test_the_segmentation_of_the_pet_lesions_lies_within_the_pet(shared: Path) -> None:
    folder = shared / "data/petct-qin0024-pet-seg"
    regions = rois.given(open_study(files(folder / "seg")))
    headers = [open_instance(path).header for path in files(folder / "pet")]
    lowest = min(headers, key=lambda ds: ds.ImagePositionPatient[2])
    heights = sorted(ds.ImagePositionPatient[2] for ds in headers)
    spacing = (heights[-1] - heights[0]) / (len(heights) - 1)
    grid = made.grid(
        (len(heights), lowest.Rows, lowest.Columns),
        spacing=(spacing, *map(float, lowest.PixelSpacing)),
        origin=tuple(map(float, lowest.ImagePositionPatient)),
        frame_of_reference_uid=lowest.FrameOfReferenceUID,
    )
    volumes_ml = {r.label: rois.lay(r, grid).mask.sum() * grid.geometry.voxel_volume_mm3 / 1000 for r in regions}
    assert sorted(volumes_ml.values()) == pytest.approx([2.281, 8.955], abs=5e-4)


@pytest.mark.truth
@pytest.mark.filterwarnings("ignore")
def test_every_segmentation_of_others_is_laid_or_refused_and_never_an_accident(shared: Path) -> None:
    grid = made.grid((3, 16, 16))
    found = 0
    for path in sorted(p for p in (shared / "data").rglob("*") if p.is_file()):
        if path.suffix not in (".dcm", ".seg") or not ("seg" in path.name or "liver" in path.name):
            continue
        try:
            regions = rois.given(group([open_instance(path)]))
        except Refused:
            continue
        for region in regions:
            geometry = grid.geometry
            object.__setattr__(geometry, "frame_of_reference_uid", region.frame_of_reference_uid)
            found += 1
            try:
                assert rois.lay(region, grid).mask.any()
            except Refused as error:
                assert str(error)  # noqa: PT017 - the assertion is that there is a reason
    assert found > 50
