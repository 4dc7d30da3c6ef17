"""Dynamic contrast-enhanced MR: transfer of contrast in every region, and voxel by voxel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from her2node.dicom.codes import Dce, Method, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import (
    EmptyRoi,
    InvalidAttribute,
    MissingAttribute,
    NoArterialInput,
    NoBaseline,
    Refused,
    TooFewTimePoints,
)
from her2node.quantities import alignment, dce, dce_phases, morphology, motion
from her2node.quantities.bolus import FEWEST_TIME_POINTS
from her2node.quantities.dce import DceFit
from her2node.quantities.quantity import NotMeasured, Quantity, QuantityMap
from her2node.reading.laid import elsewhere, near, with_key_slice
from her2node.reading.reading import Found, LaidRoi, Measured, Scene, joined, sorted_out, unread
from her2node.rois import lay
from her2node.rois.reference import arteries
from her2node.rois.roi import Roi
from her2node.selection.dce import examinations, flip_angle_sets
from her2node.selection.roles import Role
from her2node.selection.study import Series
from her2node.volumes import Volume, stack_of
from her2node.volumes.dce import DceVolume, FlipAngleSeries, build, dynamic_stack_of, flip_angles
from her2node.volumes.dynamic import DynamicStack
from her2node.volumes.volume import Bools

BODY_SHARE = 0.05
"""Of the 99th percentile of the mean signal: below there is noise, gas or bone."""

Slab = FlipAngleSeries | Refused | None


def read_dce(scene: Scene) -> Found:
    """Every region on every dynamic examination, and maps of its fits. One examination's voxels are held at a time."""
    return joined([_read(members, scene) for members in examinations(scene.players(Role.DCE))])


def _read(members: Sequence[Series], scene: Scene) -> Found:
    uids = tuple(series.series_instance_uid for series in members)
    try:
        seen = _seen(members, scene)
    except Refused as error:
        return unread(Role.DCE, error, uids)
    laid = list(_laid(seen, scene))
    rois = [one.roi for one in laid if isinstance(one, LaidRoi)]
    values: list[Quantity | NotMeasured] = [one for one in laid if isinstance(one, NotMeasured)]
    values += [NotMeasured("", Role.DCE, error, Dce.T1, uids) for error in seen.unused]
    maps: tuple[QuantityMap, ...] = ()
    try:
        fit = _fitted(seen, rois, scene)
    except Refused as error:
        values += _unfitted(seen, rois, error)
    else:
        values += [one for roi in rois for one in dce.measure(fit, roi, Role.DCE, scene.methods.percents)]
        maps = dce.maps(fit, Role.DCE) if scene.maps else ()
    for roi in rois:
        values += _of_place(seen, roi)
    return sorted_out((*values, *maps), _measured(seen), tuple(one for one in laid if isinstance(one, LaidRoi)))


def _unfitted(seen: _Seen, rois: Sequence[Roi], error: Refused) -> list[Quantity | NotMeasured]:
    """Why nothing could be fitted, and what a handful of phases tells nevertheless: not what is left of a curve whose
    first image was not steady, for that image would be the one before contrast."""
    uids = seen.volume.series_uids
    if not isinstance(error, TooFewTimePoints) or len(seen.volume.times_s) >= FEWEST_TIME_POINTS:
        return [NotMeasured("", Role.DCE, error, series_uids=uids)]
    lacking = [NotMeasured("", Role.DCE, error, code, uids) for code in dce.MODELLED]
    return [*lacking, *(one for roi in rois for one in dce_phases.measure(seen.volume, roi, Role.DCE))]


@dataclass(frozen=True)
class _Seen:
    """An examination whose time points lie on each other. ``still`` is the brightest of them, ``body`` what gives
    signal; ``slab`` the flip angles for T1, why none could be read (Refused) or None; ``unused`` why sets of them lie
    idle."""

    volume: DceVolume
    still: Volume = field(repr=False)
    body: Bools = field(repr=False)
    slab: Slab
    slab_series: tuple[Series, ...]
    unused: tuple[Refused, ...]
    moved: motion.Motion | None


def _seen(members: Sequence[Series], scene: Scene) -> _Seen:
    stack = dynamic_stack_of(members, scene.methods.interval_s)
    slab, slab_series, unused = _slab(stack, scene)
    volume = build(stack)
    moved = None
    if scene.methods.dce.correct_motion:
        volume, moved = _stilled(volume)
    volume.voxels.flags.writeable = False
    notes = (*volume.notes, *(f"flip angles not used: {error}" for error in unused))
    volume = replace(volume, notes=notes)
    body = _body(volume)
    brightest = int(np.argmax([image[body].mean() for image in volume.voxels])) if body.any() else 0
    return _Seen(volume, volume.volume(brightest), body, slab, slab_series, unused, moved)


