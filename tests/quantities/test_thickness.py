from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.quantities.morphology import thickness


def grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> tuple[np.ndarray, ...]:
    """Coordinates of voxel centres about the grid's middle, mm."""
    return np.meshgrid(*((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.8, 0.8), (5.0, 1.0, 1.0)])
@pytest.mark.parametrize("wall_mm", [6.0, 11.0, 17.0])
def test_a_spherical_shell_is_as_thick_as_it_was_made(spacing: tuple[float, float, float], wall_mm: float) -> None:
    shape = tuple(int(90 / s) for s in spacing)
    z, y, x = grid(shape, spacing)  # type: ignore[arg-type]
    r = np.sqrt(z**2 + y**2 + x**2)
    shell = (r <= 38.0) & (r > 38.0 - wall_mm)
    assert thickness(shell, spacing) == pytest.approx(wall_mm, abs=max(spacing))


@pytest.mark.parametrize("wall_mm", [4.0, 9.0])
def test_a_cylindrical_wall_is_as_thick_as_it_was_made(wall_mm: float) -> None:
    _, y, x = grid((30, 80, 80), (2.5, 0.9, 0.9))
    r = np.hypot(y, x)
    assert thickness((r <= 30.0) & (r > 30.0 - wall_mm), (2.5, 0.9, 0.9)) == pytest.approx(wall_mm, abs=0.9)


@given(st.integers(3, 12), st.sampled_from([0, 1, 2]))
@settings(max_examples=20, deadline=None)
def test_a_plate_is_as_thick_as_its_layers_whichever_way_it_lies(layers: int, axis: int) -> None:
    mask = np.zeros((30, 30, 30), np.bool_)
    box = [slice(3, 27)] * 3
    box[axis] = slice(8, 8 + layers)
    mask[tuple(box)] = True
    assert thickness(mask, (1.0, 1.0, 1.0)) == pytest.approx(layers, abs=1.0)


def test_one_voxel_is_as_thick_as_itself() -> None:
    mask = np.zeros((3, 3, 3), np.bool_)
    mask[1, 1, 1] = True
    assert thickness(mask, (1.0, 1.0, 1.0)) == pytest.approx(1.0)
