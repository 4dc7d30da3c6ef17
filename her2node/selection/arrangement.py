"""Series as they were scanned: several phases in one series are taken apart, one phase in several is put together.

Judged from headers. What is not clearly several stacks, or clearly one, stays as it came. A part, or a whole made of
parts, is a ``Series`` under a UID derived from those that its objects bear.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from itertools import pairwise

from pydicom.uid import CTImageStorage

from her2node.dicom.attributes import number, numbers, text
from her2node.dicom.uids import derived_uid
from her2node.selection.spectral import spectral
from her2node.selection.study import Instance, Series, Study

MOST_PARTS = 6
"""More images than this at one place are a dynamic series, which is another matter."""
_TWICE = 0.8
"""Share of the places that must hold as many images as there are parts."""
_PAUSE_S = 8.0
"""Between the last image of one phase and the first of the next."""
_APART_S = 60.0
"""Two parts of one phase are not acquired farther apart."""
_DAY = 86_400.0

Key = Callable[[list[Instance]], list[str]]


def arranged(study: Study, keep: Collection[str] = ()) -> Study:
    """The study with its classic CT series split or joined as they were acquired; ``keep``: UIDs left as they came."""
    series = [part for one in study.series for part in ([one] if one.series_instance_uid in keep else split(one))]
    return replace(study, series=tuple(_joined(series, keep)))


def split(series: Series) -> list[Series]:
    """The parts of a series that holds 2 to 6 images at most places, else the series itself.

    Parts are told by the first of these that leaves each with one image a place: kernel, TemporalPositionIdentifier,
    AcquisitionNumber, pauses between acquisition times, the order of InstanceNumber. A dual-energy series stays whole:
    what it shows is told by words that no part would keep.
    """
    instances = list(series.instances)
    places = [_place(instance) for instance in instances]
    if not _is_classic(series) or None in places or spectral(series) is not None:
        return [series]
    held = Counter(places)
    count = max(held.values())
    if not 2 <= count <= MOST_PARTS or sum(held[place] == count for place in held) < _TWICE * len(held):
        return [series]
    for key in (_kernels, _tag("TemporalPositionIdentifier"), _tag("AcquisitionNumber"), _pauses, _repeats):
        parts = _grouped(instances, key(instances))
        if len(parts) == count and all(_once(part) for part in parts):
            return [_part(series, n, count, part) for n, part in enumerate(parts, start=1)]
    return [series]


def _is_classic(series: Series) -> bool:
    return {instance.identity.sop_class_uid for instance in series.instances} == {CTImageStorage}


def _place(instance: Instance) -> tuple[float, ...] | None:
    position = numbers(instance.header, "ImagePositionPatient")
    return tuple(round(value, 1) for value in position) if len(position) == 3 else None


def _once(part: Iterable[Instance]) -> bool:
    return max(Counter(map(_place, part)).values()) == 1


def _grouped(instances: list[Instance], keys: list[str]) -> list[list[Instance]]:
    """By key, in the order of the keys' first appearance."""
    found: dict[str, list[Instance]] = defaultdict(list)
    for instance, key in zip(instances, keys, strict=True):
        found[key].append(instance)
    return list(found.values())


def _kernels(instances: list[Instance]) -> list[str]:
    return [text(instance.header, "ConvolutionKernel") for instance in instances]


def _tag(keyword: str) -> Key:
    return lambda instances: [text(instance.header, keyword) for instance in instances]


def _pauses(instances: list[Instance]) -> list[str]:
    times = [_seconds(instance) for instance in instances]
    known = sorted({time for time in times if time is not None})
    begins = [time for before, time in pairwise(known) if time - before > _PAUSE_S]
    return ["" if time is None else str(sum(time >= begin for begin in begins)) for time in times]


def _repeats(instances: list[Instance]) -> list[str]:
    """How many images at the same place came before."""
    seen: Counter[tuple[float, ...] | None] = Counter()
    found = []
    for instance in instances:
        place = _place(instance)
        found.append(str(seen[place]))
        seen[place] += 1
    return found


