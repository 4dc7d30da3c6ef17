"""What a manifest says that its graph calculates, so that the two can be held against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping

from her2node.errors import WorkedCaseFailed
from her2node.models.manifest import Logistic, Scalar
from her2node.models.uncertainty import is_positive, likelihood_ratio


def stated_probability(manifest: Scalar, case: Mapping[str, float]) -> float | None:
    """The probability at the cohort's prior by the stated threshold or coefficients; None where neither is stated.

    Threshold: odds of the cohort times the likelihood ratio. Logistic: 1 / (1 + exp(-(b0 + sum b_i x_i))). Raises
    WorkedCaseFailed where the terms of that sum are too large to be added.
    """
    if manifest.threshold is not None:
        rule, cohort = manifest.threshold, manifest.prior
        odds = cohort.positives / cohort.negatives
        after = odds * likelihood_ratio(rule, positive=is_positive(rule, case[rule.input]))
        return after / (1 + after)
    if manifest.logistic is not None:
        linear = _linear(manifest.logistic, case)
        return 1 / (1 + math.exp(-linear)) if linear > -700 else 0.0
    return None


def _linear(model: Logistic, case: Mapping[str, float]) -> float:
    try:
        return model.intercept + math.fsum(slope * case[name] for name, slope in model.coefficients.items())
    except (OverflowError, ValueError) as error:  # beyond the largest double; infinities of both signs
        raise WorkedCaseFailed(f"logistic.coefficients are too large to be added for {dict(case)}: {error}") from error
