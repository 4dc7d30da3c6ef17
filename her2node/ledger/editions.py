"""Editions of a study: opened by something new, closed by completion, fixed from then on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from her2node.errors import NotFound
from her2node.ledger.database import in_state, move, moving, not_in_state
from her2node.ledger.events import note
from her2node.ledger.records import (
    CompletedBy,
    EditionInput,
    EditionInstance,
    OpenedBy,
    OpenedEdition,
    PreviousResult,
    SpoolPlace,
)
from her2node.ledger.schema import edition, entered, instance, job, result, series, study
from her2node.ledger.states import EDITION, EditionEvent, EditionState, InstanceState, JobState
from her2node.log import Event

ANALYSE = "analyse"
_ROLE = "role:"


@dataclass(frozen=True)
class Latest:
    """The latest edition of a study."""

    edition_id: int
    number: int
    state: EditionState


def lock_study(connection: Connection, study_instance_uid: str) -> int:
    """Keep every other writer away from a study until the transaction ends; its id. Raises NotFound."""
    found: int | None = connection.scalar(
        select(study.c.id).where(study.c.study_instance_uid == study_instance_uid).with_for_update(key_share=True)
    )
    if found is None:
        raise NotFound(f"no study {study_instance_uid}")
    return found


def require_objects(connection: Connection, study_id: int, study_instance_uid: str) -> None:
    """Raises NotFound when the study's objects left with the retention time: there is nothing to read again."""
    here = select(instance.c.id).where(instance.c.study_id == study_id, in_state(instance, InstanceState.FILED))
    if connection.scalar(here.limit(1)) is None:
        raise NotFound(f"no object of study {study_instance_uid} is here any more", remedy="send the study again")


def latest(connection: Connection, study_ids: Collection[int]) -> dict[int, Latest]:
    """Study id to its latest edition."""
    newest = (
        select(edition.c.study_id, func.max(edition.c.number).label("number"))
        .where(edition.c.study_id.in_(study_ids))
        .group_by(edition.c.study_id)
        .subquery()
    )
    rows = connection.execute(
        select(edition.c.study_id, edition.c.id, edition.c.number, edition.c.state).join(
            newest, (newest.c.study_id == edition.c.study_id) & (newest.c.number == edition.c.number)
        )
    )
    return {row.study_id: Latest(row.id, row.number, EditionState(row.state)) for row in rows}


def gathering_edition(
    connection: Connection, study_id: int, study_instance_uid: str, opened_by: OpenedBy, now: datetime
) -> tuple[OpenedEdition, bool]:
    """The edition that new things belong to, and whether it was opened for them. The study must be locked."""
    known = latest(connection, [study_id]).get(study_id)
    if known is not None and known.state is EditionState.GATHERING:
        return OpenedEdition(known.edition_id, study_instance_uid, known.number), False
    number = known.number + 1 if known else 1
    edition_id = connection.execute(
        insert(edition)
        .values(study_id=study_id, number=number, state=str(EditionState.GATHERING), opened_by=opened_by, opened_at=now)
        .returning(edition.c.id)
    ).scalar_one()
    note(connection, Event.EDITION_OPENED, now, edition_id=edition_id, detail=opened_by)
    return OpenedEdition(edition_id, study_instance_uid, number), True


def note_waiting(connection: Connection, edition_id: int, sentence: str) -> None:
    """What a gathering edition waits for."""
    connection.execute(
        update(edition)
        .where(edition.c.id == edition_id, in_state(edition, EditionState.GATHERING))
        .values(evidence=sentence)
    )


def complete(connection: Connection, edition_id: int, how: CompletedBy, evidence: str, now: datetime) -> bool:
    """Close an edition and make its job due; False when it was closed before."""
    study_id = connection.scalar(select(edition.c.study_id).where(edition.c.id == edition_id))
    connection.execute(select(study.c.id).where(study.c.id == study_id).with_for_update(key_share=True))
    closing = moving(edition, EDITION, EditionEvent.COMPLETE).where(edition.c.id == edition_id)
    if not connection.execute(closing.values(completed_at=now, completed_by=how, evidence=evidence)).rowcount:
        return False
    connection.execute(
        insert(job).values(
            edition_id=edition_id, kind=ANALYSE, state=str(JobState.DUE), created_at=now, due_at=now, attempts=0
        )
    )
    connection.execute(update(study).where(study.c.id == study_id).values(changed_at=now))
    note(connection, Event.EDITION_COMPLETE, now, edition_id=edition_id, detail=f"{how}: {evidence}")
    return True


