"""A region as its object describes it, before any pixel or contour is looked at; or as this node drew it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, moment, text
from her2node.dicom.codes import Code
from her2node.dicom.uids import derived_uid
from her2node.errors import NoFrameOfReference, Refused
from her2node.rois.drawn import DrawnMask
from her2node.rois.registration import NONE, Registrations, Way
from her2node.rois.roi import RoiOrigin
from her2node.rois.slabs import FARTHEST_NEIGHBOUR_MM
from her2node.rois.varied import Variation
from her2node.selection.study import Instance, Study
from her2node.volumes.volume import Volume


@dataclass(frozen=True)
class GivenRoi:
    """A segment of a SEG or a region of an RTSTRUCT; with ``drawn`` a mask that this node drew on a series.

    ``number`` is its SegmentNumber or ROINumber; ``created`` says when its object was made; ``drawn_on`` names the
    series that the object refers to. ``flaw`` is set where the region cannot be laid whatever the series;
    ``variation`` where it is to be laid otherwise than it was drawn, ``varied_from`` then the tracking UID of that.
    ``registrations`` lead into other frames of reference. ``instance`` is the object that holds it, of a mask that
    was drawn here the first image that it was drawn on.
    """

    instance: Instance = field(repr=False)
    number: int
    label: str
    origin: RoiOrigin
    frame_of_reference_uid: str
    tracking_uid: str
    tracking_id: str
    created: datetime | None = None
    drawn_on: tuple[str, ...] = ()
    category: Code | None = None
    type: Code | None = None
    flaw: Refused | None = None
    variation: Variation | None = None
    varied_from: str = ""
    drawn: DrawnMask | None = field(default=None, repr=False)

    @property
    def drawn_uid(self) -> str:
        """The tracking UID of the region as it was drawn, whatever its variation."""
        return self.varied_from or self.tracking_uid

    registrations: Registrations = field(default=NONE, repr=False)

    @property
    def source_sop_class_uid(self) -> str:
        return self.instance.identity.sop_class_uid

    @property
    def source_sop_instance_uid(self) -> str:
        return self.instance.identity.sop_instance_uid

    @property
    def source_series_instance_uid(self) -> str:
        return self.instance.identity.series_instance_uid


def derived_tracking_uid(instance: Instance, number: int) -> str:
    """For a region without a tracking UID: the same for the same object and number, always."""
    return derived_uid("tracking", instance.identity.sop_instance_uid, str(number))


def told_apart(regions: Sequence[GivenRoi]) -> tuple[GivenRoi, ...]:
    """The regions with ``(2)``, ``(3)``... behind tracking ids that others with another tracking UID bear too."""
    by_id: dict[str, dict[str, int]] = {}
    shown = []
    for region in regions:
        places = by_id.setdefault(region.tracking_id, {})
        place = places.setdefault(region.tracking_uid, len(places) + 1)
        shown.append(region if place == 1 else replace(region, tracking_id=f"{region.tracking_id} ({place})"))
    return tuple(shown)


def on_arranged(region: GivenRoi, study: Study) -> GivenRoi:
    """The region, drawn also on every series of ``study`` that holds images of a series it was drawn on: arranging may
    have split or joined that, and then it has a UID of its own."""
    also = (
        series.series_instance_uid
        for series in study.series
        if any(instance.identity.series_instance_uid in region.drawn_on for instance in series.instances)
    )
    return replace(region, drawn_on=tuple(dict.fromkeys((*region.drawn_on, *also))))


def way_to(region: GivenRoi, frame_of_reference_uid: str) -> Way:
    """How the places of a series are led to where the region was drawn: no link where they are the same.

    Raises NoFrameOfReference, OtherFrameOfReference, RegistrationUnusable.
    """
    if not region.frame_of_reference_uid:
        raise NoFrameOfReference(f"region {region.label!r}")
    if region.frame_of_reference_uid == frame_of_reference_uid:
        return Way(())
    return region.registrations.way(frame_of_reference_uid, region.frame_of_reference_uid)


def reach_mm(region: GivenRoi, volume: Volume) -> float:
    """How thick a plane of the region may be on a series: one slice of it where it was drawn on that very series.

    Without this, a region drawn in two places far apart, or on every other slice, would fill what lies between.
    """
    own = volume.series_instance_uid in region.drawn_on
    return volume.geometry.spacing_mm[0] if own else FARTHEST_NEIGHBOUR_MM


def created_at(ds: Dataset, *pairs: tuple[str, str]) -> datetime | None:
    """The first of several date and time attribute pairs that is filled."""
    return next((found for pair in pairs if (found := moment(ds, *pair)) is not None), None)


def code_of(ds: Dataset, sequence: str) -> Code | None:
    """The first item of a code sequence (PS3.3 8.8), or None where it has no value or no scheme."""
    for item in items(ds, sequence)[:1]:
        value = text(item, "CodeValue") or text(item, "LongCodeValue") or text(item, "URNCodeValue")
        scheme = text(item, "CodingSchemeDesignator")
        if value and scheme:
            return Code(value, scheme, text(item, "CodeMeaning"))
    return None
