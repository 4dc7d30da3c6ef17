"""Dispatch: due jobs go into the queue, few at a time, and come back into the ledger when their worker dies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from her2node.errors import BrokerAway
from her2node.ledger import Ledger
from her2node.ledger.records import DueJob
from her2node.log import Event, emit


@dataclass(frozen=True)
class DispatchOptions:
    """``window`` jobs in the queue at one time; one that nobody took for ``resend`` is sent again; a job that had
    ``attempts`` is given up."""

    resend: timedelta
    window: int
    attempts: int


def requeue_expired(ledger: Ledger, options: DispatchOptions, now: datetime) -> bool:
    """Give back the jobs of workers that died."""
    for job in ledger.requeue_expired(now, options.attempts):
        event = Event.EDITION_FAILED if job.failed else Event.JOB_RETRIED
        emit(
            event, study=job.study_instance_uid, job=job.job_id, attempts=job.attempts, error="the worker gave no sign"
        )
    return False


def dispatch(ledger: Ledger, send: Callable[[int], None], options: DispatchOptions, now: datetime) -> bool:
    """Send due jobs. Raises BrokerAway; what could not be sent is due at the next tick."""
    for job in ledger.due_jobs(now, options.window):
        _send(ledger, send, job, options, now)
    return False


def send_again(ledger: Ledger, send: Callable[[int], None], options: DispatchOptions, now: datetime) -> bool:
    """Send what may be in the queue already: a new leader does not know whether the queue survived.

    A message that comes twice finds its job taken, and ends.
    """
    for job in ledger.due_jobs(now + options.resend, options.window):
        _send(ledger, send, job, options, now)
    return False


def _send(ledger: Ledger, send: Callable[[int], None], job: DueJob, options: DispatchOptions, now: datetime) -> None:
    ledger.mark_sent(job.job_id, now + options.resend, now)  # first: a leader that dies here loses no job
    try:
        send(job.job_id)
    except BrokerAway:
        ledger.mark_sent(job.job_id, now, now)
        raise
