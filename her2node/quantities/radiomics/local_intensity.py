"""Local intensity (IBSI 9ST6): the highest mean of a sphere of 1 cm3, as PET's SUVpeak is defined."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from her2node.quantities.radiomics import kernels
from her2node.quantities.radiomics.feature import (
    Bools,
    Dimension,
    Feature,
    Floats,
    Integers,
    Spacing,
    Values,
    evaluated,
)

RADIUS_MM = (3 / (4 * np.pi)) ** (1 / 3) * 10
"""Of a sphere of 1 cm3: 6.2035 mm."""


@dataclass(frozen=True)
class Neighbourhood:
    """An ``image`` (slices, rows, columns) with at least RADIUS_MM around the ``mask`` where the image goes on."""

    image: Floats
    mask: Bools
    spacing_mm: Spacing

    @cached_property
    def centres(self) -> Integers:
        return np.argwhere(self.mask)

    @cached_property
    def means(self) -> Floats:
        """Of the sphere around each voxel of the mask: voxels whose centres lie within it, of the region or not."""
        sums = np.pad(np.cumsum(self.image, axis=2), ((0, 0), (0, 0), (1, 0)))
        shape = np.array(self.image.shape)
        found: Floats = kernels.sphere_means(sums, shape, self.centres, _lines(self.spacing_mm))
        return found

    @cached_property
    def at_maximum(self) -> Floats:
        values = self.image[self.mask]
        return np.asarray(self.means[values == values.max()])


def _lines(spacing_mm: Spacing) -> Integers:
    """The sphere as lines along columns (m, 3): step in slice, step in row, columns to either side."""
    slices, rows = (int(RADIUS_MM // step) for step in spacing_mm[:2])
    z, y = (a.ravel() for a in np.mgrid[-slices : slices + 1, -rows : rows + 1])
    left = RADIUS_MM**2 - (z * spacing_mm[0]) ** 2 - (y * spacing_mm[1]) ** 2
    inside = left >= 0
    half = np.floor(np.sqrt(left[inside]) / spacing_mm[2])
    return np.column_stack([z[inside], y[inside], half]).astype(np.int64)


FEATURES: tuple[Feature[Neighbourhood], ...] = (
    Feature(
        "loc_peak_loc",
        "VJGA",
        "Local intensity peak",
        "mean of the 1 cm3 sphere around the voxel of highest intensity, the highest where several have it",
        lambda n: n.at_maximum.max(),
        Dimension.INTENSITY,
    ),
    Feature(
        "loc_peak_glob",
        "0F91",
        "Global intensity peak",
        "highest mean of a 1 cm3 sphere around any voxel of the region",
        lambda n: n.means.max(),
        Dimension.INTENSITY,
    ),
)


def local_intensity(image: Floats, mask: Bools, spacing_mm: Spacing) -> Values:
    """Both peaks of a region with at least one voxel."""
    return evaluated(FEATURES, Neighbourhood(image, mask, spacing_mm))
