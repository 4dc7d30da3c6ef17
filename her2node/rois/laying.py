"""Regions onto the voxels of a series."""

from __future__ import annotations

from her2node.errors import EmptyRoi
from her2node.rois import segmentation, structure_set
from her2node.rois.carrying import Shape, carried
from her2node.rois.given import GivenRoi, way_to
from her2node.rois.roi import Laid, Roi, RoiOrigin
from her2node.rois.varied import varied
from her2node.volumes.volume import Volume


def lay(region: GivenRoi, volume: Volume) -> Roi:
    """The region as a mask on the voxels of ``volume``; a voxel belongs to it when its centre does.

    In another frame of reference it is laid as the study's registrations lead there, and the result names them.

    Raises OtherFrameOfReference, NoFrameOfReference, RegistrationUnusable, RoiUnreadable, PixelsUnreadable, EmptyRoi
    (no voxel centre of this series lies in the region), MissingAttribute, InvalidAttribute.
    """
    if region.flaw is not None:
        raise region.flaw
    way = way_to(region, volume.geometry.frame_of_reference_uid)
    laid = carried(_shape_of(region, volume), volume.geometry, way) if way.links else _laid(region, volume)
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
        carried_by=way.sop_instance_uids,
    )


def _laid(region: GivenRoi, volume: Volume) -> Laid:
    if region.drawn is not None:
        return region.drawn.laid(volume.geometry)
    if region.origin is RoiOrigin.SEGMENTATION:
        return segmentation.laid(region, volume)
    return structure_set.laid(region, volume)


def _shape_of(region: GivenRoi, volume: Volume) -> Shape:
    if region.drawn is not None:
        return region.drawn.planes()
    if region.origin is RoiOrigin.SEGMENTATION:
        return segmentation.shape_of(region, volume)
    return structure_set.shape_of(region, volume)
