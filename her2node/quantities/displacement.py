"""How far a tissue lies from where it lay in another phase: a translation, found about the region alone.

Contrast changes from phase to phase, edges hardly do: the lengths of the gradients of both phases are compared, not
their attenuations, by the correlation coefficient over the region and a margin about it, at every shift up to
``REACH_MM`` (FFT, on a coarse grid, then about its best place on a fine one), refined below the grid's step by least
squares, which also tell how well the place is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from her2node.errors import DisplacementUnknown
from her2node.volumes.volume import Geometry, Volume

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

STEP_MM = 1.5
"""Of the grid on which shifts are tried."""
MARGIN_MM = 8.0
"""About the region: its surroundings that move with it."""
REACH_MM = 24.0
"""The largest shift along each axis."""
LEAST_LIKENESS = 0.35
"""Correlation below which no shift is believed."""
LEAST_SURE_MM = 0.5
"""Standard error above which no shift is believed. Where parts of a real scan were displaced by known shifts, of seven
that told 0.5 to 1 mm three were found more than 3 mm elsewhere; below that most lay within 1 mm."""
RIVAL_MM = 9.0
"""Beyond this from the best place another one that resembles the region is another place, not the same peak."""
LEAST_LEAD = 0.03
"""Correlation by which the best place must exceed every rival. Along a straight border none leads by more than 0.01,
whichever is the likeliest by noise; on a wall bent with a radius of 60 mm the true place leads by 0.1."""
FEWEST_BLOCKS = 6
"""Blocks of edges that err independently: one more than is fitted (three shifts, gain and offset), else nothing is left
to tell the error from."""
LEAST_SEEN = 0.9
"""Share of the region and its margin that must lie in the other phase at a shift that is weighed."""
_SOFT = (-150.0, 250.0)
"""Attenuations are clipped to these: neither gas nor bone outweighs soft tissue."""


_ABOUT = 2.0
"""Steps from any place within which the coarse grid has one."""
_FINE = 5
"""Steps about the best place on the coarse grid that are tried on the fine one."""
_ROUNDS, _SETTLED, _FARTHEST = 12, 0.005, 1.5
"""Of Gauss and Newton: the most steps, when they end, and how far from the whole shift; in steps of the grid."""
_SEEN_BEYOND = 5
"""Steps beyond a place that its edge is taken from: four of smoothing and one of the slope."""
_BLOCK = 6
"""Steps: edges this far apart are taken to err independently of each other."""


@dataclass(frozen=True)
class Displacement:
    """Translation in mm in the patient system, from the first to the second phase, and the correlation there.

    ``error_mm``: its standard error along the direction in which it is least known. Strong noise adds a bias of a
    few times that (0.5 mm at a standard deviation of 60 HU). ``return_mm``: how far from where it began one ends who
    looks in the first phase for the place that was found, infinite where that is not known there. A place that only
    resembles the region leads elsewhere.
    """

    by_mm: tuple[float, float, float]
    likeness: float
    error_mm: float
    return_mm: float = 0.0


def length(displacement: Displacement) -> float:
    """Displacement of the region between two phases.

    Formula: |s|, s the translation at which the correlation of gradient lengths over the region and 8 mm about it is
    highest, on a grid of 1.5 mm, refined by least squares.
    Unit: mm.
    Shapes: by_mm (3,).
    Source: this node; template matching by normalised cross-correlation (Lewis 1995).
    Known deviation: a translation; turning and stretching of the organ are not seen.
    """
    return float(np.linalg.norm(displacement.by_mm))


def displacement(fixed: Volume, mask: Bools, moving: Volume) -> Displacement:
    """Where the tissue under ``mask``, on the grid of ``fixed``, lies in ``moving``; both in one frame of reference.

    Raises DisplacementUnknown where too little of the region lies in ``moving``, nothing resembles it, the best place
    lies at the end of the reach, edges are too few or too faint to tell how well the place is known, or another place
    resembles the region almost as well, as along a straight border.
    """
    grid, weight = _template_grid(fixed, mask)
    there = _place(fixed, grid, weight, moving)
    x, y, z = (at + by for at, by in zip(grid.origin_mm, there.by_mm, strict=True))
    try:
        back = _place(moving, replace(grid, origin_mm=(x, y, z)), weight, fixed)
    except DisplacementUnknown:
        return replace(there, return_mm=np.inf)
    return replace(there, return_mm=float(np.linalg.norm(np.add(there.by_mm, back.by_mm))))


def _place(fixed: Volume, grid: Geometry, weight: Floats, moving: Volume) -> Displacement:
    """Where what lies on ``grid`` in one phase lies in the other."""
    reach = round(REACH_MM / STEP_MM)
    template = _edges(fixed, grid)
    weight = weight * np.isfinite(template)
    search = _edges(moving, _grown(grid, reach))
    if not weight.any() or _seen(search, weight, reach) < LEAST_SEEN:
        raise DisplacementUnknown("too little of the surroundings lies in both phases")
    scene = _Scene(np.nan_to_num(template), np.nan_to_num(search), np.isfinite(search).astype(np.float32), weight)
    coarse = _coarse_likeness(scene)
    start = 2 * np.array(np.unravel_index(int(coarse.argmax()), coarse.shape))
    for _ in range(3):  # where the peak lies at the end of what was tried, what lies beyond is tried
        first = np.clip(start - _FINE, 0, 2 * reach - 2 * _FINE)
        likeness = _likeness(_window(scene, first))
        peak = tuple(int(index) for index in np.unravel_index(int(likeness.argmax()), likeness.shape))
        if (first + peak == start).all() or 0 < min(peak) <= max(peak) < 2 * _FINE:
            break
        start = first + peak
    best, at = float(likeness[peak]), first + peak
    if best < LEAST_LIKENESS:
        raise DisplacementUnknown(f"nothing within {REACH_MM:.0f} mm resembles the region (likeness {best:.2f})")
    if at.min() == 0 or at.max() == 2 * reach or not 0 < min(peak) <= max(peak) < 2 * _FINE:
        raise DisplacementUnknown(f"the region lies {REACH_MM:.0f} mm away or farther")
    if (blocks := _independent(scene)) < FEWEST_BLOCKS:
        raise DisplacementUnknown(
            f"edges are too few to tell the place (in {blocks:.1f} blocks, {FEWEST_BLOCKS} needed)"
        )
    beyond, error_mm = _refined(scene, at)
    if error_mm > LEAST_SURE_MM:
        raise DisplacementUnknown(f"edges are too faint to tell the place (standard error {error_mm:.1f} mm)")
    if (lead := _lead(coarse, at + beyond)) < LEAST_LEAD:
        raise DisplacementUnknown(
            f"a place more than {RIVAL_MM:.0f} mm away resembles the region as well (a lead of {lead:.2f})"
        )
    z, y, x = (STEP_MM * (at - reach + beyond)).tolist()
    return Displacement((x, y, z), best, error_mm)


@dataclass(frozen=True)
class _Scene:
    """Edges about the region, where to look for them, where that is seen, and what counts of the region's, float32."""

    template: Floats
    search: Floats
    inside: Floats
    weight: Floats


