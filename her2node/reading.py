"""The whole way from series to predictions, on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from her2node.dicom.codes import Code
from her2node.errors import AmbiguousRoi, NoFrameOfReference, NoRoi, OtherFrameOfReference, Refused
from her2node.models.package import Package
from her2node.models.predicting import Conditions, Findings, predict
from her2node.models.prediction import NotPredicted, Prediction
from her2node.quantities import measure
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois import GivenRoi, given, lay
from her2node.rois.roi import Roi
from her2node.rois.tumour import current, tumour_of
from her2node.selection.assignment import Assignment
from her2node.selection.choice import PHASES, Selection, select
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from her2node.selection.study import Series, Study
from her2node.volumes import build, stack_of
from her2node.volumes.volume import Floats, Geometry, SliceSource, Volume


@dataclass(frozen=True)
class Measured:
    """A series that was made a volume, and its role (None: no role is known).

    The voxels are let go once measured, for a study may hold more than memory does; what reports need stays.
    ``sources`` has one entry a slice, in the order of ``geometry``.
    """

    series_instance_uid: str
    role: Role | None
    geometry: Geometry
    unit: Code
    sources: tuple[SliceSource, ...] = field(repr=False)


@dataclass(frozen=True)
class LaidRoi:
    """A region on the voxels of one measured series (``roi.geometry`` is that series' geometry).

    ``key_slice`` is the index of the slice in which the region is largest (the lowest such index) and ``key_image``
    that slice, float32, shape (rows, columns), in the series' unit, read-only, NaN where there is no image.
    """

    series_instance_uid: str
    roi: Roi
    key_slice: int
    key_image: Floats = field(repr=False)


@dataclass(frozen=True)
class Reading:
    """Everything that the node found in a study. Pure values: written by ``reports``, summarised in the ledger.

    - ``assignments``: one a series of the study, in its order: role and evidence.
    - ``measured``: the series that were made volumes, in order of role (plain, arterial, portal, equilibrium,
      contrast-unspecified, None), then of the study.
    - ``rois``: the regions that were laid, by series in the order of ``measured``, then in the order of their source.
      The tumour, when it is known, is ``tumour``: the tracking id (``Roi.tracking_id``) by which quantities and
      predictions name it.
    - ``not_measured``: refusals. One whose ``roi`` is '' is about a whole series, or about the study when it names no
      series either (no ROI, several that could be the tumour).
    - ``predictions`` and ``not_predicted``: together one a package, in the order of the packages.
    """

    study: Study
    assignments: tuple[Assignment, ...]
    measured: tuple[Measured, ...]
    rois: tuple[LaidRoi, ...]
    tumour: str | None
    quantities: tuple[Quantity, ...]
    not_measured: tuple[NotMeasured, ...]
    predictions: tuple[Prediction, ...]
    not_predicted: tuple[NotPredicted, ...]


@dataclass(frozen=True)
class _Found:
    """What measuring one series gave."""

    measured: tuple[Measured, ...] = ()
    rois: tuple[LaidRoi, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    not_measured: tuple[NotMeasured, ...] = ()


def read(
    study: Study,
    packages: Sequence[Package],
    *,
    rules: Sequence[SiteRule] = (),
    entered_roles: Mapping[str, Role | None] | None = None,
    entered: Mapping[str, str] | None = None,
    prior: float | None = None,
    prior_source: str = "",
    demonstration: bool = False,
    every_roi: bool = False,
) -> Reading:
    """Read a study: roles, voxels, regions, quantities, predictions.

    ``entered_roles``: series UID -> role (None: keep out); ``entered``: what readers entered, by input name. ``prior``
    is the site's prevalence. With ``every_roi`` all given regions are measured, else the tumour alone. What cannot be
    done is a value in the reading with its reason; nothing that the input causes is raised. One series' voxels are
    held at a time.
    """
    selection = select(study, rules, entered_roles or {})
    regions = [r for r in current(given(study)) if not selection.of(r.source_series_instance_uid).ignored]
    tumour = _tumour(regions)
    wanted = regions if every_roi else [region for region in regions if region is tumour]
    found = [_measure(series, role, wanted) for series, role in _series_to_measure(study, selection)]
    quantities = tuple(quantity for part in found for quantity in part.quantities)
    not_measured = (*_study_refusals(tumour, selection, every_roi), *(r for part in found for r in part.not_measured))
    findings = Findings(
        study, selection, quantities, not_measured, tumour if isinstance(tumour, Refused) else tumour.tracking_id
    )
    conditions = Conditions(entered or {}, prior, prior_source, demonstration)
    answers = [_answer(package, findings, conditions) for package in packages]
    return Reading(
        study=study,
        assignments=selection.assignments,
        measured=tuple(measured for part in found for measured in part.measured),
        rois=tuple(laid for part in found for laid in part.rois),
        tumour=None if isinstance(tumour, Refused) else tumour.tracking_id,
        quantities=quantities,
        not_measured=not_measured,
        predictions=tuple(answer for answer in answers if isinstance(answer, Prediction)),
        not_predicted=tuple(answer for answer in answers if isinstance(answer, NotPredicted)),
    )


def _tumour(regions: Sequence[GivenRoi]) -> GivenRoi | NoRoi | AmbiguousRoi:
    try:
        return tumour_of(regions)
    except (NoRoi, AmbiguousRoi) as error:
        return error


def _series_to_measure(study: Study, selection: Selection) -> list[tuple[Series, Role | None]]:
    """CT series that are not kept out; of several that play one phase only the chosen one. In order of role."""
    found: list[tuple[Series, Role | None]] = []
    for assignment in selection.assignments:
        series = study.series_of(assignment.series_instance_uid)
        if series is None or assignment.ignored or assignment.role is Role.ROI:
            continue
        if assignment.role in PHASES and selection.chosen.get(assignment.role) != assignment.series_instance_uid:
            continue
        found.append((series, assignment.role))
    return sorted(found, key=lambda item: _ORDER.index(item[1]))


def _study_refusals(tumour: GivenRoi | Refused, selection: Selection, every_roi: bool) -> tuple[NotMeasured, ...]:
    """What concerns no single series: no ROI, several that could be the tumour, several series for one role."""
    refusals: list[NotMeasured] = []
    if isinstance(tumour, NoRoi) or (isinstance(tumour, AmbiguousRoi) and not every_roi):
        refusals.append(NotMeasured("", None, tumour))
    refusals += [NotMeasured("", role, error) for role, error in selection.ambiguous.items()]
    return tuple(refusals)


def _measure(series: Series, role: Role | None, regions: Sequence[GivenRoi]) -> _Found:
    """Every region on one series. Its voxels are made only where a region lies in the same frame of reference."""
    uid = series.series_instance_uid
    try:
        frame_of_reference_uid = stack_of(series).geometry.frame_of_reference_uid
        near = [region for region in regions if region.frame_of_reference_uid == frame_of_reference_uid]
        volume = build(series) if near else None
    except Refused as error:
        return _Found(not_measured=(NotMeasured("", role, error, series_uids=(uid,)),))
    if volume is None:
        return _Found(not_measured=tuple(_elsewhere(region, role, uid) for region in regions))
    rois: list[LaidRoi] = []
    values: list[Quantity | NotMeasured] = []
    for region in regions:
        try:
            roi = lay(region, volume)
        except Refused as error:
            values.append(NotMeasured(region.tracking_id, role, error, series_uids=(uid,)))
            continue
        rois.append(_with_key_slice(roi, volume))
        values += measure(volume, roi, role)
    return _Found(
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


def _with_key_slice(roi: Roi, volume: Volume) -> LaidRoi:
    key = int(np.argmax(np.count_nonzero(roi.mask, axis=(1, 2))))
    image = np.where(volume.valid[key], volume.voxels[key], np.float32(np.nan)).astype(np.float32)
    image.flags.writeable = False
    return LaidRoi(volume.series_instance_uid, roi, key, image)


def _answer(package: Package, findings: Findings, conditions: Conditions) -> Prediction | NotPredicted:
    """A package's prediction, or why it did not run (promise 5)."""
    try:
        return predict(package, findings, conditions)
    except Refused as error:
        return NotPredicted(package.ref, error)


_ORDER = (*PHASES, Role.CONTRAST_UNSPECIFIED, None)
"""Of series in a reading."""
