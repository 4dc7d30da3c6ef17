from __future__ import annotations

import errno

import pytest

from her2node.dimse.reception import Answer, StoreRequest
from her2node.dimse.status import Status
from her2node.intake.store import StoreLimits, Storing, refusal_of

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
REQUEST = StoreRequest(CT, "1.2.3", CT, EXPLICIT)


class DiskFile:
    """A file on a disk that may be full or broken."""

    def __init__(self, room: int = 10**9, commit_error: OSError | None = None) -> None:
        self.number = 5
        self.size = 0
        self.discarded = self.committed = False
        self._room = room
        self._commit_error = commit_error

    def write(self, data: memoryview) -> None:
        if self.size + len(data) > self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.size += len(data)

    def commit(self) -> int:
        if self._commit_error:
            raise self._commit_error
        self.committed = True
        return self.size + 400

    def discard(self) -> None:
        self.discarded = True


class Notes:
    def __init__(self) -> None:
        self.kept: list[tuple[int, int]] = []
        self.refusals: list[Answer] = []

    def stored(self, request: StoreRequest, number: int, length: int) -> None:
        self.kept.append((number, length))

    def refused(self, request: StoreRequest, answer: Answer) -> None:
        self.refusals.append(answer)


def limits(free: int = 10**12, largest: int = 10**9) -> StoreLimits:
    return StoreLimits(largest, 2**31, lambda: free)


def test_an_object_that_lasts_is_answered_with_success() -> None:
    file, notes = DiskFile(), Notes()
    storing = Storing(file, REQUEST, limits(), notes)
    storing.write(memoryview(b"abc"))
    assert storing.end() == Answer(Status.SUCCESS)
    assert file.committed
    assert notes.kept == [(5, 403)]


def test_a_disk_that_fills_up_refuses_once_and_takes_the_rest_away() -> None:
    file, notes = DiskFile(room=10), Notes()
    storing = Storing(file, REQUEST, limits(), notes)
    for _ in range(5):
        storing.write(memoryview(b"abcdefgh"))
    answer = storing.end()
    assert (answer.status, answer.comment) == (Status.OUT_OF_RESOURCES, "the disk is full")
    assert file.discarded
    assert not file.committed
    assert len(notes.refusals) == 1
    assert not notes.kept


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_fails_at_the_end_refuses(number: int) -> None:
    file, notes = DiskFile(commit_error=OSError(number, "error")), Notes()
    storing = Storing(file, REQUEST, limits(), notes)
    storing.write(memoryview(b"abc"))
    assert storing.end().status == Status.OUT_OF_RESOURCES
    assert file.discarded
    assert not notes.kept


def test_an_object_larger_than_allowed_is_refused() -> None:
    file = DiskFile()
    storing = Storing(file, REQUEST, limits(largest=10), Notes())
    storing.write(memoryview(b"0123456789"))
    assert not file.discarded
    storing.write(memoryview(b"x"))
    assert storing.end().status == Status.OUT_OF_RESOURCES


def test_space_is_looked_at_again_while_a_large_object_comes() -> None:
    free = 10**12
    file = DiskFile()
    storing = Storing(file, REQUEST, StoreLimits(10**9, 2**31, lambda: free), Notes())
    piece = memoryview(bytes(2**20))
    for _ in range(65):
        storing.write(piece)
    free = 0
    for _ in range(65):
        storing.write(piece)
    assert storing.end().status == Status.OUT_OF_RESOURCES


def test_nothing_is_no_object() -> None:
    file = DiskFile()
    assert Storing(file, REQUEST, limits(), Notes()).end().status == Status.CANNOT_UNDERSTAND
    assert file.discarded


@pytest.mark.parametrize("uid", ["1.2.3", "0", "1.2.0840.7", "2.25." + "9" * 39, "1" * 64])
def test_a_uid_with_leading_zeros_is_taken(uid: str) -> None:
    assert refusal_of(StoreRequest(CT, uid, CT, EXPLICIT), limits()) is None


@pytest.mark.parametrize("uid", ["", "..", ".1", "1.", "1..2", "a", "1.2\n", "１.２", "1" * 65, "../../x", "1.2.3\x00"])
def test_what_is_no_uid_is_refused(uid: str) -> None:
    refusal = refusal_of(StoreRequest(CT, uid, CT, EXPLICIT), limits())
    assert refusal is not None
    assert refusal.status == Status.INVALID_SOP_INSTANCE


def test_a_class_that_was_not_negotiated_and_a_full_disk_are_refused() -> None:
    other = refusal_of(StoreRequest("1.2.3", "1.2.3", CT, EXPLICIT), limits())
    full = refusal_of(REQUEST, limits(free=2**31 - 1))
    assert other is not None
    assert full is not None
    assert (other.status, full.status) == (Status.SOP_CLASS_NOT_SUPPORTED, Status.OUT_OF_RESOURCES)
