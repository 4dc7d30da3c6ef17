"""The ``work`` role: a pool that analyses, and one thread that leads when the ledger's lease is ours."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from her2node.jobs.door import Door, Failed
from her2node.jobs.leader import Leader
from her2node.jobs.queue import JobQueue, Pool, QueueOptions, Run

_JOIN = 10.0


@dataclass(frozen=True)
class WorkOptions:
    """``name`` (``work@host``) stays the same over restarts and is unique among running workers.

    After SIGTERM a job may go on for ``grace``; then it is handed back. The whole end takes up to 10 s longer.
    """

    name: str
    queue: QueueOptions
    processes: int
    tick: timedelta
    grace: timedelta = timedelta(seconds=15)


def run_worker(
    options: WorkOptions,
    build_run: Callable[[], Run],
    build_leader: Callable[[Callable[[int], None]], Leader],
    clock: Callable[[], datetime],
    on_ready: Callable[[], None] = lambda: None,
) -> int:
    """Work until SIGTERM, from the main thread; the exit status.

    ``build_run`` is called in each pool process, ``build_leader`` with the queue's ``send`` in the leader's thread of
    this process, again and again until it succeeds: both open their own ledger, for none is used over a fork.
    ``on_ready`` is called when the pool is up.
    """
    stopping, ended = threading.Event(), threading.Event()
    queue = JobQueue(options.queue)
    pool = Pool(options.queue, options.name, options.processes, build_run)
    leading = threading.Thread(
        target=_lead, args=(build_leader, queue, stopping, options.tick, clock), name="leader", daemon=True
    )
    hurrying = threading.Thread(target=_hurry, args=(pool, stopping, ended, options.grace), name="hurry", daemon=True)

    def ready() -> None:
        leading.start()
        hurrying.start()
        on_ready()

    try:
        return pool.serve(ready, stopping.set)
    finally:
        stopping.set()
        ended.set()
        for thread in (leading, hurrying):
            if thread.ident is not None:
                thread.join(_JOIN)
        queue.close()


def _lead(
    build_leader: Callable[[Callable[[int], None]], Leader],
    queue: JobQueue,
    stopping: threading.Event,
    tick: timedelta,
    clock: Callable[[], datetime],
) -> None:
    door = Door()
    while not stopping.is_set():
        leader = door.attempt("building the leader", lambda: build_leader(queue.send))
        if not isinstance(leader, Failed):
            leader.run(stopping, tick, clock)
            return
        stopping.wait(tick.total_seconds())


def _hurry(pool: Pool, stopping: threading.Event, ended: threading.Event, grace: timedelta) -> None:
    stopping.wait()
    if not ended.wait(grace.total_seconds()):
        pool.hurry()
