"""Which of the given regions is the artery that perfusion takes its input from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from her2node.dicom.codes import Anatomy
from her2node.rois.given import GivenRoi

_LABEL = re.compile(
    r"^\W*(?:(?:abdominal|descending|thoracic)[ _-]?)?aorta(?![a-z])|^\W*aif(?![a-z])|arterial[ _-]?input"
    r"|^\W*(?:腹)?主[动動]脉|^\W*(?:腹)?主[动動]脈|[动動][脉脈][输輸]入",
    re.IGNORECASE,
)


def is_artery(region: GivenRoi) -> bool:
    """Whether a region is the aorta by its type code, or the aorta or an arterial input by its label."""
    coded = region.type is not None and (region.type.value, region.type.scheme) == (
        Anatomy.AORTA.value,
        Anatomy.AORTA.scheme,
    )
    return coded or bool(_LABEL.search(region.label))


def arteries(regions: Sequence[GivenRoi]) -> tuple[GivenRoi, ...]:
    """The regions that are arteries, in their order; one labelled as arterial input first."""
    found = [region for region in regions if is_artery(region)]
    return tuple(sorted(found, key=lambda region: "aorta" in region.label.casefold()))
