"""Connections and transactions: SQLite by default, PostgreSQL by URL, the same statements on both."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, TypeAlias

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Row,
    Table,
    Update,
    create_engine,
    event,
    literal,
    make_url,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from her2node.errors import IllegalTransition, LedgerAway, SettingsRefused
from her2node.ledger.states import E, Machine, S

BUSY_TIMEOUT_MS = 30_000
_WRITES = "her2node_writes"

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
"""A row of whatever a statement selects."""


def connect(url: str) -> Engine:
    """The engine for a SQLAlchemy URL. Raises SettingsRefused when the URL names no database that the node knows."""
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    try:
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise SettingsRefused(
            "the ledger's URL names PostgreSQL, but psycopg is not installed",
            remedy='pip install "her2node[postgres]"',
        ) from error


def is_sqlite(engine: Engine) -> bool:
    """Whether the ledger is an SQLite file."""
    return engine.dialect.name == "sqlite"


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise SettingsRefused("ledger.url is no SQLAlchemy URL", remedy="sqlite:////path/ledger.sqlite") from error
    if backend not in ("sqlite", "postgresql") or (backend == "sqlite" and not parsed.database):
        raise SettingsRefused(
            f"ledger.url names {backend}", remedy="name an SQLite file or a PostgreSQL database (postgresql+psycopg://)"
        )
    return parsed


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: see _begin
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer that begins as a reader can meet "database is locked" in its middle, which no timeout heals.
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes. Raises LedgerAway."""
    with (
        _errors_of_the_ledger(),
        engine.connect() as connection,
        connection.execution_options(**{_WRITES: True}).begin(),
    ):
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that sees one moment of the ledger. Raises LedgerAway."""
    with _errors_of_the_ledger(), engine.connect() as connection:
        if not is_sqlite(engine):
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def _errors_of_the_ledger() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise LedgerAway(_first_line(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise LedgerAway(_first_line(error)) from error
        raise


def _first_line(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return next(iter(str(cause).splitlines()), type(cause).__name__)


# --- statements --------------------------------------------------------------------------------------------


def insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say what happens on conflict."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def in_state(table: FromClause, *states: StrEnum) -> ColumnElement[bool]:
    """``state`` is one of ``states``, spelt out in the statement so that partial indexes are found."""
    return or_(*(table.c.state == literal(str(state), literal_execute=True) for state in states))


def not_in_state(table: FromClause, state: StrEnum) -> ColumnElement[bool]:
    """``state`` is another, spelt out for the same reason."""
    return table.c.state != literal(str(state), literal_execute=True)


def moving(table: Table, machine: Machine[S, E], what: E) -> Update:
    """An UPDATE of the rows in which ``what`` may happen, to the state that follows."""
    return (
        update(table)
        .where(table.c.state.in_([str(state) for state in machine.before(what)]))
        .values(state=str(machine.after(what)))
    )


def move(connection: Connection, table: Table, machine: Machine[S, E], row_id: int, what: E, **values: Any) -> None:
    """Let ``what`` happen to one row. Raises IllegalTransition when its state does not allow that."""
    moved = connection.execute(moving(table, machine, what).where(table.c.id == row_id).values(**values))
    if moved.rowcount != 1:
        state = connection.scalar(select(table.c.state).where(table.c.id == row_id))
        raise IllegalTransition(f"{machine.name} {row_id}: no {what!s} in {state}")
