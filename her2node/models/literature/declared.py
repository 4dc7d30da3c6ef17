"""What a package is made from: its manifest without hashes, the answers it must give, and the words of its card."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from her2node.models.manifest import Manifest

IHC = "HER2 immunohistochemistry of tissue (0 and 1+ negative, 2+ needs in situ hybridisation, 3+ positive)"
RESEARCH = "Not for diagnosis or for choosing treatment."
CATEGORIES = (
    "The paper prints no such thresholds; these are this node's: likely means at least as probable as not, unlikely "
    "means fewer than one in ten."
)


@dataclass(frozen=True)
class Case:
    """A worked case: inputs in the package's units, the probability at the package's own prior, where it is from."""

    inputs: dict[str, float]
    probability: float
    source: str
    tolerance: float = 1e-4


@dataclass(frozen=True)
class Declared:
    """One package. ``derivation`` (Markdown) says where each number comes from, ``cohort`` who the patients were,
    ``limits`` what it cannot do."""

    manifest: Manifest
    cohort: str
    derivation: str
    limits: str
    cases: tuple[Case, ...] = field(default=())


def covariance(
    intercept: float, slopes: tuple[float, float], patients: tuple[float, float, float, float]
) -> tuple[tuple[float, ...], ...]:
    """Inverse Fisher information of a logistic model of two yes/no inputs, six significant digits.

    ``patients`` with (neither, the first alone, the second alone, both) findings; sum over them of n p (1 - p) x x'.
    """
    design = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=np.float64)
    p = 1 / (1 + np.exp(-(intercept + design[:, 1:] @ np.array(slopes))))
    information = (design * (np.array(patients) * p * (1 - p))[:, None]).T @ design
    return tuple(tuple(float(f"{value:.6g}") for value in row) for row in np.linalg.inv(information))
