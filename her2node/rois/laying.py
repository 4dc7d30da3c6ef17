"""Regions onto the voxels of a series."""

from __future__ import annotations

from her2node.errors import EmptyRoi, NoFrameOfReference, OtherFrameOfReference
from her2node.rois import segmentation, structure_set
from her2node.rois.given import GivenRoi
from her2node.rois.roi import Roi, RoiOrigin
from her2node.rois.varied import varied
from her2node.volumes.volume import Geometry, Volume


def lay(region: GivenRoi, volume: Volume) -> Roi:
    """The region as a mask on the voxels of ``volume``; a voxel belongs to it when its centre does.

    Raises OtherFrameOfReference, NoFrameOfReference, RoiUnreadable, PixelsUnreadable, EmptyRoi (no voxel centre of
    this series lies in the region), MissingAttribute, InvalidAttribute.
    """
    if region.flaw is not None:
        raise region.flaw
    _need_same_frame_of_reference(region, volume.geometry)
    source = segmentation if region.origin is RoiOrigin.SEGMENTATION else structure_set
    laid = source.laid(region, volume)
    mask = laid.mask if region.variation is None else varied(laid.mask, region.variation)
    if not mask.any():
        where = ": it lies outside" if laid.cut_off else ""
        raise EmptyRoi(f"{region.label!r} in series {volume.series_instance_uid}{where}")
    mask.flags.writeable = False
    return Roi(
        mask=mask,
        geometry=volume.geometry,
        label=region.label,
        tracking_uid=region.tracking_uid,
        tracking_id=region.tracking_id,
        origin=region.origin,
        source_sop_class_uid=region.source_sop_class_uid,
        source_sop_instance_uid=region.source_sop_instance_uid,
        source_number=region.number,
        category=region.category,
        type=region.type,
        cut_off=laid.cut_off,
    )


def _need_same_frame_of_reference(region: GivenRoi, geometry: Geometry) -> None:
    if not region.frame_of_reference_uid:
        raise NoFrameOfReference(f"region {region.label!r}")
    if region.frame_of_reference_uid != geometry.frame_of_reference_uid:
        raise OtherFrameOfReference(f"{region.frame_of_reference_uid}, the series in {geometry.frame_of_reference_uid}")