def step(connection: Connection, edition_id: int, what: EditionEvent, **values: object) -> None:
    """Let something happen to an edition. Raises IllegalTransition."""
    move(connection, edition, EDITION, edition_id, what, **values)


def entered_until(connection: Connection, study_id: int, number: int) -> dict[str, str]:
    """What readers had entered when edition ``number`` was closed; what they took back is left out."""
    rows = connection.execute(
        select(entered.c.name, entered.c.value)
        .where(entered.c.study_id == study_id, entered.c.edition_number <= number)
        .order_by(entered.c.edition_number, entered.c.name)
    )
    values = {row.name: row.value for row in rows}
    return {name: value for name, value in sorted(values.items()) if value}


def roles_of(values: Mapping[str, str]) -> dict[str, str]:
    """SeriesInstanceUID to role, of entered values named ``role:UID``."""
    return {name.removeprefix(_ROLE): value for name, value in values.items() if name.startswith(_ROLE)}


def series_named(name: str) -> str | None:
    """The SeriesInstanceUID of an entered value that names a role, or None."""
    return name.removeprefix(_ROLE) if name.startswith(_ROLE) else None


def snapshot(connection: Connection, edition_id: int) -> EditionInput:
    """What a complete edition is made of: all that was filed or entered before it was closed. Raises NotFound."""
    row = connection.execute(
        select(edition, study.c.study_instance_uid, study.c.sender_ae)
        .join(study, study.c.id == edition.c.study_id)
        .where(edition.c.id == edition_id, edition.c.completed_at.is_not(None))
    ).one_or_none()
    if row is None:
        raise NotFound(f"no complete edition {edition_id}")
    values = entered_until(connection, row.study_id, row.number)
    return EditionInput(
        edition_id=edition_id,
        study_instance_uid=row.study_instance_uid,
        number=row.number,
        created_at=row.opened_at,
        completed_at=row.completed_at,
        sender_ae=row.sender_ae,
        instances=_instances(connection, row.study_id, row.number),
        entered={name: value for name, value in values.items() if not name.startswith(_ROLE)},
        entered_roles=roles_of(values),
        predecessor=_predecessor(connection, row.study_id, row.number),
        set_aside=_set_aside(connection, row.study_id, row.completed_at),
    )


def _instances(connection: Connection, study_id: int, number: int) -> tuple[EditionInstance, ...]:
    rows = connection.execute(
        select(instance.c.association_id, instance.c.number, instance.c.sop_instance_uid, series.c.series_instance_uid)
        .join(series, series.c.id == instance.c.series_id)
        .where(
            instance.c.study_id == study_id,
            in_state(instance, InstanceState.FILED),
            instance.c.edition_number <= number,
        )
    )
    found = (EditionInstance(SpoolPlace(row[0], row[1]), row[2], row[3]) for row in rows)
    return tuple(sorted(found, key=lambda item: (item.series_instance_uid, item.sop_instance_uid)))


def _set_aside(connection: Connection, study_id: int, until: datetime) -> tuple[tuple[str, int], ...]:
    rows = connection.execute(
        select(instance.c.reason, func.count().label("total"))
        .where(
            instance.c.study_id == study_id,
            not_in_state(instance, InstanceState.FILED),
            in_state(instance, InstanceState.ASIDE),
            instance.c.filed_at <= until,
        )
        .group_by(instance.c.reason)
        .order_by(instance.c.reason)
    )
    return tuple((row.reason, row.total) for row in rows)


def _predecessor(connection: Connection, study_id: int, number: int) -> tuple[PreviousResult, ...]:
    before = (
        select(func.max(edition.c.number))
        .join(result, result.c.edition_id == edition.c.id)
        .where(edition.c.study_id == study_id, edition.c.number < number)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(result.c.kind, result.c.sop_class_uid, result.c.sop_instance_uid, result.c.series_instance_uid)
        .join(edition, edition.c.id == result.c.edition_id)
        .where(edition.c.study_id == study_id, edition.c.number == before)
        .order_by(result.c.id)
    )
    return tuple(PreviousResult(*row) for row in rows)
