"""Polygons to pixels, by pixel centre, even-odd, exact and vectorised over edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
_CROSSINGS_AT_ONCE = 1 << 20


def inside(polygons: Sequence[Points], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The pixels of ``shape`` (rows, columns) whose centre lies inside an odd number of ``polygons``.

    Each polygon has shape (n, 2): (row, column) index of its corners, closed from the last to the first; pixel centres
    stand at whole numbers. Holes, islands in holes and keyholes follow from even-odd. A centre exactly on an edge
    belongs to the polygon when the edge is a lower one (in row or column index), so polygons that share an edge share
    no pixel and leave none out.

    Each edge crosses the lines of pixel centres in the rows between its ends; a crossing turns inside to outside for
    every pixel from there on, so the parity of crossings up to a pixel decides.
    """
    rows, columns = shape
    # One column more takes the crossings beyond the right border.
    turns = np.zeros(rows * (columns + 1), dtype=np.int64)
    for row, column in _crossings(polygons, rows):
        first = np.clip(np.ceil(column), 0, columns).astype(np.int64)
        turns += np.bincount(row * (columns + 1) + first, minlength=len(turns))
    parity = np.cumsum(turns.reshape(rows, columns + 1), axis=1)[:, :columns] & 1
    return parity.astype(np.bool_)


def _crossings(polygons: Sequence[Points], rows: int) -> Iterator[tuple[npt.NDArray[np.int64], Points]]:
    """(row, column) where edges cross the lines of pixel centres, a bounded number at once."""
    begin, end = _edges(polygons)
    low, high = np.minimum(begin[:, 0], end[:, 0]), np.maximum(begin[:, 0], end[:, 0])
    first = np.clip(np.ceil(low), 0, rows).astype(np.int64)
    spans = np.clip(np.ceil(high), 0, rows).astype(np.int64) - first
    crossing = np.flatnonzero(spans > 0)
    for part in np.split(crossing, _cuts(spans[crossing])):
        span = spans[part]
        edge = np.repeat(part, span)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(span) - span, span) + first[edge]
        (r0, c0), (r1, c1) = begin[edge].T, end[edge].T
        yield row, c0 + (row - r0) * (c1 - c0) / (r1 - r0)


def _edges(polygons: Sequence[Points]) -> tuple[Points, Points]:
    # Rounded, so that a corner on a pixel centre stays there after the arithmetic that brought it here.
    corners = [np.round(polygon, 6) for polygon in polygons]
    begin = np.concatenate([np.empty((0, 2)), *corners])
    end = np.concatenate([np.empty((0, 2)), *(np.roll(polygon, -1, axis=0) for polygon in corners)])
    return begin, end


def _cuts(spans: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Where to cut the list of edges so that no piece has many more crossings than are wanted at once."""
    piece = np.cumsum(spans) // _CROSSINGS_AT_ONCE
    return np.flatnonzero(np.diff(piece)) + 1
