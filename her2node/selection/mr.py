"""What the headers of an MR series tell of the role that it plays."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress

from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, text, texts
from her2node.dicom.diffusion import Content, Encoding, content_of, encoding_of
from her2node.errors import Refused
from her2node.selection.dce import dynamic_words
from her2node.selection.extent import along_normal
from her2node.selection.roles import Role
from her2node.selection.study import Series

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
    found: set[float] = set()
    with suppress(Refused):
        for header, groups in _frames(series):
            if content_of(header, _image_type(header, groups)) is Content.SIGNAL:
                encoding = encoding_of(header, groups)
                found |= {encoding.b} if encoding else set()
    return frozenset(found)


def examinations(candidates: Sequence[Series]) -> list[tuple[Series, ...]]:
    """Series of one b-value each that lie at the same places, in one frame of reference and of one echo time are one
    examination; every other series is one of its own."""
    groups: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    for number, series in enumerate(candidates):
        header = series.first
        places = frozenset(round(place) for one in series.instances for place in along_normal(one.header))
        alone = len(b_values_of(series)) != 1 or not text(header, "FrameOfReferenceUID")
        echo_time, grid = text(header, "EchoTime"), (text(header, "Rows"), text(header, "Columns"))
        key = (number,) if alone else (text(header, "FrameOfReferenceUID"), grid, echo_time, places)
        groups[key].append(series)
    return [tuple(group) for group in groups.values()]


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


def _frames(series: Series) -> Iterator[tuple[Dataset, tuple[Dataset, ...]]]:
    """(header, functional groups that hold) of every frame."""
    for instance in series.instances:
        shared = items(instance.header, "SharedFunctionalGroupsSequence")[:1]
        own = items(instance.header, "PerFrameFunctionalGroupsSequence")
        if not own:
            yield instance.header, shared
        for groups in own:
            yield instance.header, (groups, *shared)


def _image_type(header: Dataset, groups: tuple[Dataset, ...]) -> tuple[str, ...]:
    kinds = (kind for group in groups for kind in items(group, "MRImageFrameTypeSequence"))
    own = next((found for kind in kinds if (found := texts(kind, "FrameType"))), ())
    return tuple(word.upper() for word in own or texts(header, "ImageType"))
