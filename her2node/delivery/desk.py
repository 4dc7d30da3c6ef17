"""What every trip of the courier needs: the ledger, the files, the wire, the clock, and how patient to be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from her2node.dimse.requestor import Requestor
from her2node.ledger import Ledger


def utc_now() -> datetime:
    """The clock of every day."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Timing:
    """How patient the courier is."""

    first_pause: timedelta = timedelta(seconds=5)
    longest_pause: timedelta = timedelta(minutes=10)
    lease: timedelta = timedelta(seconds=60)
    heartbeat: timedelta = timedelta(seconds=10)
    tick: timedelta = timedelta(seconds=0.5)
    """How often each peer's courier looks at the ledger."""
    survey: timedelta = timedelta(seconds=5)
    """How often it looks for held results that have a peer by now, and for results whose peer is gone."""
    settle: timedelta = timedelta(seconds=5)
    """A study for which nothing came for so long rests: its sender is asked how many objects it has."""
    unanswerable: timedelta = timedelta(days=1)
    """When a peer that offers no C-FIND is asked again."""
    questions: int = 6
    """An object that the peer did not show after so many questions is sent again."""
    resends: int = 3
    """How often at most."""

    grace: timedelta = timedelta(seconds=5)
    """How long an object that is under way may take when the process is to end."""
    hand_back: timedelta = timedelta(seconds=15)
    """How long the rest may take after that: a connection that is being tried, and the ledger."""

    def pause(self, attempts: int) -> timedelta:
        """The pause after ``attempts`` failures: first_pause, doubling up to longest_pause."""
        doubled: timedelta = self.first_pause * 2 ** min(max(attempts, 1) - 1, 20)
        return min(doubled, self.longest_pause)


@dataclass(frozen=True)
class Desk:
    """Shared by all trips; ``stopping`` is set when the process wants to end."""

    ledger: Ledger
    locate: Callable[[int, str], Path]
    """Edition id and name of a result to its file: ``Spool.result_path``."""
    requestor: Requestor
    timing: Timing
    worker: str
    clock: Callable[[], datetime] = utc_now
    stopping: threading.Event = field(default_factory=threading.Event)

    def again_at(self, attempts: int) -> datetime:
        """When to try again after ``attempts`` failures; at once when it is only that this process stops."""
        return self.clock() + (timedelta(0) if self.stopping.is_set() else self.timing.pause(attempts))
