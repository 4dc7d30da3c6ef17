"""How each vendor says of an image by which b-value and direction it was weighted.

From conformance statements, by plain pydicom: nothing here knows how the node reads it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from her2node.phantoms.headers import MANUFACTURER, fill, item

Direction = tuple[float, float, float]


class Tagging(StrEnum):
    """Whose way of tagging a study follows."""

    STANDARD = "standard"
    """DiffusionBValue (0018,9087) in classic objects."""
    ENHANCED = "enhanced"
    """One enhanced object a series, MRDiffusionSequence a frame."""
    SIEMENS = "siemens"
    """(0019,100C) of SIEMENS MR HEADER."""
    SIEMENS_CSA = "siemens-csa"
    """B_value of the CSA header (0029,1010) alone."""
    SIEMENS_MOSAIC = "siemens-mosaic"
    """(0019,100C), all slices of a volume in one image."""
    SIEMENS_NAME = "siemens-name"
    """SequenceName alone (ep_b800t, ep_b800#2), as de-identified images keep it."""
    GE = "ge"
    """(0043,1039) with 1e9 added, direction in (0019,10BB) to (0019,10BD)."""
    GE_PLAIN = "ge-plain"
    """The same without 1e9, as other releases write it."""
    PHILIPS = "philips"
    """(2001,1003), and stored values in steps of (2005,100E) that differ from image to image."""
    PHILIPS_ENHANCED = "philips-enhanced"
    """One enhanced object a series, MRDiffusionSequence and a private group with its own steps a frame."""
    UIH = "uih"
    """(0065,1009)."""
    CANON = "canon"
    """ImageComments, and nothing at all beside images of b 0."""
    TOSHIBA = "toshiba"
    """The same under the older name."""


@dataclass(frozen=True)
class Weighted:
    """b in s/mm2 and the direction; None: no gradient, or (``trace``) combined over directions by the scanner."""

    b: float
    direction: Direction | None = None
    trace: bool = False


def weight(ds: Dataset, tagging: Tagging, weighted: Weighted) -> None:
    """Put manufacturer and weighting into the header of a classic object."""
    ds.Manufacturer = _MAKERS[tagging]
    _WRITERS[tagging](ds, weighted)


def functional_group(weighted: Weighted) -> Dataset:
    """The MRDiffusionSequence of a frame (PS3.3 C.8.13.5.9)."""
    said = item(DiffusionBValue=float(weighted.b), DiffusionDirectionality=_directionality(weighted, "NONE"))
    if weighted.direction is not None:
        said.DiffusionGradientDirectionSequence = Sequence(
            [item(DiffusionGradientOrientation=list(weighted.direction))]
        )
    return item(MRDiffusionSequence=Sequence([said]))


def _directionality(weighted: Weighted, without: str) -> str:
    if weighted.direction is not None:
        return "DIRECTIONAL"
    return "ISOTROPIC" if weighted.trace else without


def _standard(ds: Dataset, weighted: Weighted) -> None:
    ds.DiffusionBValue = float(weighted.b)
    ds.DiffusionDirectionality = _directionality(weighted, "NONE")
    if weighted.direction is not None:
        ds.DiffusionGradientOrientation = list(weighted.direction)


def _siemens(ds: Dataset, weighted: Weighted) -> None:
    kind = "TRACEW" if weighted.trace else "NONE"
    ds.ImageType = ["DERIVED" if weighted.trace else "ORIGINAL", "PRIMARY", "DIFFUSION", kind, "ND"]
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", round(weighted.b))
    block.add_new(0x0D, "CS", _directionality(weighted, "NONE"))
    if weighted.direction is not None:
        block.add_new(0x0E, "FD", list(weighted.direction))


def _siemens_csa(ds: Dataset, weighted: Weighted) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND"]
    values = {"B_value": [f"{weighted.b:g}"], "DiffusionDirectionality": [_directionality(weighted, "NONE")]}
    if weighted.direction is not None:
        values["DiffusionGradientDirection"] = [f"{x:.8f}" for x in weighted.direction]
    ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", csa(values))


def csa(values: dict[str, list[str]]) -> bytes:
    """A CSA header of the newer form (SV10) with these elements."""
    found = struct.pack("<4s4sii", b"SV10", b"\4\3\2\1", len(values), 77)
    for name, words in values.items():
        found += struct.pack("<64si4siii", name.encode(), len(words), b"DS\0\0", 6, len(words), 77)
        for word in words:
            text = word.encode() + b"\0"
            found += struct.pack("<4i", len(text), len(text), 77, len(text)) + text + b"\0" * (-len(text) % 4)
    return found


def _siemens_name(ds: Dataset, weighted: Weighted) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND"]
    behind = "t" if weighted.trace else ""
    if weighted.direction is not None:
        behind = f"#{1 + int(np.argmax(np.abs(weighted.direction)))}"
    ds.SequenceName = f"*ep_b{weighted.b:.0f}{behind}"


def _ge_plain(ds: Dataset, weighted: Weighted) -> None:
    _ge(ds, weighted, offset=0)


def _ge(ds: Dataset, weighted: Weighted, offset: int = 1_000_000_000) -> None:
    ds.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [offset + round(weighted.b), 8, 0, 0])
    block = ds.private_block(0x0019, "GEMS_ACQU_01", create=True)
    for element, value in zip((0xBB, 0xBC, 0xBD), weighted.direction or (0.0, 0.0, 0.0), strict=True):
        block.add_new(element, "DS", f"{value:.6f}")


