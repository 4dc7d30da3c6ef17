"""A region drawn a little otherwise: eroded, dilated or shifted by a voxel of the series that it is laid on.

Readers draw slice by slice, so eroding and dilating keep to the slices; slices are thick beside pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from her2node.volumes.volume import Bools


@dataclass(frozen=True)
class Variation:
    """``grow``: -1 erodes, 1 dilates by a pixel. ``shift``: voxels along (slices, rows, columns)."""

    name: str
    grow: int = 0
    shift: tuple[int, int, int] = (0, 0, 0)


VARIATIONS = (
    Variation("eroded", grow=-1),
    Variation("dilated", grow=1),
    Variation("shifted a slice down", shift=(-1, 0, 0)),
    Variation("shifted a slice up", shift=(1, 0, 0)),
    Variation("shifted a row back", shift=(0, -1, 0)),
    Variation("shifted a row on", shift=(0, 1, 0)),
    Variation("shifted a column back", shift=(0, 0, -1)),
    Variation("shifted a column on", shift=(0, 0, 1)),
)
_CROSS = np.array([[[False, True, False], [True, True, True], [False, True, False]]])


def varied(mask: Bools, variation: Variation) -> Bools:
    """A mask of the same shape, perhaps empty; what is shifted beyond an end is lost."""
    found = np.zeros(mask.shape, dtype=np.bool_)
    ends = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not ends[0].size:
        return found
    box = tuple(slice(max(int(end[0]) - 1, 0), int(end[-1]) + 2) for end in ends)
    part = mask[box]
    if variation.grow < 0:
        part = ndimage.binary_erosion(part, _CROSS, border_value=0)
    elif variation.grow > 0:
        part = ndimage.binary_dilation(part, _CROSS)
    places = np.argwhere(part) + [edge.start for edge in box] + np.array(variation.shift)
    inside = ((places >= 0) & (places < mask.shape)).all(axis=1)
    found[tuple(places[inside].T)] = True
    return found
