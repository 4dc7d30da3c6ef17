"""The whole way of a segmentation: transpose, crop, normalise, resample, sliding window, resample back, label.

Logits are added up in half precision, as nnU-Net adds them, so that voxels between two labels fall to the same side.
Memory: some 30 bytes for each voxel of the image while a channel of it is resampled, then some 10 for each voxel and
channel at the network's spacing, and of the answer there as much as ``budget`` allows. Where it is larger, the image
goes by blocks of slices, and patches that reach into two blocks are run for each. The answer comes back to the image's
own spacing by slabs of ``SLAB`` voxels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_fill_holes

from her2node.errors import EmptyRoi, PackageRefused, TooSlow
from her2node.models.segmenter.plans import Normalisation, Plans
from her2node.models.segmenter.resampling import (
    Positions,
    axis_apart,
    interpolated,
    new_shape,
    positions,
    resampled,
)
from her2node.models.segmenter.windows import flips, padding, starts, weight_of
from her2node.volumes.volume import Bools, Floats

Network = Callable[[Floats], Floats]
"""Patches, float32 (n, channels, *patch), to logits, float32 (n, outputs, *patch)."""
Bytes = npt.NDArray[np.uint8]
Halves = npt.NDArray[np.float16]

STEP = 0.5
BUDGET_BYTES = 2 * 2**30
SLAB = 2**24
"""Voxels of the image whose labels are told at a time: of each, up to 20 bytes."""
_LEAST = 1e-8
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class How:
    """``mirror``: axes after the transposition; ``batch``: patches at a time; ``budget``: bytes of logits at a time.

    ``seconds``: how long the networks may take. ``alone``: of regions that overlap the one to label, as if the others
    were not there; None: all.
    """

    step: float = STEP
    mirror: tuple[int, ...] = ()
    batch: int = 1
    budget: int = BUDGET_BYTES
    seconds: float = math.inf
    alone: int | None = None


def segmented(
    channels: Floats,
    spacing_mm: Sequence[float],
    plans: Plans,
    networks: Sequence[Network],
    how: How = How(),
) -> Bytes:
    """Labels, uint8 (z, y, x), for ``channels``, float32 (channels, z, y, x) of ``spacing_mm``.

    ``networks`` are the folds, whose logits are averaged. Raises EmptyRoi for an image of nothing but 0, and
    PackageRefused where channels or logits are not what the plans say, or logits are no numbers or beyond half
    precision; TooSlow where the networks take longer than they may.
    """
    if len(channels) != len(plans.channels):
        raise PackageRefused(f"{len(channels)} channels are given, the network takes {len(plans.channels)}")
    turned = channels.transpose(0, *(axis + 1 for axis in plans.transpose))
    spacing, wanted = plans.spacings(spacing_mm)
    box, inside = _not_zero(turned)
    there = axis_apart(plans.image.across_apart, spacing, wanted)
    normal = (_normalised(turned[place][box], inside, by) for place, by in enumerate(plans.channels))
    shape = new_shape([part.stop - part.start for part in box], spacing, wanted)
    labels = np.zeros(turned.shape[1:], dtype=np.uint8)
    back = axis_apart(plans.answer_apart, wanted, spacing)
    cropped = labels[box]
    answer = _Answer(
        np.stack([resampled(one, shape, plans.image, there) for one in normal]),  # not kept here: it is padded there
        cropped.shape, plans, networks, how, back,
    )  # fmt: skip
    for first, last, found in answer.blocks():
        cropped[first:last] = found
    return np.ascontiguousarray(labels.transpose(plans.transpose_back))


def _not_zero(channels: Floats) -> tuple[Box, Bools]:
    """The smallest box that holds all that is not 0, and where that is within it, holes filled."""
    some = np.asarray((channels != 0).any(axis=0))
    spans = []
    for axis in range(3):
        along = np.flatnonzero(some.any(axis=tuple(other for other in range(3) if other != axis)))
        if not along.size:
            raise EmptyRoi("the image holds nothing but 0")
        spans.append(slice(int(along[0]), int(along[-1]) + 1))
    box = (spans[0], spans[1], spans[2])
    return box, np.asarray(binary_fill_holes(some))[box]


def _normalised(image: Floats, inside: Bools, by: Normalisation) -> Floats:
    """A channel in the network's range; a new array."""
    image = image.astype(np.float32)
    if by.scheme == "CTNormalization":
        np.clip(image, by.low, by.high, out=image)
        image -= np.float32(by.mean)
        image /= np.float32(max(by.sd, _LEAST))
    elif by.scheme == "ZScoreNormalization":
        where = inside if by.masked else np.ones_like(inside)
        mean, sd = image[where].mean(), image[where].std()
        image[where] = (image[where] - mean) / max(sd, _LEAST)
    elif by.scheme == "RescaleTo01Normalization":
        image -= image.min()
        image /= max(image.max(), _LEAST)
    return image


