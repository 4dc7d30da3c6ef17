"""Jobs: due, claimed by a lease, done.

A claim is a guarded UPDATE with a fresh token, and the token fences every later step:
a job that was taken over has another token, so a worker that slept through its lease can write nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import Connection, func, or_, select, update

from her2node.errors import LeaseLost
from her2node.ledger.database import AnyRow, in_state, move, moving
from her2node.ledger.editions import step
from her2node.ledger.events import note
from her2node.ledger.records import Claim, DueJob, RequeuedJob
from her2node.ledger.schema import edition, job, study
from her2node.ledger.states import JOB, EditionEvent, EditionState, JobEvent, JobState
from her2node.log import Event

_LET_GO = {"token": None, "worker": None, "lease_until": None, "sent_until": None}


def due(connection: Connection, now: datetime, window: int) -> tuple[DueJob, ...]:
    """Due jobs to send, the longest due first, as far as the window has room."""
    queued = connection.scalar(
        select(func.count()).select_from(job).where(in_state(job, JobState.DUE), job.c.sent_until > now)
    )
    earlier = edition.alias("earlier")
    unfinished = (
        select(earlier.c.id)
        .where(
            earlier.c.study_id == edition.c.study_id,
            earlier.c.number < edition.c.number,
            in_state(earlier, EditionState.DUE, EditionState.READING),
        )
        .exists()
    )
    rows = connection.execute(
        select(job.c.id, job.c.kind, job.c.edition_id)
        .join(edition, edition.c.id == job.c.edition_id)
        .where(
            in_state(job, JobState.DUE),
            job.c.due_at <= now,
            or_(job.c.sent_until.is_(None), job.c.sent_until <= now),
            ~unfinished,
        )
        .order_by(job.c.due_at, job.c.id)
        .limit(max(0, window - (queued or 0)))
    )
    return tuple(DueJob(*row) for row in rows)


def mark_sent(connection: Connection, job_id: int, until: datetime, now: datetime) -> None:
    """The job is in the queue until further notice."""
    connection.execute(
        update(job).where(job.c.id == job_id, in_state(job, JobState.DUE)).values(sent_at=now, sent_until=until)
    )


def claim(connection: Connection, job_id: int, worker: str, lease: timedelta, now: datetime) -> Claim | None:
    """Make a due job ours.

    ``due_at`` is the dispatcher's business: the clock of a worker's machine may be a little behind, and a job that is
    refused here would lie in no queue until it is sent again.
    """
    token = uuid4().hex
    taken = connection.execute(
        moving(job, JOB, JobEvent.CLAIM)
        .where(job.c.id == job_id)
        .values(token=token, worker=worker, claimed_at=now, lease_until=now + lease, attempts=job.c.attempts + 1)
    )
    if taken.rowcount != 1:
        return None
    row = held(connection, token)
    step(connection, row.edition_id, EditionEvent.CLAIM)
    return Claim(token, job_id, row.kind, row.edition_id, row.study_instance_uid, row.attempts)


def held(connection: Connection, token: str) -> AnyRow:
    """The claimed job of a token, with its study. Raises LeaseLost."""
    row = connection.execute(
        select(job, edition.c.study_id, study.c.study_instance_uid)
        .join(edition, edition.c.id == job.c.edition_id)
        .join(study, study.c.id == edition.c.study_id)
        .where(job.c.token == token, in_state(job, JobState.CLAIMED))
        .with_for_update(key_share=True, of=job)
    ).one_or_none()
    if row is None:
        raise LeaseLost("the job was taken over or is done")
    return row


def heartbeat(connection: Connection, token: str, lease: timedelta, now: datetime) -> bool:
    """Extend the lease while it is ours."""
    extended = connection.execute(
        update(job).where(job.c.token == token, in_state(job, JobState.CLAIMED)).values(lease_until=now + lease)
    )
    return extended.rowcount == 1


def retry(connection: Connection, token: str, error: str, due_at: datetime, now: datetime) -> None:
    """Again from ``due_at`` on."""
    row = held(connection, token)
    move(connection, job, JOB, row.id, JobEvent.RETRY, due_at=due_at, error=error, **_LET_GO)
    step(connection, row.edition_id, EditionEvent.GIVE_BACK)
    note(connection, Event.JOB_RETRIED, now, edition_id=row.edition_id, detail=error)


def hand_back(connection: Connection, token: str, now: datetime) -> None:
    """Undone and uncounted."""
    row = held(connection, token)
    move(connection, job, JOB, row.id, JobEvent.RETRY, due_at=now, attempts=row.attempts - 1, **_LET_GO)
    step(connection, row.edition_id, EditionEvent.GIVE_BACK)


def give_up(connection: Connection, token: str, error: str, now: datetime) -> None:
    """Failed for good."""
    _fail(connection, held(connection, token), error, now)


def requeue_expired(connection: Connection, now: datetime, attempts: int) -> tuple[RequeuedJob, ...]:
    """Jobs whose worker gave no sign: due again, or failed after ``attempts``."""
    rows = connection.execute(
        select(job, edition.c.study_id, study.c.study_instance_uid)
        .join(edition, edition.c.id == job.c.edition_id)
        .join(study, study.c.id == edition.c.study_id)
        .where(in_state(job, JobState.CLAIMED), job.c.lease_until < now)
        .order_by(job.c.id)
        .with_for_update(key_share=True, of=job, skip_locked=True)
    ).all()
    for row in rows:
        if row.attempts >= attempts:
            _fail(connection, row, f"its worker died or stalled {row.attempts} times", now)
        else:
            move(connection, job, JOB, row.id, JobEvent.EXPIRE, due_at=now, error="its worker gave no sign", **_LET_GO)
            step(connection, row.edition_id, EditionEvent.GIVE_BACK)
            note(connection, Event.JOB_RETRIED, now, edition_id=row.edition_id, detail=f"no sign from {row.worker}")
    return tuple(
        RequeuedJob(row.id, row.kind, row.edition_id, row.study_instance_uid, row.attempts, row.attempts >= attempts)
        for row in rows
    )


def _fail(connection: Connection, row: AnyRow, error: str, now: datetime) -> None:
    move(connection, job, JOB, row.id, JobEvent.GIVE_UP, finished_at=now, error=error, **_LET_GO)
    step(connection, row.edition_id, EditionEvent.FAIL, finished_at=now, error=error)
    connection.execute(update(study).where(study.c.id == row.study_id).values(changed_at=now))
    note(connection, Event.EDITION_FAILED, now, edition_id=row.edition_id, detail=error)
