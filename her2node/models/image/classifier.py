"""The network of an image package: a crop becomes a probability, and a map of what the probability rests on.

**Saliency is by occlusion** (Zeiler and Fergus, ECCV 2014): blocks of the crop are hidden one after another, and the
map tells by how much the probability falls. It asks nothing of the network but its answer, so that it explains any
ONNX, whatever layers it has, in the very runtime that gave the estimate, and its unit is one that readers know;
gradients would have to be carried in the graph, and say how the answer changes with noise that no scanner makes.

Worked cases are crops of noise, of numpy's ``RandomState(seed).standard_normal``, whose stream numpy promises never to
change, as attenuations of the channels' own mean and SD: so normalisation is tried too. The mask is where the noise of
its channel is above 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from time import monotonic
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as validated

from her2node.errors import PackageRefused, TooSlow, WorkedCaseFailed
from her2node.models import onnx_file
from her2node.models.image.stated import CropStated
from her2node.models.odds import expit, shifted_probability
from her2node.models.session import ENGINE, Engine, Network, Port
from her2node.volumes.volume import Floats

LARGEST_ELEMENTS = 16 * 2**20
"""Stored numbers of the network, as their dimensions claim: what a file of 64 MiB can hold."""
MOST_CASES = 64
"""Worked cases, for each of which the network runs whenever the package is loaded."""
Box = tuple[slice, slice, slice]


@validated(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class WorkedCrop:
    """A seed and the probability that must come out, at the package's own prior."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    probability: Annotated[float, Field(ge=0, le=1)]
    tolerance: Annotated[float, Field(gt=0, le=1e-3)]
    source: Annotated[str, Field(min_length=1)]


_CASES = TypeAdapter(tuple[WorkedCrop, ...])


@dataclass(frozen=True)
class Classifier:
    """What the network looks at, and the network."""

    stated: CropStated
    network: Network = field(repr=False, compare=False)

    def probability(self, crop: Floats) -> float:
        """Of one crop as the network takes it, at the package's own prior. Raises PackageRefused where the network
        fails, or answers what is no probability."""
        return self._probabilities(crop[np.newaxis])[0]

    def saliency(self, crop: Floats, shift: float = 0.0, batch: int = 1, seconds: float = math.inf) -> Floats:
        """By how much the probability falls where a block of the crop is hidden, float32 of the crop's size.

        S(v) = mean over the blocks B that hold voxel v of p(crop) - p(crop with B hidden). In a hidden block every
        phase has the mean of its channel; the mask stays. ``shift`` is added to the log odds, so that the map explains
        the answer at a site's prior. ``batch`` crops are answered at a time.

        Raises TooSlow after ``seconds``, PackageRefused as ``probability``.
        """
        ends = monotonic() + seconds
        whole = shifted_probability(self.probability(crop), shift)
        total, count = np.zeros(self.stated.size), np.zeros(self.stated.size)
        boxes = list(self._blocks())
        for first in range(0, len(boxes), batch):
            if monotonic() > ends:
                raise TooSlow(
                    f"the time that was left is too short for {len(boxes)} hidden blocks",
                    remedy="set threads, batch, providers or seconds of [segmenter] otherwise",
                )
            group = boxes[first : first + batch]
            hidden = np.repeat(crop[np.newaxis], len(group), axis=0)
            for one, box in zip(hidden, group, strict=True):
                one[(slice(len(self.stated.channels)), *box)] = 0
            for box, answer in zip(group, self._probabilities(hidden), strict=True):
                total[box] += whole - shifted_probability(answer, shift)
                count[box] += 1
        return (total / count).astype(np.float32)

    def _blocks(self) -> Iterator[Box]:
        assert self.stated.saliency is not None
        block, step = self.stated.saliency.block, self.stated.saliency.step
        axes = zip(self.stated.size, block, step, strict=True)
        for a, b, c in product(*(range(0, count - size + 1, apart) for count, size, apart in axes)):
            yield slice(a, a + block[0]), slice(b, b + block[1]), slice(c, c + block[2])

    def _probabilities(self, crops: Floats) -> list[float]:
        answers = np.asarray(self.network(np.ascontiguousarray(crops)), dtype=np.float64)
        if answers.shape != (len(crops), 1) or not np.isfinite(answers).all():
            raise PackageRefused(f"the network answers {answers.tolist()}, one finite number a crop was expected")
        found = [expit(value) if self.stated.answer == "logit" else value for value in answers[:, 0].tolist()]
        if not all(0 <= value <= 1 for value in found):
            raise PackageRefused(f"the network answers {found}, which is no probability")
        return found


def read(stated: CropStated, model: bytes, engine: Engine = ENGINE) -> Classifier:
    """The network of a package. Raises PackageRefused, ProviderMissing where it cannot be what is stated."""
    onnx_file.check_network(model, LARGEST_ELEMENTS)
    network = Network(model, engine)
    _check_port(network.inputs[0], stated.shape)
    _check_port(network.outputs[0], (1,))
    return Classifier(stated, network)


def check_cases(classifier: Classifier, content: bytes) -> None:
    """Every worked case comes out. Raises PackageRefused for cases that are none, WorkedCaseFailed."""
    try:
        cases = _CASES.validate_python(json.loads(content))
    except (ValidationError, ValueError, RecursionError) as error:
        raise PackageRefused(f"cases.json cannot be read: {error}") from error
    if not cases:
        raise PackageRefused("cases.json must hold cases")
    if len(cases) > MOST_CASES:
        raise PackageRefused(f"cases.json holds {len(cases)} cases, {MOST_CASES} are allowed")
    for case in cases:
        found = classifier.probability(noise(classifier.stated, case.seed))
        if not abs(found - case.probability) <= case.tolerance:
            said = f"the network gives {found:.6f} for the crop of seed {case.seed}"
            raise WorkedCaseFailed(f"{said}, {case.probability} expected")


def noise(stated: CropStated, seed: int) -> Floats:
    """The crop of a worked case as the network takes it."""
    drawn = np.random.RandomState(seed).standard_normal(stated.shape)
    for values, channel in zip(drawn, stated.channels, strict=False):
        values[:] = channel.told(channel.mean_hu + channel.sd_hu * values)
    if stated.mask:
        drawn[-1] = drawn[-1] > 0
    return drawn.astype(np.float32)


def _check_port(port: Port, wanted: Sequence[int]) -> None:
    """Whether a port takes as many crops as one likes, of this shape."""
    fits = len(port.shape) == len(wanted) + 1 and port.shape[0] is None
    if not fits or any(size not in (None, right) for size, right in zip(port.shape[1:], wanted, strict=True)):
        raise PackageRefused(f"model.onnx: {port.name} is {list(port.shape)}, not {[None, *wanted]}")