class _Answer:
    """The network's answer on the cropped image, block by block of its first axis."""

    def __init__(
        self,
        image: Floats,
        shape: tuple[int, ...],
        plans: Plans,
        networks: Sequence[Network],
        how: How,
        apart: int | None,
    ) -> None:
        self._ends = monotonic() + how.seconds
        self._plans, self._networks, self._how, self._apart = plans, networks, how, apart
        patch = plans.patch if len(plans.patch) == 3 else (1, *plans.patch)
        self._patch, self._weight = patch, weight_of(plans.patch).reshape(patch)
        self._inner = image.shape[1:]
        self._pads = padding(self._inner, patch)
        self._image = np.pad(image, ((0, 0), *self._pads))
        self._at = [positions(count, wanted) for count, wanted in zip(self._inner, shape, strict=True)]

    def blocks(self) -> Iterator[tuple[int, int, Bytes]]:
        """First slice, last slice + 1, and the labels of these slices."""
        planes, outputs = len(self._at[0].places), self._plans.labels.outputs
        kept = outputs if len(self._networks) > 1 else 0  # the sum, while the next fold answers
        plane_bytes = 2 * (outputs + 1 + kept) * math.prod(self._image.shape[2:])
        slab = max(1, SLAB // math.prod(len(axis.places) for axis in self._at[1:]))
        inner = max(1, self._how.budget // plane_bytes - 2)  # one more at either end, to interpolate with
        count = math.ceil(self._inner[0] / inner)
        bounds = [round(planes * number / count) for number in range(count + 1)]
        for first, last in pairwise(bounds):
            if first < last:
                lowest, highest = self._at[0].part(first, last).span
                logits = self._logits(lowest, highest)
                for begin in range(first, last, slab):
                    at = self._at[0].part(begin, min(begin + slab, last))
                    below, above = at.span
                    part = logits[:, below - lowest : above - lowest]
                    yield begin, begin + len(at.places), self._labelled(part, at)

    def _labelled(self, logits: Halves, at: Positions) -> Bytes:
        """The labels of a slab, output by output, so that only one is at the image's own spacing at a time."""
        first, _ = at.span
        regions = self._plans.labels.regions
        found = np.zeros([len(axis.places) for axis in (at, *self._at[1:])], dtype=np.uint8)
        if regions is not None:
            for label, output in zip(regions, logits, strict=True):
                if self._how.alone in (None, label):
                    found[self._at_spacing(output, at, first) > 0] = label
            return found
        best = self._at_spacing(logits[0], at, first)
        for label, output in enumerate(logits[1:], start=1):
            other = self._at_spacing(output, at, first)
            found[other > best] = label
            np.maximum(best, other, out=best)
        return found

    def _at_spacing(self, output: Halves, at: Positions, first: int) -> Halves:
        values = interpolated(output.astype(np.float32), 0, at, first, nearest=self._apart == 0)
        for axis in (1, 2):
            values = interpolated(values, axis, self._at[axis], 0, nearest=self._apart == axis)
        return values.astype(np.float16)

    def _logits(self, first: int, last: int) -> Halves:
        """Logits averaged over the folds, float16 (outputs, last - first, rows, columns), of these slices of the image.

        Each fold's are put together for themselves and added up in half precision, as nnU-Net does.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what goes beyond half precision is refused below
            total = self._of_fold(self._networks[0], first, last)
            for network in self._networks[1:]:
                total += self._of_fold(network, first, last)
        total /= np.float16(len(self._networks))
        _need_finite(total)
        return total

    def _of_fold(self, network: Network, first: int, last: int) -> Halves:
        before = self._pads[0][0]
        lowest, highest = first + before, last + before
        total = np.zeros((self._plans.labels.outputs, last - first, *self._image.shape[2:]), dtype=np.float16)
        weights = np.zeros(total.shape[1:], dtype=np.float16)
        places = [
            place
            for place in product(*map(self._starts, range(3)))
            if place[0] < highest and place[0] + self._patch[0] > lowest
        ]
        for group in range(0, len(places), self._how.batch):
            if monotonic() > self._ends:
                raise TooSlow(
                    f"{self._how.seconds:g} s",
                    remedy="set threads, batch, providers or seconds of [segmenter] otherwise",
                )
            chosen = places[group : group + self._how.batch]
            for place, answer in zip(chosen, self._run(network, chosen), strict=True):
                begin, end = max(place[0], lowest), min(place[0] + self._patch[0], highest)
                own, there = slice(begin - place[0], end - place[0]), slice(begin - lowest, end - lowest)
                rows, columns = (slice(place[axis], place[axis] + self._patch[axis]) for axis in (1, 2))
                total[:, there, rows, columns] += answer[:, own] * self._weight[own]
                weights[there, rows, columns] += self._weight[own]
        total /= weights
        (_, _), (top, _), (left, _) = self._pads
        return total[:, :, top : top + self._inner[1], left : left + self._inner[2]]

    def _starts(self, axis: int) -> tuple[int, ...]:
        step = self._how.step if self._patch[axis] > 1 else 1.0
        return starts(self._image.shape[axis + 1], self._patch[axis], step)

    def _run(self, network: Network, places: Sequence[tuple[int, ...]]) -> Floats:
        """Logits of patches, averaged over mirror images, (n, outputs, *patch with three axes)."""
        boxes = [tuple(slice(a, a + p) for a, p in zip(place, self._patch, strict=True)) for place in places]
        patches = np.stack([self._image[(slice(None), *box)] for box in boxes])
        flat = len(self._plans.patch) == 2
        patches = np.ascontiguousarray(patches[:, :, 0] if flat else patches)
        wanted = (len(places), self._plans.labels.outputs, *self._plans.patch)
        answer = np.zeros(wanted, dtype=np.float32)
        sets = flips(self._how.mirror)
        for axes in sets:
            along = tuple(axis + 2 for axis in axes)
            found = network(np.ascontiguousarray(np.flip(patches, along)))
            if found.shape != wanted:
                raise PackageRefused(f"the network answers {found.shape}, {wanted} was expected")
            _need_finite(found)
            answer += np.flip(found, along)
        answer /= np.float32(len(sets))
        return answer[:, :, None] if flat else answer


def _need_finite(outputs: npt.NDArray[np.floating[Any]]) -> None:
    """Raises PackageRefused: NaN compares as smaller, and would be the background."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise PackageRefused("the network's logits are not finite, or beyond half precision")
