"""From training cases to a model of the log odds: LASSO, logistic regression, LDA, nomogram, study 20's classifiers.

Everything that looks at a label or at the spread of a feature happens in ``fit``, so that whoever calls it on the cases
outside a fold has all selection inside. Of linear models scaling and harmonisation are folded into the coefficients.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from her2node.errors import TooFewEvents
from her2node.training import harmonising, penalised
from her2node.training.arrays import Bools, Cases, Doubles
from her2node.training.discriminants import Nearest, Network, nearest, network
from her2node.training.folds import folds_of

INNER_FOLDS = 5


class Method(StrEnum):
    """How the coefficients come about; the words are those of a form's ``training.model``."""

    LASSO = "lasso-logistic"
    """Logistic regression with an L1 penalty, chosen by cross-validation for the lowest deviance."""
    LOGISTIC = "logistic"
    """Logistic regression by maximum likelihood, no selection."""
    LDA = "lda"
    """Linear discriminant analysis: equal covariances, prior as in the cohort."""
    NOMOGRAM = "nomogram"
    """A LASSO score of the measured inputs, then a logistic regression on it and the clinical inputs."""
    LDA_1NN = "lda-1nn"
    """Features selected as by MaZda, a linear discriminant of them, the nearest neighbour on it."""
    NDA_ANN = "nda-ann"
    """Features selected as by MaZda, non-linear discriminants of them, a network on those."""


@dataclass(frozen=True)
class Plan:
    """``clinical``: places of the inputs that a nomogram takes beside its score. ``harmonised``: places of the inputs
    that ComBat brings to one level; empty for no harmonisation."""

    method: Method
    clinical: tuple[int, ...] = ()
    harmonised: tuple[int, ...] = ()


@dataclass(frozen=True)
class Model:
    """log odds = intercept + slopes · x, one row a scanner; a model without harmonisation has one row, no scanners."""

    intercepts: Doubles
    slopes: Doubles
    scanners: tuple[str, ...] = ()

    def log_odds(self, values: Doubles, scanners: Sequence[str] = ()) -> Doubles:
        """Of cases (n, p), made on these scanners where the model asks for them; shape (n,). Raises ScannerUnknown."""
        rows = harmonising.rows_of(self.scanners, scanners) if self.scanners else [0] * len(values)
        return np.asarray(self.intercepts[rows] + (self.slopes[rows] * values).sum(axis=1))

    @property
    def kept(self) -> tuple[int, ...]:
        """The places of the inputs that the model uses."""
        return tuple(np.flatnonzero(np.any(self.slopes != 0, axis=0)).tolist())

    def of_inputs(self, places: Sequence[int]) -> Model:
        """The same model of cases that have the inputs at ``places`` alone, the kept ones among them."""
        return Model(self.intercepts, self.slopes[:, list(places)], self.scanners)


Fitted = Model | Nearest | Network


@dataclass(frozen=True)
class _Linear:
    """log odds = intercept + slopes · x, for all scanners alike."""

    intercept: float
    slopes: Doubles

    def log_odds(self, values: Doubles) -> Doubles:
        return np.asarray(self.intercept + values @ self.slopes)


def fit(plan: Plan, cases: Cases, seed: int) -> Fitted:
    """Fit on these cases. The same ``seed`` gives the same model.

    Raises TooFewEvents when a class has fewer patients than there are inner folds, CohortRefused as ComBat does.
    """
    if plan.method is Method.LDA_1NN:
        return nearest(cases, INNER_FOLDS, seed)
    if plan.method is Method.NDA_ANN:
        return network(cases, seed)
    if not plan.harmonised:
        linear = _linear(plan, cases, seed)
        return Model(np.array([linear.intercept]), linear.slopes[None, :])
    places = list(plan.harmonised)
    combat = harmonising.fit(cases.values[:, places], cases.scanners)
    factors, offsets = combat.of(cases.scanners)
    values = cases.values.copy()
    values[:, places] = factors * values[:, places] + offsets
    linear = _linear(plan, Cases(cases.names, values, cases.labels, cases.patients), seed)
    slopes = np.tile(linear.slopes, (len(combat.scanners), 1))
    slopes[:, places] *= combat.factors
    return Model(linear.intercept + combat.offsets @ linear.slopes[places], slopes, combat.scanners)


