"""The vessels that a lesion is compared with: given regions named so go before what this node found by geometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from her2node.errors import Refused
from her2node.reading.reading import Scene
from her2node.rois import GivenRoi, lay
from her2node.rois.landmarks import Landmarks, Tube
from her2node.rois.moving import displaced, tube_mask
from her2node.rois.reference import is_aorta, is_portal_vein
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Bools, Volume

FEWEST_VOXELS = 30
_BESIDE_MM = 12.0
"""Beyond the ends of a region."""


@dataclass(frozen=True)
class Reference:
    """A vessel: the given region, as laid where it was first needed, or else the line found by this node."""

    roi: Roi | None = None
    tube: Tube | None = None


@dataclass(frozen=True)
class Vessels:
    """The reference vessels of one frame of reference."""

    aorta: Reference = Reference()
    portal_vein: Reference = Reference()

    def beside(self, roi: Roi) -> Vessels:
        """The vessels as a region is compared with them."""
        return Vessels(beside(self.aorta, roi), beside(self.portal_vein, roi))


def vessels_of(scene: Scene, volume: Volume) -> Vessels:
    """The reference vessels in the volume's frame of reference. The aorta is sought where it is brightest, the portal
    vein in the portal phase first."""
    found = {
        role: landmarks
        for role, uid in scene.selection.chosen.items()
        if (landmarks := scene.landmarks.get(uid)) is not None
        and landmarks.frame_of_reference_uid == volume.geometry.frame_of_reference_uid
    }
    return Vessels(
        Reference(_given(scene.given, is_aorta, volume), _aorta(found)),
        Reference(_given(scene.given, is_portal_vein, volume), _portal_vein(found)),
    )


def aorta_tube(scene: Scene, volume: Volume) -> Tube | None:
    """The line of the aorta that this node found in the volume's frame of reference: in a phase that is measured, else
    in any CT series that was looked at, as mono-energetic images."""
    chosen = vessels_of(replace(scene, given=()), volume).aorta.tube
    others = (
        landmarks.aorta_tube
        for landmarks in scene.landmarks.values()
        if landmarks.frame_of_reference_uid == volume.geometry.frame_of_reference_uid
    )
    return chosen or next((tube for tube in others if tube is not None), None)


def _given(regions: Sequence[GivenRoi], wanted: Callable[[GivenRoi], bool], volume: Volume) -> Roi | None:
    for region in regions:
        if wanted(region):
            with suppress(Refused):
                return lay(region, volume)
    return None


def _aorta(found: dict[Role, Landmarks]) -> Tube | None:
    roles = (Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM)
    return next((found[role].aorta_tube for role in roles if role in found and found[role].aorta_tube), None)


def _portal_vein(found: dict[Role, Landmarks]) -> Tube | None:
    roles = (Role.PORTAL, Role.EQUILIBRIUM)
    return next((found[role].portal_tube for role in roles if role in found and found[role].portal_tube), None)


def beside(reference: Reference, roi: Roi) -> Reference:
    """The part of a vessel found by this node that lies on the slices of a region, for blood is the same along it and
    fewer slices need decoding; all of it where that part is short."""
    if reference.tube is None or len(reference.tube.line_mm) == 1:
        return reference
    geometry, tube = roi.geometry, reference.tube
    along = geometry.to_index(tube.line_mm)[:, 0]
    around = _BESIDE_MM / geometry.spacing_mm[0]
    near = np.flatnonzero((along >= roi.box[0].start - around) & (along <= roi.box[0].stop - 1 + around))
    length_mm = np.ptp(along[near]) * geometry.spacing_mm[0] if len(near) else 0.0
    if np.pi * tube.radius_mm**2 * length_mm < 3 * FEWEST_VOXELS * geometry.voxel_volume_mm3:
        return reference
    return Reference(tube=replace(tube, line_mm=tuple(tube.line_mm[index] for index in near)))


def spans_mm(vessels: Vessels) -> list[npt.NDArray[np.float64]]:
    """Places (n, 3) between which every reference vessel lies."""
    found = []
    for reference in (vessels.aorta, vessels.portal_vein):
        if reference.roi is not None:
            box = reference.roi.box
            corners = np.array(np.meshgrid(*((side.start, side.stop - 1) for side in box))).reshape(3, -1).T
            found.append(reference.roi.geometry.to_patient(corners))
        elif reference.tube is not None:
            line, radius = np.asarray(reference.tube.line_mm), reference.tube.radius_mm
            found.append(np.concatenate([line - radius, line + radius]))
    return found


def vessel_hu(volume: Volume, reference: Reference, by_mm: tuple[float, float, float]) -> float | None:
    """Mean attenuation of a reference vessel, displaced by ``by_mm``; None without one, or where too little of it lies
    in the volume."""
    if reference.roi is not None:
        with suppress(Refused):
            return mean(volume, displaced(reference.roi, volume.geometry, by_mm).mask, FEWEST_VOXELS)
        return None
    if reference.tube is None:
        return None
    return mean(volume, tube_mask(reference.tube.moved(by_mm), volume.geometry), FEWEST_VOXELS)


def mean(volume: Volume, mask: Bools, fewest: int) -> float | None:
    """Mean of the voxels with image under a mask; None where they are fewer."""
    values = volume.voxels[mask][volume.valid[mask]]
    return float(values.mean(dtype="float64")) if len(values) >= fewest else None
