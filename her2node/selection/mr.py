"""What the headers of an MR series tell of the role that it plays."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress

from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, numbers, text, texts
from her2node.dicom.diffusion import Content, Encoding, content_of, encoding_of, same_shell
from her2node.errors import Refused
from her2node.selection.dce import dynamic_words
from her2node.selection.extent import along_normal
from her2node.selection.roles import Role
from her2node.selection.study import Instance, Series, Study

SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.4",  # MR Image Storage
        "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image Storage
        "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image Storage
    }
)
_DIFFUSION_WORDS = re.compile(
    r"(?<![a-z])(?:dwi?|dti|ivim|resolve|diff\w*|ep2d[_-]\w*diff\w*)(?![a-z])|弥散|扩散|擴散", re.I
)
_Frame = tuple[Dataset, tuple[Dataset, ...]]
_STANDARD = "(0018,9087)"
"""Philips and GE give every image a private b-value of 0; who fills the standard element means it."""


def role_of(series: Series) -> tuple[Role | None, str]:
    """The role of an MR series and the reason for it.

    Diffusion: images of a b-value above 0, or of b 0 (or none stated) where something else says that they belong to a
    diffusion examination. ADC map: nothing but diffusion coefficients calculated by the scanner. Dynamic: many time
    points at the same places (``dce``), where this series alone holds them.
    """
    shown: Counter[Content] = Counter()
    encodings: list[Encoding] = []
    flaw = ""
    for header, groups in _frames(series):
        content = content_of(header, _image_type(header, groups))
        shown[content] += 1
        if content is Content.SIGNAL and not flaw:
            try:
                encodings += [found] if (found := encoding_of(header, groups)) else []
            except Refused as error:
                flaw = str(error)
    if not shown[Content.SIGNAL]:
        if shown[Content.ADC]:
            return Role.ADC_MAP, "diffusion coefficients calculated by the scanner"
        return None, "calculated images that are not measured"
    return _by_signal(series, encodings, flaw, shown[Content.ADC])


def b_values_of(series: Series) -> frozenset[float]:
    """The b-values of a series' images (s/mm2), as far as its headers can be read; none of other modalities."""
    if any(instance.identity.sop_class_uid not in SOP_CLASSES for instance in series.instances):
        return frozenset()
    return frozenset(encoding.b for encoding in _encodings(series))


def b_values_of_map(series: Series, study: Study) -> tuple[float, ...]:
    """The b-values (s/mm2) of the images of the study that a calculated map names as its sources, ascending, as far as
    their headers can be read. Sources that are not here tell nothing. Of an object of many frames those count that are
    named, or all where no number is."""
    named: dict[str, set[float]] = defaultdict(set)
    for instance in series.instances:
        for uid, numbered in _sources_named(instance.header):
            named[uid].update(numbered)
    found: list[float] = []
    for other in study.series:
        sources = [one for one in other.instances if one.identity.sop_instance_uid in named]
        if all(one.identity.sop_class_uid in SOP_CLASSES for one in sources):
            frames = (frame for one in sources for frame in _frames_of(one, named[one.identity.sop_instance_uid]))
            found += {encoding.b for encoding in _encoded(frames)}
    shells: list[float] = []
    for b in sorted(found):
        if not shells or not same_shell(shells[-1], b):
            shells.append(b)
    return tuple(shells)


def _sources_named(header: Dataset) -> Iterator[tuple[str, tuple[float, ...]]]:
    """SOP Instance UIDs of source images, and which of their frames where that is told: in SourceImageEvidenceSequence
    (PS3.3 C.8.13.2), SourceImageSequence (C.7.6.1.1.4) and DerivationImageSequence (C.7.6.16.2.6)."""
    groups = (*items(header, "SharedFunctionalGroupsSequence"), *items(header, "PerFrameFunctionalGroupsSequence"))
    derived = (one for place in (header, *groups) for one in items(place, "DerivationImageSequence"))
    for place in (header, *derived):
        for source in items(place, "SourceImageSequence"):
            yield text(source, "ReferencedSOPInstanceUID"), numbers(source, "ReferencedFrameNumber")
    for evidence in items(header, "SourceImageEvidenceSequence"):
        for series in items(evidence, "ReferencedSeriesSequence"):
            for source in items(series, "ReferencedSOPSequence"):
                yield text(source, "ReferencedSOPInstanceUID"), ()


