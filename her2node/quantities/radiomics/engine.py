"""Arrays in, features out: the order of the families over one region."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from her2node.errors import AnisotropicVoxels, Undefined
from her2node.quantities.radiomics import histogram, local_intensity, statistics, volume_histogram
from her2node.quantities.radiomics.configuration import Configuration, Filtered
from her2node.quantities.radiomics.discretisation import Discretisation, FixedBinNumber, FixedBinSize
from her2node.quantities.radiomics.feature import Bools, Floats, Integers, Spacing, Values
from her2node.quantities.radiomics.filters import respond
from her2node.quantities.radiomics.morphology import Shape, morphology
from her2node.quantities.radiomics.names import catalogue
from her2node.quantities.radiomics.processing import SPLINE_REACH, Region, prepared
from her2node.quantities.radiomics.texture import FAMILIES as TEXTURE
from her2node.quantities.radiomics.texture import Levels, texture
from her2node.quantities.radiomics.volume_histogram import VolumeHistogram

_OF_SPHERES = (local_intensity.RADIUS_MM,) * 3
"""mm around a region that local intensity looks at."""


def features(
    voxels: npt.NDArray[np.floating],
    mask: Bools,
    spacing_mm: Spacing,
    configuration: Configuration,
    *,
    valid: Bools | None = None,
) -> Values:
    """Every feature that ``configuration`` asks for, by IBSI's tag: a finite float, or Undefined with its reason.

    ``voxels``, ``mask`` and ``valid`` (False where there is no image) have shape (slices, rows, columns); spacing along
    the same axes. Raises EmptyRoi where the mask has no voxel, before or after interpolation.
    """
    if not voxels.shape == mask.shape == (mask if valid is None else valid).shape:
        raise ValueError(f"voxels have shape {voxels.shape}, the mask {mask.shape}")
    region = prepared(voxels, mask, spacing_mm, configuration, valid=valid, reach_mm=_OF_SPHERES)
    return features_of(region, configuration)


def features_of_response(
    voxels: npt.NDArray[np.floating],
    mask: Bools,
    spacing_mm: Spacing,
    configuration: Configuration,
    filtered: Filtered,
    *,
    valid: Bools | None = None,
) -> Values:
    """Every feature wanted of a filter's response; arguments as in ``features``.

    The image is interpolated, rounded and re-segmented first, then filtered (IBSI 2, phase 2). Raises EmptyRoi, and
    AnisotropicVoxels where the filter has a size in mm and the voxels have no one size.
    """
    grid = _grid_of(spacing_mm, configuration)
    reach = filtered.filter.reach(grid) or (math.inf,) * 3
    far = tuple(voxels_far * mm for voxels_far, mm in zip(reach, grid, strict=True))
    region = prepared(voxels, mask, spacing_mm, configuration, valid=valid, reach_mm=(far[0], far[1], far[2]))
    response = respond(filtered.filter, region.image, grid, region.morphological)
    return features_of(replace(region, image=response), configuration.of_response(filtered))


def reach_mm(configuration: Configuration, slice_mm: float) -> float:
    """How far beyond a region, across slices ``slice_mm`` apart, the voxels lie that shape a feature of it; infinite
    where a filter looks at the whole image."""
    grid = _grid_of((slice_mm, 1.0, 1.0), configuration)
    far = [local_intensity.RADIUS_MM]
    for filtered in configuration.filters:
        try:
            reach = filtered.filter.reach(grid)
        except AnisotropicVoxels:
            reach = filtered.filter.reach((grid[0],) * 3)
        far.append(math.inf if reach is None else reach[0] * grid[0])
    how = configuration.interpolation
    margin = 1 if how is None or how.order == 1 else SPLINE_REACH
    return float(max(far)) + (margin + 2) * slice_mm + 2 * grid[0]


def _grid_of(spacing_mm: Spacing, configuration: Configuration) -> Spacing:
    how = configuration.interpolation
    if how is None:
        return spacing_mm
    return (spacing_mm[0] if how.slice_mm is None else how.slice_mm, how.in_plane_mm, how.in_plane_mm)


def features_of(region: Region, configuration: Configuration) -> Values:
    """Every feature of a region that was processed already."""
    wanted = tuple(catalogue(configuration))
    families = {tag.partition("_")[0] for tag in wanted}
    found: Values = {}
    if "morph" in families:
        found |= morphology(_shape(region))
    if not len(region.x):
        nothing = Undefined("no voxel of the region is left to take intensities from")
        return {tag: found.get(tag, nothing) for tag in wanted}
    if "loc" in families:
        found |= local_intensity.local_intensity(region.image, region.intensity, region.spacing_mm)
    if "stat" in families:
        found |= statistics.statistics(region.x)
    if "ivh" in families:
        found |= volume_histogram.volume_histogram(_volume_histogram(region.x, configuration))
    found |= _of_levels(region, configuration, families)
    return {tag: found[tag] for tag in wanted}


def _of_levels(region: Region, configuration: Configuration, families: Iterable[str]) -> Values:
    """Histogram and texture: what is computed from grey levels."""
    asked = set(families)
    if not asked & {"ih", *TEXTURE}:
        return {}
    levels = _levels(region.x, configuration.discretisation, configuration.resegmentation.lowest)
    found = histogram.histogram(levels) if "ih" in asked else {}
    box = np.zeros(region.image.shape, dtype=np.int64)
    box[region.intensity] = levels
    where = _box(region.morphological)
    placed = Levels(box[where], region.morphological[where], int(levels.max()), configuration.dependence_coarseness)
    return found | texture(placed, configuration.aggregations, asked)


def _levels(x: Floats, how: Discretisation, start: float | None) -> Integers:
    if isinstance(how, FixedBinNumber):
        return how.levels(x)
    return how.levels(x, float(x.min()) if start is None else start)


def _volume_histogram(x: Floats, configuration: Configuration) -> VolumeHistogram:
    how, limits = configuration.volume_histogram, configuration.resegmentation
    lowest = float(x.min()) if limits.lowest is None else limits.lowest
    highest = float(x.max()) if limits.highest is None else limits.highest
    if isinstance(how, FixedBinNumber):
        levels = how.levels(x).astype(np.float64)
        return VolumeHistogram(levels, 1.0, float(how.bins), 1.0)
    if isinstance(how, FixedBinSize):
        half = how.size / 2
        top = float(how.centres(np.array([highest]), lowest)[0]) if limits.highest is None else highest - half
        return VolumeHistogram(how.centres(x, lowest), lowest + half, top, how.size)
    whole = bool(np.all(x == np.rint(x)))
    return VolumeHistogram(x, lowest, highest, 1.0 if whole else 0.0)


def _shape(region: Region) -> Shape:
    where = _box(region.morphological)
    return Shape(region.morphological[where], region.intensity[where], region.x, region.spacing_mm)


def _box(mask: Bools) -> tuple[slice, ...]:
    """The smallest box that holds the mask."""
    found = []
    for axis in range(3):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        found.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(found)
