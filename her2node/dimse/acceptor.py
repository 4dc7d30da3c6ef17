"""Listens for peers and gives each connection a thread.

One thread accepts on every listener and never waits for a peer: TLS handshake and negotiation happen in the
connection's thread. Several processes may hold the same listeners; whoever is free accepts.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, ip_address

from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity

from her2node import log
from her2node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from her2node.dimse.association import Inline
from her2node.dimse.reader import BufferPool, Reader
from her2node.dimse.reception import AssociationEnd, AssociationRequest, Attendant, Intake, Rejection
from her2node.dimse.seats import Seats
from her2node.errors import SettingsRefused

_BACKLOG = 128
_STRANGERS = 8
"""Connections at one time from addresses that may not associate: enough to tell them so."""
_SPARE_CONNECTIONS = 32
_RESTING = 1.0
"""An association between messages for so many seconds is ended at once when the acceptor stops."""
_LAST_WORDS = 5.0
_PAUSE = 0.1


@dataclass(frozen=True)
class Listener:
    """A listening socket, and TLS where connections to it begin with a handshake."""

    socket: socket.socket
    tls: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])


@dataclass(frozen=True)
class AcceptorOptions:
    """What the wire needs to know. Times in seconds."""

    ae_title: str
    maximum_pdu_bytes: int
    maximum_associations: int
    network_timeout: float
    idle_timeout: float


@dataclass(eq=False)
class _Connection:
    """One peer's connection; ``association`` stands after the handshake."""

    socket: socket.socket
    peer: tuple[str, int]
    known: bool
    association: Inline | None = None
    seated: bool = False


