"""What a person asks for: a value entered, a study read again, results sent again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from her2node.errors import NotFound
from her2node.ledger.database import insert, moving
from her2node.ledger.editions import complete, gathering_edition, lock_study, require_objects, series_named
from her2node.ledger.events import note
from her2node.ledger.records import OpenedEdition
from her2node.ledger.schema import association, brought, delivery, edition, entered, result, series, study
from her2node.ledger.states import DELIVERY, DeliveryEvent


def enter(connection: Connection, study_instance_uid: str, entries: Mapping[str, str], now: datetime) -> OpenedEdition:
    """Note values for the gathering edition, opened where there is none. Raises NotFound."""
    study_id = lock_study(connection, study_instance_uid)
    require_objects(connection, study_id, study_instance_uid)
    current, _ = gathering_edition(connection, study_id, study_instance_uid, "entered", now)
    for name, value in entries.items():
        _enter(connection, study_id, current, name, value, now)
    connection.execute(update(study).where(study.c.id == study_id).values(changed_at=now))
    return current


def _enter(connection: Connection, study_id: int, current: OpenedEdition, name: str, value: str, now: datetime) -> None:
    noting = insert(connection, entered).values(
        study_id=study_id, name=name, edition_number=current.number, value=value, entered_at=now
    )
    connection.execute(
        noting.on_conflict_do_update(
            index_elements=[entered.c.study_id, entered.c.name, entered.c.edition_number],
            set_={"value": value, "entered_at": now},
        )
    )
    uid = series_named(name)
    if uid is not None:
        of_series = update(series).where(series.c.study_id == study_id, series.c.series_instance_uid == uid)
        changed = of_series.values(revision=series.c.revision + 1, changed_at=now)
        if not connection.execute(changed).rowcount:
            raise NotFound(f"no series {uid} in study {current.study_instance_uid}")
    note(connection, "entered", now, edition_id=current.edition_id, detail=f"{name}={value}")


def rerun(connection: Connection, study_instance_uid: str, now: datetime) -> OpenedEdition:
    """An edition for the same objects, complete unless something is being delivered. Raises NotFound."""
    study_id = lock_study(connection, study_instance_uid)
    require_objects(connection, study_id, study_instance_uid)
    current, _ = gathering_edition(connection, study_id, study_instance_uid, "command", now)
    note(connection, "rerun", now, edition_id=current.edition_id)
    if not _delivering(connection, study_id):
        complete(connection, current.edition_id, "command", "rerun", now)
    return current


def _delivering(connection: Connection, study_id: int) -> bool:
    open_ = (
        select(brought.c.association_id)
        .join(edition, edition.c.id == brought.c.edition_id)
        .join(association, association.c.id == brought.c.association_id)
        .where(edition.c.study_id == study_id, association.c.ended_at.is_(None))
    )
    return bool(connection.scalar(select(open_.exists())))


def resend(connection: Connection, study_instance_uid: str, now: datetime) -> int:
    """Make what can still be sent of the latest results due. Raises NotFound."""
    study_id = lock_study(connection, study_instance_uid)
    latest = (
        select(func.max(edition.c.id))
        .join(result, result.c.edition_id == edition.c.id)
        .where(edition.c.study_id == study_id, edition.c.left_at.is_(None))
        .scalar_subquery()
    )
    again = moving(delivery, DELIVERY, DeliveryEvent.RESEND).where(
        delivery.c.edition_id == latest, delivery.c.destination.is_not(None)
    )
    count = connection.execute(
        again.values(due_at=now, wanted_at=now, attempts=0, asked=0, sent_at=None, confirmed_at=None)
    ).rowcount
    note(connection, "resend", now, study_uid=study_instance_uid, detail=f"{count} deliveries")
    return count
