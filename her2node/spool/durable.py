"""What it takes until a file outlives a power cut.

POSIX wants the file and the folder that names it synchronised. The order matters: a file is renamed first and then
synchronised with ``fsync`` (not ``fdatasync``), so that on a journal that takes both, one commit holds both. The
folder's own ``fsync`` follows where no such journal is known: on ext4 it would bring nothing and cost as much again.
"""

from __future__ import annotations

import itertools
import os
import threading
from pathlib import Path

_number = itertools.count()


def one_commit_holds_both(folder: Path) -> bool:
    """Whether ``fsync`` of a file makes the rename before it last as well: ext4 with a journal.

    There a rename touches the file's inode in the transaction that changes the folders, ``fsync`` of the file waits for
    that transaction, and transactions are committed in their order (tests/spool/test_power_cut.py).
    """
    device = folder.stat().st_dev
    name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    return Path("/sys/fs/ext4", name, "journal_task").exists()


class FolderSync:
    """``fsync`` of one folder, shared: who comes while one runs waits for the next, which serves all who wait."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._turn = threading.Condition()
        self._running = False
        self._started = self._done = self._failed = 0

    def sync(self) -> None:
        """Return when an ``fsync`` that began after this call has ended. Raises OSError when it failed."""
        with self._turn:
            wanted = self._started + 1
            while self._running and self._done < wanted:
                self._turn.wait()
            if self._done >= wanted:
                self._check(wanted)
                return
            self._running = True
            self._started += 1
        self._lead()
        self._check(wanted)

    def _lead(self) -> None:
        failed = True
        try:
            os.fsync(self._descriptor)
            failed = False
        finally:
            with self._turn:
                self._running = False
                self._done = self._started
                if failed:
                    self._failed = self._done
                self._turn.notify_all()

    def _check(self, wanted: int) -> None:
        if self._failed >= wanted:  # Linux reports a write error once for a descriptor: tell all who waited for it
            raise OSError("the folder could not be synchronised")


def sync_folder(folder: Path) -> None:
    """``fsync`` a folder, so that the names in it last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file, atomically and durably: ``path`` holds the old content or the new, never a part."""
    part = path.with_name(f".{path.name}.{os.getpid()}-{next(_number)}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            part.rename(path)
            os.fsync(file.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder (and those above it) that lasts. Nothing happens where it exists."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)
