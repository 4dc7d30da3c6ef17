"""Named leases: which process leads."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, or_

from her2node.ledger.database import insert
from her2node.ledger.schema import lease


def hold(connection: Connection, name: str, holder: str, duration: timedelta, now: datetime) -> bool:
    """Take a lease that is free or over, or extend our own."""
    taking = insert(connection, lease).values(name=name, holder=holder, until=now + duration)
    taken = connection.scalar(
        taking.on_conflict_do_update(
            index_elements=[lease.c.name],
            set_={"holder": holder, "until": now + duration},
            where=or_(lease.c.until < now, lease.c.holder == holder),
        ).returning(lease.c.holder)
    )
    return taken is not None


def let_go(connection: Connection, name: str, holder: str) -> None:
    """Give our lease back."""
    connection.execute(delete(lease).where(lease.c.name == name, lease.c.holder == holder))
