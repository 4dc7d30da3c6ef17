"""No child is born while another thread is inside SQLite or the log.

The Celery parent forks pool children at any time (recycling, time limits, deaths) while the leader thread works. A
fork copies locked mutexes: a child born while another thread holds one of SQLite's global mutexes, or the log's
lock, hangs at its first use of it. So whoever works in the parent does it inside ``held_off``, and a fork waits
until all are outside.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

LONGEST_WAIT = timedelta(seconds=60)
"""A fork waits no longer than this: a thread that hangs in a database must not stop the pool for ever."""


class ForkGate:
    """Many threads may be inside at one time, or one may fork."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self._waiting = 0
        self._depth = threading.local()

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """No fork happens in this block. May be nested; a thread inside must not fork."""
        depth: int = getattr(self._depth, "value", 0)
        if depth == 0:
            self._enter()
        self._depth.value = depth + 1
        try:
            yield
        finally:
            self._depth.value = depth
            if depth == 0:
                self._leave()

    def _enter(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting == 0, LONGEST_WAIT.total_seconds())
            self._inside += 1

    def _leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait until everybody else is outside, and keep them there."""
        self._changed.acquire()
        self._waiting += 1
        own = 1 if getattr(self._depth, "value", 0) else 0
        self._changed.wait_for(lambda: self._inside <= own, LONGEST_WAIT.total_seconds())

    def after_fork_in_parent(self) -> None:
        self._waiting -= 1
        self._changed.notify_all()
        self._changed.release()

    def after_fork_in_child(self) -> None:
        """The child has one thread: it begins with a gate of its own."""
        depth: int = getattr(self._depth, "value", 0)
        self.__init__()  # type: ignore[misc]
        self._depth.value = depth
        self._inside = 1 if depth else 0


GATE = ForkGate()
held_off = GATE.held_off
os.register_at_fork(
    before=GATE.before_fork, after_in_parent=GATE.after_fork_in_parent, after_in_child=GATE.after_fork_in_child
)
