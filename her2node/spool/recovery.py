"""What lies in an association's folder after its process died: whole objects, and what was cut short."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from her2node.errors import InstanceUnreadable
from her2node.spool import file_meta
from her2node.spool.file_meta import FileMeta


@dataclass(frozen=True)
class Found:
    """A whole object in the spool, with what its file meta group tells."""

    association_id: str
    number: int
    size: int
    received_at: datetime
    meta: FileMeta


def survey(folder: Path, known: Collection[int]) -> Iterator[Found]:
    """The whole objects in ``folder`` whose number is not ``known``, in their order.

    Objects that never got their last byte are removed: nobody was told that they are here. To be called only when
    nobody writes into the folder.
    """
    for part in folder.glob("*.part"):
        part.unlink(missing_ok=True)
    numbers = sorted(int(path.stem) for path in folder.glob("*.dcm") if path.stem.isdecimal())
    for number in numbers:
        if number in known:
            continue
        path = folder / f"{number}.dcm"
        found = _found(path, number)
        if found is None:
            path.unlink(missing_ok=True)
        else:
            yield found


def _found(path: Path, number: int) -> Found | None:
    """The object in ``path``, or None when it was cut short."""
    status = path.stat()
    try:
        with path.open("rb") as file:
            meta = file_meta.decode(file)
    except InstanceUnreadable:
        return None
    if meta.length != status.st_size:
        return None
    received_at = datetime.fromtimestamp(status.st_mtime, UTC)
    return Found(path.parent.name, number, status.st_size, received_at, meta)
