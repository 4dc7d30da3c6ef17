"""How far a tissue lies from where it lay in another phase: a translation, found about the region alone.

Contrast changes from phase to phase, edges hardly do: the lengths of the gradients of both phases are compared, not
their attenuations, by the correlation coefficient over the region and a margin about it, at every shift up to
``REACH_MM`` at once (FFT), refined below the grid's step by a parabola.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.signal import fftconvolve

from her2node.errors import DisplacementUnknown
from her2node.volumes.volume import Geometry, Volume

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

STEP_MM = 1.5
"""Of the grid on which shifts are tried."""
MARGIN_MM = 8.0
"""About the region: its surroundings that move with it."""
REACH_MM = 24.0
"""The largest shift along each axis."""
LEAST_LIKENESS = 0.35
"""Correlation below which no shift is believed."""
LEAST_SEEN = 0.9
"""Share of the region and its margin that must lie in the other phase at a shift that is weighed."""
_SOFT = (-150.0, 250.0)
"""Attenuations are clipped to these: neither gas nor bone outweighs soft tissue."""


@dataclass(frozen=True)
class Displacement:
    """Translation in mm in the patient system, from the first to the second phase, and the correlation there."""

    by_mm: tuple[float, float, float]
    likeness: float


def length(displacement: Displacement) -> float:
    """Displacement of the region between two phases.

    Formula: |s|, s the translation at which the correlation of gradient lengths over the region and 8 mm about it is
    highest, on a grid of 1.5 mm, refined by a parabola along each axis.
    Unit: mm.
    Shapes: by_mm (3,).
    Source: this node; template matching by normalised cross-correlation (Lewis 1995).
    Known deviation: a translation; turning and stretching of the organ are not seen.
    """
    return float(np.linalg.norm(displacement.by_mm))


def displacement(fixed: Volume, mask: Bools, moving: Volume) -> Displacement:
    """Where the tissue under ``mask``, on the grid of ``fixed``, lies in ``moving``; both in one frame of reference.

    Raises DisplacementUnknown where too little of the region lies in ``moving``, nothing resembles it, or the best
    place lies at the end of the reach.
    """
    grid, weight = _template_grid(fixed, mask)
    reach = round(REACH_MM / STEP_MM)
    template = _edges(fixed, grid)
    search = _edges(moving, _grown(grid, reach))
    weight = weight * np.isfinite(template)
    if not weight.any():
        raise DisplacementUnknown("too little of the surroundings lies in both phases")
    seen = fftconvolve(np.isfinite(search), weight[::-1, ::-1, ::-1], mode="valid") / weight.sum()
    if seen[reach, reach, reach] < LEAST_SEEN:
        raise DisplacementUnknown("too little of the surroundings lies in both phases")
    likeness = _correlation(np.nan_to_num(template), np.nan_to_num(search), weight)
    likeness[seen < LEAST_SEEN] = -1.0
    peak = tuple(int(index) for index in np.unravel_index(int(likeness.argmax()), likeness.shape))
    best = float(likeness[peak])
    if best < LEAST_LIKENESS:
        raise DisplacementUnknown(f"nothing within {REACH_MM:.0f} mm resembles the region (likeness {best:.2f})")
    if min(peak) == 0 or any(at == size - 1 for at, size in zip(peak, likeness.shape, strict=True)):
        raise DisplacementUnknown(f"the region lies {REACH_MM:.0f} mm away or farther")
    z, y, x = (STEP_MM * (at + _vertex(likeness, peak, axis) - reach) for axis, at in enumerate(peak))
    return Displacement((x, y, z), best)


def _template_grid(fixed: Volume, mask: Bools) -> tuple[Geometry, Floats]:
    """A grid along the patient's axes over the region and its margin, and 1 where either is."""
    places = fixed.geometry.to_patient(np.argwhere(mask))
    low, high = places.min(axis=0) - MARGIN_MM, places.max(axis=0) + MARGIN_MM
    counts = np.ceil((high - low) / STEP_MM).astype(int)[::-1] + 1
    shape = (int(counts[0]), int(counts[1]), int(counts[2]))
    axes = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    origin = (float(low[0]), float(low[1]), float(low[2]))
    grid = Geometry(shape, (STEP_MM,) * 3, origin, axes, fixed.geometry.frame_of_reference_uid)
    inside = _looked_up(mask.astype(np.float32), fixed.geometry, grid, 0.0) >= 0.5
    away = ndimage.distance_transform_edt(~inside, sampling=STEP_MM)
    return grid, (away <= MARGIN_MM).astype(np.float64)


def _grown(grid: Geometry, steps: int) -> Geometry:
    shape = (grid.shape[0] + 2 * steps, grid.shape[1] + 2 * steps, grid.shape[2] + 2 * steps)
    x, y, z = (float(at) - steps * STEP_MM for at in grid.origin_mm)
    return Geometry(shape, grid.spacing_mm, (x, y, z), grid.directions, grid.frame_of_reference_uid)


def _looked_up(values: npt.NDArray[np.float32], geometry: Geometry, grid: Geometry, outside: float) -> Floats:
    """Values at the places of ``grid``, linear between voxels."""
    index = np.stack(np.meshgrid(*(np.arange(size) for size in grid.shape), indexing="ij"), axis=-1)
    at = np.moveaxis(geometry.to_index(grid.to_patient(index)), -1, 0)
    # Where a stack is one slice thick or a place lies half a voxel outside, the nearest voxel counts.
    return np.asarray(ndimage.map_coordinates(values, at, order=1, mode="constant", cval=outside), dtype=np.float64)


def _edges(volume: Volume, grid: Geometry) -> Floats:
    """Length of the gradient of clipped attenuations, NaN outside the volume."""
    values = np.where(volume.valid, volume.voxels, np.float32(_SOFT[0]))
    hu = _looked_up(np.clip(values, *_SOFT), volume.geometry, grid, np.nan)
    inside = np.isfinite(hu)
    smooth = ndimage.gaussian_gradient_magnitude(np.where(inside, hu, _SOFT[0]), 1.0)
    return np.where(ndimage.binary_erosion(inside, iterations=2, border_value=1), smooth, np.nan)


def _correlation(template: Floats, search: Floats, weight: Floats) -> Floats:
    """Correlation coefficient under ``weight`` at every shift of ``template`` over ``search``."""
    total = weight.sum()
    centred = weight * (template - (weight * template).sum() / total)
    flip = (slice(None, None, -1),) * 3
    product = fftconvolve(search, centred[flip], mode="valid")
    mean = fftconvolve(search, weight[flip], mode="valid") / total
    energy = np.maximum(fftconvolve(search**2, weight[flip], mode="valid") / total - mean**2, 1e-6)
    own = max(float((centred * template).sum()) / total, 1e-6)
    return np.asarray(product / total / np.sqrt(energy * own))


def _vertex(likeness: Floats, peak: tuple[int, ...], axis: int) -> float:
    """Where a parabola through the peak and its neighbours along an axis is highest, in steps from the peak."""
    before, after = list(peak), list(peak)
    before[axis] -= 1
    after[axis] += 1
    low, mid, high = float(likeness[tuple(before)]), float(likeness[peak]), float(likeness[tuple(after)])
    bend = low - 2 * mid + high
    if min(low, high) == -1.0:  # a neighbour was not weighed
        return 0.0
    return 0.0 if bend >= -1e-12 else 0.5 * (low - high) / bend
