"""One accepted association: negotiated and ended by pynetdicom, served without its sleeping reactor."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AddressInformation, AssociationSocket

from her2node.dimse.contexts import accepted_contexts
from her2node.dimse.reader import Reader
from her2node.dimse.reception import Attendant, Rejection
from her2node.dimse.transfer import Accepted, Transfer
from her2node.dimse.wire import Wire

Admit = Callable[[str, str], Attendant | Rejection]
"""Calling and called AE title to who attends, or how to reject."""


class Inline(Association):
    """An acceptor association that runs in the thread that calls ``serve`` and waits only for its peer."""

    def __init__(self, ae: ApplicationEntity, connection: socket.socket, reader: Reader, peer: tuple[str, int]) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self._wire = Wire(self, reader)
        self.dul = self._wire
        self.acse_timeout = ae.acse_timeout  # again: these set timers of the provider
        self.network_timeout = ae.network_timeout
        self.set_socket(AssociationSocket(self, client_socket=connection))
        self._connection = connection
        self._resting_since = 0.0
        self.acceptor.maximum_length = ae.maximum_pdu_size
        self.acceptor.ae_title = ae.ae_title
        self.acceptor.implementation_class_uid = ae.implementation_class_uid
        self.acceptor.implementation_version_name = ae.implementation_version_name
        self.acceptor.supported_contexts = accepted_contexts()
        self.requestor.address_info = AddressInformation(*peer)

    def serve(self, admit: Admit, opening: float, idle: float) -> None:
        """Everything from A-ASSOCIATE-RQ to the closed connection. Waits ``opening`` and ``idle`` seconds at most."""
        self._wire.start()
        self._started_dul = True
        request = self._wire.receive_pdu(wait=True, timeout=opening)
        if isinstance(request, A_ASSOCIATE):
            self.requestor.primitive = request
            verdict = admit(request.calling_ae_title.strip(), request.called_ae_title.strip())
            if isinstance(verdict, Rejection):
                self.acse.send_reject(verdict.result, verdict.source, verdict.diagnostic)
            else:
                self._attended(verdict, idle)
        self.kill()

    def dismiss(self) -> None:
        """End the association from another thread: its wait for the peer ends, and it aborts."""
        self._wire.dismissed = True
        try:
            self._connection.shutdown(socket.SHUT_RD)
        except OSError:  # it has ended meanwhile
            return

    @property
    def resting(self) -> float:
        """For how many seconds it has been waiting between messages; 0 inside one."""
        since = self._resting_since
        return time.monotonic() - since if since else 0.0

    def _attended(self, attendant: Attendant, idle: float) -> None:
        try:
            self.acse.negotiate_association()
            if self.is_established:
                self._wire.longest_pdu = self.requestor.maximum_length or 0
                self._wire.transfer = Transfer(self._agreed(), attendant.begin, self._wire.respond, self._wire.forward)
                self._serve_messages(idle)
        finally:
            if self._wire.transfer is not None:
                self._wire.transfer.drop()
            attendant.ended("released" if self.is_released else "aborted", self._wire.loss)
        if self.is_released:  # the peer may be back at once: it is told when everything is put away
            self.acse.send_release(is_response=True)

    def _agreed(self) -> Accepted:
        return {
            context_id: (str(context.abstract_syntax), str(context.transfer_syntax[0]))
            for context_id, context in self._accepted_cx.items()
        }

    def _serve_messages(self, idle: float) -> None:
        while self.is_established and self._wire.is_alive():
            if not self._hear(idle):
                self._wire.loss = "dismissed" if self._wire.dismissed else "idle"
                self.acse.send_abort(0x00)
                return
            context_id, message = self.dimse.get_msg(block=False)
            if message is not None and context_id is not None:
                self._serve_request(message, context_id)
            if self.acse.is_release_requested():
                self.is_released = True
                return
            if self.acse.is_aborted():
                self.is_aborted = True
                return

    def _hear(self, idle: float) -> bool:
        transfer = self._wire.transfer
        if transfer is not None and not transfer.inside_message:
            self._resting_since = time.monotonic()
        heard = self._wire.pump(idle)
        self._resting_since = 0.0
        return heard
