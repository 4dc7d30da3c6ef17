"""What came over the wire: associations and the objects they brought."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, update

from her2node.ledger.database import in_state, insert
from her2node.ledger.records import Arrival, AssociationEnded, AssociationOpened, Unfiled
from her2node.ledger.schema import association, instance
from her2node.ledger.states import InstanceState


def take_in(
    connection: Connection,
    opened: Sequence[AssociationOpened],
    arrivals: Sequence[Arrival],
    ended: Sequence[AssociationEnded],
) -> None:
    """Write down what is new of it."""
    if opened:
        connection.execute(insert(connection, association).on_conflict_do_nothing(), [_opened(item) for item in opened])
    if arrivals:
        connection.execute(insert(connection, instance).on_conflict_do_nothing(), [_arrival(item) for item in arrivals])
        _move_last_at(connection, arrivals)
    if ended:
        _end(connection, ended)


def _opened(item: AssociationOpened) -> dict[str, object]:
    return {
        "id": item.association_id,
        "calling_ae": item.calling_ae.strip(),
        "called_ae": item.called_ae.strip(),
        "address": item.address,
        "receiver": item.receiver,
        "opened_at": item.opened_at,
        "last_at": item.opened_at,
    }


def _arrival(item: Arrival) -> dict[str, object]:
    return {
        "association_id": item.association_id,
        "number": item.number,
        "sop_class_uid": item.sop_class_uid,
        "sop_instance_uid": item.sop_instance_uid,
        "transfer_syntax_uid": item.transfer_syntax_uid,
        "size": item.size,
        "received_at": item.received_at,
        "state": str(InstanceState.ARRIVED),
    }


def _move_last_at(connection: Connection, arrivals: Sequence[Arrival]) -> None:
    last: dict[str, datetime] = {}
    for item in arrivals:
        last[item.association_id] = max(item.received_at, last.get(item.association_id, item.received_at))
    connection.execute(
        update(association)
        .where(association.c.id == bindparam("which"), association.c.last_at < bindparam("at"))
        .values(last_at=bindparam("at")),
        [{"which": which, "at": at} for which, at in last.items()],
    )


def _end(connection: Connection, ended: Sequence[AssociationEnded]) -> None:
    connection.execute(
        update(association)
        .where(association.c.id == bindparam("which"), association.c.ended_at.is_(None))
        .values(ended_at=bindparam("at"), how=bindparam("how_"), instances=bindparam("count")),
        [
            {"which": item.association_id, "at": item.ended_at, "how_": item.how, "count": item.instances}
            for item in ended
        ],
    )


def taken_in(connection: Connection, association_id: str) -> set[int]:
    """The numbers that are known of an association."""
    return set(connection.scalars(select(instance.c.number).where(instance.c.association_id == association_id)))


def end_lost(connection: Connection, receiver: str, now: datetime) -> int:
    """End what a dead receiver left open."""
    lost = update(association).where(association.c.ended_at.is_(None), association.c.receiver == receiver)
    return connection.execute(lost.values(ended_at=now, how="lost")).rowcount


def end_silent(connection: Connection, before: datetime, now: datetime) -> int:
    """End what brought nothing since ``before``."""
    lost = update(association).where(association.c.ended_at.is_(None), association.c.last_at < before)
    return connection.execute(lost.values(ended_at=now, how="lost")).rowcount


def unfiled(connection: Connection, limit: int) -> tuple[Unfiled, ...]:
    """Arrivals in order of arrival."""
    rows = connection.execute(
        select(
            instance.c.id,
            instance.c.association_id,
            instance.c.number,
            instance.c.sop_class_uid,
            instance.c.sop_instance_uid,
            association.c.calling_ae,
            instance.c.received_at,
        )
        .join(association, association.c.id == instance.c.association_id)
        .where(in_state(instance, InstanceState.ARRIVED))
        .order_by(instance.c.id)
        .limit(limit)
    )
    return tuple(Unfiled(*row) for row in rows)


def addresses(connection: Connection, ae_titles: Collection[str]) -> dict[str, str]:
    """Calling AE title to the address of its latest association."""
    latest = (
        select(association.c.calling_ae, func.max(association.c.opened_at).label("opened_at"))
        .where(association.c.calling_ae.in_(sorted(ae_titles)))
        .group_by(association.c.calling_ae)
        .subquery()
    )
    rows = connection.execute(
        select(association.c.calling_ae, association.c.address)
        .join(
            latest,
            (latest.c.calling_ae == association.c.calling_ae) & (latest.c.opened_at == association.c.opened_at),
        )
        .order_by(association.c.id)
    )
    return {row.calling_ae: row.address for row in rows}
