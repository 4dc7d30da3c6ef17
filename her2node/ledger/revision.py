"""Which schema a ledger has, without the machinery that makes one: most processes open a ledger that needs none."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DatabaseError

from her2node.errors import LedgerAway
from her2node.ledger.database import is_sqlite, reading

MIGRATIONS = Path(__file__).parent / "migrations"
_TABLE = "alembic_version"


def newest(migrations: Path = MIGRATIONS) -> str:
    """The revision of today's schema: the last of the files ``vNNNN_*.py``."""
    return max(path.stem.split("_")[0][1:] for path in (migrations / "versions").glob("v*.py"))


def current(engine: Engine) -> str | None:
    """The revision of a ledger's schema; None for an empty database. Raises LedgerAway."""
    if is_sqlite(engine) and not Path(str(engine.url.database)).exists():
        return None
    try:
        with reading(engine) as connection:
            if not inspect(connection).has_table(_TABLE):
                return None
            found = connection.scalar(text(f"SELECT version_num FROM {_TABLE}"))
    except DatabaseError as error:  # a file that is no database, say
        raise LedgerAway(f"{engine.url.database}: {error.orig}") from error
    return None if found is None else str(found)
