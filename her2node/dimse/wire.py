"""The upper layer of one accepted association, in the association's own thread.

pynetdicom's state machine decides; its reactor thread, which looks for work every millisecond, is left away. Whoever
wants the next PDU pumps; whoever sends acts at once. P-DATA of an established association goes to ``Transfer``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty
from typing import Any

from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ

from her2node.dimse.messages import (
    A_ASSOCIATE_RQ,
    P_DATA_TF,
    PDU_HEAD,
    Command,
    check_association_request,
    command_pdus,
    data_pdu,
    store_response,
)
from her2node.dimse.reader import Reader
from her2node.dimse.reception import Answer, ConnectionLost, Unfit
from her2node.dimse.transfer import Transfer

_LONGEST = {
    A_ASSOCIATE_RQ: 524_288,  # 128 contexts with every transfer syntax stay below it
    0x02: 1024,
    0x03: 1024,
    0x05: 1024,
    0x06: 1024,
    0x07: 1024,
}
"""The longest PDU of each type that is read; longer is an invalid PDU. P-DATA-TF is streamed and has no limit."""

_CLOSED, _INVALID, _DATA = "Evt17", "Evt19", "Evt10"
_ESTABLISHED, _CLOSING = "Sta6", "Sta13"
_LAST_WORDS = 2.0
"""Seconds that the peer has to close after our last PDU."""


class Wire(DULServiceProvider):
    """A DUL service provider without a thread: the seams of pynetdicom 3.0.4 that are replaced, and nothing else."""

    def __init__(self, assoc: Any, reader: Reader) -> None:
        super().__init__(assoc)
        self._acting = threading.RLock()
        self._reader = reader
        self.transfer: Transfer | None = None
        """Set when the association is established."""
        self.longest_pdu = 0
        """The longest PDU that the peer takes; 0: any."""
        self.dismissed = False
        """Set by another thread that wants the association to end; its wait for the peer then ends."""
        self.loss = ""
        """Why the connection or the protocol broke, where it did."""

    # what pynetdicom calls

    def start(self) -> None:
        """No thread: act on the event that the connection is open."""
        self.assoc._dul_ready.set()
        self._act()

    def is_alive(self) -> bool:
        """Whether this provider still serves; pynetdicom asks its thread."""
        return not self._kill_thread

    def stop_dul(self) -> bool:
        """Close the connection. After our last PDU the peer gets a moment to close first."""
        if self.state_machine.current_state == _CLOSING:
            self._reader.drain(_LAST_WORDS, say_so=not self.assoc.is_released)
        if self.socket is not None:
            self.socket.close()
        self._kill_thread = True
        return True

    def receive_pdu(self, wait: bool = False, timeout: float | None = None) -> Any:
        """The next primitive for the service user; pumps for it when told to wait."""
        if wait:
            while self.to_user_queue.empty() and self.pump(timeout or 0.0):
                pass
        try:
            return self.to_user_queue.get_nowait()
        except Empty:
            return None

    def send_pdu(self, primitive: Any) -> None:
        """Act on a primitive of the service user at once."""
        with self._acting:
            self.to_provider_queue.put(primitive)
            self._process_recv_primitive()
            self._act()

    # what the association calls

    def pump(self, timeout: float) -> bool:
        """Wait for the peer and take what it sends: a PDU, or its next message. False when nothing came in time, or
        nothing more can come."""
        if self._kill_thread or self.state_machine.current_state == _CLOSING:
            return False
        if self.transfer is None or not self.transfer.inside_pdu:
            if not self._reader.wait(timeout) or self.dismissed:
                return False
            self._take(self._next_pdu)
        if self.transfer is not None and self.transfer.inside_pdu:
            self._take(self._items)
        return True

    def respond(self, context_id: int, command: Command, answer: Answer) -> None:
        """Send a C-STORE response."""
        response = store_response(command, answer)
        with self._acting:
            for pdu in command_pdus(context_id, response, self.longest_pdu):
                self._send_bytes(pdu)
            self._act()

    def forward(self, context_id: int, control: int, piece: bytes) -> None:
        """Hand a presentation data value item to pynetdicom, as if it had come in a PDU of its own."""
        self._take_decoded(bytearray(data_pdu(context_id, control, piece)))
        self._act()

    # within

    def _take(self, step: Callable[[], None]) -> None:
        try:
            step()
        except ConnectionLost as error:
            self.loss = str(error)
            self.event_queue.put(_CLOSED)
        except Unfit as error:
            self.loss = str(error)
            self.event_queue.put(_INVALID)
        self._act()

    def _next_pdu(self) -> None:
        self._reader.begin_pdu()
        head = bytes(self._reader.take(PDU_HEAD.size))
        kind, length = PDU_HEAD.unpack(head)
        if kind == P_DATA_TF:
            self._begin_data(length)
        elif length > _LONGEST.get(kind, -1):
            raise Unfit(f"a PDU of type {kind:#04x} and {length} bytes")
        else:
            body = self._reader.whole(length)
            if kind == A_ASSOCIATE_RQ:
                check_association_request(memoryview(body))
            self._take_decoded(bytearray(head) + body)

    def _begin_data(self, length: int) -> None:
        if self.transfer is None or self.state_machine.current_state != _ESTABLISHED:
            self.event_queue.put(_DATA)  # an abort in every such state, which looks at no data
            return
        self._reader.expect_data()
        self.transfer.begin_pdu(length)

    def _items(self) -> None:
        """The items of a PDU, up to the end of a message that pynetdicom has to serve."""
        transfer, waiting = self.transfer, self.assoc.dimse.msg_queue
        while transfer is not None and transfer.inside_pdu and waiting.empty() and not self._kill_thread:
            transfer.step(self._reader)

    def _take_decoded(self, encoded: bytearray) -> None:
        try:
            pdu, event = self._decode_pdu(encoded)
        except Exception as error:
            raise Unfit(f"a PDU of type {encoded[0]:#04x} that cannot be read") from error
        self._recv_pdu.put(pdu)
        self.event_queue.put(event)

    def _act(self) -> None:
        """Let the state machine act on every event that waits."""
        with self._acting:
            while self.event_queue.queue and not self._kill_thread:  # looked at directly: an exception costs more
                try:
                    self.state_machine.do_action(self.event_queue.get_nowait())
                except Exception as error:  # noqa: BLE001 - an action reads what the peer sent, and an event may not fit
                    self._break(error)

    def _break(self, error: Exception) -> None:
        """Leave the state machine aside: send A-ABORT and end."""
        self.loss = self.loss or f"{type(error).__name__} in {self.state_machine.current_state}"
        abort = A_ABORT_RQ()
        abort.source, abort.reason_diagnostic = 0x02, 0x00
        self._send_bytes(abort.encode())
        self.assoc.is_aborted = True
        self.assoc.is_established = False
        self._kill_thread = True

    def _send_bytes(self, pdu: bytes) -> None:
        """Send a PDU; a broken connection becomes an event."""
        if self.socket is not None and self.socket.socket is not None:
            self.socket.send(pdu)
