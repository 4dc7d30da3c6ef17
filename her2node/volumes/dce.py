"""A dynamic contrast-enhanced MR examination: signal over time on one grid, and the same slab at several flip angles.

Signal has no unit of its own; what turns it into a concentration is the spoiled gradient echo's repetition time and
flip angle, which stand beside it. What the header does not tell is None here, never a default: who needs it refuses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from her2node.dicom.attributes import moment, moment_of, text, texts
from her2node.dicom.codes import Unit
from her2node.dicom.diffusion import Content
from her2node.dicom.magnet import field_strength_t
from her2node.errors import MixedOrientations, OtherKindOfImage, RoleMissing
from her2node.selection.study import Series
from her2node.volumes.contrast import Contrast, contrast_of
from her2node.volumes.dynamic import CONTENT, DynamicStack, Seconds, dynamic_stack, on_common_times
from her2node.volumes.frames import Frame, need_grey
from her2node.volumes.mr import frames_of, holds_image, scaled, signal_scale
from her2node.volumes.regrid import resampled
from her2node.volumes.sequence import flip_angle, repetition_time, timing_of
from her2node.volumes.slices import decoded
from her2node.volumes.stack import Stack, stack
from her2node.volumes.volume import Bools, Floats, Geometry, SliceSource, Volume, same_grid


@dataclass(frozen=True)
class DceVolume:
    """Signal over time on one grid.

    ``voxels`` float32, shape (t, slices, rows, columns), in arbitrary units, at ``times_s`` (t,), seconds from the
    first time point; ``valid`` (slices, rows, columns) is False where any time point has no image.
    ``sources`` has one entry a time point and slice; ``clock`` names the attributes that told the times.
    ``field_strength_t`` is in tesla, gauss converted; ``notes`` say what was converted, inferred or resampled.
    """

    voxels: Floats = field(repr=False)
    valid: Bools = field(repr=False)
    times_s: Seconds = field(repr=False)
    geometry: Geometry
    series_uids: tuple[str, ...]
    sources: tuple[tuple[SliceSource, ...], ...] = field(repr=False)
    clock: str
    repetition_time_ms: float | None
    echo_time_ms: float | None
    flip_angle_deg: float | None
    field_strength_t: float | None
    contrast: Contrast
    notes: tuple[str, ...] = ()

    def volume(self, point: int) -> Volume:
        """The image of one time point."""
        uid = self.series_uids[point if len(self.series_uids) == len(self.times_s) else 0]
        return Volume(self.geometry, self.voxels[point], self.valid, Unit.ARBITRARY, uid, self.sources[point])


@dataclass(frozen=True)
class FlipAngleSeries:
    """The same slab at several flip angles, ascending, on the grid of a DceVolume, for T1.

    ``voxels`` float32, shape (n, slices, rows, columns), read-only, NaN where the slab has no image.
    """

    voxels: Floats = field(repr=False)
    flip_angles_deg: tuple[float, ...]
    repetition_time_ms: float
    series_uids: tuple[str, ...]
    notes: tuple[str, ...] = ()


def dynamic_stack_of(members: Sequence[Series], interval_s: float | None = None) -> DynamicStack:
    """The frames of an examination by time point and slice, from headers alone.

    ``interval_s``: seconds between time points, for images that nothing but a number orders. Raises OtherKindOfImage,
    NotCalibrated and what ``dynamic_stack`` raises.
    """
    frames = tuple(frame for series in members for frame in frames_of(series, Content.SIGNAL))
    if not frames:
        raise OtherKindOfImage("no image of the series is received signal")
    for frame in frames:
        signal_scale(frame)
        need_grey(frame)
    return dynamic_stack(frames, interval_s)


def build(found: DynamicStack) -> DceVolume:
    """The signal of an examination over time, decoded image by image into the one array that is kept.

    Raises PixelsUnreadable, InvalidAttribute or MissingAttribute for a repetition time, echo time, flip angle or field
    strength that is impossible or not one.
    """
    frames = [frame for point in found.frames for frame in point]
    timing = timing_of(frames)
    header = frames[0].header
    field_t, on_field = field_strength_t(header)
    begun = _begun(found.frames[0])
    contrast, on_contrast = contrast_of(header, begun and _on_the_wall(begun))
    voxels, valid = _decoded(found)
    shifted = on_common_times(found, voxels)
    valid.flags.writeable = False
    return DceVolume(
        voxels=voxels,
        valid=valid,
        times_s=found.times_s - found.times_s[0],
        geometry=found.geometry,
        series_uids=found.series_uids,
        sources=tuple(tuple(frame.source for frame in point) for point in found.frames),
        clock=found.clock,
        repetition_time_ms=timing.repetition_time_ms,
        echo_time_ms=timing.echo_time_ms,
        flip_angle_deg=timing.flip_angle_deg,
        field_strength_t=field_t,
        contrast=contrast,
        notes=(*on_field, *on_contrast, *contrast.words, *_on_times(found, shifted), *_on_sequence(frames)),
    )


def flip_angles(candidates: Sequence[Series], examination: DynamicStack) -> FlipAngleSeries:
    """The slab of some series at each of its flip angles, on the grid of the examination.

    Images of one flip angle are averaged; those of another grid are brought to this one by geometry. Images acquired
    when contrast may have come (after the first time point) are left out, and those of which no clock tells beside an
    examination that has one. Raises RoleMissing where fewer than two flip
    angles are left, MissingAttribute or InvalidAttribute for a flip angle or repetition time that is absent, impossible
    or not one, MixedOrientations (another frame of reference, or angles on different grids), and what ``stack`` and
    decoding raise.
    """
    onto, begun = examination.geometry, _begun(frame for point in examination.frames for frame in point)
    before, notes = _before(candidates, begun)
    slab = slab_of(before) if before else {}
    if len(slab) < 2:
        raise RoleMissing("; ".join(("T1 takes images of two flip angles before contrast", *notes)))
    time_ms = repetition_time([frame for stacks in slab.values() for one in stacks for frame in one.frames])
    geometry = next(iter(slab.values()))[0].geometry
    volumes = [_mean(stacks) for stacks in slab.values()]
    if same_grid(geometry, onto):
        voxels = np.stack(volumes)
    else:
        voxels = resampled(volumes, geometry, onto)
        notes = (*notes, "flip angles acquired on another grid, brought to that of the time series by geometry")
    voxels.flags.writeable = False
    uids = tuple(dict.fromkeys(series.series_instance_uid for series in before))
    return FlipAngleSeries(voxels, tuple(slab), time_ms, uids, notes)


def slab_of(members: Sequence[Series]) -> dict[float, list[Stack]]:
    """The stacks of each flip angle, ascending, all on one grid; from headers alone. Raises as ``flip_angles``."""
    by_angle: dict[float, dict[str, list[Frame]]] = defaultdict(lambda: defaultdict(list))
    for series in members:
        for frame in frames_of(series, Content.SIGNAL):
            need_grey(frame)
            by_angle[flip_angle(frame)][series.series_instance_uid].append(frame)
    slab = {angle: [stack(frames) for frames in by_angle[angle].values()] for angle in sorted(by_angle)}
    stacks = [one for several in slab.values() for one in several]
    if not stacks:
        raise OtherKindOfImage("no image of the series is received signal")
    if not all(same_grid(one.geometry, stacks[0].geometry) for one in stacks):
        raise MixedOrientations("the images of different flip angles do not lie on one grid")
    return slab


def _decoded(found: DynamicStack) -> tuple[Floats, Bools]:
    slices, rows, columns = found.geometry.shape
    voxels = np.empty((len(found.frames), slices, rows, columns), dtype=np.float32)
    valid = np.ones(found.geometry.shape, dtype=np.bool_)
    for index, frame, stored in decoded([frame for point in found.frames for frame in point]):
        when, where = divmod(index, slices)
        voxels[when, where] = scaled(stored, signal_scale(frame))
        valid[where] &= holds_image(stored, frame)
    return voxels, valid


def _mean(stacks: Sequence[Stack]) -> Floats:
    """The mean signal of some stacks on one grid, NaN where any of them has no image."""
    total = np.zeros(stacks[0].geometry.shape, dtype=np.float32)
    for one in stacks:
        for index, frame, stored in decoded(one.frames):
            total[index] += scaled(stored, signal_scale(frame))
            total[index][~holds_image(stored, frame)] = np.nan
    return total / np.float32(len(stacks))


def _before(candidates: Sequence[Series], begun: datetime | None) -> tuple[list[Series], tuple[str, ...]]:
    """The series acquired before contrast, as far as clocks tell, and what was left out or had to be believed.

    A series without a clock is believed only where the examination has none either (both are anonymised then): beside
    one that has, it may as well have been acquired after contrast.
    """
    before, notes = [], []
    for series in candidates:
        at, number = _begun(frames_of(series, Content.SIGNAL)), series.number
        unknown = f"no clock tells that flip angles of series {number} were acquired before contrast"
        if at is not None and begun is not None and _is_later(at, begun):
            notes.append(f"flip angles of series {number} left out: acquired after contrast may have come")
        elif at is None and begun is not None:
            notes.append(f"{unknown}, so they are left out")
        else:
            before.append(series)
            if begun is None:
                notes.append(unknown)
    return before, tuple(notes)


def _is_later(at: datetime, other: datetime) -> bool:
    """As moments where both state their zone, else by the clock on the scanner's wall: of one scanner some objects
    state it and others do not."""
    if at.tzinfo is None or other.tzinfo is None:
        return _on_the_wall(at) > _on_the_wall(other)
    return at > other


def _on_the_wall(at: datetime) -> datetime:
    return at.replace(tzinfo=None)


def _begun(frames: Iterable[Frame]) -> datetime | None:
    """When the earliest of some frames was acquired, as far as headers tell a time of day; without a zone where any of
    them states none."""
    found = [at for frame in frames if (at := _acquired(frame)) is not None]
    zoned = all(at.tzinfo is not None for at in found)
    return min(found if zoned else map(_on_the_wall, found), default=None)


def _acquired(frame: Frame) -> datetime | None:
    """With its zone only where that is stated."""
    header = frame.header
    own = text(frame.group("FrameContentSequence"), "FrameAcquisitionDateTime") if frame.number else ""
    day = "AcquisitionDate" if header.get("AcquisitionDate") else "StudyDate"
    timed = moment(header, day, "AcquisitionTime") if header.get("AcquisitionTime") else None
    whole = text(header, "AcquisitionDateTime")
    for at, words in ((moment_of(own, header), own), (timed, ""), (moment_of(whole, header), whole)):
        if at is not None:
            zoned = text(header, "TimezoneOffsetFromUTC") or words[-5:-4] in ("+", "-")
            return at if zoned else _on_the_wall(at)
    return None


def _on_times(found: DynamicStack, shifted: bool) -> tuple[str, ...]:
    said = [f"{len(found.times_s)} time points by {found.clock}"]
    if found.clock == " and ".join(CONTENT):
        said.append("ContentTime may be that of the reconstruction")
    if shifted:
        said.append("slices with times of their own, brought to common times by cubic splines")
    return tuple(said)


def _on_sequence(frames: Sequence[Frame]) -> tuple[str, ...]:
    prepared = "MP" in texts(frames[0].header, "SequenceVariant")
    return ("magnetisation is prepared: the signal of a spoiled gradient echo is an approximation",) if prepared else ()
