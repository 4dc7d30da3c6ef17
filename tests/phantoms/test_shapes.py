"""Volumes, diameters, sections and boxes of the shapes, against counting points."""

from __future__ import annotations

import numpy as np
import pytest

from her2node.phantoms.anatomy import varied
from her2node.phantoms.shapes import Cap, Capsule, Column, Ellipsoid, Shape

TURNED = varied(3).tumour.shape
SHAPES: tuple[Shape, ...] = (
    TURNED,
    Ellipsoid((3.0, -4.0, 5.0), (12.0, 7.0, 9.0)),
    Cap(TURNED, (0.0, 1.0, 0.0), TURNED.centre_mm[1] + 4),
    Cap(TURNED, (0.6, 0.0, 0.8), 0.6 * TURNED.centre_mm[0] + 0.8 * TURNED.centre_mm[2] - 5),
    Column((2.0, 3.0), (8.0, 5.0), (-6.0, 9.0)),
    Capsule((0.0, 0.0, 0.0), (11.0, -7.0, 13.0), 6.0),
)


def _grid(shape: Shape, step_mm: float, margin_mm: float = 2.083) -> list[np.ndarray]:
    low, high = (np.asarray(corner) for corner in shape.bounds_mm)
    axes = [np.arange(a - margin_mm, b + margin_mm, step_mm) for a, b in zip(low, high, strict=True)]
    return list(np.meshgrid(*axes, indexing="ij", sparse=True))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_the_volume_is_that_of_the_points_inside(shape: Shape) -> None:
    step = 0.25
    inside = int(shape.contains(*_grid(shape, step)).sum())
    assert inside * step**3 == pytest.approx(shape.volume_mm3, rel=5e-3)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_no_point_outside_the_box_is_inside_the_shape(shape: Shape) -> None:
    x, y, z = np.broadcast_arrays(*_grid(shape, 0.5))
    inside = shape.contains(x, y, z)
    low, high = shape.bounds_mm
    for values, least, most in zip((x, y, z), low, high, strict=True):
        assert values[inside].min() >= least
        assert values[inside].max() <= most


def test_a_column_without_ends_has_no_finite_volume() -> None:
    assert Column((0.0, 0.0), (1.0, 2.0)).volume_mm3 == np.inf


@pytest.mark.parametrize("offset_mm", [-1000.0, 1000.0])
def test_a_cap_beyond_the_ellipsoid_is_nothing_or_the_whole(offset_mm: float) -> None:
    cap = Cap(TURNED, (0.0, 0.0, 1.0), offset_mm)
    assert cap.volume_mm3 == pytest.approx(TURNED.volume_mm3 if offset_mm > 0 else 0.0)


def test_the_diameter_is_the_longest_distance_between_points_of_the_surface() -> None:
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    support = np.sqrt(np.einsum("ij,jk,ik->i", directions, np.linalg.inv(TURNED.form), directions))
    assert 2 * support.max() <= TURNED.diameter_mm + 1e-9
    assert 2 * support.max() == pytest.approx(TURNED.diameter_mm, rel=5e-3)


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_every_vertex_of_a_section_lies_on_surface_and_plane(turn: float) -> None:
    u, v = (1.0, 0.0, 0.0), (0.0, float(np.cos(turn)), float(np.sin(turn)))
    normal = np.cross(u, v)
    origin = (-40.0, -30.0, TURNED.centre_mm[2] + 3.0)
    cut = TURNED.section(origin, u, v)
    if cut is None:  # the turned plane may pass the tumour by
        origin = TURNED.centre_mm
        cut = TURNED.section(origin, u, v)
    assert cut is not None
    offsets = cut.outline(90) - np.asarray(TURNED.centre_mm)
    assert np.allclose(np.einsum("ij,jk,ik->i", offsets, TURNED.form, offsets), 1.0)
    assert np.allclose((cut.outline(90) - np.asarray(origin)) @ normal, 0.0)


def test_the_areas_of_all_sections_add_up_to_the_volume() -> None:
    low, high = TURNED.bounds_mm
    heights = np.linspace(low[2], high[2], 2001)
    cuts = (TURNED.section((0.0, 0.0, z), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)) for z in heights)
    areas = [0.0 if cut is None else cut.area_mm2 for cut in cuts]
    assert np.trapezoid(areas, heights) == pytest.approx(TURNED.volume_mm3, rel=1e-5)


def test_a_plane_that_misses_has_no_section() -> None:
    assert TURNED.section((0.0, 0.0, TURNED.bounds_mm[1][2] + 0.1), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)) is None
