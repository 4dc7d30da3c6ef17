"""CT series, one volume each: every region's attenuation and size in every phase."""

from __future__ import annotations

from her2node.errors import Refused
from her2node.quantities import measure, radiomics
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.reading.laid import elsewhere, near, with_key_slice
from her2node.reading.reading import Found, LaidRoi, Measured, Scene, joined
from her2node.rois import lay
from her2node.selection.choice import PHASES
from her2node.selection.roles import Role
from her2node.selection.study import Series
from her2node.volumes import build, stack_of

_ORDER = (*PHASES, Role.CONTRAST_UNSPECIFIED, None)
"""Of series in a reading."""


def read_phases(scene: Scene) -> Found:
    """Every region on every CT series that is not kept out. One series' voxels are held at a time."""
    return joined([_measure(series, role, scene) for series, role in _series_to_measure(scene)])


def _series_to_measure(scene: Scene) -> list[tuple[Series, Role | None]]:
    """CT series that are not kept out; of several that play one phase only the chosen one. In order of role."""
    selection = scene.selection
    found: list[tuple[Series, Role | None]] = []
    for assignment in selection.assignments:
        series = scene.study.series_of(assignment.series_instance_uid)
        if series is None or assignment.ignored or assignment.role not in _ORDER:
            continue
        if assignment.role in PHASES and selection.chosen.get(assignment.role) != assignment.series_instance_uid:
            continue
        found.append((series, assignment.role))
    return sorted(found, key=lambda item: _ORDER.index(item[1]))


def _measure(series: Series, role: Role | None, scene: Scene) -> Found:
    """Every region on one series. Its voxels are made only where a region lies in the same frame of reference."""
    uid = series.series_instance_uid
    try:
        volume = build(series) if near(scene.regions, stack_of(series).geometry) else None
    except Refused as error:
        return Found(not_measured=(NotMeasured("", role, error, series_uids=(uid,)),))
    if volume is None:
        return Found(not_measured=tuple(elsewhere(region, role, uid) for region in scene.regions))
    rois: list[LaidRoi] = []
    values: list[Quantity | NotMeasured] = []
    for region in scene.regions:
        try:
            roi = lay(region, volume)
        except Refused as error:
            values.append(NotMeasured(region.tracking_id, role, error, series_uids=(uid,)))
            continue
        rois.append(with_key_slice(roi, volume))
        values += measure(volume, roi, role)
        if scene.radiomics is not None:
            values += radiomics.measure(volume, roi, role, scene.radiomics)
    return Found(
        (Measured(uid, role, volume.geometry, volume.unit, volume.sources),),
        tuple(rois),
        tuple(value for value in values if isinstance(value, Quantity)),
        tuple(value for value in values if isinstance(value, NotMeasured)),
    )
