"""The contrast phase of dual-energy series: by their headers, by images like those of 120 kVp, by their acquisition.

An iodine map shows no anatomy by which a phase could be judged, and far from 70 keV attenuations are not those that the
judge knows. But whatever a scanner calculates of one acquisition is in one phase: a series takes the phase that the
images of another of the same acquisition tell. Witnesses that disagree leave the phase untold, for every dual-energy
series of the acquisition. Where classic series of different phases bear one time, as where de-identification has
cleared it, the clock tells of no acquisition, and every series has what is said of itself alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from her2node.dicom.attributes import text
from her2node.selection.assignment import ENTERED, Assignment, is_silent
from her2node.selection.content import Judgement
from her2node.selection.roles import Role
from her2node.selection.spectral import spectral
from her2node.selection.study import Series, Study
from her2node.selection.witnesses import acquired

CONTRASTED = (Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM)
_SCANNED = (Role.PLAIN, *CONTRASTED)
_DUAL = (Role.IODINE, Role.MONOENERGETIC, Role.EFFECTIVE_Z)
_SAME_ACQUISITION_S = 2.0
"""Between the first images of two series that were calculated of one acquisition."""


@dataclass(frozen=True)
class _Acquired:
    """A series as far as its phase is told, and its acquisition: frame of reference, day, time of the first image (None
    where it cannot be known). ``disputed``: it is a dual-energy series of whose phase witnesses disagree, or one denies
    contrast."""

    assignment: Assignment
    acquisition: tuple[str, str, float] | None
    disputed: bool = False

    @property
    def phase(self) -> Role | None:
        one = self.assignment
        if one.ignored:
            return None
        return one.role if one.role in CONTRASTED else one.phase

    def goes_with(self, other: _Acquired) -> bool:
        """Whether both were calculated of one acquisition."""
        if self.acquisition is None or other.acquisition is None or self is other:
            return False
        *where, when = self.acquisition
        *place, moment = other.acquisition
        return where == place and abs(when - moment) <= _SAME_ACQUISITION_S


def with_phases(
    study: Study, assignments: Mapping[str, Assignment], images: Mapping[str, Judgement]
) -> dict[str, Assignment]:
    """``assignments`` with the phases of dual-energy series; ``images``: what the voxels of some say, by UID."""
    found = dict(assignments)
    dual = [series for series in study.series if _is_dual(found[series.series_instance_uid])]
    if not dual:
        return found
    disputed = {series.series_instance_uid for series in dual if not is_silent(series)}
    for series in dual:
        uid = series.series_instance_uid
        if uid in images:
            found[uid] = _heard(found[uid], images[uid], silent=uid not in disputed)
            disputed |= {uid} if images[uid].testimony.contrast is False else set()
    acquired_ = {
        uid: _Acquired(found[uid], when, uid in disputed and found[uid].phase is None)
        for uid, when in _acquisitions(study, found).items()
    }
    for uid in (series.series_instance_uid for series in dual):
        mine = acquired_[uid]
        beside = [other for other in acquired_.values() if mine.goes_with(other)]
        found[uid] = _agreed(mine, beside)
    return found


def _is_dual(assignment: Assignment) -> bool:
    return assignment.role in _DUAL and not assignment.ignored and assignment.evidence[:1] != (ENTERED,)


def _acquisitions(study: Study, assignments: Mapping[str, Assignment]) -> dict[str, tuple[str, str, float] | None]:
    """The acquisition of every series, by its UID; None for all where the clock tells nothing."""
    found = {series.series_instance_uid: _acquisition(series) for series in study.series}
    scans = [
        _Acquired(assignments[series.series_instance_uid], found[series.series_instance_uid])
        for series in study.series
        if assignments[series.series_instance_uid].role in _SCANNED and spectral(series) is None
    ]
    if any(one.goes_with(two) and one.assignment.role is not two.assignment.role for one in scans for two in scans):
        return dict.fromkeys(found)
    return found


def _acquisition(series: Series) -> tuple[str, str, float] | None:
    frame_of_reference, day = (text(series.first, keyword) for keyword in ("FrameOfReferenceUID", "AcquisitionDate"))
    times = [when for instance in series.instances for when in acquired(instance.header)]
    return (frame_of_reference, day, min(times)) if frame_of_reference and times else None


def _heard(assignment: Assignment, images: Judgement, *, silent: bool) -> Assignment:
    """The assignment of a series whose images testify: headers and images agree, or one of them is ``silent``."""
    if len(images.testimony.phases) != 1:
        return assignment
    (role,) = images.testimony.phases
    said = replace(assignment, evidence=(*assignment.evidence, images.testimony.words))
    if assignment.phase is None:
        alone = silent and role in CONTRASTED
        return _told(said, role, f"phase: {role}, by the images alone") if alone else said
    if assignment.phase is role:
        return said
    return _told(said, None, f"the headers name the phase {assignment.phase}, but the images speak for {role}")


def _agreed(mine: _Acquired, beside: Sequence[_Acquired]) -> Assignment:
    """The assignment beside what is told of other series of the same acquisition."""
    others = {one.phase: one.assignment.series_instance_uid for one in beside if one.phase is not None}
    if mine.disputed:  # it says so itself
        return mine.assignment
    doubtful = [one.assignment.series_instance_uid for one in beside if one.disputed]
    if doubtful:
        said = f"phase: not told, for what is said of series {doubtful[0]} of the same acquisition disagrees"
        return _told(mine.assignment, None, said)
    if not others or set(others) == {mine.phase}:
        return mine.assignment
    if len(others) > 1 or mine.phase is not None:
        said = f"phase: not told, for series of the same acquisition are in the phase {', '.join(sorted(others))}"
        return _told(mine.assignment, None, said)
    ((phase, uid),) = others.items()
    return _told(mine.assignment, phase, f"phase: {phase}, as series {uid} of the same acquisition")


def _told(assignment: Assignment, phase: Role | None, words: str) -> Assignment:
    return replace(assignment, phase=phase, evidence=(*assignment.evidence, words))
