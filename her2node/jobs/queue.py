"""The door to Celery: job ids go out by ``JobQueue.send`` and come back in the processes of a ``Pool``.

Messages are acknowledged when a process takes them, before the work is done: redelivery is the ledger's, by lease. In
every kill test the brokers' own redelivery was late, double or absent. No countdown, no priority, no result backend:
when a job is due, in which order, and what came of it stand in the ledger.
"""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import Celery, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from kombu.exceptions import KombuError
from kombu.transport import TRANSPORT_ALIASES
from redis.exceptions import RedisError

from her2node.errors import BrokerAway, TimeIsUp
from her2node.jobs.broker import FILE_NAME, POLLING_SECONDS, discard
from her2node.log import emit_exception

TASK = "her2node.run"
QUEUE = "her2node"
EMBEDDED = "embedded"

TRANSPORT_ALIASES["her2node"] = "her2node.jobs.broker:Transport"

_AWAY = (KombuError, RedisError, sqlite3.Error, OSError)
_LONGEST_BIRTH = timedelta(minutes=5)  # of a pool process, which loads the packages; Celery's 4 s would kill it
_KILL_AFTER = timedelta(seconds=60)
_TASKS_PER_CHILD = 200
_KIBIBYTES_PER_CHILD = 1_572_864  # 1.5 GiB: a process that grew so far is replaced after its job

Run = Callable[[int], None]
"""Works on one job, by its id."""


@dataclass(frozen=True)
class QueueOptions:
    """Where the broker is: ``embedded`` with its folder, or a URL (``redis://``, ``rediss://``, ``redis+socket://``).

    A job that takes longer than ``time_limit`` is interrupted, and a minute later killed.
    """

    broker_url: str
    broker_dir: Path
    time_limit: timedelta = timedelta(minutes=30)


def discard_broker(options: QueueOptions) -> None:
    """Delete the embedded broker's file, before any role starts: the ledger sends again what is due."""
    if options.broker_url == EMBEDDED:
        discard(options.broker_dir / FILE_NAME)


class JobQueue:
    """Where the leader puts job ids, and doctor asks who takes them. Safe for several threads."""

    def __init__(self, options: QueueOptions) -> None:
        self._app = _celery(options)

    def send(self, job_id: int) -> None:
        """Put a job id into the queue. Raises BrokerAway."""
        with _broker_errors():
            self._app.send_task(TASK, (job_id,), retry=False)

    def ping(self, timeout: timedelta = timedelta(seconds=2)) -> tuple[str, ...]:
        """The names of the workers that answer within ``timeout``. Raises BrokerAway."""
        with _broker_errors():
            answers = self._app.control.ping(timeout=timeout.total_seconds())
        return tuple(sorted(name for answer in answers for name in answer))

    def close(self) -> None:
        """Let go of every connection to the broker."""
        self._app.pool.force_close_all()
        self._app.close()


@contextmanager
def _broker_errors() -> Iterator[None]:
    try:
        yield
    except _AWAY as error:
        raise BrokerAway(str(error) or type(error).__name__) from error


