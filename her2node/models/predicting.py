"""What a package says about a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from her2node.errors import DemonstrationOnly, ModalityAbsent, NeedsTraining, PackageRefused, Refused
from her2node.models import applicability, crops
from her2node.models.applicability import Played
from her2node.models.image.view import View
from her2node.models.inputs import Inputs, Where, gather
from her2node.models.manifest import Form, Image, Manifest, MeasuredOnly, Output, Scalar, Segmenter
from her2node.models.odds import logit, shifted_probability
from her2node.models.package import Package
from her2node.models.prediction import Answer, Category, Flag, InputUsed, Level, Observation, Prediction
from her2node.models.uncertainty import interval_kind, interval_of, remarks_of
from her2node.models.units import shown
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.selection.choice import PHASES, Selection
from her2node.selection.study import Series, Study


@dataclass(frozen=True)
class Conditions:
    """What the site adds. ``prior``: its own prevalence of HER-2 positivity, or None to keep each package's.
    ``entered``: what readers entered, by input name."""

    entered: Mapping[str, str]
    prior: float | None = None
    prior_source: str = ""
    demonstration: bool = False


@dataclass(frozen=True)
class Findings:
    """What was found in the study. ``tumour``: tracking id of the tumour's ROI, or why there is none. ``views``: what
    image packages look at."""

    study: Study
    selection: Selection
    quantities: Sequence[Quantity]
    not_measured: Sequence[NotMeasured]
    tumour: str | Refused
    views: Sequence[View] = ()


@dataclass(frozen=True)
class Standing:
    """Where a package's quantities are measured in a study, and flags for how those series were made."""

    where: Where
    flags: tuple[Flag, ...]


def predict(package: Package, findings: Findings, conditions: Conditions) -> Prediction | Observation:
    """The package's answer, one for every set of inputs that is still possible; of a package without a model what was
    measured; of an image package what its network says of its crop.

    Raises ModalityAbsent, NeedsTraining, DemonstrationOnly, RoleMissing, RoleAmbiguous, NoRoi, AmbiguousRoi,
    OutsideIntendedUse, InputMissing, InputRefused, ScannerUnknown, QuantityAmbiguous, UnknownUnit, MixedOrientations,
    PackageRefused, and the reason for a needed quantity that could not be measured or a phase that could not be looked
    at.
    """
    manifest = package.manifest
    if isinstance(manifest, Segmenter):
        raise PackageRefused(f"{manifest.name} draws regions and estimates nothing")
    if manifest.level is Level.SYNTHETIC_DEMO and not conditions.demonstration:
        raise DemonstrationOnly(f"{manifest.name}@{manifest.version}")
    need_modalities(manifest, findings.study)
    if isinstance(manifest, Form):
        raise NeedsTraining(
            f"{manifest.name}@{manifest.version} ({manifest.training.model})", remedy=" ".join(manifest.training.must)
        )
    if isinstance(manifest, Image):
        return _of_crop(package, manifest, standing(package, findings), findings, conditions)
    return answer(package, standing(package, findings), findings.quantities, findings.not_measured, conditions)


def standing(package: Package, findings: Findings) -> Standing:
    """Where a package, a form among them, is measured in a study: training asks for it as an answer does.

    Raises RoleMissing, RoleAmbiguous, NoRoi, AmbiguousRoi, OutsideIntendedUse.
    """
    series_of = required_series(package, findings.study, findings.selection)
    flags = applicability.judge(package.manifest, series_of)
    tumour = _tumour(package.manifest, findings)
    uids = {played: series.series_instance_uid for played, series in series_of.items()}
    scanners = tuple(dict.fromkeys(applicability.scanner(series.first) for series in series_of.values()))
    return Standing(Where(tumour, uids, _passed_over(findings.selection, uids), scanners), flags)


def answer(
    package: Package,
    found: Standing,
    quantities: Sequence[Quantity],
    not_measured: Sequence[NotMeasured],
    conditions: Conditions,
) -> Prediction | Observation:
    """What a package that answers says of what was measured where it stands. Raises as ``predict`` does."""
    manifest = package.manifest
    assert not isinstance(manifest, Form | Segmenter | Image)
    inputs = gather(manifest, quantities, not_measured, found.where, conditions.entered)
    if isinstance(manifest, MeasuredOnly):
        return _observed(package, manifest, inputs, found.flags, found.where.tumour)
    return _predicted(package, manifest, inputs, found.flags, conditions, found.where.tumour)


def _predicted(
    package: Package,
    manifest: Scalar,
    inputs: Inputs,
    flags: tuple[Flag, ...],
    conditions: Conditions,
    tumour: str | None,
) -> Prediction:
    cases = [{used.name: used.value for used in case} for case in inputs.cases]
    prior, prior_source = _prior(manifest, conditions)
    shift = prior_shift(manifest, prior)
    answers = []
    for used, case, probability in zip(inputs.cases, cases, package.probabilities(cases), strict=True):
        shifted = shifted_probability(probability, shift)
        interval = interval_of(manifest, case, shifted, shift)
        answers.append(Answer(used, shifted, category(shifted, manifest.output), interval, interval_kind(manifest)))
    far = applicability.unlike_training(manifest.training_set, cases) if manifest.training_set else ()
    return Prediction(
        package=package.ref,
        answers=tuple(answers),
        open_inputs=inputs.open_inputs,
        prior=prior,
        prior_source=prior_source,
        flags=(*flags, *inputs.flags, *far),
        conflicts=conflicts(manifest),
        roi=tumour,
        cautions=manifest.cautions,
        categories=categories(manifest.output),
        remarks=remarks_of(manifest, cases),
    )


