from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest

from her2node.spool import AssociationFolder, IncomingFile, Session, Spool
from her2node.spool.file_meta import Sender
from her2node.spool.spool import opened_at

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
SENDER = Sender("PACS", "HER2NODE", "10.0.0.1")
CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


def open_folder(spool: Spool, session: Session | None = None, at: datetime = MOMENT) -> AssociationFolder:
    return spool.open_association(session or spool.open_session(), SENDER, at)


def store(folder: AssociationFolder, instance: str = "1.2.3", data: bytes = b"data") -> IncomingFile:
    file = folder.begin(CT, instance, EXPLICIT)
    file.write(memoryview(data))
    file.commit()
    return file


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.glob("incoming/*/*"))


def test_an_object_stands_under_its_number_when_it_is_committed(spool: Spool, tmp_path: Path) -> None:
    folder = open_folder(spool)
    first = folder.begin(CT, "1.2.3", EXPLICIT)
    first.write(memoryview(b"da"))
    first.write(memoryview(b"ta"))
    assert names(tmp_path) == [f"incoming/{folder.association_id}/1.part"]
    length = first.commit()
    path = spool.path_of(folder.association_id, 1)
    assert path.stat().st_size == length
    assert path.read_bytes().endswith(b"data")
    store(folder, "1.2.3")  # the same UID again is another object
    assert spool.path_of(folder.association_id, 2).exists()


def test_a_discarded_object_leaves_nothing_and_an_empty_folder_goes(spool: Spool, tmp_path: Path) -> None:
    folder = open_folder(spool)
    file = folder.begin(CT, "1.2.3", EXPLICIT)
    file.write(memoryview(b"data"))
    file.discard()
    file.discard()
    folder.close()
    assert not list(tmp_path.glob("incoming/*"))


