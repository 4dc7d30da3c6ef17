"""A receiver in this process, with a ledger that only remembers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from her2node.errors import LedgerAway
from her2node.intake.receiver import Receiver
from her2node.ledger.records import Arrival, AssociationEnded, AssociationOpened
from her2node.settings import Reception
from her2node.spool import Spool


class RememberingLedger:
    """Keeps what it is told, refuses what the real one would refuse, and can be away."""

    def __init__(self) -> None:
        self.opened: dict[str, AssociationOpened] = {}
        self.arrivals: dict[tuple[str, int], Arrival] = {}
        self.ended: dict[str, AssociationEnded] = {}
        self.lost: list[str] = []
        self.batches: list[int] = []
        self.away = threading.Event()

    def take_in(
        self, opened: Sequence[AssociationOpened], arrivals: Sequence[Arrival], ended: Sequence[AssociationEnded]
    ) -> None:
        self._answer()
        self.batches.append(len(opened) + len(arrivals) + len(ended))
        for association in opened:
            self.opened.setdefault(association.association_id, association)
        for arrival in arrivals:
            assert arrival.association_id in self.opened, "an arrival of an unknown association"
            self.arrivals.setdefault((arrival.association_id, arrival.number), arrival)
        for end in ended:
            assert end.association_id in self.opened, "the end of an unknown association"
            self.ended.setdefault(end.association_id, end)

    def taken_in(self, association_id: str) -> set[int]:
        self._answer()
        return {number for known, number in self.arrivals if known == association_id}

    def end_lost(self, receiver: str, now: datetime) -> int:
        self._answer()
        self.lost.append(receiver)
        return 0

    def close(self) -> None:
        """Nothing to let go of."""

    def instances(self) -> list[str]:
        return sorted(arrival.sop_instance_uid for arrival in self.arrivals.values())

    def _answer(self) -> None:
        if self.away.is_set():
            raise LedgerAway("for this test")


class Node:
    """A running receiver and what it stored."""

    def __init__(self, root: Path, **reception: Any) -> None:
        self.root = root
        self.ledger = RememberingLedger()
        self.spool = Spool(root)
        settings = {"port": 0, "host": "127.0.0.1", "free_space_watermark_bytes": 0, **reception}
        self.receiver = Receiver(Reception(**settings), self.spool, lambda: self.ledger, grace=5.0)
        self.receiver.start()

    @property
    def port(self) -> int:
        return self.receiver.ports[0]

    def files(self, suffix: str = ".dcm") -> list[Path]:
        """What lies in the spool now; a folder that its association is just clearing away holds nothing."""
        found = (Path(folder, name) for folder, _, names in os.walk(self.root / "incoming") for name in names)
        return sorted(path for path in found if path.name.endswith(suffix))

    def stop(self) -> None:
        self.receiver.stop()


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for a condition; fail loudly when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("what was waited for did not happen")
        threading.Event().wait(0.01)
