"""Peers that claim, trickle, wait or crowd: they hold up nobody and make nothing grow."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from tests.wire.certificates import Authority
from tests.wire.conftest import NodeMaker
from tests.wire.node import until
from tests.wire.peer import (
    A_ABORT,
    A_ASSOCIATE_AC,
    A_ASSOCIATE_RJ,
    COMMAND,
    LAST,
    P_DATA,
    Peer,
    associate_rq,
    command,
    echo_rq,
    pdu,
    pdv,
    store_rq,
    us,
)
from tests.wire.process import ReceiverProcess, cpu_seconds, peak_mb, resident_mb
from tests.wire.test_senders import free_port

GIGABYTES_4 = 2**32 - 1
MEGABYTE = bytes(2**20)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """A receiver with a network timeout of one second, warmed up."""
    receiver = ReceiverProcess(tmp_path_factory.mktemp("hostile") / "root", "--network-timeout", "1")
    with Peer(receiver.port) as peer:
        peer.associate()
        peer.store("1.2.3", MEGABYTE * 4)
        peer.release()
    yield receiver
    receiver.close()


def serves(port: int) -> bool:
    """Whether a new peer is answered at once."""
    began = time.monotonic()
    with Peer(port) as peer:
        assert peer.associate() == A_ASSOCIATE_AC
        assert peer.echo() == 0
    return time.monotonic() - began < 1.0


def wait_for_the_end(peer: Peer) -> float:
    """Seconds until the receiver gives up on a peer."""
    began = time.monotonic()
    peer.receive()
    return time.monotonic() - began


def send_echoes(peer: Peer, count: int) -> None:
    """Ask without listening."""
    for _ in range(count // 100):
        peer.send(pdu(P_DATA, pdv(1, COMMAND | LAST, echo_rq())) * 100)


# --- claims -------------------------------------------------------------------------------------------------


def test_a_pdu_that_claims_4_gib_makes_nothing_grow(process: ReceiverProcess) -> None:
    before = peak_mb(process.process.pid)
    with Peer(process.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3"))))
        peer.send(struct.pack(">BxI", P_DATA, GIGABYTES_4), struct.pack(">IBB", GIGABYTES_4 - 4, 3, 0))
        for _ in range(200):
            peer.send(MEGABYTE)
    until(lambda: not process.files(".part"))
    assert peak_mb(process.process.pid) - before < 16


@pytest.mark.soak
def test_a_2_gib_object_is_stored_in_little_memory(process: ReceiverProcess) -> None:
    before = peak_mb(process.process.pid)
    with Peer(process.port, timeout=120) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.2048"))))
        for number in range(2048):
            peer.send(pdu(P_DATA, pdv(3, LAST if number == 2047 else 0, MEGABYTE)))
        assert peer.status() == 0
    largest = max(process.files(), key=lambda path: path.stat().st_size)
    assert largest.stat().st_size > 2**31
    largest.unlink()
    assert peak_mb(process.process.pid) - before < 16


@pytest.mark.parametrize("kind", [0x01, 0x02, 0x05, 0x07, 0x42])
def test_another_pdu_that_claims_4_gib_is_refused_at_once(process: ReceiverProcess, kind: int) -> None:
    with Peer(process.port) as peer:
        peer.send(struct.pack(">BxI", kind, GIGABYTES_4))
        assert peer.receive()[0] in (0, A_ABORT)


def test_a_command_set_without_end_is_cut_off(process: ReceiverProcess) -> None:
    before = peak_mb(process.process.pid)
    with Peer(process.port) as peer:
        peer.associate()
        with suppress(OSError):
            for _ in range(20):
                peer.send(pdu(P_DATA, pdv(3, COMMAND, MEGABYTE)))
        assert peer.receive()[0] in (0, A_ABORT)
    assert peak_mb(process.process.pid) - before < 16


def test_the_data_of_a_message_that_is_no_c_store_has_an_end(process: ReceiverProcess) -> None:
    before = peak_mb(process.process.pid)
    with Peer(process.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, command((0x0100, us(0x0020)), (0x0800, us(1))))))
        with suppress(OSError):
            for _ in range(30):
                peer.send(pdu(P_DATA, pdv(3, 0, MEGABYTE[:65536])))
        assert peer.receive()[0] in (0, A_ABORT)
    assert peak_mb(process.process.pid) - before < 16


def test_a_full_association_request_of_nonsense_is_survived(process: ReceiverProcess) -> None:
    contexts = [(number % 128 * 2 + 1, f"1.2.3.{number}", ["1.2.840.10008.1.2"]) for number in range(7_000)]
    with Peer(process.port) as peer:
        peer.send(associate_rq(contexts=contexts))
        peer.receive()
    assert serves(process.port)


# --- silence and trickles ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [b"", b"\x01", associate_rq()[:3], associate_rq()[:100]],
    ids=["nothing", "one byte", "half a head", "half a request"],
)
def test_a_peer_that_falls_silent_before_associating_is_cut_off(process: ReceiverProcess, start: bytes) -> None:
    with Peer(process.port) as peer:
        peer.send(start)
        assert serves(process.port)
        assert wait_for_the_end(peer) < 5


def test_a_peer_that_falls_silent_inside_a_pdu_is_cut_off(process: ReceiverProcess) -> None:
    with Peer(process.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3"))), pdu(P_DATA, pdv(3, 0, bytes(100)))[:50])
        until(lambda: process.files(".part"))
        assert serves(process.port)
        assert wait_for_the_end(peer) < 5
    until(lambda: not process.files(".part"))


@pytest.mark.parametrize("associated", [False, True])
def test_a_peer_that_trickles_is_cut_off(process: ReceiverProcess, associated: bool) -> None:
    stream = associate_rq() if not associated else pdu(P_DATA, pdv(3, 0, bytes(5000)))
    with Peer(process.port) as peer:
        if associated:
            peer.associate()
            peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3"))))
        began = time.monotonic()
        peer.socket.settimeout(0.1)
        with suppress(ConnectionError):
            for byte in stream:
                peer.send(bytes((byte,)))
                with suppress(TimeoutError):
                    if peer.socket.recv(100) == b"":
                        break
        assert time.monotonic() - began < 5
    assert serves(process.port)


def test_silent_and_trickling_peers_on_the_tls_port_hold_up_nobody(make_node: NodeMaker, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("node")
    tls = {"port": free_port(), "certificate": certificate, "key": key, "ca": authority.file}
    node = make_node(tls=tls, network_timeout=timedelta(seconds=1))
    port = node.receiver.ports[-1]
    client = authority.client_context()
    with ExitStack() as stack:
        silent = [stack.enter_context(Peer(port)) for _ in range(5)]
        halfway = stack.enter_context(Peer(port))
        halfway.send(b"\x16\x03\x01\x02\x00\x01")
        began = time.monotonic()
        with Peer(port, client) as peer:
            assert peer.associate() == A_ASSOCIATE_AC
            assert peer.echo() == 0
        assert time.monotonic() - began < 1
        for other in (*silent, halfway):
            assert wait_for_the_end(other) < 5
        secured = stack.enter_context(Peer(port, client))
        secured.associate()
        secured.send(pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3")))[:20])
        assert wait_for_the_end(secured) < 5


def test_an_association_without_messages_is_ended(make_node: NodeMaker) -> None:
    node = make_node(idle_timeout=timedelta(seconds=0.3))
    with Peer(node.port) as peer:
        peer.associate()
        assert peer.store("1.2.3") == 0
        assert peer.receive()[0] == A_ABORT
    assert len(node.files()) == 1


def test_a_peer_that_reads_no_answers_is_cut_off(make_node: NodeMaker) -> None:
    node = make_node(network_timeout=timedelta(seconds=0.5))
    (listener,) = node.receiver._acceptor._listeners
    listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)  # as if it had waited long
    with Peer(node.port) as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        peer.associate()
        with pytest.raises(ConnectionError):
            send_echoes(peer, 200_000)
    assert serves(node.port)


# --- crowds --------------------------------------------------------------------------------------------------


def test_64_idle_associations_cost_nothing(process: ReceiverProcess) -> None:
    pid = process.process.pid
    with ExitStack() as stack:
        before = resident_mb(pid)
        for number in range(63):
            peer = stack.enter_context(Peer(process.port))
            assert peer.associate() == A_ASSOCIATE_AC
            if number % 2:
                assert peer.store(f"1.2.{number}", MEGABYTE[:300_000]) == 0
        time.sleep(1.5)  # not a wait for anything: the span in which CPU is measured, after buffers went back
        began, used = time.monotonic(), cpu_seconds(pid)
        time.sleep(2.0)
        share = (cpu_seconds(pid) - used) / (time.monotonic() - began)
        assert share <= 0.011
        assert resident_mb(pid) - before < 10
        assert serves(process.port)


def test_one_association_too_many_is_rejected_for_the_moment(make_node: NodeMaker) -> None:
    node = make_node(maximum_associations=2)
    with Peer(node.port) as first, Peer(node.port) as second:
        assert first.associate() == second.associate() == A_ASSOCIATE_AC
        with Peer(node.port) as third:
            third.send(associate_rq())
            kind, body = third.receive()
            assert (kind, body[1:]) == (A_ASSOCIATE_RJ, bytes((2, 3, 2)))
        first.release()
        with Peer(node.port) as fourth:
            assert fourth.associate() == A_ASSOCIATE_AC


def test_many_connections_without_association_leave_room_for_the_rest(make_node: NodeMaker) -> None:
    node = make_node(maximum_associations=4)
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(Peer(node.port))
        until(lambda: sum(connection.known for connection in node.receiver._acceptor._connections) == 36)
    until(lambda: serves(node.port))
