"""The arrays of this room, and the cases that everything here is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from her2node.errors import CohortRefused

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cases:
    """What is known of ``n`` studies: ``values`` (n, p) in the units of the inputs ``names``, ``labels`` (n,).

    ``patients`` names whose study each is; ``scanners`` what it was made on, or is empty where nobody asks.
    Raises CohortRefused when the parts differ in length, a value is not finite, or one class has no case.
    """

    names: tuple[str, ...]
    values: Doubles
    labels: Bools
    patients: tuple[str, ...]
    scanners: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.values.shape != (count, len(self.names)) or len(self.patients) != count:
            raise CohortRefused("values, labels and patients differ in length")
        if self.scanners and len(self.scanners) != count:
            raise CohortRefused("scanners and labels differ in length")
        if not np.isfinite(self.values).all():
            raise CohortRefused("a value is not a finite number")
        if not 0 < self.positives < count:
            raise CohortRefused(f"{self.positives} of {count} cases are positive; both classes are needed")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def positives(self) -> int:
        return int(self.labels.sum())

    @property
    def negatives(self) -> int:
        return len(self.labels) - self.positives

    @property
    def patients_by_class(self) -> tuple[frozenset[str], frozenset[str]]:
        """Patients with a positive case, and those with none."""
        return patients_by_class(self.labels, self.patients)

    def among(self, chosen: Bools) -> Cases:
        """The chosen cases, ``chosen`` (n,). Raises CohortRefused when they are of one class."""
        places = np.flatnonzero(chosen)
        return Cases(
            self.names,
            self.values[places],
            self.labels[places],
            tuple(self.patients[i] for i in places),
            tuple(self.scanners[i] for i in places) if self.scanners else (),
        )


def patients_by_class(labels: Bools, patients: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Patients with a positive case, and those with none, by the cases' ``labels`` (n,) and ``patients`` (n,)."""
    positive = frozenset(who for who, label in zip(patients, labels, strict=True) if label)
    return positive, frozenset(patients) - positive
