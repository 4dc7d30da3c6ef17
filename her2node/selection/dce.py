"""Which MR series are dynamic and contrast-enhanced, and which show the same slab at several flip angles for T1.

Both are spoiled gradient echoes. A dynamic examination is many time points at the same places: in one series, or a
series a time point. Echo-planar time series (function, labelling, susceptibility), balanced cines and images of one
heart beat are something else.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

from pydicom.dataset import Dataset

from her2node.dicom.attributes import integer, items, number, text, texts
from her2node.selection.dynamic import FEWEST_TIME_POINTS, SHORTEST_SECONDS, TimePoints
from her2node.selection.extent import along_normal
from her2node.selection.study import Instance, Series
from her2node.selection.witnesses import acquired

FEWEST_NAMED = 4
"""Time points of a series that is named dynamic, or whose header speaks of a contrast agent."""
LONGEST_ECHO_MS = 15.0
"""At longer echo times contrast darkens: the image is weighted by T2*."""
SHORTEST_PAUSE_S, PAUSE = 60.0, 5.0
"""Before a time series begins: so long, and so many times its interval."""
_ROUNDING_MM = 0.1
_NAMED = re.compile(
    r"(?<![a-z])(?:dce|dyn\w*|twist\w*|tricks?|lava|vibe|thrive|ethrive|disco|perf\w*|multi[ _-]?phase)(?![a-z])"
    r"|动态|動態|灌注|多期",
    re.IGNORECASE,
)
_CALCULATED = frozenset(
    {"SUB", "SUBTRACT", "SUBTRACTION", "MIP", "MPR", "MINIP", "PROJECTION IMAGE", "CSA MPR", "SECONDARY", "REFORMATTED"}
)
_SUBTRACTED = re.compile(r"(?<![a-z])(?:sub\w*|mip|tw?ist[ _]?mip)(?![a-z])|减影|減影", re.IGNORECASE)

_Key = tuple[object, ...]


def dynamic_words(series: Series) -> str:
    """Why a series is a whole dynamic examination, or ''."""
    if not is_spoiled_echo(series):
        return ""
    found = time_points((series,))
    return found.words if _is_dynamic(found, (series,)) else ""


def series_a_point(candidates: Sequence[Series]) -> tuple[tuple[Series, ...], ...]:
    """Of series that each cover the same places once, acquired alike, those that are time points of one examination."""
    groups: dict[_Key, list[Series]] = defaultdict(list)
    for one in candidates:
        places = Counter(_places(one))
        if is_spoiled_echo(one) and places and set(places.values()) == {1}:
            groups[_likeness(one)].append(one)
    found = (_after_pause(group) for group in groups.values())
    return tuple(tuple(group) for group in found if _are_time_points(group))


def examinations(series: Sequence[Series]) -> tuple[tuple[Series, ...], ...]:
    """Dynamic series by examination: those acquired alike at the same places belong together."""
    groups: dict[_Key, list[Series]] = defaultdict(list)
    for one in series:
        groups[_likeness(one)].append(one)
    return tuple(map(tuple, groups.values()))


def flip_angle_sets(candidates: Sequence[Series]) -> tuple[tuple[Series, ...], ...]:
    """Series that show one slab at two flip angles or more, alike in all else; the set of most angles first."""
    groups: dict[_Key, list[Series]] = defaultdict(list)
    for one in candidates:
        if is_spoiled_echo(one):
            groups[_likeness(one, angle=False)].append(one)
    found = [group for group in groups.values() if len(angles_of(group)) > 1]
    return tuple(tuple(group) for group in sorted(found, key=lambda group: -len(angles_of(group))))


def angles_of(series: Sequence[Series]) -> tuple[float, ...]:
    """The flip angles that the images of some series state, in degrees, ascending."""
    stated = (angle for one in series for instance in one.instances for angle in _stated(instance.header))
    return tuple(sorted({angle for angle in stated if angle is not None}))


def is_spoiled_echo(series: Series) -> bool:
    """Whether nothing in the headers speaks against an original image of a spoiled gradient echo."""
    header = series.first
    sequences, variants = set(texts(header, "ScanningSequence")), set(texts(header, "SequenceVariant"))
    kinds = {word.upper() for word in texts(header, "ImageType")}
    if kinds & _CALCULATED or ("DERIVED" in kinds and _SUBTRACTED.search(series.description)):
        return False
    if "EP" in sequences or (sequences & {"SE", "IR"} and "GR" not in sequences):
        return False
    if text(header, "EchoPlanarPulseSequence") == "YES" or text(header, "EchoPulseSequence") == "SPIN":
        return False
    if "SS" in variants and "SP" not in variants:
        return False
    echo = number(header, "EchoTime")
    return echo is None or echo <= LONGEST_ECHO_MS


def time_points(series: Sequence[Series]) -> TimePoints:
    """Images by place, and the seconds that those of one place span: cines go around the heart at each place anew."""
    clocks: tuple[Callable[[Instance], list[float]], ...] = (_acquired, _triggered)
    places = [place for one in series for place in _places(one)]
    spans = [span for clock in clocks if (span := _span(series, clock))]
    return TimePoints(len(set(places)), len(places), max(spans, default=None))


def _is_dynamic(found: TimePoints, series: Sequence[Series]) -> bool:
    named = any(_NAMED.search(one.description) or text(one.first, "ContrastBolusAgent") for one in series)
    fewest = FEWEST_NAMED if named else FEWEST_TIME_POINTS
    return found.count >= fewest and (found.seconds is None or found.seconds >= SHORTEST_SECONDS)


def _are_time_points(group: Sequence[Series]) -> bool:
    """Enough of them, and no two acquired at one time."""
    begins = [min(times, default=None) for one in group for times in [acquired(one.first)]]
    return _is_dynamic(time_points(group), group) and None not in begins and len(set(begins)) == len(begins)


def _after_pause(group: Sequence[Series]) -> list[Series]:
    """Without what was acquired alike a while before: images for T1 at the flip angle of the time points to come. Of a
    handful of phases, which no T1 is needed for, it is the one before contrast and stays."""
    begins = sorted(min(times) for one in group if (times := acquired(one.first)))
    gaps = [after - before for before, after in pairwise(begins)]
    if len(begins) < len(group) or not gaps:
        return list(group)
    longest = max(SHORTEST_PAUSE_S, PAUSE * sorted(gaps)[len(gaps) // 2])
    early = [before for before, gap in zip(begins[: len(gaps) // 2], gaps, strict=False) if gap > longest]
    later = [one for one in group if not early or min(acquired(one.first)) > early[-1]]
    return later if time_points(later).count >= FEWEST_TIME_POINTS else list(group)


def _span(series: Sequence[Series], clock: Callable[[Instance], list[float]]) -> float:
    """The seconds that the images of one place span by a clock, at the place where they span most; 0: it does not
    tell."""
    times: dict[int, list[float]] = defaultdict(list)
    for instance in (instance for one in series for instance in one.instances):
        places, told = _places_of(instance), clock(instance)
        if len(told) == len(places):
            for place, when in zip(places, told, strict=True):
                times[place].append(when)
    return max((max(told) - min(told) for told in times.values()), default=0.0)


def _acquired(instance: Instance) -> list[float]:
    found = acquired(instance.header)
    return found if items(instance.header, "PerFrameFunctionalGroupsSequence") else found[:1]


def _triggered(instance: Instance) -> list[float]:
    found = number(instance.header, "TriggerTime")
    return [] if found is None else [found / 1000]


def _stated(header: Dataset) -> list[float | None]:
    """The flip angle of the image, or of every frame of an enhanced object."""
    own = items(header, "PerFrameFunctionalGroupsSequence")
    if not own:
        return [number(header, "FlipAngle")]
    shared = next(iter(items(header, "SharedFunctionalGroupsSequence")), Dataset())
    return [_in_group(frame, shared) for frame in own]


def _in_group(frame: Dataset, shared: Dataset) -> float | None:
    group = items(frame, "MRTimingAndRelatedParametersSequence") or items(
        shared, "MRTimingAndRelatedParametersSequence"
    )
    return number(group[0], "FlipAngle") if group else None


def _likeness(series: Series, *, angle: bool = True) -> _Key:
    """What two series of one examination have in common."""
    header = series.first
    return (
        text(header, "FrameOfReferenceUID"),
        integer(header, "Rows"),
        integer(header, "Columns"),
        *(text(header, keyword) for keyword in ("ImageType", "ScanningSequence", "SequenceName")),
        *(number(header, keyword) for keyword in ("RepetitionTime", "EchoTime")),
        number(header, "FlipAngle") if angle else None,
        tuple(sorted(set(_places(series)))),
    )


def _places(series: Series) -> list[int]:
    return [place for instance in series.instances for place in _places_of(instance)]


def _places_of(instance: Instance) -> list[int]:
    return [round(place / _ROUNDING_MM) for place in along_normal(instance.header)]
