"""The role of one series: what was entered, else a site rule, else witnesses that agree."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from her2node.dicom.attributes import texts
from her2node.selection import mr
from her2node.selection.dynamic import time_points
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from her2node.selection.spectral import Spectral, spectral
from her2node.selection.study import Series
from her2node.selection.witnesses import Testimony, contrast_tags, description, timing

CT_CLASSES = frozenset({CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})
ROI_CLASSES = frozenset({SegmentationStorage, RTStructureSetStorage, "1.2.840.10008.5.1.4.1.1.66.7"})
"""SEG, RTSTRUCT and Label Map Segmentation, which pydicom 3.0 has no name for."""

_DERIVED_TYPES = frozenset(
    {"MIP", "MPR", "MINIP", "AVERAGE", "REFORMATTED", "PROJECTION IMAGE", "CSA MPR", "SECONDARY"}
)
_SCOUT = re.compile(
    r"(?<![a-z])(?:scout|topogram|localizer|surview|dose (?:report|info\w*)|patient protocol|smart ?prep"
    r"|(?:pre)?monitoring|bolus ?track\w*|test ?bolus|mip|mpr|vrt?)(?![a-z])|定位|剂量|监测",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Assignment:
    """The role of one series and every reason for it, in the order in which it was weighed.

    ``role`` None: nothing tells. ``ignored``: the series is kept out (localizer, derived image, report, another
    modality, a site rule that says so) and is neither measured nor given to a package. ``phase``: the contrast phase of
    a dual-energy series, whose role says what its values are.
    """

    series_instance_uid: str
    role: Role | None
    evidence: tuple[str, ...]
    ignored: bool = False
    phase: Role | None = None


def assign(series: Series, rules: Sequence[SiteRule], entered: Mapping[str, Role | None]) -> Assignment:
    """The role of ``series``. Precedence: ``entered`` (series UID -> role, None: keep out), then the first of ``rules``
    that matches, then what makes it a dual-energy series, then many time points at the same places, then the
    description, contrast tags and timing where they
    agree.

    A localizer, or an object that is no CT or MR image, has no role whatever a rule says; a derived CT image (MIP, MPR)
    has one only when entered or named by a rule. SEG and RTSTRUCT are ROIs.
    """
    uid = series.series_instance_uid
    if uid in entered:
        return Assignment(uid, entered[uid], ("entered by a reader",), ignored=entered[uid] is None)
    classes = {instance.identity.sop_class_uid for instance in series.instances}
    if classes <= ROI_CLASSES:
        return Assignment(uid, Role.ROI, (f"{series.modality} holds given regions of interest",))
    if not classes <= CT_CLASSES and not classes <= mr.SOP_CLASSES:
        return Assignment(uid, None, (f"modality {series.modality or 'untold'}: no CT or MR images",), ignored=True)
    if "LOCALIZER" in image_type(series):
        return Assignment(uid, None, ("ImageType names a localizer",), ignored=True)
    rule = next((rule for rule in rules if rule.matches(series.first)), None)
    if rule is not None:
        return Assignment(uid, rule.role, (f"site rule {rule}",), ignored=rule.role is None)
    if classes <= mr.SOP_CLASSES:
        role, reason = mr.role_of(series)
        return Assignment(uid, role, (reason,), ignored=role is None)
    of_two_energies = spectral(series)
    if of_two_energies is not None:
        return _spectral(series, of_two_energies)
    kept_out = _not_for_measuring(series)
    if kept_out:
        return Assignment(uid, None, (kept_out,), ignored=True)
    counted = time_points((series,))
    if counted.is_perfusion:
        return Assignment(uid, Role.PERFUSION, (counted.words,))
    return _weigh(series)


def _spectral(series: Series, found: Spectral) -> Assignment:
    """A dual-energy series with its role, or kept out; its phase is told as that of a classic one."""
    uid = series.series_instance_uid
    if found.role is None:
        return Assignment(uid, None, (*found.evidence, "no dual-energy image that is measured"), ignored=True)
    weighed = _weigh(series)
    phase = weighed.role if weighed.role in (Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM) else None
    return Assignment(uid, found.role, (*found.evidence, f"phase: {phase or 'not told'}"), phase=phase)


def image_type(series: Series) -> tuple[str, ...]:
    """The values of ImageType of the first image, in capitals."""
    return tuple(value.upper() for value in texts(series.first, "ImageType"))


def _not_for_measuring(series: Series) -> str:
    """Why a CT series is no scan to be measured, or ''.

    DERIVED/PRIMARY/AXIAL is a scan: dual-source scanners mix their two tubes so.
    """
    kinds = image_type(series)
    if _DERIVED_TYPES.intersection(kinds) or ("DERIVED" in kinds[:1] and "AXIAL" not in kinds):
        return f"derived image: ImageType {'/'.join(kinds)}"
    if found := _SCOUT.search(series.description):
        return f"SeriesDescription says '{found.group()}'"
    return ""


def _weigh(series: Series) -> Assignment:
    """The phase on which all witnesses that name one agree; contrast-unspecified where they do not."""
    uid = series.series_instance_uid
    said, tagged, timed = witnesses = (description(series), contrast_tags(series), timing(series))
    evidence = tuple(witness.words for witness in witnesses if witness.words)
    named = [witness for witness in (said, timed) if witness.phases]
    phases = frozenset[Role]().union(*(witness.phases for witness in named))
    if len(phases) == 1:
        role = next(iter(phases))
        contradiction = _contradiction(role, tagged, timed, said)
        if not contradiction:
            return Assignment(uid, role, evidence)
        return Assignment(uid, Role.CONTRAST_UNSPECIFIED, (*evidence, contradiction))
    if len(phases) > 1:
        names = ", ".join(sorted(phases))
        return Assignment(uid, Role.CONTRAST_UNSPECIFIED, (*evidence, f"the tags name several phases: {names}"))
    testified = {witness.contrast for witness in witnesses} - {None}
    if testified == {False}:
        return Assignment(uid, Role.PLAIN, evidence)
    if True in testified:
        return Assignment(
            uid, Role.CONTRAST_UNSPECIFIED, (*evidence, "contrast was given, but nothing tells the phase")
        )
    return Assignment(uid, None, ("neither description nor tags tell of contrast",))


def _contradiction(role: Role, tagged: Testimony, timed: Testimony, said: Testimony) -> str:
    """Why the one named phase is not believed, or ''.

    A contrast agent in the tags does not contradict a plain scan that was acquired before the bolus: the agent is then
    that of the examination.
    """
    if role is Role.PLAIN:
        later = tagged.contrast is True and Role.PLAIN not in timed.phases
        if later or timed.contrast is True or said.contrast is True:
            return "the phase is named plain, but the tags speak of contrast"
        return ""
    if tagged.contrast is False or said.contrast is False:
        return f"the phase is named {role}, but the tags say that no contrast was given"
    return ""
