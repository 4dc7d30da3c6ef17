"""What goes wrong with studies on their way, done to a phantom on purpose.

Each function takes a study and returns another; the given one stays as it is. Where slices are moved, turned or lost,
the voxels of those that remain are still true to the anatomy. ``phase`` None means every series.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from pydicom.dataset import Dataset

from her2node.dicom.uids import derived_uid
from her2node.phantoms import classic
from her2node.phantoms.anatomy import Phase
from her2node.phantoms.headers import copied
from her2node.phantoms.planes import Plane
from her2node.phantoms.study import PhantomStudy, PlannedSeries, PlannedSlice, file_meta

Slices = tuple[PlannedSlice, ...]

TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "ReferringPhysicianName",
    "SeriesNumber",
    "PositionReferenceIndicator",
    "Manufacturer",
    "AcquisitionNumber",
    "SliceThickness",
    "KVP",
    "ContrastBolusAgent",
    "ContentDate",
    "ContentTime",
)
"""Attributes that must be there but may be empty, and that real objects lack all the same."""


def missing_slice(study: PhantomStudy, phase: Phase | None = None, place: int | None = None) -> PhantomStudy:
    """The slice at ``place`` (default: the middle) was lost."""
    return _with_slices(study, phase, lambda slices: _spliced(slices, place, ()))


def duplicated_slice(study: PhantomStudy, phase: Phase | None = None, place: int | None = None) -> PhantomStudy:
    """The slice at ``place`` (default: the middle) is there twice, under two SOP Instance UIDs."""

    def twice(slices: Slices) -> Slices:
        once = slices[_at(slices, place)]
        again = replace(
            once,
            number=len(slices) + 1,
            sop_instance_uid=derived_uid("phantom duplicate", once.sop_instance_uid),
        )
        return (*slices, again)

    return _with_slices(study, phase, twice)


def uneven_spacing(study: PhantomStudy, phase: Phase | None = None, share: float = 0.4) -> PhantomStudy:
    """The middle slice lies ``share`` of the spacing too high."""
    shift = share * study.options.slice_spacing_mm
    return _with_plane(study, phase, lambda plane: plane.moved(shift))


def mixed_orientations(study: PhantomStudy, phase: Phase | None = None, degrees: float = 8) -> PhantomStudy:
    """The middle slice is turned about the left-right axis."""
    return _with_plane(study, phase, lambda plane: _turned(plane, degrees))


def gantry_tilt(study: PhantomStudy, phase: Phase | None = None, degrees: float = 12) -> PhantomStudy:
    """Every slice is turned about the left-right axis, while the table moved straight on: a sheared stack."""

    def tilt(slices: Slices) -> Slices:
        return tuple(replace(planned, plane=_turned(planned.plane, degrees)) for planned in slices)

    uids = _series_uids(study, phase)

    def declare(ds: Dataset) -> Dataset:
        if ds.get("SeriesInstanceUID") in uids:
            _declare_tilt(ds, degrees)
        return ds

    return _with_slices(study, phase, tilt).with_edit(declare)


def head_first(study: PhantomStudy, phase: Phase | None = None) -> PhantomStudy:
    """Not wrong, only rarer: slices are numbered from head to foot."""

    def reversed_(slices: Slices) -> Slices:
        return tuple(replace(planned, number=count) for count, planned in enumerate(reversed(slices), start=1))

    return _with_slices(study, phase, reversed_)


def localizer(study: PhantomStudy) -> PhantomStudy:
    """A coronal localizer comes first, as a series of its own (always a classic object)."""
    return replace(study, parts=(_localizer, *study.parts))


def without(study: PhantomStudy, *keywords: str) -> PhantomStudy:
    """These attributes are absent from every object, at any depth."""

    def remove(ds: Dataset) -> Dataset:
        for keyword in keywords:
            if keyword in ds:
                del ds[keyword]
        _each_item(ds, remove)
        return ds

    return study.with_edit(remove)


def emptied(study: PhantomStudy, *keywords: str) -> PhantomStudy:
    """These attributes are there without a value, at any depth."""

    def empty(ds: Dataset) -> Dataset:
        for keyword in keywords:
            if keyword in ds:
                ds[keyword].value = None
        _each_item(ds, empty)
        return ds

    return study.with_edit(empty)


def without_type_2(study: PhantomStudy) -> PhantomStudy:
    """All attributes of ``TYPE_2`` are absent."""
    return without(study, *TYPE_2)


def without_frame_of_reference(study: PhantomStudy) -> PhantomStudy:
    """No object names a frame of reference."""
    return without(study, "FrameOfReferenceUID")


def without_rescale(study: PhantomStudy) -> PhantomStudy:
    """Nothing tells how stored values become Hounsfield units."""
    return without(study, "RescaleSlope", "RescaleIntercept", "RescaleType", "PixelValueTransformationSequence")


def other_patient(study: PhantomStudy, phase: Phase) -> PhantomStudy:
    """One series bears the ID and birth date of somebody else."""
    uids = _series_uids(study, phase)

    def swap(ds: Dataset) -> Dataset:
        if ds.get("SeriesInstanceUID") in uids:
            ds.PatientID = "SOMEBODY-ELSE"
            ds.PatientBirthDate = "19700101"
        return ds

    return study.with_edit(swap)


def conflicting_duplicate(study: PhantomStudy) -> PhantomStudy:
    """After everything else the first object comes again: the same SOP Instance UID with other content."""

    def altered(one: PhantomStudy) -> Iterator[Dataset]:
        ds = next(one.parts[0](one))
        ds.ImageComments = "altered"
        yield ds

    return replace(study, parts=(*study.parts, altered))


def packed(study: PhantomStudy) -> PhantomStudy:
    """All phases of classic images come in one series, one after the other, told apart by AcquisitionNumber."""
    first = study.series[0]
    offsets: dict[str, int] = {}
    for series in study.series:
        offsets[series.series_instance_uid] = sum(len(other.slices) for other in study.series[: len(offsets)])

    def pack(ds: Dataset) -> Dataset:
        uid = ds.get("SeriesInstanceUID")
        if uid in offsets:
            ds.InstanceNumber += offsets[uid]
            ds.SeriesInstanceUID, ds.SeriesNumber = first.series_instance_uid, first.number
            ds.SeriesDescription = "Abdomen multiphase"
        for reference in ds.get("ReferencedSeriesSequence", ()):
            reference.SeriesInstanceUID = first.series_instance_uid
        return ds

    return study.with_edit(pack)


def packed_enhanced(study: PhantomStudy) -> PhantomStudy:
    """All phases of enhanced images come in one object: its frames, one phase after the other, are told apart by what
    stands in their own functional groups. What the phases share stays shared, as the first says it."""

    def images(one: PhantomStudy) -> Iterator[Dataset]:
        objects = list(study.parts[0](one))
        whole, own = objects[0], []
        for ds in objects:
            (contrast,) = ds.SharedFunctionalGroupsSequence
            for groups in ds.PerFrameFunctionalGroupsSequence:
                if "ContrastBolusUsageSequence" in contrast:
                    groups.ContrastBolusUsageSequence = contrast.ContrastBolusUsageSequence
                own.append(groups)
            if "ContrastBolusAgentSequence" in ds:
                whole.ContrastBolusAgentSequence = ds.ContrastBolusAgentSequence
        whole.PixelData = b"".join(ds.PixelData for ds in objects)
        whole["PixelData"].VR = "OW"
        whole.PerFrameFunctionalGroupsSequence = own
        whole.NumberOfFrames = len(own)
        whole.SeriesDescription = "Abdomen multiphase"
        yield whole

    return replace(study, parts=(images, *study.parts[1:]))


def spread(study: PhantomStudy, phase: Phase) -> PhantomStudy:
    """The upper half of one phase's slices comes as a series of its own."""
    series = study.series_of(phase)
    upper = {planned.sop_instance_uid for planned in series.slices[len(series.slices) // 2 :]}

    def part(ds: Dataset) -> Dataset:
        if ds.SOPInstanceUID in upper:
            ds.SeriesInstanceUID = derived_uid("phantom upper part", series.series_instance_uid)
            ds.SeriesNumber = series.number + 20
        return ds

    return study.with_edit(part)


def spread_enhanced(study: PhantomStudy, phase: Phase) -> PhantomStudy:
    """The upper half of one phase's frames comes as an enhanced object of its own, in a series of its own."""
    series = study.series_of(phase)

    def halves(one: PhantomStudy) -> Iterator[Dataset]:
        for ds in study.parts[0](one):
            if ds.SeriesInstanceUID == series.series_instance_uid:
                yield from (_half(ds, upper=False), _half(ds, upper=True))
            else:
                yield ds

    return replace(study, parts=(halves, *study.parts[1:]))


def _half(whole: Dataset, *, upper: bool) -> Dataset:
    """An enhanced object of half of the frames; the upper half under UIDs of its own."""
    count = int(whole.NumberOfFrames)
    first, last = (count // 2, count) if upper else (0, count // 2)
    size = len(whole.PixelData) // count
    ds = copied(whole)
    ds.PerFrameFunctionalGroupsSequence = whole.PerFrameFunctionalGroupsSequence[first:last]
    ds.PixelData = whole.PixelData[first * size : last * size]
    ds["PixelData"].VR = "OW"
    ds.NumberOfFrames = last - first
    ds.file_meta = whole.file_meta
    if upper:
        ds.SeriesInstanceUID = derived_uid("phantom upper part", whole.SeriesInstanceUID)
        ds.SOPInstanceUID = derived_uid("phantom upper object", whole.SOPInstanceUID)
        ds.SeriesNumber = whole.SeriesNumber + 20
        ds.file_meta = file_meta(whole.SOPClassUID, ds.SOPInstanceUID)
    return ds


def _localizer(study: PhantomStudy) -> Iterator[Dataset]:
    uid = derived_uid("phantom localizer", study.study_instance_uid)
    middle = study.truth.tumour.centre_mm[2]
    plane = Plane((-255.5, 0.0, middle + 255.5), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (1.0, 1.0), (512, 512), 1.0)
    planned = PlannedSlice(plane, 1, 0, derived_uid("phantom image", uid, "1"))
    series = PlannedSeries(
        Phase.PLAIN, uid, planned.sop_instance_uid, 1, "Localizer", study.options.started, (planned,)
    )
    for ds in classic.images(study, series):
        ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        yield ds


def _declare_tilt(ds: Dataset, degrees: float) -> None:
    if "GantryDetectorTilt" in ds:
        ds.GantryDetectorTilt = degrees
    _each_item(ds, lambda item: _declare_tilt(item, degrees))


def _turned(plane: Plane, degrees: float) -> Plane:
    """The plane with its columns turned about the left-right axis through the first row."""
    angle = math.radians(degrees)
    return replace(plane, row=(1.0, 0.0, 0.0), column=(0.0, math.cos(angle), math.sin(angle)))


def _with_plane(study: PhantomStudy, phase: Phase | None, change: Callable[[Plane], Plane]) -> PhantomStudy:
    def middle_changed(slices: Slices) -> Slices:
        middle = slices[_at(slices, None)]
        return _spliced(slices, None, (replace(middle, plane=change(middle.plane)),))

    return _with_slices(study, phase, middle_changed)


def _with_slices(study: PhantomStudy, phase: Phase | None, change: Callable[[Slices], Slices]) -> PhantomStudy:
    def changed(series: PlannedSeries) -> PlannedSeries:
        return series if phase not in (None, series.phase) else replace(series, slices=change(series.slices))

    return study.with_series(changed)


def _spliced(slices: Slices, place: int | None, instead: Slices) -> Slices:
    at = _at(slices, place)
    return slices[:at] + instead + slices[at + 1 :]


def _at(slices: Slices, place: int | None) -> int:
    return len(slices) // 2 if place is None else place


def _series_uids(study: PhantomStudy, phase: Phase | None) -> frozenset[str]:
    return frozenset(series.series_instance_uid for series in study.series if phase in (None, series.phase))


def _each_item(ds: Dataset, change: Callable[[Dataset], object]) -> None:
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                change(item)
