from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy.exc import IntegrityError, StatementError

from her2node.ledger import Ledger
from her2node.ledger.records import Arrival, AssociationEnded, AssociationOpened
from tests.ledger.way import CT, MINUTE, SECOND, START, Way, slices


def test_telling_the_same_arrivals_twice_changes_nothing(way: Way) -> None:
    association = way.open()
    arrivals = way.store(association, slices(5))
    opened = AssociationOpened(association, "OTHER", "HER2NODE", "192.0.2.9", START, "receive-1")
    ended = AssociationEnded(association, START, "released", 5)
    before = way.ledger.unfiled(100)
    way.ledger.take_in([opened], arrivals, [ended])
    way.ledger.take_in([opened], arrivals, [ended])
    assert way.ledger.unfiled(100) == before
    assert {item.calling_ae for item in before} == {"PACS"}
    assert way.ledger.taken_in(association) == {1, 2, 3, 4, 5}


def test_arrivals_come_in_the_order_of_arrival_and_as_many_as_asked(way: Way) -> None:
    way.send(slices(4))
    assert [item.number for item in way.ledger.unfiled(3)] == [1, 2, 3]


def test_an_arrival_of_an_unknown_association_is_refused_as_a_whole(ledger: Ledger) -> None:
    with pytest.raises(IntegrityError):
        ledger.take_in([], [Arrival("nowhere", 1, CT, "1.2", "1.2.840.10008.1.2", 10, START)], [])
    assert ledger.unfiled(10) == ()


def test_an_association_ends_once(way: Way) -> None:
    association = way.open()
    way.store(association, slices(2))
    way.file()
    way.end(association, "aborted")
    way.end(association, "released")
    assert way.ledger.gathering()[0].aborted == (association,)


def test_a_successor_ends_what_a_dead_receiver_left_open(way: Way) -> None:
    left = way.open(receiver="receive-1")
    other = way.open(receiver="receive-2")
    way.store(left, slices(2))
    way.store(other, slices(2, series="1.2.3.2"))
    way.file()
    assert way.ledger.end_lost("receive-1", way.later(SECOND)) == 1
    assert way.ledger.end_lost("receive-1", way.later(SECOND)) == 0
    (facts,) = way.ledger.gathering()
    assert [item.association_id for item in facts.delivering] == [other]
    assert facts.aborted == (left,)


def test_an_association_silent_for_long_is_taken_for_lost(way: Way) -> None:
    silent = way.open()
    way.store(silent, slices(1))
    way.later(10 * MINUTE)
    lively = way.open()
    way.store(lively, slices(1, series="1.2.3.2"))
    way.file()
    assert way.ledger.end_silent(START + 5 * MINUTE, way.now) == 1
    assert [item.association_id for item in way.ledger.gathering()[0].delivering] == [lively]


def test_a_time_without_a_zone_is_refused(ledger: Ledger) -> None:
    naive = AssociationOpened("a1", "PACS", "HER2NODE", "", datetime(2026, 3, 1), "receive-1")
    with pytest.raises(StatementError, match="names no time zone"):
        ledger.take_in([naive], [], [])
