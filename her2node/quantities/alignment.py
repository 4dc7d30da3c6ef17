"""How far time points of dynamic MR lie apart, by the directions of their edges: contrast changes how bright and how
steep an edge is, and which side is the brighter, but not where it lies and which way it faces.

A point's field of normalised gradients is n = g / sqrt(|g|^2 + e^2), e the mean of |g| (Haber and Modersitzki 2006).
Two images lie on each other where the sum of (n1 . n2)^2 is highest, which is a sum of cross-correlations of n_i n_j.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from her2node.quantities.motion import Motion, averaged
from her2node.volumes.volume import Floats as Voxels

COARSE_MM = 3.0
"""Pixels are averaged to about this size."""
RESOLVED = 0.25
"""A shift of less, in these pixels, is none: on images that lie still, up to 0.17 were found."""
FARTHEST_MM = 30.0
FEWEST_SLICES = 4
"""For a shift across the slices."""

_Floats = npt.NDArray[np.float64]


def aligned(voxels: Voxels, spacing_mm: Sequence[float]) -> Motion:
    """The shifts of ``voxels`` (t, slices, rows, columns) against the time point nearest to the median of all.

    Each is looked for against the mean over time, as a rigid translation; then once more against the mean of what was
    shifted so, as the first mean is blurred towards those that moved.
    """
    factors = (1, *(max(1, round(COARSE_MM / spacing)) for spacing in spacing_mm[1:]))
    coarse_mm = np.asarray(spacing_mm) * factors
    shifts = np.zeros((len(voxels), 3))
    for _ in range(2):
        mean = _mean(voxels, factors, shifts)
        reach = _reach(mean.shape, coarse_mm)
        fixed = np.conj(_spectra(mean, reach))
        shifts = np.array([_shift(fixed, averaged(volume, factors), reach) for volume in voxels])
        if not shifts.any():
            break
    shifts_mm = shifts * coarse_mm
    reference = int(np.linalg.norm(shifts_mm - np.median(shifts_mm, axis=0), axis=1).argmin())
    return Motion(shifts_mm - shifts_mm[reference], reference)


def _mean(voxels: Voxels, factors: Sequence[int], shifts: _Floats) -> Voxels:
    """Over time, of coarse images shifted back."""
    total = np.zeros_like(averaged(voxels[0], factors))
    for volume, shift in zip(voxels, shifts, strict=True):
        coarse = averaged(volume, factors)
        total += ndimage.shift(coarse, -shift, order=1, mode="nearest") if shift.any() else coarse
    return total / np.float32(len(voxels))


def _reach(shape: Sequence[int], coarse_mm: _Floats) -> tuple[int, int, int]:
    """Farthest shift in voxels of each axis."""
    slices, rows, columns = (
        min(int(FARTHEST_MM / size), count // 2) for size, count in zip(coarse_mm, shape, strict=True)
    )
    return slices if shape[0] >= FEWEST_SLICES else 0, rows, columns


def _spectra(image: Voxels, reach: Sequence[int]) -> npt.NDArray[np.complex64]:
    """Of n_i n_j, i <= j, padded so that shifts within ``reach`` do not go around; i < j stand for two."""
    axes = tuple(axis for axis in range(3) if reach[axis])
    gradients = [np.gradient(image, axis=axis) for axis in axes]
    squared = np.sum([gradient**2 for gradient in gradients], axis=0, dtype=np.float32)
    mean = np.sqrt(squared).mean()
    scale = np.maximum(squared + mean**2, np.finfo(np.float32).tiny)
    size = [fft.next_fast_len(count + far, real=True) for count, far in zip(image.shape, reach, strict=True)]
    pairs = combinations_with_replacement(range(len(axes)), 2)
    return np.stack([fft.rfftn(_twice(i != j) * gradients[i] * gradients[j] / scale, size) for i, j in pairs])


def _twice(other: bool) -> np.float32:
    """The root of the weight of a product that stands for two."""
    return np.float32(np.sqrt(2) if other else 1)


def _shift(fixed: npt.NDArray[np.complex64], moved: Voxels, reach: tuple[int, int, int]) -> _Floats:
    """d, in voxels, with moved(x + d) = fixed(x)."""
    size = [fft.next_fast_len(count + far, real=True) for count, far in zip(moved.shape, reach, strict=True)]
    agreement = fft.irfftn((fixed * _spectra(moved, reach)).sum(axis=0), size)
    near = agreement[np.ix_(*(np.arange(-far, far + 1) for far in reach))]
    place = tuple(int(at) for at in np.unravel_index(int(near.argmax()), near.shape))
    found = np.array(
        [at - far + _vertex(near, place, axis) for axis, (at, far) in enumerate(zip(place, reach, strict=True))]
    )
    return found if np.linalg.norm(found) >= RESOLVED else np.zeros(3)


def _vertex(near: Voxels, place: tuple[int, ...], axis: int) -> float:
    """Where within a voxel the parabola through three samples is highest."""
    at = place[axis]
    if not 0 < at < near.shape[axis] - 1:
        return 0.0
    before, here, after = (float(near[(*place[:axis], at + step, *place[axis + 1 :])]) for step in (-1, 0, 1))
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend else 0.0
