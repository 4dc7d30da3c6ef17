"""Texture matrices of a region by slice and direction, in the six aggregations of IBSI.

2D: slices by themselves; averaged over slices and directions (BTW3), or directions merged in each slice and averaged
over slices (SUJT). 2.5D: slices counted together; averaged over directions (JJUI) or merged (ZW7Z). 3D: neighbours in
space; averaged over the 13 directions (ITBB) or merged (IAZD). Matrices without directions know 2D (8QNN), 2.5D (62GR)
and 3D (KOBO). Neighbours stand at Chebyshev distance 1, without weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from scipy import ndimage

from her2node.errors import Undefined
from her2node.quantities.radiomics import cooccurrence, counted, kernels, tone_difference
from her2node.quantities.radiomics.cooccurrence import Cooccurrence
from her2node.quantities.radiomics.counted import Counted
from her2node.quantities.radiomics.feature import Bools, Feature, Integers, Values, averaged, evaluated, undefined
from her2node.quantities.radiomics.tone_difference import ToneDifference

MOST_LEVELS = 1024
"""More grey levels are a mistake of the discretisation, and 13 co-occurrence matrices of them fill the memory."""


class Aggregation(StrEnum):
    """How matrices are merged and features averaged; the value is the ending of IBSI's tags."""

    SLICE_AVERAGED = "2D_avg"
    SLICE_MERGED = "2D_comb"
    DIRECTION_MERGED = "2_5D_avg"
    MERGED_IN_PLANE = "2_5D_comb"
    VOLUME_AVERAGED = "3D_avg"
    VOLUME_MERGED = "3D_comb"

    @property
    def extent(self) -> str:
        """``2D``, ``2_5D`` or ``3D``: all that matrices without directions know."""
        return self.value.rpartition("_")[0]

    @property
    def merges_directions(self) -> bool:
        return self.value.endswith("comb")


@dataclass(frozen=True)
class Levels:
    """Grey levels of a region, and who is whose neighbour.

    ``box`` (slices, rows, columns): levels from 1 to ``highest``, 0 where there is none. ``morphological``: the region
    before re-segmentation, same shape. ``coarseness``: by how much dependent neighbours may differ (NGLDM).
    ``in_plane``: neighbours within the slice only.
    """

    box: Integers
    morphological: Bools
    highest: int
    coarseness: int = 0
    in_plane: bool = False

    @cached_property
    def flat(self) -> Integers:
        """The box with a margin of zeros, so that a step from any voxel of the region stays inside."""
        return np.pad(self.box, 1).ravel()

    @cached_property
    def where(self) -> Integers:
        return np.flatnonzero(self.flat)

    @cached_property
    def steps(self) -> Integers:
        """Flat offsets to 13 (in plane 4) neighbours of which none is another's opposite."""
        _, rows, columns = self.box.shape
        chosen = [s for s in product((-1, 0, 1), repeat=3) if s > (0, 0, 0) and not (self.in_plane and s[0])]
        return np.asarray(np.array(chosen) @ np.array([(rows + 2) * (columns + 2), columns + 2, 1]))

    @cached_property
    def all_steps(self) -> Integers:
        return np.concatenate([self.steps, -self.steps])

    @cached_property
    def depth(self) -> Integers:
        """City-block distance of every voxel to the outside of the whole region, 1 at its border; flat."""
        padded = np.pad(self.morphological, 1)
        parts = [_city_block(plane) for plane in padded] if self.in_plane else [_city_block(padded)]
        return np.concatenate([part.ravel() for part in parts]).astype(np.int64)

    @cached_property
    def zones(self) -> Integers:
        found: Integers = kernels.zones(self.flat, self.where, self.all_steps, self.depth)
        return found

    @cached_property
    def neighbourhoods(self) -> Integers:
        found: Integers = kernels.neighbourhoods(self.flat, self.where, self.all_steps, self.coarseness)
        return found

    def each_slice(self) -> Iterator[Levels]:
        """The slices that have any level, each by itself."""
        for z in np.flatnonzero(self.box.any(axis=(1, 2))):
            yield replace(self, box=self.box[z : z + 1], morphological=self.morphological[z : z + 1])


def _city_block(mask: Bools) -> Integers:
    return np.asarray(ndimage.distance_transform_cdt(mask, metric="taxicab"))