def _philips(ds: Dataset, weighted: Weighted) -> None:
    block = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
    block.add_new(0x03, "FL", float(weighted.b))
    block.add_new(0x04, "CS", "O" if weighted.direction is not None else "I")
    block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    for element, value in zip((0xB0, 0xB1, 0xB2), weighted.direction or (0.0, 0.0, 0.0), strict=True):
        block.add_new(element, "FL", value)


def scale_as_philips(ds: Dataset, slope: float) -> None:
    """Stored = received x slope, with a display scale (RescaleSlope) that says nothing of it."""
    block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0E, "FL", slope)
    block.add_new(0x0D, "FL", 0.0)
    fill(ds, RescaleSlope="2.5", RescaleIntercept="0", RescaleType="normalized")


def scale_frame_as_philips(frame: Dataset, slope: float) -> None:
    """The same in the functional groups of a frame of an enhanced object."""
    private = Dataset()
    block = private.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0E, "FL", slope)
    block.add_new(0x0D, "FL", 0.0)
    frame.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", Sequence([private]))


def _uih(ds: Dataset, weighted: Weighted) -> None:
    block = ds.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x09, "FD", float(weighted.b))
    if weighted.direction is not None:
        block.add_new(0x37, "FD", list(weighted.direction))


def _canon(ds: Dataset, weighted: Weighted) -> None:
    if weighted.b:
        direction = ",".join(f"{x:.3f}" for x in weighted.direction or (0.0, 0.0, 0.0))
        ds.ImageComments = f"b={weighted.b:g}({direction})"


_WRITERS: dict[Tagging, Callable[[Dataset, Weighted], None]] = {
    Tagging.STANDARD: _standard,
    Tagging.SIEMENS: _siemens,
    Tagging.SIEMENS_CSA: _siemens_csa,
    Tagging.SIEMENS_MOSAIC: _siemens,
    Tagging.SIEMENS_NAME: _siemens_name,
    Tagging.GE: _ge,
    Tagging.GE_PLAIN: _ge_plain,
    Tagging.PHILIPS: _philips,
    Tagging.UIH: _uih,
    Tagging.CANON: _canon,
    Tagging.TOSHIBA: _canon,
}
_MAKERS = {
    Tagging.STANDARD: MANUFACTURER,
    Tagging.SIEMENS: "SIEMENS",
    Tagging.SIEMENS_CSA: "SIEMENS",
    Tagging.SIEMENS_MOSAIC: "SIEMENS",
    Tagging.SIEMENS_NAME: "SIEMENS",
    Tagging.GE: "GE MEDICAL SYSTEMS",
    Tagging.GE_PLAIN: "GE MEDICAL SYSTEMS",
    Tagging.PHILIPS: "Philips Medical Systems",
    Tagging.UIH: "UIH",
    Tagging.CANON: "CANON_MEC",
    Tagging.TOSHIBA: "TOSHIBA_MEC",
}
