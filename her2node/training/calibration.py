"""Whether probabilities mean what they say, and what acting on them would gain.

Source: Steyerberg 2010, Epidemiology 21:128 (calibration); Vickers 2006, Med Decis Making 26:565 (decision curve).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from her2node.training.arrays import Bools, Doubles
from her2node.training.discrimination import Interval, Z, wilson

THRESHOLDS = np.linspace(0.01, 0.99, 99)
"""Of the decision curve."""
GROUPS = 5
"""Points of the calibration plot."""


@dataclass(frozen=True)
class Calibration:
    """``slope`` 1 and ``intercept`` 0 are perfect: a slope below 1 is overfitting (probabilities too far apart), an
    intercept below 0 says that probabilities are too high on the whole. NaN where cases do not determine it. Intervals
    are Wald's, value -+ z sqrt(inverse information), and take cases for independent. ``brier`` is the mean squared
    error, ``brier_prevalence`` that of a model that knows nothing but the prevalence."""

    slope: Interval
    intercept: Interval
    brier: float
    brier_prevalence: float


@dataclass(frozen=True)
class Group:
    """Cases of similar probability: the mean of what was said, and the share that was positive."""

    said: float
    seen: Interval


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit at ``THRESHOLDS`` of acting on the model, and of acting on everybody; on nobody it is 0."""

    model: Doubles
    everybody: Doubles


def calibration(log_odds: Doubles, labels: Bools) -> Calibration:
    """Of ``log_odds`` (repeats, n): each repeat by itself, then the mean, of both ends too: more repeats are not more
    cases."""
    slopes, levels = ([of(odds, labels) for odds in log_odds] for of in (slope, in_the_large))
    brier = float(np.mean([((expit(odds) - labels) ** 2).mean() for odds in log_odds]))
    prevalence = float(labels.mean())
    return Calibration(_mean(slopes), _mean(levels), brier, prevalence * (1 - prevalence))


def _mean(found: Sequence[Interval]) -> Interval:
    value, low, high = np.mean([(one.value, one.low, one.high) for one in found], axis=0).tolist()
    return Interval(value, low, high)


def slope(log_odds: Doubles, labels: Bools) -> Interval:
    """The b of logit P(positive) = a + b · log odds, by maximum likelihood. NaN where there is none: all log odds are
    equal, or those of one class nowhere above those of the other."""
    positive, negative = log_odds[labels], log_odds[~labels]
    if positive.min() >= negative.max() or positive.max() <= negative.min():
        return Interval(math.nan, math.nan, math.nan)
    scale = float(log_odds.std())
    design = np.column_stack([np.ones(len(labels)), log_odds / scale])
    found = _likeliest(design, np.zeros(len(labels)), labels, 1)
    return Interval(found.value / scale, found.low / scale, found.high / scale)


def in_the_large(log_odds: Doubles, labels: Bools) -> Interval:
    """The a of logit P(positive) = a + log odds, by maximum likelihood."""
    return _likeliest(np.ones((len(labels), 1)), log_odds, labels, 0)


def groups(log_odds: Doubles, labels: Bools) -> tuple[Group, ...]:
    """Fifths of the cases, ordered by probability (in all repeats)."""
    said, seen = expit(log_odds).ravel(), np.tile(labels, len(log_odds))
    parts = np.array_split(np.argsort(said, kind="stable"), GROUPS)
    return tuple(
        Group(float(said[part].mean()), wilson(float(seen[part].mean()), round(len(part) / len(log_odds))))
        for part in parts
        if len(part)
    )


def decision_curve(log_odds: Doubles, labels: Bools) -> DecisionCurve:
    """Formula: TP/n - FP/n · t/(1 - t) at the threshold t, averaged over the repeats (rows). Unit: 1."""
    positive = expit(log_odds)[:, None, :] >= THRESHOLDS[None, :, None]
    weight = THRESHOLDS / (1 - THRESHOLDS)
    true, false = (positive & labels).mean(axis=(0, 2)), (positive & ~labels).mean(axis=(0, 2))
    prevalence = labels.mean()
    return DecisionCurve(true - false * weight, prevalence - (1 - prevalence) * weight)


def _likeliest(design: Doubles, offset: Doubles, labels: Bools, place: int) -> Interval:
    """Of logistic regression with an offset the weight at ``place``, with Wald's interval; by Newton's method, its
    steps cut so that the likelihood never falls."""
    weights = np.zeros(design.shape[1])

    def loss(at: Doubles) -> float:
        odds = offset + design @ at
        return float((np.logaddexp(0, odds) - labels * odds).sum())

    def information(said: Doubles) -> Doubles:
        return np.asarray((design * (said * (1 - said))[:, None]).T @ design + 1e-12 * np.eye(len(weights)))

    for _ in range(100):
        said = expit(offset + design @ weights)
        step = np.linalg.solve(information(said), design.T @ (labels - said))
        step *= min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-300))
        while loss(weights + step) > loss(weights) + 1e-12 and np.abs(step).max() > 1e-12:
            step /= 2
        weights = weights + step
        if np.abs(step).max() < 1e-10:
            break
    variance = np.linalg.inv(information(expit(offset + design @ weights)))[place, place]
    value, half = float(weights[place]), Z * math.sqrt(variance)
    return Interval(value, value - half, value + half)
