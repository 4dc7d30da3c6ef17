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
A_ASSOCIATE_RQ, P_DATA_TF = 0x01, 0x04
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

_ITEM_HEAD = struct.Struct(">BxH")
_FIXED_FIELDS = 68
_CONTEXT_ITEM, _CONTEXT_FIELDS = 0x20, 4
_USER_INFORMATION_ITEM = 0x50
_MOST_CONTEXTS = 128
_MOST_ITEMS = 8192


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


def check_association_request(body: memoryview) -> None:
    """Look at the items of A-ASSOCIATE-RQ before pynetdicom takes seconds to decode thousands of them.

    There are 128 context ids (PS3.8 9.3.2.2); every one with every transfer syntax stays below the limit of items.
    Raises Unfit.
    """
    contexts = items = 0
    for kind, start, end in _items(body, _FIXED_FIELDS, len(body)):
        contexts += kind == _CONTEXT_ITEM
        if kind in (_CONTEXT_ITEM, _USER_INFORMATION_ITEM):
            inside = start + (_CONTEXT_FIELDS if kind == _CONTEXT_ITEM else 0)
            items += sum(1 for _ in _items(body, inside, end))
        if contexts > _MOST_CONTEXTS or items > _MOST_ITEMS:
            raise Unfit("an association request with more items than there can be")


def _items(body: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Type, start and end of the items between two offsets."""
    while start < end:
        if start + _ITEM_HEAD.size > end:
            raise Unfit("an association request that is cut short")
        kind, length = _ITEM_HEAD.unpack_from(body, start)
        start += _ITEM_HEAD.size
        if start + length > end:
            raise Unfit("an association request with an item longer than its place")
        yield kind, start, start + length
        start += length
