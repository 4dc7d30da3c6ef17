"""Probabilities and their log odds, on whose scale another prior only moves them."""

from __future__ import annotations

import math


def logit(probability: float) -> float:
    """ln(p / (1 - p)), for p in (0, 1)."""
    return math.log(probability) - math.log1p(-probability)


def expit(odds: float) -> float:
    """1 / (1 + exp(-odds)), without overflow."""
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))


def shifted_probability(probability: float, shift: float) -> float:
    """The probability after the log odds are moved by ``shift`` (for a logistic model: b0' = b0 + shift).

    With shift = logit(prior) - logit(cohort) this is Bayes' rule for another prevalence. 0 and 1 stay what they are.
    """
    if shift == 0 or probability in (0.0, 1.0):
        return probability
    return expit(logit(probability) + shift)
