"""Retention: what leaves, in two steps so that a crash between them neither loses nor forgets a file.

First rows are marked as leaving, which takes them out of every later edition; then the files are removed; then the
rows go. Studies, editions and results stay: a result of ours must be recognised however late it is routed back.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, delete, or_, select, update

from her2node.ledger.database import in_state, moving, not_in_state
from her2node.ledger.events import note
from her2node.ledger.records import Leaving, SpoolPlace
from her2node.ledger.schema import (
    association,
    brought,
    census,
    delivery,
    edition,
    entered,
    event,
    instance,
    series,
    study,
)
from her2node.ledger.states import (
    DELIVERY,
    INSTANCE,
    DeliveryEvent,
    DeliveryState,
    EditionState,
    InstanceEvent,
    InstanceState,
)
from her2node.log import Event

_NOBODY = {"patient_id": "", "issuer_of_patient_id": "", "patient_birth_date": "", "patient_sex": ""}
"""What stays of a study names no patient."""


def purge(connection: Connection, before: datetime, set_aside_before: datetime, now: datetime, limit: int) -> Leaving:
    """Mark what leaves and name at most ``limit`` objects of it."""
    expire = moving(delivery, DELIVERY, DeliveryEvent.EXPIRE).where(delivery.c.wanted_at < before)
    connection.execute(expire.values(error="not delivered before the end of the retention time"))
    aside = moving(instance, INSTANCE, InstanceEvent.LEAVE).where(
        not_in_state(instance, InstanceState.FILED),
        in_state(instance, InstanceState.ASIDE),
        instance.c.received_at < set_aside_before,
    )
    connection.execute(aside)
    gone = _leave(connection, before, now, limit)
    _drop_empty_studies(connection, before)
    going = or_(
        in_state(instance, InstanceState.LEAVING),
        and_(in_state(instance, InstanceState.DUPLICATE, InstanceState.OWN), instance.c.file_gone.is_(False)),
    )
    rows = connection.execute(
        select(instance.c.id, instance.c.association_id, instance.c.number)
        .where(not_in_state(instance, InstanceState.FILED), going)
        .limit(limit)
    )
    editions = connection.scalars(
        select(edition.c.id).where(edition.c.left_at.is_not(None), edition.c.purged_at.is_(None)).limit(limit)
    )
    return Leaving(
        instances=tuple((row.id, SpoolPlace(row.association_id, row.number)) for row in rows),
        editions=tuple(editions),
        studies=gone,
    )


def _leave(connection: Connection, before: datetime, now: datetime, limit: int) -> tuple[str, ...]:
    """Mark studies that nobody touched since ``before`` and that wait for nothing."""
    busy = select(edition.c.id).where(
        edition.c.study_id == study.c.id,
        in_state(edition, EditionState.GATHERING, EditionState.DUE, EditionState.READING),
    )
    sending = (
        select(delivery.c.id)
        .join(edition, edition.c.id == delivery.c.edition_id)
        .where(edition.c.study_id == study.c.id, in_state(delivery, DeliveryState.SENDING, DeliveryState.DUE))
    )
    here = select(edition.c.study_id).where(edition.c.left_at.is_(None))
    rows = connection.execute(
        select(study.c.id, study.c.study_instance_uid)
        .where(study.c.changed_at < before, study.c.id.in_(here), ~busy.exists(), ~sending.exists())
        .order_by(study.c.changed_at)
        .limit(limit)
        .with_for_update(key_share=True, skip_locked=True)
    ).all()
    ids = [row.id for row in rows]
    leaving = moving(instance, INSTANCE, InstanceEvent.LEAVE).where(instance.c.study_id.in_(ids))
    connection.execute(leaving)
    connection.execute(
        update(edition).where(edition.c.study_id.in_(ids), edition.c.left_at.is_(None)).values(left_at=now)
    )
    connection.execute(delete(census).where(census.c.study_id.in_(ids)))
    connection.execute(update(study).where(study.c.id.in_(ids)).values(_NOBODY))
    for row in rows:
        note(connection, Event.HOUSE_KEPT, now, study_uid=row.study_instance_uid)
    return tuple(row.study_instance_uid for row in rows)


def forget(connection: Connection, leaving: Leaving, now: datetime) -> None:
    """Drop the rows of objects whose files are gone, and what is empty without them."""
    of_these = instance.c.id.in_([instance_id for instance_id, _ in leaving.instances])
    going = and_(of_these, in_state(instance, InstanceState.LEAVING))
    series_ids = connection.scalars(select(instance.c.series_id).where(going).distinct()).all()
    connection.execute(delete(instance).where(going))
    connection.execute(update(instance).where(of_these).values(file_gone=True))
    left = update(edition).where(edition.c.id.in_(leaving.editions), edition.c.left_at.is_not(None))
    connection.execute(left.values(purged_at=now))
    connection.execute(delete(brought).where(brought.c.edition_id.in_(leaving.editions)))
    _drop_empty_series(connection, [series_id for series_id in series_ids if series_id is not None])
    _drop_empty_associations(connection, {place.association_id for _, place in leaving.instances})


def _drop_empty_series(connection: Connection, series_ids: list[int]) -> None:
    holds = select(instance.c.id).where(instance.c.series_id == series.c.id)
    named = select(brought.c.series_id).where(brought.c.series_id == series.c.id)
    connection.execute(delete(series).where(series.c.id.in_(series_ids), ~holds.exists(), ~named.exists()))


def _drop_empty_studies(connection: Connection, before: datetime) -> None:
    """Studies that never got an edition, once the objects that were set aside for them are gone."""
    mentions = [
        select(table.c.study_id).where(table.c.study_id == study.c.id)
        for table in (edition, instance, series, entered, event)
    ]
    empty = [~mention.exists() for mention in mentions]
    connection.execute(delete(study).where(study.c.changed_at < before, *empty))


def _drop_empty_associations(connection: Connection, association_ids: set[str]) -> None:
    brought_any = select(instance.c.id).where(instance.c.association_id == association.c.id)
    named = select(brought.c.edition_id).where(brought.c.association_id == association.c.id)
    connection.execute(
        delete(association).where(
            association.c.id.in_(association_ids),
            association.c.ended_at.is_not(None),
            ~brought_any.exists(),
            ~named.exists(),
        )
    )
