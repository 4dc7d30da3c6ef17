"""Objects that mean harm, or that carelessness made: as (name, bytes of a DICOM file) pairs.

Three kinds: ``unreadable`` cannot be parsed as DICOM; ``without_identity`` can, but does not say who it is;
``without_use`` says who it is, and cannot be measured or is a trap for those who trust it. All are derived from one CT
slice of a phantom or from the ``base`` that a test gives, so they belong to its study and series; each has a SOP
Instance UID of its own. None is larger than a megabyte, whatever it claims.
"""

from __future__ import annotations

import copy
import io
import struct
import zlib
from collections.abc import Callable, Iterator

from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from her2node.dicom.uids import derived_uid
from her2node.phantoms import PhantomOptions, Phase, make

Pair = tuple[str, bytes]
Spoiler = Callable[[Dataset], bytes]

PATH_LIKE_UIDS = (
    "../../../../etc/passwd",
    "/etc/passwd",
    "1.2.3/../../../../tmp/owned",
    "..\\..\\windows",
    "1.2.3\x00.dcm",
    "CON",
    ".",
    "..",
    "~root",
    "$(reboot)",
    "1.2.3;rm -rf .",
    "%2e%2e%2f",
)
MALFORMED_UIDS = ("1.2.03.4", "1..2", "1.2.", "one.two", "1." + "2" * 80, "1", "-1.2.3", "１.２.３")
WRONG_TEXTS: dict[str, tuple[bytes, ...]] = {
    "PixelSpacing": (b"0\\0", b"-1\\-1", b"NaN\\NaN", b"inf\\inf", b"wide\\wide", b"1", b"1e999\\1"),
    "ImagePositionPatient": (b"1\\2", b"NaN\\0\\0", b"here\\and\\there", b"1e300\\0\\0"),
    "ImageOrientationPatient": (b"0\\0\\0\\0\\0\\0", b"1\\0\\0\\1\\0\\0", b"9\\9\\9\\9\\9\\9", b"1\\0\\0"),
    "RescaleSlope": (b"0", b"NaN", b"x", b"1e308"),
    "RescaleIntercept": (b"", b"Infinity", b"--1"),
    "InstanceNumber": (b"1.5", b"first", b"99999999999999999999"),
    "AcquisitionTime": (b"256199", b"noon", b"12:30:00"),
    "StudyDate": (b"20249999", b"yesterday", b"2024.03.14"),
    "PatientName": (b"\xff\xfe\xfd^\x1b$B", b"^" * 200, b"<script>alert(1)</script>", b"\x1b[31mred"),
    "SpecificCharacterSet": (b"ISO_IR 999", b"\\\\\\", b"GB18030\\ISO 2022 IR 6"),
    "Rows": (b"",),
}
NEEDED = (
    "PixelData",
    "Rows",
    "Columns",
    "BitsAllocated",
    "PixelRepresentation",
    "PixelSpacing",
    "RescaleSlope",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "FrameOfReferenceUID",
    "Modality",
    "PatientID",
)
SIZE_CLAIMS: dict[str, dict[str, int]] = {
    "65535 x 65535 pixels": {"Rows": 65535, "Columns": 65535},
    "0 x 0 pixels": {"Rows": 0, "Columns": 0},
    "two thousand million frames": {"NumberOfFrames": 2147483647},
    "minus one frames": {"NumberOfFrames": -1},
    "13 bits allocated": {"BitsAllocated": 13},
    "more bits stored than allocated": {"BitsStored": 40, "HighBit": 39},
    "three samples a pixel": {"SamplesPerPixel": 3},
}
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_LONG_FORM = (b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"UC", b"UR")
_BOMB_BYTES = 64 << 20


def slice_of_a_phantom() -> Dataset:
    """A small, sound CT slice to spoil."""
    options = PhantomOptions(seed=666, rows=64, columns=64, slices=1, phases=(Phase.PORTAL,), rois=())
    return next(make(options).datasets)


def everything(base: Dataset | None = None) -> Iterator[Pair]:
    """All of them."""
    yield from unreadable(base)
    yield from without_identity(base)
    yield from without_use(base)


def unreadable(base: Dataset | None = None) -> Iterator[Pair]:
    """No DICOM file, or one that a reader must give up."""
    return _spoiled(_UNREADABLE, base)


def without_identity(base: Dataset | None = None) -> Iterator[Pair]:
    """A UID that every object needs is absent, empty, no UID, or a path."""
    spoilers = dict(_CUT_BEFORE_IDENTITY)
    for keyword in _IDENTITY:
        spoilers[f"no {keyword}"] = _without(keyword)
        spoilers[f"empty {keyword}"] = _raw(keyword, b"")
    for number, uid in enumerate((*PATH_LIKE_UIDS, *MALFORMED_UIDS)):
        keyword = _IDENTITY[1 + number % 3]
        spoilers[f"{keyword} is {uid[:30]!r}"] = _raw(keyword, uid.encode() + b"\0" * (len(uid.encode()) % 2))
    return _spoiled(spoilers, base)


