"""From an image and a mask to what the families read: interpolation, rounding, re-segmentation (IBSI chapter 2).

The new grid shares its centre with the old one (IBSI UMPJ, align grid centres). Only the box around the region is
interpolated, far enough for the spheres of local intensity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import ndimage

from her2node.errors import EmptyRoi
from her2node.quantities.radiomics.configuration import Configuration, Interpolation, Resegmentation
from her2node.quantities.radiomics.feature import Bools, Floats, Spacing
from her2node.volumes.volume import Floats as Voxels

_TIE = 1e-6
"""Rounding of spacings and of mask fractions decides nothing."""
_DECIMALS = 6
"""Of an intensity before it is rounded to a whole number: half-way goes to the even one on every machine."""
SPLINE_REACH = 16
"""Voxels of margin after which cutting the image changes a cubic spline by less than 1e-9 of its range."""


@dataclass(frozen=True)
class Region:
    """A box of the image, float64 (slices, rows, columns), with the region in it.

    ``morphological``: the region; ``intensity``: its voxels that have an image and were not re-segmented away.
    """

    image: Floats = field(repr=False)
    morphological: Bools = field(repr=False)
    intensity: Bools = field(repr=False)
    spacing_mm: Spacing

    @cached_property
    def x(self) -> Floats:
        """The intensities (n,) of the intensity mask."""
        return self.image[self.intensity]


@dataclass(frozen=True)
class _Axis:
    """New voxel k of ``size`` stands at ``first + step k``, counted in voxels of the old axis."""

    size: int
    spacing_mm: float
    first: float
    step: float


def _axis(size: int, spacing_mm: float, wanted_mm: float | None) -> _Axis:
    if wanted_mm is None or abs(wanted_mm - spacing_mm) <= _TIE:
        return _Axis(size, spacing_mm, 0.0, 1.0)
    step = wanted_mm / spacing_mm
    new = max(int(np.ceil(size / step - _TIE)), 1)
    return _Axis(new, wanted_mm, ((size - 1) - (new - 1) * step) / 2, step)


@dataclass(frozen=True)
class _Cut:
    """Part of the new grid along one axis, and the part of the old one that it is computed from."""

    new: slice
    old: slice
    axis: _Axis

    @property
    def count(self) -> int:
        return int(self.new.stop - self.new.start)

    @property
    def offset(self) -> float:
        return float(self.axis.first + self.axis.step * self.new.start - self.old.start)


def _cut(axis: _Axis, size: int, low: int, high: int, reach: float, margin: int) -> _Cut:
    """Around voxels ``low`` to ``high`` of the old axis, ``reach`` voxels of it to either side."""
    room = reach + 1 + axis.step
    first, last = np.clip(((low - room) - axis.first, (high + room) - axis.first), -_FAR, _FAR) / axis.step
    new = slice(max(int(np.floor(first)), 0), min(int(np.ceil(last)) + 1, axis.size))
    begin, end = (axis.first + axis.step * place for place in (new.start, new.stop - 1))
    old = slice(max(int(np.floor(begin)) - margin, 0), min(int(np.ceil(end)) + 1 + margin, size))
    return _Cut(new, old, axis)


_FAR = 1e9


def prepared(
    voxels: Voxels | Floats,
    mask: Bools,
    spacing_mm: Spacing,
    configuration: Configuration,
    *,
    valid: Bools | None = None,
    reach_mm: Spacing,
) -> Region:
    """The region as the families read it, in a box with ``reach_mm`` of image around it (by axis, infinite: all of it)
    where the image goes on.

    ``voxels``, ``mask`` and ``valid`` (False where there is no image) have shape (slices, rows, columns). Raises
    EmptyRoi where the mask has no voxel, before or after interpolation.
    """
    if not mask.any():
        raise EmptyRoi("the mask has no voxel")
    cuts = _cuts(mask, spacing_mm, configuration.interpolation, reach_mm)
    old = tuple(cut.old for cut in cuts)
    here = mask[old]
    there = np.ones(here.shape, dtype=np.bool_) if valid is None else valid[old]
    image = voxels[old].astype(np.float64)
    if not there.all():
        image[~there] = image[there].min() if there.any() else 0.0
    if configuration.interpolation is not None:
        image, here, there = _interpolated(image, here, there, cuts, configuration.interpolation)
    if not here.any():
        raise EmptyRoi("the mask has no voxel after interpolation")
    intensity = here & there
    intensity[intensity] = _kept(image[intensity], configuration.resegmentation)
    spacing = tuple(cut.axis.spacing_mm for cut in cuts)
    return Region(image, here, intensity, (spacing[0], spacing[1], spacing[2]))


def _cuts(mask: Bools, spacing_mm: Spacing, interpolation: Interpolation | None, reach_mm: Spacing) -> list[_Cut]:
    wanted: tuple[float | None, ...] = (None, None, None)
    margin = 0
    if interpolation is not None:
        wanted = (interpolation.slice_mm, interpolation.in_plane_mm, interpolation.in_plane_mm)
        margin = 1 if interpolation.order == 1 else SPLINE_REACH
    cuts = []
    for number, (size, spacing, new_mm) in enumerate(zip(mask.shape, spacing_mm, wanted, strict=True)):
        occupied = np.flatnonzero(mask.any(axis=tuple(axis for axis in range(3) if axis != number)))
        axis = _axis(size, float(spacing), new_mm)
        cuts.append(_cut(axis, size, int(occupied[0]), int(occupied[-1]), reach_mm[number] / spacing, margin))
    return cuts


def _interpolated(
    image: Floats, mask: Bools, valid: Bools, cuts: list[_Cut], how: Interpolation
) -> tuple[Floats, Bools, Bools]:
    """Image, mask and validity on the new grid. A voxel is valid when all that it is interpolated from are."""
    found = _sampled(image, cuts, how.order)
    inside = _sampled(mask.astype(np.float64), cuts, 1) >= how.mask_threshold - _TIE
    whole = valid.all() or _sampled(valid.astype(np.float64), cuts, 1) >= 1 - _TIE
    if how.rounds:
        found = np.rint(np.round(found, _DECIMALS))
    return found, inside, np.broadcast_to(whole, inside.shape)


def _sampled(values: Floats, cuts: list[_Cut], order: int) -> Floats:
    if all(cut.axis.step == 1 for cut in cuts):
        return values[tuple(slice(round(cut.offset), round(cut.offset) + cut.count) for cut in cuts)]
    found = ndimage.affine_transform(
        values,
        np.array([cut.axis.step for cut in cuts]),
        offset=[cut.offset for cut in cuts],
        output_shape=tuple(cut.count for cut in cuts),
        order=order,
        # A cubic spline is mirrored at the image's border, as Unser defined it and ITK does.
        mode="nearest" if order == 1 else "mirror",
    )
    return np.asarray(found)


def _kept(x: Floats, how: Resegmentation) -> Bools:
    """Which intensities of the region stay: within the range and within so many standard deviations of the mean.

    Mean and deviation are those of the whole region, so that the two rules may come in any order (IBSI 2.6).
    """
    kept = np.ones(len(x), dtype=np.bool_)
    if how.lowest is not None:
        kept &= x >= how.lowest
    if how.highest is not None:
        kept &= x <= how.highest
    if how.outliers_sigma is not None and len(x):
        kept &= np.abs(x - x.mean()) <= how.outliers_sigma * x.std()
    return kept
