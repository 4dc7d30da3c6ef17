"""Splits by patient, with about the same share of positives, and of each scanner, in every fold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from her2node.errors import PatientInTwoFolds, TooFewEvents
from her2node.training.arrays import Bools, Integers


def folds_of(labels: Bools, patients: Sequence[str], count: int, seed: int, scanners: Sequence[str] = ()) -> Integers:
    """Fold of each case, shape (n,), 0 to ``count`` - 1. Patients are dealt out one by one in an order that ``seed``
    shuffles, those with many cases first, each to the fold with the fewest cases of their kind: whether any of a
    patient's cases is positive, and on which scanner the first was made.

    Raises TooFewEvents when a class has fewer patients than there are folds.
    """
    cases: dict[str, list[int]] = defaultdict(list)
    for place, patient in enumerate(patients):
        cases[patient].append(place)
    names = sorted(cases)
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    positive = {patient: bool(labels[cases[patient]].any()) for patient in order}
    for kind, word in ((True, "positive"), (False, "negative")):
        patients_of_kind = sum(is_positive is kind for is_positive in positive.values())
        if patients_of_kind < count:
            raise TooFewEvents(f"{patients_of_kind} patients are {word}, {count} folds need as many")
    found = np.empty(len(labels), dtype=np.int64)
    filled: dict[object, list[int]] = defaultdict(lambda: [0] * count)
    for patient in sorted(order, key=lambda p: (not positive[p], -len(cases[p]))):
        scanner = scanners[cases[patient][0]] if scanners else ""
        tallies = [filled[kind] for kind in ((positive[patient], scanner), positive[patient], scanner)]
        fold = list(zip(*tallies, strict=True)).index(min(zip(*tallies, strict=True)))
        found[cases[patient]] = fold
        for tally in tallies:
            tally[fold] += len(cases[patient])
    return found


def check(folds: Sequence[int] | Integers, patients: Sequence[str]) -> None:
    """Raises PatientInTwoFolds, saying of how many, when a patient's cases stand in several folds."""
    homes: dict[str, set[int]] = defaultdict(set)
    for fold, patient in zip(folds, patients, strict=True):
        homes[patient].add(int(fold))
    torn = sum(len(seen) > 1 for seen in homes.values())
    if torn:
        raise PatientInTwoFolds(f"{torn} of {len(homes)} patients", remedy="put all studies of a patient into one fold")
