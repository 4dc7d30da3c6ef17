"""The courier: a thread a peer, so that one that is away or slow holds up nobody else.

Each thread looks at the ledger for what is due to its peer, makes a trip for it, then asks the peer for what was sent.
Before that it asks a peer that counts how many objects there are of the studies that it is sending.
The ledger's leases and due times are all that it knows: another courier, or the same one after a restart, goes on.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from her2node.delivery.census import take_census
from her2node.delivery.confirming import confirm
from her2node.delivery.desk import Desk, Timing, utc_now
from her2node.delivery.trip import Trip
from her2node.dimse.requestor import Requestor
from her2node.errors import LeaseLost, PeerUnknown
from her2node.ledger import Ledger
from her2node.ledger.records import DeliveryClaim, Taker
from her2node.log import Event, emit, emit_exception
from her2node.settings import Peer

_ORPHANS = 100


class Courier:
    """Brings what is due to the peers. ``locate`` gives the file of a result: ``Spool.result_path``."""

    def __init__(
        self,
        ledger: Ledger,
        locate: Callable[[int, str], Path],
        requestor: Requestor,
        peers: Mapping[str, Peer],
        timing: Timing | None = None,
        *,
        confirms: bool = True,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._peers, self._confirms = dict(peers), confirms
        worker = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._told: dict[str, str] = {}
        self._desk = Desk(ledger, locate, requestor, timing or Timing(), worker, clock)

    def run(self, stop: threading.Event) -> None:
        """Deliver until ``stop`` is set, then end within seconds: what is under way is finished or handed back."""
        threads = [
            threading.Thread(target=self._serve, args=(name,), name=f"courier {name}", daemon=True)
            for name in self._peers
        ]
        for thread in threads:
            thread.start()
        while True:
            self._at_the_door("survey", self.survey)
            if stop.wait(self._desk.timing.survey.total_seconds()):
                break
        self._stop(threads)

    def run_once(self) -> bool:
        """One round over all peers, one after the other, in this thread; whether there was anything to do."""
        self.survey()
        worked = [self._round(name) for name in self._peers]
        return any(worked)

    def survey(self) -> None:
        """Give held results to peers that are configured by now; postpone what goes to a peer that is gone."""
        desk = self._desk
        takers = {peer.ae: Taker(name, peer.receives) for name, peer in self._peers.items()}
        desk.ledger.release_held(takers, desk.clock())
        orphans = desk.ledger.claim_deliveries(
            desk.worker, desk.timing.lease, desk.clock(), _ORPHANS, not_to=self._peers
        )
        for claim in orphans:
            self._postpone_orphan(claim)

    def _postpone_orphan(self, claim: DeliveryClaim) -> None:
        error = PeerUnknown(claim.destination, remedy=f"add [peers.{claim.destination}] with ae, host and port")
        now = self._desk.clock()
        ids = [item.delivery_id for item in claim.items]
        self._desk.ledger.postponed(claim.token, ids, str(error), now + self._desk.timing.longest_pause, now)
        emit(
            Event.DELIVERY_POSTPONED,
            destination=claim.destination,
            study=claim.study_instance_uid,
            objects=len(ids),
            error=str(error),
            remedy=error.remedy,
        )

    def _serve(self, name: str) -> None:
        stopping = self._desk.stopping
        while not stopping.is_set():
            if not self._at_the_door(name, lambda: self._round(name)):
                stopping.wait(self._desk.timing.tick.total_seconds())

    def _round(self, name: str) -> bool:
        """Its counts, one trip to a peer, or else its confirmations; whether there was anything to do."""
        desk, peer = self._desk, self._peers[name]
        asked = peer.counts and take_census(desk, peer)
        claims = desk.ledger.claim_deliveries(desk.worker, desk.timing.lease, desk.clock(), 1, to=(name,))
        for claim in claims:
            Trip(desk, peer, claim).run()
        return bool(claims) or (self._confirms and confirm(desk, name, peer)) or asked

    def _at_the_door(self, what: str, act: Callable[[], bool | None]) -> bool:
        """The one place that meets errors which no trip can settle: told once, and on it goes after a tick."""
        try:
            worked = bool(act())
        except LeaseLost:
            return True  # another courier has it
        except Exception as error:  # noqa: BLE001 - the door: no thread may end for one bad claim
            words = f"{type(error).__name__}: {error}"
            if self._told.get(what) != words:
                self._told[what] = words
                emit_exception(error, during=f"delivery: {what}")
            return False
        self._told.pop(what, None)
        return worked

    def _stop(self, threads: list[threading.Thread]) -> None:
        self._desk.stopping.set()
        _join(threads, self._desk.timing.grace)
        self._desk.requestor.cut_all()
        _join(threads, self._desk.timing.hand_back)


def _join(threads: Sequence[threading.Thread], patience: timedelta) -> None:
    deadline = time.monotonic() + patience.total_seconds()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
