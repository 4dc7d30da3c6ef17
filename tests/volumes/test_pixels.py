"""Pixels of any transfer syntax that can be decoded, and a name for those that cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node import volumes
from her2node.errors import InvalidAttribute, PixelsUnreadable, TimeIsUp
from her2node.selection.study import Series, open_study
from her2node.volumes import pixels
from her2node.volumes.volume import Volume
from tests.volumes import made

LOSSLESS = {
    "LittleEndianImplicit": "1.2.840.10008.1.2",
    "LittleEndianExplicit": "1.2.840.10008.1.2.1",
    "BigEndianExplicit": "1.2.840.10008.1.2.2",
    "DeflatedExplicit": "1.2.840.10008.1.2.1.99",
    "RLELossless": "1.2.840.10008.1.2.5",
    "JPEGProcess14Transfer": "1.2.840.10008.1.2.4.57",
    "JPEGProcess14SV1": "1.2.840.10008.1.2.4.70",
    "JPEGLSLosslessTransfer": "1.2.840.10008.1.2.4.80",
    "JPEG2000LosslessOnly": "1.2.840.10008.1.2.4.90",
}
LOSSY = {"JPEGLSLossy": 2, "JPEG2000Transfer": 25, "JPEGProcess1Transfer": 65}
"""Largest difference in HU (JPEG-LS: its NEAR parameter; baseline JPEG: two steps of its 8 bits)."""
NO_DECODER = ("JPEGProcess2_4", "JPEGProcess6_8", "JPEGProcess10_12")
"""12-bit JPEG: only a GPL library decodes it."""


def one(shared: Path, name: str) -> Series:
    folder = shared / "data/transfer-syntaxes/cornerstone"
    return open_study([next(folder.glob(f"CTImage.dcm_{name}*"))]).series[0]


@pytest.fixture(scope="module")
def plain(shared: Path) -> Volume:
    return volumes.build(open_study([shared / "data/transfer-syntaxes/cornerstone/CTImage.dcm"]).series[0])


@pytest.mark.truth
@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_transfer_syntax_gives_the_same_voxels(name: str, plain: Volume, shared: Path) -> None:
    series = one(shared, name)
    assert series.first.file_meta.TransferSyntaxUID == LOSSLESS[name]
    volume = volumes.build(series)
    assert np.array_equal(volume.voxels, plain.voxels)
    assert np.array_equal(volume.valid, plain.valid)


@pytest.mark.truth
@pytest.mark.parametrize("name", LOSSY)
def test_a_lossy_transfer_syntax_gives_nearly_the_same_voxels(name: str, plain: Volume, shared: Path) -> None:
    volume = volumes.build(one(shared, name))
    both = volume.valid & plain.valid
    assert both.mean() > 0.5
    assert np.abs(volume.voxels - plain.voxels)[both].max() <= LOSSY[name]


@pytest.mark.truth
@pytest.mark.parametrize("name", NO_DECODER)
def test_a_transfer_syntax_without_decoder_is_refused_by_name(name: str, shared: Path) -> None:
    with pytest.raises(PixelsUnreadable, match="JPEG"):
        volumes.build(one(shared, name))


def without_pixels(_: int, ds: Dataset) -> None:
    del ds.PixelData


def half_the_pixels(_: int, ds: Dataset) -> None:
    ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2 // 2 * 2]


def compressed_in_name_only(_: int, ds: Dataset) -> None:
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
    ds["PixelData"].is_undefined_length = True
    ds.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\x08\x00\x00\x00\xff\x4f\xff\x51 no "


@pytest.mark.parametrize("change", [without_pixels, half_the_pixels, compressed_in_name_only])
def test_pixels_that_are_not_there_are_refused(change: made.Change, tmp_path: Path) -> None:
    with pytest.raises(PixelsUnreadable):
        volumes.build(made.classic(tmp_path, change=change))


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    series = made.classic(tmp_path)
    path = series.instances[2].path
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PixelsUnreadable):
        volumes.build(series)


def test_a_file_that_is_gone_is_no_refusal_but_the_disk_s_fault(tmp_path: Path) -> None:
    series = made.classic(tmp_path)
    series.instances[1].path.unlink()
    with pytest.raises(FileNotFoundError):
        volumes.build(series)


@pytest.mark.parametrize("fault", [MemoryError, TimeIsUp, TimeoutError(110, "the disk is slow")])
def test_a_fault_of_the_machine_is_not_laid_on_the_pixels(
    fault: BaseException | type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise fault

    series = made.classic(tmp_path, change=lambda _, ds: setattr(ds, "DataSetTrailingPadding", b"12"))
    monkeypatch.setattr(pixels, "iter_pixels", fails)
    with pytest.raises(fault if isinstance(fault, type) else type(fault)):
        volumes.build(series)


def test_rows_that_the_file_cannot_hold_are_refused_before_decoding(tmp_path: Path) -> None:
    def tall(_: int, ds: Dataset) -> None:
        ds.Rows = 9000

    with pytest.raises(PixelsUnreadable, match="claims"):
        volumes.build(made.classic(tmp_path, change=tall))


def test_frames_that_the_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    def fewer_pixels(_: int, ds: Dataset) -> None:
        ds.PixelData = ds.PixelData[:70]

    with pytest.raises(PixelsUnreadable):
        volumes.build(made.enhanced(tmp_path, change=fewer_pixels))


def test_float_pixels_are_no_stored_values_of_ct(tmp_path: Path) -> None:
    def floats(_: int, ds: Dataset) -> None:
        ds.FloatPixelData = np.zeros(35, "<f4").tobytes()
        ds.BitsAllocated = 32
        del ds.PixelData

    with pytest.raises(PixelsUnreadable):
        volumes.build(made.classic(tmp_path, change=floats))


def test_what_follows_the_pixels_does_not_shift_them(tmp_path: Path) -> None:
    def trailing(_: int, ds: Dataset) -> None:
        ds.DataSetTrailingPadding = b"\x01\x02" * 40

    stored = made.values(4, 5, 7)
    assert np.array_equal(volumes.build(made.classic(tmp_path, stored, change=trailing)).voxels, stored - 1024.0)


def test_reading_from_the_end_of_the_file_gives_what_pydicom_gives(tmp_path: Path) -> None:
    stored = made.values(1, 5, 7)
    stored[0, 0, 0] = -1
    series = made.classic(tmp_path, stored, change=lambda _, ds: setattr(ds, "RescaleIntercept", 0))
    assert np.array_equal(volumes.build(series).voxels[0], dcmread(series.instances[0].path).pixel_array)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", range(10, 17))
def test_bits_above_those_stored_are_no_part_of_the_value(bits: int, signed: bool, tmp_path: Path) -> None:
    """Neither an overlay in the upper bits nor a sign that was not extended."""

    def noisy(_: int, ds: Dataset) -> None:
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, int(signed)
        ds.RescaleIntercept = 0

    stored = np.random.default_rng(bits).integers(0, 1 << 16, (1, 50, 70), np.uint16)
    series = made.classic(tmp_path, stored, change=noisy)
    path = series.instances[0].path
    (values,) = pixels.stored_frames(path, series.first, [0])
    low = (stored[0] & (1 << bits) - 1).astype(np.int32)
    expected = low - (((low >> bits - 1) & 1) << bits) if signed else low
    assert np.array_equal(values, expected)
    assert np.array_equal(values, dcmread(path).pixel_array)


def test_pixels_that_do_not_lie_at_the_lowest_bit_are_refused(tmp_path: Path) -> None:
    def high(_: int, ds: Dataset) -> None:
        ds.BitsStored, ds.HighBit = 12, 15

    with pytest.raises(PixelsUnreadable, match="HighBit 15"):
        volumes.build(made.classic(tmp_path, change=high))


def test_the_header_may_not_claim_another_size_than_the_code_stream(tmp_path: Path) -> None:
    def rle(_: int, ds: Dataset) -> None:
        ds.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
        ds.Rows = 6

    with pytest.raises((PixelsUnreadable, InvalidAttribute)):
        volumes.build(made.classic(tmp_path, np.zeros((3, 5, 8), "<i2"), change=rle))
