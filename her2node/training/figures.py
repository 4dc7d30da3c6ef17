"""The plots of a report, each drawn into axes of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from scipy.special import expit, logit

from her2node.training.arrays import Bools, Doubles
from her2node.training.calibration import THRESHOLDS, DecisionCurve, Group
from her2node.training.discrimination import curve
from her2node.training.nomogram import Nomogram

_BLUE, _GREY, _RED = "#1d4ed8", "#9ca3af", "#b91c1c"


def roc(axes: Axes, log_odds: Doubles, labels: Bools) -> None:
    """One step line a repeat: sensitivity over 1 - specificity."""
    for said in log_odds:
        false, true = curve(said, labels)
        axes.step(false, true, where="post", color=_BLUE, alpha=max(0.25, 1 / len(log_odds)), linewidth=1.2)
    axes.plot((0, 1), (0, 1), color=_GREY, linewidth=0.8, linestyle="--")
    _square(axes, "1 − specificity", "sensitivity")


def calibration(axes: Axes, groups: Sequence[Group]) -> None:
    """Seen over said, with Wilson's intervals; the diagonal is perfect."""
    said = [group.said for group in groups]
    seen = [group.seen.value for group in groups]
    below = [group.seen.value - group.seen.low for group in groups]
    above = [group.seen.high - group.seen.value for group in groups]
    axes.plot((0, 1), (0, 1), color=_GREY, linewidth=0.8, linestyle="--")
    axes.errorbar(said, seen, yerr=(below, above), fmt="o", color=_BLUE, markersize=4, linewidth=1, capsize=2)
    _square(axes, "probability said", "share seen")


def decision(axes: Axes, found: DecisionCurve, prevalence: float) -> None:
    """Net benefit over the threshold."""
    axes.plot(THRESHOLDS, found.model, color=_BLUE, linewidth=1.4, label="model")
    axes.plot(THRESHOLDS, found.everybody, color=_RED, linewidth=1, label="everybody")
    axes.axhline(0, color=_GREY, linewidth=0.8, label="nobody")
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.1 * prevalence - 0.02, prevalence * 1.1)
    _labelled(axes, "threshold", "net benefit")
    axes.legend(fontsize=7, frameon=False)


def scores(axes: Axes, log_odds: Doubles, labels: Bools) -> None:
    """How probabilities are spread over both classes."""
    said = expit(log_odds.mean(axis=0))
    bins = np.linspace(0, 1, 21).tolist()
    axes.hist(said[~labels], bins=bins, color=_GREY, label="negative", density=True)
    axes.hist(said[labels], bins=bins, color=_BLUE, histtype="step", linewidth=1.4, label="positive", density=True)
    _labelled(axes, "probability said", "density")
    axes.legend(fontsize=7, frameon=False)


def nomogram(axes: Axes, found: Nomogram) -> None:
    """Lines to read points from, line by line: inputs, the sum of points, the probability."""
    rows = len(found.scales) + 3
    axes.set_xlim(-0.32, 1.04)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.axis("off")
    _scale(axes, 0, "points", [(value / 100, f"{value:.0f}") for value in range(0, 101, 10)])
    for row, scale in enumerate(found.scales, start=1):
        _scale(axes, row, scale.label, [(points / 100, f"{value:g}") for value, points in scale.ticks])
    most = max(found.most_points, 1e-9)
    totals = np.linspace(0, found.most_points, 6)
    _scale(axes, rows - 2, "total points", [(total / most, f"{total:.0f}") for total in totals])
    wanted = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
    places = [((float(logit(p)) - found.lowest) / found.per_point, p) for p in wanted]
    shown = [(points / most, f"{p:g}") for points, p in places if 0 <= points <= found.most_points]
    _scale(axes, rows - 1, "probability", shown)


def _scale(axes: Axes, row: int, label: str, ticks: Sequence[tuple[float, str]]) -> None:
    axes.text(-0.03, row, label, ha="right", va="center", fontsize=7, parse_math=False)
    if not ticks:
        return
    axes.plot((min(x for x, _ in ticks), max(x for x, _ in ticks)), (row, row), color="black", linewidth=0.9)
    for x, said in ticks:
        axes.plot((x, x), (row - 0.08, row + 0.08), color="black", linewidth=0.9)
        axes.text(x, row - 0.14, said, ha="center", va="bottom", fontsize=6, parse_math=False)


def _square(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    _labelled(axes, x, y)


def _labelled(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
