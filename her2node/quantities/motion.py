"""Where the patient has moved to between time points: a rigid translation each, and its undoing.

Estimated by least squares of Gauss and Newton on images whose values were cut off so that contrast does not show: the
edges between gas, fat and soft tissue stay, the bolus is gone. Large differences weigh less (Huber).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from her2node.volumes.volume import Bools
from her2node.volumes.volume import Floats as Voxels

Floats = npt.NDArray[np.float64]

COARSEST_MM = 3.0
"""Pixels are averaged up to this size before a shift is estimated."""
STILL = 0.25
"""Shifts of less than this share of the smallest spacing are left alone: interpolation would cost more."""
_STEPS = 12
_SETTLED = 5e-3
"""Voxels of the coarse image."""
_FLATTEST = 0.02
"""Directions with a smaller share of the edges than this are not shifted along: noise would decide there."""
_OUTLIER = 30.0
_FEWEST_SLICES = 4
"""For a shift across the slices."""


@dataclass(frozen=True)
class Motion:
    """``shifts_mm`` (t, 3) along slice, row and column of each time point against the time point ``reference``."""

    shifts_mm: Floats = field(repr=False)
    reference: int

    @property
    def largest_mm(self) -> float:
        """The longest shift."""
        return float(np.linalg.norm(self.shifts_mm, axis=1).max())


def estimate(voxels: Voxels, spacing_mm: Sequence[float], window: tuple[float, float]) -> Motion:
    """Estimate the motion of ``voxels`` (t, slices, rows, columns), their values cut off to ``window``.

    The reference is the time point that lies nearest to the median of all.
    """
    factors = (1, *(max(1, int(COARSEST_MM / spacing)) for spacing in spacing_mm[1:]))
    coarse_mm = np.asarray(spacing_mm) * factors
    images = [averaged(volume, factors, window) for volume in voxels]
    first = images[0]
    shifts = np.array([_shift(first, image) for image in images]) * coarse_mm
    reference = int(np.linalg.norm(shifts - np.median(shifts, axis=0), axis=1).argmin())
    return Motion(shifts - shifts[reference], reference)


def undo(voxels: Voxels, valid: Bools, spacing_mm: Sequence[float], motion: Motion) -> Bools:
    """Shift the time points of ``voxels`` back, in place; ``valid`` without what came from beyond the edges."""
    steps = motion.shifts_mm / np.asarray(spacing_mm)
    kept = valid.copy()
    for volume, step, moved_mm in zip(voxels, steps, motion.shifts_mm, strict=True):
        if np.linalg.norm(moved_mm) < STILL * min(spacing_mm[1:]):
            continue
        volume[...] = ndimage.shift(volume, -step, order=1, mode="nearest")
        kept &= ~_from_beyond(kept.shape, step) & _all_valid(valid, step)
    return kept


def _from_beyond(shape: tuple[int, ...], step: Floats) -> Bools:
    """Voxels whose value came from beyond the edge of the image."""
    found = np.zeros(shape, dtype=np.bool_)
    for axis, (size, moved) in enumerate(zip(shape, step, strict=True)):
        places = np.arange(size) + moved
        outside = (places < -1e-3) | (places > size - 1 + 1e-3)
        found |= np.expand_dims(outside, tuple(other for other in range(3) if other != axis))
    return found


def _all_valid(valid: Bools, step: Floats) -> Bools:
    if valid.all():
        return valid
    return np.asarray(ndimage.shift(valid.astype(np.float32), -step, order=1, mode="nearest") > 0.999)


def averaged(volume: Voxels, factors: Sequence[int], window: tuple[float, float] | None = None) -> Voxels:
    """``volume`` (slices, rows, columns), its values cut off to ``window``, averaged by ``factors`` and smoothed."""
    _, down, across = factors
    rows, columns = volume.shape[1] // down * down, volume.shape[2] // across * across
    cut = volume[:, :rows, :columns]
    if window is not None:
        cut = np.clip(cut, *window)
    blocks = cut.reshape(len(cut), rows // down, down, columns // across, across).mean(axis=(2, 4))
    return np.asarray(ndimage.gaussian_filter(blocks, (0.0, 1.0, 1.0)), dtype=np.float32)


def _shift(fixed: Voxels, moved: Voxels) -> Floats:
    """d, in voxels, with moved(x + d) = fixed(x)."""
    shift = _coarse(fixed, moved)
    slopes = _slopes(fixed)
    for _ in range(_STEPS):
        left = ndimage.shift(moved, -shift, order=1, mode="nearest") - fixed
        weights = 1 / np.maximum(1.0, np.abs(left) / _OUTLIER)
        weights[_from_beyond(fixed.shape, shift)] = 0.0
        normal = np.einsum("axyz,xyz,bxyz->ab", slopes, weights, slopes, optimize=True)
        pull = np.einsum("axyz,xyz->a", slopes, weights * left, optimize=True)
        step = np.linalg.pinv(normal.astype(np.float64), rcond=_FLATTEST, hermitian=True) @ pull
        shift = shift - np.clip(step, -2, 2)
        if np.abs(step).max() < _SETTLED:
            break
    return np.asarray(shift, dtype=np.float64)


def _slopes(fixed: Voxels) -> Voxels:
    """Derivatives (3, slices, rows, columns); none across too few slices."""
    found = np.zeros((3, *fixed.shape), dtype=np.float32)
    found[1], found[2] = np.gradient(fixed, axis=(1, 2))
    if len(fixed) >= _FEWEST_SLICES:
        found[0] = np.gradient(fixed, axis=0)
    return found


def _coarse(fixed: Voxels, moved: Voxels) -> Floats:
    """The whole-voxel shift with the highest cross-correlation."""
    size = [fft.next_fast_len(2 * n - 1, real=True) for n in fixed.shape]
    spectra = [fft.rfftn(image - image.mean(), size) for image in (fixed, moved)]
    overlap = fft.irfftn(np.conj(spectra[0]) * spectra[1], size)
    place = np.unravel_index(int(overlap.argmax()), overlap.shape)
    return np.array([at - n if at > n // 2 else at for at, n in zip(place, size, strict=True)], dtype=np.float64)
