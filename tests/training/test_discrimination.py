from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from sklearn.metrics import roc_auc_score, roc_curve

from her2node.training.discrimination import (
    Z,
    area,
    curve,
    delong,
    interval,
    placements,
    placements_within,
    variance,
    wilson,
)

SCORES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=8, max_size=40)


def split(drawn: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    labels = np.array([label for _, label in drawn] + [True, True, False, False])
    return np.array([float(score) for score, _ in drawn] + [0.0, 1.0, 0.0, 1.0]), labels


@settings(deadline=None)
@given(SCORES)
def test_the_area_is_that_of_scikit_learn_ties_included(drawn: list[tuple[int, bool]]) -> None:
    scores, labels = split(drawn)
    assert area(placements(scores, labels), labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@settings(deadline=None)
@given(SCORES)
def test_the_variance_is_delongs_by_its_definition(drawn: list[tuple[int, bool]]) -> None:
    """DeLong 1988, equations 4 to 6, pair by pair."""
    scores, labels = split(drawn)
    x, y = scores[labels], scores[~labels]
    pairs = np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in y] for a in x])
    wanted = pairs.mean(axis=1).var(ddof=1) / len(x) + pairs.mean(axis=0).var(ddof=1) / len(y)
    found = variance(placements(scores, labels), labels, [str(i) for i in range(len(labels))])
    assert found == pytest.approx(wanted, abs=1e-12)


def test_copies_of_a_patients_cases_do_not_make_the_interval_narrower() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 2 == 0
    scores = rng.normal(size=60) + labels
    patients = [str(i) for i in range(60)]
    once = variance(placements(scores, labels), labels, patients)
    thrice = np.tile(scores, 3), np.tile(labels, 3)
    assert variance(placements(*thrice), thrice[1], patients * 3) == pytest.approx(once, rel=1e-9)
    assert variance(placements(*thrice), thrice[1], [str(i) for i in range(180)]) < once / 2.5


def test_the_interval_of_a_fixed_score_covers_its_true_area() -> None:
    """Binormal: the true area of N(1, 1) against N(0, 1) is Phi(1/sqrt 2) = 0.7602."""
    rng, truth, hits = np.random.default_rng(7), 0.7602499, 0
    labels = np.arange(120) < 40
    patients = [str(i) for i in range(120)]
    for _ in range(400):
        told = delong(rng.normal(size=120) + labels, labels, patients)
        hits += told.low <= truth <= told.high
    assert 0.91 <= hits / 400 <= 0.98


@pytest.mark.parametrize(("positives", "negatives", "low"), [(2, 2, 0.158), (5, 3, 0.292), (20, 60, 0.832)])
def test_an_order_without_a_fault_proves_no_more_than_its_pairs(positives: int, negatives: int, low: float) -> None:
    """By hand: 0.025^(1/2), ^(1/3), ^(1/20). Normal scores whose true area is that end are in order less often than
    1 in 40."""
    count = positives + negatives
    labels, patients = np.arange(count) < positives, [str(i) for i in range(count)]
    found = delong(labels.astype(float), labels, patients)
    assert (found.value, found.low, found.high) == (1.0, pytest.approx(low, abs=5e-4), 1.0)
    mirrored = delong(-labels.astype(float), labels, patients)
    assert (mirrored.value, mirrored.low, mirrored.high) == (0.0, 0.0, pytest.approx(1 - low, abs=5e-4))
    scores = np.random.default_rng(5).normal(size=(4000, count)) + labels * math.sqrt(2) * ndtri(found.low)
    perfect = scores[:, labels].min(axis=1) > scores[:, ~labels].max(axis=1)
    assert perfect.mean() <= 0.025
    wider = interval(placements(labels.astype(float), labels), labels, patients, inflation=2.0)
    assert wider.low == pytest.approx(found.low**2)


def test_of_an_order_without_a_fault_no_patient_stands_in_two_pairs() -> None:
    labels = np.arange(8) < 4
    ordered = labels.astype(float)
    assert delong(ordered, labels, list("aabbccdd")).low == pytest.approx(0.025 ** (1 / 2))
    assert delong(ordered, labels, list("abcdabcd")).low == pytest.approx(0.025 ** (1 / 2))
    assert delong(ordered, labels, list("aaaaaaaa")).low == 0


def test_cases_of_different_folds_are_not_compared() -> None:
    labels = np.array([True, False, True, False])
    scores = np.array([1.0, 0.0, 11.0, 10.0])
    folds = [np.array([True, True, False, False]), np.array([False, False, True, True])]
    assert area(placements(scores, labels), labels) == 0.75
    assert area(placements_within(scores, labels, folds), labels) == 1.0


@settings(deadline=None)
@given(SCORES)
def test_the_curve_is_scikit_learns(drawn: list[tuple[int, bool]]) -> None:
    scores, labels = split(drawn)
    false, true = curve(scores, labels)
    theirs = roc_curve(labels, scores, drop_intermediate=False)
    assert false == pytest.approx(theirs[0])
    assert true == pytest.approx(theirs[1])


@pytest.mark.parametrize(("share", "count"), list(itertools.product((0.0, 0.2, 1.0), (5, 50))))
def test_wilsons_interval_holds_the_shares_that_a_score_test_does_not_reject(share: float, count: int) -> None:
    told = wilson(share, count)
    for end in (told.low, told.high):
        if 1e-9 < end < 1 - 1e-9:
            assert abs(share - end) / math.sqrt(end * (1 - end) / count) == pytest.approx(Z, rel=1e-9)
    assert told.low <= share <= told.high
