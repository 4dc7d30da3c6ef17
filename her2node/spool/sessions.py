"""Which process wrote what: a session's mark stands from start to clean end, and is locked while the process lives.

A mark that nobody holds tells that its process died: some of what it answered with Success may not be in the ledger.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from her2node.spool.durable import sync_folder


class Session:
    """This process's mark in the spool. ``session_id`` is part of the id of every association it takes."""

    def __init__(self, marks: Path) -> None:
        self.session_id, self._path, self._descriptor = _new_mark(marks)

    def close(self, *, clean: bool) -> None:
        """End the session. The mark stays when something may be missing in the ledger (``clean`` is False)."""
        if clean:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


class LostSession:
    """A session whose process died. It is this process's to put right, nobody else sees it meanwhile."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.settled = False
        """To be set when the ledger knows everything; the mark then goes."""


@contextmanager
def holding(mark: Path) -> Iterator[LostSession | None]:
    """Take over the session of ``mark``, or None when its process lives or another has taken it over."""
    try:
        descriptor = os.open(mark, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        if not _locked(descriptor):
            yield None
            return
        lost = LostSession(mark.name)
        yield lost
        if lost.settled:
            mark.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _new_mark(marks: Path) -> tuple[str, Path, int]:
    while True:
        session_id = secrets.token_hex(5)
        path = marks / session_id
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if _locked(descriptor):
            os.fsync(descriptor)
            sync_folder(marks)
            return session_id, path, descriptor
        os.close(descriptor)  # a process that puts lost sessions right was faster than our lock


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours and the mark still stands."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0
