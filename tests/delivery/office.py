"""A courier's office: a ledger with editions that were read, their result files, and couriers in a hurry."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydicom.uid import UID

from her2node.delivery.courier import Courier
from her2node.delivery.desk import Timing
from her2node.delivery.outbox import address
from her2node.dimse.requestor import Requestor, TimeLimits
from her2node.ledger import open_ledger
from her2node.ledger.records import NewResult
from her2node.settings import Peer
from tests.delivery.objects import PDF, SC, SEG, SR, write_object
from tests.ledger.way import Way, slices
from tests.orthanc import wait_for

CLASS_OF: Mapping[str, UID] = {
    "report": SR,
    "outline": SR,
    "segmentation": SEG,
    "summary-image": SC,
    "summary-document": PDF,
    "could-not": SR,
}
HURRY = Timing(
    first_pause=timedelta(seconds=0.05),
    longest_pause=timedelta(seconds=0.2),
    lease=timedelta(seconds=2),
    heartbeat=timedelta(seconds=0.2),
    tick=timedelta(seconds=0.02),
    survey=timedelta(seconds=0.05),
    unanswerable=timedelta(seconds=0.5),
    questions=3,
    resends=2,
    grace=timedelta(seconds=0.2),
)
LIMITS = TimeLimits(connect=timedelta(seconds=1), answer=timedelta(seconds=5))


def now() -> datetime:
    return datetime.now(UTC)


class Office:
    """``peers`` are those in the settings, by name."""

    def __init__(self, folder: Path, **peers: Peer) -> None:
        self.folder, self.peers = folder, dict(peers)
        self.url = f"sqlite:///{folder / 'ledger.sqlite'}"
        self.ledger = open_ledger(self.url)
        self.way = Way(self.ledger, now())

    def locate(self, edition_id: int, name: str) -> Path:
        return self.folder / str(edition_id) / f"{name}.dcm"

    def read(
        self,
        *kinds: str,
        study: str = "2.25.100",
        sender: str = "PACS",
        padding: int = 0,
        **addressing: Any,
    ) -> list[str]:
        """A study that was read, with results of ``kinds``; their SOP instance UIDs."""
        edition_id = self.way.complete(slices(1, study), sender)
        folder = self.folder / str(edition_id)
        folder.mkdir()
        results = [self._result(folder, study, *item, padding) for item in enumerate(kinds, 1)]
        deliveries = address(results, sender, self.peers, **addressing)
        self.ledger.finish(self.way.claim().token, "read", "{}", results, deliveries, now())
        return [result.sop_instance_uid for result in results]

    def _result(self, folder: Path, study: str, number: int, kind: str, padding: int) -> NewResult:
        path = write_object(folder, CLASS_OF[kind], number, study=study, padding=padding)
        content, uid = path.read_bytes(), path.stem
        digest = hashlib.sha256(content).hexdigest()
        return NewResult(kind, CLASS_OF[kind], uid, f"{uid}.1", len(content), digest, uid)

    def courier(self, *, timing: Timing = HURRY, limits: TimeLimits = LIMITS, **more: Any) -> Courier:
        requestor = Requestor("HER2NODE", limits=limits)
        return Courier(self.ledger, self.locate, requestor, self.peers, timing, **more)

    @contextmanager
    def delivering(self, **how: Any) -> Iterator[threading.Event]:
        """A courier at work in a thread; gives its stop event."""
        courier, stop = self.courier(**how), threading.Event()
        thread = threading.Thread(target=courier.run, args=(stop,))
        thread.start()
        try:
            yield stop
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()

    def states(self, study: str = "2.25.100") -> dict[tuple[str, str | None], str]:
        """(kind, destination) to delivery state."""
        return self.way.states(study)

    def await_states(self, wanted: Sequence[str] | set[str], study: str = "2.25.100", seconds: float = 20) -> None:
        """Wait until the deliveries of the study are in exactly these states."""
        wait_for(
            lambda: set(self.states(study).values()) == set(wanted), seconds, f"{wanted}, not {self.states(study)}"
        )

    def errors(self, study: str = "2.25.100") -> list[str]:
        results = self.ledger.study(study).editions[-1].results
        return [to.error for result in results for to in result.deliveries if to.error]

    def close(self) -> None:
        self.ledger.close()
