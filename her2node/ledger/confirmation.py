"""From ``sent`` to ``confirmed``: by C-FIND now; storage commitment comes to stand here too."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from her2node.ledger.database import in_state, moving
from her2node.ledger.events import note
from her2node.ledger.records import ToConfirm
from her2node.ledger.schema import delivery, edition, result, study
from her2node.ledger.states import DELIVERY, DeliveryEvent, DeliveryState
from her2node.log import Event


def to_confirm(
    connection: Connection, destinations: Collection[str], now: datetime, limit: int
) -> tuple[ToConfirm, ...]:
    """What was sent to peers that can be asked, where the time to ask has come and the results are still here."""
    rows = connection.execute(
        select(
            delivery.c.id,
            delivery.c.destination,
            study.c.study_instance_uid,
            result.c.series_instance_uid,
            result.c.sop_class_uid,
            result.c.sop_instance_uid,
            delivery.c.sent_at,
            delivery.c.asked,
        )
        .join(result, result.c.id == delivery.c.result_id)
        .join(edition, edition.c.id == delivery.c.edition_id)
        .join(study, study.c.id == edition.c.study_id)
        .where(
            in_state(delivery, DeliveryState.SENT),
            delivery.c.destination.in_(sorted(destinations)),
            delivery.c.ask_at <= now,
            edition.c.left_at.is_(None),
        )
        .order_by(delivery.c.destination, delivery.c.edition_id, delivery.c.id)
        .limit(limit)
    )
    return tuple(ToConfirm(*row) for row in rows)


def confirmed(connection: Connection, delivery_ids: Sequence[int], now: datetime) -> int:
    """The peer has them."""
    has = moving(delivery, DELIVERY, DeliveryEvent.CONFIRM).where(delivery.c.id.in_(delivery_ids))
    moved = connection.execute(has.values(confirmed_at=now, error=None).returning(delivery.c.edition_id)).all()
    for edition_id in sorted({row.edition_id for row in moved}):
        note(connection, Event.DELIVERY_CONFIRMED, now, edition_id=edition_id, detail=f"{len(moved)} objects")
    return len(moved)


def ask_again(connection: Connection, delivery_ids: Sequence[int], ask_at: datetime) -> None:
    """The peer does not show them yet."""
    asked = update(delivery).where(delivery.c.id.in_(delivery_ids), in_state(delivery, DeliveryState.SENT))
    connection.execute(asked.values(ask_at=ask_at, asked=delivery.c.asked + 1))


def ask_later(connection: Connection, delivery_ids: Sequence[int], ask_at: datetime) -> None:
    """The peer gave no answer, which counts as no question."""
    later = update(delivery).where(delivery.c.id.in_(delivery_ids), in_state(delivery, DeliveryState.SENT))
    connection.execute(later.values(ask_at=ask_at))


def unconfirmed(connection: Connection, delivery_ids: Sequence[int], reason: str, now: datetime) -> None:
    """The peer was asked often enough: what was sent stays ``sent``, and no question follows."""
    asked = update(delivery).where(delivery.c.id.in_(delivery_ids), in_state(delivery, DeliveryState.SENT))
    rows = connection.execute(
        asked.values(ask_at=None, asked=delivery.c.asked + 1, error=reason).returning(delivery.c.edition_id)
    )
    for edition_id in sorted({row.edition_id for row in rows}):
        note(connection, "unconfirmed", now, edition_id=edition_id, detail=reason)


def missing(connection: Connection, delivery_ids: Sequence[int], reason: str, due_at: datetime, now: datetime) -> int:
    """The peer has lost them: send again."""
    here = select(edition.c.id).where(edition.c.left_at.is_(None))
    lost = moving(delivery, DELIVERY, DeliveryEvent.MISS).where(
        delivery.c.id.in_(delivery_ids), delivery.c.edition_id.in_(here)
    )
    moved = connection.execute(
        lost.values(due_at=due_at, sent_at=None, asked=delivery.c.asked + 1, error=reason).returning(
            delivery.c.edition_id
        )
    )
    editions = [row.edition_id for row in moved]
    for edition_id in sorted(set(editions)):
        note(connection, Event.DELIVERY_POSTPONED, now, edition_id=edition_id, detail=reason)
    return len(editions)
