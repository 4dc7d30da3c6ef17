"""CT perfusion scans: flow in every region, and voxel by voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from her2node.dicom.codes import Method, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import EmptyRoi, NoArterialInput, Refused
from her2node.quantities import arterial, motion, perfusion
from her2node.quantities.bolus import Bolus, bolus_of
from her2node.quantities.histogram import EVERY_PERCENT
from her2node.quantities.kinetics import Floats
from her2node.quantities.perfusion_maps import Grid, maps, of_maps
from her2node.quantities.quantity import NotMeasured, Quantity, QuantityMap
from her2node.reading.laid import on_each
from her2node.reading.reading import Found, Measured, Scene, joined, sorted_out, unread
from her2node.rois import GivenRoi, lay
from her2node.rois.reference import arteries
from her2node.rois.roi import Roi
from her2node.selection.dynamic import scans
from her2node.selection.roles import Role
from her2node.selection.study import Series
from her2node.volumes import Dynamic, Volume, build_dynamic
from her2node.volumes.volume import Bools
from her2node.volumes.volume import Floats as Voxels

SOFT_EDGES_HU = (-150.0, 20.0)
"""All blood and soft tissue, with contrast or without, is at the upper end: the bolus does not look like motion."""
BODY_HU = -300.0
FAT_HU = -50.0
FEWEST_INSIDE = 30
AROUND_MM = 30.0
"""How far beyond a region its own motion is looked for."""


def read_perfusion(scene: Scene) -> Found:
    """Every perfusion scan of the study. One scan's voxels are held at a time."""
    return joined([_read(scan, scene) for scan in scans(scene.players(Role.PERFUSION))])


def _read(scan: Sequence[Series], scene: Scene) -> Found:
    uids = tuple(one.series_instance_uid for one in scan)
    try:
        seen = _seen(build_dynamic(scan), scene.methods.perfusion)
    except Refused as error:
        return unread(Role.PERFUSION, error, uids)
    try:
        bolus, words = _input(seen, scene)
    except Refused as error:
        return replace(unread(Role.PERFUSION, error, seen.series_uids), measured=_measured(seen))

    def of_region(_: GivenRoi, roi: Roi) -> list[Quantity | NotMeasured]:
        return _of_region(seen, roi, bolus, scene.methods.perfusion, words)

    found = on_each(scene.regions, seen.still, Role.PERFUSION, seen.series_uids, of_region)
    drawn: Sequence[QuantityMap | NotMeasured] = ()
    if scene.maps:
        drawn = maps(bolus, seen.dynamic.voxels, seen.body, seen.grid, scene.methods.perfusion, (*words, *seen.words))
    told: list[Quantity | NotMeasured] = []
    if scene.methods.histograms:
        told = [one for laid in found.rois for one in of_maps(drawn, laid.roi, EVERY_PERCENT)]
    return joined([found, sorted_out((*told, *drawn), _measured(seen))])


@dataclass(frozen=True)
class _Seen:
    """A scan whose time points lie on each other. ``still`` is its reference time point as a volume, ``body`` what lies
    within the patient and has an image at all times; ``series_uids`` begin with that of the reference."""

    dynamic: Dynamic
    moved: motion.Motion | None
    still: Volume = field(repr=False)
    body: Bools = field(repr=False)
    series_uids: tuple[str, ...]

    @property
    def grid(self) -> Grid:
        return Grid(self.dynamic.geometry, self.still.sources, self.series_uids)

    @property
    def words(self) -> tuple[str, ...]:
        """How the scan was prepared."""
        dynamic = self.dynamic
        said = [f"{len(dynamic.times_s)} time points by {dynamic.clock}"]
        if dynamic.resampled:
            said.append("slices with times of their own, brought to common times by cubic splines")
        if self.moved is not None:
            said.append(f"time points shifted by up to {self.moved.largest_mm:.1f} mm")
        return tuple(said)


def _seen(dynamic: Dynamic, factors: perfusion.Factors) -> _Seen:
    spacing_mm = dynamic.geometry.spacing_mm
    moved, valid = None, dynamic.valid
    if factors.correct_motion:
        moved = motion.estimate(dynamic.voxels, spacing_mm, SOFT_EDGES_HU)
        valid = motion.undo(dynamic.voxels, valid, spacing_mm, moved)
    reference = 0 if moved is None else moved.reference
    uid = dynamic.series_of[reference]
    sources = dynamic.sources[reference]
    still = Volume(dynamic.geometry, dynamic.voxels[reference], valid, dynamic.unit, uid, sources)
    others = tuple(other for other in dynamic.series_uids if other != uid)
    return _Seen(dynamic, moved, still, _body(still), (uid, *others))


def _body(volume: Volume) -> Bools:
    """What is denser than lung, without what is joined to it by a thread only (the table), in the largest part."""
    dense = volume.valid & (volume.voxels > BODY_HU)
    labels, count = ndimage.label(ndimage.binary_opening(dense, np.ones((1, 3, 3))))
    if not count:
        return dense
    largest = labels == 1 + int(np.bincount(labels.ravel())[1:].argmax())
    return np.asarray(largest & volume.valid)


def _measured(seen: _Seen) -> tuple[Measured, ...]:
    """One a series: the reference first, each with the images of its own time point where it has one only."""
    dynamic = seen.dynamic
    apart = dynamic.is_series_a_point
    sources = dict(zip(dynamic.series_uids, dynamic.sources, strict=True)) if apart else {}
    return tuple(
        Measured(uid, Role.PERFUSION, dynamic.geometry, dynamic.unit, sources.get(uid, seen.still.sources))
        for uid in (seen.series_uids if apart else seen.series_uids[:1])
    )


