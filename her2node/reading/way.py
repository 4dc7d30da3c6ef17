"""From series to predictions, on one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic

from her2node.errors import AmbiguousRoi, NoRoi, Refused, RoleAmbiguous
from her2node.models.image.stated import CropStated
from her2node.models.manifest import Image
from her2node.models.package import Package
from her2node.models.predicting import Conditions, Findings, predict
from her2node.models.prediction import Flag, NotPredicted, Observation, Prediction, Segmented
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.quantities.signature import Signature
from her2node.reading.dce import read_dce
from her2node.reading.diffusion import read_diffusion
from her2node.reading.drawing import draw
from her2node.reading.dual_energy import read_dual_energy
from her2node.reading.laid import carrying_told
from her2node.reading.looking import looked_at, testimony
from her2node.reading.perfusion import read_perfusion
from her2node.reading.phases import read_phases
from her2node.reading.reading import Found, Methods, Reading, Scene, joined, sorted_out
from her2node.reading.stability import with_stability
from her2node.reading.uptake import read_uptake
from her2node.reading.viewing import saliency_of
from her2node.rois import GivenRoi, given
from her2node.rois.given import on_arranged
from her2node.rois.landmarks import Landmarks
from her2node.rois.reference import is_reference
from her2node.rois.registration import registrations_of
from her2node.rois.tumour import current, tumour_of
from her2node.selection.arrangement import arranged
from her2node.selection.choice import PHASES, Selection, select
from her2node.selection.content import Judgement
from her2node.selection.reconstruction import Reconstruction
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from her2node.selection.study import Study

_COURSES: tuple[Callable[[Scene], Found], ...] = (
    read_phases,
    read_dual_energy,
    read_perfusion,
    read_diffusion,
    read_dce,
    read_uptake,
)
"""Every kind of imaging that the node measures, in the order of the report."""
_REFUSED = (*PHASES, Role.PERFUSION)
"""Roles of which nothing stands in the report when several series are alike."""


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
    shadow: Sequence[Package] = (),
    stability: bool = False,
    maps: bool = True,
    methods: Methods = Methods(),  # noqa: B008 - frozen
) -> Reading:
    """Read a study: roles, voxels, regions, quantities, predictions.

    ``entered_roles``: series UID -> role (None: keep out); ``entered``: what readers entered, by input name. ``prior``
    is the site's prevalence; ``methods`` how things are calculated where there is a choice. Answers of ``shadow`` are
    kept and told nobody. Where no tumour is given, a segmenter of ``packages`` draws it. With ``every_roi`` all given
    regions are measured, else the tumour alone; with ``stability`` estimates are tried on regions drawn otherwise too;
    with ``maps`` what is known voxel by voxel is told. What cannot be done is a value with its reason, never raised.
    """
    roles, since = entered_roles or {}, monotonic()
    study = arranged(study, keep=tuple(roles))
    landmarks = looked_at(study, rules, roles)
    methods = _with_features(methods, packages)
    selection = select(study, rules, roles, _testified(study, landmarks, methods), _reconstructions(methods, packages))
    (segmenters, packages), (_, shadow) = _parted(packages), _parted(shadow)
    regions, tumour, segmented = _regions(study, selection, segmenters, methods, demonstration)
    wanted = tuple(region for region in regions if every_roi or region is tumour)
    scene = Scene(study, selection, wanted, tuple(regions), landmarks, methods, entered or {}, maps)
    scene = _with_wishes(scene, tumour, packages, shadow)
    found = carrying_told(joined([course(scene) for course in _COURSES]))
    not_measured = (*_study_refusals(tumour, selection, every_roi), *found.not_measured)
    named = tumour if isinstance(tumour, Refused) else tumour.tracking_id
    findings = Findings(study, selection, found.quantities, not_measured, named, found.views)
    conditions = Conditions(entered or {}, prior, prior_source, demonstration)
    tried = tumour if stability and not isinstance(tumour, Refused) else None
    told = _flagged(_answers(packages, findings, _told(scene, packages), conditions, tried), segmented)
    kept = _flagged(_answers(shadow, _with_aside(findings, found), _all(scene, shadow), conditions, tried), segmented)
    why = _explained(packages, told, findings, methods, since + methods.network_seconds) if maps else Found()
    return Reading(
        study=study,
        assignments=selection.assignments,
        measured=found.measured,
        rois=found.rois,
        tumour=None if isinstance(named, Refused) else named,
        quantities=found.quantities,
        not_measured=(*not_measured, *why.not_measured),
        predictions=tuple(answer for answer in told if isinstance(answer, Prediction)),
        not_predicted=tuple(answer for answer in told if isinstance(answer, NotPredicted)),
        maps=(*found.maps, *why.maps),
        evaluations=found.evaluations,
        observations=tuple(answer for answer in told if isinstance(answer, Observation)),
        shadows=tuple(kept),
        selection=selection,
        segmented=segmented,
    )


def _regions(
    study: Study, selection: Selection, segmenters: Sequence[Package], methods: Methods, demonstration: bool
) -> tuple[list[GivenRoi], GivenRoi | Refused, Segmented | None]:
    """The current regions of series that are not kept out, with the registrations that lead them elsewhere; the tumour,
    or why there is none; and what drew it, where none is given."""
    kept = (series for series in study.series if not selection.of(series.series_instance_uid).ignored)
    registrations = registrations_of(replace(study, series=tuple(kept)))
    regions = [
        replace(on_arranged(region, study), registrations=registrations)
        for region in current(given(study))
        if not selection.of(region.source_series_instance_uid).ignored
    ]
    tumour = _tumour([region for region in regions if not is_reference(region)])
    if not segmenters or not isinstance(tumour, NoRoi):
        return regions, tumour, None
    try:
        found = draw(
            segmenters,
            study,
            selection,
            demonstration=demonstration,
            batch=methods.batch,
            seconds=methods.network_seconds,
        )
    except Refused as error:
        return regions, error, None
    drawn = replace(found.region, registrations=registrations)
    return [*regions, drawn], drawn, found.by


def _with_features(methods: Methods, packages: Sequence[Package]) -> Methods:
    """The methods, with the features that packages want measured, each on the reconstructions that its package gets."""
    wanted = (
        replace(package.features, reconstructions=package.reconstructions)
        for package in packages
        if package.features is not None
    )
    return replace(methods, signatures=tuple(dict.fromkeys((*methods.signatures, *wanted))))


def _features_beyond(methods: Methods, packages: Sequence[Package]) -> tuple[Signature, ...]:
    """The features that packages want measured beyond those of the methods."""
    return tuple(one for one in _with_features(methods, packages).signatures if one not in methods.signatures)


def _reconstructions(methods: Methods, packages: Sequence[Package]) -> tuple[Reconstruction, ...]:
    """Everything that packages and features files want of the reconstruction of a phase."""
    wishes = [wish for package in packages for wish in package.reconstructions]
    return (*wishes, *(wish for wanted in methods.signatures for wish in wanted.reconstructions))


def _crops(packages: Sequence[Package]) -> tuple[CropStated, ...]:
    """What image packages want to look at; two may want the same."""
    return tuple(dict.fromkeys(p.manifest.crop for p in packages if isinstance(p.manifest, Image)))


def _with_wishes(
    scene: Scene, tumour: GivenRoi | Refused, packages: Sequence[Package], shadow: Sequence[Package]
) -> Scene:
    """The scene with what packages want beyond what is measured for all: features for those in shadow, crops of the
    tumour for image packages."""
    drawn_uid = "" if isinstance(tumour, Refused) else tumour.drawn_uid
    aside, crops = _features_beyond(scene.methods, shadow), _crops((*packages, *shadow))
    return replace(scene, aside=aside, crops=crops, tumour=drawn_uid)


def _explained(
    packages: Sequence[Package],
    told: Sequence[Prediction | Observation | NotPredicted],
    findings: Findings,
    methods: Methods,
    until: float,
) -> Found:
    """Maps of what the answers of image packages rest on, all made ``until`` then by the steady clock; of those in
    shadow none, for maps are told."""
    maps = (
        saliency_of(package, said, findings, methods.batch, max(0.0, until - monotonic()))
        for package, said in zip(packages, told, strict=True)
        if isinstance(said, Prediction)
    )
    return sorted_out(one for one in maps if one is not None)


def _with_aside(findings: Findings, found: Found) -> Findings:
    """The findings of packages in shadow: with the features that they alone want, which are told nobody."""
    told: tuple[Quantity | NotMeasured, ...] = (*findings.quantities, *findings.not_measured)
    known = {_meant(one) for one in told}
    more = sorted_out(one for one in found.aside if _meant(one) not in known)
    quantities, not_measured = (*findings.quantities, *more.quantities), (*findings.not_measured, *more.not_measured)
    return replace(findings, quantities=quantities, not_measured=not_measured)


def _told(scene: Scene, packages: Sequence[Package]) -> Scene:
    """The scene of packages that are told, and of nothing aside."""
    return replace(scene, aside=(), crops=_crops(packages))


def _all(scene: Scene, shadow: Sequence[Package]) -> Scene:
    """The scene of packages in shadow, to whom nothing is aside."""
    signatures = (*scene.methods.signatures, *scene.aside)
    return replace(_told(scene, shadow), methods=replace(scene.methods, signatures=signatures))


def _meant(one: Quantity | NotMeasured) -> tuple[object, ...]:
    return one.roi, one.role, one.phase, one.code, one.modifier, one.method, one.series_uids


def _testified(study: Study, landmarks: Mapping[str, Landmarks], methods: Methods) -> dict[str, Judgement]:
    """What the images of each series say of its phase, by its UID, where the site asks them."""
    if not methods.images:
        return {}
    return {uid: testimony(series, landmarks[uid]) for uid in landmarks if (series := study.series_of(uid))}


def _parted(packages: Sequence[Package]) -> tuple[tuple[Package, ...], tuple[Package, ...]]:
    """Packages that draw the tumour, and those that say something of it."""
    drawing = tuple(package for package in packages if package.ensemble is not None)
    return drawing, tuple(package for package in packages if package.ensemble is None)


def _tumour(regions: Sequence[GivenRoi]) -> GivenRoi | Refused:
    try:
        return tumour_of(regions)
    except (NoRoi, AmbiguousRoi) as error:
        return error


def _study_refusals(tumour: GivenRoi | Refused, selection: Selection, every_roi: bool) -> tuple[NotMeasured, ...]:
    """What concerns no single series: no ROI, several that could be the tumour, several series for one phase or scan.

    Of other roles every series is measured; that several are alike concerns packages alone, and they say so.
    """
    refusals: list[NotMeasured] = []
    if isinstance(tumour, Refused) and not (isinstance(tumour, AmbiguousRoi) and every_roi):
        refusals.append(NotMeasured("", None, tumour))
    refusals += [NotMeasured("", role, error) for role, error in selection.ambiguous.items() if role in _REFUSED]
    refusals += [
        NotMeasured("", wish.role, found)
        for wish, found in selection.wanted.items()
        if isinstance(found, RoleAmbiguous) and wish.role not in selection.ambiguous
    ]
    return tuple(refusals)


def _answers(
    packages: Sequence[Package], findings: Findings, scene: Scene, conditions: Conditions, tried: GivenRoi | None
) -> list[Prediction | Observation | NotPredicted]:
    """What each package says, estimates with their stability where the region ``tried`` is drawn otherwise too."""
    answers = [(package, _answer(package, findings, conditions)) for package in packages]
    if tried is not None:
        answers = with_stability(answers, tried, scene, _COURSES, findings, conditions)
    return [answer for _, answer in answers]


def _flagged(
    answers: Sequence[Prediction | Observation | NotPredicted], by: Segmented | None
) -> list[Prediction | Observation | NotPredicted]:
    """The answers; those on a region that a package drew with a flag that says so."""
    if by is None:
        return list(answers)
    said = f"the region was drawn by {by.package.name} {by.package.version}; no reader has checked it"
    flag = Flag("region-drawn", said)
    return [
        one if isinstance(one, NotPredicted) or one.roi is None else replace(one, flags=(flag, *one.flags))
        for one in answers
    ]


def _answer(package: Package, findings: Findings, conditions: Conditions) -> Prediction | Observation | NotPredicted:
    """A package's prediction or observation, or why it did not run (promise 5)."""
    try:
        return predict(package, findings, conditions)
    except Refused as error:
        return NotPredicted(package.ref, error)
