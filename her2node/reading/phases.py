"""CT series, one volume each: every region's attenuation and size in every phase."""

from __future__ import annotations

from collections.abc import Sequence

from her2node.errors import NoFrameOfReference, OtherFrameOfReference, Refused
from her2node.quantities import measure
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.reading.reading import Found, LaidRoi, Measured, Scene, joined
from her2node.reading.showing import with_key_slice
from her2node.rois import GivenRoi, lay
from her2node.selection.choice import PHASES
from her2node.selection.roles import Role
from her2node.selection.study import Series
from her2node.volumes import build, stack_of

_ORDER = (*PHASES, Role.CONTRAST_UNSPECIFIED, None)
"""Of series in a reading."""


def read_phases(scene: Scene) -> Found:
    """Every region on every CT series that is not kept out. One series' voxels are held at a time."""
    return joined([_measure(series, role, scene.regions) for series, role in _series_to_measure(scene)])


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


def _measure(series: Series, role: Role | None, regions: Sequence[GivenRoi]) -> Found:
    """Every region on one series. Its voxels are made only where a region lies in the same frame of reference."""
    uid = series.series_instance_uid
    try:
        frame_of_reference_uid = stack_of(series).geometry.frame_of_reference_uid
        near = [region for region in regions if region.frame_of_reference_uid == frame_of_reference_uid]
        volume = build(series) if near else None
    except Refused as error:
        return Found(not_measured=(NotMeasured("", role, error, series_uids=(uid,)),))
    if volume is None:
        return Found(not_measured=tuple(_elsewhere(region, role, uid) for region in regions))
    rois: list[LaidRoi] = []
    values: list[Quantity | NotMeasured] = []
    for region in regions:
        try:
            roi = lay(region, volume)
        except Refused as error:
            values.append(NotMeasured(region.tracking_id, role, error, series_uids=(uid,)))
            continue
        rois.append(with_key_slice(roi, volume))
        values += measure(volume, roi, role)
    return Found(
        (Measured(uid, role, volume.geometry, volume.unit, volume.sources),),
        tuple(rois),
        tuple(value for value in values if isinstance(value, Quantity)),
        tuple(value for value in values if isinstance(value, NotMeasured)),
    )


def _elsewhere(region: GivenRoi, role: Role | None, series_uid: str) -> NotMeasured:
    """A region that cannot be laid on a series, as ``lay`` would say it, without that series' voxels."""
    reason: Refused = OtherFrameOfReference(f"{region.label!r} and series {series_uid}")
    if not region.frame_of_reference_uid:
        reason = NoFrameOfReference(f"region {region.label!r}")
    return NotMeasured(region.tracking_id, role, region.flaw or reason, series_uids=(series_uid,))
