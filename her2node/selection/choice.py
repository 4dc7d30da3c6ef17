"""Which series stands for a role when several play it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from her2node.errors import RoleAmbiguous, RoleMissing
from her2node.selection import dce, mr
from her2node.selection.assignment import Assignment, assign, confirmed
from her2node.selection.content import Judgement
from her2node.selection.dynamic import scans, series_a_point, time_points
from her2node.selection.mr import b_values_of, examinations
from her2node.selection.reconstruction import RULE, Reconstruction, best_for, best_of, rank
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from her2node.selection.spectral_phases import with_phases
from her2node.selection.study import Series, Study

PHASES = (Role.PLAIN, Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM)
"""The roles that one series alone may play."""
_NOT_CHOSEN = frozenset(
    {
        *PHASES,
        Role.CONTRAST_UNSPECIFIED,
        Role.DCE,
        Role.FLIP_ANGLES,
        Role.MONOENERGETIC,
        Role.PERFUSION,
        Role.REGISTRATION,
        Role.ROI,
    }
)
"""Roles that are chosen by a rule of their own, or that no series alone stands for: several energies make one scan."""

MEASURED_RULE = "the most b-values first, then the original, the more images, the thinner slices"
"""Of series that are all measured, whoever is chosen: the choice says which values a package gets."""


@dataclass(frozen=True)
class Selection:
    """The roles of a study: every series' assignment, and for each role the one series that stands for it.

    Of several series that play one phase only the chosen one is measured. Of every other role all are, and the chosen
    one says whose values a package gets. Of a scan or an examination of several series the first stands for all.
    """

    assignments: tuple[Assignment, ...]
    chosen: Mapping[Role, str]
    """Role -> series UID."""
    ambiguous: Mapping[Role, RoleAmbiguous]
    in_phase: Mapping[tuple[Role, Role], str | RoleAmbiguous] = field(default_factory=dict)
    """(role, contrast phase) -> series UID, for dual-energy images whose phase is told."""
    wanted: Mapping[Reconstruction, str | RoleAmbiguous] = field(default_factory=dict)
    """What a method wants of a phase -> series UID: another reconstruction than the chosen one where it fits better."""

    def series_uid_of(self, role: Role, phase: Role | None = None, wanted: Reconstruction | None = None) -> str:
        """The UID of the series that stands for ``role``, of those in ``phase`` where one is named, for a method that
        has wishes where ``wanted`` says so.

        Raises RoleMissing, RoleAmbiguous.
        """
        found = self.standing(role, wanted) if phase is None else self.in_phase.get((role, phase))
        if isinstance(found, RoleAmbiguous):
            raise found
        if found is None:
            raise self._missing(role, phase)
        return found

    def _missing(self, role: Role, phase: Role | None) -> RoleMissing:
        open_uids = [a.series_instance_uid for a in self.assignments if a.role is Role.CONTRAST_UNSPECIFIED]
        if role not in PHASES or not open_uids:
            there = ", ".join(str(a.phase or "not told") for a in self.assignments if a.role is role and not a.ignored)
            where = f" in the {phase} phase" if phase else ""
            return RoleMissing(f"no series plays the role {role}{where}" + (f" (phases: {there})" if there else ""))
        return RoleMissing(
            f"no series plays the role {role}; the phase of {', '.join(open_uids)} is not known",
            remedy=f"enter role:{open_uids[0]}={role}, or add a rule to selection.rules",
        )

    def standing(self, role: Role, wanted: Reconstruction | None = None) -> str | RoleAmbiguous | None:
        """The UID of the series that stands for ``role``, for a method that has wishes; why none does; None: nobody
        plays it."""
        for_method = self.wanted.get(wanted) if wanted else None
        return for_method or self.ambiguous.get(role) or self.chosen.get(role)

    def of_phase(self, role: Role) -> tuple[str, ...]:
        """The UIDs of the series that are measured for a phase: the chosen one, then those that methods want."""
        wished = [uid for wish, uid in self.wanted.items() if wish.role is role and isinstance(uid, str)]
        chosen = self.chosen.get(role)
        return tuple(dict.fromkeys([chosen, *wished] if chosen else wished))

    def of(self, series_instance_uid: str) -> Assignment:
        return next(a for a in self.assignments if a.series_instance_uid == series_instance_uid)


def select(
    study: Study,
    rules: Sequence[SiteRule],
    entered: Mapping[str, Role | None],
    images: Mapping[str, Judgement] | None = None,
    wanted: Sequence[Reconstruction] = (),
) -> Selection:
    """Assign every series, and choose among several of one phase by ``RULE``; what an entered role names goes first.

    ``images``: what the voxels of a series say, by its UID; a series that is not in it is assigned by headers alone.
    ``wanted``: how methods want a phase reconstructed; for each the reconstruction that fits best is found among those
    of the acquisition that was chosen.
    Series that are time points of one scan play perfusion, or DCE, together; the first of them stands for the scan, and
    MR series of several flip angles beside a dynamic examination are for its T1. Where the rule finds two alike, the
    role is ambiguous: no series is chosen, and ``series_uid_of`` says why. Every other role is chosen by
    ``MEASURED_RULE``; dual-energy images also phase by phase, and several phases of them are ambiguous for who names
    none.
    """
    heard = images or {}
    assignments = {s.series_instance_uid: assign(s, rules, entered) for s in study.series}
    _join_time_points(study, assignments, rules, entered)
    _join_dynamic(study, assignments, rules, entered)
    for series in study.series:
        uid = series.series_instance_uid
        if uid in heard and assignments[uid].role in (*PHASES, Role.CONTRAST_UNSPECIFIED, None):
            assignments[uid] = confirmed(assignments[uid], series, heard[uid])
    assignments = with_phases(study, assignments, heard)
    players: dict[Role, list[Series]] = defaultdict(list)
    for series in study.series:
        role = assignments[series.series_instance_uid].role
        if role in PHASES:
            players[role].append(series)
    chosen: dict[Role, str] = {}
    ambiguous: dict[Role, RoleAmbiguous] = {}
    for_methods: dict[Reconstruction, str | RoleAmbiguous] = {}
    for role, candidates in players.items():
        named = [series for series in candidates if series.series_instance_uid in entered] or candidates
        ranked = sorted(named, key=rank)
        best = best_of(role, ranked)
        if isinstance(best, RoleAmbiguous):
            ambiguous[role] = best
        else:
            chosen[role] = best
            for other in candidates:
                uid = other.series_instance_uid
                assignments[uid] = _with_choice(assignments[uid], best, len(candidates))
        for_methods |= _choose_for_methods(best, [one for one in wanted if one.role is role], ranked, assignments)
    for role, grouped in ((Role.PERFUSION, scans), (Role.DCE, dce.examinations)):
        _choose_scan(role, grouped(_players(study, assignments, role)), chosen, ambiguous)
    in_phase = _choose_measured(study, assignments, entered, chosen, ambiguous)
    return Selection(tuple(assignments.values()), chosen, ambiguous, in_phase, for_methods)


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
        and assignments[series.series_instance_uid].role not in (Role.ROI, Role.REGISTRATION, Role.PERFUSION)
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


def _choose_measured(
    study: Study,
    assignments: Mapping[str, Assignment],
    entered: Mapping[str, Role | None],
    chosen: dict[Role, str],
    ambiguous: dict[Role, RoleAmbiguous],
) -> dict[tuple[Role, Role], str | RoleAmbiguous]:
    """Choose for every role whose series are all measured; what is chosen in one contrast phase alone is returned."""
    players: dict[tuple[Role, Role | None], list[Series]] = defaultdict(list)
    for series in study.series:
        found = assignments[series.series_instance_uid]
        if found.role is not None and not found.ignored and found.role not in (*_NOT_CHOSEN, *chosen, *ambiguous):
            players[found.role, None].append(series)
            if found.phase is not None:
                players[found.role, found.phase].append(series)
    in_phase: dict[tuple[Role, Role], str | RoleAmbiguous] = {}
    for (role, phase), candidates in players.items():
        several = _phases_of(assignments, candidates)
        if several:
            ambiguous[role] = RoleAmbiguous(f"{role} of several phases: {several}", remedy="let the package name one")
            continue
        best = _best(role, candidates, entered)
        if phase is not None:
            in_phase[role, phase] = best
        elif isinstance(best, RoleAmbiguous):
            ambiguous[role] = best
        else:
            chosen[role] = best
    return in_phase


def _phases_of(assignments: Mapping[str, Assignment], candidates: Sequence[Series]) -> str:
    """The contrast phases of series that are in more than one, in words; '' for one or none."""
    phases = {assignments[series.series_instance_uid].phase for series in candidates}
    return ", ".join(sorted(phase or "not told" for phase in phases)) if len(phases) > 1 else ""


def _best(role: Role, candidates: Sequence[Series], entered: Mapping[str, Role | None]) -> str | RoleAmbiguous:
    """The first series of the best examination by ``MEASURED_RULE``; what an entered role names goes first."""
    named = [series for series in candidates if series.series_instance_uid in entered] or candidates
    if len(named) == 1:
        return named[0].series_instance_uid
    ranked = sorted((_rank_measured(group), group[0].series_instance_uid) for group in _together(named))
    alike = [uid for worth, uid in ranked if worth == ranked[0][0]]
    best = alike[0]
    if len(alike) == 1:
        return best
    return RoleAmbiguous(
        f"{', '.join(alike)} are alike for {role} ({MEASURED_RULE})",
        remedy=f"enter role:{best}={role}, or role:SERIES_UID=ignore for the others",
    )


def _together(candidates: Sequence[Series]) -> list[tuple[Series, ...]]:
    """Series that are one scan over time, one examination of several b-values, or each alone."""
    over_time = series_a_point(candidates)
    taken = {series.series_instance_uid for scan in over_time for series in scan}
    rest = [series for series in candidates if series.series_instance_uid not in taken]
    return [*over_time, *examinations(rest)]


def _rank_measured(group: Sequence[Series]) -> tuple[int, bool, int, float]:
    """Lower is better; the rule of ``MEASURED_RULE``."""
    b_values = {b for series in group for b in b_values_of(series)}
    derived, _, _, thickness, _ = rank(group[0])
    return -len(b_values), derived, sum(rank(series)[-1] for series in group), thickness


def _choose_for_methods(
    best: str | RoleAmbiguous,
    wanted: Sequence[Reconstruction],
    ranked: Sequence[Series],
    assignments: dict[str, Assignment],
) -> dict[Reconstruction, str | RoleAmbiguous]:
    """The reconstruction for each method that has wishes; where it is not ``best``, its evidence says for whom."""
    found: dict[Reconstruction, str | RoleAmbiguous] = {}
    for wish in dict.fromkeys(wanted):
        uid = found[wish] = best_for(wish, ranked)
        if isinstance(uid, str) and uid != best:
            than = best if isinstance(best, str) else "those that are alike"
            said = f"of one acquisition the reconstruction for methods that want {wish}, rather than {than}"
            assignments[uid] = replace(assignments[uid], evidence=(*assignments[uid].evidence, said))
    return found


def _with_choice(assignment: Assignment, best: str, candidates: int) -> Assignment:
    if candidates == 1:
        return assignment
    mine = assignment.series_instance_uid == best
    said = f"chosen among {candidates} series of this role" if mine else f"{best} was chosen for this role"
    return replace(assignment, evidence=(*assignment.evidence, f"{said}: {RULE}"))
