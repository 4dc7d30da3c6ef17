"""What the node asks a peer by C-FIND (study root, PS3.4 C.6.2.1), and what the peer's answers say. No network here.

What a peer may leave out it may also fill with nonsense: both are None here, never a number that nobody gave.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import UID

from her2node.dicom.attributes import integer, text

STUDY_ROOT_FIND: Final = UID("1.2.840.10008.5.1.4.1.2.2.1")

QUERIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
        "SERIES": ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances"),
        "STUDY": ("StudyInstanceUID", "NumberOfStudyRelatedInstances"),
    }
)
"""Query level to keys. The numbers are optional for a peer (PS3.4 C.6.2.1.2 and C.6.2.1.3)."""


@dataclass(frozen=True)
class SeriesHeld:
    """A series that a peer has. ``modality`` is '' and ``objects`` None where it does not say."""

    series_instance_uid: str
    modality: str
    objects: int | None


@dataclass(frozen=True)
class StudyHeld:
    """What a peer has of a study, in order of the series' UIDs; ``objects`` of all of them, or None."""

    series: tuple[SeriesHeld, ...]
    objects: int | None


def instances_of(study_uid: str, series_uid: str, instance_uids: Collection[str]) -> Dataset:
    """The identifier that asks which of these instances there are."""
    return _identifier("IMAGE", study_uid, series_uid, sorted(instance_uids))


def series_of(study_uid: str) -> Dataset:
    """The identifier that asks for the series of a study and how many objects each has."""
    return _identifier("SERIES", study_uid)


def study_of(study_uid: str) -> Dataset:
    """The identifier that asks how many objects a study has."""
    return _identifier("STUDY", study_uid)


def instances_in(matches: Iterable[Dataset]) -> frozenset[str]:
    """The instances of the answers."""
    return frozenset(text(match, "SOPInstanceUID") for match in matches)


def held_in(study_uid: str, series: Iterable[Dataset], studies: Iterable[Dataset]) -> StudyHeld:
    """What the answers to ``series_of`` and ``study_of`` say; what they say of other studies is left out."""
    held: dict[str, SeriesHeld] = {}
    for match in series:
        uid = text(match, "SeriesInstanceUID")
        if uid and _speaks_of(match, study_uid):
            objects = _count(match, "NumberOfSeriesRelatedInstances")
            held[uid] = SeriesHeld(uid, text(match, "Modality"), objects)
    counts = [_count(match, "NumberOfStudyRelatedInstances") for match in studies if _speaks_of(match, study_uid)]
    return StudyHeld(
        tuple(held[uid] for uid in sorted(held)), next((count for count in counts if count is not None), None)
    )


def _identifier(level: str, *values: str | list[str]) -> Dataset:
    """The keys of a level with these values; those beyond are for the peer to fill."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in zip_longest(QUERIES[level], values):
        setattr(identifier, keyword, value)
    return identifier


def _speaks_of(match: Dataset, study_uid: str) -> bool:
    return text(match, "StudyInstanceUID") in {study_uid, ""}


def _count(match: Dataset, keyword: str) -> int | None:
    found = integer(match, keyword)
    return found if found is not None and found >= 0 else None
