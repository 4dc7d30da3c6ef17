"""The networks of a segmenter package: read from its files, judged, and run on the channels of an image.

Worked cases are patches of noise, float32 of numpy's ``RandomState(seed).standard_normal``, whose stream numpy promises
never to change: the folds' mean answer, unmirrored, must give the stated logits at the stated voxels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from her2node.errors import PackageRefused, TooLarge, WorkedCaseFailed
from her2node.models import onnx_file
from her2node.models.manifest import NetworkStated, Segmenter
from her2node.models.segmenter import plans as planned
from her2node.models.segmenter.plans import Plans
from her2node.models.segmenter.resampling import new_shape
from her2node.models.segmenter.segmenting import How, segmented
from her2node.models.session import ENGINE, Engine, Network
from her2node.volumes.volume import Bools, Floats

PLANS, DATASET = "plans.json", "dataset.json"

LARGEST_ELEMENTS = 128 * 2**20
"""Stored numbers of one fold: the largest networks that nnU-Net plans have about 100 million."""
LARGEST_IMAGE = 2**28
"""Voxels of all channels, at the image's own spacing and at the network's."""


@validated(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class WorkedPatch:
    """A seed and what comes out: ``logits`` at ``places``, each (output, *voxel of the patch)."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    places: Annotated[tuple[tuple[Annotated[int, Field(ge=0)], ...], ...], Field(min_length=1, max_length=64)]
    logits: tuple[float, ...]
    tolerance: Annotated[float, Field(gt=0, le=0.05)]
    source: Annotated[str, Field(min_length=1)]


_CASES = TypeAdapter(tuple[WorkedPatch, ...])


@dataclass(frozen=True)
class Ensemble:
    """What a network was trained on, how it is run, and its folds."""

    stated: NetworkStated
    plans: Plans
    folds: tuple[Network, ...] = field(repr=False, compare=False)

    @property
    def label(self) -> int:
        """The tumour's."""
        return self.plans.labels.values[self.stated.tumour]

    def tumour(self, channels: Floats, spacing_mm: Sequence[float], batch: int = 1, seconds: float = math.inf) -> Bools:
        """Where the tumour is, (z, y, x), in ``channels``, float32 (channels, z, y, x), turned as the network wants.

        Of a network whose regions overlap all of the tumour's own, with what lies within it (its necrosis) too.

        Raises TooLarge for an image of more than ``LARGEST_IMAGE`` voxels at its own spacing or the network's, EmptyRoi
        for one of nothing but 0, TooSlow, PackageRefused where the network fails on it.
        """
        plans, shape = self.plans, channels.shape[1:]
        turned = [shape[axis] for axis in plans.transpose]
        for sizes, where in (
            (turned, "its own"),
            (new_shape(turned, *plans.spacings(spacing_mm)), "the network's"),
        ):
            voxels = len(channels) * math.prod(sizes)
            if voxels > LARGEST_IMAGE:
                raise TooLarge(f"{voxels} voxels at {where} spacing, {LARGEST_IMAGE} are the most")
        how = How(step=self.stated.step, mirror=self.stated.mirror, batch=batch, seconds=seconds, alone=self.label)
        labels = segmented(channels, spacing_mm, plans, self.folds, how)
        return np.asarray(labels == self.label)

    def logits(self, seed: int) -> npt.NDArray[np.float32]:
        """The folds' mean answer on a patch of noise, (outputs, *patch)."""
        shape = (1, len(self.plans.channels), *self.plans.patch)
        patch = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
        answers = [fold(patch) for fold in self.folds]
        wanted = (1, self.plans.labels.outputs, *self.plans.patch)
        if any(answer.shape != wanted for answer in answers):
            raise PackageRefused(f"a fold answers {[answer.shape for answer in answers]}, {wanted} was expected")
        return np.asarray(np.mean(np.concatenate(answers), axis=0, dtype=np.float32))


def read(manifest: Segmenter, files: Mapping[str, bytes], engine: Engine = ENGINE) -> Ensemble:
    """The networks of a package. Raises PackageRefused, ProviderMissing where they cannot be what it states."""
    stated = manifest.network
    missing = {PLANS, DATASET, *stated.folds} - files.keys()
    if missing:
        raise PackageRefused(f"{manifest.name} lacks {', '.join(sorted(missing))}")
    plans = planned.parse(files[PLANS], files[DATASET], stated.configuration)
    if len(plans.channels) != len(stated.channels):
        raise PackageRefused(f"plans.json has {len(plans.channels)} channels, package.toml {len(stated.channels)}")
    if stated.tumour not in plans.labels.values:
        raise PackageRefused(f"dataset.json has no label {stated.tumour}; it has {', '.join(plans.labels.values)}")
    if any(axis >= len(plans.patch) for axis in stated.mirror):
        raise PackageRefused(f"network.mirror names an axis that a patch of {plans.patch} does not have")
    return Ensemble(stated, plans, tuple(_fold(name, files[name], plans, engine) for name in stated.folds))


def check_cases(ensemble: Ensemble, content: bytes) -> None:
    """Every worked case comes out. Raises PackageRefused for cases that are none, WorkedCaseFailed."""
    try:
        cases = _CASES.validate_python(json.loads(content))
    except (ValidationError, ValueError, RecursionError) as error:
        raise PackageRefused(f"cases.json cannot be read: {error}") from error
    size = (ensemble.plans.labels.outputs, *ensemble.plans.patch)
    if not cases or any(not _fits(case, size) for case in cases):
        raise PackageRefused(f"cases.json must hold cases with a logit for every place, each within {size}")
    for case in cases:
        found = ensemble.logits(case.seed)
        for place, expected in zip(case.places, case.logits, strict=True):
            if not abs(float(found[place]) - expected) <= case.tolerance:
                said = f"the network gives {float(found[place]):.6f} at {place} of seed {case.seed}"
                raise WorkedCaseFailed(f"{said}, {expected} expected")


def _fits(case: WorkedPatch, size: tuple[int, ...]) -> bool:
    within = (len(place) == len(size) and np.less(place, size).all() for place in case.places)
    return len(case.logits) == len(case.places) and all(within)


def _fold(name: str, model: bytes, plans: Plans, engine: Engine) -> Network:
    try:
        onnx_file.check_network(model, LARGEST_ELEMENTS)
        network = Network(model, engine)
    except PackageRefused as error:
        raise type(error)(f"{name}: {error.detail}") from error
    for port, count in ((network.inputs[0], len(plans.channels)), (network.outputs[0], plans.labels.outputs)):
        wanted = (None, count, *plans.patch)
        if not _agree(port.shape, wanted):
            raise PackageRefused(f"{name}: {port.name} is {list(port.shape)}, not {list(wanted)}")
    return network


def _agree(found: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether a port takes as many patches as one likes, of this shape."""
    if len(found) != len(wanted) or found[0] is not None:
        return False
    return all(size in (None, right) for size, right in zip(found, wanted, strict=True))
