"""SEG: segments (PS3.3 C.8.20) to voxels of any grid in the same frame of reference.

BINARY as it is; FRACTIONAL, be it PROBABILITY or OCCUPANCY, from half of MaximumFractionalValue on; LABELMAP where the
pixel holds the segment's number. A voxel of the target belongs to the segment when its centre lies in one of the
segment's own voxels, which reach half the distance between the object's planes to either side of their plane.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset

from her2node.dicom.attributes import integer, items, number, text
from her2node.dicom.identity import MANUFACTURER
from her2node.errors import EmptyRoi, Refused, RoiUnreadable
from her2node.rois.given import GivenRoi, code_of, created_at, derived_tracking_uid, reach_mm
from her2node.rois.roi import Laid, RoiOrigin
from her2node.rois.sampling import Drawn, Planes, crop, sampled
from her2node.rois.slabs import slabs
from her2node.selection.study import Instance
from her2node.volumes.frames import Frame, Plane, frames_in, plane_of, thickness_mm
from her2node.volumes.pixels import Stored, stored_frames
from her2node.volumes.volume import Bools, Volume

LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"
SOP_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", LABELMAP})


def regions(instance: Instance) -> Iterator[GivenRoi]:
    """Every segment of an object; the background of a label map is none, nor is what a network of the node drew."""
    described = items(instance.header, "SegmentSequence")
    if not described:
        yield _region(instance, Dataset(), 0, RoiUnreadable("SegmentSequence is absent or empty"))
    background = {0, integer(instance.header, "PixelPaddingValue")} if _is_labelmap(instance) else set()
    for item in described:
        segment = integer(item, "SegmentNumber")
        if _drawn_by_a_node(instance.header, item):
            continue
        if segment is None:
            yield _region(instance, item, 0, RoiUnreadable(f"{text(item, 'SegmentLabel')!r} has no SegmentNumber"))
        elif segment not in background:
            yield _region(instance, item, segment, None)


def _drawn_by_a_node(header: Dataset, item: Dataset) -> bool:
    """Whether a segmenter package of this node, or of another, drew a segment and nobody has changed it since.

    Such an object comes back with a study that is exported, and is no reader's word on where the tumour lies.
    """
    algorithms = items(item, "SegmentationAlgorithmIdentificationSequence")
    return (
        text(header, "Manufacturer") == MANUFACTURER
        and text(item, "SegmentAlgorithmType") == "AUTOMATIC"
        and any(text(algorithm, "AlgorithmSource") == MANUFACTURER for algorithm in algorithms)
    )


def laid(region: GivenRoi, volume: Volume) -> Laid:
    """The mask of a segment on the grid of a volume.

    Raises RoiUnreadable, PixelsUnreadable, EmptyRoi, MissingAttribute, InvalidAttribute.
    """
    return sampled(_planes(region, reach_mm(region, volume)), volume.geometry)


def shape_of(region: GivenRoi, volume: Volume) -> Planes:
    """A segment in its own frame of reference. Raises as ``laid``."""
    return _planes(region, reach_mm(region, volume))


def _is_labelmap(instance: Instance) -> bool:
    return instance.identity.sop_class_uid == LABELMAP or text(instance.header, "SegmentationType") == "LABELMAP"


def _region(instance: Instance, item: Dataset, segment: int, flaw: Refused | None) -> GivenRoi:
    header = instance.header
    label = text(item, "SegmentLabel") or f"Segment {segment}"
    return GivenRoi(
        instance=instance,
        number=segment,
        label=label,
        origin=RoiOrigin.SEGMENTATION,
        frame_of_reference_uid=text(header, "FrameOfReferenceUID"),
        tracking_uid=text(item, "TrackingUID") or derived_tracking_uid(instance, segment),
        tracking_id=text(item, "TrackingID") or label,
        created=created_at(header, ("ContentDate", "ContentTime"), ("SeriesDate", "SeriesTime")),
        drawn_on=_drawn_on(header),
        category=code_of(item, "SegmentedPropertyCategoryCodeSequence"),
        type=code_of(item, "SegmentedPropertyTypeCodeSequence"),
        flaw=flaw,
    )


def _drawn_on(header: Dataset) -> tuple[str, ...]:
    found = (text(series, "SeriesInstanceUID") for series in items(header, "ReferencedSeriesSequence"))
    return tuple(dict.fromkeys(uid for uid in found if uid))


def _planes(region: GivenRoi, most_mm: float) -> Planes:
    """The segment's voxels, at most so thick. Raises EmptyRoi where it has none."""
    frames = frames_in(region.instance)
    places = [plane_of(frame) for frame in frames]
    first = places[0]
    _need_parallel(region, places)
    normal = np.cross(first.along_row, first.along_column)
    along = np.array([place.position_mm for place in places]) @ normal
    stated_mm, alone_mm = _stated_spacing(frames[0]), thickness_mm(frames[0])
    own, owner = slabs(along, stated_mm=stated_mm, alone_mm=alone_mm, most_mm=most_mm)
    wanted = [index for index, frame in enumerate(frames) if _holds(region, frame)]
    pixels = stored_frames(region.instance.path, region.instance.header, wanted)
    drawn = [
        Drawn(int(owner[index]), places[index].position_mm, *cropped)
        for index, stored in zip(wanted, pixels, strict=True)
        if (cropped := crop(_held(region, stored))) is not None
    ]
    if not drawn:
        raise EmptyRoi(f"segment {region.number} {region.label!r} has no voxel")
    return Planes(own, tuple(drawn), first)


def _need_parallel(region: GivenRoi, places: list[Plane]) -> None:
    axes = np.array([(*place.along_row, *place.along_column, *place.spacing_mm) for place in places])
    if np.abs(axes - axes[0]).max() > 1e-3:
        raise RoiUnreadable(f"frames of {region.source_sop_instance_uid} differ in orientation or pixel spacing")


def _stated_spacing(frame: Frame) -> float | None:
    found = number(frame.group("PixelMeasuresSequence"), "SpacingBetweenSlices")
    return found if found and found > 0 else None


def _holds(region: GivenRoi, frame: Frame) -> bool:
    """Whether a frame may hold voxels of the segment."""
    if _is_labelmap(region.instance):
        return True
    return integer(frame.group("SegmentIdentificationSequence"), "ReferencedSegmentNumber") == region.number


def _held(region: GivenRoi, stored: Stored) -> Bools:
    """The pixels of a frame that belong to the segment."""
    header = region.instance.header
    if _is_labelmap(region.instance):
        return np.asarray(stored == region.number)
    if text(header, "SegmentationType") == "FRACTIONAL":
        whole = integer(header, "MaximumFractionalValue")
        if not whole or whole < 1:
            raise RoiUnreadable("a fractional segmentation without MaximumFractionalValue")
        return np.asarray(stored >= whole / 2)
    return np.asarray(stored != 0)