# --- the matrices, one a direction where they know directions ------------------------------------------------


def _cooccurrence(levels: Levels) -> list[Cooccurrence]:
    found = kernels.cooccurrences(levels.flat, levels.where, levels.steps, levels.highest)
    return [Cooccurrence(matrix + matrix.T) for matrix in found]


def _run_length(levels: Levels) -> list[Counted]:
    longest, found = max(levels.box.shape), []
    for step in levels.steps:
        counts = kernels.runs(levels.flat, levels.where, step, levels.highest, longest)
        level, length = np.nonzero(counts)
        count = counts[level, length].astype(np.float64)
        found.append(Counted(np.asarray(level + 1.0), np.asarray(length + 1.0), count, len(levels.where)))
    return found


def _size_zone(levels: Levels) -> list[Counted]:
    return [Counted.of(levels.zones[:, 0], levels.zones[:, 1], len(levels.where))]


def _distance_zone(levels: Levels) -> list[Counted]:
    return [Counted.of(levels.zones[:, 0], levels.zones[:, 2], len(levels.where))]


def _tone_difference(levels: Levels) -> list[ToneDifference]:
    total, neighbours, _ = levels.neighbourhoods.T
    some = neighbours > 0
    level = levels.flat[levels.where][some]
    difference = np.abs(level - total[some] / neighbours[some])
    n = np.bincount(level, minlength=1).astype(float)
    s = np.bincount(level, weights=difference, minlength=1).astype(float)
    i = np.flatnonzero(n)
    return [ToneDifference(i.astype(float), n[i], s[i])]


def _dependence(levels: Levels) -> list[Counted]:
    dependents = levels.neighbourhoods[:, 2]
    return [Counted.of(levels.flat[levels.where], dependents + 1, len(levels.where))]


@dataclass(frozen=True)
class _Family:
    features: Sequence[Feature[Any]]
    matrices: Callable[[Levels], list[Any]]
    directed: bool = False


FAMILIES = {
    "cm": _Family(cooccurrence.FEATURES, _cooccurrence, directed=True),
    "rlm": _Family(counted.RUN_LENGTH, _run_length, directed=True),
    "szm": _Family(counted.SIZE_ZONE, _size_zone),
    "dzm": _Family(counted.DISTANCE_ZONE, _distance_zone),
    "ngt": _Family(tone_difference.FEATURES, _tone_difference),
    "ngl": _Family(counted.DEPENDENCE, _dependence),
}
"""By the prefix of IBSI's tags."""


# --- aggregation ---------------------------------------------------------------------------------------------


def texture(levels: Levels, aggregations: Iterable[Aggregation], families: Iterable[str]) -> Values:
    """Every feature of ``families`` (keys of FAMILIES) in every aggregation, by tag with the aggregation's ending."""
    asked = [(name, family) for name, family in FAMILIES.items() if name in set(families)]
    found: Values = {}
    for extent, members in _by_extent(aggregations).items():
        parts = _parts(levels, extent)
        for _, family in asked:
            for ending, merges in members.items() if family.directed else {extent: False}.items():
                found |= _aggregated(family, parts, merges, f"_{ending}")
    return found


def _by_extent(aggregations: Iterable[Aggregation]) -> dict[str, dict[str, bool]]:
    """2D, 2_5D, 3D: the aggregations asked for, and whether each merges directions."""
    found: dict[str, dict[str, bool]] = {}
    for aggregation in aggregations:
        found.setdefault(aggregation.extent, {})[aggregation.value] = aggregation.merges_directions
    return found


def _parts(levels: Levels, extent: str) -> list[Levels]:
    """What is counted by itself."""
    if extent == "3D":
        return [levels]
    flat = replace(levels, in_plane=True)
    return list(flat.each_slice()) if extent == "2D" else [flat]


def _aggregated(family: _Family, parts: Iterable[Levels], merges: bool, suffix: str) -> Values:
    found = []
    for part in parts:
        if part.highest > MOST_LEVELS:
            reason = Undefined(f"{part.highest} grey levels, texture is measured with {MOST_LEVELS} at most")
            return undefined(family.features, suffix, reason)
        matrices = family.matrices(part)
        if merges:
            matrices = [type(matrices[0]).merged(matrices)]
        found += [evaluated(family.features, matrix) for matrix in matrices if matrix.total > 0]
    return averaged(family.features, found, suffix)
