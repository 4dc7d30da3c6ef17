"""Several phases in one series, taken apart: one image at each place to each part.

An image is a classic object or a frame of an enhanced one; a part of an enhanced object is an ``Instance`` whose header
describes its frames alone.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from her2node.dicom.attributes import integer, items, numbers, text
from her2node.dicom.uids import derived_uid
from her2node.selection.spectral import spectral
from her2node.selection.study import Instance, Series

MOST_PARTS = 6
"""More images than this at one place are a dynamic series, which is another matter."""
_TWICE = 0.8
"""Share of the places that must hold as many images as there are parts."""
_PAUSE_S = 8.0
"""Between the last image of one phase and the first of the next."""
_CLASSIC = frozenset({CTImageStorage})
_ENHANCED = frozenset({EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})

Key = Callable[[Sequence["Image"]], list[str]]


@dataclass(frozen=True)
class Image:
    """A classic object, or a frame (``number`` from 1) of an enhanced one with the groups that describe it, its own
    before those of all."""

    instance: Instance
    number: int | None = None
    groups: tuple[Dataset, ...] = field(default=(), repr=False, compare=False)

    def at(self, sequence: str) -> Dataset:
        """Where the attributes of a functional group stand."""
        if self.number is None:
            return self.instance.header
        return next((found[0] for groups in self.groups if (found := items(groups, sequence))), Dataset())

    @property
    def place(self) -> tuple[float, ...] | None:
        position = numbers(self.at("PlanePositionSequence"), "ImagePositionPatient")
        return tuple(round(value, 1) for value in position) if len(position) == 3 else None

    @property
    def seconds(self) -> float | None:
        """Time of day of the acquisition."""
        if self.number is None:
            return clock(text(self.instance.header, "AcquisitionTime"))
        return clock(text(self.at("FrameContentSequence"), "FrameAcquisitionDateTime")[8:])


def split(series: Series) -> list[Series]:
    """The parts of a series that holds 2 to 6 images at most places, else the series itself.

    Parts are told by the first of these that leaves each with one image a place: kernel, temporal position, acquisition
    number, pauses between acquisition times, the order of the images. A dual-energy series stays whole: what it shows
    is told by words that no part would keep.
    """
    images = images_of(series)
    places = [image.place for image in images]
    if not images or None in places or spectral(series) is not None:
        return [series]
    held = Counter(places)
    count = max(held.values())
    if not 2 <= count <= MOST_PARTS or sum(held[place] == count for place in held) < _TWICE * len(held):
        return [series]
    for key in _KEYS:
        parts = _grouped(images, key(images))
        if len(parts) == count and all(_once(part) for part in parts):
            return [_part(series, n, count, part) for n, part in enumerate(parts, start=1)]
    return [series]


def clock(time_of_day: str) -> float | None:
    """Seconds since midnight of a DICOM time (PS3.5 TM), None where it is none."""
    found = re.match(r"(\d{2})(\d{2})(\d{2}(?:\.\d*)?)", time_of_day)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None


def is_classic(series: Series) -> bool:
    """Whether every object is a single CT image."""
    return {instance.identity.sop_class_uid for instance in series.instances} == _CLASSIC


def images_of(series: Series) -> list[Image]:
    """Every image of a CT series, in its order; none where the objects are of another kind or cannot be told apart."""
    if is_classic(series):
        return [Image(instance) for instance in series.instances]
    classes = {instance.identity.sop_class_uid for instance in series.instances}
    return [image for instance in series.instances for image in _frames(instance)] if classes <= _ENHANCED else []


def _frames(instance: Instance) -> list[Image]:
    shared = items(instance.header, "SharedFunctionalGroupsSequence")[:1]
    own = items(instance.header, "PerFrameFunctionalGroupsSequence")
    if integer(instance.header, "NumberOfFrames") != len(own):  # judged, and refused, when it becomes a volume
        return []
    return [Image(instance, n, (groups, *shared)) for n, groups in enumerate(own, start=1)]


def _once(part: Iterable[Image]) -> bool:
    return max(Counter(image.place for image in part).values()) == 1


def _grouped(images: Sequence[Image], keys: list[str]) -> list[list[Image]]:
    """By key, in the order of the keys' first appearance."""
    found: dict[str, list[Image]] = defaultdict(list)
    for image, key in zip(images, keys, strict=True):
        found[key].append(image)
    return list(found.values())


def _tag(sequence: str, *keywords: str) -> Key:
    return lambda images: ["/".join(text(image.at(sequence), keyword) for keyword in keywords) for image in images]


def _pauses(images: Sequence[Image]) -> list[str]:
    times = [image.seconds for image in images]
    known = sorted({time for time in times if time is not None})
    begins = [time for before, time in pairwise(known) if time - before > _PAUSE_S]
    return ["" if time is None else str(sum(time >= begin for begin in begins)) for time in times]


def _repeats(images: Sequence[Image]) -> list[str]:
    """How many images at the same place came before."""
    seen: Counter[tuple[float, ...] | None] = Counter()
    found = []
    for image in images:
        found.append(str(seen[image.place]))
        seen[image.place] += 1
    return found


_KEYS: tuple[Key, ...] = (
    _tag("CTReconstructionSequence", "ConvolutionKernel"),
    _tag("FrameContentSequence", "TemporalPositionIdentifier", "TemporalPositionIndex"),
    _tag("FrameContentSequence", "AcquisitionNumber", "FrameAcquisitionNumber"),
    _pauses,
    _repeats,
)


def _part(series: Series, place: int, count: int, images: list[Image]) -> Series:
    """``description`` is dropped: it was given to all parts and tells none from another."""
    uid = derived_uid("part of series", series.series_instance_uid, str(place), str(count))
    frames: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        frames[image.instance.identity.sop_instance_uid].append(image)
    return replace(series, series_instance_uid=uid, description="", instances=tuple(map(_piece, frames.values())))


def _piece(images: list[Image]) -> Instance:
    """The object that the images are of, as far as they go."""
    whole = images[0].instance
    numbered = tuple(image.number for image in images if image.number is not None)
    if not numbered:
        return whole
    header = Dataset()  # elements are shared with the whole object's, but for the two that differ
    tags = whole.header.keys() - {Tag("PerFrameFunctionalGroupsSequence"), Tag("NumberOfFrames")}
    header.update({tag: whole.header.get_item(tag, keep_deferred=True) for tag in tags})
    header.file_meta = whole.header.file_meta
    header.PerFrameFunctionalGroupsSequence = [image.groups[0] for image in images]
    header.NumberOfFrames = len(numbered)
    return replace(whole, header=header, frames=numbered, whole=whole)
