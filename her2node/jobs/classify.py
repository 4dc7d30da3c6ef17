"""Classifying: which role each new or changed series plays, how far it reaches, and what speaks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from her2node.errors import Refused
from her2node.jobs.door import Door, Failed
from her2node.jobs.filing import open_stored
from her2node.ledger import Ledger
from her2node.ledger.records import Extent, UnclassifiedSeries
from her2node.selection.assignment import assign
from her2node.selection.extent import extent_of
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from her2node.selection.study import Instance, group
from her2node.spool import Spool

AT_ONCE = 4
IGNORE = "ignore"
"""What a reader enters to keep a series out."""


@dataclass(frozen=True)
class Classified:
    """What the ledger notes of a series."""

    role: str | None
    evidence: tuple[str, ...]
    extent: Extent | None
    refused: str | None


def classify_changed(
    ledger: Ledger, spool: Spool, rules: Sequence[SiteRule], still_for: timedelta, door: Door, now: datetime
) -> bool:
    """Classify a few series that did not change for ``still_for``. True when more may wait.

    A series whose headers cannot be judged for an error of ours is noted with that error, so that it holds up only
    itself.
    """
    changed = ledger.unclassified(AT_ONCE, now - still_for)
    done = 0
    for series in changed:
        what = f"classifying {series.series_instance_uid}"
        found = door.attempt(what, partial(classified, spool, rules, series))
        if isinstance(found, Failed):
            if found.passing:
                continue
            found = Classified(None, (), None, f"unexpected-error: {type(found.error).__name__}")
        ledger.classify(series.series_id, found.role, found.evidence, found.extent, found.refused, series.revision)
        done += 1
    return len(changed) == AT_ONCE and done > 0


def classified(spool: Spool, rules: Sequence[SiteRule], changed: UnclassifiedSeries) -> Classified:
    """Judge a series by its headers. Raises SpoolAway."""
    instances: list[Instance] = []
    refused: Refused | None = None
    for place in changed.places:
        try:
            instances.append(open_stored(spool.path_of(place.association_id, place.number)))
        except Refused as error:
            refused = error
    if not instances:
        return Classified(None, (), None, refused.reason if refused else "no objects")
    series = group(instances).series[0]
    assignment = assign(series, rules, entered_roles(changed.entered_roles))
    return Classified(assignment.role, assignment.evidence, extent_of(series), refused.reason if refused else None)


def entered_roles(words: Mapping[str, str]) -> dict[str, Role | None]:
    """SeriesInstanceUID to role as a reader entered it; ``ignore`` becomes None, a word that is no role is left out."""
    known = {role.value for role in Role}
    return {
        uid: None if word == IGNORE else Role(word) for uid, word in words.items() if word == IGNORE or word in known
    }
