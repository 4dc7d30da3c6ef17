"""PET series, from headers: the one that is corrected for attenuation is measured, and called FDG where it is FDG."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, number, text, texts
from her2node.selection.roles import Role
from her2node.selection.study import Series

SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.128",  # Positron Emission Tomography Image Storage
        "1.2.840.10008.5.1.4.1.1.128.1",  # Legacy Converted Enhanced PET Image Storage
        "1.2.840.10008.5.1.4.1.1.130",  # Enhanced PET Image Storage
    }
)
F18_HALF_LIFE_S = 6586.2
TAKEN_FOR_FDG = "tracer not told, taken for FDG by its half-life"
"""The evidence of a series whose header names neither its tracer nor another nuclide than F-18."""

_DERIVED = frozenset({"MIP", "MPR", "REFORMATTED", "PROJECTION IMAGE", "SECONDARY"})
_FDG_CODES = frozenset({"35321007", "C-B1031"})
"""Fluorodeoxyglucose F^18^ by SCT and SNOMED RT (PS3.16 CID 4021)."""
_FDG = re.compile(r"fdg(?!al)|flu.*ox[yi].*glu[ck]os[ea](?!min)", re.IGNORECASE)
"""FDG, fluorodeoxyglucose, fludeoxyglucose, 2-fluoro-2-deoxy-D-glucose; neither FDGal nor a glucosamine."""
_F18_CODES = frozenset({"77004003", "C-111A1"})
"""^18^Fluorine by SCT and SNOMED RT (PS3.16 CID 4020)."""
_F18_NAMES = frozenset({"f18", "18f", "fluorine18", "18fluorine", "fluor18", "18fluor"})
_F18_WORDS = re.compile(r"(?<!\w)f-?18(?!\d)|(?<!\d)18-?f(?!\w)", re.IGNORECASE)
_SAME_HALF_LIFE = 0.02
"""Relative; headers give 6580 to 6600 s."""


def role_of(series: Series) -> tuple[Role | None, str]:
    """The role of a PET series and the evidence; no role for one that is kept out.

    Without attenuation correction, or a projection or reformat: kept out. Another tracer than FDG has a role of its
    own, and so has one of which nothing tells that it is FDG: what is measured by FDG's thresholds must be FDG.
    """
    header = series.first
    if "ATTN" not in {word.upper() for word in texts(header, "CorrectedImage")}:
        return None, "CorrectedImage names no attenuation correction"
    kinds = {word.upper() for word in texts(header, "ImageType")}
    if derived := _DERIVED & kinds:
        return None, f"derived image: ImageType {'/'.join(sorted(derived))}"
    given = items(header, "RadiopharmaceuticalInformationSequence")
    named = [says for item in given for says in _tracers(item)]
    if not all(named) or not all(says for item in given for says in _nuclides(item)):
        return Role.PET_OTHER_TRACER, f"PET corrected for attenuation, {_words(given)}: not FDG, or not FDG alone"
    if named:
        return Role.PET, f"PET corrected for attenuation, {_words(given)}"
    if given and all(map(has_half_life_of_f18, given)):
        return Role.PET, TAKEN_FOR_FDG
    return Role.PET_OTHER_TRACER, f"PET corrected for attenuation, {_words(given)}: nothing tells that it is FDG"


def names_f18(given: Dataset) -> bool:
    """Whether an item of RadiopharmaceuticalInformationSequence names F-18, by a code or in words."""
    word = text(given, "Radiopharmaceutical")
    return any(_nuclides(given)) or any(_tracers(given)) or bool(_F18_WORDS.search(word)) or _is_f18(word)


def has_half_life_of_f18(given: Dataset) -> bool:
    """Whether RadionuclideHalfLife is that of F-18 within 2 %."""
    half_life = number(given, "RadionuclideHalfLife")
    return half_life is not None and abs(half_life / F18_HALF_LIFE_S - 1) <= _SAME_HALF_LIFE


def _tracers(given: Dataset) -> list[bool]:
    """Of every word and code that names the tracer, whether it is FDG. A nuclide's name names no tracer."""
    word = text(given, "Radiopharmaceutical")
    found = [bool(_FDG.search(word))] if word and not _is_f18(word) else []
    for code, meaning in _coded(given, "RadiopharmaceuticalCodeSequence"):
        found.append(code in _FDG_CODES or bool(_FDG.search(meaning)))
    return found


def _nuclides(given: Dataset) -> list[bool]:
    """Of every nuclide that is coded, whether it is F-18."""
    return [code in _F18_CODES or _is_f18(meaning) for code, meaning in _coded(given, "RadionuclideCodeSequence")]


def _coded(given: Dataset, keyword: str) -> list[tuple[str, str]]:
    """Value and meaning of the codes that are not empty."""
    codes = [(text(item, "CodeValue"), text(item, "CodeMeaning")) for item in items(given, keyword)]
    return [code for code in codes if any(code)]


def _is_f18(word: str) -> bool:
    """Whether a word names F-18 and nothing else."""
    return re.sub(r"[\W_]", "", word).lower() in _F18_NAMES


def _words(given: Sequence[Dataset]) -> str:
    """What the header says of the tracer and its nuclide."""
    said = [
        word
        for item in given
        for word in (
            text(item, "Radiopharmaceutical"),
            *(meaning or code for code, meaning in _coded(item, "RadiopharmaceuticalCodeSequence")),
            *(meaning or code for code, meaning in _coded(item, "RadionuclideCodeSequence")),
        )
        if word
    ]
    half_lives = [f"half-life {text(item, 'RadionuclideHalfLife') or 'untold'}" for item in given]
    return (
        f"tracer {', '.join([*dict.fromkeys(said), *half_lives])}"
        if said
        else ", ".join(["tracer untold", *half_lives])
    )
