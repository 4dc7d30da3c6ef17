"""MaZda's run-length features: pixels of one grey level in a row, within the region."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from her2node.errors import Refused
from her2node.quantities.texture.slice_levels import Floats, Levels

BITS = 6


def _across(levels: Levels) -> Levels:
    return levels


def _down(levels: Levels) -> Levels:
    return levels.T


def _rising(levels: Levels) -> Levels:
    """Diagonals up and to the right, each a row."""
    return _falling(levels[::-1])


def _falling(levels: Levels) -> Levels:
    """Diagonals down and to the right, each a row."""
    rows, columns = levels.shape
    row, column = np.indices(levels.shape)
    lines = np.zeros((rows + columns - 1, rows), levels.dtype)
    lines[column - row + rows - 1, row] = levels
    return lines


DIRECTIONS: dict[str, Callable[[Levels], Levels]] = {
    "Horzl": _across,
    "Vertl": _down,
    "45dgr": _rising,
    "135dr": _falling,
}
"""MaZda's names; rows go downwards, so 45 degrees rise to the right."""


def run_length_matrix(lines: Levels) -> Floats:
    """Number of runs by grey level (first index, from 1) and length (second, from 1) along the rows of ``lines``."""
    flat = np.pad(lines, ((0, 0), (0, 1))).ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=-1))
    lengths = np.diff(starts, append=flat.size)
    level = flat[starts]
    level, lengths = level[level > 0], lengths[level > 0]
    matrix = np.zeros((level.max(), lengths.max()))
    np.add.at(matrix, (level - 1, lengths - 1), 1)
    return matrix


def short_run_emphasis(runs: Floats) -> float:
    """ShrtREmp: short run emphasis.

    Formula: sum over levels i and lengths j of p(i, j) / j^2 / sum(p).
    Unit: 1.
    Shapes: runs (levels, lengths), at least one run.
    Source: Galloway 1975; IBSI 22OV.
    Known deviation: none.
    """
    return float((runs / _lengths(runs) ** 2).sum() / runs.sum())


def long_run_emphasis(runs: Floats) -> float:
    """LngREmph: long run emphasis.

    Formula: sum over levels i and lengths j of j^2 p(i, j) / sum(p).
    Unit: 1.
    Shapes: runs (levels, lengths), at least one run.
    Source: Galloway 1975; IBSI W4KF.
    Known deviation: none.
    """
    return float((runs * _lengths(runs) ** 2).sum() / runs.sum())


def grey_level_nonuniformity(runs: Floats) -> float:
    """GLevNonU: grey level non-uniformity.

    Formula: sum over i of (sum over j of p(i, j))^2 / sum(p).
    Unit: 1.
    Shapes: runs (levels, lengths), at least one run.
    Source: Galloway 1975; IBSI R5YN.
    Known deviation: none.
    """
    return float((runs.sum(axis=1) ** 2).sum() / runs.sum())


def run_length_nonuniformity(runs: Floats) -> float:
    """RLNonUni: run length non-uniformity.

    Formula: sum over j of (sum over i of p(i, j))^2 / sum(p).
    Unit: 1.
    Shapes: runs (levels, lengths), at least one run.
    Source: Galloway 1975; IBSI W92Y.
    Known deviation: none.
    """
    return float((runs.sum(axis=0) ** 2).sum() / runs.sum())


def fraction_in_runs(runs: Floats) -> float:
    """Fraction: fraction of image in runs.

    Formula: sum(p) / sum over i and j of j p(i, j).
    Unit: 1.
    Shapes: runs (levels, lengths), at least one run.
    Source: Galloway 1975; IBSI 9ZK5 (run percentage).
    Known deviation: none.
    """
    return float(runs.sum() / (runs * _lengths(runs)).sum())


MEASURES = (
    run_length_nonuniformity,
    grey_level_nonuniformity,
    long_run_emphasis,
    short_run_emphasis,
    fraction_in_runs,
)
_KINDS = ("RLNonUni", "GLevNonU", "LngREmph", "ShrtREmp", "Fraction")
NAMES = tuple(f"{direction}_{kind}" for direction in DIRECTIONS for kind in _KINDS)


def features(levels: Levels) -> dict[str, float | Refused]:
    """Five in each of four directions by MaZda's names; a region of one pixel has a run, so all are defined."""
    matrices = [run_length_matrix(lines(levels)) for lines in DIRECTIONS.values()]
    return dict(zip(NAMES, (of(runs) for runs in matrices for of in MEASURES), strict=True))


def _lengths(runs: Floats) -> Floats:
    return np.arange(1.0, runs.shape[1] + 1)
