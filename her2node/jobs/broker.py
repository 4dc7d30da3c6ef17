"""The embedded broker: a kombu transport over one disposable SQLite file.

Kombu's filesystem transport loses messages and its SQLAlchemy transport has no fanout, hence no ping. This one puts
with an INSERT and takes with one ``DELETE ... RETURNING``, so two consumers never get the same message. Messages are
ordered by priority, then age. A binding table carries fanout (ping, inspect).

The file may be deleted or ruined under it at any time: the store opens a new one and binds its queues again. The
messages are gone then, and the ledger sends again what is due.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any, NamedTuple, TypeVar

from kombu.transport import virtual
from kombu.utils import json as kombu_json

from her2node.jobs.forks import held_off

T = TypeVar("T")

_json: Any = kombu_json  # kombu is half typed: what crosses into this file is annotated here
_Channel: Any = virtual.Channel
_Transport: Any = virtual.Transport

FILE_NAME = "broker.sqlite"
POLLING_SECONDS = 0.2
BUSY_SECONDS = 30.0
OPENING_SECONDS = 2.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY, queue TEXT NOT NULL, priority INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS message_order ON message (queue, priority DESC, id);
CREATE TABLE IF NOT EXISTS binding (
    exchange TEXT NOT NULL, queue TEXT NOT NULL, routing_key TEXT NOT NULL, pattern TEXT NOT NULL,
    PRIMARY KEY (exchange, queue, routing_key)
) WITHOUT ROWID;
"""

_NOT_RUINED = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT}
)


class Binding(NamedTuple):
    """Messages of ``exchange`` with ``routing_key`` (or matching ``pattern``) go to ``queue``."""

    exchange: str
    queue: str
    routing_key: str
    pattern: str


class _Held(NamedTuple):
    connection: sqlite3.Connection
    inode: tuple[int, int]


