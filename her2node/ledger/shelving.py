"""Where filed objects stand: their series, their edition, and which association brought them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, case, select, update

from her2node.ledger.database import AnyRow, insert
from her2node.ledger.records import Filing, OpenedEdition
from her2node.ledger.schema import brought, series

SeriesKey = tuple[int, str]
"""(study id, SeriesInstanceUID): a SeriesInstanceUID alone is unique only where senders behave."""


@dataclass(frozen=True)
class Batch:
    """What a batch of filings is about."""

    arrived: Mapping[int, AnyRow]
    study_ids: Mapping[str, int]
    editions: Mapping[str, OpenedEdition]
    """StudyInstanceUID to its gathering edition; a study to which only known things came may have none."""

    def key(self, item: Filing) -> SeriesKey:
        return self.study_ids[item.identity.study_instance_uid], item.identity.series_instance_uid


@dataclass(frozen=True)
class Shelf:
    """Where an object stands."""

    series_id: int
    edition_number: int


def shelve(
    connection: Connection, batch: Batch, filed: Sequence[Filing], repeated: Sequence[Filing], now: datetime
) -> dict[int, Shelf]:
    """Count filed objects into their series and note who brought what; instance id to shelf."""
    series_ids = _series(connection, batch, filed, repeated, now)
    _note_brought(connection, batch, [*filed, *repeated], series_ids)
    return {
        item.instance_id: Shelf(series_ids[batch.key(item)], batch.editions[item.identity.study_instance_uid].number)
        for item in filed
    }


def _series(
    connection: Connection, batch: Batch, filed: Sequence[Filing], repeated: Sequence[Filing], now: datetime
) -> dict[SeriesKey, int]:
    """The series of a batch, made where new; those that got objects count them and want classifying."""
    wanted: dict[SeriesKey, list[Filing]] = defaultdict(list)
    for item in filed:
        wanted[batch.key(item)].append(item)
    if wanted:
        connection.execute(
            insert(connection, series).on_conflict_do_nothing(),
            [_new_series(key, items[0], now) for key, items in wanted.items()],
        )
    known = _series_ids(connection, {*wanted, *map(batch.key, repeated)})
    if wanted:
        connection.execute(
            update(series)
            .where(series.c.id == bindparam("which"))
            .values(instances=series.c.instances + bindparam("more"), revision=series.c.revision + 1, changed_at=now),
            [{"which": known[key], "more": len(items)} for key, items in wanted.items()],
        )
    return known


def _new_series(key: SeriesKey, item: Filing, now: datetime) -> dict[str, object]:
    return {
        "study_id": key[0],
        "series_instance_uid": key[1],
        "modality": item.modality,
        "number": item.series_number,
        "description": item.series_description,
        "instances": 0,
        "revision": 0,
        "changed_at": now,
    }


def _series_ids(connection: Connection, keys: set[SeriesKey]) -> dict[SeriesKey, int]:
    rows = connection.execute(
        select(series.c.study_id, series.c.series_instance_uid, series.c.id).where(
            series.c.study_id.in_({study_id for study_id, _ in keys}),
            series.c.series_instance_uid.in_({uid for _, uid in keys}),
        )
    )
    return {(row.study_id, row.series_instance_uid): row.id for row in rows}


def _note_brought(
    connection: Connection, batch: Batch, items: Sequence[Filing], series_ids: Mapping[SeriesKey, int]
) -> None:
    """Which association brought objects of which series for a gathering edition. Duplicates count: they resend."""
    times: dict[tuple[int, str, int], list[datetime]] = defaultdict(list)
    for item in items:
        edition = batch.editions.get(item.identity.study_instance_uid)
        series_id = series_ids.get(batch.key(item))
        if edition is not None and series_id is not None:
            row = batch.arrived[item.instance_id]
            times[edition.edition_id, row.association_id, series_id].append(row.received_at)
    if not times:
        return
    noting = insert(connection, brought)
    new = noting.excluded
    connection.execute(
        noting.on_conflict_do_update(
            index_elements=[brought.c.edition_id, brought.c.association_id, brought.c.series_id],
            set_={
                "first_at": case((new.first_at < brought.c.first_at, new.first_at), else_=brought.c.first_at),
                "last_at": case((new.last_at > brought.c.last_at, new.last_at), else_=brought.c.last_at),
                "instances": brought.c.instances + new.instances,
            },
        ),
        [
            {
                "edition_id": edition_id,
                "association_id": association_id,
                "series_id": series_id,
                "first_at": min(at),
                "last_at": max(at),
                "instances": len(at),
            }
            for (edition_id, association_id, series_id), at in sorted(times.items())
        ],
    )
