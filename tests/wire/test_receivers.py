"""Starting and ending: several processes on one listener, SIGTERM, a parent that is killed, a ledger that is away."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from her2node.errors import SettingsRefused
from her2node.intake.receiver import Receiver, listen_for
from her2node.settings import Reception
from her2node.spool import Spool
from tests.wire.conftest import NodeMaker
from tests.wire.node import Node, RememberingLedger, until
from tests.wire.peer import (
    A_ABORT,
    A_ASSOCIATE_AC,
    A_RELEASE_RP,
    COMMAND,
    LAST,
    P_DATA,
    Peer,
    data_set,
    pdu,
    pdv,
    store_rq,
)
from tests.wire.process import ReceiverProcess
from tests.wire.test_kills import known_to_the_ledger


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_several_receivers_share_a_listener_and_each_serves(tmp_path: Path) -> None:
    receiver = ReceiverProcess(tmp_path, "--receivers", "3")
    try:
        until(lambda: len(children(receiver.process.pid)) == 3)
        peers = [Peer(receiver.port) for _ in range(12)]
        for number, peer in enumerate(peers):
            assert peer.associate() == A_ASSOCIATE_AC
            assert peer.store(f"1.2.{number}") == 0
        for peer in peers:
            assert peer.release() == A_RELEASE_RP
            peer.socket.close()
        assert receiver.terminate() == 0
        assert sorted(known_to_the_ledger(tmp_path)) == sorted(f"1.2.{number}" for number in range(12))
        assert not list(tmp_path.glob("spool/sessions/*"))
    finally:
        receiver.close()


def test_a_receiver_that_dies_is_replaced_and_its_objects_are_taken_in(tmp_path: Path) -> None:
    receiver = ReceiverProcess(tmp_path, "--receivers", "2")
    try:
        until(lambda: len(children(receiver.process.pid)) == 2)
        before = children(receiver.process.pid)
        with Peer(receiver.port) as peer:
            peer.associate()
            assert peer.store("1.2.3") == 0
            for child in before:
                os.kill(child, signal.SIGKILL)
        until(lambda: len(children(receiver.process.pid) - before) == 2)
        until(lambda: "1.2.3" in known_to_the_ledger(tmp_path))
        with Peer(receiver.port) as peer:
            assert peer.associate() == A_ASSOCIATE_AC
        assert receiver.terminate() == 0
    finally:
        receiver.close()


def test_receivers_end_with_their_parent_however_it_goes(tmp_path: Path) -> None:
    receiver = ReceiverProcess(tmp_path, "--receivers", "2")
    until(lambda: len(children(receiver.process.pid)) == 2)
    left = children(receiver.process.pid)
    receiver.kill()
    until(lambda: not any(alive(child) for child in left))


def test_sigterm_lets_what_is_in_flight_finish_and_ends_what_rests(tmp_path: Path) -> None:
    receiver = ReceiverProcess(tmp_path)
    try:
        with Peer(receiver.port) as busy, Peer(receiver.port) as resting:
            assert busy.associate() == resting.associate() == A_ASSOCIATE_AC
            assert resting.store("1.2.9") == 0
            content = data_set("1.2.3", 100_000)
            busy.send(pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3"))), pdu(P_DATA, pdv(3, 0, content[:50_000])))
            until(lambda: receiver.files(".part"))
            began = time.monotonic()
            receiver.process.terminate()
            assert resting.receive()[0] == A_ABORT
            busy.send(pdu(P_DATA, pdv(3, LAST, content[50_000:])))
            assert busy.status() == 0
            assert busy.release() == A_RELEASE_RP
        assert receiver.wait() == 0
        assert time.monotonic() - began < 8
        assert sorted(known_to_the_ledger(tmp_path)) == ["1.2.3", "1.2.9"]
        with pytest.raises(ConnectionRefusedError):
            Peer(receiver.port)
    finally:
        receiver.close()


def test_an_idle_receiver_stops_in_a_moment(node: Node) -> None:
    with Peer(node.port) as peer:
        peer.associate()
    began = time.monotonic()
    extra = Receiver(Reception(port=0, host="127.0.0.1"), node.spool, RememberingLedger)
    extra.start()
    extra.stop()
    assert time.monotonic() - began < 3


def test_a_ledger_that_is_away_holds_up_nobody_and_hears_everything_later(make_node: NodeMaker) -> None:
    node = make_node()
    node.ledger.away.set()
    with Peer(node.port) as peer:
        peer.associate()
        for number in range(50):
            assert peer.store(f"1.2.{number}") == 0
        peer.release()
    assert not node.ledger.arrivals
    node.ledger.away.clear()
    until(lambda: node.ledger.ended)
    assert [arrival.number for arrival in node.ledger.arrivals.values()] == list(range(1, 51))


def test_what_the_ledger_did_not_hear_before_the_end_it_hears_at_the_next_start(tmp_path: Path) -> None:
    first = Node(tmp_path / "spool")
    first.ledger.away.set()
    with Peer(first.port) as peer:
        peer.associate()
        assert peer.store("1.2.3") == 0
        peer.release()
    first.stop()
    second = Node(tmp_path / "spool")
    assert second.receiver.wait_recovered(10)
    assert second.ledger.instances() == ["1.2.3"]
    (opened,) = second.ledger.opened.values()
    assert (opened.calling_ae, opened.called_ae, opened.address) == ("PEER", "HER2NODE", "127.0.0.1")
    assert [end.how for end in second.ledger.ended.values()] == ["lost"]
    second.stop()


def test_nobody_recovers_what_a_living_receiver_writes(make_node: NodeMaker) -> None:
    node = make_node()
    with Peer(node.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3"))), pdu(P_DATA, pdv(3, 0, bytes(100))))
        until(lambda: node.files(".part"))
        neighbour = Receiver(Reception(port=0, host="127.0.0.1"), Spool(node.root), RememberingLedger)
        neighbour.start()
        assert neighbour.wait_recovered(10)
        neighbour.stop()
        assert node.files(".part")
        peer.send(pdu(P_DATA, pdv(3, LAST, bytes(100))))
        assert peer.status() == 0


def test_associations_beyond_the_limit_are_counted_over_all_receivers(tmp_path: Path) -> None:
    receiver = ReceiverProcess(tmp_path, "--receivers", "2")
    peers: list[Peer] = []
    try:
        answers = []
        for _ in range(66):
            peers.append(Peer(receiver.port))
            answers.append(peers[-1].associate())
        assert answers == [A_ASSOCIATE_AC] * 64 + [3, 3]
    finally:
        for peer in peers:
            peer.socket.close()
        receiver.close()


def test_a_port_in_use_is_refused_by_name(node: Node) -> None:
    with pytest.raises(SettingsRefused, match=f"port {node.port}"):
        listen_for(Reception(host="127.0.0.1", port=node.port), patience=0.2)


def test_many_senders_at_once_lose_nothing(node: Node) -> None:
    def send(sender: int) -> None:
        with suppress(ConnectionError), Peer(node.port) as peer:
            peer.associate()
            for number in range(25):
                assert peer.store(f"1.2.{sender}.{number}", data_set(f"1.2.{sender}.{number}", 20_000)) == 0
            peer.release()

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    until(lambda: len(node.ledger.ended) == 8)
    assert len(node.ledger.arrivals) == len(node.files()) == 200
    assert all(end.instances == 25 and end.how == "released" for end in node.ledger.ended.values())
