"""PET: uptake of every region, with the liver of PERCIST where it is given, and the whole as a map of SUVbw."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from her2node.dicom.attributes import text
from her2node.dicom.codes import Unit, Uptake
from her2node.errors import Refused, TooLarge
from her2node.quantities import morphology, uptake
from her2node.quantities.quantity import Evaluation, NotMeasured, Quantity, QuantityMap
from her2node.quantities.uptake import Circumstances, Values
from her2node.reading.entered import preparation_of
from her2node.reading.laid import elsewhere, near, on_each
from her2node.reading.reading import Found, Measured, Scene, joined, unread
from her2node.rois import GivenRoi, lay
from her2node.rois.reference import is_liver
from her2node.rois.roi import Roi
from her2node.selection.pet import TAKEN_FOR_FDG
from her2node.selection.roles import Role
from her2node.selection.study import Series
from her2node.volumes import pet
from her2node.volumes.pet import PetVolume

_ROLES = (Role.PET, Role.PET_OTHER_TRACER)
MOST_MAP_BYTES = 1 << 29
"""Of all SUV maps of a study together: until they are written they take three times that of memory."""
_SHOWN_TO = 10.0
"""SUVbw at the upper end of the window in which a reader first sees the map."""


def read_uptake(scene: Scene) -> Found:
    """Every region on every PET series that is corrected for attenuation. One series' voxels are held at a time, and
    those of the maps."""
    played = [(a.series_instance_uid, a.role) for a in scene.selection.assignments if not a.ignored]
    found: list[Found] = []
    room = MOST_MAP_BYTES
    for uid, role in played:
        series = scene.study.series_of(uid)
        if series is None or role is None or role not in _ROLES:
            continue
        found.append(_measure(series, role, scene, room))
        room -= sum(one.voxels.nbytes for one in found[-1].maps)
    return joined(found)


def _measure(series: Series, role: Role, scene: Scene, room: int) -> Found:
    uid = series.series_instance_uid
    try:
        geometry = pet.stack_of(series).geometry
        if not _is_shown(scene) and not near(scene.regions, geometry):
            return Found(not_measured=tuple(elsewhere(one, role, uid, geometry) for one in scene.regions))
        built = pet.build(series)
        preparation = preparation_of(scene.entered, built.normalisation.uptake)
    except Refused as error:
        return unread(role, error, (uid,))
    volume, by = built.volume, built.normalisation
    rules = (*by.notes, *_other_sex(scene, by.body.sex))
    doubts = tuple(words for words in scene.selection.of(uid).evidence if words == TAKEN_FOR_FDG)
    around = Circumstances(by.body, preparation, scene.methods.gates, _liver(scene, built), rules, doubts)
    seen = Found(
        (Measured(uid, role, volume.geometry, volume.unit, volume.sources),),
    )
    shown = _shown(built, role, room) if _is_shown(scene) else Found()

    def of_region(_: GivenRoi, roi: Roi) -> Iterator[Quantity | NotMeasured | Evaluation]:
        yield from uptake.measure(volume, roi, role, around)
        if scene.methods.histograms:
            yield from uptake.histogram(volume, roi, role, around, scene.methods.percents)
        yield from morphology.measure(volume, roi, role, wall=False)
        for concept, answer in preparation.histology:
            yield Evaluation(roi.tracking_id, concept, answer, (uid,))

    return joined([seen, shown, on_each(scene.regions, volume, role, (uid,), of_region)])


def _other_sex(scene: Scene, taken: str) -> tuple[str, ...]:
    """Lean masses differ between the sexes, so that a study whose objects do not agree on it is told."""
    others = {text(series.first, "PatientSex").upper() for series in scene.study.series} - {"", taken}
    if not others:
        return ()
    return (f"PatientSex is {', '.join(sorted(others))} in other series; that of the PET, {taken or 'none'}, is taken",)


def _is_shown(scene: Scene) -> bool:
    return scene.maps and scene.methods.suv_maps


def _shown(built: PetVolume, role: Role, room: int) -> Found:
    """The series as a map, where there is room for it."""
    volume = built.volume
    if volume.voxels.nbytes <= room:
        return Found(maps=(_map(built, role),))
    said = f"a map of {volume.voxels.nbytes >> 20} MiB, {max(room, 0) >> 20} MiB are left for SUV maps"
    return unread(role, TooLarge(said), (volume.series_instance_uid,), Uptake.SUVBW)


def _map(built: PetVolume, role: Role) -> QuantityMap:
    """SUVbw voxel by voxel; the volume's own voxels where all of them hold image, for a whole body is large."""
    volume = built.volume
    voxels = volume.voxels
    if not volume.valid.all():
        voxels = np.where(volume.valid, voxels, np.float32(np.nan))
        voxels.flags.writeable = False
    return QuantityMap(
        code=Uptake.SUVBW,
        unit=Unit.SUVBW,
        geometry=volume.geometry,
        voxels=voxels,
        sources=volume.sources,
        series_uids=(volume.series_instance_uid,),
        low=0.0,
        high=_SHOWN_TO,
        role=role,
        method=Uptake.BY_WEIGHT,
        parameters=built.normalisation.notes,
    )


def _liver(scene: Scene, built: PetVolume) -> Values | None:
    """SUVbw of the first given liver that lies on the series."""
    for region in scene.given:
        if is_liver(region):
            try:
                mask = lay(region, built.volume).mask & built.volume.valid
            except Refused:
                continue
            return built.volume.voxels[mask].astype(np.float64)
    return None
