"""PET series, from headers: the one that is corrected for attenuation is measured."""

from __future__ import annotations

import re

from her2node.dicom.attributes import items, text, texts
from her2node.selection.roles import Role
from her2node.selection.study import Series

SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.128",  # Positron Emission Tomography Image Storage
        "1.2.840.10008.5.1.4.1.1.128.1",  # Legacy Converted Enhanced PET Image Storage
        "1.2.840.10008.5.1.4.1.1.130",  # Enhanced PET Image Storage
    }
)
_DERIVED = frozenset({"MIP", "MPR", "REFORMATTED", "PROJECTION IMAGE", "SECONDARY"})
_NOT_FDG = re.compile(r"dota|psma|fapi|choline|fluoride|\bnaf\b|fes\b|flt\b|amyloid|pib\b", re.IGNORECASE)


def role_of(series: Series) -> tuple[Role | None, str]:
    """The role of a PET series and the evidence; no role for one that is kept out.

    Without attenuation correction, or a projection or reformat: kept out. Another tracer than FDG has a role of its
    own.
    """
    header = series.first
    if "ATTN" not in {word.upper() for word in texts(header, "CorrectedImage")}:
        return None, "CorrectedImage names no attenuation correction"
    kinds = {word.upper() for word in texts(header, "ImageType")}
    if derived := _DERIVED & kinds:
        return None, f"derived image: ImageType {'/'.join(sorted(derived))}"
    tracer = tracer_of(series)
    if _NOT_FDG.search(tracer):
        return Role.PET_OTHER_TRACER, f"PET corrected for attenuation, Radiopharmaceutical {tracer}: no FDG"
    return Role.PET, f"PET corrected for attenuation, tracer {tracer or 'untold'}"


def tracer_of(series: Series) -> str:
    """Radiopharmaceutical in the header's words, '' when it says none."""
    sequence = items(series.first, "RadiopharmaceuticalInformationSequence")
    return next((found for item in sequence if (found := text(item, "Radiopharmaceutical"))), "")
