"""The story of a study: everything that is known of it, with the reason for its state and the time of each step."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, select

from her2node.errors import NotFound
from her2node.ledger.database import AnyRow, in_state, not_in_state
from her2node.ledger.editions import ANALYSE, entered_until
from her2node.ledger.records import (
    SpoolPlace,
)
from her2node.ledger.schema import association, delivery, edition, event, instance, job, result, series, study
from her2node.ledger.states import EditionState, InstanceState
from her2node.ledger.story_records import (
    DeliveryStory,
    EditionStory,
    EventStory,
    JobStory,
    ResultStory,
    SeriesStory,
    SetAsideStory,
    StudyLine,
    StudyStory,
)


def reason(state: str, completed_by: str | None, evidence: str, summary: str | None, error: str | None) -> str:
    """Why an edition is in its state, in a sentence. ``error`` is the edition's or its job's."""
    if state == EditionState.GATHERING:
        return evidence or "objects still come"
    if state == EditionState.FAILED:
        return error or ""
    if state in (EditionState.READ, EditionState.REFUSED):
        return _reason_of_summary(summary)
    doing = "waits for a worker" if state == EditionState.DUE else "a worker reads it"
    again = f"; tried before: {error}" if error else ""
    return f"complete by {completed_by} ({evidence}), {doing}{again}"


def _reason_of_summary(summary: str | None) -> str:
    try:
        told = json.loads(summary or "{}")
    except json.JSONDecodeError:
        return ""
    return str(told.get("reason", "")) if isinstance(told, dict) else ""


def lines(connection: Connection, limit: int) -> tuple[StudyLine, ...]:
    """Studies by their latest edition, the latest change first."""
    newest = (
        select(edition.c.study_id, func.max(edition.c.number).label("number")).group_by(edition.c.study_id).subquery()
    )
    rows = connection.execute(
        select(study, edition, job.c.error.label("job_error"))
        .join(newest, newest.c.study_id == study.c.id)
        .join(edition, (edition.c.study_id == study.c.id) & (edition.c.number == newest.c.number))
        .outerjoin(job, (job.c.edition_id == edition.c.id) & (job.c.kind == ANALYSE))
        .order_by(study.c.changed_at.desc(), study.c.id.desc())
        .limit(limit)
    ).all()
    ids = [row.id for row in rows]
    objects = _count(connection, select(series.c.study_id, func.sum(series.c.instances)), series.c.study_id, ids)
    aside = _count(
        connection,
        select(instance.c.study_id, func.count()).where(
            not_in_state(instance, InstanceState.FILED), in_state(instance, InstanceState.ASIDE)
        ),
        instance.c.study_id,
        ids,
    )
    results = _count(
        connection,
        select(edition.c.study_id, func.count()).join(result, result.c.edition_id == edition.c.id),
        edition.c.study_id,
        ids,
    )
    deliveries = _delivery_counts(connection, ids)
    return tuple(
        StudyLine(
            study_instance_uid=row.study_instance_uid,
            sender_ae=row.sender_ae,
            first_at=row.first_at,
            changed_at=row.changed_at,
            number=row.number,
            state=row.state,
            reason=reason(row.state, row.completed_by, row.evidence, row.summary, row.error or row.job_error),
            instances=objects.get(row.id, 0),
            set_aside=aside.get(row.id, 0),
            results=results.get(row.id, 0),
            deliveries=deliveries[row.id],
        )
        for row in rows
    )


def summaries(connection: Connection, limit: int) -> tuple[str, ...]:
    """What was told of each study's latest reading (JSON), the latest first."""
    readings = in_state(edition, EditionState.READ), edition.c.summary.is_not(None)
    newest = (
        select(edition.c.study_id, func.max(edition.c.number).label("number"))
        .where(*readings)
        .group_by(edition.c.study_id)
        .subquery()
    )
    rows = connection.execute(
        select(edition.c.summary)
        .join(newest, (edition.c.study_id == newest.c.study_id) & (edition.c.number == newest.c.number))
        .order_by(edition.c.finished_at.desc(), edition.c.id.desc())
        .limit(limit)
    )
    return tuple(row.summary for row in rows)


def _count(connection: Connection, counting: Select[Any], by: Any, ids: Sequence[int]) -> dict[int, int]:
    return {row[0]: int(row[1]) for row in connection.execute(counting.where(by.in_(ids)).group_by(by))}


