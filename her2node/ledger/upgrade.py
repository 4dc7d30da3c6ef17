"""The schema: made or upgraded when a ledger is opened, an SQLite file after a copy, by one process at a time."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from her2node import log
from her2node.errors import LedgerAway, LedgerNewer
from her2node.ledger.database import BUSY_TIMEOUT_MS, is_sqlite, writing
from her2node.ledger.revision import MIGRATIONS

_ADVISORY_LOCK = 0x48455232
"""'HER2': the key of PostgreSQL's advisory lock around an upgrade."""


def upgrade(engine: Engine, backups: Path | None = None, migrations: Path = MIGRATIONS) -> None:
    """Bring a ledger to the newest schema in ``migrations``. Raises LedgerNewer, LedgerAway."""
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    if is_sqlite(engine):
        _upgrade_file(engine, config, backups)
    else:
        with writing(engine) as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            if _behind(connection, config):
                _run(connection, config)


def _upgrade_file(engine: Engine, config: Config, backups: Path | None) -> None:
    path = Path(str(engine.url.database))
    with _alone(path):
        _make_durable(path)
        with writing(engine) as connection:
            behind = _behind(connection, config)
            revision = MigrationContext.configure(connection).get_current_revision()
        if not behind:
            return
        copy = _back_up(path, backups or path.parent / "backups", revision) if revision is not None else None
        with writing(engine) as connection:
            _run(connection, config)
        if copy is not None:
            log.emit(log.Event.LEDGER_UPGRADED, from_revision=revision, backup=str(copy))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time: ``up`` starts three that open the same file at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise LedgerAway(f"{path}: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_durable(path: Path) -> None:
    """Switch the file to a write-ahead log; that is kept in the file."""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise LedgerAway(f"{path}: {error}") from error


def _behind(connection: Connection, config: Config) -> bool:
    """Whether the schema is older than the code. Raises LedgerNewer when it is newer."""
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise LedgerNewer(
            f"its schema is {current}, this version knows {scripts.get_current_head()}",
            remedy="install the version of her2node that wrote it, or restore the backup made before the upgrade",
        )
    return current != scripts.get_current_head()


def _back_up(path: Path, backups: Path, revision: str) -> Path:
    """A copy of the file as it is, whole under its name or not there."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    target = backups / f"{path.stem}-{revision}-{stamp}.sqlite"
    part = target.with_suffix(".part")
    try:
        backups.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        part.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise LedgerAway(f"no backup could be made in {backups}: {error}") from error
    return target


def _run(connection: Connection, config: Config) -> None:
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
