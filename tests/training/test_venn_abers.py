"""Intervals of answers, from scores of cases that the models had not seen."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from her2node.models.venn_abers import flaws
from her2node.training.arrays import Bools, Doubles
from her2node.training.certainty import venn_abers


def scored(count: int, rng: np.random.Generator) -> tuple[Doubles, Bools]:
    """Scores whose labels follow them, though not as log odds would."""
    scores = rng.normal(size=count)
    return scores, rng.uniform(size=count) < 0.15 + 0.7 * (scores > 0.3)


def test_between_scores_both_ends_are_the_isotonic_regression_with_the_case_among_them() -> None:
    scores, labels = scored(40, np.random.default_rng(1))
    scores = np.round(scores, 1)
    found = venn_abers(scores[None, :], labels, "x")
    assert not list(flaws(found))
    places = np.append(np.unique(scores) - 0.05, scores.max() + 1)
    for place in places:
        for end, label in zip(found.of(place), (0, 1), strict=True):
            theirs = IsotonicRegression().fit(np.append(scores, place), np.append(labels, label))
            assert end == pytest.approx(theirs.predict([place])[0], abs=1e-3)


def test_with_scores_of_one_model_the_end_that_the_label_chooses_is_calibrated() -> None:
    """Vovk's theorem, for 14 calibrating cases: of new cases with the chosen end p a share p is positive."""
    rng, chosen, labels = np.random.default_rng(2), [], []
    for _ in range(500):
        scores, truth = scored(15, rng)
        ends = venn_abers(scores[None, 1:], truth[1:], "x").of(float(scores[0]))
        chosen.append(ends[int(truth[0])])
        labels.append(truth[0])
    order = np.argsort(chosen)
    for part in np.array_split(order, 5):
        said, seen = np.array(chosen)[part], np.array(labels)[part]
        assert abs(said.mean() - seen.mean()) < 4 * np.sqrt((said * (1 - said)).sum()) / len(part) + 1e-3


def test_no_score_of_a_case_stands_in_the_steps_and_what_is_rounded_lies_outside() -> None:
    scores, labels = scored(60, np.random.default_rng(3))
    found = venn_abers(scores[None, :], labels, "x")
    assert not list(flaws(found))
    assert not set(scores.tolist()) & {*found.low_from, *found.high_from}
    for place in np.linspace(-3, 3, 101) + 0.00123:
        truth = [
            IsotonicRegression().fit(np.append(scores, place), np.append(labels, y)).predict([place])[0] for y in (0, 1)
        ]
        low, high = found.of(place)
        assert low <= truth[0] + 1e-9
        assert high >= truth[1] - 1e-9


def test_repeats_are_averaged() -> None:
    scores, labels = scored(50, np.random.default_rng(4))
    other = scores + np.random.default_rng(5).normal(0, 0.3, 50)
    both = venn_abers(np.stack([scores, other]), labels, "x")
    single = [venn_abers(one[None, :], labels, "x") for one in (scores, other)]
    for place in np.linspace(-3, 3, 51):
        wanted = np.mean([one.of(place) for one in single], axis=0)
        assert both.of(place) == pytest.approx(wanted, abs=2e-3)
