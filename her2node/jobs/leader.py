"""The leader: in one of all ``work`` processes one thread files, classifies, completes, dispatches and keeps house.

The process that holds the ledger's lease leads. Every step is idempotent in the ledger, so two leaders at one time,
which a stopped clock or a long tick can bring about, do double work and no harm.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from her2node.jobs.door import Door, Failed
from her2node.jobs.forks import held_off
from her2node.ledger import Ledger
from her2node.log import Event, emit

LEASE_NAME = "leader"
LONGEST_LEASE = timedelta(seconds=10)


@dataclass(frozen=True)
class Step:
    """One thing that the leader does. ``act`` returns whether more may be to do at once.

    ``every``: not oftener than that, unless there was more to do. ``patient``: more can wait for the next tick.
    """

    name: str
    act: Callable[[datetime], bool]
    every: timedelta = timedelta(0)
    patient: bool = False


class Leader:
    """Takes the lease when it can, and does the steps in order at every tick."""

    def __init__(
        self,
        ledger: Ledger,
        holder: str,
        steps: Sequence[Step],
        *,
        on_elected: Sequence[Step] = (),
        lease: timedelta = LONGEST_LEASE,
        door: Door | None = None,
    ) -> None:
        self._ledger = ledger
        self._holder = holder
        self._steps = tuple(steps)
        self._on_elected = tuple(on_elected)
        self._lease = lease
        self._door = door or Door()
        self._held_until: datetime | None = None
        self._due: dict[str, datetime] = {}

    def tick(self, now: datetime) -> bool:
        """Do what is to do at ``now``, if this process leads. True: tick again at once."""
        if not self._leads(now):
            return False
        urgent = [self._do(step, now) for step in self._steps if self._due.get(step.name, now) <= now]
        return any(urgent)

    def run(self, stop: threading.Event, tick: timedelta, clock: Callable[[], datetime]) -> None:
        """Tick until ``stop`` is set, then give the lease back."""
        while not stop.is_set():
            with held_off():
                urgent = self.tick(clock())
            if not urgent:
                stop.wait(tick.total_seconds())
        self.resign()

    def resign(self) -> None:
        """Let another process lead."""
        if self._held_until is not None:
            self._held_until = None
            with held_off():
                self._door.attempt("resigning", partial(self._ledger.let_go, LEASE_NAME, self._holder))

    def _leads(self, now: datetime) -> bool:
        """Hold the lease; it is extended when a third of it is gone."""
        if self._held_until is not None and self._held_until - now > self._lease * 2 / 3:
            return True
        led = self._held_until is not None
        held = self._door.attempt("election", partial(self._ledger.hold, LEASE_NAME, self._holder, self._lease, now))
        if isinstance(held, Failed) or not held:
            self._held_until = None
            return False
        self._held_until = now + self._lease
        if not led:
            emit(Event.LEADER_ELECTED, holder=self._holder)
            self._due.clear()
            for step in self._on_elected:
                self._do(step, now)
        return True

    def _do(self, step: Step, now: datetime) -> bool:
        more = self._door.attempt(step.name, partial(step.act, now))
        if isinstance(more, Failed) or not more:
            self._due[step.name] = now + step.every
            return False
        self._due[step.name] = now
        return not step.patient
