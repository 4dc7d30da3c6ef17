"""A small test PACS: a receiver with a spool of its own, and a list for a ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from her2node.intake.receiver import Receiver
from her2node.ledger.records import Arrival, AssociationEnded, AssociationOpened
from her2node.settings import Reception
from her2node.spool import Spool

AE = "DEMOPACS"


class DemoPacs:
    """It listens on a free ``port`` from the start; what came is in ``files``."""

    def __init__(self, folder: Path) -> None:
        self._spool = Spool(folder)
        self._arrivals: list[Arrival] = []
        reception = Reception(ae_title=AE, host="127.0.0.1", port=0, free_space_watermark_bytes=0)
        self._receiver = Receiver(reception, self._spool, lambda: self)
        self._receiver.start()
        (self.port,) = self._receiver.ports

    def take_in(
        self,
        opened: Sequence[AssociationOpened],
        arrivals: Sequence[Arrival],
        ended: Sequence[AssociationEnded],
    ) -> None:
        self._arrivals += arrivals

    def taken_in(self, association_id: str) -> set[int]:
        return {arrival.number for arrival in self._arrivals if arrival.association_id == association_id}

    def end_lost(self, receiver: str, now: datetime) -> int:
        return 0

    def close(self) -> None:
        """Nothing is held."""

    def files(self) -> list[Path]:
        """Everything that came, in order."""
        return [self._spool.path_of(arrival.association_id, arrival.number) for arrival in self._arrivals]

    def stop(self) -> None:
        self._receiver.stop()
