"""Whether probabilities mean what they say, and what acting on them would gain.

Source: Steyerberg 2010, Epidemiology 21:128 (calibration); Vickers 2006, Med Decis Making 26:565 (decision curve).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from her2node.training.arrays import Bools, Doubles
from her2node.training.discrimination import Interval, wilson

THRESHOLDS = np.linspace(0.01, 0.99, 99)
"""Of the decision curve."""
GROUPS = 5
"""Points of the calibration plot."""


@dataclass(frozen=True)
class Calibration:
    """``slope`` 1 and ``intercept`` 0 are perfect: a slope below 1 is overfitting (probabilities too far apart), an
    intercept below 0 says that probabilities are too high on the whole. ``brier`` is the mean squared error;
    ``brier_prevalence`` that of a model that knows nothing but the prevalence."""

    slope: float
    intercept: float
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
    """Of ``log_odds`` (repeats, n): each repeat by itself, then the mean."""
    rows = [
        (slope(odds, labels), in_the_large(odds, labels), float(((expit(odds) - labels) ** 2).mean()))
        for odds in log_odds
    ]
    prevalence = float(labels.mean())
    of_slope, of_level, brier = np.mean(rows, axis=0).tolist()
    return Calibration(of_slope, of_level, brier, prevalence * (1 - prevalence))


def slope(log_odds: Doubles, labels: Bools) -> float:
    """The b of logit P(positive) = a + b · log odds, by maximum likelihood. NaN where all log odds are equal."""
    if log_odds.std() == 0:
        return math.nan
    scale = float(log_odds.std())
    design = np.column_stack([np.ones(len(labels)), log_odds / scale])
    return float(_likeliest(design, np.zeros(len(labels)), labels)[1]) / scale


def in_the_large(log_odds: Doubles, labels: Bools) -> float:
    """The a of logit P(positive) = a + log odds, by maximum likelihood."""
    return float(_likeliest(np.ones((len(labels), 1)), log_odds, labels)[0])


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


def _likeliest(design: Doubles, offset: Doubles, labels: Bools) -> Doubles:
    """Logistic regression with an offset by Newton's method, its steps cut so that the likelihood never falls."""
    weights = np.zeros(design.shape[1])

    def loss(at: Doubles) -> float:
        odds = offset + design @ at
        return float((np.logaddexp(0, odds) - labels * odds).sum())

    for _ in range(100):
        said = expit(offset + design @ weights)
        curvature = (design * (said * (1 - said))[:, None]).T @ design + 1e-12 * np.eye(len(weights))
        step = np.linalg.solve(curvature, design.T @ (labels - said))
        step *= min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-300))
        while loss(weights + step) > loss(weights) + 1e-12 and np.abs(step).max() > 1e-12:
            step /= 2
        weights = weights + step
        if np.abs(step).max() < 1e-10:
            break
    return weights
