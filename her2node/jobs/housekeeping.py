"""Housekeeping: what retention no longer wants leaves spool and ledger, a little at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from her2node.ledger import Ledger
from her2node.log import Event, emit
from her2node.spool import Spool

AT_ONCE = 50
"""Objects removed at a tick: many removals at once slow down the receiver's new files (ext4)."""


@dataclass(frozen=True)
class HouseRules:
    """How long things are kept. An association that brought nothing for ``silent`` is taken for lost."""

    keep: timedelta
    keep_aside: timedelta
    silent: timedelta = timedelta(hours=1)


def keep_house(ledger: Ledger, spool: Spool, rules: HouseRules, now: datetime) -> bool:
    """Remove a few objects. True when more may be to do."""
    ledger.end_silent(now - rules.silent, now)
    leaving = ledger.purge(now - rules.keep, now - rules.keep_aside, now, AT_ONCE)
    if not leaving:
        spool.remove_empty_folders(now - rules.keep_aside, AT_ONCE)
        return False
    for _, place in leaving.instances:
        spool.remove_instance(place.association_id, place.number)
    for edition_id in leaving.editions:
        spool.remove_results(edition_id)
    ledger.forget(leaving, now)
    if leaving.studies:
        emit(Event.HOUSE_KEPT, studies=len(leaving.studies), objects=len(leaving.instances))
    return True
