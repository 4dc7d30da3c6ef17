"""What every course does with a region and a series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from her2node.errors import OtherFrameOfReference, Refused
from her2node.quantities.quantity import Evaluation, NotMeasured, Quantity
from her2node.reading.reading import Found, LaidRoi, joined, sorted_out
from her2node.rois import GivenRoi, lay
from her2node.rois.given import way_to
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Geometry, Volume


def near(regions: Sequence[GivenRoi], geometry: Geometry) -> list[GivenRoi]:
    """The regions that lie in the frame of reference of a series, or are led there by a registration."""
    found = []
    for region in regions:
        with suppress(Refused):
            way_to(region, geometry.frame_of_reference_uid)
            found.append(region)
    return found


def elsewhere(region: GivenRoi, role: Role | None, series_uid: str, geometry: Geometry) -> NotMeasured:
    """A region that cannot be laid on a series, as ``lay`` would say it, without that series' voxels."""
    try:
        way_to(region, geometry.frame_of_reference_uid)
        reason: Refused = OtherFrameOfReference(f"{region.label!r} and series {series_uid}")
    except Refused as error:
        reason = error
    return NotMeasured(region.tracking_id, role, region.flaw or reason, series_uids=(series_uid,))


def on_each(
    regions: Iterable[GivenRoi],
    volume: Volume,
    role: Role,
    series_uids: tuple[str, ...],
    measure: Callable[[GivenRoi, Roi], Iterable[Quantity | NotMeasured | Evaluation]],
) -> Found:
    """What is measured of every region on a volume, or why it cannot be laid there."""
    found = []
    for region in regions:
        try:
            roi = lay(region, volume)
        except Refused as error:
            refusal = NotMeasured(region.tracking_id, role, error, series_uids=series_uids)
            found.append(Found(not_measured=(refusal,)))
        else:
            found.append(sorted_out(measure(region, roi), rois=(with_key_slice(roi, volume),)))
    return joined(found)


def with_key_slice(roi: Roi, volume: Volume) -> LaidRoi:
    """A region with the slice of the volume on which it is largest."""
    key = int(np.argmax(np.count_nonzero(roi.mask, axis=(1, 2))))
    image = np.where(volume.valid[key], volume.voxels[key], np.float32(np.nan)).astype(np.float32)
    image.flags.writeable = False
    return LaidRoi(volume.series_instance_uid, roi, key, image)


def carrying_told(found: Found) -> Found:
    """The quantities with a word on the registrations that led their region from another frame of reference."""
    carried = {
        (laid.roi.tracking_id, laid.series_instance_uid): laid.roi.carried_by
        for laid in found.rois
        if laid.roi.carried_by
    }

    def told(quantity: Quantity) -> Quantity:
        uids = (uid for series in quantity.series_uids for uid in carried.get((quantity.roi, series), ()))
        said = tuple(f"region carried by registration {uid}" for uid in dict.fromkeys(uids))
        return replace(quantity, parameters=(*quantity.parameters, *said)) if said else quantity

    if not carried:
        return found
    aside = tuple(told(one) if isinstance(one, Quantity) else one for one in found.aside)
    return replace(found, quantities=tuple(map(told, found.quantities)), aside=aside)