def _seconds(instance: Instance) -> float | None:
    found = re.match(r"(\d{2})(\d{2})(\d{2}(?:\.\d*)?)", text(instance.header, "AcquisitionTime"))
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None


def _part(series: Series, place: int, count: int, instances: list[Instance]) -> Series:
    """``description`` is dropped: it was given to all parts and tells none from another."""
    uid = derived_uid("part of series", series.series_instance_uid, str(place), str(count))
    return replace(series, series_instance_uid=uid, description="", instances=tuple(instances))


def _joined(series: list[Series], keep: Collection[str]) -> list[Series]:
    """Series of which one continues another are one series, in the place of the first."""
    left = list(series)
    place = 0
    while place < len(left):
        follower = next((o for o in left[place + 1 :] if continues(left[place], o, keep)), None)
        if follower is None:
            place += 1
            continue
        left.remove(follower)
        left[place] = _whole(left[place], follower)
    return left


def _whole(one: Series, other: Series) -> Series:
    uid = derived_uid("series of parts", one.series_instance_uid, other.series_instance_uid)
    return replace(one, series_instance_uid=uid, instances=one.instances + other.instances)


def continues(one: Series, other: Series, keep: Collection[str] = ()) -> bool:
    """Whether two series are neighbouring parts of one acquisition: described, reconstructed and enhanced alike,
    acquired within a minute, on one grid, and the second begins one slice beyond the first's end."""
    if {one.series_instance_uid, other.series_instance_uid} & set(keep) or not (
        _is_classic(one) and _is_classic(other)
    ):
        return False
    if _likeness(one) != _likeness(other) or not _near_in_time(one, other):
        return False
    (low, high, step), (other_low, other_high, other_step) = _run(one), _run(other)
    if not step or abs(step - other_step) > 0.05:
        return False
    gap = min(abs(other_low - high), abs(low - other_high))
    apart = other_low > high or low > other_high
    return apart and abs(gap - step) <= 0.05 + 0.01 * step


def _likeness(series: Series) -> tuple[object, ...]:
    first = series.first
    texts = ("FrameOfReferenceUID", "ConvolutionKernel", "ContrastBolusAgent", "Rows", "Columns", "SliceThickness")
    position = numbers(first, "ImagePositionPatient")
    grid = tuple(round(v, 4) for k in ("ImageOrientationPatient", "PixelSpacing") for v in numbers(first, k))
    aside = _across(position, numbers(first, "ImageOrientationPatient"))
    return (series.description, text(first, "ImageType"), grid, aside, *(text(first, keyword) for keyword in texts))


def _across(position: tuple[float, ...], orientation: tuple[float, ...]) -> tuple[float, ...]:
    """Where the first pixel lies within its plane."""
    if len(position) != 3 or len(orientation) != 6:
        return ()
    return tuple(round(sum(a * b for a, b in zip(position, orientation[at : at + 3], strict=True)), 1) for at in (0, 3))


def _near_in_time(one: Series, other: Series) -> bool:
    times = [[t for instance in series.instances if (t := _seconds(instance)) is not None] for series in (one, other)]
    if not all(times):
        number_of = [number(series.first, "AcquisitionNumber") for series in (one, other)]
        return number_of[0] is not None and number_of[0] == number_of[1]
    gap = max(min(times[0]) - max(times[1]), min(times[1]) - max(times[0]), 0.0)
    return min(gap, _DAY - gap) <= _APART_S


def _run(series: Series) -> tuple[float, float, float]:
    """Lowest and highest place along the normal and the step between slices (0: none, or uneven)."""
    orientation = numbers(series.first, "ImageOrientationPatient")
    if len(orientation) != 6:
        return 0.0, 0.0, 0.0
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    positions = [numbers(instance.header, "ImagePositionPatient") for instance in series.instances]
    along = sorted(sum(n * p for n, p in zip(normal, at, strict=True)) for at in positions if len(at) == 3)
    gaps = [after - before for before, after in pairwise(along)]
    if not gaps or max(gaps) - min(gaps) > 0.2:
        return 0.0, 0.0, 0.0
    return along[0], along[-1], sum(gaps) / len(gaps)
