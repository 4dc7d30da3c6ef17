"""Deliveries on their way: claimed by couriers in groups, sent, postponed or refused.

A claim is one guarded UPDATE of all that is due of one edition to one destination, so two couriers never hold the
same delivery, and the token fences whoever slept through the lease.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Update, and_, func, select, true, tuple_, update

from her2node.errors import LeaseLost
from her2node.ledger.database import in_state, moving
from her2node.ledger.events import note
from her2node.ledger.records import DeliveryClaim, DeliveryItem, Taker
from her2node.ledger.schema import delivery, edition, result, study
from her2node.ledger.states import DELIVERY, DeliveryEvent, DeliveryState
from her2node.log import Event

_LET_GO = {"token": None, "worker": None, "lease_until": None}


def claim(
    connection: Connection,
    worker: str,
    lease: timedelta,
    now: datetime,
    limit: int,
    to: Collection[str] | None,
    not_to: Collection[str],
) -> tuple[DeliveryClaim, ...]:
    """Claim at most ``limit`` groups, the longest due first."""
    expired = moving(delivery, DELIVERY, DeliveryEvent.EXPIRE_LEASE).where(delivery.c.lease_until < now)
    connection.execute(expired.values(due_at=now, error="its courier gave no sign", **_LET_GO))
    groups = connection.execute(
        select(delivery.c.edition_id, delivery.c.destination)
        .where(in_state(delivery, DeliveryState.DUE), delivery.c.due_at <= now)
        .where(delivery.c.destination.not_in(sorted(not_to)))
        .where(true() if to is None else delivery.c.destination.in_(sorted(to)))
        .group_by(delivery.c.edition_id, delivery.c.destination)
        .order_by(func.min(delivery.c.due_at), delivery.c.edition_id, delivery.c.destination)
        .limit(limit)
    ).all()
    claims = (_claim_group(connection, group.edition_id, group.destination, worker, lease, now) for group in groups)
    return tuple(item for item in claims if item is not None)


def _claim_group(
    connection: Connection, edition_id: int, destination: str, worker: str, lease: timedelta, now: datetime
) -> DeliveryClaim | None:
    token = uuid4().hex
    taken = connection.execute(
        moving(delivery, DELIVERY, DeliveryEvent.CLAIM)
        .where(delivery.c.edition_id == edition_id, delivery.c.destination == destination, delivery.c.due_at <= now)
        .values(token=token, worker=worker, lease_until=now + lease, attempts=delivery.c.attempts + 1)
    )
    return _claimed(connection, token) if taken.rowcount else None


def _claimed(connection: Connection, token: str) -> DeliveryClaim:
    rows = connection.execute(
        select(
            delivery.c.id,
            delivery.c.edition_id,
            delivery.c.destination,
            delivery.c.ae_title,
            delivery.c.attempts,
            result.c.kind,
            result.c.sop_class_uid,
            result.c.sop_instance_uid,
            result.c.series_instance_uid,
            result.c.name,
            result.c.size,
            result.c.sha256,
            study.c.study_instance_uid,
        )
        .join(result, result.c.id == delivery.c.result_id)
        .join(edition, edition.c.id == delivery.c.edition_id)
        .join(study, study.c.id == edition.c.study_id)
        .where(delivery.c.token == token)
        .order_by(delivery.c.id)
    ).all()
    first = rows[0]
    return DeliveryClaim(
        token=token,
        edition_id=first.edition_id,
        study_instance_uid=first.study_instance_uid,
        destination=first.destination,
        ae_title=first.ae_title,
        items=tuple(
            DeliveryItem(
                delivery_id=row.id,
                kind=row.kind,
                sop_class_uid=row.sop_class_uid,
                sop_instance_uid=row.sop_instance_uid,
                series_instance_uid=row.series_instance_uid,
                name=row.name,
                size=row.size,
                sha256=row.sha256,
                attempts=row.attempts,
            )
            for row in rows
        ),
    )


def extend(connection: Connection, token: str, lease: timedelta, now: datetime) -> bool:
    """Extend the lease of what is left of a claim."""
    ours = update(delivery).where(delivery.c.token == token, in_state(delivery, DeliveryState.SENDING))
    return connection.execute(ours.values(lease_until=now + lease)).rowcount > 0


def delivered(connection: Connection, token: str, delivery_ids: Sequence[int], now: datetime) -> None:
    """Accepted by the peer; to be asked for from now on."""
    sent = moving(delivery, DELIVERY, DeliveryEvent.DELIVER)
    _move_ours(connection, sent, token, delivery_ids, sent_at=now, ask_at=now, error=None)
    _note(connection, Event.DELIVERED, delivery_ids, now)


def postponed(
    connection: Connection, token: str, delivery_ids: Sequence[int], error: str, due_at: datetime, now: datetime
) -> None:
    """Again from ``due_at`` on."""
    later = moving(delivery, DELIVERY, DeliveryEvent.POSTPONE)
    _move_ours(connection, later, token, delivery_ids, due_at=due_at, error=error)
    _note(connection, Event.DELIVERY_POSTPONED, delivery_ids, now, error)


def refused(connection: Connection, token: str, delivery_ids: Sequence[int], reason: str, now: datetime) -> None:
    """Refused for good: what stands in for it at that destination wakes."""
    never = moving(delivery, DELIVERY, DeliveryEvent.REFUSE)
    _move_ours(connection, never, token, delivery_ids, error=reason)
    stood_for = select(delivery.c.result_id, delivery.c.destination).where(delivery.c.id.in_(delivery_ids))
    connection.execute(
        moving(delivery, DELIVERY, DeliveryEvent.WAKE)
        .where(tuple_(delivery.c.fallback_for, delivery.c.destination).in_(stood_for))
        .values(due_at=now)
    )
    _note(connection, Event.DELIVERY_REFUSED, delivery_ids, now, reason)


def _move_ours(connection: Connection, change: Update, token: str, delivery_ids: Sequence[int], **values: Any) -> None:
    """Let a change happen to exactly these of our claim, or to none. Raises LeaseLost."""
    wanted = set(delivery_ids)
    ours = change.where(delivery.c.id.in_(wanted), delivery.c.token == token)
    moved = connection.execute(ours.values(**_LET_GO, **values))
    if moved.rowcount != len(wanted):
        raise LeaseLost(f"{len(wanted) - moved.rowcount} of {len(wanted)} deliveries were taken over or are done")


def _note(connection: Connection, kind: Event, delivery_ids: Sequence[int], now: datetime, detail: str = "") -> None:
    """One event an edition and destination."""
    groups = connection.execute(
        select(delivery.c.edition_id, delivery.c.destination, func.count().label("total"))
        .where(delivery.c.id.in_(delivery_ids))
        .group_by(delivery.c.edition_id, delivery.c.destination)
    ).all()
    for group in groups:
        told = f"{group.total} to {group.destination}" + (f": {detail}" if detail else "")
        note(connection, kind, now, edition_id=group.edition_id, detail=told)


def release_held(connection: Connection, peers: Mapping[str, Taker], now: datetime) -> int:
    """Give held deliveries to the peers that have their AE titles by now."""
    waiting = in_state(delivery, DeliveryState.HELD, DeliveryState.WITHHELD)
    homeless = and_(delivery.c.destination.is_(None), waiting)
    titles = connection.scalars(select(delivery.c.ae_title).where(homeless).distinct()).all()
    return sum(_release(connection, title, peers[title], now) for title in sorted(titles) if title in peers)


def _release(connection: Connection, ae_title: str, taker: Taker, now: datetime) -> int:
    of_title = and_(delivery.c.destination.is_(None), delivery.c.ae_title == ae_title)
    other = delivery.alias("other")
    served = select(other.c.id).where(other.c.result_id == delivery.c.result_id, other.c.destination == taker.name)
    connection.execute(
        moving(delivery, DELIVERY, DeliveryEvent.EXPIRE)
        .where(of_title, served.exists())
        .values(error=f"{taker.name} gets it anyway")
    )
    unwanted = select(result.c.id).where(result.c.id == delivery.c.result_id, result.c.kind.not_in(taker.receives))
    connection.execute(
        moving(delivery, DELIVERY, DeliveryEvent.EXPIRE)
        .where(of_title, unwanted.exists())
        .values(error=f"{taker.name} does not receive this kind of object")
    )
    # As in outbox.address: a peer that gets no report gets what stands in for it at once.
    stands_for = select(result.c.id).where(result.c.id == delivery.c.fallback_for, result.c.kind.not_in(taker.receives))
    woken = moving(delivery, DELIVERY, DeliveryEvent.WAKE).where(of_title, stands_for.exists())
    awake = connection.execute(woken.values(destination=taker.name, due_at=now)).rowcount
    connection.execute(
        update(delivery).where(of_title, in_state(delivery, DeliveryState.WITHHELD)).values(destination=taker.name)
    )
    released = moving(delivery, DELIVERY, DeliveryEvent.RELEASE).where(of_title)
    return awake + connection.execute(released.values(destination=taker.name, due_at=now)).rowcount