def _delivery_counts(connection: Connection, study_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    rows = connection.execute(
        select(edition.c.study_id, delivery.c.state, func.count().label("total"))
        .join(delivery, delivery.c.edition_id == edition.c.id)
        .where(edition.c.study_id.in_(study_ids))
        .group_by(edition.c.study_id, delivery.c.state)
    )
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for row in rows:
        counts[row.study_id][row.state] = row.total
    return counts


def story(connection: Connection, study_instance_uid: str) -> StudyStory:
    """Everything that is known of a study. Raises NotFound."""
    row = connection.execute(select(study).where(study.c.study_instance_uid == study_instance_uid)).one_or_none()
    if row is None:
        raise NotFound(f"no study {study_instance_uid}")
    states = connection.execute(
        select(instance.c.state, func.count().label("total"))
        .where(instance.c.study_id == row.id)
        .group_by(instance.c.state)
    )
    editions = _editions(connection, row.id)
    return StudyStory(
        study_instance_uid=study_instance_uid,
        sender_ae=row.sender_ae,
        first_at=row.first_at,
        changed_at=row.changed_at,
        instances={row.state: row.total for row in states},
        entered=entered_until(connection, row.id, max((item.number for item in editions), default=0)),
        editions=editions,
        series=_series(connection, row.id),
        set_aside=tuple(_set_aside(connection, _asides().where(instance.c.study_id == row.id))),
        events=_events(connection, row.id),
    )


def _editions(connection: Connection, study_id: int) -> tuple[EditionStory, ...]:
    rows = connection.execute(select(edition).where(edition.c.study_id == study_id).order_by(edition.c.number)).all()
    ids = [row.id for row in rows]
    jobs = _by_edition(connection.execute(select(job).where(job.c.edition_id.in_(ids)).order_by(job.c.id)).all())
    results = _results(connection, ids)
    return tuple(_edition(row, jobs[row.id], results[row.id]) for row in rows)


def _by_edition(rows: Sequence[AnyRow]) -> dict[int, list[AnyRow]]:
    found: dict[int, list[AnyRow]] = defaultdict(list)
    for row in rows:
        found[row.edition_id].append(row)
    return found


def _edition(row: AnyRow, jobs: Sequence[AnyRow], results: Sequence[ResultStory]) -> EditionStory:
    error = row.error or next((item.error for item in jobs if item.error), None)
    return EditionStory(
        edition_id=row.id,
        number=row.number,
        state=row.state,
        reason=reason(row.state, row.completed_by, row.evidence, row.summary, error),
        opened_by=row.opened_by,
        opened_at=row.opened_at,
        completed_by=row.completed_by,
        completed_at=row.completed_at,
        finished_at=row.finished_at,
        purged_at=row.purged_at,
        summary=row.summary,
        jobs=tuple(
            JobStory(
                item.kind,
                item.state,
                item.attempts,
                item.due_at,
                item.worker,
                item.claimed_at,
                item.finished_at,
                item.error,
            )
            for item in jobs
        ),
        results=tuple(results),
    )


def _results(connection: Connection, edition_ids: Collection[int]) -> dict[int, list[ResultStory]]:
    deliveries: dict[int, list[DeliveryStory]] = defaultdict(list)
    rows = connection.execute(select(delivery).where(delivery.c.edition_id.in_(edition_ids)).order_by(delivery.c.id))
    for row in rows:
        deliveries[row.result_id].append(
            DeliveryStory(
                row.destination,
                row.ae_title,
                row.state,
                row.attempts,
                row.due_at,
                row.sent_at,
                row.confirmed_at,
                row.error,
            )
        )
    found: dict[int, list[ResultStory]] = defaultdict(list)
    for row in connection.execute(select(result).where(result.c.edition_id.in_(edition_ids)).order_by(result.c.id)):
        found[row.edition_id].append(
            ResultStory(
                kind=row.kind,
                sop_class_uid=row.sop_class_uid,
                sop_instance_uid=row.sop_instance_uid,
                series_instance_uid=row.series_instance_uid,
                name=row.name,
                size=row.size,
                created_at=row.created_at,
                deliveries=tuple(deliveries[row.id]),
            )
        )
    return found


def _series(connection: Connection, study_id: int) -> tuple[SeriesStory, ...]:
    rows = connection.execute(select(series).where(series.c.study_id == study_id).order_by(series.c.id))
    return tuple(
        SeriesStory(
            series_instance_uid=row.series_instance_uid,
            modality=row.modality,
            number=row.number,
            description=row.description,
            instances=row.instances,
            classified=row.revision == row.classified_revision,
            role=row.role,
            evidence=tuple(json.loads(row.evidence)),
            extent=None if row.extent_from is None else (row.extent_from, row.extent_to),
            refused=row.refused,
        )
        for row in rows
    )


def _events(connection: Connection, study_id: int) -> tuple[EventStory, ...]:
    rows = connection.execute(
        select(event.c.at, event.c.kind, edition.c.number, event.c.detail)
        .outerjoin(edition, edition.c.id == event.c.edition_id)
        .where(event.c.study_id == study_id)
        .order_by(event.c.id)
    )
    return tuple(EventStory(*row) for row in rows)


def set_aside(connection: Connection, limit: int) -> tuple[SetAsideStory, ...]:
    """What is kept aside, the latest first."""
    return tuple(_set_aside(connection, _asides().order_by(instance.c.id.desc()).limit(limit)))


def _asides() -> Select[Any]:
    return (
        select(instance, study.c.study_instance_uid, association.c.calling_ae)
        .join(association, association.c.id == instance.c.association_id)
        .outerjoin(study, study.c.id == instance.c.study_id)
        .where(not_in_state(instance, InstanceState.FILED), in_state(instance, InstanceState.ASIDE))
    )


def _set_aside(connection: Connection, asides: Select[Any]) -> list[SetAsideStory]:
    return [
        SetAsideStory(
            place=SpoolPlace(row.association_id, row.number),
            study_instance_uid=row.study_instance_uid,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            calling_ae=row.calling_ae,
            received_at=row.received_at,
            reason=row.reason,
            detail=row.detail or "",
        )
        for row in connection.execute(asides)
    ]
