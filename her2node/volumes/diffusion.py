"""A diffusion examination: the signal at each of its b-values on one grid.

The images of one b-value become one image so: where the scanner made a trace image, that is taken as it is and
directional images beside it are left out; else the repetitions of each direction are averaged and the geometric mean
over the directions is taken, which is the trace for directions that are spread evenly. Repetitions of a trace image, of
b 0, and of images whose header tells no direction are averaged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from her2node.dicom.attributes import number, text
from her2node.dicom.codes import Unit
from her2node.dicom.diffusion import Content, Encoding, Weighting, b_value_tags, encoding_of, same_shell
from her2node.errors import MissingAttribute, MissingSlices, MixedOrientations, OtherKindOfImage
from her2node.selection.study import Series
from her2node.volumes.frames import Frame, need_grey, plane_of
from her2node.volumes.mr import frames_of, holds_image, scaled, signal_scale
from her2node.volumes.slices import decoded
from her2node.volumes.stack import SAME_PLACE_MM, Stack, stack
from her2node.volumes.volume import Bools, Floats, Geometry, SliceSource, Volume, same_grid


@dataclass(frozen=True)
class Shell:
    """The images of one b-value. ``directions``: for each direction its repetitions, each a whole stack. ``words``
    says what was combined."""

    b: float
    directions: tuple[tuple[Stack, ...], ...] = field(repr=False)
    words: str

    @property
    def first(self) -> Stack:
        return self.directions[0][0]

    @property
    def series_uids(self) -> tuple[str, ...]:
        """Every series that it was read from, that of ``first`` first."""
        frames = (frame for direction in self.directions for repeated in direction for frame in repeated.frames)
        return tuple(dict.fromkeys(frame.instance.identity.series_instance_uid for frame in frames))


@dataclass(frozen=True)
class DiffusionSeries:
    """Signal at ascending ``b_values`` (s/mm2), shape (b-values, slices, rows, columns), float32, read-only.

    ``sources``, ``series_uids`` and ``combined`` have one entry a b-value: the objects of its first image, every series
    that it was read from (that of the first image first), and what was combined to it.
    """

    b_values: tuple[float, ...]
    signal: Floats = field(repr=False)
    valid: Bools = field(repr=False)
    geometry: Geometry
    combined: tuple[str, ...]
    series_uids: tuple[tuple[str, ...], ...]
    sources: tuple[tuple[SliceSource, ...], ...] = field(repr=False)

    def volume(self, index: int) -> Volume:
        """The image of one b-value."""
        uid = self.series_uids[index][0]
        return Volume(self.geometry, self.signal[index], self.valid, Unit.ARBITRARY, uid, self.sources[index])


def b_values_of(series: Series) -> tuple[float, ...]:
    """The b-values of a series, ascending, from headers alone; raises as ``shells_of`` for headers that tell none."""
    return tuple(b for b, _ in _by_shell(_encoded(series)))


def echo_time_of(series: Series) -> float | None:
    """Echo time in ms of the first frame: signals of unlike echo times are not of one decay."""
    frame = next(iter(frames_of(series, Content.SIGNAL)), None)
    if frame is None:
        return None
    echo = number(frame.group("MREchoSequence"), "EffectiveEchoTime") if frame.number else None
    return echo if echo is not None else number(frame.header, "EchoTime")


def shells_of(members: Sequence[Series]) -> tuple[Shell, ...]:
    """The images of each b-value of some series, by ascending b, all on one grid; from headers alone.

    Raises MissingAttribute (no place states the b-value of an image), InvalidAttribute (it is none, or two places
    disagree), MixedOrientations, MissingSlices, OtherKindOfImage, NotCalibrated and what ``stack`` raises.
    """
    encoded = [pair for series in members for pair in _encoded(series)]
    shells = tuple(_shell(b, pairs) for b, pairs in _by_shell(encoded))
    for shell in shells:
        for repeated in (found for direction in shell.directions for found in direction):
            if not same_grid(repeated.geometry, shells[0].first.geometry):
                raise MixedOrientations(
                    f"the images of b {shell.b:g} lie on another grid than those of b {shells[0].b:g}"
                )
    return shells


def build(members: Sequence[Series]) -> DiffusionSeries:
    """The signal of some series, decoded image by image. Raises PixelsUnreadable and what ``shells_of`` raises."""
    shells = shells_of(members)
    geometry = shells[0].first.geometry
    signal = np.empty((len(shells), *geometry.shape), dtype=np.float32)
    valid = np.ones(geometry.shape, dtype=np.bool_)
    for index, shell in enumerate(shells):
        signal[index] = _combined(shell, valid)
    signal.flags.writeable = valid.flags.writeable = False
    return DiffusionSeries(
        b_values=tuple(shell.b for shell in shells),
        signal=signal,
        valid=valid,
        geometry=geometry,
        combined=tuple(shell.words for shell in shells),
        series_uids=tuple(shell.series_uids for shell in shells),
        sources=tuple(tuple(frame.source for frame in shell.first.frames) for shell in shells),
    )


def _encoded(series: Series) -> list[tuple[Frame, Encoding]]:
    """Every frame of signal with its weighting."""
    found: list[tuple[Frame, Encoding | None]] = [
        (frame, encoding_of(frame.header, frame.groups)) for frame in frames_of(series, Content.SIGNAL)
    ]
    if not found:
        raise OtherKindOfImage("no image of the series is received signal")
    if any(encoding for _, encoding in found) and _states_no_b0(series):
        found = [(frame, encoding or Encoding(0.0, Weighting.NONE, None, "none")) for frame, encoding in found]
    missing = sum(encoding is None for _, encoding in found)
    if missing:
        raise MissingAttribute(f"the b-value of {missing} of {len(found)} images, in none of {b_value_tags()}")
    return [(frame, encoding) for frame, encoding in found if encoding is not None]


def _states_no_b0(series: Series) -> bool:
    """Toshiba and Canon scanners state a b-value only beside a gradient."""
    return text(series.first, "Manufacturer").upper().startswith(("TOSHIBA", "CANON"))


def _by_shell(encoded: Sequence[tuple[Frame, Encoding]]) -> list[tuple[float, list[tuple[Frame, Encoding]]]]:
    """Frames by b-value, ascending; the median stands for values that are one."""
    shells: list[list[tuple[Frame, Encoding]]] = []
    for pair in sorted(encoded, key=lambda pair: pair[1].b):
        b, first = pair[1].b, shells[-1][0][1].b if shells else -1.0
        if shells and same_shell(first, b):
            shells[-1].append(pair)
        else:
            shells.append([pair])
    return [(float(np.median([encoding.b for _, encoding in shell])), shell) for shell in shells]


def _shell(b: float, pairs: Sequence[tuple[Frame, Encoding]]) -> Shell:
    kinds: dict[Weighting, list[tuple[Frame, Encoding]]] = defaultdict(list)
    for frame, encoding in pairs:
        kinds[encoding.weighting].append((frame, encoding))
    trace = kinds.get(Weighting.TRACE)
    if trace:
        repeated = _repetitions(b, [frame for frame, _ in trace])
        return Shell(b, (repeated,), _words("trace image", len(repeated)))
    directions: dict[object, list[Frame]] = defaultdict(list)
    for frame, encoding in pairs:
        directions[encoding.direction or encoding.numbered].append(frame)
    stacks = tuple(_repetitions(b, frames) for frames in directions.values())
    if Weighting.DIRECTIONAL in kinds:
        repetitions = max(len(found) for found in stacks)
        several = f"geometric mean of {len(stacks)} directions" if len(stacks) > 1 else "one direction"
        return Shell(b, stacks, _words(several, repetitions))
    return Shell(
        b, stacks, _words("b 0 image" if Weighting.NONE in kinds else "image of unsaid direction", len(stacks[0]))
    )


def _words(what: str, repetitions: int) -> str:
    return what if repetitions == 1 else f"{what}, {repetitions} repetitions averaged"


def _repetitions(b: float, frames: Sequence[Frame]) -> tuple[Stack, ...]:
    """Frames of one b-value and direction as whole stacks: the n-th image at each place belongs to the n-th."""
    places: dict[int, list[Frame]] = defaultdict(list)
    planes = [plane_of(frame) for frame in frames]
    normal = np.cross(planes[0].along_row, planes[0].along_column)
    along = np.array([plane.position_mm for plane in planes]) @ normal
    order = np.argsort(along, kind="stable")
    place = np.zeros(len(frames), dtype=np.intp)
    place[order] = np.concatenate(([0], np.cumsum(np.diff(along[order]) > SAME_PLACE_MM)))
    for index, frame in zip(place, frames, strict=True):
        places[int(index)].append(frame)
    counts = {len(found) for found in places.values()}
    if len(counts) > 1:
        raise MissingSlices(f"b {b:g} has from {min(counts)} to {max(counts)} images at one place")
    found = tuple(stack(layer, nameless=True) for layer in zip(*places.values(), strict=True))
    for frame in (frame for layer in found for frame in layer.frames):
        signal_scale(frame)
        need_grey(frame)
    return found


def _combined(shell: Shell, valid: Bools) -> Floats:
    """The geometric mean over directions of the mean over repetitions; ``valid`` loses what any image has no value for.

    A single direction is taken as it is.
    """
    if len(shell.directions) == 1:
        return _mean(shell.directions[0], valid).astype(np.float32)
    total = np.zeros(valid.shape, dtype=np.float64)
    with np.errstate(divide="ignore"):
        for direction in shell.directions:
            total += np.log(np.maximum(_mean(direction, valid), 0))
    return np.exp(total / len(shell.directions)).astype(np.float32)


def _mean(repetitions: Sequence[Stack], valid: Bools) -> npt.NDArray[np.float64]:
    total = np.zeros(valid.shape, dtype=np.float64)
    for index, values in _signals(repetitions, valid):
        total[index] += values
    return total / len(repetitions)


def _signals(repetitions: Sequence[Stack], valid: Bools) -> Iterator[tuple[int, Floats]]:
    for repeated in repetitions:
        for index, frame, stored in decoded(repeated.frames):
            valid[index] &= holds_image(stored, frame)
            yield index, scaled(stored, signal_scale(frame))
