"""What a peer may send (PS3.7, PS3.8), and what it may not."""

from __future__ import annotations

import errno
import os
import struct

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.conftest import NodeMaker
from tests.wire.node import Node, until
from tests.wire.peer import (
    A_ABORT,
    A_ASSOCIATE_AC,
    A_RELEASE_RP,
    COMMAND,
    CT,
    EXPLICIT,
    LAST,
    P_DATA,
    VERIFICATION,
    Peer,
    associate_rq,
    command,
    data_set,
    echo_rq,
    pdu,
    pdv,
    store_rq,
    uid,
    us,
)


def body_of(path: object) -> bytes:
    """The data set's bytes of a stored file."""
    content = path.read_bytes()  # type: ignore[attr-defined]
    (length,) = struct.unpack_from("<I", content, 140)
    return bytes(content[144 + length :])


@pytest.mark.parametrize("maximum_length", [0, 128, 4096, 16382, 131072])
def test_an_object_is_stored_whatever_pdu_length_the_peer_takes(node: Node, maximum_length: int) -> None:
    with Peer(node.port) as peer:
        assert peer.associate(associate_rq(maximum_length=maximum_length)) == A_ASSOCIATE_AC
        assert peer.echo() == 0
        assert peer.store("1.2.3") == 0
        assert peer.echo() == 0
        assert peer.release() == A_RELEASE_RP
    (path,) = node.files()
    assert body_of(path) == data_set("1.2.3")
    until(lambda: node.ledger.ended)
    assert node.ledger.instances() == ["1.2.3"]


def test_a_stored_file_reads_back_and_tells_who_sent_it(node: Node) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        assert peer.store("1.2.3.4") == 0
    (path,) = node.files()
    ds = pydicom.dcmread(path)
    assert (ds.SOPInstanceUID, len(ds.PixelData)) == ("1.2.3.4", 100)
    assert ds.file_meta.SendingApplicationEntityTitle == "PEER"
    assert ds.file_meta.ReceivingApplicationEntityTitle == "HER2NODE"
    assert ds.file_meta.TransferSyntaxUID == EXPLICIT


def test_a_command_set_may_come_in_fragments(node: Node) -> None:
    request = store_rq("1.2.3")
    with Peer(node.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, pdv(3, COMMAND, request[:10])))
        peer.send(pdu(P_DATA, pdv(3, COMMAND, request[10:11]) + pdv(3, COMMAND, b"")))
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, request[11:])), pdu(P_DATA, pdv(3, LAST, data_set("1.2.3"))))
        assert peer.status() == 0


def test_command_and_data_may_share_a_pdu(node: Node) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3")) + pdv(3, LAST, data_set("1.2.3"))))
        assert peer.status() == 0
    assert body_of(node.files()[0]) == data_set("1.2.3")


def test_items_may_be_many_and_empty_and_so_may_pdus(node: Node) -> None:
    content = data_set("1.2.3", 1000)
    with Peer(node.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, b""), pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3"))), pdu(P_DATA, b""))
        peer.send(pdu(P_DATA, pdv(3, 0, content[:7]) + pdv(3, 0, b"") + pdv(3, 0, content[7:])))
        peer.send(pdu(P_DATA, pdv(3, LAST, b"")))
        assert peer.status() == 0
    assert body_of(node.files()[0]) == content


def test_several_messages_may_share_a_pdu(node: Node) -> None:
    both = b"".join(
        pdv(3, COMMAND | LAST, store_rq(instance)) + pdv(3, LAST, data_set(instance)) for instance in ("1.2.3", "1.2.4")
    )
    with Peer(node.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, both + pdv(1, COMMAND | LAST, echo_rq()) + pdv(1, COMMAND | LAST, echo_rq())))
        assert [peer.status() for _ in range(4)] == [0, 0, 0, 0]


def test_a_pdu_longer_than_offered_is_stored(node: Node) -> None:
    content = data_set("1.2.3", 3_000_000)
    with Peer(node.port) as peer:
        peer.associate()
        assert peer.store("1.2.3", content, piece=len(content)) == 0
    assert body_of(node.files()[0]) == content


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_an_object_is_the_same_however_it_is_cut(node: Node, data: st.DataObject) -> None:
    request, content = store_rq("1.2.3"), data_set("1.2.3", data.draw(st.integers(2, 60_000)))
    pieces = []
    for whole, control in ((request, COMMAND), (content, 0)):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
        ends = [*cuts, len(whole)]
        starts = [0, *cuts]
        pieces += [
            pdv(3, control | (LAST if index == len(ends) - 1 else 0), whole[start:end])
            for index, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]
    stream, group = b"", b""
    for piece in pieces:
        group += piece
        if data.draw(st.booleans()):
            stream, group = stream + pdu(P_DATA, group), b""
    stream += pdu(P_DATA, group)
    before = len(node.files())
    with Peer(node.port) as peer:
        peer.associate()
        at = 0
        while at < len(stream):
            step = data.draw(st.integers(1, len(stream)))
            peer.send(stream[at : at + step])
            at += step
        assert peer.status() == 0
    files = node.files()
    assert len(files) == before + 1
    assert content in {body_of(path) for path in files}


