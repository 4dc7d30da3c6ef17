"""Discretisation (IBSI 4R0B): intensities become grey levels, whole numbers from 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from her2node.quantities.radiomics.feature import Floats, Integers


@dataclass(frozen=True)
class FixedBinSize:
    """Bins of ``size`` (Q3RU) in the unit of the image, from the lower end of the re-segmentation range."""

    size: float

    def levels(self, x: Floats, start: float) -> Integers:
        """floor((x - start) / size) + 1, shape (n,)."""
        return np.asarray(np.floor((x - start) / self.size).astype(np.int64) + 1)

    def centres(self, x: Floats, start: float) -> Floats:
        """The middle of the bin of each intensity."""
        return np.asarray(start + (self.levels(x, start) - 0.5) * self.size)


@dataclass(frozen=True)
class FixedBinNumber:
    """``bins`` bins (K15C) between the lowest and the highest intensity of the region."""

    bins: int

    def levels(self, x: Floats) -> Integers:
        """floor(bins (x - min) / (max - min)) + 1, the maximum in the last bin; all 1 where max = min. Shape (n,)."""
        low, high = float(x.min()), float(x.max())
        if low == high:
            return np.ones(len(x), dtype=np.int64)
        found = np.floor(self.bins * (x - low) / (high - low)).astype(np.int64) + 1
        return np.minimum(found, self.bins)


Discretisation = FixedBinSize | FixedBinNumber
