"""Classifying: which role each new or changed series plays, how far it reaches, and what speaks for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from her2node.errors import Refused
from her2node.intake.completion import EXTENT_TOLERANCE_MM
from her2node.jobs.door import Door, Failed
from her2node.jobs.filing import open_stored
from her2node.ledger import Ledger
from her2node.ledger.records import JOINT, Extent, UnclassifiedSeries
from her2node.selection.assignment import Assignment, assign
from her2node.selection.extent import extent_of
from her2node.selection.packing import split
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from her2node.selection.study import Series, group
from her2node.spool import Spool
from her2node.volumes import dynamic_stack_of, stack_of

AT_ONCE = 4
"""Series classified at a tick ..."""
LOOKED_AT = 16
"""... of so many that wait: one whose files cannot be read for the moment holds up no other."""
BUDGET = timedelta(seconds=2)
"""After so long at a tick no further series is begun: the leader's lease is short."""
PATIENCE_AN_OBJECT = timedelta(seconds=1) / 300
"""A series waits longer by this for each object: a big one that arrives slowly is not read anew for every image."""
IGNORE = "ignore"
"""What a reader enters to keep a series out."""


@dataclass(frozen=True)
class Classified:
    """What the ledger notes of a series. ``role``: of a series that packs several phases all of them, joined."""

    role: str | None
    evidence: tuple[str, ...]
    extent: Extent | None
    refused: str | None


def is_still(series: UnclassifiedSeries, still_for: timedelta, now: datetime) -> bool:
    """Whether a series rests long enough, for its size, to be read."""
    return series.changed_at <= now - still_for - len(series.places) * PATIENCE_AN_OBJECT


def classify_changed(
    ledger: Ledger,
    spool: Spool,
    rules: Sequence[SiteRule],
    still_for: timedelta,
    door: Door,
    now: datetime,
    seconds: Callable[[], float] = time.monotonic,
) -> bool:
    """Classify a few series that did not change for ``still_for`` and longer where they are big. True when more wait.

    A series that cannot be judged for an error of ours is noted with that error: it holds up only itself.
    """
    until = seconds() + BUDGET.total_seconds()
    changed = ledger.unclassified(LOOKED_AT, now - still_for)
    done = 0
    for series in changed:
        if not is_still(series, still_for, now):
            continue
        if done == AT_ONCE or (done and seconds() > until):
            return True
        found = door.attempt(f"classifying {series.series_instance_uid}", partial(classified, spool, rules, series))
        if isinstance(found, Failed):
            if found.passing:
                continue
            found = Classified(None, (), None, f"unexpected-error: {type(found.error).__name__}")
        ledger.classify(series.series_id, found.role, found.evidence, found.extent, found.refused, series.revision)
        done += 1
    return False


def classified(spool: Spool, rules: Sequence[SiteRule], changed: UnclassifiedSeries) -> Classified:
    """Judge a series by its headers. Raises SpoolAway."""
    try:
        paths = [spool.path_of(place.association_id, place.number) for place in changed.places]
        series = group([open_stored(path, met=True) for path in paths]).series[0]
    except Refused as error:  # its files could be read when they were filed
        return Classified(None, (), None, str(error))
    entered = entered_roles(changed.entered_roles)
    parts = [series] if series.series_instance_uid in entered else split(series)
    assignments = [assign(part, rules, entered) for part in parts]
    roles = dict.fromkeys(one.role for one in assignments if one.role is not None)
    refusals = [_refusal(part, one.role) for part, one in zip(parts, assignments, strict=True)]
    return Classified(
        JOINT.join(roles) or None,
        tuple(dict.fromkeys(_words(assignments))),
        extent_of(series),
        next(filter(None, refusals), _unlike(parts)),
    )


def _words(assignments: Sequence[Assignment]) -> Iterator[str]:
    """The evidence of every part; of several with the role that it speaks for."""
    if len(assignments) > 1:
        yield f"{len(assignments)} stacks are packed in one series"
    for one in assignments:
        said = f"{one.role or 'no role'}: " if len(assignments) > 1 else ""
        yield from (said + words for words in one.evidence)


def _unlike(parts: Sequence[Series]) -> str | None:
    """Why the parts of a packed series are not all here: one is shorter than another."""
    extents = [extent for part in parts if (extent := extent_of(part)) is not None]
    if any(max(ends) - min(ends) > EXTENT_TOLERANCE_MM for ends in zip(*extents, strict=True)):
        return "the stacks that are packed in this series cover different extents"
    return None


def _refusal(series: Series, role: Role | None) -> str | None:
    """Why a series with a role that wants a volume cannot be one (yet), or None."""
    if role in (None, Role.ROI, Role.REGISTRATION):
        return None
    try:
        dynamic_stack_of((series,)) if role is Role.PERFUSION else stack_of(series, role)
    except Refused as error:
        return str(error)
    return None


def entered_roles(words: Mapping[str, str]) -> dict[str, Role | None]:
    """SeriesInstanceUID to role as a reader entered it; ``ignore`` becomes None, a word that is no role is left out."""
    known = {role.value for role in Role}
    return {
        uid: None if word == IGNORE else Role(word) for uid, word in words.items() if word == IGNORE or word in known
    }
