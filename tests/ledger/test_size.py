"""Thousands of objects: the number of statements and the cost an object stay bounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from her2node.ledger import Ledger
from her2node.ledger.database import reading
from tests.ledger.way import START, Way, slices


@contextmanager
def counted(ledger: Ledger) -> Iterator[list[str]]:
    """The statements that are executed meanwhile; a batch counts as one."""
    statements: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(ledger._engine, "before_cursor_execute", count)
    try:
        yield statements
    finally:
        event.remove(ledger._engine, "before_cursor_execute", count)


def test_the_number_of_statements_does_not_grow_with_the_batch(way: Way) -> None:
    counts = []
    for size in (2, 200):
        study = f"1.{size}"
        with counted(way.ledger) as reception:
            way.send(slices(size, study=study))
        filings = way.filings()
        with counted(way.ledger) as filing:
            way.ledger.file(filings, way.now)
        with counted(way.ledger) as facts:
            way.ledger.gathering()
        counts.append((len(reception), len(filing), len(facts)))
        way.ledger.complete(way.ledger.gathering()[0].edition_id, "quiet", "", way.now)
    assert counts[0] == counts[1]


def test_three_thousand_objects_cost_no_more_each_than_three_hundred(way: Way) -> None:
    """Generous factors: it catches a quadratic cost (factor 10), not a slow machine."""

    def seconds_each(study: str, count: int) -> float:
        began = time.perf_counter()
        association = way.open()
        for first in range(1, count, 100):
            way.store(association, slices(100, study=study, first=first))
            way.file(limit=100)
            way.ledger.gathering()
        way.end(association)
        for facts in way.ledger.gathering():
            way.ledger.complete(facts.edition_id, "quiet", "", way.now)
            assert len(way.ledger.snapshot(facts.edition_id).instances) == count
        return (time.perf_counter() - began) / count

    seconds_each("1.1", 100)
    few, many = seconds_each("1.2", 300), seconds_each("1.3", 3000)
    assert many < 3 * few
    assert way.ledger.study("1.3").instances == {"filed": 3000}


def test_three_thousand_objects_are_filed_and_leave_in_one_batch(way: Way) -> None:
    way.complete(slices(3000))
    way.ledger.finish(way.claim().token, "read", "{}", [], [], way.now)
    leaving = way.ledger.purge(way.later(way.now - way.now.replace(year=2025)), way.now, way.now, 5000)
    assert len(leaving.instances) == 3000
    way.ledger.forget(leaving, way.now)
    assert way.ledger.study("1.2.3").instances == {}


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda ledger: ledger.unfiled(10), "ix_instance_unfiled"),
        (lambda ledger: ledger.gathering(), "ix_instance_unfiled"),
        (lambda ledger: ledger.set_aside(), "ix_instance_rest"),
        (lambda ledger: ledger.unclassified(10), "ix_series_unclassified"),
        (lambda ledger: ledger.purge(START, START, START, 10), "ix_instance_rest"),
        (lambda ledger: ledger.end_silent(START, START), "ix_association_open"),
    ],
)
def test_what_is_asked_at_every_tick_scans_no_long_table(
    ask: Callable[[Ledger], object], index: str, sqlite_ledger: Ledger
) -> None:
    Way(sqlite_ledger).gather(slices(2))
    with counted(sqlite_ledger) as statements:
        ask(sqlite_ledger)
    plans = [step for statement in statements if statement.startswith(("SELECT", "UPDATE"))
             for step in plan(sqlite_ledger, statement)]  # fmt: skip
    assert any(index in step for step in plans), plans
    assert not {"SCAN instance", "SCAN association", "SCAN series", "SCAN study", "SCAN edition"} & set(plans)


def plan(ledger: Ledger, statement: str) -> list[str]:
    """How SQLite goes about a statement."""
    with reading(ledger._engine) as connection:
        asked = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("1",) * statement.count("?"))
        return [row[3] for row in asked]
