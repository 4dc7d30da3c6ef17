"""The outcome of an edition: results, deliveries, states and event in one transaction, or none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from her2node.errors import Broken
from her2node.ledger.database import move
from her2node.ledger.editions import step
from her2node.ledger.events import note
from her2node.ledger.jobs import held
from her2node.ledger.records import NewDelivery, NewResult, Outcome
from her2node.ledger.schema import delivery, job, result, study
from her2node.ledger.states import JOB, DeliveryState, EditionEvent, JobEvent
from her2node.log import Event

_EVENTS: Mapping[Outcome, EditionEvent] = {"read": EditionEvent.READ, "refused": EditionEvent.REFUSE}


def finish(
    connection: Connection,
    token: str,
    how: Outcome,
    summary: str,
    results: Sequence[NewResult],
    deliveries: Sequence[NewDelivery],
    now: datetime,
) -> None:
    """Write an outcome. Raises LeaseLost, and Broken when a delivery names a result that is not there."""
    row = held(connection, token)
    move(connection, job, JOB, row.id, JobEvent.FINISH, finished_at=now, token=None, lease_until=None, error=None)
    step(connection, row.edition_id, _EVENTS[how], finished_at=now, summary=summary, error=None)
    result_ids = _write_results(connection, row.edition_id, results, now)
    _write_deliveries(connection, row.edition_id, result_ids, deliveries, now)
    connection.execute(update(study).where(study.c.id == row.study_id).values(changed_at=now))
    note(connection, Event.EDITION_READ, now, edition_id=row.edition_id, detail=f"{how}, {len(results)} results")
    for ae_title in sorted({item.ae_title for item in deliveries if item.destination is None}):
        note(connection, Event.RESULT_HELD, now, edition_id=row.edition_id, detail=f"no peer has AE title {ae_title}")


def _write_results(
    connection: Connection, edition_id: int, results: Sequence[NewResult], now: datetime
) -> dict[str, int]:
    """SOP Instance UID to row of the results."""
    if results:
        connection.execute(
            insert(result),
            [
                {
                    "edition_id": edition_id,
                    "kind": item.kind,
                    "sop_class_uid": item.sop_class_uid,
                    "sop_instance_uid": item.sop_instance_uid,
                    "series_instance_uid": item.series_instance_uid,
                    "size": item.size,
                    "sha256": item.sha256,
                    "name": item.name,
                    "created_at": now,
                }
                for item in results
            ],
        )
    rows = connection.execute(select(result.c.sop_instance_uid, result.c.id).where(result.c.edition_id == edition_id))
    return {row.sop_instance_uid: row.id for row in rows}


def _write_deliveries(
    connection: Connection,
    edition_id: int,
    result_ids: Mapping[str, int],
    deliveries: Sequence[NewDelivery],
    now: datetime,
) -> None:
    unknown = sorted(
        {uid for item in deliveries for uid in (item.result, item.fallback_for) if uid is not None} - result_ids.keys()
    )
    if unknown:
        raise Broken(f"a delivery names {', '.join(unknown)}, which is no result of edition {edition_id}")
    if deliveries:
        connection.execute(
            insert(delivery),
            [
                {
                    "result_id": result_ids[item.result],
                    "edition_id": edition_id,
                    "destination": item.destination,
                    "ae_title": item.ae_title,
                    "fallback_for": result_ids[item.fallback_for] if item.fallback_for else None,
                    "state": str(_first_state(item)),
                    "wanted_at": now,
                    "due_at": now,
                    "attempts": 0,
                    "asked": 0,
                }
                for item in deliveries
            ],
        )


def _first_state(item: NewDelivery) -> DeliveryState:
    if item.fallback_for is not None:
        return DeliveryState.WITHHELD
    return DeliveryState.HELD if item.destination is None else DeliveryState.DUE
