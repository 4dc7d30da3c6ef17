"""Intensity-volume histogram (IBSI P88C): which part of the region has at least an intensity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from her2node.errors import Undefined
from her2node.quantities.radiomics.feature import Dimension, Feature, Floats, Values, evaluated

_TIE = 1e-9


@dataclass(frozen=True)
class VolumeHistogram:
    """Intensities ``x``, shape (n,), and the axis they lie on, from ``lowest`` to ``highest`` in steps of ``step``.

    The axis is the range of the discretisation or, without one, of the re-segmentation or the region. ``step`` 0: the
    intensities are not discrete, and the axis holds those of the region.
    """

    x: Floats
    lowest: float
    highest: float
    step: float

    @cached_property
    def axis(self) -> Floats:
        if self.step == 0:
            return np.unique(self.x)
        count = int(np.floor((self.highest - self.lowest) / self.step + _TIE)) + 1
        return np.asarray(self.lowest + self.step * np.arange(count))

    @cached_property
    def volume(self) -> Floats:
        """The part of the region with at least each intensity of the axis."""
        below = np.searchsorted(np.sort(self.x), self.axis - _TIE * (abs(self.step) or 1), side="left")
        return np.asarray(1 - below / len(self.x))

    def volume_at(self, percent: int) -> float:
        """Largest volume fraction with an intensity fraction of at least ``percent``."""
        if self.highest == self.lowest:
            raise Undefined("the intensities have no range")
        fraction = (self.axis - self.lowest) / (self.highest - self.lowest)
        reached = self.volume[fraction >= percent / 100 - _TIE]
        return float(reached.max()) if len(reached) else 0.0

    def intensity_at(self, percent: int) -> float:
        """Least intensity that at most ``percent`` of the volume has."""
        held = self.axis[self.volume <= percent / 100 + _TIE]
        if not len(held):
            raise Undefined(f"no intensity is held by {percent} % of the region or less")
        return float(held.min())


FEATURES: tuple[Feature[VolumeHistogram], ...] = (
    Feature(
        "ivh_v10",
        "NK6P",
        "Volume fraction at 10 % intensity",
        "max of v(i) with (i - min) / (max - min) >= 0.1, v(i) the part of voxels with x >= i",
        lambda h: h.volume_at(10),
    ),
    Feature(
        "ivh_v90",
        "4279",
        "Volume fraction at 90 % intensity",
        "max of v(i) with (i - min) / (max - min) >= 0.9",
        lambda h: h.volume_at(90),
    ),
    Feature(
        "ivh_i10",
        "PWN1",
        "Intensity at 10 % volume",
        "min of i with v(i) <= 0.1",
        lambda h: h.intensity_at(10),
        Dimension.INTENSITY,
    ),
    Feature(
        "ivh_i90",
        "BOHI",
        "Intensity at 90 % volume",
        "min of i with v(i) <= 0.9",
        lambda h: h.intensity_at(90),
        Dimension.INTENSITY,
    ),
    Feature(
        "ivh_diff_v10_v90",
        "WITY",
        "Volume fraction difference between 10 % and 90 % intensity",
        "v10 - v90",
        lambda h: h.volume_at(10) - h.volume_at(90),
    ),
    Feature(
        "ivh_diff_i10_i90",
        "JXJA",
        "Intensity difference between 10 % and 90 % volume",
        "i10 - i90",
        lambda h: h.intensity_at(10) - h.intensity_at(90),
        Dimension.INTENSITY,
    ),
)
"""The area under the curve (9CMM) is left out: IBSI found no consensus on it."""


def volume_histogram(of: VolumeHistogram) -> Values:
    """The six features that IBSI standardised."""
    return evaluated(FEATURES, of)