def _seen(search: Floats, weight: Floats, reach: int) -> float:
    """Share of the region and its margin that lies in the other phase where it was drawn."""
    here = tuple(slice(reach, reach + size) for size in weight.shape)
    return float((np.isfinite(search[here]) * weight).sum() / weight.sum())


def _coarse_likeness(scene: _Scene) -> Floats:
    """The likeness at every shift on a grid of double steps."""
    return _likeness(_Scene(*map(_halved, (scene.template, scene.search, scene.inside, scene.weight))))


def _lead(coarse: Floats, at: Doubles) -> float:
    """By how much the coarse likeness about a shift, in steps of the fine grid, exceeds that of every rival."""
    away = np.linalg.norm(2 * np.moveaxis(np.indices(coarse.shape), 0, -1) - at, axis=-1)
    return float(coarse[away <= _ABOUT].max() - coarse[STEP_MM * away > RIVAL_MM].max())


def _halved(values: Floats) -> Floats:
    """Means of cubes of 2 x 2 x 2; an odd end is left out."""
    for axis in range(3):
        count = values.shape[axis] // 2
        even = np.take(values, np.arange(0, 2 * count, 2), axis=axis)
        values = 0.5 * (even + np.take(values, np.arange(1, 2 * count, 2), axis=axis))
    return values


