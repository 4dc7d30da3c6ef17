"""What package.toml says of a network that looks at a crop of the images: which crop, and how its answer is explained.

The crop's axes are those of the patient, whatever the axes of the series: a step in slice leads to the head, in row to
the back, in column to the left. Sizes and spacings are in this order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from her2node.selection.roles import Role

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_Count = Annotated[int, Field(ge=1, le=256)]
_Length = Annotated[float, Field(gt=0, le=100)]
_Float = TypeVar("_Float", np.float32, np.float64)
Size = tuple[_Count, _Count, _Count]

LARGEST_CROP = 2**21
"""Numbers in one crop, its mask included: 8 MiB."""
MOST_BLOCKS = 4096
"""Blocks that are hidden one after another: as often the network is asked again."""


@dataclass(frozen=True, config=_STRICT)
class Channel:
    """One contrast phase, and what the network is told of it: (min(max(HU, low), high) - mean_hu) / sd_hu."""

    role: Role
    clip_hu: tuple[float, float]
    mean_hu: float
    sd_hu: Annotated[float, Field(gt=0)]

    def told(self, hu: npt.NDArray[_Float]) -> npt.NDArray[_Float]:
        """Attenuation as the network takes it; a new array of the same kind."""
        return (np.clip(hu, *self.clip_hu) - self.mean_hu) / self.sd_hu


@dataclass(frozen=True, config=_STRICT)
class Saliency:
    """Which blocks of the crop are hidden, in voxels, and how far from block to block."""

    block: Size
    step: Size


@dataclass(frozen=True, config=_STRICT)
class CropStated:
    """A box of ``size`` voxels about the centroid of the tumour's region, on the series that it was first laid on.

    - ``channels``: the phases, in the order of the network's channels.
    - ``mask``: whether the region follows as the last channel, 1 in it and 0 outside.
    - ``margin_mm``: how far the region must stay within the crop's faces; a larger one is refused.
    - ``outside_hu``: what stands where there is no image; ``least_seen``: the least share of the crop that must have
      one in every phase.
    - ``answer``: what the network gives.
    - ``saliency``: how the answer is explained; without it there is no map.
    """

    channels: Annotated[tuple[Channel, ...], Field(min_length=1, max_length=4)]
    size: Size
    spacing_mm: tuple[_Length, _Length, _Length]
    margin_mm: Annotated[float, Field(ge=0)]
    answer: Literal["probability", "logit"]
    mask: bool = False
    outside_hu: float = -1024.0
    least_seen: Annotated[float, Field(gt=0, le=1)] = 0.5
    saliency: Saliency | None = None

    @property
    def roles(self) -> tuple[Role, ...]:
        return tuple(channel.role for channel in self.channels)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of one crop as the network takes it: channels, slices, rows, columns."""
        return (len(self.channels) + self.mask, *self.size)

    @property
    def reach_mm(self) -> float:
        """From the crop's centre to its corners."""
        return math.hypot(*(count * step / 2 for count, step in zip(self.size, self.spacing_mm, strict=True)))


def flaws(crop: CropStated) -> Iterator[str]:
    """What is wrong with a crop beyond what types can say."""
    if len(set(crop.roles)) != len(crop.roles):
        yield "names a phase twice in crop.channels"
    if any(low >= high for low, high in (channel.clip_hu for channel in crop.channels)):
        yield "clips a channel of the crop to nothing"
    if math.prod(crop.shape) > LARGEST_CROP:
        yield f"wants a crop of {math.prod(crop.shape)} numbers, {LARGEST_CROP} are allowed"
    if crop.saliency is None:
        return
    axes = list(zip(crop.size, crop.saliency.block, crop.saliency.step, strict=True))
    if any(block > count or step > block or (count - block) % step for count, block, step in axes):
        yield "has saliency.block and step that do not cover the crop"
    elif math.prod((count - block) // step + 1 for count, block, step in axes) > MOST_BLOCKS:
        yield f"hides more than {MOST_BLOCKS} blocks for its saliency"
