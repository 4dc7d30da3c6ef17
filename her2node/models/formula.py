"""What a manifest says that its graph calculates, so that the two can be held against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping

from her2node.models.manifest import Scalar
from her2node.models.uncertainty import is_positive, likelihood_ratio


def stated_probability(manifest: Scalar, case: Mapping[str, float]) -> float | None:
    """The probability at the cohort's prior by the stated threshold or coefficients; None where neither is stated.

    Threshold: odds of the cohort times the likelihood ratio. Logistic: 1 / (1 + exp(-(b0 + sum b_i x_i))).
    """
    if manifest.threshold is not None:
        rule, cohort = manifest.threshold, manifest.prior
        odds = cohort.positives / cohort.negatives
        after = odds * likelihood_ratio(rule, positive=is_positive(rule, case[rule.input]))
        return after / (1 + after)
    if manifest.logistic is not None:
        linear = manifest.logistic.intercept
        linear += math.fsum(slope * case[name] for name, slope in manifest.logistic.coefficients.items())
        return 1 / (1 + math.exp(-linear)) if linear > -700 else 0.0
    return None