def _of_crop(
    package: Package, manifest: Image, found: Standing, findings: Findings, conditions: Conditions
) -> Prediction:
    """The network's answer to the crop; it has no inputs beside it."""
    crop = crops.gather(manifest, findings.views, findings.not_measured, found.where)
    assert package.classifier is not None
    prior, prior_source = _prior(manifest, conditions)
    shift = prior_shift(manifest, prior)
    probability = shifted_probability(package.classifier.probability(crop.values), shift)
    return Prediction(
        package=package.ref,
        answers=(Answer((), probability, category(probability, manifest.output)),),
        open_inputs=(),
        prior=prior,
        prior_source=prior_source,
        flags=(*found.flags, *crop.flags),
        conflicts=conflicts(manifest),
        roi=found.where.tumour,
        cautions=manifest.cautions,
        categories=categories(manifest.output),
        remarks=(*crop.remarks, "No interval: the package does not say how sure its network is."),
        looked_at=tuple(view.series_uid for view in crop.views),
    )


def _observed(
    package: Package, manifest: MeasuredOnly, inputs: Inputs, flags: tuple[Flag, ...], tumour: str | None
) -> Observation:
    (case,) = inputs.cases
    used = {one.name: one for one in case}
    return Observation(
        package=package.ref,
        inputs=case,
        remarks=tuple(_beside(used[cut.input], cut.value, cut.said) for cut in manifest.cut_offs),
        flags=(*flags, *inputs.flags),
        conflicts=conflicts(manifest),
        roi=tumour,
        cautions=manifest.cautions,
    )


def _beside(used: InputUsed, cut_off: float, said: str) -> str:
    side = "at or above" if used.value >= cut_off else "below"
    return f"{used.name} {shown(used.value, used.unit)} is {side} the printed cut-off {cut_off:g}. {said}"


def conflicts(manifest: Manifest) -> tuple[str, ...]:
    """What the literature says of the directions of effect, one sentence a quantity."""
    return (*(evidence.words for evidence in manifest.evidence), *manifest.conflicts)


def category(probability: float, output: Output) -> Category:
    """Likely at or above the upper threshold, unlikely below the lower, else indeterminate."""
    if probability >= output.likely:
        return Category.LIKELY
    return Category.UNLIKELY if probability < output.unlikely else Category.INDETERMINATE


def categories(output: Output) -> str:
    """The thresholds of the categories in words."""
    return (
        f"likely from a probability of {output.likely:g}, unlikely below {output.unlikely:g}, indeterminate between. "
        f"{output.explanation}"
    )


def prior_shift(manifest: Scalar | Image, prior: float) -> float:
    """What another prior than the cohort's adds to the log odds."""
    return logit(prior) - logit(manifest.prior.prevalence)


def _prior(manifest: Scalar | Image, conditions: Conditions) -> tuple[float, str]:
    """The prevalence that the answer is about, and where it comes from."""
    cohort = manifest.prior
    if conditions.prior is None or not cohort.shift:
        known = f"{cohort.positives} of {cohort.positives + cohort.negatives}"
        return cohort.prevalence, f"cohort of the package ({known}): {cohort.source}"
    return conditions.prior, conditions.prior_source or "setting of the site, its source is not stated"


def need_modalities(manifest: Manifest, study: Study) -> None:
    """Raises ModalityAbsent where the study was not made for the package at all."""
    present = {series.modality for series in study.series}
    absent = dict.fromkeys(r.modality for r in manifest.requires if r.modality not in present)
    if absent:
        raise ModalityAbsent(f"{', '.join(absent)}")


def required_series(package: Package, study: Study, selection: Selection) -> dict[Played, Series]:
    """The series that the package needs, in its order. Raises RoleMissing, RoleAmbiguous."""
    found: dict[Played, Series] = {}
    for requirement in package.manifest.requires:
        wanted = package.reconstruction(requirement)
        uid = selection.series_uid_of(requirement.role, requirement.phase, wanted)
        series = study.series_of(uid)
        if series is not None:
            found[requirement.role, requirement.phase] = series
    return found


def _passed_over(selection: Selection, uids: Mapping[Played, str]) -> frozenset[str]:
    """The reconstructions of phases that are measured for other packages."""
    mine = {**selection.chosen, **{role: uid for (role, phase), uid in uids.items() if phase is None}}
    return frozenset(uid for role in PHASES for uid in selection.of_phase(role) if uid != mine.get(role))


def _tumour(manifest: Manifest, findings: Findings) -> str | None:
    """The tumour's tracking id where the package uses or wants one. Raises why there is none where it needs one."""
    if isinstance(findings.tumour, str):
        return findings.tumour if manifest.roi != "none" else None
    if manifest.roi == "needed":
        raise findings.tumour
    return None
