"""Which given regions are what a lesion is compared with: the aorta, an arterial input, the portal vein, the liver.

A type code decides where it names one of them or a neoplasm. Else the label does, unless it names a lesion too: a
node beside the aorta, a thrombus in the portal vein or a metastasis of the liver is no reference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from her2node.dicom.codes import Anatomy
from her2node.errors import AmbiguousRoi, NoReference
from her2node.rois.given import GivenRoi
from her2node.rois.tumour import names_lesion

_AORTA = frozenset(
    {(Anatomy.AORTA.value, Anatomy.AORTA.scheme), ("7832008", "SCT"), ("T-42000", "SRT"), ("T-42500", "SRT")}
)
"""Aorta, abdominal aorta, and their older codes."""
_PORTAL_VEIN = frozenset({(Anatomy.PORTAL_VEIN.value, Anatomy.PORTAL_VEIN.scheme), ("T-48810", "SRT")})
_LIVER = frozenset({(Anatomy.LIVER.value, Anatomy.LIVER.scheme), ("T-62000", "SRT")})
_KNOWN = _AORTA | _PORTAL_VEIN | _LIVER
_NAMED_AORTA = re.compile(r"(?<![a-z])aorta(?![a-z])|主[动動][脉脈]", re.IGNORECASE)
_NAMED_INPUT = re.compile(r"(?<![a-z])aif(?![a-z])|arterial[ _-]?input|[动動][脉脈][输輸]入", re.IGNORECASE)
_NAMED_PORTAL_VEIN = re.compile(r"portal[ _-]?vein|vena[ _-]?porta|pfortader|门静脉|門靜脈", re.IGNORECASE)
_NAMED_LIVER = re.compile(r"(?<![a-z])(?:liver|hepar|leber)(?![a-z])|肝(?:脏|臟)?$", re.IGNORECASE)
_BESIDE = re.compile(r"para|peri|thromb|invas|infiltr|旁|周|栓|侵", re.IGNORECASE)
"""Words for what lies beside or within a vessel."""


def is_aorta(region: GivenRoi) -> bool:
    """Whether a region is the aorta."""
    return _is(region, _AORTA, _NAMED_AORTA)


def is_portal_vein(region: GivenRoi) -> bool:
    """Whether a region is the portal vein."""
    return _is(region, _PORTAL_VEIN, _NAMED_PORTAL_VEIN)


def is_liver(region: GivenRoi) -> bool:
    """Whether a region is the liver."""
    return _is(region, _LIVER, _NAMED_LIVER)


def is_arterial_input(region: GivenRoi) -> bool:
    """Whether a region is labelled as the arterial input of perfusion."""
    return _is(region, frozenset(), _NAMED_INPUT)


def is_reference(region: GivenRoi) -> bool:
    """Whether a region is any of these, and so no tumour."""
    return any(of(region) for of in (is_aorta, is_portal_vein, is_liver, is_arterial_input))


def aorta_of(regions: Sequence[GivenRoi]) -> GivenRoi:
    """The region that is the aorta. Raises NoReference, AmbiguousRoi."""
    found = [region for region in regions if is_aorta(region)]
    if not found:
        raise NoReference("no region is the aorta", remedy="outline the aorta and label it so")
    if len(found) > 1:
        raise AmbiguousRoi(", ".join(repr(region.label) for region in found))
    return found[0]


def arteries(regions: Sequence[GivenRoi]) -> tuple[GivenRoi, ...]:
    """The regions that perfusion may take its input from: arterial inputs first, then aortas, in their order."""
    inputs = [region for region in regions if is_arterial_input(region)]
    return tuple(inputs + [region for region in regions if is_aorta(region) and region not in inputs])


def _is(region: GivenRoi, codes: frozenset[tuple[str, str]], label: re.Pattern[str]) -> bool:
    if region.type is not None and (region.type.value, region.type.scheme) in _KNOWN:
        return (region.type.value, region.type.scheme) in codes
    return bool(label.search(region.label)) and not names_lesion(region) and not _BESIDE.search(region.label)
