"""The same tests on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import delete, text

from her2node.ledger import Ledger, open_ledger
from her2node.ledger.database import writing
from her2node.ledger.schema import metadata
from tests.conftest import system_tool
from tests.ledger.way import Way


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of an empty database on a server of our own: unix socket only, run by somebody who is not root."""
    initdb, pg_ctl = system_tool("initdb"), system_tool("pg_ctl")
    folder = Path(tempfile.mkdtemp(prefix="her2node-pg-", dir="/tmp"))  # short: socket paths hold 107 bytes
    server = [pg_ctl, "--pgdata", str(folder / "data"), "--wait", "--silent", "--timeout", "60"]
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    try:
        as_nobody = _somebody(folder)
        _run([*as_nobody, initdb, "-D", str(folder / "data"), "-U", "her2node", "-A", "trust", "-E", "UTF8"], folder)
        _run([*as_nobody, *server, "--log", str(folder / "log"), "--options", options, "start"], folder)
        yield f"postgresql+psycopg://her2node@/postgres?host={folder}"
        _run([*as_nobody, *server, "--mode", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _somebody(folder: Path) -> list[str]:
    """PostgreSQL refuses root: become Debian's postgres then."""
    if os.geteuid() != 0:
        return []
    postgres = pwd.getpwnam("postgres")
    os.chown(folder, postgres.pw_uid, postgres.pw_gid)
    return [system_tool("runuser"), "-u", "postgres", "--"]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    log = folder / "log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")


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
