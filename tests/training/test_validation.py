from __future__ import annotations

import numpy as np
import pytest

from her2node.errors import CohortRefused, PatientInTwoFolds
from her2node.training.arrays import Cases
from her2node.training.discrimination import area, placements
from her2node.training.pipelines import Method, Plan, fit
from her2node.training.validation import Validation, inflation, validate
from tests.training.making import EFFECT, NOTHING, drawn


def test_selection_outside_the_folds_invents_an_effect_and_inside_them_it_does_not() -> None:
    """Pure noise: the ten of 300 features that fit best are chosen on all cases, or inside each fold by LASSO."""
    rng = np.random.default_rng(1)
    noise = drawn(100, np.zeros(300), rng)
    best = np.argsort([-abs(area(placements(v, noise.labels), noise.labels) - 0.5) for v in noise.values.T])[:10]
    chosen = Cases(tuple(noise.names[i] for i in best), noise.values[:, best], noise.labels, noise.patients)
    leaky = validate(Plan(Method.LDA), chosen, 1, repeats=2)
    honest = validate(Plan(Method.LASSO), noise, 1, repeats=2)
    assert leaky.auc.low > 0.6
    assert honest.fitted_auc.low <= 0.5 <= honest.fitted_auc.high


def test_no_case_has_a_part_in_its_own_prediction() -> None:
    """Whatever becomes of a case's label and values, what is said of it by models of the other folds stays."""
    cases = drawn(80, EFFECT, np.random.default_rng(2))
    folds = np.arange(80) % 5
    said = validate(Plan(Method.LDA), cases, 1, given_folds=folds).log_odds[0]
    changed = cases.labels.copy()
    changed[folds == 3] = ~changed[folds == 3]
    other = Cases(cases.names, cases.values, changed, cases.patients)
    again = validate(Plan(Method.LDA), other, 1, given_folds=folds).log_odds[0]
    assert (said[folds == 3] == again[folds == 3]).all()
    assert (said[folds != 3] != again[folds != 3]).any()


def test_studies_of_one_patient_never_stand_on_both_sides() -> None:
    """Two copies of every case: split by case, a nearest neighbour would be there; the given torn folds are refused."""
    cases = drawn(60, EFFECT, np.random.default_rng(2))
    twice = Cases(
        cases.names, np.tile(cases.values, (2, 1)), np.tile(cases.labels, 2), (*cases.patients, *cases.patients)
    )
    once, doubled = (validate(Plan(Method.LDA), c, 1, repeats=2) for c in (cases, twice))
    assert doubled.auc.half_width == pytest.approx(once.auc.half_width, rel=0.25)
    with pytest.raises(PatientInTwoFolds, match="60 of 60"):
        validate(Plan(Method.LDA), twice, 1, given_folds=np.repeat([0, 1], 60))


def test_a_fold_of_one_class_is_refused() -> None:
    cases = drawn(80, EFFECT, np.random.default_rng(2))
    folds = np.where(cases.labels & (np.cumsum(cases.labels) <= 5), 1, 0)
    with pytest.raises(CohortRefused, match="one class"):
        validate(Plan(Method.LDA), cases, 1, given_folds=folds)


def test_the_interval_of_the_pipeline_is_never_narrower_than_delongs() -> None:
    assert inflation(1.0) == 1
    assert inflation(0.0) == inflation(-0.3) == 2
    assert min(inflation(r) for r in np.linspace(0, 1, 101)) == 1
    found = validate(Plan(Method.LDA), drawn(100, EFFECT, np.random.default_rng(2)), 1, repeats=2)
    assert found.fitted_auc.half_width > found.auc.half_width
    assert found.apparent > found.auc.value


def test_the_same_seed_gives_the_same_answer() -> None:
    cases = drawn(80, EFFECT, np.random.default_rng(2))
    first, again = (validate(Plan(Method.LASSO), cases, 5, repeats=2) for _ in range(2))
    assert first.log_odds.tobytes() == again.log_odds.tobytes()
    assert first.fitted_auc == again.fitted_auc


COHORTS, PATIENTS, FRESH = 200, 200, 10_000


def one_cohort(number: int, planted: bool) -> tuple[float, Validation, float]:
    """The true area of the fitted pipeline, its validation, and DeLong's half-width, of one cohort."""
    slopes = EFFECT if planted else NOTHING
    rng = np.random.default_rng([number, planted])
    cases, fresh = drawn(PATIENTS, slopes, rng), drawn(FRESH if planted else PATIENTS, slopes, rng)
    truth = 0.5
    if planted:
        said = fit(Plan(Method.LASSO), cases, 1).log_odds(fresh.values)
        truth = area(placements(said, fresh.labels), fresh.labels)
    found = validate(Plan(Method.LASSO), cases, 1)
    return truth, found, found.auc.half_width


@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("planted", [True, False], ids=["effect", "no effect"])
def test_the_interval_covers_what_the_fitted_pipeline_reaches_on_fresh_cases(
    planted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [one_cohort(number, planted) for number in range(COHORTS)]
    covered = np.mean([found.fitted_auc.low <= truth <= found.fitted_auc.high for truth, found, _ in rows])
    by_delong = np.mean([found.auc.low <= truth <= found.auc.high for truth, found, _ in rows])
    width = np.mean([found.fitted_auc.half_width for _, found, _ in rows])
    with capsys.disabled():
        truths = np.mean([truth for truth, _, _ in rows])
        print(
            f"\nplanted={planted}: true AUC {truths:.3f}, covered {covered:.3f} (DeLong alone {by_delong:.3f}), "
            f"mean half-width {width:.3f} (DeLong alone {np.mean([w for _, _, w in rows]):.3f})"
        )
    assert 0.90 <= covered <= 0.99
    assert width <= 0.12
