"""What an MR header says of the pulse sequence; what it does not say is None, never a default.

A value that cannot be right is refused by its keyword: nothing that is calculated with it could be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from her2node.dicom.attributes import number
from her2node.errors import InvalidAttribute, MissingAttribute
from her2node.volumes.frames import Frame

_PLACES = {
    "RepetitionTime": ("MRTimingAndRelatedParametersSequence", "RepetitionTime", 0.5, 60_000.0, "ms"),
    "FlipAngle": ("MRTimingAndRelatedParametersSequence", "FlipAngle", 0.1, 90.0, "degrees"),
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime", 0.01, 1_000.0, "ms"),
}
"""Keyword -> functional group, its keyword there, and what values are possible in a spoiled gradient echo. A repetition
time of 0.005 is one in seconds, and a flip angle of 0.5 one in radians or of nothing: neither is guessed at."""
_SAME = 1e-3
"""Relative difference up to which values of two images are one: headers round."""


@dataclass(frozen=True)
class Timing:
    """Repetition and echo time in ms and flip angle in degrees, common to all frames; None where none states it."""

    repetition_time_ms: float | None
    echo_time_ms: float | None
    flip_angle_deg: float | None


def timing_of(frames: Sequence[Frame]) -> Timing:
    """Raises InvalidAttribute where a value is impossible or differs between frames, MissingAttribute where some frames
    state it and others do not."""
    return Timing(*(_common(frames, keyword) for keyword in ("RepetitionTime", "EchoTime", "FlipAngle")))


def repetition_time(frames: Sequence[Frame]) -> float:
    """The repetition time of all frames in ms. Raises MissingAttribute, InvalidAttribute."""
    found = _common(frames, "RepetitionTime")
    if found is None:
        raise MissingAttribute("RepetitionTime")
    return found


def flip_angle(frame: Frame) -> float:
    """The flip angle of one frame in degrees. Raises MissingAttribute, InvalidAttribute."""
    found = _stated(frame, "FlipAngle")
    if found is None:
        raise MissingAttribute("FlipAngle")
    return found


def _common(frames: Sequence[Frame], keyword: str) -> float | None:
    stated = [_stated(frame, keyword) for frame in frames]
    told = [value for value in stated if value is not None]
    if not told:
        return None
    if len(told) < len(stated):
        raise MissingAttribute(f"{keyword} of {len(stated) - len(told)} of {len(stated)} images")
    if max(told) - min(told) > _SAME * max(told):
        raise InvalidAttribute(f"{keyword} goes from {min(told):g} to {max(told):g} {_PLACES[keyword][-1]}")
    return told[0]


def _stated(frame: Frame, keyword: str) -> float | None:
    sequence, in_group, lowest, highest, unit = _PLACES[keyword]
    found = number(frame.group(sequence), in_group) if frame.number else None
    value = number(frame.header, keyword) if found is None else found
    if value is not None and not lowest <= value <= highest:
        raise InvalidAttribute(f"{keyword} holds {value:g} {unit}")
    return value
