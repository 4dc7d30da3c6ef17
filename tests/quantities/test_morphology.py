"""Size of a region."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.dicom.codes import Method, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import RoiCutOff, SingleSlice
from her2node.quantities import morphology
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.quantities.surface import farthest, hull, mesh_of
from tests.quantities import made


def ellipsoid(radii_mm: tuple[float, float, float], spacing: tuple[float, float, float]) -> np.ndarray:
    """A mask of voxels whose centres lie in an ellipsoid with axes along slice, row and column."""
    half = [int(radius / step) + 2 for radius, step in zip(radii_mm, spacing, strict=True)]
    axes = [np.arange(-n, n + 1) * step for n, step in zip(half, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return (z / radii_mm[0]) ** 2 + (y / radii_mm[1]) ** 2 + (x / radii_mm[2]) ** 2 <= 1


def measured(mask: np.ndarray, spacing: tuple[float, float, float]) -> dict[str, float]:
    volume = made.volume(np.zeros(mask.shape), spacing=spacing)
    return made.named(morphology.measure(volume, made.roi(mask, volume), None))


SPACING = (1.25, 0.7, 0.7)


def test_an_ellipsoid_has_its_analytic_size() -> None:
    found = measured(ellipsoid((15, 20, 30), SPACING), SPACING)
    truth = 4 / 3 * np.pi * 15 * 20 * 30
    assert found["Volume"] == pytest.approx(truth, rel=0.01)
    assert found["Volume of Mesh"] == pytest.approx(truth, rel=0.01)
    assert found["Maximum 3D Diameter of a Mesh"] == pytest.approx(60, abs=0.7)
    assert found["Long axis"] == pytest.approx(60, abs=0.7)
    assert found["Short axis"] == pytest.approx(40, abs=0.7)


def test_images_that_resolve_no_wall_give_no_thickness() -> None:
    volume = made.volume(np.zeros((12, 12, 12)), spacing=(4.0, 4.0, 4.0))
    mask = np.zeros((12, 12, 12), np.bool_)
    mask[3:9, 3:9, 3:9] = True
    with_wall, without = (
        made.named(morphology.measure(volume, made.roi(mask, volume), None, wall=wall)) for wall in (True, False)
    )
    assert set(with_wall) - set(without) == {"Diameter"}
    assert without == {name: value for name, value in with_wall.items() if name != "Diameter"}


def test_pixels_that_are_not_square_are_measured_in_millimetres() -> None:
    spacing = (2.0, 0.5, 1.1)
    found = measured(ellipsoid((10, 25, 12), spacing), spacing)
    assert found["Long axis"] == pytest.approx(50, abs=1.1)
    assert found["Short axis"] == pytest.approx(24, abs=1.1)
    assert found["Maximum 3D Diameter of a Mesh"] == pytest.approx(50, abs=1.1)


def test_one_voxel_has_a_size() -> None:
    mask = np.zeros((3, 3, 3), np.bool_)
    mask[1, 1, 1] = True
    found = measured(mask, (2.0, 1.0, 1.0))
    assert found["Volume"] == 2.0
    assert found["Long axis"] == 1.0
    assert found["Short axis"] == 1.0
    assert found["Maximum 3D Diameter of a Mesh"] == 2.0


def test_a_region_at_the_edge_of_the_series_is_closed_there() -> None:
    mask = np.ones((3, 4, 5), np.bool_)
    assert measured(mask, (1.0, 1.0, 1.0))["Volume"] == 60
    assert measured(mask, (1.0, 1.0, 1.0))["Volume of Mesh"] == pytest.approx(60, rel=0.1)


def test_the_long_axis_does_not_jump_from_one_lesion_to_another() -> None:
    mask = np.zeros((3, 9, 40), np.bool_)
    mask[1, 3:6, 2:8] = True
    mask[1, 3:6, 30:34] = True
    found = measured(mask, (1.0, 1.0, 1.0))
    assert found["Long axis"] < 8
    assert found["Maximum 3D Diameter of a Mesh"] > 30


def test_the_long_axis_is_that_of_the_largest_slice() -> None:
    mask = np.zeros((3, 9, 40), np.bool_)
    mask[0, 4, 2:8] = True
    mask[2, 4, 2:30] = True
    assert measured(mask, (1.0, 1.0, 1.0))["Long axis"] == 28


def test_a_rectangle_has_its_diagonal_and_the_widest_line_across_it() -> None:
    outline = np.array([(0, 0), (0, 4), (3, 4), (3, 0)], float)
    first, second, length = farthest(hull(outline))
    assert length == 5
    assert first < second
    assert morphology.axes_of(np.ones((1, 30, 40), np.bool_), (1.0, 0.1, 0.1)).short_mm == pytest.approx(
        3 / 0.8, rel=0.05
    )


def test_the_axes_know_where_they_lie() -> None:
    mask = np.zeros((4, 40, 60), np.bool_)
    mask[1, 5:9, 3:9] = True
    mask[2, 10:20, 20:51] = True  # rows 9.5 to 19.5, columns 19.5 to 50.5
    axes = morphology.axes_of(mask, (3.0, 1.0, 1.0))
    assert axes.slice_index == 2
    corners = [(row, column) for row in (9.5, 19.5) for column in (19.5, 50.5)]
    for end in axes.long_ends:
        assert min(np.hypot(*np.subtract(end, corner)) for corner in corners) < 0.8
    assert np.hypot(*np.subtract(*axes.long_ends)) == pytest.approx(axes.long_mm)


def test_a_region_that_is_cut_off_has_no_size() -> None:
    volume = made.volume(np.zeros((3, 4, 4)))
    found = morphology.measure(volume, made.roi(np.ones((3, 4, 4), np.bool_), volume, cut_off=True), None)
    assert [type(q.refused) for q in found if isinstance(q, NotMeasured)] == [RoiCutOff] * 6


def test_a_single_slice_has_axes_but_no_volume() -> None:
    volume = made.volume(np.zeros((1, 6, 6)))
    found = morphology.measure(volume, made.roi(np.ones((1, 6, 6), np.bool_), volume), None)
    assert set(made.named(found)) == {"Long axis", "Short axis"}
    assert {type(q.refused) for q in found if isinstance(q, NotMeasured)} == {SingleSlice}
    assert {q.code for q in found if isinstance(q, NotMeasured)} == {
        Concept.VOLUME,
        Concept.MESH_VOLUME,
        Concept.DIAMETER_3D,
        Concept.DIAMETER,
    }


def test_each_number_carries_code_unit_and_method() -> None:
    volume = made.volume(np.zeros((3, 6, 6)))
    found = morphology.measure(volume, made.roi(np.ones((3, 6, 6), np.bool_), volume), None)
    assert [(q.code, q.unit, q.method) for q in found if isinstance(q, Quantity)] == [
        (Concept.VOLUME, Unit.MM3, Method.VOXEL_SUM),
        (Concept.MESH_VOLUME, Unit.MM3, Method.MESH),
        (Concept.DIAMETER_3D, Unit.MM, Method.MESH),
        (Concept.DIAMETER, Unit.MM, Method.LOCAL_THICKNESS),
        (Concept.LONG_AXIS, Unit.MM, Method.IN_SLICE),
        (Concept.SHORT_AXIS, Unit.MM, Method.IN_SLICE),
    ]


masks = st.integers(1, 2**48 - 1).map(
    lambda bits: np.array([bits >> i & 1 for i in range(48)], np.bool_).reshape(3, 4, 4)
)


@settings(deadline=None)
@given(masks)
def test_the_hull_loses_no_diameter(mask: np.ndarray) -> None:
    mesh = mesh_of(mask, (1.3, 0.7, 0.9))
    everything = mesh.vertices_mm[:, None] - mesh.vertices_mm[None]
    assert morphology.maximum_diameter(mesh) == pytest.approx(np.sqrt((everything**2).sum(-1)).max())


@settings(deadline=None)
@given(masks)
def test_size_does_not_change_when_the_region_is_mirrored_or_moved(mask: np.ndarray) -> None:
    spacing = (1.3, 0.7, 0.7)
    here = measured(mask, spacing)
    there = measured(np.pad(mask.transpose(0, 2, 1)[::-1], 2), spacing)
    for name in ("Volume", "Maximum 3D Diameter of a Mesh", "Long axis"):
        assert there[name] == pytest.approx(here[name])
    assert 0 < here["Short axis"] <= here["Long axis"] + 1e-9
    assert here["Long axis"] <= here["Maximum 3D Diameter of a Mesh"] + 1e-9


@settings(deadline=None)
@given(masks)
def test_the_ends_of_the_axes_are_as_far_apart_as_the_axes_are_long_and_stand_at_right_angles(mask: np.ndarray) -> None:
    spacing = np.array([0.7, 0.9])
    axes = morphology.axes_of(mask, (1.3, 0.7, 0.9))
    long, short = (np.subtract(*ends) * spacing for ends in (axes.long_ends, axes.short_ends))
    assert np.hypot(*long) == pytest.approx(axes.long_mm)
    assert np.hypot(*short) == pytest.approx(axes.short_mm)
    assert long @ short == pytest.approx(0, abs=1e-9)
    rows, columns = np.nonzero(mask[axes.slice_index])
    for row, column in (*axes.long_ends, *axes.short_ends):
        assert rows.min() - 0.5 - 1e-9 <= row <= rows.max() + 0.5 + 1e-9
        assert columns.min() - 0.5 - 1e-9 <= column <= columns.max() + 0.5 + 1e-9