class Pool:
    """Processes that take job ids and run them. One in a process of the operating system; lives in the main thread.

    ``name`` (``work@host``) must stay the same over restarts and be unique among running workers. ``build`` is called
    in each pool process, after the fork: nothing that was opened before a fork may be used after it.
    """

    def __init__(self, options: QueueOptions, name: str, processes: int, build: Callable[[], Run]) -> None:
        self._app = _celery(options)
        self._name = name
        self._processes = processes
        self._run = _BuiltAfterFork(build)
        self._app.task(self._run.safely, name=TASK)
        self._worker: Any = None

    def serve(self, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> int:
        """Take jobs until SIGTERM, SIGINT or SIGHUP, then finish what was begun. Returns the exit status.

        ``on_ready`` is called once the processes are there, ``on_stop`` in the signal's handler when the end begins.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)  # until Celery takes them there is nothing to finish or hand back
        warnings.simplefilter("ignore", CPendingDeprecationWarning)  # speaks of late acknowledgement only
        warnings.simplefilter("ignore", SecurityWarning)  # warns root of pickle; only JSON is accepted here
        logging.getLogger("celery.worker.request").setLevel(
            logging.CRITICAL
        )  # lost processes: the leader tells of them
        with self._listening(on_ready, on_stop):
            self._worker = self._app.Worker(
                hostname=self._name,
                concurrency=self._processes,
                quiet=True,
                without_gossip=True,
                without_mingle=True,
                without_heartbeat=True,
            )
            self._worker.start()
        return int(self._worker.exitcode or 0)

    def hurry(self) -> None:
        """Interrupt the processes: each hands back the job that it has, and ends."""
        pool = self._worker.pool
        for pid in pool.info["processes"]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    @contextmanager
    def _listening(self, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> Iterator[None]:
        """Connect to Celery's signals, which are global, for as long as the pool serves."""

        def ready(**_: object) -> None:
            signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))  # Celery would start itself anew
            on_ready()

        receivers = (
            (signals.setup_logging, lambda **_: None),  # logging is set up by her2node.log alone
            (signals.worker_process_init, lambda **_: self._run.warm()),
            (signals.worker_ready, ready),
            (signals.worker_shutting_down, lambda **_: on_stop()),
        )
        for one, receiver in receivers:
            one.connect(receiver, weak=False)
        try:
            yield
        finally:
            for one, receiver in receivers:
                one.disconnect(receiver)


class _BuiltAfterFork:
    """Builds what runs jobs once in each process."""

    def __init__(self, build: Callable[[], Run]) -> None:
        self._build = build
        self._built: tuple[int, Run] | None = None

    def safely(self, job_id: int) -> None:
        """The task. Celery sees no failure: the ledger knows that the job is not done and has it sent again."""
        try:
            with _interruptible():
                self._of_this_process()(job_id)
        except (Exception, TimeIsUp) as error:  # noqa: BLE001 - the one door of a pool process
            emit_exception(error, job=job_id)

    def warm(self) -> None:
        """Build before the first job comes. A failure is told; the first job builds again."""
        try:
            self._of_this_process()
        except Exception as error:  # noqa: BLE001 - as above: a pool process that dies at birth would be forked for ever
            emit_exception(error)

    def _of_this_process(self) -> Run:
        if self._built is None or self._built[0] != os.getpid():
            self._built = os.getpid(), self._build()
        return self._built[1]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise TimeIsUp where Celery would raise SoftTimeLimitExceeded, an Exception, which any handler may swallow."""
    before = signal.signal(signal.SIGUSR1, _time_is_up)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def _time_is_up(*_: object) -> None:
    raise TimeIsUp


def _celery(options: QueueOptions) -> Any:
    embedded = options.broker_url == EMBEDDED
    app = Celery("her2node", set_as_current=False, fixups=[])
    app.conf.update(
        broker_url="her2node://localhost" if embedded else options.broker_url,
        broker_transport_options=_embedded(options) if embedded else _REDIS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_default_queue=QUEUE,
        task_ignore_result=True,
        result_backend=None,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=False,  # the lease redelivers
        task_reject_on_worker_lost=False,
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        task_track_started=False,
        task_soft_time_limit=options.time_limit.total_seconds(),
        task_time_limit=(options.time_limit + _KILL_AFTER).total_seconds(),
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_proc_alive_timeout=_LONGEST_BIRTH.total_seconds(),
        worker_max_tasks_per_child=_TASKS_PER_CHILD,
        worker_max_memory_per_child=_KIBIBYTES_PER_CHILD,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_deduplicate_successful_tasks=False,
        worker_redirect_stdouts=False,
    )
    return app


def _embedded(options: QueueOptions) -> dict[str, Any]:
    path = options.broker_dir / FILE_NAME
    return {"path": str(path), "polling_interval": POLLING_SECONDS, "max_retries": 0}


_REDIS: dict[str, Any] = {
    "visibility_timeout": 43_200,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "global_keyprefix": "her2node:",
    "max_retries": 0,  # a sender is told at once; a worker's own reconnecting goes on for ever
}
