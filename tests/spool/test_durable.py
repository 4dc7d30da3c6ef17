from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from her2node.spool.durable import FolderSync, make_folder, write_file


def folder_descriptor(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


class SlowSync:
    """``fsync`` that counts, and waits for a gate."""

    def __init__(self, fails: bool = False) -> None:
        self.calls = 0
        self.gate = threading.Event()
        self.entered = threading.Event()
        self._fails = fails

    def __call__(self, descriptor: int) -> None:
        self.calls += 1
        self.entered.set()
        assert self.gate.wait(10)
        if self._fails:
            raise OSError(5, "input/output error")


def sync_in_thread(folder: FolderSync, errors: list[OSError]) -> threading.Thread:
    def run() -> None:
        try:
            folder.sync()
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("fails", [False, True])
def test_all_who_wait_share_the_next_sync_and_its_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    slow = SlowSync(fails)
    monkeypatch.setattr("her2node.spool.durable.os.fsync", slow)
    folder = FolderSync(folder_descriptor(tmp_path))
    errors: list[OSError] = []
    first = sync_in_thread(folder, errors)
    assert slow.entered.wait(10)
    rest = [sync_in_thread(folder, errors) for _ in range(5)]
    while len(folder._turn._waiters) < 5:  # type: ignore[attr-defined]
        pass
    slow.gate.set()
    for thread in (first, *rest):
        thread.join(10)
    assert slow.calls == 2  # the one that ran, and one for all who came during it
    assert len(errors) == (6 if fails else 0)


def test_a_file_is_whole_or_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.dcm"
    write_file(path, b"old")
    monkeypatch.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(OSError, match="no space"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.dcm"]


def test_a_folder_may_be_there_already(tmp_path: Path) -> None:
    make_folder(tmp_path / "a/b/c")
    make_folder(tmp_path / "a/b/c")
    assert (tmp_path / "a/b/c").is_dir()
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0
