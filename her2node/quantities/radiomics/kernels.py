"""Walks over neighbouring voxels, compiled to machine code at their first call.

Every kernel takes ``levels``, the grey levels of a box as one flat array with a margin of zeros (outside the region),
``where`` (n,), the ascending flat places of the region's voxels, and steps between neighbours as flat offsets; the
margin makes bounds checks needless. Compiled code is kept in numba's cache where a folder for it can be written.
"""

from __future__ import annotations

import numpy as np

from her2node.quantities.compiling import compiled
from her2node.quantities.radiomics.feature import Floats, Integers


@compiled
def cooccurrences(levels: Integers, where: Integers, steps: Integers, highest: int) -> Integers:
    """(steps, highest, highest): how often a voxel of level i has one of level j one step on."""
    found = np.zeros((len(steps), highest, highest), dtype=np.int64)
    for place in where:
        here = levels[place] - 1
        for d in range(len(steps)):
            there = levels[place + steps[d]]
            if there > 0:
                found[d, here, there - 1] += 1
    return found


@compiled
def runs(levels: Integers, where: Integers, step: int, highest: int, longest: int) -> Integers:
    """(highest, longest): how many runs of level i along one step are j voxels long."""
    found = np.zeros((highest, longest), dtype=np.int64)
    for place in where:
        here = levels[place]
        if levels[place - step] == here:
            continue
        length = 1
        ahead = place + step
        while levels[ahead] == here:
            length += 1
            ahead += step
        found[here - 1, length - 1] += 1
    return found


@compiled
def zones(levels: Integers, where: Integers, steps: Integers, depth: Integers) -> Integers:
    """(zones, 4): level, size, least depth and first place of each connected set of voxels of one level."""
    seen = np.zeros(len(levels), dtype=np.bool_)
    pending = np.empty(len(where), dtype=np.int64)
    found = np.empty((len(where), 4), dtype=np.int64)
    count = 0
    for first in where:
        if seen[first]:
            continue
        level = levels[first]
        seen[first] = True
        pending[0] = first
        waiting, size, least = 1, 0, depth[first]
        while waiting > 0:
            waiting -= 1
            place = pending[waiting]
            size += 1
            least = min(least, depth[place])
            for step in steps:
                there = place + step
                if levels[there] == level and not seen[there]:
                    seen[there] = True
                    pending[waiting] = there
                    waiting += 1
        found[count, 0], found[count, 1], found[count, 2], found[count, 3] = level, size, least, first
        count += 1
    return found[:count].copy()


@compiled
def neighbourhoods(levels: Integers, where: Integers, steps: Integers, coarseness: int) -> Integers:
    """(n, 3): sum of the neighbours' levels, number of neighbours, and of those at most ``coarseness`` levels apart."""
    found = np.zeros((len(where), 3), dtype=np.int64)
    for index in range(len(where)):
        place = where[index]
        here = levels[place]
        for step in steps:
            there = levels[place + step]
            if there > 0:
                found[index, 0] += there
                found[index, 1] += 1
                if abs(there - here) <= coarseness:
                    found[index, 2] += 1
    return found


@compiled
def sphere_means(sums: Floats, shape: Integers, centres: Integers, lines: Integers) -> Floats:
    """(n,): mean over the part of a sphere around each centre (n, 3) that lies in the image.

    ``sums`` (slices, rows, columns + 1): running sums along columns; ``lines`` (m, 3): the sphere as lines along
    columns, each at a step in slice and row and reaching ``half`` columns either way.
    """
    means = np.empty(len(centres), dtype=np.float64)
    for index in range(len(centres)):
        total = 0.0
        count = 0
        for line in range(len(lines)):
            z = centres[index, 0] + lines[line, 0]
            y = centres[index, 1] + lines[line, 1]
            if z < 0 or y < 0 or z >= shape[0] or y >= shape[1]:
                continue
            begin = max(centres[index, 2] - lines[line, 2], 0)
            end = min(centres[index, 2] + lines[line, 2] + 1, shape[2])
            total += sums[z, y, end] - sums[z, y, begin]
            count += end - begin
        means[index] = total / count
    return means
