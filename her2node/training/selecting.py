"""Selection among hundreds of features as MaZda does it before study 20's classifiers: three rules, ten features each.

Source: Szczypinski 2009, Comput Methods Programs Biomed 94:66; Mucciardi 1971, IEEE Trans Comput C-20:1023. Whoever
calls it on the cases outside a fold has the selection inside.
"""

from __future__ import annotations

import numpy as np

from her2node.training.arrays import Bools, Doubles

EACH = 10
"""Features that each of the three rules takes; those that two take count once."""
BINS = 8
"""Into which a feature's values are divided for its mutual information, as evenly as they can be."""


def selected(values: Doubles, labels: Bools) -> tuple[int, ...]:
    """The places of at most thirty of the features (n, p), ascending; features that never change are none of them."""
    moving = np.flatnonzero(values.std(axis=0) > 0)
    among = values[:, moving]
    if not moving.size:
        return ()
    by_worth = {*_first(fisher(among, labels)), *_first(information(among, labels))}
    return tuple(sorted(moving[list(by_worth | set(by_error_and_correlation(among, labels)))].tolist()))


def fisher(values: Doubles, labels: Bools) -> Doubles:
    """Fisher's coefficient of each feature, shape (p,). Formula: (m1 - m0)^2 / (q1 v1 + q0 v0), of the classes m the
    means, v the variances, q the shares; infinite where the classes do not vary and differ."""
    apart = values[labels].mean(axis=0) - values[~labels].mean(axis=0)
    share = labels.mean()
    within = share * values[labels].var(axis=0) + (1 - share) * values[~labels].var(axis=0)
    return np.asarray(np.divide(apart**2, within, out=np.where(apart == 0, 0.0, np.inf), where=within > 0))


def errors(values: Doubles, labels: Bools) -> Doubles:
    """The share of cases that lie nearer to the mean of the other class, feature by feature, shape (p,)."""
    positive, negative = (np.abs(values - values[mask].mean(axis=0)) for mask in (labels, ~labels))
    wrong = np.where(labels[:, None], positive > negative, negative > positive)
    return np.asarray((wrong + (positive == negative) / 2).mean(axis=0))


def by_error_and_correlation(values: Doubles, labels: Bools) -> list[int]:
    """Ten places: first the fewest errors, then again and again the least sum of errors and mean absolute correlation
    with those that were taken."""
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    wrong, correlated = errors(values, labels), np.zeros(values.shape[1])
    found: list[int] = []
    for taken in range(min(EACH, values.shape[1])):
        cost = wrong + correlated / max(taken, 1)
        cost[found] = np.inf
        found.append(int(np.argmin(cost)))
        correlated += np.abs(scaled.T @ scaled[:, found[-1]]) / len(values)
    return found


def information(values: Doubles, labels: Bools) -> Doubles:
    """Mutual information of each feature, in ``BINS`` bins of as many cases, and the label, in bits, shape (p,)."""
    edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], axis=0)
    binned = (values[None] > edges[:, None]).sum(axis=0)
    classes = (labels[:, None], ~labels[:, None])
    joint = np.array([[((binned == number) & mask).mean(axis=0) for number in range(BINS)] for mask in classes])
    expected = joint.sum(axis=0, keepdims=True) * joint.sum(axis=1, keepdims=True)
    ratio = np.divide(joint, expected, out=np.ones_like(joint), where=joint > 0)
    return np.asarray((joint * np.log2(ratio)).sum(axis=(0, 1)))


def _first(worth: Doubles) -> list[int]:
    return [int(place) for place in np.argsort(-worth, kind="stable")[:EACH]]
