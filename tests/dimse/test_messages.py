from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dsutils import decode
from pynetdicom.pdu import P_DATA_TF

from her2node.dimse.messages import (
    Command,
    check_association_request,
    command_pdus,
    read_command,
    store_response,
)
from her2node.dimse.reception import Answer, Unfit
from her2node.dimse.status import Status
from tests.wire.peer import CT, associate_rq, command, echo_rq, store_rq, us


def test_a_store_request_is_read() -> None:
    assert read_command(store_rq("1.2.3", 77)) == Command(0x0001, 77, True, CT, "1.2.3")
    assert read_command(store_rq("1.2.3", data_set=0x0101)).has_data_set is False


def test_a_uid_that_is_not_ascii_never_looks_like_one() -> None:
    request = store_rq("1.2.3").replace(b"1.2.3\x00", b"1.\xb2.3\x00")
    assert read_command(request).sop_instance_uid == "1.\ufffd.3"


@given(st.integers(0, 70))
def test_a_command_set_cut_short_is_unfit_or_lacks_its_end(cut: int) -> None:
    request = store_rq("1.2.3")
    try:
        read = read_command(request[: len(request) - 1 - cut])
    except Unfit:
        return
    assert read.sop_instance_uid == ""


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_set_or_unfit(encoded: bytes) -> None:
    try:
        assert isinstance(read_command(encoded), Command)
    except Unfit:
        assert True


@pytest.mark.parametrize("encoded", [b"", command((0x0100, us(1))), command((0x0100, b"\x01"), (0x0800, us(1)))])
def test_a_command_set_without_its_fields_is_unfit(encoded: bytes) -> None:
    with pytest.raises(Unfit):
        read_command(encoded)


@pytest.mark.parametrize(
    "answer", [Answer(Status.SUCCESS), Answer(Status.OUT_OF_RESOURCES, "free space is below the watermark" * 3)]
)
def test_pynetdicom_reads_our_response(answer: Answer) -> None:
    encoded = store_response(read_command(store_rq("1.2.3", 9)), answer)
    ds = decode(BytesIO(encoded), True, True)
    assert ds.CommandGroupLength == len(encoded) - 12
    assert (ds.CommandField, ds.MessageIDBeingRespondedTo, ds.Status) == (0x8001, 9, answer.status)
    assert (ds.AffectedSOPClassUID, ds.AffectedSOPInstanceUID) == (CT, "1.2.3")
    assert ds.get("ErrorComment", "") == answer.comment[:64].strip()


@given(st.integers(0, 300))
def test_a_response_comes_in_pdus_that_the_peer_takes(maximum_length: int) -> None:
    encoded = store_response(read_command(store_rq("1.2.3")), Answer(Status.SUCCESS))
    message, complete = C_STORE_RSP(), False
    for pdu in command_pdus(5, encoded, maximum_length):
        assert not complete
        assert not maximum_length or len(pdu) - 6 <= max(maximum_length, 8)
        decoded = P_DATA_TF()
        decoded.decode(pdu)
        complete = message.decode_msg(decoded.to_primitive())
    assert complete
    assert message.context_id == 5
    assert message.message_to_primitive().Status == 0


def request_of(contexts: int, syntaxes: int) -> memoryview:
    many = [(number % 256, "1.2.3", ["1.2.840.10008.1.2"] * syntaxes) for number in range(contexts)]
    return memoryview(associate_rq(contexts=many)[6:])


def test_the_largest_association_request_passes() -> None:
    check_association_request(request_of(128, 60))


@pytest.mark.parametrize(("contexts", "syntaxes"), [(129, 1), (128, 70), (1, 2500), (20_000, 0)])
def test_an_association_request_with_too_many_items_is_unfit(contexts: int, syntaxes: int) -> None:
    if contexts == 1:
        body = bytearray(request_of(1, 1))
        body += struct.pack(">BxH", 0x50, 4 * 10_000) + struct.pack(">BxH", 0x54, 0) * 10_000
        with pytest.raises(Unfit):
            check_association_request(memoryview(body))
        return
    with pytest.raises(Unfit):
        check_association_request(request_of(contexts, syntaxes))


@given(st.binary(max_size=300))
def test_any_bytes_are_an_association_request_or_unfit(body: bytes) -> None:
    try:
        check_association_request(memoryview(bytes(68) + body))
    except Unfit:
        assert body


def test_an_echo_is_no_store() -> None:
    assert read_command(echo_rq()).field == 0x0030