def _input(seen: _Seen, scene: Scene) -> tuple[Bolus, tuple[str, ...]]:
    """The bolus in the given artery, else in the one that is found, and where it was taken."""
    dynamic, reasons = seen.dynamic, []
    for region in arteries(scene.given):
        try:
            mask = lay(region, seen.still).mask & seen.still.valid
            if not mask.any():
                raise EmptyRoi(region.label)
            return _bolus(dynamic, mask), (f"arterial input given: {region.label}",)
        except Refused as error:
            reasons.append(str(error))
    try:
        artery = arterial.find(
            dynamic.times_s, dynamic.voxels, seen.body, dynamic.geometry, perfusion.LEAST_ARTERIAL_HU, SOFT_EDGES_HU[1]
        )  # fmt: skip
    except NoArterialInput as error:
        raise NoArterialInput("; ".join((error.detail, *reasons))) from error
    return _bolus(dynamic, artery.mask), (artery.words, *(f"given artery not used: {reason}" for reason in reasons))


def _bolus(dynamic: Dynamic, mask: Bools) -> Bolus:
    curve = dynamic.voxels[:, mask].mean(axis=1, dtype=np.float64)
    return bolus_of(dynamic.times_s, curve, perfusion.LEAST_ARTERIAL_HU)


def _of_region(
    seen: _Seen, roi: Roi, bolus: Bolus, factors: perfusion.Factors, words: tuple[str, ...]
) -> list[Quantity | NotMeasured]:
    taken = _curves(seen, roi, factors)
    where = perfusion.Region(roi.tracking_id, Role.PERFUSION, seen.series_uids, taken.flags)
    found = list(perfusion.measure(bolus, taken.hu, where, factors, (*words, *seen.words, *taken.words)))
    if seen.moved is not None:
        found.append(_largest_shift(seen.moved.largest_mm + taken.residual_mm, where))
    return found


@dataclass(frozen=True)
class _Taken:
    """The curves (n, t) of a region, how far it moved beyond the body, how its voxels were chosen, and whether it moves
    still."""

    hu: Floats = field(repr=False)
    residual_mm: float
    words: tuple[str, ...]
    flags: tuple[str, ...]


def _curves(seen: _Seen, roi: Roi, factors: perfusion.Factors) -> _Taken:
    """The voxels of a region that have an image at all times, its own motion undone.

    Where time points were shifted, voxels at the rim mix with what lies beyond it, so those go that do not lie within
    the region on all sides (where enough are left) or look like fat or gas at any time.
    """
    spacing_mm = seen.dynamic.geometry.spacing_mm
    box = _around(roi.mask, spacing_mm)
    voxels, valid = seen.dynamic.voxels[(slice(None), *box)], seen.still.valid[box]
    words, flags, residual_mm, least_mm = [], [], 0.0, min(spacing_mm[1:])
    if factors.correct_motion:
        residual = motion.estimate(voxels, spacing_mm, SOFT_EDGES_HU)
        if residual.largest_mm > least_mm:
            voxels, residual_mm = voxels.copy(), residual.largest_mm
            valid = motion.undo(voxels, valid, spacing_mm, residual)
            words.append(f"around the region by up to {residual_mm:.1f} mm more")
            left_mm = motion.estimate(voxels, spacing_mm, SOFT_EDGES_HU).largest_mm
            if left_mm > least_mm:
                flags.append(f"moves by up to {left_mm:.1f} mm after its motion of {residual_mm:.1f} mm was undone")
    mask = roi.mask[box] & valid
    if residual_mm or (seen.moved is not None and seen.moved.largest_mm >= motion.STILL * least_mm):
        whole = np.count_nonzero(mask)
        mask = _inside(mask, voxels)
        words.append(f"{np.count_nonzero(mask)} of {whole} voxels taken, without the rim")
    return _Taken(voxels[:, mask].T.astype(np.float64), residual_mm, tuple(words), tuple(flags))


def _inside(mask: Bools, voxels: Voxels) -> Bools:
    """Without what is fat or gas at any time, and without the rim on all sides; where too little is left, without that
    within the slices, or with all of it."""
    soft = mask & (voxels.min(axis=0) > FAT_HU)
    for reach in ((3, 3, 3), (1, 3, 3)):
        inner = soft & ndimage.binary_erosion(mask, np.ones(reach))
        if np.count_nonzero(inner) >= FEWEST_INSIDE:
            return np.asarray(inner)
    return np.asarray(soft)


def _around(mask: Bools, spacing_mm: Sequence[float]) -> tuple[slice, slice, slice]:
    """The box of a mask and ``AROUND_MM`` on all sides."""
    ends = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    first, second, third = (
        slice(max(0, int(found[0] - AROUND_MM / spacing)), int(found[-1] + AROUND_MM / spacing) + 2)
        for found, spacing in zip(ends, spacing_mm, strict=True)
    )
    return first, second, third


def _largest_shift(shift_mm: float, where: perfusion.Region) -> Quantity:
    return Quantity(
        roi=where.roi,
        role=where.role,
        code=Concept.LARGEST_SHIFT,
        value=shift_mm,
        unit=Unit.MM,
        method=Method.TRANSLATION,
        series_uids=where.series_uids,
    )
