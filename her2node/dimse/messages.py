"""The two DIMSE messages that must be fast, C-STORE-RQ and C-STORE-RSP, with ``struct`` (PS3.7 9.3.1, PS3.8 9.3.5)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from her2node.dimse.reception import Answer, Unfit

C_STORE_RQ = 0x0001
C_STORE_RSP = 0x8001
NO_DATA_SET = 0x0101

PDU_HEAD = struct.Struct(">BxI")
PDV_HEAD = struct.Struct(">IBB")
P_DATA_TF = 0x04
COMMAND, LAST = 0x01, 0x02
"""Bits of the message control header (PS3.8 E.2)."""

_ELEMENT = struct.Struct("<HHI")
_US = struct.Struct("<H")
_US_ELEMENT = struct.Struct("<HHIH")
_UL_ELEMENT = struct.Struct("<HHII")
_AFFECTED_CLASS, _COMMAND_FIELD, _MESSAGE_ID, _DATA_SET_TYPE, _AFFECTED_INSTANCE = (
    0x0002,
    0x0100,
    0x0110,
    0x0800,
    0x1000,
)
_LONGEST_COMMENT = 64


@dataclass(frozen=True)
class Command:
    """A command set, as far as it is needed here."""

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str
    sop_instance_uid: str


def read_command(encoded: bytes) -> Command:
    """Read a command set (always Implicit VR Little Endian). Raises Unfit when it cannot be one."""
    values = dict(_elements(encoded))
    try:
        (field,) = _US.unpack(values[_COMMAND_FIELD])
        (data_set_type,) = _US.unpack(values[_DATA_SET_TYPE])
        (message_id,) = _US.unpack(values.get(_MESSAGE_ID, b"\x00\x00"))
    except (KeyError, struct.error) as error:
        raise Unfit("a command set without CommandField or CommandDataSetType") from error
    return Command(
        field,
        message_id,
        data_set_type != NO_DATA_SET,
        _text(values.get(_AFFECTED_CLASS, b"")),
        _text(values.get(_AFFECTED_INSTANCE, b"")),
    )


def _elements(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """Element number and value of each element of group 0000."""
    offset, end = 0, len(encoded)
    while offset < end:
        if offset + _ELEMENT.size > end:
            raise Unfit("a command set that is cut short")
        group, element, length = _ELEMENT.unpack_from(encoded, offset)
        offset += _ELEMENT.size
        if group != 0x0000 or offset + length > end:
            raise Unfit("a command set with an element that cannot be there")
        yield element, encoded[offset : offset + length]
        offset += length


def _text(value: bytes) -> str:
    """The value of a UI element; what is not ASCII shows as U+FFFD and fails every check of a UID."""
    return value.rstrip(b" \x00").decode("ascii", "replace")


def store_response(command: Command, answer: Answer) -> bytes:
    """The command set of C-STORE-RSP."""
    elements = b"".join(
        (
            _uid_element(_AFFECTED_CLASS, command.sop_class_uid),
            _US_ELEMENT.pack(0, _COMMAND_FIELD, 2, C_STORE_RSP),
            _US_ELEMENT.pack(0, 0x0120, 2, command.message_id),
            _US_ELEMENT.pack(0, _DATA_SET_TYPE, 2, NO_DATA_SET),
            _US_ELEMENT.pack(0, 0x0900, 2, answer.status),
            _comment_element(answer.comment),
            _uid_element(_AFFECTED_INSTANCE, command.sop_instance_uid),
        )
    )
    return _UL_ELEMENT.pack(0, 0x0000, 4, len(elements)) + elements


def _uid_element(element: int, uid: str) -> bytes:
    value = uid.encode("ascii", "replace")
    if len(value) % 2:
        value += b"\x00"
    return _ELEMENT.pack(0, element, len(value)) + value


def _comment_element(comment: str) -> bytes:
    if not comment:
        return b""
    value = comment.encode("ascii", "replace")[:_LONGEST_COMMENT]
    if len(value) % 2:
        value += b" "
    return _ELEMENT.pack(0, 0x0902, len(value)) + value


def command_pdus(context_id: int, command_set: bytes, maximum_length: int) -> Iterator[bytes]:
    """P-DATA-TF PDUs with a command set, none longer than the peer's ``maximum_length`` (0: no limit)."""
    room = max(maximum_length - PDV_HEAD.size, 2) if maximum_length else len(command_set)
    for start in range(0, len(command_set), room):
        piece = command_set[start : start + room]
        last = LAST if start + room >= len(command_set) else 0
        yield data_pdu(context_id, COMMAND | last, piece)


def data_pdu(context_id: int, control: int, piece: bytes) -> bytes:
    """One P-DATA-TF PDU with one presentation data value item."""
    item = PDV_HEAD.pack(len(piece) + 2, context_id, control) + piece
    return PDU_HEAD.pack(P_DATA_TF, len(item)) + item
