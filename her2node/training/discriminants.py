"""Study 20's two classifiers after MaZda's B11: linear discriminant and nearest neighbour, non-linear discriminants and
a network, each on at most thirty features (``selecting``).

How both depart from B11, whose program and settings study 20 does not print:
- a nearest neighbour says yes or no; here each answer stands for the share of positives among the cases that were so
  called by models which had not seen them (inner cross-validation; one more case of the cohort's prevalence is counted,
  so that no share is 0 or 1): two probabilities and no others.
- the network's size and its training are ours: ``UNITS`` hidden units are the non-linear discriminants, one output
  unit the network on them, fitted together by L-BFGS with a penalty on the weights.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from her2node.errors import CohortRefused
from her2node.training import penalised
from her2node.training.arrays import Bools, Cases, Doubles
from her2node.training.folds import folds_of
from her2node.training.selecting import selected

UNITS = 2
PENALTY = 1.0
"""scikit-learn's alpha."""
STEPS = 2000
"""Of L-BFGS, at most."""


@dataclass(frozen=True)
class Scaled:
    """The features at ``kept`` (k,), each (x - centre) / scale."""

    kept: tuple[int, ...]
    centre: Doubles
    scale: Doubles

    def of(self, values: Doubles) -> Doubles:
        """Of cases (n, p); shape (n, k)."""
        return np.asarray((values[:, list(self.kept)] - self.centre) / self.scale)

    def of_inputs(self, places: Sequence[int]) -> Scaled:
        """The same of cases that have the inputs at ``places`` alone, the kept ones among them."""
        return Scaled(tuple(places.index(place) for place in self.kept), self.centre, self.scale)


@dataclass(frozen=True)
class Nearest:
    """The class of the nearest training case on a line: it changes at ``bounds`` (m,), ascending, the middles between
    neighbours of different classes, and is ``lowest`` below all of them.

    The place of a case on the line is its scaled features times ``weights`` (k,). ``odds``: the log odds of a case that
    is called negative, and of one that is called positive.
    """

    features: Scaled
    weights: Doubles
    bounds: Doubles
    lowest: bool
    odds: tuple[float, float]
    scanners: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[int, ...]:
        """The places of the inputs that the model uses."""
        return self.features.kept

    def of_inputs(self, places: Sequence[int]) -> Nearest:
        """The same model of cases that have the inputs at ``places`` alone, the kept ones among them."""
        return Nearest(self.features.of_inputs(places), self.weights, self.bounds, self.lowest, self.odds)

    def called(self, values: Doubles) -> Bools:
        """Which cases (n, p) are called positive, shape (n,)."""
        places = self.features.of(values) @ self.weights
        crossed = np.searchsorted(self.bounds, places, side="left") % 2 == 1
        return np.asarray(crossed != self.lowest)

    def log_odds(self, values: Doubles, scanners: Sequence[str] = ()) -> Doubles:
        """Of cases (n, p), shape (n,)."""
        return np.where(self.called(values), self.odds[True], self.odds[False])


@dataclass(frozen=True)
class Network:
    """log odds = output · tanh(scaled features · hidden + hidden_bias) + bias; ``hidden`` (k, u), ``output`` (u,)."""

    features: Scaled
    hidden: Doubles
    hidden_bias: Doubles
    output: Doubles
    bias: float
    scanners: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[int, ...]:
        """The places of the inputs that the model uses."""
        return self.features.kept

    def of_inputs(self, places: Sequence[int]) -> Network:
        """The same model of cases that have the inputs at ``places`` alone, the kept ones among them."""
        return Network(self.features.of_inputs(places), self.hidden, self.hidden_bias, self.output, self.bias)

    def log_odds(self, values: Doubles, scanners: Sequence[str] = ()) -> Doubles:
        """Of cases (n, p), shape (n,)."""
        units = np.tanh(self.features.of(values) @ self.hidden + self.hidden_bias)
        return np.asarray(units @ self.output + self.bias)


def nearest(cases: Cases, folds: int, seed: int) -> Nearest:
    """Fit on these cases; the two probabilities from ``folds`` inner folds. Raises TooFewEvents as ``folds_of``."""
    inner = folds_of(cases.labels, cases.patients, folds, seed)
    called = np.empty(len(cases), dtype=np.bool_)
    for fold in range(folds):
        seen = cases.among(inner != fold)
        called[inner == fold] = _on_a_line(seen.values, seen.labels, (0.0, 0.0)).called(cases.values[inner == fold])
    prevalence = float(cases.labels.mean())
    negative, positive = (_odds(cases.labels[called == said], prevalence) for said in (False, True))
    return _on_a_line(cases.values, cases.labels, (negative, positive))


def _odds(labels: Bools, prevalence: float) -> float:
    """The log odds of the share of positives, one more case of the cohort's prevalence counted."""
    share = (labels.sum() + prevalence) / (len(labels) + 1)
    return math.log(share) - math.log1p(-share)


def _on_a_line(values: Doubles, labels: Bools, odds: tuple[float, float]) -> Nearest:
    features = _scaled(values, labels)
    scaled = features.of(values)
    weights = np.asarray(LinearDiscriminantAnalysis().fit(scaled, labels).coef_[0])
    places = scaled @ weights
    order = np.argsort(places, kind="stable")
    along, classes = places[order], labels[order]
    changes = np.flatnonzero(classes[1:] != classes[:-1])
    return Nearest(features, weights, (along[changes] + along[changes + 1]) / 2, bool(classes[0]), odds)


def network(cases: Cases, seed: int) -> Network:
    """Fit on these cases. The same ``seed`` gives the same network."""
    features = _scaled(cases.values, cases.labels)
    fitted = perceptron(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # its last step is as good as any: the penalty bounds it
        fitted.fit(features.of(cases.values), cases.labels)
    (hidden, output), (hidden_bias, bias) = fitted.coefs_, fitted.intercepts_
    return Network(features, hidden, hidden_bias, output[:, 0], float(bias[0]))


def perceptron(seed: int) -> MLPClassifier:
    """scikit-learn's network, not yet fitted."""
    return MLPClassifier((UNITS,), activation="tanh", solver="lbfgs", alpha=PENALTY, max_iter=STEPS, random_state=seed)


def _scaled(values: Doubles, labels: Bools) -> Scaled:
    places = selected(values, labels)
    if not places:
        raise CohortRefused("no input varies")
    return Scaled(places, *penalised.standards(values[:, list(places)]))
