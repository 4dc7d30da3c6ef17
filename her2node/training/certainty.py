"""What a package says of its own certainty: how sure its coefficients are, and where the cases lay behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from her2node.models.applicability import squared_distance
from her2node.models.manifest import Input, Logistic, QuantityInput, TrainingSet, is_covariance
from her2node.training.arrays import Bools, Doubles
from her2node.training.penalised import standards


def covariance(model: Logistic, values: Doubles, labels: Bools, patients: Sequence[str]) -> Doubles:
    """Covariance of intercept and coefficients, shape (1 + p, 1 + p), at the maximum of the likelihood of cases (n, p).

    Formula: I^-1 with I = sum p (1 - p) x x', x = (1, inputs); where patients have several cases I^-1 M I^-1, M the
    sum over patients of u u', u = sum (y - p) x over a patient's cases.
    Source: Liang 1986, Biometrika 73:13 (working independence).
    """
    centre, scale = standards(values)
    design = np.column_stack([np.ones(len(values)), (values - centre) / scale])
    said = expit(model.intercept + values @ np.array(list(model.coefficients.values())))
    inverse = np.linalg.inv((design * (said * (1 - said))[:, None]).T @ design)
    _, whose = np.unique(np.asarray(patients), return_inverse=True)
    if whose.max() + 1 < len(values):
        scores = np.zeros((whose.max() + 1, design.shape[1]))
        np.add.at(scores, whose, (labels - said)[:, None] * design)
        inverse = inverse @ (scores.T @ scores) @ inverse
    unscaled = np.diag(np.concatenate([[1.0], 1 / scale]))
    unscaled[0, 1:] = -centre / scale
    found = unscaled @ inverse @ unscaled.T
    return np.asarray((found + found.T) / 2)


def with_covariance(model: Logistic, values: Doubles, labels: Bools, patients: Sequence[str]) -> Logistic:
    """The model with its covariance; as it is where the cases do not determine one."""
    try:
        found = covariance(model, values, labels, patients)
    except np.linalg.LinAlgError:
        return model
    rows = tuple(tuple(row) for row in found.tolist())
    if not np.isfinite(found).all() or not is_covariance(rows, len(rows)):
        return model
    counted = f"{len(values)} cases of {len(set(patients))} patients"
    said = f"inverse Fisher information of the {counted} that it was fitted on, without selection"
    if len(set(patients)) < len(values):
        said = f"sandwich estimate over patients, of the {counted} that it was fitted on, without selection"
    return Logistic(model.intercept, model.coefficients, rows, said)


def training_set(inputs: Sequence[Input], values: Doubles) -> TrainingSet | None:
    """Where the measured inputs of the cases (n, p) lay; as usual counts what is no further than the furthest of them.

    None where nothing is measured, and where inputs determine each other.
    """
    places = [place for place, given in enumerate(inputs) if isinstance(given, QuantityInput)]
    if not places or len(values) < 2:
        return None
    measured = values[:, places]
    mean, spread = measured.mean(axis=0), np.atleast_2d(np.cov(measured, rowvar=False))
    rows = tuple(tuple(row) for row in spread.tolist())
    if not is_covariance(rows, len(places)):
        return None
    distances = [squared_distance(row, mean, spread) for row in measured]
    return TrainingSet(tuple(inputs[place].name for place in places), tuple(mean.tolist()), rows, max(distances))
