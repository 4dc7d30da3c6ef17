"""MaZda's autoregressive model: how a pixel follows from the four before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from her2node.errors import Refused, TooFewVoxels, Undefined
from her2node.quantities.texture.slice_levels import Floats, Plane

_T = TypeVar("_T", bound=np.generic)

NEIGHBOURS = ((0, -1), (-1, -1), (-1, 0), (-1, 1))
"""(rows, columns) of theta 1 to 4: left, upper left, upper, upper right."""
FEWEST = 30
"""Pixels with all neighbours in the region; with fewer, five parameters say little."""


@dataclass(frozen=True)
class Model:
    """Parameters (4,) and residuals (n,) of the least squares fit."""

    theta: Floats
    residuals: Floats


def fitted(normal: Plane) -> Model | Refused:
    """The model of least squares over the pixels whose neighbours all lie in the region.

    Formula: theta = (sum w w^T)^-1 sum w f, f the pixel and w its four neighbours, of the normalised image of mean 0.
    TooFewVoxels under 30 such pixels; Undefined where the neighbours depend on each other (stripes, a flat region).
    """
    image, region = np.pad(normal.image, 1), np.pad(normal.region, 1)
    whole = region.copy()
    for step in NEIGHBOURS:
        whole &= _shifted(region, step)
    count = int(np.count_nonzero(whole))
    if count < FEWEST:
        return TooFewVoxels(f"{count} pixels have their neighbours within the region, {FEWEST} needed")
    before = np.stack([_shifted(image, step)[whole] for step in NEIGHBOURS], axis=1)
    theta, _, rank, _ = np.linalg.lstsq(before, image[whole], rcond=1e-10)
    if rank < len(NEIGHBOURS):
        return Undefined("the neighbours of a pixel depend on each other")
    return Model(np.asarray(theta, np.float64), image[whole] - before @ theta)


def autoregressive_parameter(model: Model, number: int) -> float:
    """Teta1 to Teta4: what a neighbour contributes to a pixel.

    Formula: theta(k) of f = theta1 left + theta2 upper left + theta3 upper + theta4 upper right + noise.
    Unit: 1.
    Shapes: model of n >= 30 pixels; number 1 to 4.
    Source: Materka and Strzelecki 1998; MaZda (Szczypinski 2009).
    Known deviation: checked on analytic cases only; MaZda's order of the neighbours is not verified.
    """
    return float(model.theta[number - 1])


def autoregressive_noise(model: Model) -> float:
    """Sigma: standard deviation of what the model leaves over.

    Formula: sqrt(sum(residual^2) / n), in units of the region's SD.
    Unit: 1.
    Shapes: model of n >= 30 pixels.
    Source: Materka and Strzelecki 1998; MaZda (Szczypinski 2009).
    Known deviation: checked on analytic cases only; of the image before it is divided into grey levels.
    """
    return float(np.sqrt(np.mean(model.residuals**2)))


MEASURES = (autoregressive_parameter, autoregressive_noise)
NAMES = ("Teta1", "Teta2", "Teta3", "Teta4", "Sigma")


def features(normal: Plane) -> dict[str, float | Refused]:
    """Teta1 to Teta4 and Sigma."""
    model = fitted(normal)
    if isinstance(model, Refused):
        return dict.fromkeys(NAMES, model)
    theta = [autoregressive_parameter(model, number) for number in range(1, 5)]
    return dict(zip(NAMES, [*theta, autoregressive_noise(model)], strict=True))


def _shifted(image: npt.NDArray[_T], step: tuple[int, int]) -> npt.NDArray[_T]:
    """At each pixel the one a step away; a border of one pixel outside the region takes what comes round."""
    return np.roll(image, (-step[0], -step[1]), (0, 1))