def without_use(base: Dataset | None = None) -> Iterator[Pair]:
    """Sound identity, and something that makes the image impossible to measure or dangerous to believe."""
    spoilers = {**_CUT_OR_OVERLONG, **_FALSE_SYNTAX}
    for name, claim in SIZE_CLAIMS.items():
        spoilers[name] = _claiming(claim)
    for keyword, values in WRONG_TEXTS.items():
        for value in values:
            spoilers[f"{keyword} is {value[:24]!r}"] = _raw(keyword, value)
    for keyword in NEEDED:
        spoilers[f"no {keyword}"] = _without(keyword)
    return _spoiled(spoilers, base)


def encoded(ds: Dataset) -> bytes:
    """A data set with file meta group as the bytes of a file."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _spoiled(spoilers: dict[str, Spoiler], base: Dataset | None) -> Iterator[Pair]:
    sound = base or slice_of_a_phantom()
    for name, spoil in spoilers.items():
        own = copy.deepcopy(sound)
        own.SOPInstanceUID = UID(derived_uid("hostile", str(sound.SOPInstanceUID), name))
        own.file_meta.MediaStorageSOPInstanceUID = own.SOPInstanceUID
        yield name, spoil(own)


# --- ways to spoil a data set -------------------------------------------------------------------------------


def _changed(sound: Dataset, change: Callable[[Dataset], object]) -> bytes:
    """The file after a change of its data set; the file meta group stays as it was."""
    whole = encoded(sound)
    ds = copy.deepcopy(sound)
    del ds.file_meta
    change(ds)
    buffer = io.BytesIO()
    ds.save_as(buffer, implicit_vr=False, little_endian=True)
    return whole[: _body_start(whole)] + buffer.getvalue()


def _without(keyword: str) -> Spoiler:
    return lambda sound: _changed(sound, lambda ds: ds.pop(keyword))


def _claiming(values: dict[str, int]) -> Spoiler:
    def claim(ds: Dataset) -> None:
        for keyword, value in values.items():
            setattr(ds, keyword, value)

    return lambda sound: _changed(sound, claim)


def _raw(keyword: str, value: bytes) -> Spoiler:
    """The bytes of one top-level value replaced, whatever its VR allows."""

    def spoil(sound: Dataset) -> bytes:
        whole = encoded(sound)
        at, header, length = _element(whole, sound[keyword].tag)
        size = struct.pack("<L" if header == 12 else "<H", len(value))
        return whole[: at + header - len(size)] + size + value + whole[at + header + length :]

    return spoil


def _vr(keyword: str, vr: bytes) -> Spoiler:
    def spoil(sound: Dataset) -> bytes:
        whole = encoded(sound)
        at, _, _ = _element(whole, sound[keyword].tag)
        return whole[: at + 4] + vr + whole[at + 6 :]

    return spoil


# --- ways to spoil the bytes of a file ----------------------------------------------------------------------


def _whole(change: Callable[[bytes], bytes]) -> Spoiler:
    return lambda sound: change(encoded(sound))


def _constant(content: bytes) -> Spoiler:
    return lambda _: content


def _body_start(whole: bytes) -> int:
    """Where the file meta group ends: (0002,0000) is the first element after DICM."""
    return 144 + int(struct.unpack_from("<L", whole, 140)[0])


def _element(whole: bytes, tag: int) -> tuple[int, int, int]:
    """Offset, size of the header and length of the value of a top-level element (Explicit VR Little Endian)."""
    at = _body_start(whole)
    while at < len(whole):
        group, number, vr = struct.unpack_from("<HH2s", whole, at)
        header = 12 if vr in _LONG_FORM else 8
        (length,) = struct.unpack_from("<L" if header == 12 else "<H", whole, at + (8 if header == 12 else 6))
        if (group << 16 | number) == tag:
            return at, header, int(length)
        at += header + length
    raise KeyError(f"{tag:08x}")


def _inserted(content: bytes) -> Spoiler:
    """Before the first element of the data set."""

    def spoil(sound: Dataset) -> bytes:
        whole = encoded(sound)
        return whole[: _body_start(whole)] + content + whole[_body_start(whole) :]

    return spoil


def _meta_length(length: int) -> Spoiler:
    return _whole(lambda whole: whole[:140] + struct.pack("<L", length) + whole[144:])


def _pixel_length(length: int) -> Spoiler:
    def change(whole: bytes) -> bytes:
        at, _, _ = _element(whole, 0x7FE00010)
        return whole[: at + 8] + struct.pack("<L", length) + whole[at + 12 :]

    return _whole(change)


def _group_length(length: int) -> bytes:
    """A (retired) group length element of group 0008."""
    return struct.pack("<HH2sHL", 8, 0, b"UL", 4, length)


def _nested(depth: int) -> bytes:
    """A private sequence in a private sequence ..., all of undefined length, in a group before the identity."""
    sequence = struct.pack("<HH2s2xL", 0x0007, 0x1001, b"SQ", 0xFFFFFFFF)
    opening = sequence + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closing = struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    return opening * depth + closing * depth


def _many_elements(count: int) -> bytes:
    """Private elements of two bytes each, in a group before the identity."""
    return b"".join(struct.pack("<HH2sH", 0x0007, 0x1000 + number, b"LO", 2) + b"x " for number in range(count))


def _with_syntax(whole: bytes, uid: str) -> bytes:
    """The file (or its meta group alone) declaring another transfer syntax than it is written in."""
    start = _body_start(whole)
    at = whole.index(struct.pack("<HH2s", 2, 0x0010, b"UI"), 132)
    (old,) = struct.unpack_from("<H", whole, at + 6)
    value = uid.encode() + b"\0" * (len(uid) % 2)
    meta = whole[144:at] + whole[at : at + 6] + struct.pack("<H", len(value)) + value + whole[at + 8 + old : start]
    return whole[:140] + struct.pack("<L", len(meta)) + meta + whole[start:]


def _bomb(whole: bytes) -> bytes:
    """A deflated data set that is a thousand times larger than its file."""
    start = _body_start(whole)
    padding = struct.pack("<HH2s2xL", 0x7FE1, 0x1001, b"OB", _BOMB_BYTES) + b"\0" * _BOMB_BYTES
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    content = deflate.compress(whole[start:] + padding) + deflate.flush()
    return _with_syntax(whole[:start], DeflatedExplicitVRLittleEndian) + content


_UNREADABLE: dict[str, Spoiler] = {
    "empty file": _constant(b""),
    "one byte": _constant(b"\0"),
    "plain text": _constant(b"This is no DICOM file.\n" * 40),
    "a JPEG": _constant(b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01" + b"\0" * 400),
    "an archive": _constant(b"PK\x03\x04" + b"\0" * 400),
    "noise": _constant(bytes((n * 7919) % 251 for n in range(4096))),
    "preamble cut short": _whole(lambda whole: whole[:100]),
    "no DICM after the preamble": _whole(lambda whole: b"\0" * 132 + whole[132:]),
    "sequences nested 20000 deep": _inserted(_nested(20_000)),
    "deflated data set that is no deflate stream": _whole(
        lambda whole: _with_syntax(whole, DeflatedExplicitVRLittleEndian) + b"\x07" * 64
    ),
    "Rows of three bytes": _raw("Rows", b"\x40\x00\x00"),
    "KVP under a VR that does not exist": _vr("KVP", b"ZZ"),
}

_CUT_BEFORE_IDENTITY: dict[str, Spoiler] = {
    "preamble and DICM only": _whole(lambda whole: whole[:132]),
    "file meta group cut short": _whole(lambda whole: whole[:180]),
    "file meta group only": _whole(lambda whole: whole[: _body_start(whole)]),
    "data set cut short in its first element": _whole(lambda whole: whole[: _body_start(whole) + 10]),
    "SliceThickness under the VR of a sequence": _vr("SliceThickness", b"SQ"),
}

_CUT_OR_OVERLONG: dict[str, Spoiler] = {
    "pixel data cut short": _whole(lambda whole: whole[:-3000]),
    "pixel data of odd length": _whole(lambda whole: whole[:-1]),
    "trailing bytes": _whole(lambda whole: whole + b"\xde\xad\xbe\xef" * 16),
    "pixel data that claims four gigabytes": _pixel_length(0xFFFFFFFE),
    "pixel data that claims no bytes": _pixel_length(0),
    "file meta group length too small": _meta_length(2),
    "file meta group length too large": _meta_length(0x7FFFFFFF),
    "lying length of group 0008": _inserted(_group_length(0x7FFFFFFF)),
    "length 0 of group 0008": _inserted(_group_length(0)),
    "sequences nested 40 deep": _inserted(_nested(40)),
    "ten thousand private elements": _inserted(_many_elements(10_000)),
    "Rows under the VR of text": _vr("Rows", b"LO"),
}

_FALSE_SYNTAX: dict[str, Spoiler] = {
    "transfer syntax that nobody knows": _whole(lambda whole: _with_syntax(whole, "1.2.3.4.5.6.7.8")),
    "JPEG that is not encapsulated": _whole(lambda whole: _with_syntax(whole, JPEGBaseline8Bit)),
    "deflated data set of 64 MiB in 64 KiB": _whole(_bomb),
}
