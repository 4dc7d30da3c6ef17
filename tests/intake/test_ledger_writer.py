from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from her2node.intake.ledger_writer import BATCH, LedgerWriter, ReceptionLedger
from her2node.ledger.records import Arrival, AssociationEnded, AssociationOpened
from tests.wire.node import RememberingLedger, until

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def opened(name: str) -> AssociationOpened:
    return AssociationOpened(name, "A", "B", "127.0.0.1", MOMENT, "r")


def arrival(name: str, number: int) -> Arrival:
    return Arrival(name, number, "1.2", f"1.2.{number}", "1.2.3", 10, MOMENT)


def ended(name: str, instances: int) -> AssociationEnded:
    return AssociationEnded(name, MOMENT, "released", instances)


class Desk:
    """A writer and what it wrote."""

    def __init__(self, **options: Any) -> None:
        self.ledger = RememberingLedger()
        self.surveyed: list[str] = []
        self.writer = LedgerWriter(lambda: self.ledger, self._survey, **options)
        self.writer.start()

    def _survey(self, end: AssociationEnded, ledger: ReceptionLedger) -> None:
        ledger.taken_in(end.association_id)  # raises while it is away
        self.surveyed.append(end.association_id)

    def put(self, name: str, count: int, end: bool = True) -> None:
        self.writer.put(opened(name))
        for number in range(1, count + 1):
            self.writer.put(arrival(name, number))
        if end:
            self.writer.put(ended(name, count))


def test_the_end_of_an_association_is_written_at_once() -> None:
    desk = Desk()
    desk.put("a", 3)
    until(lambda: desk.ledger.ended, seconds=5)
    assert desk.writer.stop(1)
    assert len(desk.ledger.arrivals) == 3


def test_what_is_not_urgent_is_written_within_a_second() -> None:
    desk = Desk()
    desk.put("a", 3, end=False)
    until(lambda: len(desk.ledger.arrivals) == 3, seconds=5)
    desk.writer.stop(1)


def test_batches_are_bounded_and_in_order() -> None:
    desk = Desk()
    desk.ledger.away.set()
    desk.put("a", 1200)
    desk.ledger.away.clear()
    assert desk.writer.stop(10)
    assert max(desk.ledger.batches) <= BATCH
    assert [number for _, number in desk.ledger.arrivals] == list(range(1, 1201))
    assert desk.ledger.ended["a"].instances == 1200


def test_stopping_writes_what_waits() -> None:
    desk = Desk()
    desk.put("a", 3, end=False)
    assert desk.writer.stop(5)
    assert len(desk.ledger.arrivals) == 3


def test_stopping_does_not_wait_for_ever_for_a_ledger_that_is_away() -> None:
    desk = Desk()
    desk.ledger.away.set()
    desk.put("a", 3)
    assert not desk.writer.stop(0.3)


def test_an_error_nobody_foresaw_is_tried_again() -> None:
    desk = Desk()
    errors = [RuntimeError("once"), RuntimeError("twice")]
    take_in = desk.ledger.take_in

    def faulty(*records: Any) -> None:
        if errors:
            raise errors.pop()
        take_in(*records)

    desk.ledger.take_in = faulty  # type: ignore[method-assign]
    desk.put("a", 3)
    until(lambda: desk.ledger.ended, seconds=5)
    desk.writer.stop(1)


def test_what_is_too_much_to_remember_is_found_again_in_the_spool() -> None:
    desk = Desk(backlog=10)
    desk.ledger.away.set()
    desk.put("a", 5)
    desk.put("b", 20)
    desk.put("c", 1)
    assert len(desk.writer._waiting) == 10
    desk.ledger.away.clear()
    until(lambda: sorted(desk.surveyed) == ["b", "c"], seconds=10)
    assert desk.writer.stop(5)
    assert desk.ledger.ended.keys() == {"a"}  # b and c were left to the survey


def test_an_association_that_was_missed_and_goes_on_keeps_the_end_open() -> None:
    desk = Desk(backlog=2)
    desk.ledger.away.set()
    desk.put("a", 5, end=False)
    desk.ledger.away.clear()
    until(lambda: len(desk.ledger.arrivals) == 1, seconds=10)
    desk.writer.put(arrival("a", 6))
    assert not desk.surveyed
    assert not desk.writer.stop(1)
