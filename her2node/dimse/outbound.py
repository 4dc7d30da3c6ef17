"""pynetdicom's requesting side with a limit on every wait.

Its own limits hold for each wait alone, and the socket has none once it is connected: a peer that trickles, or stops
reading, would hold them off for ever. Here the socket keeps a limit, remembers why it failed, and hangs on a rope that
ends the connection as a whole, whatever thread waits on it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ssl import SSLContext

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket


class OutboundSocket(AssociationSocket):
    """The socket of one association that the node opens."""

    failure: OSError | None = None
    """Why there was no connection."""
    ending: str = "broke off the association"
    """How the connection ended, after the peer's name."""

    def connect(self, primitive: T_CONNECT) -> None:
        """As the stock method, but keeps the error and leaves a time limit on the connected socket."""
        try:
            self._connect(primitive.address_info)
        except OSError as error:
            self.failure = error
            self._shutdown_socket()
            self.socket = None
            primitive.result = "Evt17"  # transport connection closed (PS3.8 table 9-10)
        else:
            self._is_connected = True
            primitive.result = "Evt2"  # transport connection confirmed
        finally:
            self.provider_queue.put(primitive)
            self._ready.set()

    def _connect(self, address: AddressInformation) -> None:
        wire = self.socket
        if wire is None:
            raise ConnectionAbortedError(self.ending)
        wire.settimeout(self.assoc.connection_timeout)
        wire.connect(address.as_tuple)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls_args:
            context, name = self.tls_args
            self.socket = wire = context.wrap_socket(wire, server_hostname=name)
        wire.settimeout(self.assoc.network_timeout)

    def _shutdown_socket(self) -> None:
        """As the stock method, which forgets to close a socket that the peer shut already."""
        wire = self.socket
        if wire is not None:
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
            wire.close()

    def discard(self) -> None:
        """Close the socket whatever state pynetdicom left it in. The association must have ended."""
        self._shutdown_socket()

    def cut(self, why: str) -> None:
        """End the connection, from any thread."""
        self.ending = why
        wire = self.socket
        if wire is not None:
            with suppress(OSError):  # not connected, or closed a moment ago
                wire.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def rope(self, seconds: float) -> Iterator[None]:
        """Cut the connection unless the block ends within ``seconds``."""
        with _alarm(seconds, lambda: self.cut(f"did not answer within {seconds:.3g} s")):
            yield


class OutboundEntity(AE):
    """pynetdicom's application entity for one association, whose socket is ours."""

    wire: OutboundSocket

    def __init__(
        self,
        ae_title: str,
        connect_seconds: float,
        answer_seconds: float,
        on_wire: Callable[[OutboundSocket], None] = lambda wire: None,
    ) -> None:
        super().__init__(ae_title)
        self._on_wire = on_wire
        self.connection_timeout = connect_seconds
        self.acse_timeout = self.network_timeout = answer_seconds

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limit the whole of an ``associate`` inside: connection, handshake and negotiation."""
        with _alarm(seconds, lambda: self.wire.cut(f"did not answer within {seconds:.3g} s")):
            yield

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[SSLContext, str] | None
    ) -> AssociationSocket:
        self.wire = OutboundSocket(assoc, address=address)
        self.wire.tls_args = tls_args
        self._on_wire(self.wire)
        return self.wire


@contextmanager
def _alarm(seconds: float, ring: Callable[[], None]) -> Iterator[None]:
    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
