"""A sign of life for a claim while a peer takes its time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from her2node.errors import LedgerAway


@contextmanager
def heartbeat(extend: Callable[[], bool], interval: timedelta) -> Iterator[None]:
    """Call ``extend`` every ``interval`` until the block ends or ``extend`` says that there is nothing left of it.

    A ledger that is away is asked again at the next beat: the lease is longer than several of them.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(interval.total_seconds()):
            try:
                if not extend():
                    return
            except LedgerAway:
                continue

    thread = threading.Thread(target=beat, name="delivery heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
