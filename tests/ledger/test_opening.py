"""Making, upgrading and refusing a ledger; and a ledger that is away."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from her2node.errors import LedgerAway, LedgerNewer, SettingsRefused
from her2node.ledger import Ledger, open_ledger
from her2node.ledger.database import connect, reading, writing
from her2node.ledger.records import Census, SeriesCount
from her2node.ledger.revision import MIGRATIONS, newest
from her2node.ledger.schema import metadata
from her2node.ledger.upgrade import upgrade
from tests.ledger.way import START, Way, slices

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{last}"


def upgrade() -> None:
    op.add_column("study", sa.Column("nickname", sa.Text()))
"""


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The migrations of a newer version of the node."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    last = sorted(path.stem.split("_")[0][1:] for path in (folder / "versions").glob("v*.py"))[-1]
    (folder / "versions" / "v9999_next.py").write_text(NEXT.format(last=last))
    return folder


def test_the_migrations_make_the_tables_that_the_code_expects(url: str) -> None:
    open_ledger(url).close()
    engine = connect(url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    engine.dispose()
    assert differences == []


def test_the_newest_revision_is_where_the_migrations_end() -> None:
    assert newest() == ScriptDirectory(str(MIGRATIONS)).get_current_head()


def test_a_ledger_of_todays_schema_is_opened_without_the_machinery_of_upgrades(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    open_ledger(url).close()
    code = (
        "import sys; from her2node.ledger import open_ledger;"
        f"open_ledger({url!r}).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_opening_twice_changes_nothing(url: str) -> None:
    for _ in range(2):
        ledger = open_ledger(url)
        assert ledger.studies() == ()
        ledger.close()


def test_an_sqlite_ledger_is_made_with_its_folder_and_is_durable(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/new/ledger.sqlite")
    with reading(ledger._engine) as connection:
        pragmas = {name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous",
                   "foreign_keys", "busy_timeout")}  # fmt: skip
    ledger.close()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    assert not (tmp_path / "new" / "backups").exists()


def test_an_upgrade_keeps_everything_and_leaves_a_copy_of_before(
    tmp_path: Path, newer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = open_ledger(f"sqlite:///{path}")
    Way(ledger).gather(slices(3))
    ledger.close()
    engine = connect(f"sqlite:///{path}")
    upgrade(engine, tmp_path / "kept", newer)
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM instance")) == 3
        assert connection.scalar(text("SELECT count(nickname) FROM study")) == 0
    engine.dispose()
    (copy,) = (tmp_path / "kept").iterdir()
    assert copy.suffix == ".sqlite"
    with closing(sqlite3.connect(copy)) as before:
        assert before.execute("SELECT count(*) FROM instance").fetchone() == (3,)
        assert "nickname" not in [row[1] for row in before.execute("PRAGMA table_info(study)")]
    assert "ledger-upgraded" in capsys.readouterr().out


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The migrations of the first version of the node."""
    folder = tmp_path / "first"
    shutil.copytree(MIGRATIONS, folder)
    for path in (folder / "versions").glob("v*.py"):
        if path.name != "v0001_first.py":
            path.unlink()
    return folder


def _upgrade_from_the_first_version(url: str, first: Path, backups: Path) -> None:
    engine = connect(url)
    upgrade(engine, None, first)
    old = Way(Ledger(engine))
    old.send(slices(3))
    old.file()
    with reading(engine) as connection:
        assert "census" not in inspect(connection).get_table_names()
    engine.dispose()
    with closing(open_ledger(url, backups)) as ledger:
        (facts,) = ledger.gathering("PACS")
        assert (facts.series[0].instances, facts.census) == (3, None)
        answer = Census(START, (SeriesCount("1.2.3.1", "CT", 3),), 3)
        ledger.note_census("1.2.3", answer)
        assert ledger.gathering()[0].census == answer


def test_a_file_of_the_first_version_is_upgraded_with_all_that_it_holds(tmp_path: Path, first: Path) -> None:
    _upgrade_from_the_first_version(f"sqlite:///{tmp_path / 'ledger.sqlite'}", first, tmp_path / "kept")
    (copy,) = (tmp_path / "kept").iterdir()
    with closing(sqlite3.connect(copy)) as before:
        assert before.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert before.execute("SELECT count(*) FROM instance").fetchone() == (3,)


@pytest.mark.servers
def test_a_database_of_the_first_version_is_upgraded_with_all_that_it_holds(
    postgres: str, tmp_path: Path, first: Path
) -> None:
    server = connect(postgres)
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE of_the_first_version"))
    server.dispose()
    url = postgres.replace("/postgres?", "/of_the_first_version?")
    _upgrade_from_the_first_version(url, first, tmp_path / "kept")


def test_an_upgrade_without_room_for_a_copy_does_not_begin(tmp_path: Path, newer: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    open_ledger(f"sqlite:///{path}").close()
    (tmp_path / "kept").write_text("a file where the folder should be")
    engine = connect(f"sqlite:///{path}")
    with pytest.raises(LedgerAway, match="no backup"):
        upgrade(engine, tmp_path / "kept", newer)
    engine.dispose()
    with closing(open_ledger(f"sqlite:///{path}")) as ledger:
        assert ledger.studies() == ()


def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path, newer: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    open_ledger(f"sqlite:///{path}").close()
    script = newer / "versions" / "v9999_next.py"
    script.write_text(script.read_text() + "    raise RuntimeError('power')\n")
    engine = connect(f"sqlite:///{path}")
    with pytest.raises(RuntimeError, match="power"):
        upgrade(engine, None, newer)
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        assert "nickname" not in [row[1] for row in connection.execute("PRAGMA table_info(study)")]
    with closing(open_ledger(f"sqlite:///{path}")) as ledger:
        assert ledger.studies() == ()


def test_a_ledger_newer_than_the_code_is_refused_by_name(url: str) -> None:
    open_ledger(url).close()
    engine = connect(url)
    with writing(engine) as connection:
        before = connection.scalar(text("SELECT version_num FROM alembic_version"))
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        with pytest.raises(LedgerNewer, match="9999") as refused:
            open_ledger(url)
        assert refused.value.reason == "ledger-newer"
        assert "install the version" in refused.value.remedy
    finally:
        with writing(engine) as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": before})
        engine.dispose()


def test_many_may_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    opened: list[Ledger] = []
    threads = [threading.Thread(target=lambda: opened.append(open_ledger(url))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 6
    for ledger in opened:
        ledger.close()


# --- refused and away --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", "ledger.sqlite", "sqlite://", "mysql://host/db", "nonsense://host/db"])
def test_a_url_of_no_known_database_is_refused(bad: str) -> None:
    with pytest.raises(SettingsRefused, match=r"ledger\.url"):
        open_ledger(bad)


def test_a_refused_url_is_not_repeated_for_it_may_hold_a_password() -> None:
    with pytest.raises(SettingsRefused) as refused:
        open_ledger("mysql://user:hush@host/db")
    assert "hush" not in str(refused.value)


def test_a_folder_that_cannot_be_made_means_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerAway):
        open_ledger(f"sqlite:///{tmp_path}/file/ledger.sqlite")


def test_a_file_that_is_no_database_means_away(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all, but long enough to look at" * 100)
    with pytest.raises(LedgerAway, match="not a database"):
        open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")


def test_a_server_that_is_not_there_means_away(tmp_path: Path) -> None:
    with pytest.raises(LedgerAway):
        open_ledger(f"postgresql+psycopg://her2node@/her2node?host={tmp_path}")


@pytest.mark.servers
def test_a_server_that_cuts_its_connections_means_away_and_then_back(postgres: str) -> None:
    ledger, other = open_ledger(postgres), connect(postgres)

    def work_on_a_cut_connection() -> None:
        with writing(ledger._engine) as connection, other.begin() as killer:
            own = connection.scalar(text("SELECT pg_backend_pid()"))
            killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
            connection.execute(text("SELECT 1"))

    with pytest.raises(LedgerAway):
        work_on_a_cut_connection()
    assert ledger.studies() == ()
    ledger.close()
    other.dispose()


def test_a_locked_file_means_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("her2node.ledger.database.BUSY_TIMEOUT_MS", 50)
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerAway, match="locked"):
            ledger.hold("leader", "one", START - START, START)
        assert ledger.studies() == (), "readers are not held up"
    assert ledger.hold("leader", "one", START - START, START)
    ledger.close()