def test_an_object_whose_sync_fails_leaves_nothing(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_folder(spool)
    file = folder.begin(CT, "1.2.3", EXPLICIT)
    file.write(memoryview(b"data"))

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr("her2node.spool.incoming.os.fsync", fail)
    with pytest.raises(OSError, match="input/output"):
        file.commit()
    file.discard()
    assert names(tmp_path) == []


def test_a_kernel_that_takes_a_part_is_given_the_rest(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = open_folder(spool)
    write = os.write
    file = folder.begin(CT, "1.2.3", EXPLICIT)
    monkeypatch.setattr("her2node.spool.incoming.os.write", lambda fd, data: write(fd, data[:3]))
    monkeypatch.setattr("her2node.spool.incoming.os.writev", lambda fd, buffers: write(fd, b"".join(buffers)[:5]))
    file.write(memoryview(b"abcdefgh"))
    file.write(memoryview(b"ijklmnop"))
    file.commit()
    assert spool.path_of(folder.association_id, 1).read_bytes()[-16:] == b"abcdefghijklmnop"
    assert pydicom.filereader.read_file_meta_info(
        spool.path_of(folder.association_id, 1)
    ).MediaStorageSOPInstanceUID == ("1.2.3")


def test_association_ids_tell_their_time_and_sort_by_it(spool: Spool) -> None:
    session = spool.open_session()
    ids = [open_folder(spool, session, MOMENT + timedelta(microseconds=n)).association_id for n in range(20)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 20
    assert opened_at(ids[0]) == MOMENT


@pytest.mark.parametrize("wrong", ["", "..", "../x", "20260102T030405000678-abc-1", "x" * 40])
def test_a_path_is_made_of_our_own_ids_only(spool: Spool, wrong: str) -> None:
    with pytest.raises(ValueError, match="no association"):
        spool.path_of(wrong, 1)
    with pytest.raises(ValueError, match="no association"):
        opened_at(wrong)
    with pytest.raises(ValueError, match="no UID"):
        spool.result_path(1, wrong)


def test_results_are_overwritten_and_removed(spool: Spool, tmp_path: Path) -> None:
    spool.write_result(7, "1.2.3", b"one")
    path = spool.write_result(7, "1.2.3", b"two")
    assert path == spool.result_path(7, "1.2.3") == tmp_path / "results/7/1.2.3.dcm"
    assert path.read_bytes() == b"two"
    spool.remove_results(7)
    spool.remove_results(7)
    assert not list(tmp_path.glob("results/*"))


def test_old_empty_folders_go_a_few_at_a_time(spool: Spool, tmp_path: Path) -> None:
    session = spool.open_session()
    folders = [open_folder(spool, session, MOMENT + timedelta(days=n)) for n in range(6)]
    for folder in folders:
        store(folder)
    for folder in folders[1:]:
        spool.remove_instance(folder.association_id, 1)
    before = MOMENT + timedelta(days=4, hours=1)
    assert [spool.remove_empty_folders(before, 2) for _ in range(3)] == [2, 2, 0]
    left = sorted(path.name for path in tmp_path.glob("incoming/*"))
    assert left == [folders[0].association_id, folders[5].association_id]


def test_free_space_is_what_the_file_system_says(spool: Spool, tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    assert abs(spool.free_bytes() - status.f_bavail * status.f_frsize) < 2**30


# --- after a crash -------------------------------------------------------------------------------------------


def take_over(spool: Spool, settle: bool = True) -> list[str]:
    """The sessions that can be taken over, each settled or not."""
    taken = []
    for holding in spool.lost_sessions():
        with holding as lost:
            if lost is not None:
                taken.append(lost.session_id)
                lost.settled = settle
    return taken


def test_a_living_session_is_nobodys_to_recover(spool: Spool) -> None:
    session = spool.open_session()
    assert take_over(spool) == []
    session.close(clean=True)
    assert take_over(spool) == []


def test_a_lost_session_is_recovered_once_and_again_if_that_failed(spool: Spool) -> None:
    session = spool.open_session()
    session.close(clean=False)
    assert take_over(spool, settle=False) == [session.session_id]
    assert take_over(spool) == [session.session_id]
    assert take_over(spool) == []


def test_a_lost_session_is_held_by_one_at_a_time(spool: Spool) -> None:
    spool.open_session().close(clean=False)
    (holding,) = spool.lost_sessions()
    with holding as lost:
        assert lost is not None
        assert take_over(spool) == []
        lost.settled = True
    assert take_over(spool) == []


def test_a_survey_finds_whole_objects_and_removes_the_rest(spool: Spool, tmp_path: Path) -> None:
    session = spool.open_session()
    folder = open_folder(spool, session)
    for number in range(1, 6):
        store(folder, f"1.2.{number}", b"x" * 1000)
    folder.begin(CT, "1.2.6", EXPLICIT).write(memoryview(b"x"))
    cut_short = spool.path_of(folder.association_id, 2)
    os.truncate(cut_short, cut_short.stat().st_size - 1)
    os.truncate(spool.path_of(folder.association_id, 3), 100)
    os.truncate(spool.path_of(folder.association_id, 4), 0)
    found = list(spool.survey(folder.association_id, {1}))
    assert [(one.number, one.meta.sop_instance_uid) for one in found] == [(5, "1.2.5")]
    assert found[0].meta.sender == SENDER
    assert found[0].size == spool.path_of(folder.association_id, 5).stat().st_size
    assert names(tmp_path) == [f"incoming/{folder.association_id}/{number}.dcm" for number in (1, 5)]
    assert spool.associations_of(session.session_id) == (folder.association_id,)


def test_an_object_whose_length_was_never_written_was_never_answered(spool: Spool, tmp_path: Path) -> None:
    folder = open_folder(spool)
    file = folder.begin(CT, "1.2.3", EXPLICIT)
    file.write(memoryview(b"whole, but for the last moment"))
    part = tmp_path / "incoming" / folder.association_id / "1.part"
    part.rename(part.with_suffix(".dcm"))
    assert list(spool.survey(folder.association_id, set())) == []
    assert names(tmp_path) == []


@pytest.mark.parametrize("data", [b"no DICOM at all", b"\xff" * 77, bytes(10)])
def test_what_was_answered_is_kept_whatever_it_holds(spool: Spool, data: bytes) -> None:
    folder = open_folder(spool)
    store(folder, "1.2.3", data)
    assert [one.number for one in spool.survey(folder.association_id, set())] == [1]