def _linear(plan: Plan, cases: Cases, seed: int) -> _Linear:
    if plan.method is Method.LASSO:
        return _lasso(cases, seed)
    if plan.method is Method.NOMOGRAM:
        return _nomogram(plan, cases, seed)
    return _by_sklearn(plan.method, cases.values, cases.labels)


def _by_sklearn(method: Method, values: Doubles, labels: Bools) -> _Linear:
    centre, scale = penalised.standards(values)
    estimator = (
        LinearDiscriminantAnalysis()
        if method is Method.LDA
        else LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    )
    with warnings.catch_warnings():
        # Classes that a plane separates have no finite maximum; ``apart`` tells of it where a person reads it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message=".*Hessian.*|.*ill-conditioned.*")
        estimator.fit((values - centre) / scale, labels)
    return _unscaled(float(estimator.intercept_[0]), np.asarray(estimator.coef_[0]), centre, scale)


def _lasso(cases: Cases, seed: int) -> _Linear:
    centre, scale = penalised.standards(cases.values)
    standardised = (cases.values - centre) / scale
    lambdas = penalised.penalties(standardised, cases.labels)
    folds = folds_of(cases.labels, cases.patients, INNER_FOLDS, seed)
    place = penalised.chosen(cases.values, cases.labels, folds, lambdas)
    fitted = penalised.end(standardised, cases.labels, lambdas[: place + 1])
    return _unscaled(float(fitted[0]), fitted[1:], centre, scale)


def _nomogram(plan: Plan, cases: Cases, seed: int) -> _Linear:
    """The score that enters the second step is made of models that have not seen the case, so that it is not believed
    more than it deserves; the score that the result contains is then fitted on all cases."""
    clinical = list(plan.clinical)
    measured = [place for place in range(len(cases.names)) if place not in clinical]
    scored = Cases(tuple(cases.names[i] for i in measured), cases.values[:, measured], cases.labels, cases.patients)
    folds = folds_of(cases.labels, cases.patients, INNER_FOLDS, seed)
    score = np.empty(len(cases))
    for fold in range(INNER_FOLDS):
        score[folds == fold] = _lasso(scored.among(folds != fold), seed).log_odds(scored.values[folds == fold])
    final = _lasso(scored, seed)
    second = _by_sklearn(Method.LOGISTIC, np.column_stack([score, cases.values[:, clinical]]), cases.labels)
    slopes = np.zeros(len(cases.names))
    slopes[measured] = second.slopes[0] * final.slopes
    slopes[clinical] = second.slopes[1:]
    return _Linear(second.intercept + second.slopes[0] * final.intercept, slopes)


def _unscaled(intercept: float, slopes: Doubles, centre: Doubles, scale: Doubles) -> _Linear:
    """The same line for inputs as they are; the intercept is summed exactly, for its terms may be huge and cancel."""
    unscaled = slopes / scale
    return _Linear(math.fsum([intercept, *(-unscaled * centre)]), unscaled)


def apart(model: Fitted, cases: Cases) -> bool:
    """Whether a linear model separates the cases that it was fitted on: its coefficients then have no finite limit."""
    if not isinstance(model, Model):
        return False
    odds = model.log_odds(cases.values, cases.scanners)
    return bool(odds[cases.labels].min() > odds[~cases.labels].max())


def fewest(method: Method) -> int:
    """Patients of each class, so that every half of them can be fitted: a nomogram fits LASSO inside the inner folds,
    so what any of these leaves must still fill as many."""
    half = INNER_FOLDS
    while method is Method.NOMOGRAM and half - math.ceil(half / INNER_FOLDS) < INNER_FOLDS:
        half += 1
    return 2 * half


def check_size(plan: Plan, cases: Cases) -> None:
    """Raises TooFewEvents when a class has too few patients for a cross-validation within a cross-validation."""
    least = fewest(plan.method)
    for word, patients in zip(("positive", "negative"), cases.patients_by_class, strict=True):
        if len(patients) < least:
            raise TooFewEvents(f"{len(patients)} patients are {word}, at least {least} are needed to learn anything")
