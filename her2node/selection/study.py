"""A study as files on disk: headers read once, grouped into series.

Headers are pydicom data sets without pixel data; pixels are read later, by ``volumes``, from ``Instance.path``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from her2node.dicom.attributes import integer, text
from her2node.dicom.deflated import is_deflated
from her2node.dicom.identity import InstanceIdentity, identify
from her2node.errors import ConflictingIdentity, EmptyStudy, InstanceUnreadable, MixedStudies, Refused

_BULK = frozenset({Tag("ContourData")})
"""Long texts that are parsed where they are used: a structure set may hold a million coordinates."""

_LONGEST = 1 << 20
"""Bytes: no value that the node reads, other than pixels and contours, is longer."""
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class Instance:
    """One object: where it lies, who it is, and its header without pixel data.

    Of a part of a multi-frame object the header describes the frames of the part alone; ``frames`` are their numbers in
    the object, from 1, and ``whole`` is the object.
    """

    path: Path
    identity: InstanceIdentity
    header: Dataset = field(repr=False, compare=False)
    frames: tuple[int, ...] | None = None
    whole: Instance | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Series:
    """The objects of one series, in order of InstanceNumber, then SOP Instance UID."""

    series_instance_uid: str
    modality: str
    description: str
    number: int | None
    instances: tuple[Instance, ...]

    @property
    def first(self) -> Dataset:
        """The header of the first object."""
        return self.instances[0].header


@dataclass(frozen=True)
class Study:
    """The series of one study of one patient, in order of SeriesNumber, then UID; at least one."""

    study_instance_uid: str
    series: tuple[Series, ...]
    set_aside: tuple[tuple[Path, Refused], ...] = ()

    def series_of(self, uid: str) -> Series | None:
        return next((series for series in self.series if series.series_instance_uid == uid), None)

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Every object once, whole, also where series are parts of it."""
        found = (instance.whole or instance for series in self.series for instance in series.instances)
        return tuple({instance.identity.sop_instance_uid: instance for instance in found}.values())


def read_header(path: Path, *, met: bool = False) -> Dataset:
    """The header of a DICOM file, pixel data left on disk. Raises InstanceUnreadable.

    ``met``: this file was read here before, so that what is malformed in it was met then, and values may stay unparsed
    until somebody wants them.
    """
    try:
        # A deflated data set has no place in the file to come back to for what was left out.
        longest = None if is_deflated(path) else _LONGEST
        ds = dcmread(path, stop_before_pixels=True, force=False, defer_size=longest)
        if not met:
            _meet(ds)
    except RecursionError as error:
        raise InstanceUnreadable(f"{path.name}: sequences are nested too deeply") from error
    except (Refused, MemoryError):
        raise
    except Exception as error:
        raise InstanceUnreadable(f"{path.name}: {error or type(error).__name__}") from error
    return ds


def _meet(ds: Dataset) -> None:
    """Convert every value once: pydicom parses lazily, and malformed values shall be met here, at the door."""
    for tag in tuple(ds.keys()):
        if tag not in _BULK and not _is_long(ds.get_item(tag, keep_deferred=True)):
            element = ds[tag]
            if element.VR == "SQ":
                for item in element.value:
                    _meet(item)


def _is_long(element: DataElement | RawDataElement) -> bool:
    """Whether a value other than a sequence is so long that it is left where it is: in the file, or as bytes."""
    if not isinstance(element, RawDataElement) or element.length == _UNDEFINED or element.length <= _LONGEST:
        return False
    known = dictionary_has_tag(element.tag) and dictionary_VR(element.tag) == "SQ"
    return element.VR != "SQ" and not (known and element.VR in {None, "UN"})


def open_instance(path: Path, *, met: bool = False) -> Instance:
    """Read one object's header and identity; ``met`` as in ``read_header``.

    Raises InstanceUnreadable, MissingAttribute, InvalidAttribute.
    """
    header = read_header(path, met=met)
    return Instance(path, identify(header), header)


def open_study(paths: Iterable[Path], *, tolerant: bool = False, met: bool = False) -> Study:
    """Read the headers of ``paths`` and group them into the series of one study.

    With ``tolerant`` objects that cannot be read are listed in ``set_aside`` instead of raising; ``met`` as in
    ``read_header``. The same SOP Instance UID given twice counts once. Raises EmptyStudy, MixedStudies,
    ConflictingIdentity, InstanceUnreadable and the errors of ``identify``.
    """
    found: dict[str, Instance] = {}
    set_aside: list[tuple[Path, Refused]] = []
    for path in paths:
        try:
            instance = open_instance(path, met=met)
        except Refused as error:
            if not tolerant:
                raise
            set_aside.append((path, error))
            continue
        found.setdefault(instance.identity.sop_instance_uid, instance)
    if not found:
        raise EmptyStudy(f"{len(set_aside)} files, none of them readable" if set_aside else "no files")
    _agree(tuple(found.values()))
    return group(found.values(), tuple(set_aside))


def group(instances: Iterable[Instance], set_aside: tuple[tuple[Path, Refused], ...] = ()) -> Study:
    """Group objects of one study into series."""
    by_series: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_series[instance.identity.series_instance_uid].append(instance)
    series = sorted(map(_series, by_series.values()), key=lambda s: (s.number or 0, s.series_instance_uid))
    return Study(series[0].instances[0].identity.study_instance_uid, tuple(series), set_aside)


def _series(instances: list[Instance]) -> Series:
    ordered = sorted(instances, key=lambda i: (integer(i.header, "InstanceNumber") or 0, i.identity.sop_instance_uid))
    first = ordered[0].header
    return Series(
        series_instance_uid=ordered[0].identity.series_instance_uid,
        modality=text(first, "Modality"),
        description=text(first, "SeriesDescription"),
        number=integer(first, "SeriesNumber"),
        instances=tuple(ordered),
    )


def _agree(instances: tuple[Instance, ...]) -> None:
    """One study of one patient, or MixedStudies / ConflictingIdentity."""
    known = instances[0].identity
    for instance in instances[1:]:
        if instance.identity.study_instance_uid != known.study_instance_uid:
            raise MixedStudies(f"{known.study_instance_uid} and {instance.identity.study_instance_uid}")
        conflicts = known.conflicts(instance.identity)
        if conflicts:
            raise ConflictingIdentity(f"{', '.join(conflicts)} differ within study {known.study_instance_uid}")
        known = known.filled_from(instance.identity)
