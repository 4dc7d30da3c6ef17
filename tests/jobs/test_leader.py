"""One leader at a time, and nothing that stops its clock."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from io import StringIO

from her2node.errors import BrokerAway, LedgerAway
from her2node.jobs.door import Door, Failed
from her2node.jobs.leader import Leader, Step
from her2node.ledger import open_ledger
from tests.jobs.made import SECOND, START, House, until

LEASE = timedelta(seconds=10)


def events(stream: StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


class Counting:
    """A step that counts its calls and says whether there is more."""

    def __init__(self, more: bool = False) -> None:
        self.at: list[datetime] = []
        self.more = more

    def __call__(self, now: datetime) -> bool:
        self.at.append(now)
        return self.more


def leader(house: House, holder: str, *steps: Step, on_elected: tuple[Step, ...] = ()) -> Leader:
    return Leader(house.ledger, holder, steps, on_elected=on_elected, lease=LEASE)


def test_of_two_processes_one_leads(house: House) -> None:
    first, second = Counting(), Counting()
    one, two = leader(house, "one", Step("s", first)), leader(house, "two", Step("s", second))
    for tick in range(30):
        one.tick(START + tick * SECOND)
        two.tick(START + tick * SECOND)
    assert (len(first.at), len(second.at)) == (30, 0)


def test_another_takes_over_when_the_leader_gave_no_sign_for_the_lease(house: House) -> None:
    first, second = Counting(), Counting()
    one, two = leader(house, "one", Step("s", first)), leader(house, "two", Step("s", second))
    one.tick(START)
    two.tick(START + LEASE)
    assert second.at == []
    two.tick(START + LEASE + SECOND)
    one.tick(START + LEASE + SECOND)
    assert (len(first.at), len(second.at)) == (1, 1)


def test_a_leader_that_resigns_is_followed_at_once(house: House) -> None:
    second = Counting()
    one, two = leader(house, "one"), leader(house, "two", Step("s", second))
    one.tick(START)
    one.resign()
    two.tick(START)
    assert second.at == [START]


def test_a_step_that_fails_stops_no_other_and_is_told_once(house: House, quiet_log: StringIO) -> None:
    def broken(_: datetime) -> bool:
        raise ZeroDivisionError("a bad study")

    after = Counting()
    one = leader(house, "one", Step("bad", broken), Step("good", after))
    for tick in range(5):
        one.tick(START + tick * SECOND)
    assert len(after.at) == 5
    assert events(quiet_log) == ["leader-elected", "unexpected"]


def test_an_error_is_told_again_after_it_had_gone(quiet_log: StringIO) -> None:
    door = Door()

    def away() -> int:
        raise BrokerAway("gone")

    for attempt in (away, away, lambda: 1, away):
        door.attempt("sending", attempt)
    assert events(quiet_log) == ["unexpected", "unexpected"]


def test_a_failed_attempt_is_a_value_that_says_whether_it_passes() -> None:
    def away() -> int:
        raise BrokerAway

    def broken() -> int:
        raise KeyError("x")

    passing, lasting = Door().attempt("a", away), Door().attempt("b", broken)
    assert isinstance(passing, Failed)
    assert passing.passing
    assert isinstance(lasting, Failed)
    assert not lasting.passing
    assert Door().attempt("c", lambda: 3) == 3


def test_without_a_ledger_nobody_leads_and_nobody_dies(house: House) -> None:
    class Away:
        def hold(self, *_: object) -> bool:
            raise LedgerAway("no database")

    step = Counting()
    one = Leader(Away(), "one", [Step("s", step)], lease=LEASE)  # type: ignore[arg-type]
    assert one.tick(START) is False
    assert step.at == []


def test_a_step_with_a_period_runs_no_oftener_unless_there_was_more_to_do(house: House) -> None:
    rare, busy = Counting(), Counting(more=True)
    every = timedelta(seconds=5)
    one = leader(house, "one", Step("rare", rare, every), Step("busy", busy, every, patient=True))
    for tick in range(10):
        assert one.tick(START + tick * SECOND) is False
    assert len(rare.at) == 2
    assert len(busy.at) == 10


def test_more_to_do_asks_for_the_next_tick_at_once(house: House) -> None:
    assert leader(house, "one", Step("s", Counting(more=True))).tick(START) is True


def test_a_new_leader_does_first_what_an_election_asks_for(house: House) -> None:
    order: list[str] = []

    def named(name: str) -> Step:
        return Step(name, lambda _: bool(order.append(name)))

    one = leader(house, "one", named("step"), on_elected=(named("elected"),))
    one.tick(START)
    one.tick(START + SECOND)
    assert order == ["elected", "step", "step"]


def test_it_runs_until_it_is_stopped_and_then_gives_the_lease_back(house: House) -> None:
    stop, step = threading.Event(), Counting()
    one = leader(house, "one", Step("s", step))
    thread = threading.Thread(target=one.run, args=(stop, timedelta(milliseconds=5), lambda: START))
    thread.start()
    until(lambda: len(step.at) > 3, 10, "some ticks")
    stop.set()
    thread.join(10)
    other = open_ledger(house.url)
    assert other.hold("leader", "two", LEASE, START)
    other.close()