class Store:
    """Messages and bindings in one SQLite file. One connection a thread and a process; safe over forks."""

    _inherited: list[_Held] = []  # noqa: RUF012 - of the parent: never closed here, or the parent's locks would go

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: dict[tuple[int, int], _Held] = {}
        self._bound: set[Binding] = set()
        self._guard = threading.Lock()

    def put(self, queue: str, body: str, priority: int) -> None:
        """Append a message; it is safe from a crash of any process (not of the machine) when this returns."""
        sql = "INSERT INTO message (queue, priority, body) VALUES (?, ?, ?)"
        self._do(lambda connection: connection.execute(sql, (queue, priority, body)).fetchall())

    def take(self, queue: str) -> str | None:
        """Remove and return the oldest message of the highest priority, or None."""
        sql = (
            "DELETE FROM message WHERE id = "
            "(SELECT id FROM message WHERE queue = ? ORDER BY priority DESC, id LIMIT 1) RETURNING body"
        )
        rows = self._do(lambda connection: connection.execute(sql, (queue,)).fetchall())
        return str(rows[0][0]) if rows else None

    def size(self, queue: str) -> int:
        sql = "SELECT count(*) FROM message WHERE queue = ?"
        rows = self._do(lambda connection: connection.execute(sql, (queue,)).fetchall())
        return int(rows[0][0])

    def purge(self, queue: str) -> int:
        """Remove all messages of a queue and return how many there were."""
        return self._do(lambda connection: connection.execute("DELETE FROM message WHERE queue = ?", (queue,)).rowcount)

    def bind(self, binding: Binding) -> None:
        self._bound.add(binding)
        self._do(lambda connection: _insert_bindings(connection, (binding,)))

    def unbind(self, binding: Binding) -> None:
        self._bound.discard(binding)
        sql = "DELETE FROM binding WHERE exchange = ? AND queue = ? AND routing_key = ?"
        self._do(lambda connection: connection.execute(sql, binding[:3]).fetchall())

    def bindings(self, exchange: str) -> list[Binding]:
        sql = "SELECT exchange, queue, routing_key, pattern FROM binding WHERE exchange = ?"
        rows = self._do(lambda connection: connection.execute(sql, (exchange,)).fetchall())
        return [Binding(*map(str, row)) for row in rows]

    def close(self) -> None:
        """Close this process's connections; the next use opens again."""
        with held_off(), self._guard:
            self._disown()
            for held in self._held.values():
                held.connection.close()
            self._held = {}

    def _do(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Run one statement; when the file turns out to be ruined, put a new one in its place and run it again."""
        with held_off():
            try:
                return action(self._connection())
            except sqlite3.DatabaseError as error:
                if not _ruined(error):
                    raise
                self._replace()
                return action(self._connection())

    def _connection(self) -> sqlite3.Connection:
        key = (os.getpid(), threading.get_ident())
        held = self._held.get(key)
        if held is not None:
            if held.inode == _inode(self.path):
                return held.connection
            del self._held[key]  # the file was deleted or replaced: whoever still used it would talk to nobody
            held.connection.close()
        fresh = self._open()
        with self._guard:
            self._disown()
            self._held[key] = fresh
        return fresh.connection

    def _disown(self) -> None:
        """Put the parent's connections out of reach after a fork."""
        for key in [key for key in list(self._held) if key[0] != os.getpid()]:
            self._inherited.append(self._held.pop(key))

    def _open(self) -> _Held:
        """Open, making the file where there is none.

        SQLite does not wait for a lock when it switches to WAL: we do. A file that stays locked is a ruin, too: one
        that was emptied under others who go on in their WAL. They find the new one at their next step.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + OPENING_SECONDS
        while True:
            try:
                held = self._try_open()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if time.monotonic() > deadline:
                    discard(self.path)
                time.sleep(0.01)
            else:
                if held is not None:
                    return held

    def _try_open(self) -> _Held | None:
        """One try; None when somebody replaced the file in between."""
        self.path.touch(mode=0o600)
        before = _inode(self.path)
        connection = sqlite3.connect(self.path, timeout=0.1, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
            _insert_bindings(connection, tuple(self._bound))
            connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")
        except sqlite3.DatabaseError:
            connection.close()
            raise
        if before is None or before != _inode(self.path):
            connection.close()
            return None
        return _Held(connection, before)

    def _replace(self) -> None:
        """Remove the ruined file, unless another process has put a new one in its place already."""
        with self._guard:
            held = self._held.pop((os.getpid(), threading.get_ident()), None)
        if held is not None:
            held.connection.close()
            if held.inode != _inode(self.path):
                return
        discard(self.path)


def discard(path: Path) -> None:
    """Delete the broker file with its WAL and shared memory. The supervisor does so before it starts any role."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _ruined(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is at fault (deleted, overwritten, without tables), not the moment (locked, disk full)."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF not in _NOT_RUINED


def _insert_bindings(connection: sqlite3.Connection, bindings: tuple[Binding, ...]) -> None:
    connection.executemany("INSERT OR IGNORE INTO binding VALUES (?, ?, ?, ?)", bindings)


class Channel(_Channel):  # type: ignore[misc]
    """What kombu's virtual transport asks of a broker, answered from the store."""

    supports_fanout = True

    @property
    def store(self) -> Store:
        store: Store = self.connection.store
        return store

    def _put(self, queue: str, message: Mapping[str, Any], **_: Any) -> None:
        self.store.put(queue, _json.dumps(message), self._get_message_priority(message))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        body = self.store.take(queue)
        if body is None:
            raise Empty
        try:
            return _json.loads(body)
        except ValueError as error:  # a page of the file was overwritten: the message is lost, the ledger sends again
            raise Empty from error

    def _size(self, queue: str) -> int:
        return self.store.size(queue)

    def _purge(self, queue: str) -> int:
        return self.store.purge(queue)

    def _put_fanout(self, exchange: str, message: Mapping[str, Any], routing_key: str, **_: Any) -> None:
        for binding in self.store.bindings(exchange):
            self._put(binding.queue, message)

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str) -> None:
        self.store.bind(Binding(exchange, queue, routing_key or "", pattern or ""))

    def _delete(
        self, queue: str, exchange: str, routing_key: str | None, pattern: str | None, *_: Any, **__: Any
    ) -> None:
        self.store.unbind(Binding(exchange, queue, routing_key or "", pattern or ""))
        self.store.purge(queue)

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """The bindings of an exchange, from every process: (routing key, pattern, queue)."""
        return [(b.routing_key, b.pattern, b.queue) for b in self.store.bindings(exchange)]


class Transport(_Transport):  # type: ignore[misc]
    """``her2node://`` with the transport option ``path``: the file."""

    Channel = Channel
    default_port = 0
    driver_type = "sqlite"
    driver_name = "sqlite3"
    polling_interval = POLLING_SECONDS
    connection_errors = (*_Transport.connection_errors, sqlite3.Error, OSError)
    implements = _Transport.implements.extend(asynchronous=True, exchange_type=frozenset({"direct", "topic", "fanout"}))

    def __init__(self, client: Any, **kwargs: Any) -> None:
        self.store = Store(Path(client.transport_options["path"]))
        super().__init__(client, **kwargs)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Poll by a timer of the worker's event loop.

        With an event loop Celery gives each pool process pipes of its own. Without one they share a pipe whose lock
        dies with the process that holds it: one kill of an idle process would stop the pool for ever.
        """
        loop.call_repeatedly(self.polling_interval, self._deliver_all)

    def _deliver_all(self) -> None:
        with suppress(Empty):
            while True:
                self.cycle.get(self._deliver)

    def driver_version(self) -> str:
        return sqlite3.sqlite_version

    def close_connection(self, connection: Any) -> None:
        super().close_connection(connection)
        self.store.close()
