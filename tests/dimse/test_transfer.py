"""Messages out of pieces, without a socket."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.dimse.messages import Command
from her2node.dimse.reception import Answer, Sink, StoreRequest, Unfit
from her2node.dimse.status import Status
from her2node.dimse.transfer import Transfer
from tests.wire.peer import COMMAND, CT, EXPLICIT, LAST, echo_rq, pdv, store_rq


class Source:
    """Bytes as a reader gives them, never more than ``at_most`` at a time."""

    def __init__(self, content: bytes, at_most: int = 1 << 20) -> None:
        self._content = memoryview(content)
        self._at_most = at_most

    def take(self, count: int) -> memoryview:
        taken, self._content = self._content[:count], self._content[count:]
        return taken

    def some(self, limit: int) -> memoryview:
        return self.take(min(limit, self._at_most))

    def whole(self, count: int) -> bytearray:
        return bytearray(self.take(count))


class Keeping:
    def __init__(self) -> None:
        self.content = b""
        self.dropped = 0

    def write(self, data: memoryview) -> None:
        self.content += bytes(data)

    def end(self) -> Answer:
        return Answer(Status.SUCCESS)

    def drop(self) -> None:
        self.dropped += 1


class Failing(Keeping):
    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where

    def write(self, data: memoryview) -> None:
        if self._where == "write":
            raise RuntimeError("a fault of ours")

    def end(self) -> Answer:
        if self._where == "end":
            raise RuntimeError("a fault of ours")
        return super().end()


class Stage:
    """A transfer with everything around it written down."""

    def __init__(self, *sinks: Keeping) -> None:
        self.sinks = list(sinks)
        self.requests: list[StoreRequest] = []
        self.answers: list[tuple[int, int]] = []
        self.forwarded: list[tuple[int, int, bytes]] = []
        self.transfer = Transfer({3: (CT, EXPLICIT)}, self._begin, self._answer, self._forward)

    def feed(self, *items: bytes, at_most: int = 1 << 20) -> None:
        content = b"".join(items)
        source = Source(content, at_most)
        self.transfer.begin_pdu(len(content))
        while self.transfer.inside_pdu:
            self.transfer.step(source)

    def _begin(self, request: StoreRequest) -> Sink:
        self.requests.append(request)
        return self.sinks[len(self.requests) - 1]

    def _answer(self, context_id: int, command: Command, answer: Answer) -> None:
        self.answers.append((context_id, answer.status))

    def _forward(self, context_id: int, control: int, piece: bytes) -> None:
        self.forwarded.append((context_id, control, piece))


@given(st.binary(min_size=1, max_size=500), st.lists(st.integers(0, 500), max_size=8), st.integers(1, 100))
def test_a_data_set_reaches_its_sink_however_it_is_cut(data: bytes, cuts: list[int], at_most: int) -> None:
    stage = Stage(Keeping())
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    stage.feed(pdv(3, COMMAND | LAST, store_rq("1.2.3")))
    for start, end in pairwise(places[:-1]):
        stage.feed(pdv(3, 0, data[start:end]), at_most=at_most)
    assert stage.answers == []
    stage.feed(pdv(3, LAST, data[places[-2] :]), at_most=at_most)
    assert stage.sinks[0].content == data
    assert stage.answers == [(3, 0)]
    assert not stage.transfer.inside_message
    assert stage.requests == [StoreRequest(CT, "1.2.3", CT, EXPLICIT)]


def test_a_message_that_is_no_c_store_is_handed_on_whole() -> None:
    stage = Stage()
    stage.feed(pdv(1, COMMAND, echo_rq()[:20]), pdv(1, COMMAND | LAST, echo_rq()[20:]))
    assert stage.forwarded == [(1, COMMAND | LAST, echo_rq())]


@pytest.mark.parametrize("where", ["write", "end"])
def test_a_fault_of_ours_is_answered_and_the_next_object_is_stored(where: str) -> None:
    faulty, good = Failing(where), Keeping()
    stage = Stage(faulty, good)
    for instance in ("1.2.3", "1.2.4"):
        stage.feed(pdv(3, COMMAND | LAST, store_rq(instance)), pdv(3, 0, b"da"), pdv(3, LAST, b"ta"))
    assert stage.answers == [(3, 0x0110), (3, 0)]
    assert faulty.dropped == 1
    assert good.content == b"data"


def test_a_sink_that_cannot_begin_is_answered() -> None:
    stage = Stage()  # has no sink: begin fails
    stage.feed(pdv(3, COMMAND | LAST, store_rq("1.2.3")), pdv(3, LAST, b"data"))
    assert stage.answers == [(3, 0x0110)]


def test_an_object_in_flight_is_dropped_with_the_association() -> None:
    stage = Stage(Keeping())
    stage.feed(pdv(3, COMMAND | LAST, store_rq("1.2.3")), pdv(3, 0, b"da"))
    assert stage.transfer.inside_message
    stage.transfer.drop()
    stage.transfer.drop()
    assert stage.sinks[0].dropped == 1
    assert not stage.transfer.inside_message


@given(st.binary(max_size=100))
def test_any_bytes_are_items_or_unfit(content: bytes) -> None:
    stage = Stage(*(Keeping() for _ in range(20)))
    try:
        stage.feed(content)
    except Unfit:
        assert content


def test_an_item_that_reaches_over_the_end_of_its_pdu_is_unfit() -> None:
    with pytest.raises(Unfit, match="longer than its PDU"):
        Stage().feed(struct.pack(">IBB", 11, 3, 0) + b"abc")
