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
    positive = {patients[place] for place in np.flatnonzero(labels).tolist()}
    for kind, word in ((positive, "positive"), (cases.keys() - positive, "negative")):
        if len(kind) < count:
            raise TooFewEvents(f"{len(kind)} patients are {word}, {count} folds need as many")
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    found = np.empty(len(labels), dtype=np.int64)
    filled: dict[object, list[int]] = defaultdict(lambda: [0] * count)
    for patient in sorted(order, key=lambda p: (p not in positive, -len(cases[p]))):
        is_positive, scanner = patient in positive, scanners[cases[patient][0]] if scanners else ""
        tallies = [filled[kind] for kind in ((is_positive, scanner), is_positive, scanner)]
        fullness = list(zip(*tallies, strict=True))
        fold = fullness.index(min(fullness))
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
