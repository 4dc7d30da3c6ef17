"""What a network was trained on: ``plans.json`` and ``dataset.json`` as nnU-Net writes them, of one configuration.

Only what prediction needs is read. What the node cannot reproduce is refused by name: cascades; preprocessors,
resamplings and normalisations of others; answers that go back otherwise than linearly, and by the nearest slice where
slices are taken apart. So is what no network can have been trained with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from her2node.errors import PackageRefused

Scheme = Literal["CTNormalization", "ZScoreNormalization", "RescaleTo01Normalization", "NoNormalization"]
_SCHEMES = frozenset({"CTNormalization", "ZScoreNormalization", "RescaleTo01Normalization", "NoNormalization"})
_PREPROCESSOR = "DefaultPreprocessor"
_RESAMPLING = "resample_data_or_seg_to_shape"
_LONGEST_CHAIN = 16
MOST_CLASSES = 255

SMALLEST_MM, LARGEST_MM = 0.05, 50.0
"""Spacings of images that are looked at whole."""
LARGEST_PATCH = 2**28
"""Numbers of a patch, of all its channels or outputs."""
HIGHEST_ORDER = 5
"""Of splines."""
LARGEST_INTENSITY = 1e9
"""Far beyond what any image stores, and within single precision."""


@dataclass(frozen=True)
class Normalisation:
    """How one channel is brought to the network's range. ``masked``: by what is not 0 in the image alone.

    ``mean``, ``sd``, ``low`` and ``high`` (0.5th and 99.5th percentile) are of the training set's foreground.
    """

    scheme: Scheme
    masked: bool = False
    mean: float = 0.0
    sd: float = 1.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Resampling:
    """Spline orders in plane and, where slices are resampled on their own, across them; None: where spacing says so."""

    order: int
    order_across: int = 0
    across_apart: bool | None = None


@dataclass(frozen=True)
class Labels:
    """``values``: label by name, the background left out. With ``regions`` the network's outputs overlap, and
    ``regions`` are the labels written in this order, later ones over earlier ones."""

    values: dict[str, int]
    outputs: int
    regions: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Plans:
    """One configuration. Axes of ``spacing_mm`` and ``patch`` are those after ``transpose`` (three, or two where the
    network sees single slices); ``transpose_back`` undoes it. ``answer_apart``: whether slices of the answer are
    resampled on their own; None: where spacing says so."""

    spacing_mm: tuple[float, ...]
    patch: tuple[int, ...]
    transpose: tuple[int, int, int]
    transpose_back: tuple[int, int, int]
    channels: tuple[Normalisation, ...]
    image: Resampling
    answer_apart: bool | None
    labels: Labels

    def spacings(self, spacing_mm: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of an image of this spacing after the transposition: its own, and the one that the network wants."""
        own = tuple(float(spacing_mm[axis]) for axis in self.transpose)
        return own, own[:1] + self.spacing_mm if len(self.spacing_mm) == 2 else self.spacing_mm


def parse(plans: bytes, dataset: bytes, configuration: str) -> Plans:
    """Read a configuration. Raises PackageRefused, naming what is missing or cannot be reproduced here."""
    try:
        said, about = json.loads(plans), json.loads(dataset)
        chosen = inherited(said["configurations"], configuration)
        return _plans(said, about, chosen)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise PackageRefused(f"plans.json or dataset.json cannot be used: {type(error).__name__} {error}") from error


