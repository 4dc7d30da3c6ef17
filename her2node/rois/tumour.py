"""Which of the given regions is the tumour."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from her2node.errors import AmbiguousRoi, NoRoi
from her2node.rois.given import GivenRoi

_PRIMARY = frozenset({("372087000", "SCT"), ("86049000", "SCT"), ("M-80003", "SRT")})
"""Neoplasm, Primary (CID 7194) and its older codes."""
_NEOPLASM = frozenset({("108369006", "SCT"), ("M-80000", "SRT"), ("228791009", "SCT")})
"""Neoplasm; gross tumour volume."""
_LABEL = re.compile(r"tumou?r|gtv|lesion|neoplasm|cancer|carcinoma|karzinom|肿瘤|腫瘤|病灶|癌|瘤", re.IGNORECASE)
_OTHER = re.compile(r"metasta|node|lymph|second|转移|轉移|淋巴", re.IGNORECASE)
"""Lesions that are not the primary tumour."""
_NEVER = datetime.min.replace(tzinfo=UTC)


def current(regions: Sequence[GivenRoi]) -> tuple[GivenRoi, ...]:
    """The regions without those that a later object corrects: same tracking UID, or same label, in another object.

    Later is by ``created``; a region without it counts as the oldest. The order of the others is kept.
    """
    latest: dict[tuple[str, str], tuple[datetime, str]] = {}
    for region in regions:
        for name in _names(region):
            latest[name] = max(_age(region), latest.get(name, _age(region)))
    return tuple(region for region in regions if all(latest[name] <= _age(region) for name in _names(region)))


def tumour_of(regions: Sequence[GivenRoi]) -> GivenRoi:
    """The region that is the tumour, by the first of these that names any: the type code of a primary neoplasm, the
    type code of a neoplasm, a label like tumour, GTV, lesion, 肿瘤 (but not metastasis or node); else the only region.

    Raises NoRoi without regions, AmbiguousRoi where the rule names several or none of several.
    """
    if not regions:
        raise NoRoi("no SEG and no RTSTRUCT of others")
    for candidates in (_of_type(regions, _PRIMARY), _of_type(regions, _NEOPLASM), _labelled(regions), list(regions)):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            labels = ", ".join(repr(region.label) for region in candidates)
            raise AmbiguousRoi(labels, remedy="label one region as the tumour, e.g. 'GTV', or code it as a neoplasm")
    raise NoRoi("no region")


def names_lesion(region: GivenRoi) -> bool:
    """Whether a region is a lesion of any kind, by its type code or its label."""
    return bool(_of_type([region], _PRIMARY | _NEOPLASM) or _LABEL.search(region.label) or _OTHER.search(region.label))


def _of_type(regions: Sequence[GivenRoi], codes: frozenset[tuple[str, str]]) -> list[GivenRoi]:
    return [
        region for region in regions if region.type is not None and (region.type.value, region.type.scheme) in codes
    ]


def _labelled(regions: Sequence[GivenRoi]) -> list[GivenRoi]:
    return [region for region in regions if _LABEL.search(region.label) and not _OTHER.search(region.label)]


def _names(region: GivenRoi) -> tuple[tuple[str, str], tuple[str, str]]:
    """What a correction shares with what it corrects, either of the two."""
    return ("tracking uid", region.tracking_uid), ("label", region.label.strip().casefold())


def _age(region: GivenRoi) -> tuple[datetime, str]:
    """Objects of one moment are put in the order of their UIDs, so that one of two always wins."""
    return region.created or _NEVER, region.source_sop_instance_uid
