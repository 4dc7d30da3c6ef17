"""P-DATA into messages (PS3.8 annex E): the data set of a C-STORE flows into its sink as it comes, every other message
goes to pynetdicom whole.

One call takes one presentation data value item, so that a PDU of any claimed length is served message by message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from her2node import log
from her2node.dimse.messages import C_STORE_RQ, COMMAND, LAST, PDV_HEAD, Command, read_command
from her2node.dimse.reception import Answer, Sink, StoreRequest, Unfit
from her2node.dimse.status import Status

LONGEST_COMMAND = 65_536
LONGEST_OTHER = 1_048_576
"""Bytes of a command set, and of the data set of a message that is no C-STORE."""


class Bytes(Protocol):
    """The part of a reader that is needed here."""

    def take(self, count: int) -> memoryview: ...
    def some(self, limit: int) -> memoryview: ...
    def whole(self, count: int) -> bytearray: ...


Accepted = Mapping[int, tuple[str, str]]
"""Context id to abstract syntax and transfer syntax."""


class Refusing:
    """A sink that takes everything and keeps nothing."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def write(self, data: memoryview) -> None:
        """Forget it."""

    def end(self) -> Answer:
        return self._answer

    def drop(self) -> None:
        """There is nothing."""


_FAULT = Refusing(Answer(Status.PROCESSING_FAILURE, "internal error"))


class Transfer:
    """The messages of one association, piece by piece. Raises Unfit and what ``source`` raises."""

    def __init__(
        self,
        accepted: Accepted,
        begin: Callable[[StoreRequest], Sink],
        answer: Callable[[int, Command, Answer], None],
        forward: Callable[[int, int, bytes], None],
    ) -> None:
        self._accepted = accepted
        self._begin = begin
        self._answer = answer
        self._forward = forward
        self._left = 0
        self._fragments = bytearray()
        self._command: Command | None = None
        self._context_id = 0
        self._sink: Sink | None = None
        self._other = 0

    @property
    def inside_pdu(self) -> bool:
        """Whether items of a P-DATA-TF PDU are still to come."""
        return self._left > 0

    @property
    def inside_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._command is not None or bool(self._fragments) or self._left > 0

    def begin_pdu(self, length: int) -> None:
        """A P-DATA-TF PDU of ``length`` bytes follows."""
        self._left = length

    def step(self, source: Bytes) -> None:
        """Take one presentation data value item."""
        if self._left < PDV_HEAD.size:
            raise Unfit("a P-DATA-TF PDU that ends inside an item")
        size, context_id, control = PDV_HEAD.unpack(source.take(PDV_HEAD.size))
        if not 2 <= size <= self._left - 4:
            raise Unfit("a presentation data value item longer than its PDU")
        self._left -= 4 + size
        if control & COMMAND:
            self._take_command(source, context_id, size - 2, bool(control & LAST))
        else:
            self._take_data(source, context_id, size - 2, bool(control & LAST))

    def drop(self) -> None:
        """The association is over: nothing of a message in flight stays."""
        sink, self._sink, self._command, self._left = self._sink, None, None, 0
        if sink is not None:
            sink.drop()

    def _take_command(self, source: Bytes, context_id: int, size: int, last: bool) -> None:
        if self._command is not None:
            raise Unfit("a command set inside a data set")
        if len(self._fragments) + size > LONGEST_COMMAND:
            raise Unfit("a command set of more than 64 KiB")
        if self._fragments and context_id != self._context_id:
            raise Unfit("a message in two presentation contexts")
        self._context_id = context_id
        self._fragments += source.whole(size)
        if last:
            encoded, self._fragments = bytes(self._fragments), bytearray()
            self._open(read_command(encoded), encoded)

    def _open(self, command: Command, encoded: bytes) -> None:
        self._command = command if command.has_data_set else None
        if command.field != C_STORE_RQ:
            self._other = 0
            self._forward(self._context_id, COMMAND | LAST, encoded)
            return
        if self._context_id not in self._accepted:
            raise Unfit("a presentation context that was not accepted")
        negotiated, transfer_syntax = self._accepted[self._context_id]
        request = StoreRequest(command.sop_class_uid, command.sop_instance_uid, negotiated, transfer_syntax)
        self._sink = self._begun(request)
        if not command.has_data_set:
            self._close(command)

    def _take_data(self, source: Bytes, context_id: int, size: int, last: bool) -> None:
        command = self._command
        if command is None or context_id != self._context_id:
            raise Unfit("a data set without its command set")
        if self._sink is None:
            self._take_other(source, size, last)
            return
        while size:
            view = source.some(size)
            size -= len(view)
            self._write(view)
        if last:
            self._close(command)

    def _take_other(self, source: Bytes, size: int, last: bool) -> None:
        self._other += size + PDV_HEAD.size
        if self._other > LONGEST_OTHER:
            raise Unfit("a data set of more than 1 MiB in a message that is no C-STORE")
        self._forward(self._context_id, LAST if last else 0, bytes(source.whole(size)))
        if last:
            self._command = None

    def _close(self, command: Command) -> None:
        sink, self._sink, self._command = self._sink, None, None
        if sink is not None:
            self._answer(self._context_id, command, _ended(sink))

    # A sink does not raise. Where one does all the same, the fault is ours: it is logged, the object is dropped, the
    # peer is told, and the association goes on.

    def _begun(self, request: StoreRequest) -> Sink:
        try:
            return self._begin(request)
        except Exception as error:  # noqa: BLE001
            log.emit_exception(error, sop_instance_uid=request.sop_instance_uid[:64])
            return _FAULT

    def _write(self, view: memoryview) -> None:
        sink = self._sink
        try:
            if sink is not None:
                sink.write(view)
        except Exception as error:  # noqa: BLE001
            log.emit_exception(error)
            self._sink = _FAULT
            _dropped(sink)


def _ended(sink: Sink) -> Answer:
    try:
        return sink.end()
    except Exception as error:  # noqa: BLE001
        log.emit_exception(error)
        _dropped(sink)
        return _FAULT.end()


def _dropped(sink: Sink | None) -> None:
    try:
        if sink is not None:
            sink.drop()
    except Exception as error:  # noqa: BLE001
        log.emit_exception(error)
