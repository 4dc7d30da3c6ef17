"""A power cut, as near as a test comes to it: ext4 on a loop device, copied while it is mounted, the copy mounted.

It shows that the journal had everything when ``commit`` returned; it does not show that a drive keeps its word.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from her2node.spool import Spool
from her2node.spool.durable import FolderSync, one_commit_holds_both
from her2node.spool.file_meta import Sender
from tests.conftest import system_tool

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
SENDER = Sender("PACS", "HER2NODE", "127.0.0.1")
DATA = os.urandom(100_000)


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    done = subprocess.run([system_tool("mount"), "-o", "loop", str(image), str(at)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this user may not mount a loop device: {done.stderr.decode().strip()}")
    try:
        yield at
    finally:
        subprocess.run([system_tool("umount"), str(at)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(64 * 2**20)
    subprocess.run([system_tool("mkfs.ext4"), "-q", str(image)], check=True)
    return image


@pytest.mark.soak
def test_what_was_committed_outlives_a_power_cut_without_a_sync_of_its_folder(disk: Path, tmp_path: Path) -> None:
    for turn in range(4):
        with mounted(disk, tmp_path / "live") as live:
            assert one_commit_holds_both(live)
            spool = Spool(live / f"spool{turn}")
            session = spool.open_session()
            folder = spool.open_association(session, SENDER, datetime.now(UTC))
            for number in range(turn + 1):
                file = folder.begin(CT, f"1.2.{number}", EXPLICIT)
                file.write(memoryview(DATA))
                file.commit()
            shutil.copyfile(disk, tmp_path / "cut")
            folder.close()
            session.close(clean=False)
        with mounted(tmp_path / "cut", tmp_path / "after") as after:
            found = list(Spool(after / f"spool{turn}").survey(folder.association_id, set()))
            assert [one.meta.sop_instance_uid for one in found] == [f"1.2.{number}" for number in range(turn + 1)]
            for path in after.glob(f"spool{turn}/incoming/*/*.dcm"):
                assert path.read_bytes().endswith(DATA)


def test_folders_are_synced_where_no_journal_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr("her2node.spool.spool.one_commit_holds_both", lambda folder: False)
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink().name))
    monkeypatch.setattr(FolderSync, "sync", lambda self: synced.append("incoming"))
    spool = Spool(tmp_path)
    folder = spool.open_association(spool.open_session(), SENDER, datetime.now(UTC))
    synced.clear()
    for _ in range(2):
        file = folder.begin(CT, "1.2.3", EXPLICIT)
        file.write(memoryview(DATA))
        file.commit()
    name = folder.association_id
    assert synced == ["1.dcm", name, "incoming", "2.dcm", name]


def test_memory_file_systems_have_no_journal() -> None:
    assert not one_commit_holds_both(Path("/dev/shm"))
    assert not one_commit_holds_both(Path("/proc"))
