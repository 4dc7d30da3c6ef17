"""Private elements (PS3.5 7.8) read tolerantly: by their creator wherever its block lies, whatever VR is left of them.

Archives and de-identifiers rewrite private elements as UN or OB and lose creators. A value that is bytes is therefore
decoded as the VR that the vendor documents, and where no creator at all is left in the group, the block in which every
scanner writes (10) is believed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from her2node.dicom.attributes import finite

Kind = Literal["text", "FL", "FD", "US", "SS", "SL"]

_FORMATS = {"FL": "f", "FD": "d", "US": "H", "SS": "h", "SL": "i"}
_MOST_VALUES = 4096
"""Of one element that this node wants; a longer one is a table of something else."""


@dataclass(frozen=True)
class PrivateTag:
    """(group, xx element) of a creator, and what its values are when only bytes are left of them."""

    creator: str
    group: int
    element: int
    kind: Kind

    def __str__(self) -> str:
        return f"({self.group:04X},10{self.element:02X})"


def private_numbers(ds: Dataset, tag: PrivateTag) -> tuple[float, ...]:
    """All values as finite floats; () when the element is absent or holds anything else."""
    value = _value(ds, tag)
    if value is None:
        return ()
    if isinstance(value, bytes) and tag.kind != "text":
        return finite(_unpacked(value, _FORMATS[tag.kind]))
    if isinstance(value, (bytes, str)):
        return finite(_words(value))
    return finite(value if isinstance(value, (MultiValue, list, tuple)) else (value,))


def private_text(ds: Dataset, tag: PrivateTag) -> str:
    """The value as text, stripped; '' when the element is absent."""
    value = _value(ds, tag)
    if value is None:
        return ""
    return "\\".join(_words(value)) if isinstance(value, (bytes, str)) else str(value).strip(" \x00")


def private_items(ds: Dataset, tag: PrivateTag) -> tuple[Dataset, ...]:
    """The items of a private sequence; () when absent or no sequence."""
    value = _value(ds, tag)
    if value is None or isinstance(value, (str, bytes)):
        return ()
    try:
        return tuple(item for item in value if isinstance(item, Dataset))
    except TypeError:
        return ()


def private_bytes(ds: Dataset, tag: PrivateTag) -> bytes:
    """The value where it is bytes, else b''."""
    value = _value(ds, tag)
    return value if isinstance(value, bytes) else b""


def _value(ds: Dataset, tag: PrivateTag) -> Any:
    place = _place(ds, tag)
    if place is None or place not in ds:
        return None
    try:
        value = ds[place].value
    except (ValueError, TypeError, AttributeError, KeyError, NotImplementedError, OverflowError, OSError):
        return None
    return None if value is None or value in ("", b"") else value


def _place(ds: Dataset, tag: PrivateTag) -> BaseTag | None:
    """Where the element would stand: in its creator's block, else in block 10 of a group without any creator."""
    creators = {block: found for block in _creator_blocks(ds, tag.group) if (found := _creator(ds, tag.group, block))}
    for block, creator in creators.items():
        if creator.casefold() == tag.creator.casefold():
            return Tag(tag.group, (block << 8) | tag.element)
    return None if creators else Tag(tag.group, 0x1000 | tag.element)


def _creator_blocks(ds: Dataset, group: int) -> list[int]:
    numbers = (int(tag) for tag in tuple(ds.keys()))  # as plain integers, which compare ten times faster than tags
    return [number & 0xFFFF for number in numbers if number >> 16 == group and 0x10 <= number & 0xFFFF <= 0xFF]


def _creator(ds: Dataset, group: int, block: int) -> str:
    try:
        value = ds[group, block].value
    except (ValueError, TypeError, AttributeError, KeyError, NotImplementedError):
        return ""
    return "\\".join(_words(value)) if isinstance(value, (bytes, str)) else ""


def _words(value: bytes | str) -> list[str]:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return [word.strip(" \x00") for word in text.split("\\")]


def _unpacked(value: bytes, form: str) -> tuple[float, ...]:
    """Little endian, as all but a few historic scanners write; a swapped value would be far outside of any range."""
    size = struct.calcsize(form)
    count = len(value) // size
    if len(value) % size or count > _MOST_VALUES:
        return ()
    return tuple(float(number) for number in struct.unpack(f"<{count}{form}", value))
