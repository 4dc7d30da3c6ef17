"""Which series stands for a role when several play it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from her2node.dicom.attributes import number, text
from her2node.errors import RoleAmbiguous, RoleMissing
from her2node.selection import dce, mr
from her2node.selection.assignment import Assignment, assign, confirmed, image_type
from her2node.selection.content import Judgement
from her2node.selection.dynamic import scans, series_a_point, time_points
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from her2node.selection.study import Series, Study

PHASES = (Role.PLAIN, Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM)
"""The roles that one series alone may play."""

_SHARP_KERNEL = re.compile(
    r"bone|lung|edge|detail|sharp|ultra|hr\d|bl\d|(?<![a-z])[bu]r?[5-9]\d|(?<![a-z])fc(?:[358]\d|1[3-9])|(?<![a-z])y[a-d](?![a-z])",
    re.IGNORECASE,
)
RULE = "original axial first, then the softer kernel, the thinner slices, the more images"


@dataclass(frozen=True)
class Selection:
    """The roles of a study: every series' assignment, and for each phase the one series that stands for it."""

    assignments: tuple[Assignment, ...]
    chosen: Mapping[Role, str]
    """Role -> series UID."""
    ambiguous: Mapping[Role, RoleAmbiguous]

    def series_uid_of(self, role: Role) -> str:
        """The UID of the series that stands for ``role``. Raises RoleMissing, RoleAmbiguous."""
        if role in self.ambiguous:
            raise self.ambiguous[role]
        if role not in self.chosen:
            raise self._missing(role)
        return self.chosen[role]

    def _missing(self, role: Role) -> RoleMissing:
        open_uids = [a.series_instance_uid for a in self.assignments if a.role is Role.CONTRAST_UNSPECIFIED]
        if not open_uids:
            return RoleMissing(f"no series plays the role {role}")
        return RoleMissing(
            f"no series plays the role {role}; the phase of {', '.join(open_uids)} is not known",
            remedy=f"enter role:{open_uids[0]}={role}, or add a rule to selection.rules",
        )

    def of(self, series_instance_uid: str) -> Assignment:
        return next(a for a in self.assignments if a.series_instance_uid == series_instance_uid)


def select(
    study: Study,
    rules: Sequence[SiteRule],
    entered: Mapping[str, Role | None],
    images: Mapping[str, Judgement] | None = None,
) -> Selection:
    """Assign every series, and choose among several of one phase by ``RULE``; what an entered role names goes first.

    ``images``: what the voxels of a series say, by its UID; a series that is not in it is assigned by headers alone.
    Series that are time points of one scan play perfusion, or DCE, together; the first of them stands for the scan, and
    MR series of several flip angles beside a dynamic examination are for its T1. Where the
    rule finds two alike, the role is ambiguous: no series is chosen, and ``series_uid_of`` says why.
    """
    heard = images or {}
    assignments = {s.series_instance_uid: assign(s, rules, entered) for s in study.series}
    _join_time_points(study, assignments, rules, entered)
    _join_dynamic(study, assignments, rules, entered)
    for series in study.series:
        uid = series.series_instance_uid
        if uid in heard:
            assignments[uid] = confirmed(assignments[uid], series, heard[uid])
    players: dict[Role, list[Series]] = defaultdict(list)
    for series in study.series:
        role = assignments[series.series_instance_uid].role
        if role in PHASES:
            players[role].append(series)
    chosen: dict[Role, str] = {}
    ambiguous: dict[Role, RoleAmbiguous] = {}
    for role, candidates in players.items():
        named = [series for series in candidates if series.series_instance_uid in entered] or candidates
        ranked = sorted(named, key=_rank)
        if len(ranked) > 1 and _rank(ranked[0]) == _rank(ranked[1]):
            alike = [s.series_instance_uid for s in ranked if _rank(s) == _rank(ranked[0])]
            ambiguous[role] = RoleAmbiguous(
                f"{', '.join(alike)} are alike for {role} ({RULE})",
                remedy=f"enter role:{alike[0]}={role}, or role:SERIES_UID=ignore for the others",
            )
            continue
        best = chosen[role] = ranked[0].series_instance_uid
        for other in candidates:
            uid = other.series_instance_uid
            assignments[uid] = _with_choice(assignments[uid], best, len(candidates))
    for role, grouped in ((Role.PERFUSION, scans), (Role.DCE, dce.examinations)):
        _choose_scan(role, grouped(_players(study, assignments, role)), chosen, ambiguous)
    return Selection(tuple(assignments.values()), chosen, ambiguous)


