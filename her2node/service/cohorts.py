"""Where the studies of a cohort come from: folders, or the node's own ledger and spool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from her2node.errors import CohortRefused, NotFound
from her2node.ledger import Ledger
from her2node.ledger.records import EditionInput
from her2node.service.parts import open_ledger_of, spool_of
from her2node.settings import Settings

if TYPE_CHECKING:
    from her2node.training.cohort import Row, Source


@dataclass(frozen=True)
class Query:
    """Studies of the ledger, of those that a table names: first received from ``since`` to ``until``, both days
    included, in UTC; None for no bound."""

    since: date | None = None
    until: date | None = None

    def holds(self, day: date) -> bool:
        return (self.since or day) <= day <= (self.until or day)


def sources(settings: Settings, place: Path | Query, rows: Sequence[Row]) -> Mapping[str, Source]:
    """The studies that the rows may mean, by their names for them. Raises CohortRefused where there is none."""
    from her2node.training.cohort import Source, studies_in

    if isinstance(place, Path):
        return studies_in(place)
    spool = spool_of(settings)
    with open_ledger_of(settings) as ledger:
        found = {
            edition.study_instance_uid: Source(
                tuple(spool.path_of(one.place.association_id, one.place.number) for one in edition.instances),
                edition.entered,
                edition.entered_roles,
            )
            for edition in _latest(ledger, place, rows)
        }
    if not found:
        raise CohortRefused("the ledger holds none of the studies that the table names by Study Instance UID")
    return found


def _latest(ledger: Ledger, query: Query, rows: Sequence[Row]) -> Iterator[EditionInput]:
    """The latest complete edition of each study whose objects are still there."""
    for row in rows:
        with suppress(NotFound):
            story = ledger.study(row.study)
            complete = [one for one in story.editions if one.completed_at and not one.purged_at]
            if complete and query.holds(story.first_at.date()):
                yield ledger.snapshot(complete[-1].edition_id)
