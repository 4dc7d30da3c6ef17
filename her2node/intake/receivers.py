"""The receiver role: one process, or several that were forked before any thread and share the listeners."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from her2node import log
from her2node.dimse.acceptor import Listener
from her2node.dimse.contexts import accepted_contexts
from her2node.dimse.seats import Seats
from her2node.intake.ledger_writer import LedgerDoor
from her2node.intake.receiver import GRACE, Receiver, listen_for
from her2node.log import Event
from her2node.settings import Reception
from her2node.spool import Spool

_LOOK_EVERY = 0.5
_PAUSE = 1.0
_KILL_AFTER = 10.0
"""Seconds over the grace after which a receiver that does not end is killed."""


def receive(
    reception: Reception,
    spool_folder: Path,
    open_ledger: LedgerDoor,
    stop: threading.Event,
    on_ready: Callable[[tuple[int, ...]], None] = lambda ports: None,
    grace: float = GRACE,
) -> None:
    """Receive until ``stop`` is set (by a signal, from the main thread). ``on_ready`` gets the ports.

    Raises SettingsRefused when a port or a TLS file cannot be used.
    """
    listeners = listen_for(reception)
    ports = tuple(listener.port for listener in listeners)
    if reception.receivers > 1:
        _Forked(reception, spool_folder, open_ledger, listeners, stop, grace).run(lambda: on_ready(ports))
        return
    receiver = Receiver(reception, Spool(spool_folder), open_ledger, listeners, grace=grace)
    receiver.start()
    on_ready(ports)
    stop.wait()
    receiver.stop()


class _Forked:
    """A parent that only forks and waits. Its children end when it is gone, however it went."""

    def __init__(
        self,
        reception: Reception,
        spool_folder: Path,
        open_ledger: LedgerDoor,
        listeners: Sequence[Listener],
        stop: threading.Event,
        grace: float,
    ) -> None:
        self._reception = reception
        self._spool_folder = spool_folder
        self._open_ledger = open_ledger
        self._listeners = listeners
        self._stop = stop
        self._grace = grace
        self._seats = Seats(reception.receivers)
        self._children: dict[int, int] = {}
        self._lifeline, self._held = os.pipe()

    def run(self, on_ready: Callable[[], None]) -> None:
        accepted_contexts()  # made once, shared by all
        gc.freeze()
        for place in range(self._reception.receivers):
            self._fork(place)
        on_ready()
        while not self._stop.wait(_LOOK_EVERY):
            for place in self._ended():
                log.emit(Event.ROLE_DIED, role="receiver", place=place)
                if not self._stop.wait(_PAUSE):
                    self._fork(place)
        self._end()

    def _fork(self, place: int) -> None:
        child = os.fork()
        if child:
            self._children[child] = place
            return
        status = 1
        try:
            self._child(place)
            status = 0
        except Exception as error:  # noqa: BLE001 - the end of a process: the parent sees its status
            log.emit_exception(error)
        finally:
            os._exit(status)

    def _child(self, place: int) -> None:
        os.close(self._held)
        threading.Thread(target=_end_with_parent, args=(self._lifeline,), daemon=True).start()
        self._seats.move_to(place)
        spool = Spool(self._spool_folder)
        receiver = Receiver(self._reception, spool, self._open_ledger, self._listeners, self._seats, self._grace)
        receiver.start()
        self._stop.wait()
        receiver.stop()

    def _ended(self) -> tuple[int, ...]:
        """The places of children that have ended."""
        places = []
        for child in tuple(self._children):
            ended, _ = os.waitpid(child, os.WNOHANG)
            if ended:
                places.append(self._children.pop(child))
        return tuple(places)

    def _end(self) -> None:
        for listener in self._listeners:
            listener.socket.close()
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + self._grace + _KILL_AFTER
        while self._children and time.monotonic() < deadline:
            self._ended()
            time.sleep(0.02)
        self._signal(signal.SIGKILL)
        while self._children:
            self._ended()
            time.sleep(0.02)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            os.kill(child, number)


def _end_with_parent(lifeline: int) -> None:
    """Wait for the end of the only process that holds the other end of the pipe."""
    os.read(lifeline, 1)
    os._exit(1)
