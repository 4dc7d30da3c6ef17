"""How an MR image was weighted by diffusion: b-value and direction, from wherever the vendor wrote them.

| writer | b-value | direction |
|---|---|---|
| DICOM (PS3.3 C.8.13.5.9) | (0018,9087), also in MRDiffusionSequence | (0018,9075), (0018,9089) |
| Siemens before XA | (0019,100C); CSA B_value; SequenceName ep_b800t | (0019,100D), (0019,100E) or CSA; t is trace |
| GE | (0043,1039), plus 1e9 in some releases | (0019,10BB) to (0019,10BD) |
| Philips | (2001,1003) | (2001,1004) I is isotropic; (2005,10B0) to (2005,10B2) |
| UIH | (0065,1009) | (0065,1037) |
| Canon, Toshiba | ImageComments b=800(x,y,z); images of b 0 state none | the same |

Where two places state a b-value they must agree; what no place states is missing and never taken for 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, number, numbers, text, texts
from her2node.dicom.csa import csa_numbers, csa_text
from her2node.dicom.private import PrivateTag, private_numbers, private_text
from her2node.errors import InvalidAttribute

HIGHEST_B = 50_000.0
"""s/mm2; no scanner of patients reaches it, so a higher number is no b-value."""
SAME_B = 0.05
"""Relative difference up to which two places state one b-value: nominal against effective."""
_GE_OFFSET = 1e9

SIEMENS_B = PrivateTag("SIEMENS MR HEADER", 0x0019, 0x0C, "text")
SIEMENS_DIRECTIONALITY = PrivateTag("SIEMENS MR HEADER", 0x0019, 0x0D, "text")
SIEMENS_DIRECTION = PrivateTag("SIEMENS MR HEADER", 0x0019, 0x0E, "FD")
GE_B = PrivateTag("GEMS_PARM_01", 0x0043, 0x39, "text")
GE_DIRECTION = tuple(PrivateTag("GEMS_ACQU_01", 0x0019, element, "text") for element in (0xBB, 0xBC, 0xBD))
PHILIPS_B = PrivateTag("Philips Imaging DD 001", 0x2001, 0x03, "FL")
PHILIPS_DIRECTIONALITY = PrivateTag("Philips Imaging DD 001", 0x2001, 0x04, "text")
PHILIPS_DIRECTION = tuple(
    PrivateTag("Philips MR Imaging DD 001", 0x2005, element, "FL") for element in (0xB0, 0xB1, 0xB2)
)
UIH_B = PrivateTag("Image Private Header", 0x0065, 0x09, "FD")
UIH_DIRECTION = PrivateTag("Image Private Header", 0x0065, 0x37, "FD")

_SIEMENS_SEQUENCE = re.compile(r"_b(\d+)(?:(t)|#(\d+))?$", re.IGNORECASE)
_CANON_COMMENT = re.compile(r"\bb\s*=\s*(\d+(?:\.\d+)?)\s*(?:\(([^)]*)\))?", re.IGNORECASE)

_SIEMENS_FROM_SEVERAL = re.compile(r"_b\d+_\d+$", re.IGNORECASE)
_CALCULATED = frozenset(
    {"FA", "COLFA", "EADC", "TENSOR", "TENSOR_B0", "CALC_BVALUE", "CALC_BVAL", "CALC", "CDWI", "EXP", "MIP", "MPR",
     "MINIP", "PROJECTION IMAGE", "PHASE MAP", "PHASE", "P", "P_SE"}
)  # fmt: skip
_CALCULATED_WORDS = re.compile(
    r"calc[ _-]?b|synth|computed|(?<![a-z])(?:cdwi|e-?adc|exp[a-z]*[ _-]?(?:adc|apparent)|fa)(?![a-z])", re.IGNORECASE
)
_ADC_WORDS = re.compile(r"(?<![a-z])d?adc(?![a-z])|apparent diff", re.IGNORECASE)

Direction = tuple[float, float, float]
T = TypeVar("T")


class Weighting(StrEnum):
    """What of the diffusion an image shows."""

    NONE = "none"
    """No gradient: b is 0."""
    DIRECTIONAL = "directional"
    """Along one direction."""
    TRACE = "trace"
    """Already combined over directions by the scanner."""
    UNSAID = "unsaid"
    """The header does not tell."""


@dataclass(frozen=True)
class Encoding:
    """b in s/mm2 with the place it was read from, and what of the diffusion the image shows. ``numbered`` tells
    directions apart where the header numbers them and gives no vector."""

    b: float
    weighting: Weighting
    direction: Direction | None
    place: str = field(compare=False)
    numbered: int | None = None


class Content(StrEnum):
    """What the pixels of an image of a diffusion examination are."""

    SIGNAL = "signal"
    """The magnitude that was received."""
    ADC = "adc"
    """Apparent diffusion coefficients, calculated by the scanner."""
    OTHER = "other"
    """Anything else that was calculated: anisotropy, images of a b-value that was never acquired."""


def content_of(header: Dataset, image_type: Sequence[str]) -> Content:
    """What an image shows, by ImageType or FrameType (in capitals), SeriesDescription and SequenceName."""
    kinds, description = set(image_type), text(header, "SeriesDescription")
    derived = "DERIVED" in image_type[:1]
    if kinds & _CALCULATED or (derived and _CALCULATED_WORDS.search(description)):
        return Content.OTHER
    if "ADC" in kinds or (derived and _ADC_WORDS.search(description)):
        return Content.ADC
    # Siemens names the b-values that an image was calculated from, as in ep_b0_800.
    if derived and _SIEMENS_FROM_SEVERAL.search(text(header, "SequenceName")):
        return Content.OTHER
    return Content.SIGNAL


def encoding_of(header: Dataset, groups: Sequence[Dataset] = ()) -> Encoding | None:
    """The diffusion weighting of an image, or of a frame whose functional groups are ``groups`` (own before shared).

    None where no place states a b-value. Raises InvalidAttribute where one states what is no b-value, or two disagree.
    """
    places = _places(header, groups)
    stated = [(name, b) for name, read in _B_VALUES if (b := _first(read, places)) is not None]
    if not stated:
        return None
    for name, b in stated:
        if not 0 <= b <= HIGHEST_B:
            raise InvalidAttribute(f"{name} holds {b:g}, which is no b-value")
    (first, b), *others = stated
    for name, other in others:
        if abs(other - b) > max(1.0, SAME_B * max(b, other)):
            raise InvalidAttribute(f"{first} holds b = {b:g}, {name} holds b = {other:g}")
    direction = next((d for read in _DIRECTIONS if (d := _first(read, places)) is not None), None)
    weighting = Weighting.NONE if b == 0 else _weighting(places, direction)
    if weighting is not Weighting.DIRECTIONAL:
        return Encoding(b, weighting, None, first)
    numbered = None if direction else _first(_siemens_sequence_number, places)
    return Encoding(b, weighting, _unit(direction), first, numbered)


def b_value_tags() -> str:
    """Every place where a b-value is looked for, for a refusal to name."""
    return ", ".join(name for name, _ in _B_VALUES)


def _places(header: Dataset, groups: Sequence[Dataset]) -> tuple[Dataset, ...]:
    """Where diffusion attributes may stand, the nearest to the frame first."""
    nested = [item for group in groups for item in items(group, "MRDiffusionSequence")]
    return (*nested, *items(header, "MRDiffusionSequence"), *groups, header)


def _first(read: Callable[[Dataset], T | None], places: Sequence[Dataset]) -> T | None:
    return next((found for place in places if (found := read(place)) is not None), None)


def _standard_b(ds: Dataset) -> float | None:
    b = number(ds, "DiffusionBValue")
    return 0.0 if b is None and text(ds, "DiffusionDirectionality") == "NONE" else b


def _ge_b(ds: Dataset) -> float | None:
    found = private_numbers(ds, GE_B)
    if not found:
        return None
    return found[0] - _GE_OFFSET if found[0] >= _GE_OFFSET else found[0]


def _siemens_sequence(ds: Dataset) -> re.Match[str] | None:
    return _SIEMENS_SEQUENCE.search(text(ds, "SequenceName")) if _made_by(ds, "SIEMENS") else None


def _siemens_sequence_b(ds: Dataset) -> float | None:
    found = _siemens_sequence(ds)
    return float(found.group(1)) if found else None


def _siemens_sequence_number(ds: Dataset) -> int | None:
    found = _siemens_sequence(ds)
    return int(found.group(3)) if found and found.group(3) else None


def _canon_b(ds: Dataset) -> float | None:
    found = _CANON_COMMENT.search(text(ds, "ImageComments")) if _made_by(ds, "CANON", "TOSHIBA") else None
    return float(found.group(1)) if found else None


def _private_b(tag: PrivateTag) -> Callable[[Dataset], float | None]:
    return lambda ds: next(iter(private_numbers(ds, tag)), None)


_B_VALUES: tuple[tuple[str, Callable[[Dataset], float | None]], ...] = (
    ("DiffusionBValue (0018,9087)", _standard_b),
    (f"Siemens {SIEMENS_B}", _private_b(SIEMENS_B)),
    ("Siemens CSA B_value (0029,1010)", lambda ds: next(iter(csa_numbers(ds, "B_value")), None)),
    (f"GE {GE_B}", _ge_b),
    (f"Philips {PHILIPS_B}", _private_b(PHILIPS_B)),
    (f"UIH {UIH_B}", _private_b(UIH_B)),
    ("Canon ImageComments (0020,4000)", _canon_b),
    ("Siemens SequenceName (0018,0024)", _siemens_sequence_b),
)
"""In the order in which they are believed."""


def _three(values: Sequence[float]) -> Direction | None:
    return (values[0], values[1], values[2]) if len(values) == 3 else None


def _standard_direction(ds: Dataset) -> Direction | None:
    nested = [numbers(item, "DiffusionGradientOrientation") for item in items(ds, "DiffusionGradientDirectionSequence")]
    return _three(next(iter(nested), numbers(ds, "DiffusionGradientOrientation")))


def _each(tags: Sequence[PrivateTag]) -> Callable[[Dataset], Direction | None]:
    return lambda ds: _three([value for tag in tags for value in private_numbers(ds, tag)[:1]])


def _canon_direction(ds: Dataset) -> Direction | None:
    found = _CANON_COMMENT.search(text(ds, "ImageComments")) if _made_by(ds, "CANON", "TOSHIBA") else None
    try:
        return _three([float(word) for word in found.group(2).split(",")]) if found and found.group(2) else None
    except ValueError:
        return None


_DIRECTIONS: tuple[Callable[[Dataset], Direction | None], ...] = (
    _standard_direction,
    lambda ds: _three(private_numbers(ds, SIEMENS_DIRECTION)),
    lambda ds: _three(csa_numbers(ds, "DiffusionGradientDirection")),
    _each(GE_DIRECTION),
    _each(PHILIPS_DIRECTION),
    lambda ds: _three(private_numbers(ds, UIH_DIRECTION)),
    _canon_direction,
)


def _weighting(places: Sequence[Dataset], direction: Direction | None) -> Weighting:
    """Of an image with b above 0. A direction of no length beside a b-value is that of a combined image."""
    said = _first(_directionality, places)
    if said is not None:
        return said
    if direction is not None:
        return Weighting.DIRECTIONAL if _unit(direction) else Weighting.TRACE
    return Weighting.UNSAID


def _directionality(ds: Dataset) -> Weighting | None:
    """What the header says in a word; one place's word is enough."""
    words = {
        text(ds, "DiffusionDirectionality"),
        private_text(ds, SIEMENS_DIRECTIONALITY),
        csa_text(ds, "DiffusionDirectionality"),
        private_text(ds, PHILIPS_DIRECTIONALITY),
    }
    kinds = {word.upper() for word in texts(ds, "ImageType")}
    sequence = _siemens_sequence(ds)
    if words & {"ISOTROPIC", "I"} or kinds & {"TRACEW", "TRACE"} or (sequence and sequence.group(2)):
        return Weighting.TRACE
    if words & {"DIRECTIONAL", "BMATRIX", "O", "P", "M", "S"} or (sequence and sequence.group(3)):
        return Weighting.DIRECTIONAL
    return None


def _unit(direction: Direction | None) -> Direction | None:
    """The direction at length 1, turned so that opposite gradients are one; None where it has no length."""
    if direction is None:
        return None
    length = sum(x * x for x in direction) ** 0.5
    if length < 1e-3:
        return None
    sign = 1.0 if next(x for x in reversed(direction) if abs(x) > 1e-4 * length) > 0 else -1.0
    x, y, z = (round(sign * x / length, 3) + 0.0 for x in direction)
    return x, y, z


def _made_by(ds: Dataset, *names: str) -> bool:
    return text(ds, "Manufacturer").upper().startswith(names)
