"""The spool's folders and names."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path

from her2node.dicom.uids import is_valid_uid
from her2node.spool.durable import FolderSync, make_folder, one_commit_holds_both, write_file
from her2node.spool.file_meta import Sender
from her2node.spool.incoming import AssociationFolder
from her2node.spool.recovery import Found, survey
from her2node.spool.sessions import LostSession, Session, holding

_ASSOCIATION_ID = re.compile(r"(\d{8}T\d{12})-([0-9a-f]{10})-\d{4,}")
_TIME = "%Y%m%dT%H%M%S%f"


class Spool:
    """A folder with ``incoming/<association>/<number>.dcm``, ``results/<edition>/<uid>.dcm`` and ``sessions/``."""

    def __init__(self, root: Path) -> None:
        self._incoming = root / "incoming"
        self._results = root / "results"
        self._marks = root / "sessions"
        for folder in (self._incoming, self._results, self._marks):
            make_folder(folder)
        self._names = None if one_commit_holds_both(self._incoming) else _folder_sync(self._incoming)
        self._counter = itertools.count(1)

    # incoming

    def open_session(self) -> Session:
        """Mark that this process receives. To be called after a fork, not before."""
        return Session(self._marks)

    def open_association(self, session: Session, sender: Sender, opened_at: datetime) -> AssociationFolder:
        """A folder for a new association; its id sorts by time and tells its session."""
        stamp = opened_at.astimezone(UTC).strftime(_TIME)
        association_id = f"{stamp}-{session.session_id}-{next(self._counter):04d}"
        return AssociationFolder(association_id, self._incoming, self._names, sender)

    def path_of(self, association_id: str, number: int) -> Path:
        """Where an object lies. Raises ValueError for an id that this room did not make."""
        return self._folder_of(association_id) / f"{int(number)}.dcm"

    def free_bytes(self) -> int:
        """Free space for objects, as the file system grants it to this user."""
        status = os.statvfs(self._incoming)
        return status.f_bavail * status.f_frsize

    def remove_instance(self, association_id: str, number: int) -> None:
        """Remove an object. Nothing happens when it is gone."""
        self.path_of(association_id, number).unlink(missing_ok=True)

    def remove_empty_folders(self, before: datetime, limit: int) -> int:
        """Remove at most ``limit`` empty folders of associations opened ``before``; how many went.

        A few at a time: ext4 makes new files slowly where many were just removed.
        """
        removed = 0
        stamp = before.astimezone(UTC).strftime(_TIME)
        with os.scandir(self._incoming) as entries:
            for entry in entries:
                if removed >= limit:
                    break
                if entry.name < stamp:
                    with suppress(OSError):  # not empty
                        Path(entry).rmdir()
                        removed += 1
        return removed

    # after a crash

    def lost_sessions(self) -> Iterator[AbstractContextManager[LostSession | None]]:
        """Sessions whose process may have died, each to be held while it is put right."""
        for mark in sorted(self._marks.iterdir()):
            yield holding(mark)

    def associations_of(self, session_id: str) -> tuple[str, ...]:
        """The associations of a session, in the order in which they were opened."""
        found = (_ASSOCIATION_ID.fullmatch(path.name) for path in self._incoming.iterdir())
        return tuple(sorted(match[0] for match in found if match and match[2] == session_id))

    def survey(self, association_id: str, known: Collection[int]) -> Iterator[Found]:
        """Whole objects that are not ``known``; what was cut short is removed. Nobody may be writing there."""
        return survey(self._folder_of(association_id), known)

    def forget_if_empty(self, association_id: str) -> None:
        """Remove an association's folder if nothing is in it."""
        with suppress(OSError):
            self._folder_of(association_id).rmdir()

    # results

    def write_result(self, edition_id: int, name: str, content: bytes) -> Path:
        """Keep an object that the node made, atomically and durably; a repeat overwrites itself. Raises OSError."""
        path = self.result_path(edition_id, name)
        make_folder(path.parent)
        write_file(path, content)
        return path

    def result_path(self, edition_id: int, name: str) -> Path:
        """Where a result lies; ``name`` is its SOP Instance UID. Raises ValueError for what is no UID."""
        if not is_valid_uid(name):
            raise ValueError(f"{name!r} is no UID")
        return self._results / str(int(edition_id)) / f"{name}.dcm"

    def remove_results(self, edition_id: int) -> None:
        """Remove all results of an edition. Nothing happens when they are gone."""
        folder = self._results / str(int(edition_id))
        for path in folder.glob("*"):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()

    def _folder_of(self, association_id: str) -> Path:
        if not _ASSOCIATION_ID.fullmatch(association_id):
            raise ValueError(f"{association_id!r} is no association of this spool")
        return self._incoming / association_id


def _folder_sync(folder: Path) -> FolderSync:
    return FolderSync(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def opened_at(association_id: str) -> datetime:
    """When an association was opened, from its id. Raises ValueError for an id that this room did not make."""
    match = _ASSOCIATION_ID.fullmatch(association_id)
    if not match:
        raise ValueError(f"{association_id!r} is no association of this spool")
    return datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