def listen(host: str, port: int, tls: ssl.SSLContext | None = None, patience: float = 5.0) -> Listener:
    """Listen on an address. A predecessor that is just dying may hold it for ``patience`` seconds.

    Raises SettingsRefused when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + patience
    while True:
        try:
            bound = socket.create_server(
                (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=family == socket.AF_INET6
            )
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise SettingsRefused(f"cannot listen on {host} port {port}: {error.strerror}") from error
            time.sleep(_PAUSE)
    bound.setblocking(False)
    return Listener(bound, tls)


class Acceptor:
    """The C-STORE and C-ECHO SCP of one process."""

    def __init__(
        self, options: AcceptorOptions, intake: Intake, listeners: Sequence[Listener], seats: Seats | None = None
    ) -> None:
        self._options = options
        self._intake = intake
        self._listeners = tuple(listeners)
        self._seats = seats or Seats()
        self._pool = BufferPool()
        self._ae = _entity(options)
        self._connections: set[_Connection] = set()
        self._changed = threading.Condition()
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._accept_all, name="acceptor", daemon=True)

    def start(self) -> None:
        """Accept from now on."""
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Accept no more, let what is in flight finish for ``grace`` seconds, abort the rest."""
        os.write(self._wake, b"x")
        self._thread.join()
        for listener in self._listeners:
            listener.socket.close()
        os.close(self._wake)
        os.close(self._woken)
        deadline = time.monotonic() + grace
        while self._connections and time.monotonic() < deadline:
            self._dismiss(resting_for=_RESTING)
            with self._changed:
                self._changed.wait_for(lambda: not self._connections, _PAUSE)
        self._dismiss(resting_for=0.0)
        with self._changed:
            self._changed.wait_for(lambda: not self._connections, _LAST_WORDS)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of the listeners, in their order."""
        return tuple(listener.port for listener in self._listeners)

    def _dismiss(self, resting_for: float) -> None:
        with self._changed:
            connections = tuple(self._connections)
        for connection in connections:
            association = connection.association
            if association is None:
                _shut(connection.socket)
            elif association.resting >= resting_for:
                association.dismiss()

    # accepting

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for listener in self._listeners:
                selector.register(listener.socket, selectors.EVENT_READ, listener)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    self._accept(key.data)

    def _accept(self, listener: Listener) -> None:
        try:
            accepted, peer = listener.socket.accept()
        except BlockingIOError:
            return  # another process was faster
        except OSError:
            time.sleep(_PAUSE)  # out of descriptors, say: those who wait stay in the backlog
            return
        connection = self._welcomed(accepted, (_plain(peer[0]), peer[1]))
        if connection is None:
            return
        try:
            threading.Thread(
                target=self._serve, args=(connection, listener.tls), name="association", daemon=True
            ).start()
        except RuntimeError:  # no more threads
            self._leave(connection)

    def _welcomed(self, accepted: socket.socket, peer: tuple[str, int]) -> _Connection | None:
        connection = _Connection(accepted, peer, self._intake.knows(peer[0]))
        with self._changed:
            alike = sum(other.known == connection.known for other in self._connections)
            room = self._options.maximum_associations + _SPARE_CONNECTIONS if connection.known else _STRANGERS
            if alike < room:
                self._connections.add(connection)
                return connection
        accepted.close()
        self._intake.turned_away(peer[0], "too-many-connections")
        return None

    # one connection

    def _serve(self, connection: _Connection, tls: ssl.SSLContext | None) -> None:
        try:
            if self._secured(connection, tls):
                self._associate(connection)
        except Exception as error:  # noqa: BLE001 - the end of a thread: one connection's fault harms no other
            log.emit_exception(error, address=connection.peer[0])
        finally:
            self._leave(connection)

    def _secured(self, connection: _Connection, tls: ssl.SSLContext | None) -> bool:
        try:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.socket.settimeout(self._options.network_timeout)
            if tls is not None:
                secure = tls.wrap_socket(connection.socket, server_side=True, do_handshake_on_connect=False)
                connection.socket = secure
                secure.do_handshake()  # the timeout is for the whole handshake
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            reason = getattr(error, "reason", None) or type(error).__name__
            self._intake.turned_away(connection.peer[0], f"no TLS: {reason}")
            return False
        return True

    def _associate(self, connection: _Connection) -> None:
        options = self._options
        reader = Reader(connection.socket, self._pool, options.network_timeout)
        try:
            association = Inline(self._ae, connection.socket, reader, connection.peer)
            connection.association = association
            admit = partial(self._admit, connection)
            association.serve(admit, options.network_timeout, options.idle_timeout)
        finally:
            reader.close()

    def _admit(self, connection: _Connection, calling_ae: str, called_ae: str) -> Attendant | Rejection:
        active = self._seats.take()
        connection.seated = True
        verdict = self._intake.admit(AssociationRequest(calling_ae, called_ae, connection.peer[0], active))
        if isinstance(verdict, Rejection):
            self._stand_up(connection)
            return verdict
        return _Seated(verdict, partial(self._stand_up, connection))

    def _stand_up(self, connection: _Connection) -> None:
        if connection.seated:
            connection.seated = False
            self._seats.leave()

    def _leave(self, connection: _Connection) -> None:
        self._stand_up(connection)
        connection.socket.close()
        with self._changed:
            self._connections.discard(connection)
            self._changed.notify_all()


class _Seated:
    """An attendant whose association gives its seat back when it is over, before the connection is closed."""

    def __init__(self, attendant: Attendant, stand_up: Callable[[], None]) -> None:
        self.begin = attendant.begin
        self._attendant = attendant
        self._stand_up = stand_up

    def ended(self, how: AssociationEnd, detail: str) -> None:
        self._stand_up()
        self._attendant.ended(how, detail)


def _entity(options: AcceptorOptions) -> ApplicationEntity:
    """pynetdicom's view of the node. Who may associate, and how many, is decided by the intake."""
    entity = ApplicationEntity(options.ae_title)
    entity.maximum_pdu_size = options.maximum_pdu_bytes
    entity.maximum_associations = 2**31
    entity.network_timeout = options.network_timeout
    entity.acse_timeout = options.network_timeout
    entity.dimse_timeout = options.network_timeout
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return entity


def _plain(address: str) -> str:
    """An address without scope, and an IPv4 address that came over IPv6 as such."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return str(parsed)


def _shut(connection: socket.socket) -> None:
    """End another thread's wait for this peer."""
    with suppress(OSError):  # it has ended meanwhile
        connection.shutdown(socket.SHUT_RDWR)
