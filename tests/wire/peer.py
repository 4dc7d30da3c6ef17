"""A peer made of bytes: it may do what no library would."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Sequence
from types import TracebackType

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
VERIFICATION = "1.2.840.10008.1.1"
COMMAND, LAST = 0x01, 0x02
A_ASSOCIATE_AC, A_ASSOCIATE_RJ, P_DATA, A_RELEASE_RP, A_ABORT = 0x02, 0x03, 0x04, 0x06, 0x07


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def pdv(context_id: int, control: int, piece: bytes) -> bytes:
    return struct.pack(">IBB", len(piece) + 2, context_id, control) + piece


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def associate_rq(
    called: str = "HER2NODE",
    calling: str = "PEER",
    contexts: Sequence[tuple[int, str, Sequence[str]]] = ((1, VERIFICATION, (EXPLICIT,)), (3, CT, (EXPLICIT,))),
    maximum_length: int = 16384,
) -> bytes:
    body = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for context_id, abstract, syntaxes in contexts:
        syntax_items = b"".join(item(0x40, syntax.encode()) for syntax in syntaxes)
        body += item(0x20, bytes((context_id, 0, 0, 0)) + item(0x30, abstract.encode()) + syntax_items)
    user = item(0x51, struct.pack(">I", maximum_length)) + item(0x52, b"1.2.3.4")
    return pdu(0x01, body + item(0x50, user))


def element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def command(*elements: tuple[int, bytes]) -> bytes:
    body = b"".join(element(*one) for one in elements)
    return element(0x0000, struct.pack("<I", len(body))) + body


def us(value: int) -> bytes:
    return struct.pack("<H", value)


def uid(value: str) -> bytes:
    encoded = value.encode()
    return encoded + b"\x00" * (len(encoded) % 2)


def store_rq(instance: str, message_id: int = 1, sop_class: str = CT, data_set: int = 0x0001) -> bytes:
    return command(
        (0x0002, uid(sop_class)),
        (0x0100, us(0x0001)),
        (0x0110, us(message_id)),
        (0x0700, us(0)),
        (0x0800, us(data_set)),
        (0x1000, uid(instance)),
    )


def echo_rq(message_id: int = 1) -> bytes:
    return command((0x0002, uid(VERIFICATION)), (0x0100, us(0x0030)), (0x0110, us(message_id)), (0x0800, us(0x0101)))


def data_set(instance: str, size: int = 100) -> bytes:
    """A small Explicit VR Little Endian data set with pixel data of ``size`` bytes."""

    def short(group: int, number: int, vr: bytes, value: bytes) -> bytes:
        return struct.pack("<HH2sH", group, number, vr, len(value)) + value

    return (
        short(0x0008, 0x0016, b"UI", uid(CT))
        + short(0x0008, 0x0018, b"UI", uid(instance))
        + struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OW", size)
        + bytes(index % 251 for index in range(size))
    )


class Peer:
    """A connection to an acceptor."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, timeout: float = 20.0) -> None:
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def associate(self, request: bytes = b"") -> int:
        """Send A-ASSOCIATE-RQ and return the type of the answer."""
        self.send(request or associate_rq())
        kind, _ = self.receive()
        return kind

    def receive(self) -> tuple[int, bytes]:
        """The next PDU: type and body; type 0 when the connection was closed."""
        head = self._exactly(6)
        if len(head) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", head)
        return kind, self._exactly(length)

    def status(self) -> int:
        """The status of the next DIMSE response, whatever number of PDUs it comes in."""
        encoded = b""
        while True:
            kind, body = self.receive()
            assert kind == P_DATA, f"PDU type {kind} instead of a response"
            encoded += body[6:]
            if body[5] & LAST:
                break
        at = 0
        while at < len(encoded):
            _, number, length = struct.unpack_from("<HHI", encoded, at)
            if number == 0x0900:
                return int(struct.unpack_from("<H", encoded, at + 8)[0])
            at += 8 + length
        raise AssertionError("a response without status")

    def store(self, instance: str, data: bytes | None = None, context_id: int = 3, piece: int = 16000) -> int:
        """A C-STORE like everybody else's; returns its status."""
        content = data_set(instance) if data is None else data
        self.send(pdu(P_DATA, pdv(context_id, COMMAND | LAST, store_rq(instance))))
        for start in range(0, len(content), piece):
            last = LAST if start + piece >= len(content) else 0
            self.send(pdu(P_DATA, pdv(context_id, last, content[start : start + piece])))
        return self.status()

    def echo(self) -> int:
        self.send(pdu(P_DATA, pdv(1, COMMAND | LAST, echo_rq())))
        return self.status()

    def release(self) -> int:
        self.send(pdu(0x05, bytes(4)))
        kind, _ = self.receive()
        return kind

    def _exactly(self, count: int) -> bytes:
        value = b""
        while len(value) < count:
            try:
                piece = self.socket.recv(count - len(value))
            except ConnectionResetError:
                return value
            if not piece:
                return value
            value += piece
        return value