def _join_time_points(
    study: Study,
    assignments: dict[str, Assignment],
    rules: Sequence[SiteRule],
    entered: Mapping[str, Role | None],
) -> None:
    """Give perfusion to series that are each a time point, unless a reader or a site rule says otherwise."""
    free = [
        series
        for series in _undecided(study, rules, entered)
        if not assignments[series.series_instance_uid].ignored
        and assignments[series.series_instance_uid].role not in (Role.ROI, Role.PERFUSION)
    ]
    for scan in series_a_point(free):
        _assign_scan(Role.PERFUSION, scan, time_points(scan).words, assignments)


def _join_dynamic(
    study: Study,
    assignments: dict[str, Assignment],
    rules: Sequence[SiteRule],
    entered: Mapping[str, Role | None],
) -> None:
    """Give DCE to MR series that are each a time point; then, beside any that are dynamic, its role to those of several
    flip angles."""
    free = [
        series
        for series in _undecided(study, rules, entered)
        if assignments[series.series_instance_uid].role is None and mr.is_plain(series)
    ]
    for scan in dce.series_a_point(free):
        _assign_scan(Role.DCE, scan, dce.time_points(scan).words, assignments)
    if not _players(study, assignments, Role.DCE):
        return
    left = [series for series in free if assignments[series.series_instance_uid].role is None]
    for slab in dce.flip_angle_sets(left):
        for series in slab:
            uid, angles = series.series_instance_uid, dce.angles_of((series,))
            said = ", ".join(f"{angle:g}" for angle in angles)
            words = f"flip angle {said} of {', '.join(f'{a:g}' for a in dce.angles_of(slab))} degrees, for T1"
            assignments[uid] = Assignment(uid, Role.FLIP_ANGLES, (words,))


def _undecided(study: Study, rules: Sequence[SiteRule], entered: Mapping[str, Role | None]) -> list[Series]:
    """The series of which neither a reader nor a site rule has said anything."""
    return [
        series
        for series in study.series
        if series.series_instance_uid not in entered and not any(rule.matches(series.first) for rule in rules)
    ]


def _assign_scan(role: Role, scan: Sequence[Series], words: str, assignments: dict[str, Assignment]) -> None:
    for series in scan:
        uid = series.series_instance_uid
        assignments[uid] = Assignment(uid, role, (f"one of {len(scan)} series that are {words}",))


def _players(study: Study, assignments: Mapping[str, Assignment], role: Role) -> list[Series]:
    return [series for series in study.series if assignments[series.series_instance_uid].role is role]


def _choose_scan(
    role: Role,
    found: Sequence[Sequence[Series]],
    chosen: dict[Role, str],
    ambiguous: dict[Role, RoleAmbiguous],
) -> None:
    firsts = [scan[0].series_instance_uid for scan in found]
    if len(firsts) == 1:
        chosen[role] = firsts[0]
    elif firsts:
        ambiguous[role] = RoleAmbiguous(
            f"{len(firsts)} {role} scans: {', '.join(firsts)}", remedy="enter role:SERIES_UID=ignore for the others"
        )


def _with_choice(assignment: Assignment, best: str, candidates: int) -> Assignment:
    if candidates == 1:
        return assignment
    mine = assignment.series_instance_uid == best
    said = f"chosen among {candidates} series of this role" if mine else f"{best} was chosen for this role"
    return replace(assignment, evidence=(*assignment.evidence, f"{said}: {RULE}"))


def _rank(series: Series) -> tuple[bool, bool, bool, float, int]:
    """Lower is better; the rule of ``RULE``. An unknown thickness counts as thick."""
    kinds = image_type(series)
    return (
        "DERIVED" in kinds[:1],
        "AXIAL" not in kinds,
        bool(_SHARP_KERNEL.search(text(series.first, "ConvolutionKernel"))),
        number(series.first, "SliceThickness") or float("inf"),
        -sum(int(number(instance.header, "NumberOfFrames") or 1) for instance in series.instances),
    )
