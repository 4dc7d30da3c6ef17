"""Dual-energy CT: iodine maps, effective atomic number, and iodine from two energies where that was asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from her2node.dicom.codes import DualEnergy, Unit
from her2node.errors import MixedOrientations, NoReference, NotRequested, Refused, RoleMissing
from her2node.quantities import dual_energy
from her2node.quantities.dual_energy import Aorta, Provenance
from her2node.quantities.histogram import EVERY_PERCENT
from her2node.quantities.quantity import NotMeasured, Quantity, QuantityMap
from her2node.reading.laid import elsewhere, near, on_each
from her2node.reading.reading import Found, Measured, Scene, joined, unread
from her2node.reading.vessels import FEWEST_VOXELS, Reference, aorta_tube, beside
from her2node.rois import GivenRoi, lay
from her2node.rois.moving import tube_mask
from her2node.rois.reference import aorta_of, is_aorta
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.selection.spectral import energy_of
from her2node.selection.study import Series
from her2node.volumes import build, build_effective_z, build_iodine, stack_of
from her2node.volumes.volume import Geometry, Volume

_SHOWN_MG_PER_ML = (0.0, 5.0)
"""The window in which a reader first sees an iodine map."""
_SAME_GRID_MM = 0.01


@dataclass(frozen=True)
class _Iodine:
    """An iodine volume, what it was had from, and where it is to be reported."""

    volume: Volume
    provenance: Provenance
    series_uids: tuple[str, ...]
    measured: tuple[Measured, ...]


@dataclass(frozen=True)
class _Energy:
    """A series of mono-energetic images."""

    series: Series
    kev: float


def read_dual_energy(scene: Scene) -> Found:
    """Every region on every dual-energy series, in the order of the study; where a contrast phase has no iodine map
    that can be read, on iodine decomposed from its lowest and highest energy if ``scene.methods.decompose``."""
    maps = scene.players(Role.IODINE)
    parts = [_in_phase(_on_map(scene, series), _phase(scene, series)) for series in maps]
    covered = {_phase(scene, series) for series, part in zip(maps, parts, strict=True) if part.measured}
    parts += [
        _in_phase(_from_energies(scene, members), phase)
        for phase, members in _by_phase(scene, scene.players(Role.MONOENERGETIC)).items()
        if phase not in covered
    ]
    parts += [
        _in_phase(_effective_z(scene, series), _phase(scene, series)) for series in scene.players(Role.EFFECTIVE_Z)
    ]
    return joined(parts)


def _in_phase(found: Found, phase: Role | None) -> Found:
    return replace(
        found,
        quantities=tuple(replace(q, phase=phase) for q in found.quantities),
        not_measured=tuple(replace(n, phase=phase) for n in found.not_measured),
    )


def _phase(scene: Scene, series: Series) -> Role | None:
    return scene.selection.of(series.series_instance_uid).phase


def _by_phase(scene: Scene, members: Sequence[Series]) -> dict[Role | None, list[Series]]:
    found: dict[Role | None, list[Series]] = defaultdict(list)
    for series in members:
        found[_phase(scene, series)].append(series)
    return found


# --- an iodine map of the scanner ------------------------------------------------------------------------------


def _on_map(scene: Scene, series: Series) -> Found:
    uid = series.series_instance_uid
    try:
        geometry = stack_of(series, Role.IODINE).geometry
        made = build_iodine(series) if near(scene.regions, geometry) else None
    except Refused as error:
        return unread(Role.IODINE, error, (uid,), DualEnergy.IODINE)
    if made is None:
        return _all_elsewhere(scene, Role.IODINE, uid, geometry)
    volume, stated = made
    method = DualEnergy.converted(stated.factor, stated.words) if stated.factor != 1 else None
    measured = Measured(uid, Role.IODINE, volume.geometry, volume.unit, volume.sources)
    iodine = _Iodine(volume, Provenance(bool(stated.words), method), (uid,), (measured,))
    return _measure(scene, iodine)


def _measure(scene: Scene, iodine: _Iodine) -> Found:
    """Iodine in every region, and a map of it where the node calculated the voxels."""
    volume = iodine.volume
    aorta = _aorta(scene, volume)

    def of_region(region: GivenRoi, roi: Roi) -> tuple[Quantity | NotMeasured, ...]:
        reference = None if is_aorta(region) else part_of_aorta(aorta, volume, roi)
        return dual_energy.measure(volume, roi, Role.IODINE, iodine.provenance, reference, scene.methods.percents)

    maps = (_map(iodine),) if iodine.provenance.method and scene.maps else ()
    found = on_each(scene.regions, volume, Role.IODINE, iodine.series_uids, of_region)
    return replace(
        found,
        measured=iodine.measured,
        quantities=tuple(replace(q, series_uids=iodine.series_uids) for q in found.quantities),
        not_measured=tuple(replace(n, series_uids=iodine.series_uids) for n in found.not_measured),
        maps=maps,
    )


def _aorta(scene: Scene, volume: Volume) -> Reference | Refused:
    """The aorta on a volume: a given region, else where this node found it in the same frame of reference."""
    try:
        return Reference(roi=lay(aorta_of(scene.given), volume))
    except NoReference as error:
        tube = aorta_tube(scene, volume)
        return error if tube is None else Reference(tube=tube)
    except Refused as error:
        return error


def part_of_aorta(aorta: Reference | Refused, volume: Volume, roi: Roi) -> Aorta | Refused:
    """The part of the aorta that a region is compared with, the same as in a contrast phase."""
    if isinstance(aorta, Refused):
        return aorta
    if aorta.roi is not None:
        return Aorta(aorta.roi.mask)
    tube = beside(aorta, roi).tube
    assert tube is not None
    mask = tube_mask(tube, volume.geometry) & volume.valid
    if np.count_nonzero(mask) < FEWEST_VOXELS:
        return NoReference("the aorta found lies beside the series", remedy="outline the aorta and label it so")
    return Aorta(mask, found=True)


def _map(iodine: _Iodine) -> QuantityMap:
    volume = iodine.volume
    voxels = volume.voxels
    if not volume.valid.all():
        voxels = np.where(volume.valid, volume.voxels, np.float32(np.nan)).astype(np.float32)
        voxels.flags.writeable = False
    low, high = _SHOWN_MG_PER_ML
    return QuantityMap(
        DualEnergy.IODINE, Unit.MG_PER_ML, volume.geometry, voxels, volume.sources, iodine.series_uids,
        low, high, Role.IODINE, iodine.provenance.method,
    )  # fmt: skip


# --- iodine from two energies ----------------------------------------------------------------------------------


def _from_energies(scene: Scene, members: Sequence[Series]) -> Found:
    """Iodine from the lowest and the highest energy of one phase, if it was asked for."""
    uids = tuple(series.series_instance_uid for series in members)
    try:
        if not scene.methods.decompose:
            raise NotRequested(
                "iodine could be decomposed from mono-energetic images", remedy="set dual_energy.decompose = true"
            )
        low, high = _pair(members)
        uids = (low.series.series_instance_uid, high.series.series_instance_uid)
        geometry = _common_grid(stack_of(low.series).geometry, stack_of(high.series).geometry)
        if not near(scene.regions, geometry):
            return _all_elsewhere(scene, Role.IODINE, uids[0], geometry)
        iodine = _decomposed(low, high)
    except Refused as error:
        return unread(Role.IODINE, error, uids, DualEnergy.IODINE)
    return _measure(scene, iodine)


def _pair(members: Sequence[Series]) -> tuple[_Energy, _Energy]:
    """The series of the lowest and of the highest energy. Raises RoleMissing, and what ``energy_of`` raises."""
    energies = sorted((_Energy(series, energy_of(series)) for series in members), key=lambda one: one.kev)
    if energies[0].kev == energies[-1].kev:
        raise RoleMissing(f"mono-energetic images of {energies[0].kev:g} keV alone: two energies are needed")
    return energies[0], energies[-1]


def _common_grid(one: Geometry, other: Geometry) -> Geometry:
    """The grid of both series. Raises MixedOrientations where they lie on two."""
    same = (one.shape, one.frame_of_reference_uid) == (other.shape, other.frame_of_reference_uid)
    corners = np.array([(0, 0, 0), [count - 1 for count in one.shape]])
    if not same or np.abs(one.to_patient(corners) - other.to_patient(corners)).max() > _SAME_GRID_MM:
        raise MixedOrientations("the images of the two energies do not lie on one grid")
    return one


def _decomposed(low: _Energy, high: _Energy) -> _Iodine:
    """Iodine on the grid of both. A voxel without image in one of them is without image."""
    one, other = build(low.series), build(high.series)
    voxels = dual_energy.decompose(one.voxels, other.voxels, low.kev, high.kev)
    valid = one.valid & other.valid
    voxels.flags.writeable = valid.flags.writeable = False
    measured = tuple(
        Measured(volume.series_instance_uid, Role.MONOENERGETIC, volume.geometry, volume.unit, volume.sources)
        for volume in (one, other)
    )
    volume = replace(one, voxels=voxels, valid=valid, unit=Unit.MG_PER_ML)
    provenance = Provenance(method=DualEnergy.decomposed(low.kev, high.kev))
    uids = (one.series_instance_uid, other.series_instance_uid)
    return _Iodine(volume, provenance, uids, measured)


# --- effective atomic number, and what could not be done ---------------------------------------------------------


def _effective_z(scene: Scene, series: Series) -> Found:
    uid, role = series.series_instance_uid, Role.EFFECTIVE_Z
    try:
        geometry = stack_of(series, role).geometry
        volume = build_effective_z(series)[0] if near(scene.regions, geometry) else None
    except Refused as error:
        return unread(role, error, (uid,))
    if volume is None:
        return _all_elsewhere(scene, role, uid, geometry)

    def of_region(_: GivenRoi, roi: Roi) -> tuple[Quantity | NotMeasured, ...]:
        return dual_energy.measure_effective_z(volume, roi, role, EVERY_PERCENT if scene.methods.histograms else ())

    measured = Measured(uid, role, volume.geometry, volume.unit, volume.sources)
    return replace(on_each(scene.regions, volume, role, (uid,), of_region), measured=(measured,))


def _all_elsewhere(scene: Scene, role: Role, uid: str, geometry: Geometry) -> Found:
    return Found(not_measured=tuple(elsewhere(region, role, uid, geometry) for region in scene.regions))
