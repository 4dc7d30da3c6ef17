"""What the headers say of each frame, whichever way they say it.

A classic object is one frame and says everything at its top level. An enhanced one says it in functional groups: an
item for each frame, else a shared one (PS3.3 C.7.6.16). ``Frame.group`` hides the difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from her2node.dicom.attributes import integer, items, needed_integer, needed_numbers, numbers, text, texts
from her2node.errors import InvalidAttribute, NotCalibrated
from her2node.selection.study import Instance, Series
from her2node.volumes.volume import SliceSource

MAXIMUM_SIDE = 65_535
"""Rows and Columns are 16-bit (PS3.3 C.7.6.3)."""
MAXIMUM_FRAMES = 65_536
"""Frames of one object; a claim of more is refused before anything is counted out."""


@dataclass(frozen=True)
class Plane:
    """Where a frame lies. ``position_mm`` is the centre of its first voxel (LPS); ``along_row`` and ``along_column``
    are unit vectors for a step in column index and in row index; ``spacing_mm`` between rows, between columns."""

    position_mm: tuple[float, float, float]
    along_row: tuple[float, float, float]
    along_column: tuple[float, float, float]
    spacing_mm: tuple[float, float]
    rows: int
    columns: int


@dataclass(frozen=True)
class Tile:
    """The part of a frame that is a slice of its own: where it lies, and its first pixel in the frame."""

    plane: Plane
    row: int
    column: int


@dataclass(frozen=True)
class Frame:
    """One frame: ``number`` is 1-based in a multi-frame object and None in a classic one. ``shared`` and ``own`` are
    the functional groups of all frames and of this one. ``tile`` where the slice is only a part of what is stored."""

    instance: Instance
    number: int | None
    shared: Dataset | None = field(default=None, repr=False, compare=False)
    own: Dataset | None = field(default=None, repr=False, compare=False)
    tile: Tile | None = None

    @property
    def groups(self) -> tuple[Dataset, ...]:
        """The functional groups that hold for this frame, its own before those of all."""
        return tuple(groups for groups in (self.own, self.shared) if groups is not None)

    @property
    def header(self) -> Dataset:
        """The top level of the object."""
        return self.instance.header

    @property
    def source(self) -> SliceSource:
        identity = self.instance.identity
        return SliceSource(identity.sop_class_uid, identity.sop_instance_uid, self.number)

    def group(self, sequence: str) -> Dataset:
        """Where the attributes of the functional group ``sequence`` stand; empty when the group is absent."""
        if self.number is None:
            return self.header
        for groups in self.groups:
            found = items(groups, sequence)
            if found:
                return found[0]
        return Dataset()

    def image_type(self, sequence: str) -> tuple[str, ...]:
        """FrameType from the group ``sequence``, else ImageType; upper case."""
        own = texts(self.group(sequence), "FrameType") if self.number is not None else ()
        return tuple(value.upper() for value in own or texts(self.header, "ImageType"))


def frames_of(series: Series) -> tuple[Frame, ...]:
    """Every frame of every object of a series, in the order of the series. Raises InvalidAttribute."""
    return tuple(frame for instance in series.instances for frame in frames_in(instance))


def frames_in(instance: Instance) -> tuple[Frame, ...]:
    """The frames of one object.

    Raises InvalidAttribute where NumberOfFrames does not match the functional groups: a claim is believed only as far
    as headers for it are there.
    """
    own = items(instance.header, "PerFrameFunctionalGroupsSequence")
    claimed = integer(instance.header, "NumberOfFrames")
    if not own:
        if claimed is not None and claimed != 1:
            raise InvalidAttribute(f"NumberOfFrames holds {claimed} but there are no per-frame functional groups")
        shared = items(instance.header, "SharedFunctionalGroupsSequence")
        return (Frame(instance, 1, shared[0], None),) if shared else (Frame(instance, None),)
    if claimed != len(own) or claimed > MAXIMUM_FRAMES:
        raise InvalidAttribute(f"NumberOfFrames holds {claimed}, per-frame functional groups {len(own)}")
    shared = items(instance.header, "SharedFunctionalGroupsSequence")
    numbered = instance.frames or range(1, len(own) + 1)
    return tuple(
        Frame(instance, n, shared[0] if shared else None, groups) for n, groups in zip(numbered, own, strict=True)
    )


def plane_of(frame: Frame) -> Plane:
    """Where a frame lies. Raises MissingAttribute and InvalidAttribute, naming the keyword."""
    if frame.tile is not None:
        return frame.tile.plane
    along_row, along_column = _directions(frame)
    x, y, z = needed_numbers(frame.group("PlanePositionSequence"), "ImagePositionPatient", 3)
    if max(abs(x), abs(y), abs(z)) > 1e6:
        raise InvalidAttribute(f"ImagePositionPatient holds {x, y, z}, which is no place in a patient")
    rows, columns = size_of(frame)
    return Plane((x, y, z), along_row, along_column, _spacing(frame), rows, columns)


def size_of(frame: Frame) -> tuple[int, int]:
    """Rows and Columns. Raises MissingAttribute and InvalidAttribute."""
    rows, columns = needed_integer(frame.header, "Rows"), needed_integer(frame.header, "Columns")
    if not (0 < rows <= MAXIMUM_SIDE and 0 < columns <= MAXIMUM_SIDE):
        raise InvalidAttribute(f"Rows x Columns holds {rows} x {columns}")
    return rows, columns


def need_grey(frame: Frame) -> None:
    """Raises NotCalibrated for a colour image."""
    samples = integer(frame.header, "SamplesPerPixel")
    if samples not in (1, None) or not text(frame.header, "PhotometricInterpretation").startswith("MONOCHROME"):
        raise NotCalibrated("a colour image")


def thickness_mm(frame: Frame) -> float | None:
    """SliceThickness where it is a positive number. Only for the extent of a frame that has no neighbour."""
    found = numbers(frame.group("PixelMeasuresSequence"), "SliceThickness")
    return found[0] if len(found) == 1 and found[0] > 0 else None


def _spacing(frame: Frame) -> tuple[float, float]:
    measures = frame.group("PixelMeasuresSequence")
    between_rows, between_columns = needed_numbers(measures, "PixelSpacing", 2)
    if not (1e-4 < between_rows < 1e3 and 1e-4 < between_columns < 1e3):
        raise InvalidAttribute(f"PixelSpacing holds {between_rows, between_columns} mm")
    return between_rows, between_columns


def _directions(frame: Frame) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    a = needed_numbers(frame.group("PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    along_row, along_column = _unit(a[:3]), _unit(a[3:])
    if along_row is None or along_column is None or abs(_dot(along_row, along_column)) > 1e-3:
        raise InvalidAttribute(f"ImageOrientationPatient holds {a}, no two perpendicular unit vectors")
    return along_row, _square(along_column, along_row)


def _unit(vector: tuple[float, ...]) -> tuple[float, float, float] | None:
    """The vector at length 1 when it is nearly that already (headers round), else None."""
    length = math.sqrt(_dot(vector, vector))
    if abs(length - 1) > 1e-2:
        return None
    x, y, z = vector
    return x / length, y / length, z / length


def _square(vector: tuple[float, float, float], to: tuple[float, float, float]) -> tuple[float, float, float]:
    """``vector`` made exactly perpendicular to the unit vector ``to``, at length 1: headers round."""
    along = _dot(vector, to)
    x, y, z = (v - along * t for v, t in zip(vector, to, strict=True))
    length = math.sqrt(x * x + y * y + z * z)
    return x / length, y / length, z / length


def _dot(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
