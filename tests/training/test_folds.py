from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.errors import PatientInTwoFolds, TooFewEvents
from her2node.training.folds import check, folds_of


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_no_patient_is_ever_torn_and_every_fold_has_both_classes(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    patients = [str(patient) for patient in rng.integers(0, 60, size=150)]
    positive = {patient: bool(rng.uniform() < 0.4) for patient in sorted(set(patients))}
    labels = np.array([positive[patient] for patient in patients])
    folds = folds_of(labels, patients, count, seed)
    check(folds, patients)
    for fold in range(count):
        assert 0 < labels[folds == fold].sum() < (folds == fold).sum()


def test_folds_have_equal_shares_of_positives_and_scanners() -> None:
    labels = np.arange(120) % 4 == 0
    scanners = ["A" if i % 3 else "B" for i in range(120)]
    folds = folds_of(labels, [str(i) for i in range(120)], 5, 1, scanners)
    on_b = np.array(scanners) == "B"
    assert [int(labels[folds == fold].sum()) for fold in range(5)] == [6] * 5
    assert [int(on_b[folds == fold].sum()) for fold in range(5)] == [8] * 5


def test_the_seed_alone_decides() -> None:
    labels, patients = np.arange(50) % 2 == 0, [str(i) for i in range(50)]
    assert (folds_of(labels, patients, 5, 1) == folds_of(labels, patients, 5, 1)).all()
    assert (folds_of(labels, patients, 5, 1) != folds_of(labels, patients, 5, 2)).any()


def test_a_class_with_fewer_patients_than_folds_is_refused() -> None:
    labels = np.arange(40) < 8
    with pytest.raises(TooFewEvents, match="2 patients are positive"):
        folds_of(labels, ["a"] * 4 + ["b"] * 4 + [str(i) for i in range(32)], 5, 1)


def test_a_patient_in_two_folds_is_refused_by_name() -> None:
    with pytest.raises(PatientInTwoFolds, match="1 of 2 patients"):
        check([0, 1, 1], ["a", "a", "b"])
