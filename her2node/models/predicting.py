"""What a package says about a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from her2node.errors import DemonstrationOnly, Refused
from her2node.models import applicability
from her2node.models.inputs import gather
from her2node.models.manifest import Manifest, Output, Requirement
from her2node.models.package import Package
from her2node.models.prediction import Answer, Category, Level, Prediction
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.selection.choice import Selection
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
    """What was found in the study. ``tumour``: tracking id of the tumour's ROI, or why there is none."""

    study: Study
    selection: Selection
    quantities: Sequence[Quantity]
    not_measured: Sequence[NotMeasured]
    tumour: str | Refused


def predict(package: Package, findings: Findings, conditions: Conditions) -> Prediction:
    """The package's answer, one for every set of inputs that is still possible.

    Raises DemonstrationOnly, RoleMissing, RoleAmbiguous, NoRoi, AmbiguousRoi, OutsideIntendedUse, InputMissing,
    InputRefused, UnknownUnit, PackageRefused, and the reason for a needed quantity that could not be measured.
    """
    manifest = package.manifest
    if manifest.level is Level.SYNTHETIC_DEMO and not conditions.demonstration:
        raise DemonstrationOnly(f"{manifest.name}@{manifest.version}")
    series_of = _required_series(manifest, findings)
    flags = applicability.judge(manifest, series_of)
    tumour = _tumour(manifest, findings)
    inputs = gather(manifest, findings.quantities, findings.not_measured, tumour, conditions.entered)
    raw = package.probabilities([{used.name: used.value for used in case} for case in inputs.cases])
    prior, prior_source = _prior(manifest, conditions)
    shift = logit(prior) - logit(manifest.prior.prevalence)
    answers = []
    for case, probability in zip(inputs.cases, raw, strict=True):
        shifted = shifted_probability(probability, shift)
        answers.append(Answer(case, shifted, category(shifted, manifest.output)))
    return Prediction(
        package=package.ref,
        answers=tuple(answers),
        open_inputs=inputs.open_inputs,
        prior=prior,
        prior_source=prior_source,
        flags=(*flags, *inputs.flags, *manifest.cautions),
        conflicts=manifest.conflicts,
        roi=tumour,
    )


def category(probability: float, output: Output) -> Category:
    """Likely at or above the upper threshold, unlikely below the lower, else indeterminate."""
    if probability >= output.likely:
        return Category.LIKELY
    return Category.UNLIKELY if probability < output.unlikely else Category.INDETERMINATE


def logit(probability: float) -> float:
    return math.log(probability) - math.log1p(-probability)


def shifted_probability(probability: float, shift: float) -> float:
    """The probability after the log odds are moved by ``shift`` (for a logistic model: b0' = b0 + shift).

    With shift = logit(prior) - logit(cohort) this is Bayes' rule for another prevalence. 0 and 1 stay what they are.
    """
    if shift == 0 or probability in (0.0, 1.0):
        return probability
    odds = logit(probability) + shift
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))


def _prior(manifest: Manifest, conditions: Conditions) -> tuple[float, str]:
    """The prevalence that the answer is about, and where it comes from."""
    cohort = manifest.prior
    if conditions.prior is None or not cohort.shift:
        known = f"{cohort.positives} of {cohort.positives + cohort.negatives}"
        return cohort.prevalence, f"cohort of the package ({known}): {cohort.source}"
    return conditions.prior, conditions.prior_source or "setting of the site, its source is not stated"


def _required_series(manifest: Manifest, findings: Findings) -> dict[Requirement, Series]:
    found: dict[Requirement, Series] = {}
    for requirement in manifest.requires:
        uid = findings.selection.series_uid_of(requirement.role, requirement.phase)
        series = findings.study.series_of(uid)
        if series is not None:
            found[requirement] = series
    return found


def _tumour(manifest: Manifest, findings: Findings) -> str | None:
    """The tumour's tracking id where the package uses or wants one. Raises why there is none where it needs one."""
    if isinstance(findings.tumour, str):
        return findings.tumour if manifest.roi != "none" else None
    if manifest.roi == "needed":
        raise findings.tumour
    return None
