"""One-dimensional kernels, the filters that are products of them, and pooling over right-angle rotations.

IBSI 2 names the directions k1 (columns, x), k2 (rows, y), k3 (slices, z); arrays here are (slice, row, column).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]


class Boundary(StrEnum):
    """What stands beyond the faces of the image (IBSI 2, boundary conditions)."""

    ZERO = "zero"
    """Zeros (Z3VE with constant 0)."""
    NEAREST = "nearest"
    """The voxel of the face, repeated."""
    PERIODIC = "periodic"
    """The image again."""
    MIRROR = "mirror"
    """The image mirrored at the face, the voxel of the face twice."""


class Pooling(StrEnum):
    """How the responses of all rotations become one (IBSI 2, rotation invariance)."""

    AVERAGE = "average"
    MAXIMUM = "maximum"


_EXTENSION = {
    Boundary.ZERO: "constant",
    Boundary.NEAREST: "nearest",
    Boundary.PERIODIC: "wrap",
    Boundary.MIRROR: "reflect",
}


@dataclass(frozen=True)
class Kernel:
    """Taps h[0..n-1] of which ``centre`` lies on the voxel: response[i] = sum_j h[j] image[i - (j - centre)]."""

    taps: tuple[float, ...]
    centre: int

    @classmethod
    def centred(cls, taps: Sequence[float]) -> Kernel:
        """The middle tap on the voxel; the right one of two middle taps."""
        return cls(tuple(float(tap) for tap in taps), len(taps) // 2)

    @property
    def reversed(self) -> Kernel:
        """The same kernel run the other way: its response to a mirrored image is the response, mirrored."""
        return Kernel(self.taps[::-1], len(self.taps) - 1 - self.centre)

    @property
    def reach(self) -> int:
        """How many voxels to either side a response depends on, at most."""
        return max(self.centre, len(self.taps) - 1 - self.centre)

    def dilated(self, step: int) -> Kernel:
        """Zeros between the taps ('a trous', with holes): tap j moves to step * j."""
        taps = np.zeros(step * (len(self.taps) - 1) + 1)
        taps[::step] = self.taps
        return Kernel(tuple(taps.tolist()), step * self.centre)

    def convolve(self, image: Floats, axis: int, boundary: Boundary) -> Floats:
        """The response along one axis of an image of any shape."""
        size = len(self.taps)
        after = size - 1 - self.centre
        padded = np.zeros(2 * self.reach + 1)
        padded[self.reach - after : self.reach - after + size] = self.taps[::-1]
        return np.asarray(ndimage.correlate1d(image, padded, axis=axis, mode=_EXTENSION[boundary], cval=0.0))


Chain = tuple[Kernel, ...]
"""Kernels that follow one another along the same axis."""


def axes_of(dimensions: int) -> tuple[int, ...]:
    """The array axes that a filter of 2 (each slice by itself) or 3 dimensions runs along."""
    return (1, 2) if dimensions == 2 else (0, 1, 2)


def separable(image: Floats, chains: Sequence[Chain], boundary: Boundary) -> Floats:
    """The response to a product of kernels; one chain an axis, in the order of ``axes_of(len(chains))``."""
    response = image
    for axis, chain in zip(axes_of(len(chains)), chains, strict=True):
        response = _along(response, axis, chain, boundary)
    return response


def pooled(image: Floats, chains: Sequence[Chain], boundary: Boundary, pooling: Pooling) -> Floats:
    """The responses to a product of kernels in all its right-angle rotations, 4 in a plane and 24 in space, as one.

    Formula: average or maximum over the rotations R of (R^-1 o filter o R)(image).
    Source: IBSI 2, rotation invariance, by exchanging and reversing the kernels of the axes.
    Known deviation: none; equal rotations are computed once and counted.
    """
    axes = axes_of(len(chains))
    plans = Counter(_turned(chains, order, flips) for order, flips in _rotations(len(chains)))
    result = np.zeros_like(image) if pooling is Pooling.AVERAGE else np.full_like(image, -np.inf)
    for response, count in _responses(image, plans, axes, boundary):
        if pooling is Pooling.AVERAGE:
            result += response * (count / plans.total())
        else:
            np.maximum(result, response, out=result)
    return result


def _along(image: Floats, axis: int, chain: Chain, boundary: Boundary) -> Floats:
    for kernel in chain:
        image = kernel.convolve(image, axis, boundary)
    return image


def _rotations(dimensions: int) -> Iterator[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """Exchanges and reversals of axes without the mirrorings: those of determinant +1."""
    for order in itertools.permutations(range(dimensions)):
        parity = round(float(np.linalg.det(np.eye(dimensions)[list(order)])))
        for flips in itertools.product((False, True), repeat=dimensions):
            if parity * (-1) ** sum(flips) == 1:
                yield order, flips


def _turned(chains: Sequence[Chain], order: tuple[int, ...], flips: tuple[bool, ...]) -> tuple[Chain, ...]:
    return tuple(
        tuple(kernel.reversed for kernel in chains[source]) if flip else chains[source]
        for source, flip in zip(order, flips, strict=True)
    )


def _responses(
    image: Floats, plans: Counter[tuple[Chain, ...]], axes: tuple[int, ...], boundary: Boundary
) -> Iterator[tuple[Floats, int]]:
    """Every different response with the number of rotations that give it; what rotations share is computed once."""
    if not axes:
        yield image, plans.total()
        return
    for first in dict.fromkeys(plan[0] for plan in plans):
        rest = Counter({plan[1:]: count for plan, count in plans.items() if plan[0] == first})
        yield from _responses(_along(image, axes[0], first, boundary), rest, axes[1:], boundary)
