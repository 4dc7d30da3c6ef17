"""Stored values become Hounsfield units at their place."""

from __future__ import annotations

import resource
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node import volumes
from her2node.dicom.codes import Unit
from her2node.errors import Localizer
from her2node.selection.study import open_study
from tests.volumes import made

STORED = made.values(4, 5, 7)


def test_hounsfield_units_are_stored_values_by_slope_and_intercept_of_each_slice(tmp_path: Path) -> None:
    def own_rescale(index: int, ds: Dataset) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = 0.5 + index, -1024 + 10 * index

    volume = volumes.build(made.classic(tmp_path, STORED, change=own_rescale))
    expected = [stored * (0.5 + i) + (-1024 + 10 * i) for i, stored in enumerate(STORED)]
    assert np.array_equal(volume.voxels, np.array(expected, np.float32))
    assert volume.unit == Unit.HU
    assert volume.voxels.dtype == np.float32


def test_only_wanted_slices_are_decoded_and_the_others_are_without_image(tmp_path: Path) -> None:
    series = made.classic(tmp_path, STORED)
    whole, some = volumes.build(series), volumes.build(series, np.array([False, True, False, True]))
    assert some.geometry == whole.geometry
    assert some.sources == whole.sources
    assert np.array_equal(some.voxels[1::2], whole.voxels[1::2])
    assert some.valid.any(axis=(1, 2)).tolist() == [False, True, False, True]
    Path(series.instances[0].path).write_bytes(b"")
    assert np.array_equal(volumes.build(series, np.array([False, True, False, True])).voxels, some.voxels)


def test_slices_that_are_not_wanted_take_no_memory(tmp_path: Path) -> None:
    """60 slices of 512 x 512 are 75 MiB of voxels and validity; 3 of them are 3.75 MiB. In a process of its own, whose
    memory nothing else moves."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        size, grown_mib = alone.submit(three_of_sixty, tmp_path).result()
    assert size == 75 * 2**20
    assert grown_mib < 20


def three_of_sixty(folder: Path) -> tuple[int, float]:
    """Bytes of a volume of which three slices are wanted, and by how many MiB it lets this process grow."""
    series = made.classic(folder, np.zeros((60, 512, 512), "<i2"))
    before = resident_mib()
    volume = volumes.build(series, np.arange(60) // 3 == 10)
    assert volume.valid.sum() == 3 * 512 * 512
    return volume.voxels.nbytes + volume.valid.nbytes, resident_mib() - before


def resident_mib() -> float:
    """Of this process, as Linux counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def test_voxels_are_read_only(tmp_path: Path) -> None:
    volume = volumes.build(made.classic(tmp_path))
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        volume.valid[0, 0, 0] = False


def test_each_slice_names_the_object_it_came_from(tmp_path: Path) -> None:
    def backwards(index: int, ds: Dataset) -> None:
        ds.InstanceNumber = 10 - index

    volume = volumes.build(made.classic(tmp_path, STORED, change=backwards))
    assert [source.sop_instance_uid for source in volume.sources] == [f"1.2.3.4.{i}" for i in (1, 2, 3, 4)]
    assert {source.frame for source in volume.sources} == {None}
    assert np.array_equal(volume.voxels, STORED - np.float32(1024))


@pytest.mark.parametrize("orientation", [made.AXIAL, made.SAGITTAL, (-1, 0, 0, 0, 1, 0)])
def test_a_voxel_stands_where_its_header_put_it(orientation: tuple[float, ...], tmp_path: Path) -> None:
    volume = volumes.build(made.classic(tmp_path, STORED, orientation=orientation))
    slice_, row, column = 2, 3, 5
    place = (
        np.array([-10.0, -20.0, 30.0])
        + slice_ * 2.5 * made.normal(orientation)
        + row * 0.7 * np.array(orientation[3:])
        + column * 0.9 * np.array(orientation[:3])
    )
    assert np.allclose(volume.geometry.to_patient((slice_, row, column)), place)
    assert volume.voxels[slice_, row, column] == STORED[slice_, row, column] - 1024