def _window(scene: _Scene, first: npt.NDArray[np.int_]) -> _Scene:
    """The scene with shifts from ``first`` on alone."""
    box = tuple(slice(a, a + n + 2 * _FINE) for a, n in zip(first.tolist(), scene.template.shape, strict=True))
    return replace(scene, search=scene.search[box], inside=scene.inside[box])


def _likeness(scene: _Scene) -> Floats:
    """Correlation coefficient under the weight at every shift; -1 where too little is seen."""
    template, search, weight = scene.template, scene.search, scene.weight
    total = float(weight.sum())
    centred = weight * (template - float((weight * template).sum()) / total)
    valid = tuple(a - b + 1 for a, b in zip(search.shape, template.shape, strict=True))
    shape = [fft.next_fast_len(size, real=True) for size in search.shape]

    def correlated(many: Floats, by: Floats) -> Floats:
        found = fft.irfftn(fft.rfftn(many, shape) * np.conj(fft.rfftn(by, shape)), shape)
        return np.asarray(found[: valid[0], : valid[1], : valid[2]])

    seen = correlated(scene.inside, weight) / total
    mean = correlated(search, weight) / total
    energy = np.maximum(correlated(search**2, weight) / total - mean**2, 1e-6)
    own = max(float((centred * template).sum()) / total, 1e-6)
    likeness = correlated(search, centred) / total / np.sqrt(energy * own)
    likeness[seen < LEAST_SEEN] = -1.0
    return np.asarray(likeness)


def _refined(scene: _Scene, at: npt.NDArray[np.int_]) -> tuple[Doubles, float]:
    """Parts of steps beyond a whole shift, and the standard error of the translation in mm.

    Formula: S(x + s) = gain T(x) + offset by least squares in s, gain and offset, T and S the edges of both phases, by
    Gauss and Newton's steps. The error is the square root of the largest eigenvalue of H^-1 B H^-1, H = sum(J J^T) over
    voxels, B = sum(b b^T) over blocks of 9 mm, b = sum(r J) of a block, J = gain dT/dx, r the residual: the sandwich of
    Huber and White by clusters, as the edges that one phase lacks err together, not voxel by voxel.
    """
    counts = scene.weight > 0
    places = np.stack(np.nonzero(counts))
    fixed = scene.template[counts].astype(np.float64)
    slopes = _slopes(scene)
    inverse = np.linalg.pinv(slopes @ slopes.T)
    beyond = np.zeros(3)
    for _ in range(_ROUNDS):
        gain, left = _fitted(scene, fixed, places + (at + beyond)[:, None])
        by = -inverse @ (slopes @ left) / gain if gain > 0 else np.zeros(3)
        beyond = np.clip(beyond + by, -_FARTHEST, _FARTHEST)
        if np.abs(by).max() < _SETTLED:
            break
    gain, left = _fitted(scene, fixed, places + (at + beyond)[:, None])
    where = _blocks(places)
    scores = np.stack([np.bincount(where, left * slope) for slope in slopes])
    variance = inverse @ scores @ scores.T @ inverse / max(gain, 1e-6) ** 2
    return beyond, STEP_MM * float(np.sqrt(max(float(np.linalg.eigvalsh(variance)[-1]), 0.0)))


def _slopes(scene: _Scene) -> Doubles:
    """Derivatives (3, n) of the first phase's edges where they count."""
    return np.asarray(np.gradient(scene.template.astype(np.float64)))[:, scene.weight > 0]


