"""The stored values of slices, decoded with each object read once, and which of them mean that there is no image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from her2node.dicom.attributes import integer
from her2node.selection.study import Instance
from her2node.volumes.frames import Frame
from her2node.volumes.pixels import Stored, stored_frames


def decoded(frames: Sequence[Frame]) -> Iterator[tuple[int, Frame, Stored]]:
    """(index in ``frames``, frame, stored values), object by object, each object's frames in the order they are stored.

    Raises PixelsUnreadable.
    """
    by_object: dict[str, dict[int, list[tuple[int, Frame]]]] = defaultdict(lambda: defaultdict(list))
    for index, frame in enumerate(frames):
        by_object[frame.instance.identity.sop_instance_uid][(frame.number or 1) - 1].append((index, frame))
    for members in by_object.values():
        wanted = sorted(members)
        instance: Instance = members[wanted[0]][0][1].instance
        for place, stored in zip(wanted, stored_frames(instance.path, instance.header, wanted), strict=True):
            for index, frame in members[place]:
                yield index, frame, _cut(stored, frame)


def padding_of(frame: Frame) -> tuple[int, int] | None:
    """The stored values, both inclusive, that mean 'no image here' (PS3.3 C.7.5.1.1.2)."""
    value = integer(frame.header, "PixelPaddingValue")
    if value is None:
        return None
    limit = integer(frame.header, "PixelPaddingRangeLimit")
    ends = [_as_stored(end, frame) for end in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def _cut(stored: Stored, frame: Frame) -> Stored:
    if frame.tile is None:
        return stored
    row, column, plane = frame.tile.row, frame.tile.column, frame.tile.plane
    return stored[row : row + plane.rows, column : column + plane.columns]


def _as_stored(value: int, frame: Frame) -> int:
    """A padding value in the range of the stored values: some write it unsigned beside signed pixels."""
    bits = integer(frame.header, "BitsAllocated") or 16
    if integer(frame.header, "PixelRepresentation") == 1 and value >= 1 << (bits - 1):
        return value - (1 << bits)
    return value