NOBODYS_COMMAND = command((0x0100, us(0x7777)), (0x0800, us(0x0101)))


# --- what a peer may not send -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("unknown PDU type", pdu(0x42, b"abc")),
        ("association request again", associate_rq()),
        ("release longer than it can be", struct.pack(">BxI", 0x05, 2**31)),
        ("item longer than its PDU", pdu(P_DATA, struct.pack(">IBB", 500, 3, 3) + b"abc")),
        ("item of no length", pdu(P_DATA, struct.pack(">IBB", 0, 3, 3))),
        ("PDU that ends inside an item's head", pdu(P_DATA, b"\0\0\0")),
        ("data without command", pdu(P_DATA, pdv(3, LAST, b"abc"))),
        ("command set that is none", pdu(P_DATA, pdv(3, COMMAND | LAST, b"\xff" * 30))),
        ("command set cut short", pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3")[:-3]))),
        ("command set without a field", pdu(P_DATA, pdv(3, COMMAND | LAST, command((0x0800, us(0x0101)))))),
        ("command field that nobody knows", pdu(P_DATA, pdv(1, COMMAND | LAST, NOBODYS_COMMAND))),
        ("context that was not accepted", pdu(P_DATA, pdv(99, COMMAND | LAST, store_rq("1.2.3")))),
        ("data in another context", pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3")) + pdv(1, LAST, b"abc"))),
        ("command inside data", pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3")) * 2)),
    ],
)  # fmt: skip
def test_a_broken_protocol_ends_in_an_abort_and_leaves_nothing(node: Node, name: str, stream: bytes) -> None:
    with Peer(node.port) as peer:
        assert peer.associate() == A_ASSOCIATE_AC
        peer.send(stream)
        kind, _ = peer.receive()
        assert kind == A_ABORT, name
    with Peer(node.port) as other:
        assert other.associate() == A_ASSOCIATE_AC
        assert other.echo() == 0
    assert not node.files()
    until(lambda: not node.files(".part"))


@pytest.mark.parametrize(
    "stream", [pdu(P_DATA, b"xxxxxxxx"), pdu(0x05, bytes(4)), pdu(0x77, b""), b"GET / HTTP/1.1\r\n\r\n"]
)
def test_anything_before_an_association_is_cut_off(node: Node, stream: bytes) -> None:
    with Peer(node.port) as peer:
        peer.send(stream)
        kind, _ = peer.receive()
        assert kind in (0, A_ABORT)
        assert peer.receive() == (0, b"")


def test_an_unreadable_association_request_is_cut_off(node: Node) -> None:
    for body in (b"", b"\x00\x01", b"\x00\x01" + bytes(66), associate_rq()[6:90], associate_rq()[6:-5]):
        with Peer(node.port) as peer:
            peer.send(pdu(0x01, body))
            kind, _ = peer.receive()
            assert kind in (0, A_ABORT, 3)


def test_a_peer_that_dies_inside_an_object_leaves_nothing_and_keeps_what_was_answered(node: Node) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        assert peer.store("1.2.3") == 0
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.4"))), pdu(P_DATA, pdv(3, 0, data_set("1.2.4"))))
        until(lambda: node.files(".part"))
    until(lambda: node.ledger.ended)
    assert not node.files(".part")
    assert [body_of(path) for path in node.files()] == [data_set("1.2.3")]
    (end,) = node.ledger.ended.values()
    assert (end.how, end.instances) == ("aborted", 1)


def test_an_abort_inside_an_object_leaves_nothing(node: Node) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.4"))), pdu(P_DATA, pdv(3, 0, data_set("1.2.4"))))
        until(lambda: node.files(".part"))
        peer.send(pdu(A_ABORT, bytes(4)))
        assert peer.receive() == (0, b"")
    until(lambda: not list(node.root.glob("incoming/*")))
    assert not node.ledger.opened


@pytest.mark.parametrize(
    "instance", ["../../../../etc/cron.d/x", "/tmp/x", "1.2.3/../4", "..", "1.2.x", "", "1." + "2" * 64]
)
def test_a_uid_that_is_none_stores_nothing_and_the_association_goes_on(node: Node, instance: str) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        assert peer.store(instance, b"abcdefgh" * 5000) == 0x0117
        assert peer.store("1.2.3") == 0
        assert peer.release() == A_RELEASE_RP
    assert len(node.files()) == 1
    assert sorted(path.name for path in node.root.iterdir()) == ["incoming", "results", "sessions"]


def test_a_sop_class_that_was_not_negotiated_is_refused(node: Node) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        request = store_rq("1.2.3", sop_class="1.2.840.10008.5.1.4.1.1.4")
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, request) + pdv(3, LAST, data_set("1.2.3"))))
        assert peer.status() == 0x0122
        assert peer.store("1.2.3") == 0


