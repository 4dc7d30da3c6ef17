"""Parallel planes with a thickness: how far a contour or a segmentation frame reaches beyond its own plane."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

SAME_PLANE_MM = 0.05
"""Planes nearer than this are one plane whose position was rounded."""
FARTHEST_NEIGHBOUR_MM = 10.0
"""Planes farther apart than any slices of a body are no neighbours, but parts of a region far from each other."""
_SLACK = 0.05
"""Part of the thickness by which neighbours may lie farther apart, so that rounded positions leave no seam."""
_TIE_MM = 1e-6


@dataclass(frozen=True)
class Slabs:
    """Distinct planes at ``at_mm`` (n,), ascending along their normal, each half of ``spacing_mm`` thick either way."""

    at_mm: Vector = field(repr=False)
    spacing_mm: float

    def nearest(self, along_mm: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """The index of the slab that holds each place along the normal, any shape; -1 where none does.

        A slab holds half of its thickness either way, its lower face included; between neighbours whose distance is
        the thickness but for rounding, the nearer one holds the place whatever the last digits say.
        """
        along = np.asarray(along_mm, dtype=np.float64)
        if len(self.at_mm) == 1:
            index = np.zeros(along.shape, dtype=np.intp)
            between = np.zeros(along.shape, dtype=np.bool_)
        else:
            above = np.clip(np.searchsorted(self.at_mm, along), 1, len(self.at_mm) - 1)
            low, high = self.at_mm[above - 1], self.at_mm[above]
            # On the middle between two planes the upper one has it, so that a place belongs to one slab only.
            index = np.where(along - low < high - along - _TIE_MM, above - 1, above)
            between = (low <= along) & (along <= high) & (high - low <= self.spacing_mm * (1 + 2 * _SLACK))
        offset, half = along - self.at_mm[index], self.spacing_mm / 2
        held = between | ((offset >= -half - _TIE_MM) & (offset < half - _TIE_MM))
        return np.where(held, index, -1).astype(np.intp)


def slabs(
    along_mm: Vector, *, stated_mm: float | None, alone_mm: float | None, most_mm: float = FARTHEST_NEIGHBOUR_MM
) -> tuple[Slabs, npt.NDArray[np.intp]]:
    """Slabs from the places (n,) of planes along their normal, and which slab each plane belongs to, (n,).

    The thickness is the typical distance between neighbours; ``stated_mm``, what a header says, only where that
    distance is a multiple of it, as in a sparse object. Planes without near neighbours take ``stated_mm``, else
    ``alone_mm``. No slab is thicker than ``most_mm``.
    """
    order = np.argsort(along_mm, kind="stable")
    begins = np.concatenate(([True], np.diff(along_mm[order]) > SAME_PLANE_MM))
    owner = np.empty(len(along_mm), dtype=np.intp)
    owner[order] = np.cumsum(begins) - 1
    at = along_mm[order][begins]
    return Slabs(at, min(_thickness(np.diff(at), stated_mm, alone_mm), most_mm)), owner


def _thickness(gaps: Vector, stated_mm: float | None, alone_mm: float | None) -> float:
    if not len(gaps) or gaps.min() > FARTHEST_NEIGHBOUR_MM:
        return stated_mm or alone_mm or 4 * SAME_PLANE_MM
    typical = float(np.median(gaps[gaps < 1.5 * gaps.min()]))
    if stated_mm:
        steps = max(round(typical / stated_mm), 1)
        if abs(typical - steps * stated_mm) <= SAME_PLANE_MM:
            return stated_mm
    return typical