def examinations(candidates: Sequence[Series]) -> list[tuple[Series, ...]]:
    """Series of one b-value each that lie at the same places, in one frame of reference and of one echo time are one
    examination, or several where images are repeated (``parted``); every other series is one of its own."""
    groups: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    for number, series in enumerate(candidates):
        header = series.first
        places = frozenset(round(place) for one in series.instances for place in along_normal(one.header))
        b_values = b_values_of(series)
        one_b = bool(b_values) and same_shell(min(b_values), max(b_values))
        alone = not one_b or not text(header, "FrameOfReferenceUID")
        echo_time, grid = text(header, "EchoTime"), (text(header, "Rows"), text(header, "Columns"))
        key = (number,) if alone else (text(header, "FrameOfReferenceUID"), grid, echo_time, places)
        groups[key].append(series)
    return [tuple(part) for group in groups.values() for part in parted(group)]


def parted(alike: Sequence[Series]) -> list[list[Series]]:
    """Series of one b-value each that could be one examination, as examinations in which no image is repeated.

    A series of a b-value, weighting and direction that every examination holds already begins the next: patients move
    between two, so nothing is averaged over series. Any other goes to the examination of the fewest series.
    """
    found: list[tuple[list[Series], list[Encoding]]] = []
    for series in alike:
        mine = _encodings(series)
        free = [part for part in found if not any(_repeats(one, other) for one in mine for other in part[1])]
        if not free:
            free = [([], [])]
            found += free
        members, held = min(free, key=lambda part: len(part[0]))
        members.append(series)
        held += mine
    return [members for members, _ in found]


def _encodings(series: Series) -> list[Encoding]:
    """The encodings of a series' images, each once, as far as its headers can be read."""
    return _encoded(_frames(series))


def _encoded(frames: Iterable[_Frame]) -> list[Encoding]:
    found: dict[Encoding, None] = {}
    with suppress(Refused):
        for header, groups in frames:
            if content_of(header, _image_type(header, groups)) is Content.SIGNAL:
                found |= {encoding: None} if (encoding := encoding_of(header, groups)) else {}
    return list(found)


def _repeats(one: Encoding, other: Encoding) -> bool:
    """Whether two images show the same; directions to two digits, for they are written as they were rotated."""
    if one.weighting is not other.weighting or not same_shell(one.b, other.b) or one.numbered != other.numbered:
        return False
    if one.direction is None or other.direction is None:
        return one.direction is other.direction
    return all(abs(a - b) < 0.01 for a, b in zip(one.direction, other.direction, strict=True))


def is_plain(series: Series) -> bool:
    """Whether a series holds MR images of received signal."""
    known = all(instance.identity.sop_class_uid in SOP_CLASSES for instance in series.instances)
    return known and all(
        content_of(header, _image_type(header, groups)) is Content.SIGNAL for header, groups in _frames(series)
    )


def _by_signal(series: Series, encodings: list[Encoding], flaw: str, maps: int) -> tuple[Role | None, str]:
    b_values = sorted({found.b for found in encodings})
    said = ", ".join(f"{b:g}" for b in b_values)
    meant = any(_STANDARD in found.place for found in encodings) or _is_named_diffusion(series)
    if flaw or (b_values and (b_values[-1] > 0 or meant)):
        places = ", ".join(sorted({found.place for found in encodings}))
        beside = f", beside {maps} images of a calculated map" if maps else ""
        return Role.DIFFUSION, flaw or f"b {said} s/mm2 by {places}{beside}"
    if not b_values and _is_named_diffusion(series):
        return Role.DIFFUSION, "named as diffusion, but no place states a b-value"
    if dynamic := dynamic_words(series):
        return Role.DCE, dynamic
    return None, "MR images that are neither diffusion-weighted nor dynamic"


def _is_named_diffusion(series: Series) -> bool:
    """Whether ImageType, AcquisitionContrast or the description say that the series is one of diffusion."""
    words = {word.upper() for word in texts(series.first, "ImageType")} | {text(series.first, "AcquisitionContrast")}
    return "DIFFUSION" in words or bool(_DIFFUSION_WORDS.search(series.description))


def _frames(series: Series) -> Iterator[_Frame]:
    return (frame for instance in series.instances for frame in _frames_of(instance))


def _frames_of(instance: Instance, numbered: Collection[float] = ()) -> Iterator[_Frame]:
    """(header, functional groups that hold) of every frame, or of those of some numbers."""
    shared = items(instance.header, "SharedFunctionalGroupsSequence")[:1]
    own = items(instance.header, "PerFrameFunctionalGroupsSequence")
    if not own:
        yield instance.header, shared
    for number, groups in enumerate(own, start=1):
        if number in numbered or not numbered:
            yield instance.header, (groups, *shared)


def _image_type(header: Dataset, groups: tuple[Dataset, ...]) -> tuple[str, ...]:
    kinds = (kind for group in groups for kind in items(group, "MRImageFrameTypeSequence"))
    own = next((found for kind in kinds if (found := texts(kind, "FrameType"))), ())
    return tuple(word.upper() for word in own or texts(header, "ImageType"))
