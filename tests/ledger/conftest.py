"""The same tests on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import delete, text

from her2node.ledger import Ledger, open_ledger
from her2node.ledger.database import writing
from her2node.ledger.schema import metadata
from tests.ledger.way import Way


@pytest.fixture(scope="session")
def postgres_ledger(postgres: str) -> Iterator[Ledger]:
    with closing(open_ledger(postgres)) as opened:
        yield opened


@pytest.fixture(scope="session")
def file_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with closing(open_ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.sqlite")) as opened:
        yield opened


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """An empty ledger. It stays open from test to test, for statements are compiled once a connection pool."""
    opened: Ledger = request.getfixturevalue("file_ledger" if request.param == "sqlite" else "postgres_ledger")
    with writing(opened._engine) as connection:
        if request.param == "sqlite":
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        else:
            tables = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
            connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
    return opened


@pytest.fixture
def url(ledger: Ledger) -> str:
    """Where that ledger lies, for tests that open it themselves."""
    return ledger._engine.url.render_as_string(hide_password=False)


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> Iterator[Ledger]:
    """For what is a matter of SQLite alone."""
    opened = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def way(ledger: Ledger) -> Way:
    return Way(ledger)
