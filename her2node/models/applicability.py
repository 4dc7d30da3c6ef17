"""Whether a study lies within what a package was made for: flags where it is unusual, a refusal where it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np
from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, moment, number, text, texts
from her2node.errors import OutsideIntendedUse
from her2node.models.manifest import Limits, Manifest, TrainingSet
from her2node.models.prediction import Flag
from her2node.selection.roles import Role
from her2node.selection.study import Series

Played = tuple[Role, Role | None]
"""A role, and the contrast phase of it where a package names one."""
_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}


def judge(manifest: Manifest, series_of: Mapping[Played, Series]) -> tuple[Flag, ...]:
    """Flags for the patient and the required series (``series_of`` holds all of them).

    What headers do not tell is a flag, never an assumption. Raises OutsideIntendedUse for a modality that the package
    does not accept or a value outside a hard limit.
    """
    flags: list[Flag] = []
    for requirement in manifest.requires:
        series = series_of[requirement.role, requirement.phase]
        role = requirement.role
        if series.modality != requirement.modality:
            raise OutsideIntendedUse(f"the {role} series is {series.modality}, not {requirement.modality}")
        thickness = header_number(series.first, "SliceThickness", "PixelMeasuresSequence")
        flags += check("slice-thickness", f"slice thickness ({role})", thickness, "mm", requirement.slice_thickness_mm)
        voltage = header_number(series.first, "KVP", "CTXRayDetailsSequence")
        flags += check("tube-voltage", f"tube voltage ({role})", voltage, "kV", requirement.kvp)
        flags += _made_by("kernel", f"kernel ({role})", kernel(series.first), requirement.usual_kernel)
        flags += _made_by("scanner", f"scanner ({role})", scanner(series.first), requirement.usual_scanner)
    if manifest.age_years is not None and series_of:
        header = next(iter(series_of.values())).first
        flags += check("age", "age", age_years(header), "years", manifest.age_years)
    return tuple(flags)


def check(kind: str, name: str, value: float | None, unit: str, limits: Limits | None) -> Iterator[Flag]:
    """The flag for one value, if any. Raises OutsideIntendedUse outside the hard limits."""
    if limits is None:
        return
    shown = "" if unit == "1" else f" {unit}"
    if value is None:
        yield Flag(kind, f"{name} is not known")
        return
    for span, is_hard in ((limits.hard, True), (limits.usual, False)):
        if span is not None and not span[0] <= value <= span[1]:
            said = f"{name} {value:g}{shown} lies outside {span[0]:g} to {span[1]:g}{shown}"
            if is_hard:
                raise OutsideIntendedUse(said)
            yield Flag(kind, said)


def _made_by(kind: str, name: str, value: str, usual: str) -> Iterator[Flag]:
    if usual and not value:
        yield Flag(kind, f"{name} is not known")
    elif usual and not re.search(usual, value, re.IGNORECASE):
        yield Flag(kind, f"{name} '{value}' is none of those that the package was made for")


def unlike_training(seen: TrainingSet, inputs: Mapping[str, float]) -> Iterator[Flag]:
    """The flag for a case far from those that the model was fitted on.

    Squared Mahalanobis distance (x - mean)' covariance^-1 (x - mean) against ``usual``.
    """
    apart = np.array([inputs[name] for name in seen.inputs]) - np.array(seen.mean)
    distance = float(apart @ np.linalg.solve(np.array(seen.covariance), apart))
    if distance > seen.usual:
        yield Flag(
            "unlike-training",
            f"the inputs together lie far from the training set (squared distance {distance:.3g}, {seen.usual:.3g} "
            "is usual)",
        )


def kernel(header: Dataset) -> str:
    """ConvolutionKernel, of an enhanced object that of its reconstruction; '' where it is not told."""
    groups = (*items(header, "SharedFunctionalGroupsSequence"), *items(header, "PerFrameFunctionalGroupsSequence")[:1])
    places = (header, *(item for group in groups for item in items(group, "CTReconstructionSequence")))
    return next((found for place in places if (found := " ".join(texts(place, "ConvolutionKernel")))), "")


def scanner(header: Dataset) -> str:
    """Manufacturer and ManufacturerModelName; '' where neither is told."""
    return " ".join(filter(None, (text(header, "Manufacturer"), text(header, "ManufacturerModelName"))))


def header_number(header: Dataset, keyword: str, macro: str) -> float | None:
    """An attribute of a single-frame object, or of the functional group ``macro`` of an enhanced one."""
    groups = (
        *items(header, "SharedFunctionalGroupsSequence"),
        *items(header, "PerFrameFunctionalGroupsSequence")[:1],
    )
    places = (header, *(item for group in groups for item in items(group, macro)))
    return next((value for place in places if (value := number(place, keyword)) is not None), None)


def age_years(header: Dataset) -> float | None:
    """PatientAge (PS3.5 AS), else the time from PatientBirthDate to StudyDate, in years."""
    told = re.fullmatch(r"(\d{3})([DWMY])", text(header, "PatientAge"))
    if told:
        return int(told[1]) * _DAYS[told[2]] / _DAYS["Y"]
    born = moment(header, "PatientBirthDate", "PatientBirthTime")
    studied = moment(header, "StudyDate", "StudyTime")
    if born is None or studied is None or studied < born:
        return None
    return (studied - born).days / _DAYS["Y"]