def inherited(configurations: dict[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it inherits."""
    if name not in configurations:
        raise PackageRefused(f"plans.json has no configuration {name}; it has {', '.join(sorted(configurations))}")
    chain: list[dict[str, Any]] = []
    while name:
        chain.append(configurations[name])
        if len(chain) > _LONGEST_CHAIN:
            raise PackageRefused("plans.json: configurations inherit from each other in a circle")
        name = chain[-1].get("inherits_from", "")
    return {key: value for part in reversed(chain) for key, value in part.items()}


def _plans(said: dict[str, Any], about: dict[str, Any], chosen: dict[str, Any]) -> Plans:
    if chosen.get("previous_stage"):
        raise PackageRefused("the configuration is a stage of a cascade")
    if chosen["preprocessor_name"] != _PREPROCESSOR:
        raise PackageRefused(f"the preprocessor {chosen['preprocessor_name']} is not known here")
    spacing, patch = tuple(map(float, chosen["spacing"])), tuple(map(int, chosen["patch_size"]))
    seen = all(SMALLEST_MM <= mm <= LARGEST_MM for mm in spacing)
    if len(patch) not in (2, 3) or len(spacing) != len(patch) or min(patch) < 1 or not seen:
        raise PackageRefused(f"plans.json: a patch of {patch} at {spacing} mm is none")
    forward, back = tuple(map(int, said["transpose_forward"])), tuple(map(int, said["transpose_backward"]))
    if sorted(forward) != [0, 1, 2] or [forward[axis] for axis in back] != [0, 1, 2]:
        raise PackageRefused(f"plans.json: {forward} and {back} do not undo each other")
    channels, labels = _channels(said, chosen), _labels(about)
    answer = _resampling(chosen, "resampling_fn_probabilities")
    if (answer.order, answer.order_across) != (1, 0):
        raise PackageRefused(f"answers go back by the orders {answer.order} and {answer.order_across}, not 1 and 0")
    if math.prod(patch) * max(len(channels), labels.outputs) > LARGEST_PATCH:
        raise PackageRefused(f"plans.json: a patch of {patch} is too large")
    return Plans(
        spacing_mm=spacing,
        patch=patch,
        transpose=cast(tuple[int, int, int], forward),
        transpose_back=cast(tuple[int, int, int], back),
        channels=channels,
        image=_resampling(chosen, "resampling_fn_data"),
        answer_apart=answer.across_apart,
        labels=labels,
    )


def _channels(said: dict[str, Any], chosen: dict[str, Any]) -> tuple[Normalisation, ...]:
    schemes, masked = chosen["normalization_schemes"], chosen["use_mask_for_norm"]
    unknown = set(schemes) - _SCHEMES
    if unknown:
        raise PackageRefused(f"the normalisation {', '.join(sorted(unknown))} is not known here")
    if not schemes or len(masked) != len(schemes):
        raise PackageRefused("plans.json: normalisations and channels differ")
    found = []
    for place, (scheme, by_mask) in enumerate(zip(schemes, masked, strict=True)):
        if scheme != "CTNormalization":
            found.append(Normalisation(scheme, masked=bool(by_mask)))
            continue
        about = said["foreground_intensity_properties_per_channel"][str(place)]
        numbers = [float(about[key]) for key in ("mean", "std", "percentile_00_5", "percentile_99_5")]
        if not all(abs(number) <= LARGEST_INTENSITY for number in numbers):
            raise PackageRefused(f"plans.json: the intensities {numbers} are none")
        found.append(Normalisation(scheme, False, *numbers))
    return tuple(found)


def _resampling(chosen: dict[str, Any], key: str) -> Resampling:
    if chosen[key] != _RESAMPLING:
        raise PackageRefused(f"the resampling {chosen[key]} is not known here")
    how = chosen[f"{key}_kwargs"]
    apart = how.get("force_separate_z")
    orders = int(how["order"]), int(how.get("order_z", 0))
    if not all(0 <= order <= HIGHEST_ORDER for order in orders):
        raise PackageRefused(f"plans.json: splines of the orders {orders} are none")
    return Resampling(*orders, None if apart is None else bool(apart))


def _labels(about: dict[str, Any]) -> Labels:
    named = {str(name): value for name, value in about["labels"].items() if name not in ("background", "ignore")}
    regions = any(isinstance(value, list) and len(value) > 1 for value in named.values())
    if regions:
        order = tuple(int(value) for value in about["regions_class_order"])
        if len(order) != len(named):
            raise PackageRefused("dataset.json: regions_class_order and labels differ")
        if len(set(order)) != len(order) or not all(1 <= label <= MOST_CLASSES for label in order):
            raise PackageRefused(f"dataset.json: the regions {order} are not different labels of 1 to {MOST_CLASSES}")
        return Labels(dict(zip(named, order, strict=True)), len(order), order)
    values = {name: int(value[0] if isinstance(value, list) else value) for name, value in named.items()}
    if sorted(values.values()) != list(range(1, len(values) + 1)) or not values or len(values) > MOST_CLASSES:
        raise PackageRefused(f"dataset.json: the labels {sorted(values.values())} are not 1 to {len(values)}")
    return Labels(values, len(values) + 1)
