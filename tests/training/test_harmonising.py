from __future__ import annotations

import numpy as np
import pytest

from her2node.errors import CohortRefused, ScannerUnknown
from her2node.training import harmonising
from her2node.training.arrays import Cases
from her2node.training.pipelines import Method, Plan, fit
from her2node.training.validation import validate
from tests.training.making import EFFECT, drawn


def scanned(count: int, seed: int, features: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What was there, what two scanners made of it, and which."""
    rng = np.random.default_rng(seed)
    true = rng.normal(100, 10, size=(count, features))
    scanners = ["A" if i % 2 else "B" for i in range(count)]
    on_b = np.array([scanner == "B" for scanner in scanners])[:, None]
    shift, stretch = rng.uniform(10, 30, features), rng.uniform(1.3, 2.0, features)
    return true, np.where(on_b, 100 + stretch * (true - 100) + shift, true), scanners


@pytest.mark.parametrize("features", [3, 40])
def test_a_shift_and_a_stretch_between_scanners_vanish(features: int) -> None:
    _, seen, scanners = scanned(600, 1, features)
    factors, offsets = harmonising.fit(seen, scanners).of(scanners)
    found = factors * seen + offsets
    on_b = np.array(scanners) == "B"
    assert np.abs(seen[on_b].mean(axis=0) - seen[~on_b].mean(axis=0)).min() > 8
    assert np.abs(found[on_b].mean(axis=0) - found[~on_b].mean(axis=0)).max() < 1.0
    assert found[on_b].std(axis=0) / found[~on_b].std(axis=0) == pytest.approx(np.ones(features), abs=0.1)


def test_with_many_features_and_few_cases_a_scanners_figures_are_shrunk_to_what_all_features_say() -> None:
    """The same true shift in every feature: by empirical Bayes each estimate lies nearer to it than its own mean."""
    rng = np.random.default_rng(5)
    z = rng.normal(1.0, 1.0, size=(8, 60))
    shift, spread = harmonising._shift_and_spread(z)
    assert np.abs(shift - 1).mean() < 0.6 * np.abs(z.mean(axis=0) - 1).mean()
    assert np.abs(spread - 1).mean() < 0.6 * np.abs(z.std(axis=0, ddof=1) - 1).mean()


def test_the_empirical_bayes_estimates_satisfy_johnsons_equations() -> None:
    """Johnson 2007, equations 3.1: the conditional means, given each other, with priors by moments."""
    z = np.random.default_rng(6).normal(0.3, 1.4, size=(20, 30))
    shift, spread = harmonising._shift_and_spread(z)
    mean, square, count = z.mean(axis=0), z.var(axis=0, ddof=1), 20
    tau, gamma = mean.var(ddof=1), mean.mean()
    moment, variance = square.mean(), square.var(ddof=1)
    shape, rate = moment**2 / variance + 2, moment**3 / variance + moment
    assert shift == pytest.approx((count * tau * mean + spread**2 * gamma) / (count * tau + spread**2), abs=1e-8)
    wanted = (rate + ((z - shift) ** 2).sum(axis=0) / 2) / (count / 2 + shape - 1)
    assert spread**2 == pytest.approx(wanted, abs=1e-8)


def test_a_scanner_that_was_not_harmonised_is_refused_by_name() -> None:
    _, seen, scanners = scanned(40, 1, 3)
    with pytest.raises(ScannerUnknown, match="C"):
        harmonising.fit(seen, scanners).of(["A", "C"])


def test_a_scanner_with_hardly_any_case_is_refused() -> None:
    _, seen, scanners = scanned(40, 1, 3)
    with pytest.raises(CohortRefused, match="1 cases are from the scanner C"):
        harmonising.fit(seen, [*scanners[:-1], "C"])


def test_folded_into_the_coefficients_it_says_what_harmonised_features_say() -> None:
    base = drawn(200, EFFECT, np.random.default_rng(8))
    scanners = tuple("AB"[i % 2] for i in range(200))
    seen = base.values * np.where(np.arange(200) % 2, 2.0, 1.0)[:, None]
    cases = type(base)(base.names, seen, base.labels, base.patients, scanners)
    places = tuple(range(10))
    model = fit(Plan(Method.LOGISTIC, harmonised=places), cases, 1)
    factors, offsets = harmonising.fit(seen, scanners).of(scanners)
    plain = fit(Plan(Method.LOGISTIC), type(base)(base.names, factors * seen + offsets, base.labels, base.patients), 1)
    assert model.scanners == ("A", "B")
    assert model.log_odds(seen, scanners) == pytest.approx(plain.log_odds(factors * seen + offsets), abs=1e-9)


def test_inside_a_fold_it_is_fitted_on_training_cases_alone() -> None:
    """Whatever a scanner makes of the other cases that are to be predicted, what is said of a case stays: fitted on all
    of them, ComBat would move it."""
    base = drawn(120, EFFECT, np.random.default_rng(9))
    scanners = tuple("AB"[i % 2] for i in range(120))
    folds = np.arange(120) // 2 % 4
    others = (folds == 3) & (np.arange(120) >= 10)
    shifted = base.values + np.where(others & (np.arange(120) % 2 == 1), 50.0, 0.0)[:, None]
    plan = Plan(Method.LDA, harmonised=tuple(range(10)))
    said, again = (
        validate(plan, Cases(base.names, seen, base.labels, base.patients, scanners), 1, given_folds=folds).log_odds[0]
        for seen in (base.values, shifted)
    )
    kept = (folds == 3) & ~others
    assert kept.sum() == 2
    assert (said[kept] == again[kept]).all()
    assert (said[folds != 3] != again[folds != 3]).all()
