"""The role of one series: what was entered, else a site rule, else witnesses that agree."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydicom.uid import (
    CTImageStorage,
    DeformableSpatialRegistrationStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
    SpatialRegistrationStorage,
)

from her2node.dicom.attributes import texts
from her2node.selection import mr, pet
from her2node.selection.content import Judgement
from her2node.selection.dynamic import time_points
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from her2node.selection.spectral import Spectral, spectral
from her2node.selection.study import Series
from her2node.selection.witnesses import Testimony, agent_phase, contrast_tags, description, timing

CT_CLASSES = frozenset({CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})
ROI_CLASSES = frozenset({SegmentationStorage, RTStructureSetStorage, "1.2.840.10008.5.1.4.1.1.66.7"})
"""SEG, RTSTRUCT and Label Map Segmentation, which pydicom 3.0 has no name for."""

REGISTRATION_CLASSES = frozenset({SpatialRegistrationStorage, DeformableSpatialRegistrationStorage})

_NO_IMAGES = (
    (ROI_CLASSES, Role.ROI, "holds given regions of interest"),
    (REGISTRATION_CLASSES, Role.REGISTRATION, "leads from one frame of reference to another"),
)
_REDRAWN_TYPES = frozenset({"MIP", "MPR", "MINIP", "REFORMATTED", "PROJECTION IMAGE", "CSA MPR"})
_DERIVED_TYPES = frozenset(
    {"MIP", "MPR", "MINIP", "AVERAGE", "REFORMATTED", "PROJECTION IMAGE", "CSA MPR", "SECONDARY"}
)
_SCOUT = re.compile(
    r"(?<![a-z])(?:scout|topogram|localizer|surview|dose (?:report|info\w*)|patient protocol|smart ?prep"
    r"|(?:pre)?monitoring|bolus ?track\w*|test ?bolus|mip|mpr|vrt?)(?![a-z])|定位|剂量|监测",
    re.IGNORECASE,
)

ENTERED = "entered by a reader"
"""The evidence of a role that a reader entered."""


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
    description, contrast tags and timing where they agree.

    A localizer, or an object that is no CT, MR or PET image, has no role whatever a rule says; a derived CT image (MIP,
    MPR) has one only when entered or named by a rule. SEG and RTSTRUCT are ROIs, REG are registrations.
    """
    uid = series.series_instance_uid
    if uid in entered:
        return Assignment(uid, entered[uid], (ENTERED,), ignored=entered[uid] is None)
    classes = {instance.identity.sop_class_uid for instance in series.instances}
    if not any(classes <= known for known in (CT_CLASSES, mr.SOP_CLASSES, pet.SOP_CLASSES)):
        return _without_images(series, classes)
    if "LOCALIZER" in image_type(series):
        return Assignment(uid, None, ("ImageType names a localizer",), ignored=True)
    rule = next((rule for rule in rules if rule.matches(series.first)), None)
    if rule is not None and (rule.role is None or classes <= CT_CLASSES):  # the roles of rules are those of CT
        return Assignment(uid, rule.role, (f"site rule {rule}",), ignored=rule.role is None)
    if classes <= mr.SOP_CLASSES:
        role, reason = mr.role_of(series)
        return Assignment(uid, role, (reason,), ignored=role is None)
    if classes <= pet.SOP_CLASSES:
        role, reason = pet.role_of(series)
        return Assignment(uid, role, (reason,), ignored=role is None)
    of_two_energies = spectral(series)
    if of_two_energies is not None:
        redrawn = _redrawn(series)
        if redrawn:
            return Assignment(uid, None, (redrawn,), ignored=True)
        return _spectral(series, of_two_energies)
    kept_out = _not_for_measuring(series)
    if kept_out:
        return Assignment(uid, None, (kept_out,), ignored=True)
    counted = time_points((series,))
    if counted.is_perfusion:
        return Assignment(uid, Role.PERFUSION, (counted.words,))
    return weighed(series)


def _without_images(series: Series, classes: set[str]) -> Assignment:
    uid = series.series_instance_uid
    for known, role, words in _NO_IMAGES:
        if classes <= known:
            return Assignment(uid, role, (f"{series.modality} {words}",))
    return Assignment(uid, None, (f"modality {series.modality or 'untold'}: no CT, MR or PET images",), ignored=True)


def _spectral(series: Series, found: Spectral) -> Assignment:
    """A dual-energy series with its role, or kept out; its phase is told as that of a classic one."""
    uid = series.series_instance_uid
    if found.role is None:
        return Assignment(uid, None, (*found.evidence, "no dual-energy image that is measured"), ignored=True)
    by_headers = weighed(series).role
    phase = by_headers if by_headers in (Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM) else None
    return Assignment(uid, found.role, (*found.evidence, f"phase: {phase or 'not told'}"), phase=phase)


def image_type(series: Series) -> tuple[str, ...]:
    """The values of ImageType of the first image, in capitals."""
    return tuple(value.upper() for value in texts(series.first, "ImageType"))


