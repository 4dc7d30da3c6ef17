"""Shapes as implicit functions, with volume, diameter and plane sections in closed form.

Coordinates are millimetres in the patient system (LPS: +x to the left, +y to the back, +z to the head). ``contains``
takes x, y and z as arrays that broadcast against each other, so that a slice whose x varies along columns only costs
one row of arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Point = tuple[float, float, float]
Box = tuple[Point, Point]

UNIT_AXES: tuple[Point, Point, Point] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def point(values: npt.NDArray[np.floating[Any]]) -> Point:
    """An array of three as a tuple of Python floats."""
    x, y, z = (float(value) for value in values)
    return x, y, z


class Shape(Protocol):
    """A closed set of points."""

    @property
    def volume_mm3(self) -> float:
        """Exact volume; infinite for a shape without end."""

    @property
    def bounds_mm(self) -> Box:
        """Lowest and highest corner of an upright box that holds the shape."""

    def contains(self, x: Floats, y: Floats, z: Floats) -> Bools:
        """Whether the points lie inside or on the surface; shape of the broadcast arguments."""


@dataclass(frozen=True)
class Ellipse:
    """A plane section of an ellipsoid: centre + u·cos t + v·sin t, the half axes ``u`` and ``v`` in mm."""

    centre_mm: Point
    u_mm: Point
    v_mm: Point

    @property
    def area_mm2(self) -> float:
        """π·|u|·|v|."""
        return math.pi * math.hypot(*self.u_mm) * math.hypot(*self.v_mm)

    def outline(self, points: int) -> Floats:
        """``points`` vertices on the ellipse, shape (points, 3), mm."""
        t = np.linspace(0.0, 2 * np.pi, points, endpoint=False)[:, None]
        return np.asarray(np.asarray(self.centre_mm) + np.cos(t) * self.u_mm + np.sin(t) * self.v_mm)


@dataclass(frozen=True)
class Ellipsoid:
    """{p : Σ (aᵢ·(p − c) / sᵢ)² ≤ 1} with orthonormal axes aᵢ (rows of ``axes``) and half axes sᵢ in mm."""

    centre_mm: Point
    semi_axes_mm: Point
    axes: tuple[Point, Point, Point] = UNIT_AXES

    @property
    def volume_mm3(self) -> float:
        """4/3·π·s₁·s₂·s₃."""
        return 4 / 3 * math.pi * math.prod(self.semi_axes_mm)

    @property
    def diameter_mm(self) -> float:
        """The longest chord: 2·max sᵢ."""
        return 2 * max(self.semi_axes_mm)

    @cached_property
    def form(self) -> Floats:
        """The symmetric matrix Q of (p − c)ᵀ Q (p − c) ≤ 1, shape (3, 3), mm⁻²."""
        axes = np.asarray(self.axes)
        return np.asarray(axes.T @ np.diag(1 / np.square(self.semi_axes_mm)) @ axes)

    @cached_property
    def bounds_mm(self) -> Box:
        reach = np.sqrt(np.sum(np.square(np.asarray(self.axes) * np.asarray(self.semi_axes_mm)[:, None]), axis=0))
        centre = np.asarray(self.centre_mm)
        return point(centre - reach), point(centre + reach)

    def contains(self, x: Floats, y: Floats, z: Floats) -> Bools:
        q = self.form
        dx, dy, dz = x - self.centre_mm[0], y - self.centre_mm[1], z - self.centre_mm[2]
        across = dx * (q[0, 0] * dx + 2 * (q[0, 1] * dy + q[0, 2] * dz))
        return np.asarray(across + dy * (q[1, 1] * dy + 2 * q[1, 2] * dz) + q[2, 2] * dz * dz <= 1.0)

    def scaled(self, factor: float) -> Ellipsoid:
        """The concentric ellipsoid with half axes ``factor`` times as long."""
        a, b, c = self.semi_axes_mm
        return Ellipsoid(self.centre_mm, (factor * a, factor * b, factor * c), self.axes)

    def grown(self, by_mm: float) -> Ellipsoid:
        """The concentric ellipsoid with half axes longer by ``by_mm``."""
        a, b, c = self.semi_axes_mm
        return Ellipsoid(self.centre_mm, (a + by_mm, b + by_mm, c + by_mm), self.axes)

    def section(self, origin_mm: Point, u: Point, v: Point) -> Ellipse | None:
        """Where the plane origin + s·u + t·v (unit vectors u ⟂ v) cuts the ellipsoid; None where it misses.

        With A = [u v], d = origin − c, M = AᵀQA and b = AᵀQd the cut is (w + M⁻¹b)ᵀ M (w + M⁻¹b) ≤ 1 − dᵀQd + bᵀM⁻¹b.
        """
        q, frame = self.form, np.asarray([u, v]).T
        offset = np.asarray(origin_mm) - np.asarray(self.centre_mm)
        matrix, slope = frame.T @ q @ frame, frame.T @ q @ offset
        middle = -np.linalg.solve(matrix, slope)
        level = 1.0 - offset @ q @ offset - slope @ middle
        if level <= 0:
            return None
        values, vectors = np.linalg.eigh(matrix)
        half_axes = (frame @ vectors) * np.sqrt(level / values)
        return Ellipse(point(np.asarray(origin_mm) + frame @ middle), point(half_axes[:, 0]), point(half_axes[:, 1]))


@dataclass(frozen=True)
class Cap:
    """The part of an ellipsoid below a plane: {p ∈ E : n·p ≤ offset}, n a unit vector."""

    whole: Ellipsoid
    normal: Point
    offset_mm: float

    @property
    def volume_mm3(self) -> float:
        """V·(1 + t)²·(2 − t)/4 with t the plane's height over the centre in units of the ellipsoid's reach."""
        normal = np.asarray(self.normal)
        reach = math.sqrt(float(normal @ np.linalg.inv(self.whole.form) @ normal))
        height = (self.offset_mm - float(normal @ np.asarray(self.whole.centre_mm))) / reach
        t = min(max(height, -1.0), 1.0)
        return self.whole.volume_mm3 * (1 + t) ** 2 * (2 - t) / 4

    @cached_property
    def bounds_mm(self) -> Box:
        return self.whole.bounds_mm

    def contains(self, x: Floats, y: Floats, z: Floats) -> Bools:
        below = self.normal[0] * x + self.normal[1] * y + self.normal[2] * z <= self.offset_mm
        return np.asarray(self.whole.contains(x, y, z) & below)


@dataclass(frozen=True)
class Column:
    """An elliptic cylinder along z, endless by default."""

    centre_mm: tuple[float, float]
    semi_axes_mm: tuple[float, float]
    z_range_mm: tuple[float, float] = (-math.inf, math.inf)

    @property
    def volume_mm3(self) -> float:
        """π·a·b·length."""
        return math.pi * self.semi_axes_mm[0] * self.semi_axes_mm[1] * (self.z_range_mm[1] - self.z_range_mm[0])

    @cached_property
    def bounds_mm(self) -> Box:
        (x, y), (a, b), (low, high) = self.centre_mm, self.semi_axes_mm, self.z_range_mm
        return (x - a, y - b, low), (x + a, y + b, high)

    def contains(self, x: Floats, y: Floats, z: Floats) -> Bools:
        across = np.square((x - self.centre_mm[0]) / self.semi_axes_mm[0])
        within = across + np.square((y - self.centre_mm[1]) / self.semi_axes_mm[1]) <= 1.0
        return np.asarray(within & ((z >= self.z_range_mm[0]) & (z <= self.z_range_mm[1])))


@dataclass(frozen=True)
class Capsule:
    """All points within ``radius_mm`` of the straight line from ``start_mm`` to ``end_mm``: a piece of vessel."""

    start_mm: Point
    end_mm: Point
    radius_mm: float

    @property
    def volume_mm3(self) -> float:
        """π·r²·length + 4/3·π·r³."""
        return math.pi * self.radius_mm**2 * (math.dist(self.start_mm, self.end_mm) + 4 / 3 * self.radius_mm)

    @cached_property
    def bounds_mm(self) -> Box:
        ends = np.asarray([self.start_mm, self.end_mm])
        return point(ends.min(axis=0) - self.radius_mm), point(ends.max(axis=0) + self.radius_mm)

    def contains(self, x: Floats, y: Floats, z: Floats) -> Bools:
        axis = np.asarray(self.end_mm) - np.asarray(self.start_mm)
        d = [value - start for value, start in zip((x, y, z), self.start_mm, strict=True)]
        along = np.clip((d[0] * axis[0] + d[1] * axis[1] + d[2] * axis[2]) / float(axis @ axis), 0.0, 1.0)
        apart = sum(np.square(part - along * step) for part, step in zip(d, axis, strict=True))
        return np.asarray(apart <= self.radius_mm**2)
