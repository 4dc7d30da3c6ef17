"""The vessels that a lesion is compared with: given regions named so go before what this node found by geometry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from her2node.dicom.codes import Anatomy, Code
from her2node.errors import Refused
from her2node.reading.reading import Scene
from her2node.rois import GivenRoi, lay
from her2node.rois.landmarks import Landmarks, Tube
from her2node.rois.moving import displaced, tube_mask
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Bools, Volume

FEWEST_VOXELS = 30
_NAMES = {
    Anatomy.AORTA.value: re.compile(r"aorta|主动脉|主動脈", re.IGNORECASE),
    Anatomy.PORTAL_VEIN.value: re.compile(r"portal vein|vena porta|pfortader|门静脉|門靜脈", re.IGNORECASE),
}


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


def is_vessel(region: GivenRoi) -> bool:
    """Whether a given region is a reference vessel and so no tumour."""
    return any(_is(region, code) for code in (Anatomy.AORTA, Anatomy.PORTAL_VEIN))


def _is(region: GivenRoi, code: Code) -> bool:
    if region.type is not None and (region.type.value, region.type.scheme) == (code.value, code.scheme):
        return True
    return bool(_NAMES[code.value].search(region.label))


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
        Reference(_given(scene.vessels, Anatomy.AORTA, volume), _aorta(found)),
        Reference(_given(scene.vessels, Anatomy.PORTAL_VEIN, volume), _portal_vein(found)),
    )


def _given(regions: Sequence[GivenRoi], code: Code, volume: Volume) -> Roi | None:
    for region in regions:
        if _is(region, code):
            with suppress(Refused):
                return lay(region, volume)
    return None


def _aorta(found: dict[Role, Landmarks]) -> Tube | None:
    roles = (Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM)
    return next((found[role].aorta_tube for role in roles if role in found and found[role].aorta_tube), None)


def _portal_vein(found: dict[Role, Landmarks]) -> Tube | None:
    roles = (Role.PORTAL, Role.EQUILIBRIUM)
    return next((found[role].portal_tube for role in roles if role in found and found[role].portal_tube), None)


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
    values = volume.voxels[mask & volume.valid]
    return float(values.mean(dtype="float64")) if len(values) >= fewest else None
