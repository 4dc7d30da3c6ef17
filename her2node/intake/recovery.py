"""Takes in from the spool what the ledger does not know.

A receiver that was killed left objects that it had answered with Success and not yet told the ledger; one that runs
may have had too much to tell while the ledger was away.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from her2node import log
from her2node.errors import Transient
from her2node.intake.ledger_writer import BATCH, LedgerDoor, ReceptionLedger
from her2node.ledger.records import Arrival, AssociationEnd, AssociationEnded, AssociationOpened
from her2node.log import Event
from her2node.spool import Found, LostSession, Spool
from her2node.spool.spool import opened_at

_PAUSE = 1.0


def take_in_found(
    spool: Spool, ledger: ReceptionLedger, association_id: str, session_id: str, how: AssociationEnd
) -> int:
    """Take in what lies in an association's folder and end it; nobody may be writing there.

    Returns how many objects the ledger had not known. May be repeated.
    """
    known = ledger.taken_in(association_id)
    found = tuple(spool.survey(association_id, known))
    if not found:
        spool.forget_if_empty(association_id)
    if not found and not known:
        return 0
    opened = [_opened(found[0], session_id)] if found else []
    ended = [AssociationEnded(association_id, datetime.now(UTC), how, len(known) + len(found))]
    arrivals = [_arrival(one) for one in found]
    for start in range(0, len(arrivals), BATCH):
        ledger.take_in(opened, arrivals[start : start + BATCH], [])
    ledger.take_in(opened, [], ended)
    return len(found)


def _opened(found: Found, session_id: str) -> AssociationOpened:
    sender = found.meta.sender
    return AssociationOpened(
        found.association_id,
        sender.calling_ae,
        sender.called_ae,
        sender.address,
        opened_at(found.association_id),
        session_id,
    )


def _arrival(found: Found) -> Arrival:
    return Arrival(
        found.association_id,
        found.number,
        found.meta.sop_class_uid,
        found.meta.sop_instance_uid,
        found.meta.transfer_syntax_uid,
        found.size,
        found.received_at,
    )


class Recovery:
    """One thread that puts right what dead receivers left, while this one already receives."""

    def __init__(self, spool: Spool, ledger: LedgerDoor) -> None:
        self._spool = spool
        self._ledger = ledger
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Leave off after the association in hand; the rest waits for the next start."""
        self._stopping.set()
        self._thread.join()

    def wait(self, seconds: float) -> bool:
        """Wait until everything is put right. Whether it is."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        for holding in self._spool.lost_sessions():
            with holding as lost:
                if lost is not None:
                    self._insist(lost)

    def _insist(self, lost: LostSession) -> None:
        """Try until the session is settled. An error nobody foresaw leaves it to the next start."""
        while not self._stopping.is_set():
            try:
                lost.settled = self._settle(lost.session_id)
                return
            except Transient as error:
                log.emit(Event.LEDGER_AWAY, reason=error.reason)
            except Exception as error:  # noqa: BLE001 - one session's fault must not hide the others
                log.emit_exception(error, session_id=lost.session_id)
                return
            self._stopping.wait(_PAUSE)

    def _settle(self, session_id: str) -> bool:
        ledger = self._ledger()
        instances = 0
        for association_id in self._spool.associations_of(session_id):
            if self._stopping.is_set():
                return False
            instances += take_in_found(self._spool, ledger, association_id, session_id, "lost")
        associations = ledger.end_lost(session_id, datetime.now(UTC))
        log.emit(Event.SPOOL_RECOVERED, receiver=session_id, instances=instances, associations=associations)
        return True
