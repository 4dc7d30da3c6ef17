"""One region through several phases: where it lies in each, and what the phases tell together.

The first series that a region is laid on is its reference. On every other one of the same frame of reference the
tissue is looked for about the region's place (``quantities.displacement``); where it lies elsewhere the region moves
with it. What is kept of a series is a crop about the region, so no two whole volumes are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from her2node.dicom.codes import Method, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import EmptyRoi, Refused, TooFewVoxels
from her2node.quantities import enhancement
from her2node.quantities.displacement import REACH_MM, Displacement, displacement, length
from her2node.quantities.enhancement import PhaseMeans
from her2node.quantities.quantity import Evaluation, NotMeasured, Quantity
from her2node.reading.vessels import Vessels, mean, vessel_hu
from her2node.rois.moving import displaced, narrowed
from her2node.rois.roi import Roi
from her2node.selection.choice import PHASES
from her2node.selection.roles import Role
from her2node.volumes.volume import Bools, Geometry, Volume

LEAST_MM = 1.0
"""Displacements up to this, or half a voxel's shortest side where that is more, are not told from none."""
SURE_MM = 0.25
"""Standard error above which a displacement is flagged."""
RETURN_MM = 1.0
"""A displacement is flagged whose way back ends farther than this from where it began."""
FEWEST_VOXELS = 30
CROP_MM = REACH_MM + 14.0


@dataclass(frozen=True)
class Anchor:
    """A region as it was first laid, with the crop about it."""

    roi: Roi = field(repr=False)
    crop: Volume = field(repr=False)


@dataclass(frozen=True)
class Place:
    """Where a region lies on one series: ``moved`` says whether it was displaced from where it was drawn. ``whole`` and
    ``core`` are the means of the region and of the region narrowed by a voxel (None: too few voxels)."""

    role: Role
    roi: Roi = field(repr=False)
    series_uid: str
    moved: bool
    whole: float | None
    core: float | None
    aorta: float | None
    portal_vein: float | None


