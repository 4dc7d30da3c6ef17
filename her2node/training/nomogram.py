"""A logistic model as lines that a person can read points from.

Source: Iasonos 2008, J Clin Oncol 26:1364. Every input's line begins where it speaks least for a positive answer; the
line of the input that moves the log odds most is 100 points long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from her2node.training.arrays import Doubles
from her2node.training.pipelines import Model

TICKS = 5
SHEET = 24
"""Inputs on one page."""


@dataclass(frozen=True)
class Scale:
    """One input's line: (value, points) from its lowest to its highest value in the cohort."""

    label: str
    ticks: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Nomogram:
    """log odds = lowest + per_point · points. ``most_points`` is the sum of all lines' ends."""

    scales: tuple[Scale, ...]
    lowest: float
    per_point: float
    most_points: float

    @property
    def sheets(self) -> tuple[tuple[Scale, ...], ...]:
        """The lines, as many together as a page can hold; at least one sheet."""
        starts = range(0, max(len(self.scales), 1), SHEET)
        return tuple(self.scales[start : start + SHEET] for start in starts)

    def log_odds(self, points: float) -> float:
        """Of a sum of points."""
        return self.lowest + self.per_point * points


def nomogram(model: Model, labels: Sequence[str], values: Doubles, row: int = 0) -> Nomogram:
    """The nomogram of the inputs that the model uses, over the range of ``values`` (n, p); of several scanners, that of
    ``row``. ``labels`` are what stands beside the lines, (p,)."""
    kept, slopes = list(model.kept), model.slopes[row]
    low, high = values.min(axis=0), values.max(axis=0)
    ends = {place: low[place] if slopes[place] >= 0 else high[place] for place in kept}
    spans = [abs(slopes[place]) * (high[place] - low[place]) for place in kept]
    per_point = max(spans, default=0.0) / 100 or 1.0
    scales = tuple(
        Scale(
            labels[place], tuple((value, float(slopes[place] * (value - ends[place]) / per_point)) for value in shown)
        )
        for place in kept
        for shown in [_shown(values[:, place])]
    )
    lowest = float(model.intercepts[row] + sum(slopes[place] * ends[place] for place in kept))
    return Nomogram(scales, lowest, float(per_point), float(sum(spans) / per_point))


def _shown(column: Doubles) -> list[float]:
    """The values of an input that takes few; else a few, evenly from the lowest to the highest."""
    known = np.unique(column)
    return [
        float(f"{value:.4g}") for value in (known if len(known) <= TICKS else np.linspace(known[0], known[-1], TICKS))
    ]