def _slab(stack: DynamicStack, scene: Scene) -> tuple[Slab, tuple[Series, ...], tuple[Refused, ...]]:
    """The flip angles on the grid of the examination, their series, and why other sets of them lie idle.

    A set whose sequence the header does not tell, or tells wrongly, is no reason to assume a T1: it is refused by name.
    """
    unused: list[Refused] = []
    for candidates in flip_angle_sets(scene.players(Role.FLIP_ANGLES)):
        try:
            return flip_angles(candidates, stack), candidates, tuple(unused)
        except (MissingAttribute, InvalidAttribute) as error:
            return error, (), tuple(unused)
        except Refused as error:
            unused.append(error)
    return None, (), tuple(unused)


def _stilled(volume: DceVolume) -> tuple[DceVolume, motion.Motion]:
    """The time points shifted onto each other, in place."""
    spacing_mm = volume.geometry.spacing_mm
    moved = alignment.aligned(volume.voxels, spacing_mm)
    valid = motion.undo(volume.voxels, volume.valid, spacing_mm, moved)
    valid.flags.writeable = False
    words = f"time points shifted by up to {moved.largest_mm:.1f} mm"
    return replace(volume, valid=valid, notes=(*volume.notes, words)), moved


def _body(volume: DceVolume) -> Bools:
    """What gives signal, on average over time."""
    total = np.zeros(volume.geometry.shape, dtype=np.float32)
    for image in volume.voxels:
        total += image
    return np.asarray(volume.valid & (total > BODY_SHARE * np.percentile(total, 99)))


def _measured(seen: _Seen) -> tuple[Measured, ...]:
    """One a series: of one that is a time point its own images, else those that are shown; then the flip angles."""
    volume, still = seen.volume, seen.still
    apart = len(volume.series_uids) == len(volume.times_s)
    sources = dict(zip(volume.series_uids, volume.sources, strict=True)) if apart else {}
    found = [
        Measured(uid, Role.DCE, volume.geometry, still.unit, sources.get(uid, still.sources))
        for uid in (volume.series_uids if apart else (still.series_instance_uid,))
    ]
    for series in seen.slab_series:
        slab = stack_of(series, Role.FLIP_ANGLES)
        of_slab = tuple(frame.source for frame in slab.frames)
        found.append(Measured(series.series_instance_uid, Role.FLIP_ANGLES, slab.geometry, Unit.ARBITRARY, of_slab))
    return tuple(found)


def _laid(seen: _Seen, scene: Scene) -> Iterator[LaidRoi | NotMeasured]:
    """Every region on the examination, or why it is not."""
    here = near(scene.regions, seen.volume.geometry)
    for region in scene.regions:
        if region not in here:
            yield elsewhere(region, Role.DCE, seen.still.series_instance_uid, seen.volume.geometry)
            continue
        try:
            yield with_key_slice(lay(region, seen.still), seen.still)
        except Refused as error:
            yield NotMeasured(region.tracking_id, Role.DCE, error, series_uids=seen.volume.series_uids)


def _fitted(seen: _Seen, rois: Sequence[Roi], scene: Scene) -> DceFit:
    """The fits by the first given artery whose curve is that of blood, else by a population's.

    Raises what ``dce.fitted`` raises for an examination that nothing can be said of.
    """
    body = seen.body.copy()
    for roi in rois:
        body |= roi.mask & seen.volume.valid
    notes = list(seen.volume.notes)
    factors = scene.methods.dce
    for region in arteries(scene.given):
        try:
            mask = lay(region, seen.still).mask & seen.volume.valid
            if not mask.any():
                raise EmptyRoi(region.label)
            volume = replace(seen.volume, notes=(*notes, f"arterial input given: {region.label}"))
            fit = dce.fitted(volume, seen.slab, factors, body, mask)
            if error := _no_blood(fit):
                raise error
            return fit
        except Refused as error:
            notes.append(f"given artery {region.label} not used: {error}")
    return dce.fitted(replace(seen.volume, notes=tuple(notes)), seen.slab, factors, body, None)


def _no_blood(fit: DceFit) -> Refused | None:
    """Why the curve of the artery is none that blood can have."""
    if fit.given is not None:
        return None
    return next((error for _, error in fit.refused if isinstance(error, NoArterialInput | NoBaseline)), None)


def _of_place(seen: _Seen, roi: Roi) -> list[Quantity | NotMeasured]:
    """The size of a region, and how far the time points had moved."""
    found = list(morphology.measure(seen.still, roi, Role.DCE))
    if seen.moved is not None:
        found.append(
            Quantity(
                roi=roi.tracking_id,
                role=Role.DCE,
                code=Concept.LARGEST_SHIFT,
                value=seen.moved.largest_mm,
                unit=Unit.MM,
                method=Method.TRANSLATION,
                series_uids=seen.volume.series_uids,
            )
        )
    return found
