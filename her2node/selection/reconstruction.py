"""Reconstructions of one acquisition: which are better for everybody, and which a method wants another of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from her2node.dicom.attributes import integer, items, number, texts
from her2node.errors import RoleAmbiguous
from her2node.selection.roles import Role
from her2node.selection.study import Series
from her2node.selection.witnesses import acquired

RULE = "original axial first, then the softer kernel, the thinner slices, the more images"

_SHARP_KERNEL = re.compile(
    r"bone|lung|edge|detail|sharp|ultra|hr\d|bl\d|(?<![a-z])[bu]r?[5-9]\d|(?<![a-z])fc(?:[358]\d|1[3-9])|(?<![a-z])y[a-d](?![a-z])",
    re.IGNORECASE,
)
_SAME_SCAN_S = 2.0
"""Reconstructions of one scan show slices at other places, so that first and last are not of the same moment."""


@dataclass(frozen=True)
class Reconstruction:
    """How a method wants the images of a phase reconstructed.

    ``slice_mm``: ranges of slice thickness, both ends included, the gravest first; ``kernel``: a regular expression
    that ConvolutionKernel holds, searched without regard to case. What a header does not tell is not met.
    """

    role: Role
    slice_mm: tuple[tuple[float, float], ...] = ()
    kernel: str = ""

    def misses(self, series: Series) -> tuple[bool, ...]:
        """Which of the wishes a series does not meet, in order of gravity: fewer is better from the left."""
        thickness = thickness_mm(series.first)
        outside = (thickness is None or not low <= thickness <= high for low, high in self.slice_mm)
        return *outside, not re.search(self.kernel, kernel_of(series.first), re.IGNORECASE)

    def __str__(self) -> str:
        spans = dict.fromkeys(f"slices of {low:g} to {high:g} mm" for low, high in reversed(self.slice_mm))
        return " and ".join([*spans, *([f"a kernel like /{self.kernel}/"] if self.kernel else [])])


def rank(series: Series) -> tuple[bool, bool, bool, float, int]:
    """Lower is better; the rule of ``RULE``. An unknown thickness counts as thick."""
    kinds = tuple(value.upper() for value in texts(series.first, "ImageType"))
    return (
        "DERIVED" in kinds[:1],
        "AXIAL" not in kinds,
        bool(_SHARP_KERNEL.search(kernel_of(series.first))),
        thickness_mm(series.first) or float("inf"),
        -sum(int(number(instance.header, "NumberOfFrames") or 1) for instance in series.instances),
    )


def best_of(role: Role, ranked: Sequence[Series]) -> str | RoleAmbiguous:
    """The UID of the first of series that are ranked, unless others are like it."""
    alike = [series.series_instance_uid for series in ranked if rank(series) == rank(ranked[0])]
    if len(alike) == 1:
        return alike[0]
    return RoleAmbiguous(
        f"{', '.join(alike)} are alike for {role} ({RULE})",
        remedy=f"enter role:{alike[0]}={role}, or role:SERIES_UID=ignore for the others",
    )


def best_for(wanted: Reconstruction, ranked: Sequence[Series]) -> str | RoleAmbiguous:
    """Of the acquisition that stands for a phase the reconstruction that meets most of what a method wants, by UID.

    ``ranked``: the series that play the phase, the best first. Those that meet as much are told apart by ``RULE``. A
    derived image is never taken for its thickness, nor a sharp kernel where the method names none.
    """
    first = ranked[0]
    alike = [series for series in ranked if rank(series) == rank(first)]
    if not all(same_acquisition(first, series) for series in alike):
        return best_of(wanted.role, ranked)
    dear = 2 if wanted.kernel else 3
    open_to_it = [s for s in ranked if rank(s)[:dear] == rank(first)[:dear] and same_acquisition(first, s)]
    fewest = min(map(wanted.misses, open_to_it))
    return best_of(wanted.role, [series for series in open_to_it if wanted.misses(series) == fewest])


def same_acquisition(one: Series, other: Series) -> bool:
    """Whether two series were reconstructed from one acquisition: by IrradiationEventUID where both tell it, else in
    one frame of reference by the times of acquisition, else by AcquisitionNumber. What nothing tells is not so."""
    if one is other:
        return True
    events = [set(texts(series.first, "IrradiationEventUID")) for series in (one, other)]
    if all(events):
        return bool(events[0] & events[1])
    frames = [texts(series.first, "FrameOfReferenceUID") for series in (one, other)]
    if frames[0] != frames[1]:
        return False
    times = [[when for i in series.instances for when in acquired(i.header)] for series in (one, other)]
    if all(times):
        return max(map(min, times)) - min(map(max, times)) <= _SAME_SCAN_S
    numbers = [integer(series.first, "AcquisitionNumber") for series in (one, other)]
    return numbers[0] is not None and numbers[0] == numbers[1]


def thickness_mm(header: Dataset) -> float | None:
    """SliceThickness, of an enhanced object that of its pixel measures; None where it is not told."""
    return header_number(header, "SliceThickness", "PixelMeasuresSequence")


def kernel_of(header: Dataset) -> str:
    """ConvolutionKernel, of an enhanced object that of its reconstruction; '' where it is not told."""
    places = _places(header, "CTReconstructionSequence")
    return next((found for place in places if (found := " ".join(texts(place, "ConvolutionKernel")))), "")


def header_number(header: Dataset, keyword: str, macro: str) -> float | None:
    """An attribute of a single-frame object, or of the functional group ``macro`` of an enhanced one."""
    places = _places(header, macro)
    return next((value for place in places if (value := number(place, keyword)) is not None), None)


def _places(header: Dataset, macro: str) -> tuple[Dataset, ...]:
    groups = (*items(header, "SharedFunctionalGroupsSequence"), *items(header, "PerFrameFunctionalGroupsSequence")[:1])
    return (header, *(item for group in groups for item in items(group, macro)))
