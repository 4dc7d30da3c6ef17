"""Processes that decode no pixels go without the decoders, which pydicom loads wherever it finds them: some 25 MB.

None in ``sys.modules`` tells the import system that there is no such module, and pydicom that there is no such decoder.
To be called before pydicom is imported for the first time.
"""

from __future__ import annotations

import sys

DECODERS = ("gdcm", "openjpeg", "rle", "jpeg_ls", "pylibjpeg", "PIL")


def without_decoders() -> None:
    """Leave the decoders out of this process; one that is loaded already stays."""
    for name in DECODERS:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
