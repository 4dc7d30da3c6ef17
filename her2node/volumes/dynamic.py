"""Frames of many time points at the same places: one grid, and a time for each.

Whatever the layout (one series with temporal tags, a series a time point, an enhanced object, a table that toggles
between two positions) the frames are grouped by place and ordered by the clock. Knows places and times, no modality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from her2node.dicom.attributes import integer, moment, number, timestamp
from her2node.dicom.codes import Code
from her2node.dicom.private import PrivateTag, private_items, private_numbers
from her2node.errors import (
    DuplicateSlices,
    IncompleteTimePoints,
    InvalidAttribute,
    MixedOrientations,
    NoTimes,
    TooFewTimePoints,
)
from her2node.volumes.frames import Frame, plane_of
from her2node.volumes.stack import MAXIMUM_VOXELS, PLACE_TOLERANCE_MM, SAME_DIRECTION, stack
from her2node.volumes.volume import Bools, Floats, Geometry, SliceSource

FEWEST_TIME_POINTS = 3
"""Fewer are phases and no time series."""
SAME_TIME_S = 0.05
"""Slices of one time point that differ by less were acquired together."""

PHILIPS_BEGIN = PrivateTag("Philips MR Imaging DD 001", 0x2005, 0xA0, "FL")
PHILIPS_PER_FRAME = PrivateTag("Philips MR Imaging DD 005", 0x2005, 0x0F, "text")
"""The private group of a frame of an enhanced object."""

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DynamicStack:
    """Frames by time point and slice, from headers alone.

    ``times_s`` (t,) from the first image on, the mean over the slices; ``own_times_s`` (t, slices) those of each slice,
    on the same clock; ``clock`` names the attributes that told them.
    """

    geometry: Geometry
    times_s: Seconds = field(repr=False)
    own_times_s: Seconds = field(repr=False)
    frames: tuple[tuple[Frame, ...], ...] = field(repr=False)
    clock: str

    @property
    def series_uids(self) -> tuple[str, ...]:
        """The series in the order in which they begin."""
        frames = (frame for point in self.frames for frame in point)
        return tuple(dict.fromkeys(frame.instance.identity.series_instance_uid for frame in frames))

    @property
    def together(self) -> bool:
        """Whether all slices of every time point were acquired at one time."""
        return bool(np.abs(self.own_times_s - self.times_s[:, np.newaxis]).max() <= SAME_TIME_S)


@dataclass(frozen=True)
class Dynamic:
    """Calibrated voxels over time.

    ``voxels`` float32, shape (t, slices, rows, columns), on the common times ``times_s`` (t,); ``valid`` (slices, rows,
    columns) is False where any time point has no image; ``sources`` has one entry a time point and slice. With
    ``resampled`` the slices had times of their own and were brought to the common ones by cubic splines. ``series_of``
    names the series of each time point (that of its first slice).
    """

    geometry: Geometry
    times_s: Seconds = field(repr=False)
    voxels: Floats = field(repr=False)
    valid: Bools = field(repr=False)
    unit: Code
    sources: tuple[tuple[SliceSource, ...], ...] = field(repr=False)
    series_uids: tuple[str, ...]
    series_of: tuple[str, ...] = field(repr=False)
    clock: str
    resampled: bool = False

    @property
    def is_series_a_point(self) -> bool:
        """Whether each time point is a series of its own; ``series_uids`` are in the order of time then."""
        return len(self.series_uids) == len(self.times_s)


def dynamic_stack(frames: Sequence[Frame], interval_s: float | None = None) -> DynamicStack:
    """Group frames by place, and order those of each place in time.

    ``interval_s``, else TemporalResolution, stands for a clock where there is none but an order (TemporalPositionIndex,
    AcquisitionNumber, InstanceNumber). Raises
    TooFewTimePoints, IncompleteTimePoints, NoTimes, DuplicateSlices, MixedOrientations and whatever ``stack`` raises.
    """
    places = _by_place(frames)
    counts = sorted({len(members) for members in places})
    if counts[-1] < FEWEST_TIME_POINTS:
        raise TooFewTimePoints(f"{counts[-1]} at each place, {FEWEST_TIME_POINTS} needed")
    if len(counts) > 1:
        lacking = sum(len(members) < counts[-1] for members in places)
        raise IncompleteTimePoints(f"{counts[-1]} time points, fewer at {lacking} of {len(places)} places")
    if len(frames) * np.prod([plane_of(frames[0]).rows, plane_of(frames[0]).columns]) > MAXIMUM_VOXELS:
        raise InvalidAttribute(f"{len(frames)} frames are more voxels than this node takes")
    clock, seconds = _clock(places, interval_s)
    ordered = [sorted(members, key=lambda frame: seconds[_key(frame)]) for members in places]
    points = tuple(zip(*ordered, strict=True))
    own = np.array([[seconds[_key(frame)] for frame in point] for point in points])
    _need_order(own)
    own -= own.min()
    return DynamicStack(_geometry(points), own.mean(axis=1), own, points, clock)


def on_common_times(found: DynamicStack, voxels: Floats) -> bool:
    """Bring slices with times of their own to the common ones, in place; whether there was anything to do.

    ``voxels`` (t, slices, rows, columns). Cubic splines, level beyond the first and last image of a slice.
    """
    if found.together:
        return False
    for place, own in enumerate(found.own_times_s.T):
        wanted = np.clip(found.times_s, own[0], own[-1])
        weights = CubicSpline(own, np.eye(len(own)), bc_type="natural")(wanted).astype(np.float32)
        voxels[:, place] = np.tensordot(weights, voxels[:, place], axes=1)
    return True


def _by_place(frames: Sequence[Frame]) -> list[list[Frame]]:
    """The frames at each place along the normal, ascending. Raises MixedOrientations."""
    planes = [plane_of(frame) for frame in frames]
    first = np.array([*planes[0].along_row, *planes[0].along_column])
    if any(np.abs([*plane.along_row, *plane.along_column] - first).max() > SAME_DIRECTION for plane in planes):
        raise MixedOrientations("the time points differ in orientation")
    along = np.array([plane.position_mm for plane in planes]) @ np.cross(first[:3], first[3:])
    places: list[list[Frame]] = []
    last = -np.inf
    for index in np.argsort(along, kind="stable"):
        if along[index] - last > PLACE_TOLERANCE_MM:
            places.append([])
            last = float(along[index])
        places[-1].append(frames[index])
    return places


_Key = tuple[str, int | None]


def _key(frame: Frame) -> _Key:
    return frame.instance.identity.sop_instance_uid, frame.number


def _clock(places: Sequence[Sequence[Frame]], interval_s: float | None) -> tuple[str, dict[_Key, float]]:
    """The first clock that tells all frames of every place apart, and its seconds."""
    for name, read in _CLOCKS:
        told = _read(places, read)
        if _tells_apart(places, told):
            return name, told
        if read is _milliseconds and (completed := _from_nought(places, told)):
            return f"{name}, 0 in the first image, which states none", completed
    step, whose = (interval_s, "a given interval") if interval_s else (_resolution(places), "TemporalResolution")
    if step and (ordered := _by_order(places, step)):
        return f"{ordered[0]} and {whose}", ordered[1]
    told = _read(places, _of_image(*CONTENT))
    if _tells_apart(places, told):
        return " and ".join(CONTENT), told
    raise NoTimes(f"of {len(places[0])} images at one place no attribute gives different times")


T = TypeVar("T", int, float)


def _read(places: Sequence[Sequence[Frame]], read: Callable[[Frame], T | None]) -> dict[_Key, T]:
    """What an attribute tells, of the frames of which it tells anything."""
    seen = {_key(frame): read(frame) for members in places for frame in members}
    return {key: value for key, value in seen.items() if value is not None}


def _from_nought(places: Sequence[Sequence[Frame]], told: dict[_Key, float]) -> dict[_Key, float]:
    """A clock that the first images alone do not state, for it is 0 there: all others begin one interval later. {}
    where that is not so."""
    firsts = [min(members, key=lambda frame: integer(frame.header, "InstanceNumber") or 0) for members in places]
    nought = {_key(frame): 0.0 for frame in firsts}
    if len(nought) + len(told) != sum(map(len, places)) or nought.keys() & told.keys():
        return {}
    for members, first in zip(places, firsts, strict=True):
        one, other = sorted(told[_key(frame)] for frame in members if frame is not first)[:2]
        if not 0.99 * one <= other - one <= 1.01 * one:
            return {}
    completed = nought | told
    return completed if _tells_apart(places, completed) else {}


def _by_order(places: Sequence[Sequence[Frame]], step_s: float) -> tuple[str, dict[_Key, float]] | None:
    """The first number that orders the frames of every place, and their seconds at even steps. Raises
    IncompleteTimePoints where numbers are left out: then a time point may be, too."""
    for name, read in _ORDERS:
        order = _read(places, read)
        if not _tells_apart(places, order):
            continue
        seconds: dict[_Key, float] = {}
        for members in places:
            ranked = sorted(members, key=lambda frame: order[_key(frame)])
            numbers = [order[_key(frame)] for frame in ranked]
            if len({after - before for before, after in pairwise(numbers)}) > 1:
                raise IncompleteTimePoints(f"only {name} orders the images of one place, and it has gaps")
            seconds.update({_key(frame): step_s * rank for rank, frame in enumerate(ranked)})
        return name, seconds
    return None


def _resolution(places: Sequence[Sequence[Frame]]) -> float | None:
    """TemporalResolution in seconds, where all images state the same."""
    stated = {number(frame.header, "TemporalResolution") for members in places for frame in members}
    one = stated.pop() if len(stated) == 1 else None
    return one / 1000 if one and one > 0 else None


def _tells_apart(places: Sequence[Sequence[Frame]], told: Mapping[_Key, float]) -> bool:
    return all(
        len({told[_key(frame)] for frame in members if _key(frame) in told}) == len(members) for members in places
    )


def _need_order(own: Seconds) -> None:
    """A time point must be over at all places before the next begins: else places lack different time points."""
    if (own[:-1].max(axis=1) >= own[1:].min(axis=1)).any():
        late = int(np.argmax(own[:-1].max(axis=1) >= own[1:].min(axis=1))) + 1
        raise IncompleteTimePoints(f"from time point {late} on the places are not acquired in turn")


def _geometry(points: Sequence[Sequence[Frame]]) -> Geometry:
    """The grid that all time points share."""
    first = stack(points[0])
    uids = [frame.source for frame in first.frames]
    if uids != [frame.source for frame in points[0]]:
        raise DuplicateSlices("slices of one time point lie at one place")
    for point in points[1:]:
        other = stack(point).geometry
        same = np.allclose(first.geometry.origin_mm, other.origin_mm, atol=PLACE_TOLERANCE_MM)
        if not same or (first.geometry.shape, first.geometry.frame_of_reference_uid) != (
            other.shape,
            other.frame_of_reference_uid,
        ):
            raise MixedOrientations("the time points do not lie on one grid")
    return first.geometry


# --- clocks ------------------------------------------------------------------------------------------------------


def _seconds(when: datetime | None) -> float | None:
    return None if when is None else when.timestamp()


def _of_frame(keyword: str) -> Callable[[Frame], float | None]:
    return lambda frame: _seconds(timestamp(frame.group("FrameContentSequence"), keyword)) if frame.number else None


def _of_image(date: str, time: str) -> Callable[[Frame], float | None]:
    return lambda frame: _seconds(moment(frame.header, date, time)) if frame.header.get(time) else None


def _milliseconds(frame: Frame) -> float | None:
    found = number(frame.header, "TriggerTime")
    return None if found is None else found / 1000


def _offset(frame: Frame) -> float | None:
    return number(frame.group("TemporalPositionSequence"), "TemporalPositionTimeOffset") if frame.number else None


def _philips(frame: Frame) -> float | None:
    """When the dynamic scan of the image began, in seconds."""
    nested = [item for groups in frame.groups for item in private_items(groups, PHILIPS_PER_FRAME)]
    found = (private_numbers(place, PHILIPS_BEGIN) for place in (*nested, frame.header))
    return next((told[0] for told in found if told), None)


def _position(frame: Frame) -> int | None:
    place = integer(frame.group("FrameContentSequence"), "TemporalPositionIndex") if frame.number else None
    return integer(frame.header, "TemporalPositionIdentifier") if place is None else place


def _resolved(frame: Frame) -> float | None:
    place, step = _position(frame), number(frame.header, "TemporalResolution")
    return None if place is None or not step else place * step / 1000


_CLOCKS: tuple[tuple[str, Callable[[Frame], float | None]], ...] = (
    ("FrameReferenceDateTime", _of_frame("FrameReferenceDateTime")),
    ("FrameAcquisitionDateTime", _of_frame("FrameAcquisitionDateTime")),
    ("TemporalPositionTimeOffset", _offset),
    ("AcquisitionDateTime", lambda frame: _seconds(timestamp(frame.header, "AcquisitionDateTime"))),
    ("AcquisitionDate and AcquisitionTime", _of_image("AcquisitionDate", "AcquisitionTime")),
    ("AcquisitionTime", _of_image("StudyDate", "AcquisitionTime")),
    ("TriggerTime", _milliseconds),
    (f"Philips {PHILIPS_BEGIN}", _philips),
    ("TemporalPositionIdentifier and TemporalResolution", _resolved),
)
"""In order of trust."""
CONTENT = ("ContentDate", "ContentTime")
"""Trusted last: it may be that of the reconstruction."""
_ORDERS: tuple[tuple[str, Callable[[Frame], int | None]], ...] = (
    ("TemporalPositionIndex", _position),
    ("AcquisitionNumber", lambda frame: integer(frame.header, "AcquisitionNumber")),
    ("InstanceNumber", lambda frame: integer(frame.header, "InstanceNumber")),
)
