"""Stored values, decoded frame by frame. The one door to the decoders, and so the one broad handler of the images.

Decoders are other people's C code fed with a stranger's bytes: whatever they raise means that the pixels cannot be
read, and nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import SEEK_END
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import UID

from her2node.dicom.attributes import integer, text
from her2node.errors import Her2nodeError, PixelsUnreadable

Stored = npt.NDArray[Any]
"""Integers as stored, shape (rows, columns)."""

_DEFLATED = "1.2.840.10008.1.2.1.99"
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_LEADS = {
    "1.2.840.10008.1.2": b"\xe0\x7f\x10\x00",
    "1.2.840.10008.1.2.1": b"\xe0\x7f\x10\x00OW\x00\x00",
}
"""What stands before the length of PixelData, by transfer syntax (PS3.5 7.1)."""


def stored_frames(path: Path, header: Dataset, indices: Sequence[int]) -> Iterator[Stored]:
    """The frames of one object at 0-based ``indices``, in that order, one at a time.

    ``header`` is the object's header as ``selection`` read it. Raises PixelsUnreadable: no or too little pixel data,
    no decoder for the transfer syntax, a code stream that is damaged or of another size than the header says. A file
    that is gone is an OSError: the disk's fault and not the object's, so no refusal.
    """
    _need_pixels(path, header)
    plain = _at_end(path, header) if list(indices) == [0] else None
    if plain is not None:
        yield plain
        return
    if not indices:
        return
    try:
        for _, values in zip(indices, _decoded(path, header, indices), strict=True):
            yield _as_claimed(values, path, header)
    except (Her2nodeError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # decoders raise OSError without a number
            raise
        raise PixelsUnreadable(f"{path.name} ({UID(_syntax(header)).name}): {_one_line(error)}") from error


def _decoded(path: Path, header: Dataset, indices: Sequence[int]) -> Iterator[Stored]:
    if _syntax(header) in _NATIVE and integer(header, "BitsAllocated") == 1:
        yield from _bits(dcmread(path).PixelData, header, indices)
        return
    # A deflated data set has no byte position to read pixels from: it is inflated whole. How
    # far it swells was checked when its header was read.
    source = dcmread(path) if _syntax(header) == _DEFLATED else path
    yield from iter_pixels(source, raw=True, indices=list(indices))


def _bits(packed: bytes, header: Dataset, indices: Sequence[int]) -> Iterator[Stored]:
    """Frames of one bit a pixel, which follow each other without padding (PS3.5 8.1.1).

    pydicom 3.0 reads too few bytes for a frame that neither begins nor ends with a byte.
    """
    shape = (integer(header, "Rows") or 0, integer(header, "Columns") or 0)
    count = shape[0] * shape[1]
    octets = np.frombuffer(packed, dtype=np.uint8)
    for index in indices:
        first = index * count
        some = np.unpackbits(octets[first // 8 : (first + count + 7) // 8], bitorder="little")
        yield some[first % 8 : first % 8 + count].reshape(shape)


def _at_end(path: Path, header: Dataset) -> Stored | None:
    """The pixels of a plain little-endian 16-bit single-frame object, read from the end of the file.

    Most CT comes so, and parsing each of 600 headers a second time would take longer than the pixels. Only where the
    last bytes of the file are exactly the header of the PixelData element and as many bytes as it should have; None
    otherwise, and pydicom looks.
    """
    lead = _LEADS.get(_syntax(header))
    rows, columns = integer(header, "Rows") or 0, integer(header, "Columns") or 0
    if lead is None or integer(header, "BitsAllocated") != 16 or integer(header, "SamplesPerPixel") != 1:
        return None
    unused = 16 - (integer(header, "BitsStored") or 0)
    if not 0 <= unused < 16:
        return None
    size = rows * columns * 2
    lead += size.to_bytes(8, "little")[:4]
    with path.open("rb") as file:
        begin = file.seek(0, SEEK_END) - size - len(lead)
        if not size or begin < 0:
            return None
        file.seek(begin)
        tail = file.read()
    if not tail.startswith(lead):
        return None
    kind = "<i2" if integer(header, "PixelRepresentation") == 1 else "<u2"
    values = np.frombuffer(tail, dtype=kind, offset=len(lead)).reshape(rows, columns)
    # Bits above BitsStored are no part of the value, be they overlay or a sign that was not extended.
    return values << unused >> unused if unused else values


def _as_claimed(values: Stored, path: Path, header: Dataset) -> Stored:
    shape = (integer(header, "Rows"), integer(header, "Columns"))
    if values.shape != shape or values.dtype.kind not in "iu":
        raise PixelsUnreadable(f"{path.name}: {values.dtype} of shape {values.shape}, the header says {shape}")
    return values


def _need_pixels(path: Path, header: Dataset) -> None:
    """Uncompressed pixels must all be there before a decoder allocates what the header claims, and their lowest bit
    must be the lowest that is stored (PS3.5 8.1.1): pydicom ignores HighBit, so the values would be too high."""
    held = path.stat().st_size
    if _syntax(header) not in _NATIVE:
        return
    stored, high = integer(header, "BitsStored"), integer(header, "HighBit")
    if stored and high is not None and high >= stored:
        raise PixelsUnreadable(f"{path.name}: HighBit {high} with BitsStored {stored}")
    sizes = (integer(header, keyword) for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated"))
    bits = (integer(header, "NumberOfFrames") or 1) * int(np.prod([size or 1 for size in sizes], dtype=object))
    if bits // 8 > held:
        raise PixelsUnreadable(f"{path.name}: the header claims {bits // 8} bytes, the file has {held}")


def _syntax(header: Dataset) -> str:
    meta = getattr(header, "file_meta", None)
    return text(meta, "TransferSyntaxUID") if meta is not None else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
