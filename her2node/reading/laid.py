"""What every course does with a region and a series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from her2node.errors import NoFrameOfReference, OtherFrameOfReference, Refused
from her2node.quantities.quantity import NotMeasured
from her2node.reading.reading import LaidRoi
from her2node.rois import GivenRoi
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Geometry, Volume


def near(regions: Sequence[GivenRoi], geometry: Geometry) -> list[GivenRoi]:
    """The regions that lie in the frame of reference of a series."""
    return [region for region in regions if region.frame_of_reference_uid == geometry.frame_of_reference_uid]


def elsewhere(region: GivenRoi, role: Role | None, series_uid: str) -> NotMeasured:
    """A region that cannot be laid on a series, as ``lay`` would say it, without that series' voxels."""
    reason: Refused = OtherFrameOfReference(f"{region.label!r} and series {series_uid}")
    if not region.frame_of_reference_uid:
        reason = NoFrameOfReference(f"region {region.label!r}")
    return NotMeasured(region.tracking_id, role, region.flaw or reason, series_uids=(series_uid,))


def with_key_slice(roi: Roi, volume: Volume) -> LaidRoi:
    """A region with the slice of the volume on which it is largest."""
    key = int(np.argmax(np.count_nonzero(roi.mask, axis=(1, 2))))
    image = np.where(volume.valid[key], volume.voxels[key], np.float32(np.nan)).astype(np.float32)
    image.flags.writeable = False
    return LaidRoi(volume.series_instance_uid, roi, key, image)
