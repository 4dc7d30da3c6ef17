"""The CSA header of Siemens scanners before XA (0029,1010): named texts in a binary table, SV10 or the older form."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pydicom.dataset import Dataset

from her2node.dicom.attributes import finite
from her2node.dicom.private import PrivateTag, private_bytes

CSA_IMAGE = PrivateTag("SIEMENS CSA HEADER", 0x0029, 0x10, "text")
_MARK = b"SV10"
_MOST_TAGS, _MOST_ITEMS = 1024, 4096
_TAG = struct.Struct("<64si4siii")
_LENGTHS = struct.Struct("<4i")


def csa_text(ds: Dataset, name: str) -> str:
    """The first value of a CSA element of the image header; '' where there is none."""
    return next(iter(csa_values(ds, name)), "")


def csa_numbers(ds: Dataset, name: str) -> tuple[float, ...]:
    """All values of a CSA element as finite floats; () where there is none or any is no number."""
    return finite(csa_values(ds, name))


def csa_values(ds: Dataset, name: str) -> tuple[str, ...]:
    """All values of a CSA element; () where header or element is absent or damaged."""
    raw = private_bytes(ds, CSA_IMAGE)
    try:
        return next((values for found, values in _elements(raw) if found == name), ())
    except (struct.error, ValueError):
        return ()


def _elements(raw: bytes) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(name, values) in order. Raises struct.error or ValueError where the table ends early or counts nonsense."""
    new = raw.startswith(_MARK)
    at = 8 if new else 0
    (count,) = struct.unpack_from("<i", raw, at)
    at += 8
    if not 0 < count <= _MOST_TAGS:
        raise ValueError(f"{count} elements")
    first = 0
    for _ in range(count):
        name, _, _, _, items, _ = _TAG.unpack_from(raw, at)
        at += _TAG.size
        if not 0 <= items <= _MOST_ITEMS:
            raise ValueError(f"{items} items")
        first = first or items  # the old form adds the number of the first element's items to every length
        values = []
        for _ in range(items):
            lengths = _LENGTHS.unpack_from(raw, at)
            at += _LENGTHS.size
            length = lengths[1] if new else lengths[0] - first
            if not 0 <= length <= len(raw) - at:
                raise ValueError(f"an item of {length} bytes")
            values.append(raw[at : at + length].split(b"\0")[0].decode("latin-1").strip())
            at += (length + 3) // 4 * 4
        yield name.split(b"\0")[0].decode("latin-1"), tuple(value for value in values if value)
