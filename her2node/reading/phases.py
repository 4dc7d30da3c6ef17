"""CT series, one volume each: every region's attenuation and size in every phase, and the phases compared.

Of a phase that was reconstructed in several ways the chosen series is measured, and those that methods want instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from her2node.errors import Refused, RoleMissing
from her2node.models.image.view import View
from her2node.quantities import attenuation, measure, signature
from her2node.quantities.displacement import REACH_MM, Displacement
from her2node.quantities.quantity import Evaluation, NotMeasured, Quantity
from her2node.quantities.signature import Signature
from her2node.reading.comparing import CROP_MM, Anchor, Place, compared, core_of, cropped, followed, place_of, told
from her2node.reading.laid import elsewhere, near, with_key_slice
from her2node.reading.reading import Found, Measured, Scene, joined, sorted_out, unread
from her2node.reading.vessels import Vessels, spans_mm, vessels_of
from her2node.reading.viewing import views_of
from her2node.rois import GivenRoi, lay
from her2node.rois.roi import Roi
from her2node.selection.choice import PHASES, Selection
from her2node.selection.roles import Role
from her2node.selection.study import Series
from her2node.volumes import build
from her2node.volumes.volume import Bools, Geometry, Volume

_ORDER = (*PHASES, Role.CONTRAST_UNSPECIFIED, None)
"""Of series in a reading."""


def read_phases(scene: Scene) -> Found:
    """Every region on every CT series that is not kept out, then what the phases tell together.

    One series' voxels are held at a time. The series that regions were drawn on come first, for the others are compared
    with them; what was found is in order of role all the same.
    """
    series_and_roles = _series_to_measure(scene)
    drawn_on = {uid for region in scene.regions for uid in region.drawn_on}
    through = _Through(scene)
    found: dict[str, Found] = {}
    for series, role in sorted(series_and_roles, key=lambda item: _rank(item, drawn_on)):
        found[series.series_instance_uid] = through.measured(series, role)
    parts = [found[series.series_instance_uid] for series, _ in series_and_roles]
    lacking = Found()
    if Role.PLAIN not in (role for _, role in series_and_roles):
        lacking = Found(not_measured=_without_plain(scene.methods.signatures), aside=_without_plain(scene.aside))
    return joined([*parts, through.compared(), lacking])


def _without_plain(signatures: Sequence[Signature]) -> tuple[NotMeasured, ...]:
    """That texture was asked for of the plain phase, where there is none."""
    if not any(wanted.mazda_like for wanted in signatures):
        return ()
    error = RoleMissing("MaZda-like texture is that of the plain phase, and no series plays it")
    return (NotMeasured("", Role.PLAIN, error),)


def _rank(item: tuple[Series, Role | None], drawn_on: set[str]) -> tuple[bool, int]:
    """What a region was drawn on first, then where it is best seen."""
    series, role = item
    return series.series_instance_uid not in drawn_on, (Role.PORTAL, *_ORDER).index(role)


def _series_to_measure(scene: Scene) -> list[tuple[Series, Role | None]]:
    """CT series that are not kept out; of several that play one phase the chosen one, then the reconstructions that
    methods want. In order of role."""
    selection = scene.selection
    found: list[tuple[Series, Role | None]] = []
    for assignment in selection.assignments:
        series = scene.study.series_of(assignment.series_instance_uid)
        if series is None or assignment.ignored or assignment.role not in _ORDER:
            continue
        if assignment.role in PHASES and assignment.series_instance_uid not in selection.of_phase(assignment.role):
            continue
        found.append((series, assignment.role))
    standing = set(selection.chosen.values())
    return sorted(found, key=lambda item: (_ORDER.index(item[1]), item[0].series_instance_uid not in standing))


class _Through:
    """Regions on their way through the series: where each was first laid, and where it lies in each phase."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._anchors: dict[str, Anchor] = {}
        self._places: dict[str, list[Place]] = {}
        self._vessels: dict[str, Vessels] = {}
        self._displacements: dict[tuple[str, str], Displacement | Refused] = {}

    def measured(self, series: Series, role: Role | None) -> Found:
        """Every region on one series. Only slices near a region or a reference vessel are decoded."""
        uid, regions = series.series_instance_uid, self._scene.regions
        try:
            outline = build(series, np.zeros(0, np.bool_))
        except Refused as error:
            return unread(role, error, (uid,))
        if not near(regions, outline.geometry):
            return Found(not_measured=tuple(elsewhere(region, role, uid, outline.geometry) for region in regions))
        laid = [_laid(region, outline, role) for region in regions]
        if outline.geometry.frame_of_reference_uid not in self._vessels:
            self._vessels[outline.geometry.frame_of_reference_uid] = vessels_of(self._scene, outline)
        try:
            volume = build(series, self._wanted(zip(regions, laid, strict=True), outline.geometry))
        except Refused as error:
            return unread(role, error, (uid,))
        volume_found = Found((Measured(uid, role, volume.geometry, volume.unit, volume.sources),))
        parts = [
            self._region(one, volume, role, region) if isinstance(one, Roi) else Found(not_measured=(one,))
            for region, one in zip(regions, laid, strict=True)
        ]
        return joined([volume_found, *parts])

    def _wanted(self, laid: Iterable[tuple[GivenRoi, Roi | NotMeasured]], geometry: Geometry) -> Bools:
        """Which slices hold what is measured: regions, wherever their tissue may have moved and as far as it or a
        feature looks around, and the reference vessels, which may have moved too."""
        step = geometry.spacing_mm[0]
        signatures = (*self._scene.methods.signatures, *self._scene.aside)
        features = [one.reach_mm(step) for one in signatures]
        vessels = self._vessels[geometry.frame_of_reference_uid]
        spans: list[tuple[float, float, float]] = []
        for region, roi in laid:
            if not isinstance(roi, Roi):
                continue
            reaches = features + [crop.reach_mm for crop in self._scene.crops_about(region)]
            around = max([CROP_MM, *(REACH_MM + reach for reach in reaches)])
            spans.append((roi.box[0].start, roi.box[0].stop - 1, around))
            for places in spans_mm(vessels.beside(roi)):
                along = geometry.to_index(places)[:, 0]
                spans.append((along.min(), along.max(), REACH_MM))
        slices = np.arange(geometry.shape[0])
        wanted = np.zeros(geometry.shape[0], dtype=np.bool_)
        for low, high, mm in spans:
            wanted |= (slices >= low - mm / step - 1) & (slices <= high + mm / step + 1)
        return wanted

    def _region(self, roi: Roi, volume: Volume, role: Role | None, region: GivenRoi) -> Found:
        lies, core, values = self._followed(roi, volume, role, region.drawn_uid)
        values += measure(volume, lies, role, core=core)
        if self._scene.methods.histograms:
            values += attenuation.histogram(volume, core or lies, role, self._scene.methods.percents)
        told, aside = (
            signature.measured(self._here(wanted, role, volume.series_instance_uid), volume, lies, role)
            for wanted in (self._scene.methods.signatures, self._scene.aside)
        )
        found = sorted_out((*values, *told), rois=(with_key_slice(lies, volume),))
        return replace(found, aside=aside, views=self._views(roi, volume, role, region, moved=lies is not roi))

    def _views(self, roi: Roi, volume: Volume, role: Role | None, region: GivenRoi, *, moved: bool) -> tuple[View, ...]:
        """What image packages look at, of the region as it was first laid and followed."""
        anchor = self._anchors[roi.tracking_uid]
        known = None if anchor.roi is roi else self._displacements.get((region.drawn_uid, volume.series_instance_uid))
        return views_of(self._scene.crops_about(region), anchor.roi, volume, role, known, moved=moved)

    def _here(self, wanted: tuple[Signature, ...], role: Role | None, uid: str) -> tuple[Signature, ...]:
        """The features that are measured on this series: of several reconstructions of a phase each has its own."""
        if role is None or role not in PHASES:
            return wanted
        selection = self._scene.selection
        return tuple(one for one in wanted if selection.standing(role, one.reconstruction(role)) == uid)

    def _followed(
        self, roi: Roi, volume: Volume, role: Role | None, drawn_uid: str
    ) -> tuple[Roi, Roi | None, tuple[Quantity | NotMeasured, ...]]:
        """The region where its tissue lies on this series, its core where it was moved there, and how far that is."""
        anchor = self._anchors.get(roi.tracking_uid)
        if anchor is None or anchor.roi.geometry.frame_of_reference_uid != roi.geometry.frame_of_reference_uid:
            anchor = self._anchors[roi.tracking_uid] = Anchor(roi, cropped(volume, roi))
            self._note(anchor, roi, volume, role, Displacement((0.0, 0.0, 0.0), 1.0, error_mm=0.0), moved=False)
            return roi, None, ()
        tissue = (drawn_uid, volume.series_instance_uid)
        lies, found = followed(anchor, roi, volume, self._displacements.get(tissue))
        self._displacements.setdefault(tissue, found)
        moved = lies is not roi
        core = self._note(anchor, lies, volume, role, found, moved=moved)
        said = told(found, roi, role, volume.series_instance_uid, moved=moved)
        return lies, replace(lies, mask=core) if moved and core.any() else None, (said,)

    def _note(
        self,
        anchor: Anchor,
        roi: Roi,
        volume: Volume,
        role: Role | None,
        found: Displacement | Refused,
        *,
        moved: bool,
    ) -> Bools:
        """Keep what the phases will be compared by; the region's core on this series."""
        core = core_of(anchor, found, volume)
        vessels = self._vessels[volume.geometry.frame_of_reference_uid].beside(anchor.roi)
        place = place_of(volume, roi, core, role, vessels, found if moved else None)
        if place is not None:
            self._places.setdefault(roi.tracking_uid, []).append(place)
        return core

    def compared(self) -> Found:
        """What the phases tell together, region by region; the phases in order of time."""
        found: dict[tuple[object, ...], Quantity | NotMeasured | Evaluation] = {}
        for places in self._places.values():
            for in_time in _one_a_phase(places, self._scene.selection):
                vessels = self._vessels[in_time[0].roi.geometry.frame_of_reference_uid]
                for value in compared(in_time, vessels, self._scene.methods.reference_vein_hu):
                    found.setdefault(_about(value), value)
        return sorted_out(found.values())


def _one_a_phase(places: list[Place], selection: Selection) -> Iterator[tuple[Place, ...]]:
    """A region's places with one series a phase, the phases in order of time: first in the series that were chosen for
    all, then with every other reconstruction that is measured."""
    order = {uid: n for role in PHASES for n, uid in enumerate(selection.of_phase(role))}
    by_phase = [
        sorted((place for place in places if place.role is role), key=lambda place: order[place.series_uid])
        for role in PHASES
    ]
    return product(*filter(None, by_phase))


def _about(value: Quantity | NotMeasured | Evaluation) -> tuple[object, ...]:
    """What a value is of: what the same series tell in two comparisons stands once."""
    if isinstance(value, Evaluation):
        return value.roi, value.code, value.series_uids
    if isinstance(value, NotMeasured):
        return value.roi, value.role, value.code, value.series_uids, str(value.refused)
    return value.roi, value.role, value.code, value.modifier, value.method, value.series_uids


def _laid(region: GivenRoi, outline: Volume, role: Role | None) -> Roi | NotMeasured:
    try:
        return lay(region, outline)
    except Refused as error:
        return NotMeasured(region.tracking_id, role, error, series_uids=(outline.series_instance_uid,))
