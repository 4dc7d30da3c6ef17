"""Which of the given regions is the aorta."""

from __future__ import annotations

import re
from collections.abc import Sequence

from her2node.errors import AmbiguousRoi, NoReference
from her2node.rois.given import GivenRoi

_AORTA = frozenset({("15825003", "SCT"), ("7832008", "SCT"), ("T-42000", "SRT"), ("T-42500", "SRT")})
"""Aorta, abdominal aorta, and their older codes."""
_LABEL = re.compile(r"(?<![a-z])aort(?:a|ic)(?![a-z])|主动脉|主動脈", re.IGNORECASE)


def aorta_of(regions: Sequence[GivenRoi]) -> GivenRoi:
    """The region that is the aorta: by its type code, else by its label. Raises NoReference, AmbiguousRoi."""
    coded = [region for region in regions if region.type and (region.type.value, region.type.scheme) in _AORTA]
    found = coded or [region for region in regions if _LABEL.search(region.label)]
    if not found:
        raise NoReference("no region is the aorta", remedy="outline the aorta and label it so")
    if len(found) > 1:
        raise AmbiguousRoi(", ".join(repr(region.label) for region in found))
    return found[0]
