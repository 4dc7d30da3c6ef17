"""What a feature is: tag, code, unit and formula beside the function that computes it, and how one is evaluated.

Every family is a table of these over its own matrix or sample. A function raises ``Undefined`` where the feature has no
value (a denominator of zero); ``evaluated`` and ``averaged`` turn that into a value, so that no NaN leaves this room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, SupportsFloat, TypeVar

import numpy as np
import numpy.typing as npt

from her2node.errors import Undefined

T = TypeVar("T")
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]
Value = float | Undefined
Values = dict[str, Value]


class Dimension(StrEnum):
    """What a feature is measured in; ``intensity`` stands for the unit of the image."""

    ONE = "1"
    MM = "mm"
    MM2 = "mm2"
    MM3 = "mm3"
    PER_MM = "/mm"
    INTENSITY = "intensity"
    INTENSITY2 = "intensity2"
    INTENSITY_MM3 = "intensity.mm3"


@dataclass(frozen=True)
class Feature(Generic[T]):
    """A feature: IBSI's tag without aggregation, its four-character code, and the formula that ``of`` computes."""

    tag: str
    code: str
    name: str
    formula: str
    of: Callable[[T], SupportsFloat]
    dimension: Dimension = Dimension.ONE


def over(numerator: float, denominator: float, what: str) -> float:
    """``numerator`` / ``denominator``; raises Undefined, naming ``what`` is zero, where there is no quotient."""
    if denominator == 0:
        raise Undefined(f"{what} is zero")
    return numerator / denominator


def evaluated(features: Iterable[Feature[T]], of: T, suffix: str = "") -> Values:
    """Every feature of one matrix or sample, by tag and ``suffix``."""
    return {feature.tag + suffix: _value(feature, of) for feature in features}


def averaged(features: Sequence[Feature[T]], parts: Iterable[Values], suffix: str) -> Values:
    """The mean of every feature over matrices, given by ``evaluated`` without suffix.

    A matrix for which a feature is undefined does not count in its mean: IBSI does not say; z-rad and MIRP do the same.
    """
    columns: dict[str, list[Value]] = {feature.tag: [] for feature in features}
    for part in parts:
        for tag, value in part.items():
            columns[tag].append(value)
    return {tag + suffix: _mean(values) for tag, values in columns.items()}


def undefined(features: Iterable[Feature[T]], suffix: str, reason: Undefined) -> Values:
    """The same refusal for every feature."""
    return {feature.tag + suffix: reason for feature in features}


def _value(feature: Feature[T], of: T) -> Value:
    try:
        value = float(feature.of(of))
    except Undefined as reason:
        return Undefined(f"{feature.tag}: {reason.detail}")
    return value if math.isfinite(value) else Undefined(f"{feature.tag}: too large for a number")


def _mean(values: Sequence[Value]) -> Value:
    defined = [value for value in values if not isinstance(value, Undefined)]
    if defined:
        return float(np.mean(defined))
    return values[0] if values else Undefined("the region has no pair of voxels")


def tagged(features: Iterable[Feature[T]]) -> Mapping[str, Feature[T]]:
    return {feature.tag: feature for feature in features}
