"""A receiver process: acceptor, spool and ledger writer as one thing that starts and stops."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from her2node.dimse.acceptor import Acceptor, AcceptorOptions, Listener, listen
from her2node.dimse.seats import Seats
from her2node.dimse.tls import server_context
from her2node.intake.association import ReceiverIntake
from her2node.intake.ledger_writer import LedgerDoor, LedgerWriter, ReceptionLedger
from her2node.intake.recovery import Recovery, take_in_found
from her2node.ledger.records import AssociationEnded
from her2node.settings import Reception
from her2node.spool import Spool

GRACE = 15.0
"""Seconds that associations in flight have when the receiver is told to stop."""
_WRITER_PATIENCE = 3.0


def listen_for(reception: Reception, patience: float = 5.0) -> tuple[Listener, ...]:
    """The listeners of the settings: plain, TLS or both. A dying predecessor may hold a port for ``patience`` seconds.

    Raises SettingsRefused.
    """
    listeners = []
    if reception.port or not reception.tls.port:
        listeners.append(listen(reception.host, reception.port, None, patience))
    if reception.tls.port:
        listeners.append(listen(reception.host, reception.tls.port, server_context(reception.tls), patience))
    return tuple(listeners)


class Receiver:
    """Receives until it is stopped. ``open_ledger`` is called when there is first something to tell."""

    def __init__(
        self,
        reception: Reception,
        spool: Spool,
        open_ledger: LedgerDoor,
        listeners: Sequence[Listener] | None = None,
        seats: Seats | None = None,
        grace: float = GRACE,
    ) -> None:
        self._spool = spool
        self._ledger = _Once(open_ledger)
        self._grace = grace
        self._session = spool.open_session()
        self._writer = LedgerWriter(self._ledger, self._survey)
        self._recovery = Recovery(spool, self._ledger)
        intake = ReceiverIntake(reception, spool, self._session, self._writer)
        chosen = listen_for(reception) if listeners is None else listeners
        self._acceptor = Acceptor(_options(reception), intake, chosen, seats)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports it listens on: plain first, then TLS."""
        return self._acceptor.ports

    def start(self) -> None:
        """Receive from now on; what a predecessor left is taken in meanwhile."""
        self._writer.start()
        self._recovery.start()
        self._acceptor.start()

    def wait_recovered(self, seconds: float) -> bool:
        """Wait until what predecessors left is in the ledger. Whether it is."""
        return self._recovery.wait(seconds)

    def stop(self) -> None:
        """Accept no more, let what is in flight finish, tell the ledger, and end."""
        self._acceptor.stop(self._grace)
        self._recovery.stop()
        clean = self._writer.stop(_WRITER_PATIENCE)
        self._session.close(clean=clean)
        self._ledger.close()

    def _survey(self, ended: AssociationEnded, ledger: ReceptionLedger) -> None:
        take_in_found(self._spool, ledger, ended.association_id, self._session.session_id, ended.how)


class _Once:
    """Opens the ledger at the first call, and again as long as that fails."""

    def __init__(self, open_ledger: LedgerDoor) -> None:
        self._open = open_ledger
        self._ledger: ReceptionLedger | None = None
        self._lock = threading.Lock()

    def __call__(self) -> ReceptionLedger:
        with self._lock:
            if self._ledger is None:
                self._ledger = self._open()
            return self._ledger

    def close(self) -> None:
        with self._lock:
            if self._ledger is not None:
                self._ledger.close()
                self._ledger = None


def _options(reception: Reception) -> AcceptorOptions:
    return AcceptorOptions(
        ae_title=reception.ae_title,
        maximum_pdu_bytes=reception.maximum_pdu_bytes,
        maximum_associations=reception.maximum_associations,
        network_timeout=reception.network_timeout.total_seconds(),
        idle_timeout=reception.idle_timeout.total_seconds(),
    )
