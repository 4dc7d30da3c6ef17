"""What a package says of its own certainty: how sure its coefficients or its answers are, and where the cases lay
behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import expit

from her2node.models.applicability import squared_distance
from her2node.models.manifest import Input, Logistic, QuantityInput, TrainingSet, is_covariance
from her2node.models.venn_abers import VennAbers
from her2node.training.arrays import Bools, Doubles
from her2node.training.penalised import standards

_EXACT = 1e-9
"""A number of thousandths that is whole but for rounding is whole."""


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


def venn_abers(unseen: Doubles, labels: Bools, source: str) -> VennAbers:
    """Steps over log odds, from those of models that had not seen the cases, ``unseen`` (repeats, n), and their labels.

    Each repeat of a cross-validation gives both ends for every score; they are averaged over the repeats. Edges and
    ends are rounded outwards, to hundredths and thousandths; so rounded, an edge is still one case's score in a repeat.
    Source: Vovk 2015, NIPS 28:892. Known deviation: there the model that scores the new case is the one that scored the
    calibrating ones; here it is fitted on all cases, and those that scored them on all folds but one.
    """
    rows = [_ends(scores, labels) for scores in unseen]
    places = np.unique(np.concatenate([edges for edges, _ in rows]))
    ends = np.mean([found[:, np.searchsorted(edges, places, "right")] for edges, found in rows], axis=0)
    first = np.mean([found[:, :1] for _, found in rows], axis=0)
    low, high = np.column_stack([first, ends])
    low_from, low = _steps(np.ceil(100 * places) / 100, np.floor(1000 * low + _EXACT) / 1000)
    high_from, high = _steps(np.floor(100 * places) / 100, np.ceil(1000 * high - _EXACT) / 1000)
    return VennAbers(low, high, source, low_from, high_from)


def _ends(scores: Doubles, labels: Bools) -> tuple[Doubles, Doubles]:
    """Both ends (2, k + 1) below, between and above k different scores: the new case stands between its neighbours."""
    edges, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    shares = np.bincount(group, labels) / counts
    ends = np.empty((2, len(edges) + 1))
    for place in range(len(edges) + 1):
        weights = np.insert(counts.astype(np.float64), place, 1.0)
        for label in (0, 1):
            ends[label, place] = isotonic_regression(np.insert(shares, place, label), weights=weights).x[place]
    return edges, ends


def _steps(edges: Doubles, ends: Doubles) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The same steps without those that change nothing; of steps on one edge the outermost remain."""
    last = np.append(edges[1:] > edges[:-1], True)
    edges, ends = edges[last], np.append(ends[:1], ends[1:][last])
    changed = ends[1:] > ends[:-1]
    return tuple(edges[changed].tolist()), tuple(np.append(ends[:1], ends[1:][changed]).tolist())