def _redrawn(series: Series) -> str:
    """Why a dual-energy series is a projection or reformat, or ''. That it is derived says nothing: all are."""
    kinds = image_type(series)
    if _REDRAWN_TYPES.intersection(kinds):
        return f"derived image: ImageType {'/'.join(kinds)}"
    found = _SCOUT.search(series.description)
    return f"SeriesDescription says '{found.group()}'" if found else ""


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


def weighed(series: Series) -> Assignment:
    """The phase on which all witnesses that name one agree; contrast-unspecified where they do not."""
    uid = series.series_instance_uid
    said, tagged, agent, timed = witnesses = _witnesses(series)
    evidence = tuple(witness.words for witness in witnesses if witness.words)
    named = [witness for witness in witnesses if witness.phases]
    phases = frozenset[Role]().union(*(witness.phases for witness in named))
    if len(phases) == 1:
        role = next(iter(phases))
        contradiction = _contradiction(role, tagged, (timed, agent), said)
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


def is_silent(series: Series) -> bool:
    """Whether no witness names a phase and none denies contrast; tags that contradict each other are not silent."""
    return not any(witness.phases or witness.contrast is False for witness in _witnesses(series))


def _witnesses(series: Series) -> tuple[Testimony, Testimony, Testimony, Testimony]:
    return description(series), contrast_tags(series), agent_phase(series), timing(series)


def _contradiction(role: Role, tagged: Testimony, when: tuple[Testimony, ...], said: Testimony) -> str:
    """Why the one named phase is not believed, or ''. ``when``: what tells the time of the scan from that of the bolus.

    A contrast agent in the tags does not contradict a plain scan that was acquired before the bolus: the agent is then
    that of the examination.
    """
    if role is Role.PLAIN:
        later = tagged.contrast is True and not any(Role.PLAIN in witness.phases for witness in when)
        if later or any(witness.contrast is True for witness in (*when, said)):
            return "the phase is named plain, but the tags speak of contrast"
        return ""
    if tagged.contrast is False or said.contrast is False:
        return f"the phase is named {role}, but the tags say that no contrast was given"
    return ""


def confirmed(assignment: Assignment, series: Series, images: Judgement) -> Assignment:
    """The assignment after the images have testified: named by them, borne out by them, or contrast-unspecified.

    What was entered, or a rule of the site, stands. The phase that headers name must be borne out by the images;
    where these cannot tell, two of description, agent and timing must have named it. A phase that images alone name
    must not contradict the contrast tags. Precedence never makes a guess of a disagreement.
    """
    words = (images.testimony.words,) if images.testimony.words else ()
    evidence = (*assignment.evidence, *words)
    said = replace(assignment, evidence=evidence)
    role = assignment.role
    if assignment.ignored or role is Role.ROI or assignment.evidence[:1] == (ENTERED,) or _by_rule(assignment):
        return said
    if role in (None, Role.CONTRAST_UNSPECIFIED):
        return _named_by_images(said, series, images)
    if images.allows(role, named_twice=_named_twice(series, role)):
        return said
    doubt = _doubt(role, images)
    if doubt is None and _named_twice(series, role):
        return replace(said, evidence=(*evidence, "the images cannot tell the phase, two witnesses agree"))
    doubt = doubt or "the images cannot tell the phase, and one witness alone is not believed"
    return replace(said, role=Role.CONTRAST_UNSPECIFIED, evidence=(*evidence, doubt))


def _by_rule(assignment: Assignment) -> bool:
    return bool(assignment.evidence) and assignment.evidence[0].startswith("site rule ")


def _doubt(role: Role, images: Judgement) -> str | None:
    """Why the images speak against ``role``, or None where they are silent."""
    if images.testimony.phases:
        return f"the headers name the phase {role}, but the images speak for {next(iter(images.testimony.phases))}"
    if images.likely or images.testimony.contrast is not None:
        return f"the headers name the phase {role}, which the images do not bear out"
    return None


def _named_twice(series: Series, role: Role) -> bool:
    named = [witness.phases for witness in _witnesses(series) if witness.phases]
    return len(named) > 1 and all(phases == {role} for phases in named)


def _named_by_images(said: Assignment, series: Series, images: Judgement) -> Assignment:
    """The images' phase for a series that headers leave open without contradicting each other or the images."""
    if len(images.testimony.phases) != 1:
        return said
    role = next(iter(images.testimony.phases))
    witnesses = _witnesses(series)
    named = frozenset[Role]().union(*(witness.phases for witness in witnesses))
    if named:
        why = f"the headers disagree ({', '.join(sorted(named))}), so the images' word alone is not taken"
        return replace(said, role=Role.CONTRAST_UNSPECIFIED, evidence=(*said.evidence, why))
    heard = {witness.contrast for witness in witnesses} - {None}
    if heard and heard != {role is not Role.PLAIN}:
        why = f"the images speak for {role}, the tags against it"
        return replace(said, role=Role.CONTRAST_UNSPECIFIED, evidence=(*said.evidence, why))
    return replace(said, role=role)