@pytest.mark.parametrize("data_set_type", [0x0101, 0x0001])
def test_an_object_without_data_set_is_refused(node: Node, data_set_type: int) -> None:
    with Peer(node.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, store_rq("1.2.3", data_set=data_set_type))))
        if data_set_type == 0x0001:
            peer.send(pdu(P_DATA, pdv(3, LAST, b"")))
        assert peer.status() == 0xC000
        assert peer.echo() == 0
        peer.release()
    until(lambda: not list(node.root.glob("incoming/*")))


def test_an_object_larger_than_allowed_is_refused_and_the_association_goes_on(make_node: NodeMaker) -> None:
    node = make_node(maximum_instance_bytes=50_000)
    with Peer(node.port) as peer:
        peer.associate()
        assert peer.store("1.2.3", data_set("1.2.3", 200_000)) == 0xA700
        assert not node.files(".part")
        assert peer.store("1.2.4") == 0
    assert len(node.files()) == 1


def test_a_disk_that_fills_up_refuses_the_object_and_the_association_goes_on(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    writev = os.writev

    def full(descriptor: int, buffers: list[bytes]) -> int:
        monkeypatch.setattr("her2node.spool.incoming.os.writev", writev)
        raise OSError(errno.ENOSPC, "No space left on device")

    with Peer(node.port) as peer:
        peer.associate()
        assert peer.store("1.2.3") == 0
        monkeypatch.setattr("her2node.spool.incoming.os.writev", full)
        assert peer.store("1.2.4", data_set("1.2.4", 100_000)) == 0xA700
        assert not node.files(".part")
        assert peer.store("1.2.5") == 0
        assert peer.release() == A_RELEASE_RP
    assert [path.name for path in node.files()] == ["1.dcm", "3.dcm"]


def test_below_the_watermark_everything_is_refused_and_nothing_suffers(make_node: NodeMaker) -> None:
    node = make_node(free_space_watermark_bytes=2**60)
    with Peer(node.port) as peer:
        peer.associate()
        assert peer.store("1.2.3") == 0xA700
        assert peer.echo() == 0
        assert peer.release() == A_RELEASE_RP
    assert not node.files()


def test_other_services_get_no_answer_of_ours(node: Node) -> None:
    find = command((0x0002, uid(CT)), (0x0100, us(0x0020)), (0x0110, us(1)), (0x0700, us(0)), (0x0800, us(1)))
    with Peer(node.port) as peer:
        peer.associate()
        peer.send(pdu(P_DATA, pdv(3, COMMAND | LAST, find) + pdv(3, LAST, data_set("1.2.3"))))
        kind, _ = peer.receive()
        assert kind == A_ABORT


def test_unknown_classes_and_syntaxes_are_not_accepted_and_the_rest_is(node: Node) -> None:
    contexts = (
        (1, VERIFICATION, (EXPLICIT,)),
        (3, CT, ("1.2.3.4.5",)),
        (5, "1.2.3.4.5.6", (EXPLICIT,)),
        (7, CT, ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2", EXPLICIT)),
    )
    with Peer(node.port) as peer:
        peer.send(associate_rq(contexts=contexts))
        kind, body = peer.receive()
        assert kind == A_ASSOCIATE_AC
        results, at = {}, 68
        while at < len(body):
            item_kind, length = struct.unpack_from(">BxH", body, at)
            if item_kind == 0x21:
                syntax = body[at + 12 : at + 4 + length].decode()
                results[body[at + 4]] = (body[at + 6], syntax)
            at += 4 + length
        assert results[1][0] == 0
        assert results[3][0] == 4
        assert results[5][0] == 3
        assert results[7] == (0, EXPLICIT)