def _blocks(places: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """In which block each of ``places`` (3, n) lies (n,)."""
    blocks = [along // _BLOCK for along in places]
    return np.asarray(np.ravel_multi_index(blocks, [int(block.max()) + 1 for block in blocks]))


def _independent(scene: _Scene) -> float:
    """How many blocks of 9 mm tell the place: (sum e)^2 / sum e^2, e = sum |dT/dx|^2 of a block; their number where all
    tell alike, one where one outweighs the others."""
    energy = np.bincount(_blocks(np.stack(np.nonzero(scene.weight > 0))), (_slopes(scene) ** 2).sum(axis=0))
    return float(energy.sum() ** 2 / max(float((energy**2).sum()), 1e-12))


def _fitted(scene: _Scene, fixed: Doubles, places: Doubles) -> tuple[float, Doubles]:
    """Gain and residual of a linear fit of the second phase's edges at ``places`` (3, n) to the first's (n,)."""
    moving = ndimage.map_coordinates(scene.search, places, order=1, mode="nearest").astype(np.float64)
    centred = fixed - fixed.mean()
    gain = float(centred @ moving) / max(float(centred @ centred), 1e-6)
    return gain, moving - moving.mean() - gain * centred


def _template_grid(fixed: Volume, mask: Bools) -> tuple[Geometry, Floats]:
    """A grid along the patient's axes over the region and its margin, and 1 where either is."""
    places = fixed.geometry.to_patient(np.argwhere(mask))
    low, high = places.min(axis=0) - MARGIN_MM, places.max(axis=0) + MARGIN_MM
    counts = np.ceil((high - low) / STEP_MM).astype(int)[::-1] + 1
    shape = (int(counts[0]), int(counts[1]), int(counts[2]))
    axes = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    origin = (float(low[0]), float(low[1]), float(low[2]))
    grid = Geometry(shape, (STEP_MM,) * 3, origin, axes, fixed.geometry.frame_of_reference_uid)
    share, seen = _looked_up(mask.astype(np.float32), fixed.geometry, grid)
    inside = seen & (share >= 0.5)
    if not inside.any():  # a region smaller than a step lies between the places of the grid
        inside[tuple(np.rint(grid.to_index(places)).astype(int).T)] = True
    away = ndimage.distance_transform_edt(~inside, sampling=STEP_MM)
    return grid, (away <= MARGIN_MM).astype(np.float32)


def _grown(grid: Geometry, steps: int) -> Geometry:
    shape = (grid.shape[0] + 2 * steps, grid.shape[1] + 2 * steps, grid.shape[2] + 2 * steps)
    x, y, z = (float(at) - steps * STEP_MM for at in grid.origin_mm)
    return Geometry(shape, grid.spacing_mm, (x, y, z), grid.directions, grid.frame_of_reference_uid)


def _looked_up(values: npt.NDArray[np.float32], geometry: Geometry, grid: Geometry) -> tuple[Floats, Bools]:
    """Values at the places of ``grid``, linear between voxels, beyond the volume those of its nearest; and where the
    volume lies."""
    index = np.stack(np.meshgrid(*(np.arange(size) for size in grid.shape), indexing="ij"), axis=-1)
    at = np.moveaxis(geometry.to_index(grid.to_patient(index)), -1, 0)
    last = np.array(geometry.shape).reshape(3, 1, 1, 1) - 1
    inside = ((at >= -1e-6) & (at <= last + 1e-6)).all(axis=0)
    return np.asarray(ndimage.map_coordinates(values, at, order=1, mode="nearest")), np.asarray(inside)


def _edges(volume: Volume, grid: Geometry) -> Floats:
    """Length of the gradient of clipped attenuations, NaN outside the volume.

    It is taken on a larger grid, as the smoothing sees beyond: else both phases' edges differ where a grid ends. That a
    volume ends is no edge.
    """
    values = np.where(volume.valid, volume.voxels, np.float32(_SOFT[0]))
    hu, inside = _looked_up(np.clip(values, *_SOFT), volume.geometry, _grown(grid, _SEEN_BEYOND))
    smooth = ndimage.gaussian_gradient_magnitude(hu, 1.0, mode="nearest")
    edges = np.where(ndimage.binary_erosion(inside, iterations=2, border_value=1), smooth, np.nan)
    return edges[(slice(_SEEN_BEYOND, -_SEEN_BEYOND),) * 3]
