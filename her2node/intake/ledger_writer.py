"""Tells the ledger what was received, in batches and in order, outside the way of a C-STORE's answer.

The spool is the truth: when the ledger is away the records wait, and when too many wait, what is dropped here is found
again in the spool once the ledger is back.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Protocol

from her2node import log
from her2node.errors import Transient
from her2node.ledger.records import Arrival, AssociationEnded, AssociationOpened
from her2node.log import Event

Record = AssociationOpened | Arrival | AssociationEnded

BATCH = 500
BATCH_SECONDS = 0.5
BACKLOG = 20_000
"""Records that wait in memory, about 10 MB."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class ReceptionLedger(Protocol):
    """The part of the ledger that reception needs."""

    def take_in(
        self,
        opened: Sequence[AssociationOpened],
        arrivals: Sequence[Arrival],
        ended: Sequence[AssociationEnded],
    ) -> None: ...
    def taken_in(self, association_id: str) -> set[int]: ...
    def end_lost(self, receiver: str, now: datetime) -> int: ...
    def close(self) -> None: ...


LedgerDoor = Callable[[], ReceptionLedger]
"""Gives the ledger; raises LedgerAway while it cannot be had."""
SurveyAssociation = Callable[[AssociationEnded, ReceptionLedger], None]
"""Takes in from the spool what the ledger does not know of an association that has ended."""


class LedgerWriter:
    """One thread that writes. ``put`` never waits for the ledger."""

    def __init__(self, ledger: LedgerDoor, survey: SurveyAssociation, backlog: int = BACKLOG) -> None:
        self._ledger = ledger
        self._survey = survey
        self._backlog = backlog
        self._changed = threading.Condition()
        self._waiting: deque[Record] = deque()
        self._missed: dict[str, AssociationEnded | None] = {}
        self._urgent = 0
        self._since = 0.0
        self._stop_by: float | None = None
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, patience: float) -> bool:
        """Write what waits, for at most ``patience`` seconds. Whether the ledger now knows everything."""
        with self._changed:
            self._stop_by = time.monotonic() + patience
            self._changed.notify_all()
        self._thread.join()
        return not self._waiting and not self._missed

    def put(self, record: Record) -> None:
        """Have a record written. The records of one association come in their order."""
        with self._changed:
            if record.association_id in self._missed or len(self._waiting) >= self._backlog:
                self._missed[record.association_id] = record if isinstance(record, AssociationEnded) else None
                return
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.append(record)
            ended = isinstance(record, AssociationEnded)
            self._urgent += ended
            if ended or len(self._waiting) in (1, BATCH):
                self._changed.notify()

    def _run(self) -> None:
        while self._wait():
            batch = tuple(islice(self._waiting, BATCH))  # only this thread takes away
            if batch and not self._insist(partial(_write, batch)):
                return
            self._forget(batch)
            ended = self._missed_and_ended()
            if ended and not self._insist(partial(self._survey, ended)):
                return
            if ended:
                self._found_again(ended)

    def _wait(self) -> bool:
        """Wait for a batch that is full, urgent or old enough, or for what was missed. False at the end."""
        with self._changed:
            while not self._is_due():
                if self._stop_by is not None:
                    return False
                left = self._since + BATCH_SECONDS - time.monotonic() if self._waiting else None
                self._changed.wait(left)
            return True

    def _is_due(self) -> bool:
        if any(ended is not None for ended in self._missed.values()):
            return True
        if not self._waiting:
            return False
        full = self._urgent > 0 or len(self._waiting) >= BATCH or self._stop_by is not None
        return full or time.monotonic() >= self._since + BATCH_SECONDS

    def _insist(self, act: Callable[[ReceptionLedger], None]) -> bool:
        """Try until it is done. False when the time to stop is over."""
        pause = _FIRST_PAUSE
        while True:
            try:
                act(self._ledger())
                return True
            except Transient as error:
                log.emit(Event.LEDGER_AWAY, reason=error.reason, waiting=len(self._waiting))
            except Exception as error:  # noqa: BLE001 - whatever it is, the records must not be lost
                log.emit_exception(error, waiting=len(self._waiting))
            if not self._pause(pause):
                return False
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _pause(self, seconds: float) -> bool:
        """Wait before another try; shorter when stopping. False when the time to stop is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._stop_by is not None, seconds)
            stop_by = self._stop_by
        if stop_by is None:
            return True
        time.sleep(_FIRST_PAUSE)
        return time.monotonic() < stop_by

    def _forget(self, batch: Sequence[Record]) -> None:
        with self._changed:
            for record in batch:
                self._waiting.popleft()
                self._urgent -= isinstance(record, AssociationEnded)
            self._since = time.monotonic()

    def _missed_and_ended(self) -> AssociationEnded | None:
        with self._changed:
            return next((ended for ended in self._missed.values() if ended is not None), None)

    def _found_again(self, ended: AssociationEnded) -> None:
        with self._changed:
            del self._missed[ended.association_id]


def _write(batch: Sequence[Record], ledger: ReceptionLedger) -> None:
    ledger.take_in(
        [record for record in batch if isinstance(record, AssociationOpened)],
        [record for record in batch if isinstance(record, Arrival)],
        [record for record in batch if isinstance(record, AssociationEnded)],
    )
