"""One C-STORE: bytes in, status out.

Success is the answer to an object that lasts under its final name and to nothing else. A refusal is decided when the
object begins or where it cannot go on; then the rest of the data set is taken and forgotten, and the association goes
on.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from her2node.dimse.reception import Answer, StoreRequest
from her2node.dimse.status import Status

_UID = re.compile(r"(?=.{1,64}$)\d+(\.\d+)*", re.ASCII)
"""More tolerant than PS3.5 chapter 9: components with leading zeros occur; filing judges them."""
_CHECK_SPACE_EVERY = 67_108_864

_SPACE = Answer(Status.OUT_OF_RESOURCES, "free space is below the watermark")
_TOO_LARGE = Answer(Status.OUT_OF_RESOURCES, "the object is larger than maximum_instance_bytes")
_NO_UID = Answer(Status.INVALID_SOP_INSTANCE, "the SOP Instance UID is no UID")
_OTHER_CLASS = Answer(Status.SOP_CLASS_NOT_SUPPORTED, "the SOP class is not the negotiated one")
_NO_DATA_SET = Answer(Status.CANNOT_UNDERSTAND, "there is no data set")
_DONE = Answer(Status.SUCCESS)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True)
class StoreLimits:
    """What may be stored, and how much space there is."""

    maximum_instance_bytes: int
    watermark_bytes: int
    free_bytes: Callable[[], int]

    @property
    def below_watermark(self) -> bool:
        return self.free_bytes() < self.watermark_bytes


def refusal_of(request: StoreRequest, limits: StoreLimits) -> Answer | None:
    """The answer to a C-STORE that cannot be taken from its command set alone; None when it can."""
    if request.sop_class_uid != request.negotiated_class_uid:
        return _OTHER_CLASS
    if not _UID.fullmatch(request.sop_instance_uid):
        return _NO_UID
    return _SPACE if limits.below_watermark else None


def answer_to(error: OSError) -> Answer:
    """What a peer is told when the disk refuses."""
    reason = "the disk is full" if error.errno in _FULL else f"the disk refuses: {error.strerror or error}"
    return Answer(Status.OUT_OF_RESOURCES, reason)


class ObjectFile(Protocol):
    """A file that takes an object, as the spool makes it."""

    number: int
    size: int

    def write(self, data: memoryview) -> None: ...
    def commit(self) -> int: ...
    def discard(self) -> None: ...


class Outcome(Protocol):
    """Is told what became of an object."""

    def stored(self, request: StoreRequest, number: int, length: int) -> None: ...
    def refused(self, request: StoreRequest, answer: Answer) -> None: ...


class Storing:
    """One object on its way into the spool."""

    def __init__(self, file: ObjectFile, request: StoreRequest, limits: StoreLimits, outcome: Outcome) -> None:
        self._file = file
        self._request = request
        self._limits = limits
        self._outcome = outcome
        self._refusal: Answer | None = None
        self._check_space_at = _CHECK_SPACE_EVERY

    def write(self, data: memoryview) -> None:
        if self._refusal is not None:
            return
        size = self._file.size + len(data)
        if size > self._limits.maximum_instance_bytes:
            self._refuse(_TOO_LARGE)
        elif self._is_short_of_space(size):
            self._refuse(_SPACE)
        else:
            try:
                self._file.write(data)
            except OSError as error:
                self._refuse(answer_to(error))

    def end(self) -> Answer:
        if self._refusal is None and self._file.size == 0:
            self._refuse(_NO_DATA_SET)
        if self._refusal is None:
            try:
                length = self._file.commit()
            except OSError as error:
                self._refuse(answer_to(error))
            else:
                self._outcome.stored(self._request, self._file.number, length)
        return self._refusal or _DONE

    def drop(self) -> None:
        self._file.discard()

    def _is_short_of_space(self, size: int) -> bool:
        """Looked at again and again while a large object comes."""
        if size < self._check_space_at:
            return False
        self._check_space_at = size + _CHECK_SPACE_EVERY
        return self._limits.below_watermark

    def _refuse(self, answer: Answer) -> None:
        self._refusal = answer
        self._file.discard()
        self._outcome.refused(self._request, answer)
