"""An image turned as a network was trained to see it, and its answer turned back: axes in another order, or mirrored.

Nothing is interpolated: an oblique series is turned to the nearest of the 48 ways to lie along the patient's axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

_TOWARDS = {
    "L": (1.0, 0.0, 0.0),
    "R": (-1.0, 0.0, 0.0),
    "P": (0.0, 1.0, 0.0),
    "A": (0.0, -1.0, 0.0),
    "S": (0.0, 0.0, 1.0),
    "I": (0.0, 0.0, -1.0),
}


@dataclass(frozen=True)
class Turn:
    """``order``: which axis of the image is the first, second and third of the turned one; ``mirrored``: axes of the
    turned one that run the other way."""

    order: tuple[int, int, int]
    mirrored: tuple[int, ...]

    def turned(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of a (z, y, x) image."""
        return np.flip(image.transpose(self.order), self.mirrored)

    def back(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The view that ``turned`` undoes."""
        places = [self.order.index(axis) for axis in range(3)]
        return np.flip(image, self.mirrored).transpose(places)

    def spacing(self, spacing_mm: Sequence[float]) -> tuple[float, ...]:
        """The spacing of the turned image."""
        return tuple(spacing_mm[axis] for axis in self.order)


def turn_to(orientation: str, directions: Sequence[Sequence[float]]) -> Turn:
    """How an image whose axes run along ``directions`` (three unit vectors, LPS, a row an axis) comes to lie with its
    last axis (x) towards the first letter, its middle one (y) towards the second, its first one (z) towards the third.

    Of all orders of the axes that which maximises sum |w_j . d_order(j)|, w_j towards the letters.
    """
    towards = np.array([_TOWARDS[letter] for letter in reversed(orientation)])
    along = towards @ np.array(directions, dtype=np.float64).T
    order = max(permutations(range(3)), key=lambda axes: np.abs(along[range(3), axes]).sum())
    mirrored = tuple(place for place, axis in enumerate(order) if along[place, axis] < 0)
    return Turn((order[0], order[1], order[2]), mirrored)