@pytest.mark.parametrize("sop_class_uid", [made.ENHANCED_CT, made.LEGACY_ENHANCED_CT])
def test_an_enhanced_object_gives_the_same_volume_as_classic_slices(sop_class_uid: str, tmp_path: Path) -> None:
    classic = volumes.build(made.classic(tmp_path, STORED))
    enhanced = volumes.build(made.enhanced(tmp_path, STORED, order=(2, 0, 3, 1), sop_class_uid=sop_class_uid))
    assert np.array_equal(enhanced.voxels, classic.voxels)
    assert enhanced.geometry == classic.geometry
    assert [source.frame for source in enhanced.sources] == [2, 4, 1, 3]


def test_a_frame_has_its_own_rescale_before_the_shared_one(tmp_path: Path) -> None:
    volume = volumes.build(made.enhanced(tmp_path, STORED, rescale_per_frame=True, order=(3, 2, 1, 0)))
    expected = [stored * (1.0 + i) - 1024 - i for i, stored in enumerate(STORED)]
    assert np.array_equal(volume.voxels, np.array(expected, np.float32))


def test_frames_of_several_objects_make_one_stack(tmp_path: Path) -> None:
    def second(_: int, ds: Dataset) -> None:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.99"

    for name, origin, change in (("a", 30.0, made.unchanged), ("b", 40.0, second)):
        (tmp_path / name).mkdir()
        made.enhanced(tmp_path / name, STORED, origin=(-10, -20, origin), change=change)
    volume = volumes.build(open_study(sorted(tmp_path.rglob("*.dcm"))).series[0])
    assert volume.geometry.shape == (8, 5, 7)
    assert np.array_equal(volume.voxels[4:], volume.voxels[:4])


def test_a_localizer_frame_type_in_an_enhanced_object_is_refused(tmp_path: Path) -> None:
    def scout(_: int, ds: Dataset) -> None:
        ds.SharedFunctionalGroupsSequence[0].update(
            made.one_item("CTImageFrameTypeSequence", FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])
        )

    with pytest.raises(Localizer):
        volumes.build(made.enhanced(tmp_path, change=scout))


def padded(value: int, limit: int | None = None) -> made.Change:
    def change(_: int, ds: Dataset) -> None:
        ds.PixelPaddingValue = value
        if limit is not None:
            ds.PixelPaddingRangeLimit = limit

    return change


def test_voxels_at_the_padding_value_are_not_valid(tmp_path: Path) -> None:
    volume = volumes.build(made.classic(tmp_path, STORED, change=padded(1003)))
    assert np.array_equal(volume.valid, STORED != 1003)


@pytest.mark.parametrize("ends", [(1003, 1010), (1010, 1003)])
def test_voxels_in_the_padding_range_are_not_valid_at_both_ends(ends: tuple[int, int], tmp_path: Path) -> None:
    volume = volumes.build(made.classic(tmp_path, STORED, change=padded(*ends)))
    assert np.array_equal(volume.valid, (STORED < 1003) | (STORED > 1010))


def test_a_padding_value_written_unsigned_beside_signed_pixels_is_understood(tmp_path: Path) -> None:
    stored = STORED.copy()
    stored[0, 0, 0] = -2000

    def unsigned(_: int, ds: Dataset) -> None:
        ds.RescaleIntercept = 0
        ds.RescaleSlope = 0.25  # -2000 is -500 HU: only the padding value can tell
        ds.add_new(0x00280120, "US", 65536 - 2000)

    volume = volumes.build(made.classic(tmp_path, stored, change=unsigned))
    assert np.argwhere(~volume.valid).tolist() == [[0, 0, 0]]


def test_what_lies_below_minus_1024_is_no_tissue_even_without_a_padding_value(tmp_path: Path) -> None:
    stored = STORED.copy()
    stored[1, 2, 3], stored[1, 2, 4] = -2000, 0
    volume = volumes.build(made.classic(tmp_path, stored))
    assert volume.voxels[1, 2, 3] == -3024
    assert volume.voxels[1, 2, 4] == -1024
    assert np.argwhere(~volume.valid).tolist() == [[1, 2, 3]]


def test_unsigned_pixels_stay_unsigned(tmp_path: Path) -> None:
    stored = np.full((2, 3, 3), 40000, "<u2")
    assert volumes.build(made.classic(tmp_path, stored)).voxels.max() == 40000 - 1024


def test_eight_bit_pixels_are_read(tmp_path: Path) -> None:
    stored = np.arange(2 * 4 * 4, dtype="u1").reshape(2, 4, 4)
    assert np.array_equal(volumes.build(made.classic(tmp_path, stored)).voxels, stored - np.float32(1024))
