"""How far a deflated object would swell, before anyone inflates it whole (PS3.5 A.5)."""

from __future__ import annotations

import zlib
from pathlib import Path

from pydicom.filereader import _read_command_set_elements, _read_file_meta_info, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

from her2node.errors import InstanceUnreadable

_RATIO = 64  # images deflate to a half or a quarter, empty segmentations to much less
_ALWAYS, _NEVER = 64 << 20, 1 << 30  # bytes: so many whatever the ratio, and no more whatever it is
_CHUNK = 1 << 20


def is_deflated(path: Path) -> bool:
    """Whether the data set is deflated. Raises InstanceUnreadable when it would inflate out of all proportion.

    The bytes are counted and not kept. What stands before them is read by pydicom's own hands, though private ones:
    another reading of where they begin would be a way around the limit.
    """
    with path.open("rb") as file:
        read_preamble(file, force=False)
        meta = _read_file_meta_info(file)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return False
        _read_command_set_elements(file)
        most = min(max(_ALWAYS, _RATIO * path.stat().st_size), _NEVER)
        inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        rest = file.read(_CHUNK)
        while rest and not inflate.eof:
            size += len(inflate.decompress(rest, _CHUNK))
            if size > most:
                raise InstanceUnreadable(f"{path.name} inflates to more than {most >> 20} MiB")
            rest = inflate.unconsumed_tail or file.read(_CHUNK)
    return True
