"""Which series stands for a role when several play it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from her2node.dicom.attributes import number, text
from her2node.errors import RoleAmbiguous, RoleMissing
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
    Series that are time points of one scan play perfusion together; the first of them stands for the scan. Where the
    rule finds two alike, the role is ambiguous: no series is chosen, and ``series_uid_of`` says why.
    """
    heard = images or {}
    assignments = {s.series_instance_uid: assign(s, rules, entered) for s in study.series}
    _join_time_points(study, assignments, rules, entered)
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
    _choose_perfusion(study, assignments, chosen, ambiguous)
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
        for series in study.series
        if series.series_instance_uid not in entered
        and not any(rule.matches(series.first) for rule in rules)
        and not assignments[series.series_instance_uid].ignored
        and assignments[series.series_instance_uid].role not in (Role.ROI, Role.REGISTRATION, Role.PERFUSION)
    ]
    for scan in series_a_point(free):
        words = f"one of {len(scan)} series that are {time_points(scan).words}"
        for series in scan:
            uid = series.series_instance_uid
            assignments[uid] = Assignment(uid, Role.PERFUSION, (words,))


def _choose_perfusion(
    study: Study,
    assignments: Mapping[str, Assignment],
    chosen: dict[Role, str],
    ambiguous: dict[Role, RoleAmbiguous],
) -> None:
    players = [s for s in study.series if assignments[s.series_instance_uid].role is Role.PERFUSION]
    firsts = [scan[0].series_instance_uid for scan in scans(players)]
    if len(firsts) == 1:
        chosen[Role.PERFUSION] = firsts[0]
    elif firsts:
        ambiguous[Role.PERFUSION] = RoleAmbiguous(
            f"{len(firsts)} perfusion scans: {', '.join(firsts)}", remedy="enter role:SERIES_UID=ignore for the others"
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
