"""The same tests on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from her2node.ledger import Ledger, open_ledger
from her2node.ledger.database import connect
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
def postgres_ledger(postgres: str) -> Iterator[Engine]:
    """The same database with the ledger's tables in it."""
    open_ledger(postgres).close()
    engine = connect(postgres)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.sqlite"
    open_ledger(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty ledger."""
    if request.param == "sqlite":
        path = tmp_path / "ledger.sqlite"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    engine: Engine = request.getfixturevalue("postgres_ledger")
    with engine.begin() as connection:
        tables = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = open_ledger(url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_ledger(tmp_path: Path) -> Iterator[Ledger]:
    """For what is a matter of SQLite alone."""
    opened = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def way(ledger: Ledger) -> Way:
    return Way(ledger)
