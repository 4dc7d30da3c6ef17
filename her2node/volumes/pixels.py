"""Stored values, decoded frame by frame. The one door to the decoders, and so the one broad handler of the images.

Decoders are other people's C code fed with a stranger's bytes: whatever they raise means that the pixels cannot be
read, and nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def stored_frames(path: Path, header: Dataset, indices: Sequence[int]) -> Iterator[Stored]:
    """The frames of one object at 0-based ``indices``, in that order, one at a time.

    ``header`` is the object's header as ``selection`` read it. Raises PixelsUnreadable: no or too little pixel data,
    no decoder for the transfer syntax, a code stream that is damaged or of another size than the header says.
    """
    _need_pixels(path, header)
    try:
        # A deflated data set has no byte position to read pixels from: it is inflated whole.
        source = dcmread(path) if _syntax(header) == _DEFLATED else path
        for values in iter_pixels(source, raw=True, indices=list(indices)):
            yield _as_claimed(values, path, header)
    except Her2nodeError:
        raise
    except Exception as error:
        raise PixelsUnreadable(f"{path.name} ({UID(_syntax(header)).name}): {_one_line(error)}") from error


def _as_claimed(values: Stored, path: Path, header: Dataset) -> Stored:
    shape = (integer(header, "Rows"), integer(header, "Columns"))
    if values.shape != shape or values.dtype.kind not in "iu":
        raise PixelsUnreadable(f"{path.name}: {values.dtype} of shape {values.shape}, the header says {shape}")
    return values


def _need_pixels(path: Path, header: Dataset) -> None:
    """Uncompressed pixels must all be there before a decoder allocates what the header claims."""
    syntax = UID(_syntax(header))
    if not syntax:
        raise PixelsUnreadable(f"{path.name}: no TransferSyntaxUID")
    if syntax.is_compressed or syntax == _DEFLATED:
        return
    sizes = (integer(header, keyword) for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated"))
    bits = (integer(header, "NumberOfFrames") or 1) * int(np.prod([size or 1 for size in sizes], dtype=object))
    if bits // 8 > path.stat().st_size:
        raise PixelsUnreadable(f"{path.name}: the header claims {bits // 8} bytes, the file has {path.stat().st_size}")


def _syntax(header: Dataset) -> str:
    meta = getattr(header, "file_meta", None)
    return text(meta, "TransferSyntaxUID") if meta is not None else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
