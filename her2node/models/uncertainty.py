"""How sure a package's answer is: intervals from what its manifest states, and the rule's own figures in words.

A logistic package with a covariance has the Wald interval of its linear predictor, a threshold package that of the
logarithm of its likelihood ratio, from the counts of its cohort; both with 95 % confidence, added on the scale of log
odds, where another prior only moves them. Any other trained package has a Venn-Abers interval of the share of positives
among cases with its score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from her2node.models.manifest import Prior, Scalar, Threshold
from her2node.models.odds import expit, logit, shifted_probability
from her2node.models.prediction import IntervalKind
from her2node.models.units import shown

_VENN_ABERS = (
    "It tells how often cases with this score were positive: the lower end if this case counts as negative, the upper "
    "end if it counts as positive. Over many cases like those the share of positives lies between the means of both "
    "ends. It has no level of confidence, promises nothing of a single patient or of another site, and may lie beside "
    "the probability where the model says too much or too little."
)
Z_95 = 1.959963984540054
"""The 97.5th percentile of the standard normal distribution."""


def interval_kind(manifest: Scalar) -> IntervalKind:
    """What the package's intervals are."""
    return IntervalKind.VENN_ABERS if manifest.venn_abers else IntervalKind.CONFIDENCE


def interval_of(
    manifest: Scalar, case: Mapping[str, float], probability: float, shift: float = 0.0
) -> tuple[float, float] | None:
    """The interval of ``probability``, which the package gave for ``case`` and a prior moved by ``shift`` on the log
    odds; None where nothing says how sure."""
    if manifest.venn_abers is not None:
        low, high = manifest.venn_abers.of(_score(probability) - shift)
        return shifted_probability(low, shift), shifted_probability(high, shift)
    error = _standard_error(manifest, case)
    if error is None or probability in (0.0, 1.0):
        return None
    odds = logit(probability)
    return expit(odds - Z_95 * error), expit(odds + Z_95 * error)


def remarks_of(manifest: Scalar, cases: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """How the rule decided, with its figures, and how intervals were had."""
    rule = manifest.threshold
    if rule is not None:
        unit = next(given.unit for given in manifest.inputs if given.name == rule.input)
        return (*(_decided(rule, manifest.prior, case[rule.input], unit) for case in cases), _of_rule(manifest.prior))
    if manifest.logistic is not None and manifest.logistic.covariance:
        return (f"95 % interval: Wald, {manifest.logistic.covariance_source}",)
    if manifest.venn_abers is not None:
        return (f"Venn-Abers interval, by {manifest.venn_abers.source}. {_VENN_ABERS}",)
    return ("No interval: the package does not say how sure its coefficients are.",)


def is_positive(rule: Threshold, value: float) -> bool:
    """Whether the rule calls the value positive."""
    return value >= rule.cut_off if rule.positive_if == ">=" else value < rule.cut_off


def likelihood_ratio(rule: Threshold, *, positive: bool) -> float:
    """LR+ = sensitivity / (1 - specificity); LR- = (1 - sensitivity) / specificity."""
    if positive:
        return rule.sensitivity / (1 - rule.specificity)
    return (1 - rule.sensitivity) / rule.specificity


def log_ratio_error(rule: Threshold, cohort: Prior, *, positive: bool) -> float:
    """Standard error of ln LR: sqrt(1/a - 1/n+ + 1/b - 1/n-), with a and b those whom the rule calls so among the n+
    positive and the n- negative patients (Simel, J Clin Epidemiol 1991;44:763)."""
    of_positives = rule.true_positives if positive else cohort.positives - rule.true_positives
    of_negatives = cohort.negatives - rule.true_negatives if positive else rule.true_negatives
    return math.sqrt(1 / of_positives - 1 / cohort.positives + 1 / of_negatives - 1 / cohort.negatives)


def wilson(count: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (J Am Stat Assoc 1927;22:209)."""
    share, z2 = count / of, Z_95**2
    centre = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z_95 / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    return centre - half, centre + half


def _score(probability: float) -> float:
    return logit(probability) if 0 < probability < 1 else math.copysign(math.inf, probability - 0.5)


def _standard_error(manifest: Scalar, case: Mapping[str, float]) -> float | None:
    """Of the log odds: of the rule's likelihood ratio, or sqrt(x' covariance x) with x = (1, inputs)."""
    rule, logistic = manifest.threshold, manifest.logistic
    if rule is not None:
        return log_ratio_error(rule, manifest.prior, positive=is_positive(rule, case[rule.input]))
    if logistic is None or not logistic.covariance:
        return None
    x = np.array([1.0, *(case[given.name] for given in manifest.inputs)])
    return math.sqrt(float(x @ np.array(logistic.covariance) @ x))


def _decided(rule: Threshold, cohort: Prior, value: float, unit: str) -> str:
    positive = is_positive(rule, value)
    ratio, error = likelihood_ratio(rule, positive=positive), log_ratio_error(rule, cohort, positive=positive)
    low, high = ratio * math.exp(-Z_95 * error), ratio * math.exp(Z_95 * error)
    word = "positive" if positive else "negative"
    return (
        f"The rule {rule.input} {rule.positive_if} {shown(rule.cut_off, unit)} is {word} "
        f"({shown(value, unit)}): likelihood ratio {ratio:.3g} (95 % {low:.2g} to {high:.2g}), "
        f"sensitivity {rule.sensitivity:.3g} ({_share(rule.true_positives, cohort.positives)}), "
        f"specificity {rule.specificity:.3g} ({_share(rule.true_negatives, cohort.negatives)})."
    )


def _share(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{count} of {of}, 95 % {low:.2f} to {high:.2f}"


def _of_rule(cohort: Prior) -> str:
    return (
        "95 % interval of the probability: of the likelihood ratio, from the counts of the cohort "
        f"({cohort.positives} positive, {cohort.negatives} negative); the prior is taken as known."
    )
