"""The plots of a report, each drawn into axes of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from scipy.special import expit, logit

from her2node.reports.lettering import fitted, font, text_width
from her2node.training.arrays import Bools, Doubles
from her2node.training.calibration import THRESHOLDS, DecisionCurve, Group
from her2node.training.discrimination import curve
from her2node.training.nomogram import Nomogram, Scale

ROW = 25.0
"""Points from line to line of a nomogram."""
_EDGE = 0.08
"""Of the lines' length, left free on either side."""
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
    axes.legend(fontsize=7, frameon=False, loc="upper right")


def scores(axes: Axes, log_odds: Doubles, labels: Bools) -> None:
    """How probabilities are spread over both classes."""
    said = expit(log_odds.mean(axis=0))
    bins = np.linspace(0, 1, 21).tolist()
    axes.hist(said[~labels], bins=bins, color=_GREY, label="negative", density=True)
    axes.hist(said[labels], bins=bins, color=_BLUE, histtype="step", linewidth=1.4, label="positive", density=True)
    _labelled(axes, "probability said", "density")
    axes.legend(fontsize=7, frameon=False, loc="upper right")


def nomogram_height(scales: int, *, last: bool) -> float:
    """Points that ``nomogram`` needs for so many inputs."""
    return ROW * (scales + (3 if last else 1))


def nomogram(axes: Axes, found: Nomogram, scales: Sequence[Scale], *, last: bool = True) -> None:
    """Lines to read points from, line by line: the points, some of the inputs, and where these are the ``last`` of them
    the sum of points and the probability."""
    lines = [("points", [(value / 100, f"{value:.0f}") for value in range(0, 101, 10)])]
    lines += [(scale.label, [(points / 100, f"{value:g}") for value, points in scale.ticks]) for scale in scales]
    lines += _sums(found) if last else []
    axes.set_xlim(-_EDGE, 1 + _EDGE)
    axes.set_ylim(len(lines), 0)
    axes.axis("off")
    figure = axes.get_figure()
    assert figure is not None
    width = axes.get_window_extent().width * 72 / figure.dpi
    for row, (label, ticks) in enumerate(lines):
        _scale(axes, row, fitted(label, width / (1 + 2 * _EDGE), 7), ticks, width / (1 + 2 * _EDGE))


def _sums(found: Nomogram) -> list[tuple[str, list[tuple[float, str]]]]:
    most = max(found.most_points, 1e-9)
    totals = np.linspace(0, found.most_points, 6)
    wanted = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
    places = [((float(logit(p)) - found.lowest) / found.per_point, p) for p in wanted]
    shown = [(points / most, f"{p:g}") for points, p in places if 0 <= points <= found.most_points]
    return [("total points", [(total / most, f"{total:.0f}") for total in totals]), ("probability", shown)]


def _scale(axes: Axes, row: int, label: str, ticks: Sequence[tuple[float, str]], width: float) -> None:
    """A line ``width`` points long for 0 to 1, its label above it; every tick has its mark, and its value where there
    is room for it."""
    axes.text(0, row + 0.36, label, ha="left", va="bottom", fontproperties=font(7), parse_math=False)
    if not ticks:
        return
    y = row + 0.85
    axes.plot((min(x for x, _ in ticks), max(x for x, _ in ticks)), (y, y), color="black", linewidth=0.9)
    for x, _ in ticks:
        axes.plot((x, x), (y - 0.07, y + 0.07), color="black", linewidth=0.9)
    for middle, said in readable(ticks, width):
        axes.text(middle, y - 0.1, said, ha="center", va="bottom", fontproperties=font(6), parse_math=False)


def readable(ticks: Sequence[tuple[float, str]], width: float) -> list[tuple[float, str]]:
    """The middles of the values that can stand beside each other on a line of ``width`` points for 0 to 1: the ends,
    moved outwards where the line is short, and of the others as many as do not touch."""

    def half(said: str) -> float:
        return (text_width(said, 6) / 2 + 1.5) / width

    first, *others = sorted(ticks)
    if not others:
        return [first]
    *others, end = others
    short = max(0.0, half(first[1]) + half(end[1]) - (end[0] - first[0])) / 2
    left, right = (first[0] - short, first[1]), (end[0] + short, end[1])
    kept = [left]
    for x, said in others:
        if kept[-1][0] + half(kept[-1][1]) <= x - half(said) and x + half(said) <= right[0] - half(right[1]):
            kept.append((x, said))
    return [*kept, right]


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
