"""Patches laid over an image: where they start, and what each voxel of a patch weighs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Halves = npt.NDArray[np.float16]

SIGMA = 1 / 8
"""Of the weight, in patches."""
LARGEST = 10
"""Weight of a patch's middle: with 1, more of the rim would be lost to half precision."""


def starts(size: int, patch: int, step: float) -> tuple[int, ...]:
    """First voxels of the patches along one axis, evenly spread, at most ``step`` patches apart.

    ``size`` is at least ``patch``: count = ceil((size - patch) / (step patch)) + 1.
    """
    count = math.ceil((size - patch) / (patch * step)) + 1
    if count == 1:
        return (0,)
    apart = (size - patch) / (count - 1)
    return tuple(int(np.round(apart * index)) for index in range(count))


def weight_of(patch: Sequence[int]) -> Halves:
    """A Gaussian of a patch, ``LARGEST`` in its middle and nowhere 0, float16: what its rim says counts least."""
    impulse = np.zeros(tuple(patch))
    impulse[tuple(size // 2 for size in patch)] = 1
    weight = gaussian_filter(impulse, [size * SIGMA for size in patch], mode="constant")
    weight = (weight / (weight.max() / LARGEST)).astype(np.float16)
    weight[weight == 0] = weight[weight > 0].min()
    return np.asarray(weight)


def flips(axes: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """All sets of axes to mirror along, the empty one first."""
    return tuple(chosen for count in range(len(axes) + 1) for chosen in combinations(sorted(axes), count))


def padding(shape: Sequence[int], patch: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Voxels to add before and behind each axis, so that an image is no smaller than a patch, itself in the middle."""
    lacking = [max(0, wanted - size) for size, wanted in zip(shape, patch, strict=True)]
    return tuple((count // 2, count - count // 2) for count in lacking)
