"""The head of a stored object: preamble and file meta group (PS3.10 7.1), written and read with ``struct``.

Besides what the Standard wants it holds who sent the object, so that every file tells its own story when the ledger
never heard of it, and the file's length: written in the last moment before the file gets its final name, it tells a
file that a power cut shortened from a whole one, whatever is in the data set.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from her2node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from her2node.errors import InstanceUnreadable

_PREAMBLE = bytes(128) + b"DICM"
_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<HH2s2xI")
_LENGTH = struct.Struct("<Q")
_GROUP_LENGTH = struct.Struct("<HH2sHI")
_LONG_VRS = frozenset({b"OB", b"UR"})
_LONGEST_META = 16_384
_SCHEME = "dicom://"


@dataclass(frozen=True)
class Sender:
    """The two ends of the association that brought an object."""

    calling_ae: str
    called_ae: str
    address: str


@dataclass(frozen=True)
class FileMeta:
    """What the head of a stored object says. ``length`` is the whole file's, 0 while it was still being written."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    sender: Sender
    length: int


def encode(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, sender: Sender) -> bytes:
    """Preamble and file meta group. The last eight bytes take the file's length (``encoded_length``)."""
    elements = b"".join(
        (
            _element(0x0001, b"OB", b"\x00\x01"),
            _element(0x0002, b"UI", _uid(sop_class_uid)),
            _element(0x0003, b"UI", _uid(sop_instance_uid)),
            _element(0x0010, b"UI", _uid(transfer_syntax_uid)),
            _element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
            _element(0x0013, b"SH", _text(IMPLEMENTATION_VERSION_NAME)),
            _element(0x0017, b"AE", _text(sender.calling_ae)),  # SendingApplicationEntityTitle
            _element(0x0018, b"AE", _text(sender.called_ae)),  # ReceivingApplicationEntityTitle
            _element(0x0027, b"UR", _text(_SCHEME + sender.address)),  # SendingPresentationAddress
            _element(0x0100, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),  # PrivateInformationCreatorUID
            _element(0x0102, b"OB", _LENGTH.pack(0)),  # PrivateInformation: the length
        )
    )
    return _PREAMBLE + _GROUP_LENGTH.pack(0x0002, 0x0000, b"UL", 4, len(elements)) + elements


def encoded_length(length: int) -> bytes:
    """What goes into the last eight bytes of the head."""
    return _LENGTH.pack(length)


def decode(file: BinaryIO) -> FileMeta:
    """Read the head of an object that this room wrote. Raises InstanceUnreadable when it is cut short or another's."""
    head = file.read(_LONGEST_META)
    try:
        if head[:132] != _PREAMBLE:
            raise InstanceUnreadable("no file of this node")
        values = _elements(head)
        return FileMeta(
            sop_class_uid=_read(values[0x0002]),
            sop_instance_uid=_read(values[0x0003]),
            transfer_syntax_uid=_read(values[0x0010]),
            sender=Sender(_read(values[0x0017]), _read(values[0x0018]), _read(values[0x0027]).removeprefix(_SCHEME)),
            length=_LENGTH.unpack(values[0x0102])[0],
        )
    except (struct.error, KeyError, UnicodeDecodeError) as error:
        raise InstanceUnreadable("the file meta group is cut short") from error


def _elements(head: bytes) -> dict[int, bytes]:
    """Element number to value, for group 0002."""
    offset = 132 + _GROUP_LENGTH.size
    end = offset + _GROUP_LENGTH.unpack_from(head, 132)[4]
    values: dict[int, bytes] = {}
    while offset < end:
        _, element, vr, length = _SHORT.unpack_from(head, offset)
        offset += _SHORT.size
        if vr in _LONG_VRS:
            length = _LONG.unpack_from(head, offset - _SHORT.size)[3]
            offset += _LONG.size - _SHORT.size
        values[element] = head[offset : offset + length]
        offset += length
    return values


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    head = _LONG if vr in _LONG_VRS else _SHORT
    return head.pack(0x0002, element, vr, len(value)) + value


def _uid(value: str) -> bytes:
    encoded = value.encode("ascii")
    return encoded + b"\x00" if len(encoded) % 2 else encoded


def _text(value: str) -> bytes:
    encoded = value.encode("ascii")
    return encoded + b" " if len(encoded) % 2 else encoded


def _read(value: bytes) -> str:
    return value.decode("ascii").rstrip(" \x00")