def cropped(volume: Volume, roi: Roi) -> Volume:
    """A copy of the part of a volume about a region."""
    reach = np.ceil(CROP_MM / np.asarray(volume.geometry.spacing_mm)).astype(int)
    low = np.maximum(np.array([side.start for side in roi.box]) - reach, 0)
    high = np.minimum(np.array([side.stop for side in roi.box]) + reach, volume.geometry.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    voxels, valid = volume.voxels[box].copy(), volume.valid[box].copy()
    return replace(volume, geometry=_part(volume.geometry, low, voxels.shape), voxels=voxels, valid=valid)


def _part(geometry: Geometry, low: np.ndarray, shape: tuple[int, ...]) -> Geometry:
    x, y, z = (float(at) for at in geometry.to_patient(low))
    return replace(geometry, shape=(shape[0], shape[1], shape[2]), origin_mm=(x, y, z))


def followed(
    anchor: Anchor, roi: Roi, volume: Volume, known: Displacement | Refused | None = None
) -> tuple[Roi, Displacement | Refused]:
    """The region on another series, moved where its tissue lies elsewhere there, and the displacement found.

    ``known``: the displacement of the same tissue, found before.
    """
    try:
        found = known or _displacement(anchor, roi, volume)
        if isinstance(found, Refused):
            return roi, found
        if length(found) <= max(LEAST_MM, 0.5 * min(volume.geometry.spacing_mm)):
            return roi, found
        return displaced(anchor.roi, volume.geometry, found.by_mm), found
    except Refused as error:
        return roi, error


def _displacement(anchor: Anchor, roi: Roi, volume: Volume) -> Displacement:
    low = np.rint(anchor.roi.geometry.to_index(anchor.crop.geometry.origin_mm)).astype(int)
    box = tuple(slice(a, a + n) for a, n in zip(low.tolist(), anchor.crop.geometry.shape, strict=True))
    return displacement(anchor.crop, anchor.roi.mask[box], cropped(volume, roi))


def told(
    found: Displacement | Refused, roi: Roi, role: Role | None, uid: str, *, moved: bool
) -> Quantity | NotMeasured:
    """The displacement as a quantity, or that it is not known: the region then lies where it was drawn."""
    if isinstance(found, Refused):
        return NotMeasured(roi.tracking_id, role, found, Concept.DISPLACEMENT, (uid,))
    method = Method.GRADIENT_CORRELATION if moved else Method.GRADIENT_CORRELATION_KEPT
    return Quantity(
        roi.tracking_id, role, Concept.DISPLACEMENT, length(found), Unit.MM, method=method, series_uids=(uid,),
        flags=doubts(found),
    )  # fmt: skip


def doubts(found: Displacement) -> tuple[str, ...]:
    """What is unsure of a displacement, in words."""
    said = []
    if found.error_mm > SURE_MM:
        said.append(f"known to within {3 * found.error_mm:.1f} mm only: edges are faint")
    if found.return_mm > RETURN_MM:
        where = f"{found.return_mm:.1f} mm elsewhere" if found.return_mm < np.inf else "nowhere for sure"
        said.append(f"looked for the other way round the region lies {where}")
    return tuple(said)


def place_of(
    volume: Volume, roi: Roi, core: Bools, role: Role | None, vessels: Vessels, moved: Displacement | Refused | None
) -> Place | None:
    """The means that phases are compared by; None for a series of no phase.

    ``moved``: how the region was displaced, None where it stayed. The portal vein lies among the organs that move with
    it, the aorta does not.
    """
    if role is None or role not in PHASES:
        return None
    by_mm = moved.by_mm if isinstance(moved, Displacement) else (0.0, 0.0, 0.0)
    return Place(
        role,
        roi,
        volume.series_instance_uid,
        moved is not None,
        mean(volume, roi.mask, 1),
        mean(volume, core, FEWEST_VOXELS),
        vessel_hu(volume, vessels.aorta, (0.0, 0.0, 0.0)),
        vessel_hu(volume, vessels.portal_vein, by_mm),
    )


def core_of(anchor: Anchor, found: Displacement | Refused, volume: Volume) -> Bools:
    """The region narrowed by a voxel of the series it was drawn on, on this series."""
    mask = narrowed(anchor.roi.mask)
    by_mm = found.by_mm if isinstance(found, Displacement) else (0.0, 0.0, 0.0)
    if not mask.any():
        return np.zeros(volume.geometry.shape, dtype=np.bool_)
    try:
        return displaced(replace(anchor.roi, mask=mask), volume.geometry, by_mm).mask
    except EmptyRoi:
        return np.zeros(volume.geometry.shape, dtype=np.bool_)


def compared(
    places: Sequence[Place], vessels: Vessels, reference_vein_hu: float | None = None
) -> tuple[Quantity | NotMeasured | Evaluation, ...]:
    """What the phases of one region tell together: over the narrowed region where any of them was displaced."""
    if len(places) < 1:
        return ()
    narrow = any(place.moved for place in places)
    roi = places[0].roi.tracking_id
    phases: dict[Role, PhaseMeans] = {}
    refused: list[NotMeasured] = []
    for place in places:
        lesion = place.core if narrow else place.whole
        if lesion is None:
            few = TooFewVoxels(f"{FEWEST_VOXELS} needed in the region narrowed by a voxel")
            code = Concept.ATTENUATION_DIFFERENCE
            refused.append(NotMeasured(roi, place.role, few, code, (place.series_uid,)))
            continue
        phases[place.role] = PhaseMeans(
            place.series_uid,
            lesion,
            place.aorta,
            place.portal_vein,
            aorta_given=vessels.aorta.roi is not None,
            portal_vein_given=vessels.portal_vein.roi is not None,
        )
    found = enhancement.measure(roi, phases, narrowed=narrow, reference_vein_hu=reference_vein_hu)
    return (*found, *refused)
