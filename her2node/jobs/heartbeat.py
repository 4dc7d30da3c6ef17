"""A sign of life: a thread that extends a lease while something works under it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType

from her2node.errors import LeaseLost
from her2node.jobs.door import Door, Failed


class Heartbeat:
    """Calls ``beat`` every ``interval`` until the block ends. ``beat`` returns False when the lease is lost."""

    def __init__(self, beat: Callable[[], bool], interval: timedelta) -> None:
        self._beat = beat
        self._interval = interval.total_seconds()
        self._done = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def check(self) -> None:
        """Raises LeaseLost when the lease is known to be lost."""
        if self._lost.is_set():
            raise LeaseLost("the lease ended while the work went on")

    def _run(self) -> None:
        door = Door()
        while not self._done.wait(self._interval):
            alive = door.attempt("heartbeat", self._beat)
            if not isinstance(alive, Failed) and not alive:
                self._lost.set()
                return
