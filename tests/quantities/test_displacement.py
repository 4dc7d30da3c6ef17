from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from her2node.errors import DisplacementUnknown
from her2node.quantities.displacement import LEAST_SURE_MM, displacement, length
from her2node.volumes.volume import Volume
from tests.quantities import made

SPACING = (2.5, 1.2, 1.2)
SHAPE = (44, 90, 90)


def scene(by_mm: tuple[float, float, float], *, contrast: float, noise: float, seed: int) -> Volume:
    """A lesion on a wall before fat and gas, everything displaced by (x, y, z); contrast changes, edges do not."""
    at = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)), indexing="ij"))
    z, y, x = (axis - by for axis, by in zip(at, by_mm[::-1], strict=True))
    hu = np.full(SHAPE, -100.0)
    hu[((z - 60) / 50) ** 2 + ((y - 54) / 40) ** 2 + ((x - 60) / 45) ** 2 < 1] = 40 + 0.4 * contrast
    hu[((z - 58) / 40) ** 2 + ((y - 50) / 30) ** 2 + ((x - 62) / 36) ** 2 < 1] = 8
    hu[((z - 55) / 15) ** 2 + ((y - 75) / 11) ** 2 + ((x - 50) / 18) ** 2 < 1] = 40 + contrast
    hu = ndimage.gaussian_filter(hu, 0.6) + np.random.default_rng(seed).normal(0, noise, SHAPE)
    return made.volume(hu, spacing=SPACING)


def lesion() -> np.ndarray:
    z, y, x = np.meshgrid(*(np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    return ((z - 55) / 15) ** 2 + ((y - 75) / 11) ** 2 + ((x - 50) / 18) ** 2 < 1


SHIFTS = ((0.0, 0.0, 0.0), (0.4, -0.3, 0.9), (2.0, -3.5, 8.0), (-1.2, 5.0, -14.0), (6.0, 6.0, 6.0), (-3.3, 1.7, -5.2))


@pytest.mark.parametrize("by_mm", SHIFTS)
@pytest.mark.parametrize("contrast", [5, 20, 50])
def test_a_shift_is_found_within_half_a_millimetre_though_contrast_differs(
    by_mm: tuple[float, float, float], contrast: float
) -> None:
    fixed = scene((0.0, 0.0, 0.0), contrast=50, noise=10, seed=1)
    moving = scene(by_mm, contrast=contrast, noise=10, seed=2)
    found = displacement(fixed, lesion(), moving)
    missed = np.abs(np.subtract(found.by_mm, by_mm)).max()
    assert missed < 0.5
    assert missed < 4 * found.error_mm + 0.05
    assert length(found) == pytest.approx(np.linalg.norm(by_mm), abs=0.5)
    assert found.return_mm < 1


def test_the_error_that_is_told_grows_with_noise_and_with_what_one_phase_lacks() -> None:
    def error(contrast: float, noise: float) -> float:
        fixed = scene((0.0, 0.0, 0.0), contrast=50, noise=noise, seed=1)
        return displacement(fixed, lesion(), scene((2.0, -3.5, 8.0), contrast=contrast, noise=noise, seed=2)).error_mm

    assert error(50, 5) < error(50, 20) < error(50, 40)
    assert error(50, 10) < error(20, 10) < error(5, 10)


def test_noise_without_any_edge_is_refused() -> None:
    noise = made.volume(np.random.default_rng(3).normal(40, 10, SHAPE), spacing=SPACING)
    with pytest.raises(DisplacementUnknown):
        displacement(scene((0.0, 0.0, 0.0), contrast=50, noise=5, seed=1), lesion(), noise)


def test_a_series_that_ends_beside_the_region_is_refused() -> None:
    fixed = scene((0.0, 0.0, 0.0), contrast=50, noise=5, seed=1)
    few = made.volume(fixed.voxels[20:24], spacing=SPACING)
    with pytest.raises(DisplacementUnknown, match="too little"):
        displacement(fixed, lesion(), few)


def wall(noise: float, seed: int) -> tuple[Volume, np.ndarray]:
    """A faint wall, so little bent (radius 60 mm) that its place along itself is hardly told; a small region on it."""
    z, y, x = np.meshgrid(*(np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    hu = np.where((z - 55) ** 2 + y**2 + (x - 50) ** 2 < 60**2, 40.0, 0.0)
    hu = ndimage.gaussian_filter(hu, 1.0) + np.random.default_rng(seed).normal(0, noise, SHAPE)
    return made.volume(hu, spacing=SPACING), (abs(z - 55) < 6) & (abs(y - 60) < 6) & (abs(x - 50) < 6)


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_edges_too_faint_to_tell_the_place_are_no_displacement_though_they_resemble(seed: int) -> None:
    fixed, region = wall(5, 1)
    assert displacement(fixed, region, wall(10, seed)[0]).error_mm < LEAST_SURE_MM
    with pytest.raises(DisplacementUnknown, match="too faint"):
        displacement(fixed, region, wall(60, seed)[0])


def test_edges_too_few_to_tell_an_error_from_are_no_displacement() -> None:
    """Of one voxel at the end of a lesion, half of what tells its place lies in two blocks."""
    region = np.zeros(SHAPE, np.bool_)
    region[22, 60, 42] = True
    fixed = scene((0.0, 0.0, 0.0), contrast=50, noise=10, seed=1)
    with pytest.raises(DisplacementUnknown, match="too few"):
        displacement(fixed, region, fixed)


BED, THICK = (28, 120, 120), (5.0, 0.8, 0.8)


def bed(by_mm: tuple[float, float, float], tilt: float, seed: int) -> tuple[Volume, np.ndarray]:
    """A node of 90 HU and 5 mm radius in an organ of 50 HU beside a plane border to gas, all displaced."""
    at = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(BED, THICK, strict=True)), indexing="ij"))
    z, y, x = (axis - centre - by for axis, centre, by in zip(at, (70, 48, 48), by_mm[::-1], strict=True))
    hu = np.where(y * np.cos(np.deg2rad(tilt)) + x * np.sin(np.deg2rad(tilt)) < -8, -900.0, 50.0)
    node = z**2 + y**2 + x**2 < 5**2
    hu[node] = 90
    hu = ndimage.gaussian_filter(hu, (0.3, 0.6, 0.6)) + np.random.default_rng(seed).normal(0, 12, BED)
    return made.volume(hu, spacing=THICK), node


@pytest.mark.parametrize("seed", range(1, 7))
@pytest.mark.parametrize(("by_mm", "tilt"), [((2.0, -3.0, 5.0), 15), ((-1.0, 2.0, 0.0), 15), ((1.0, 2.0, -8.0), 30)])
def test_a_small_region_beside_a_straight_border_is_not_found_elsewhere_along_it(
    by_mm: tuple[float, float, float], tilt: float, seed: int
) -> None:
    """What the border resembles outweighs the node, so that noise alone would choose the place along it."""
    fixed, region = bed((0.0, 0.0, 0.0), tilt, 100 + seed)
    with pytest.raises(DisplacementUnknown):
        displacement(fixed, region, bed(by_mm, tilt, seed)[0])


def nodes(*centres_mm: tuple[float, float, float], seed: int) -> Volume:
    """Nodes of 90 HU and unequal axes in fat, at (x, y, z)."""
    at = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)), indexing="ij"))
    hu = np.full(SHAPE, -80.0)
    for x, y, z in centres_mm:
        hu[((at[0] - z) / 9) ** 2 + ((at[1] - y) / 6) ** 2 + ((at[2] - x) / 7) ** 2 < 1] = 90
    hu = ndimage.gaussian_filter(hu, 0.6) + np.random.default_rng(seed).normal(0, 10, SHAPE)
    return made.volume(hu, spacing=SPACING)


def test_a_neighbour_that_is_taken_for_a_node_that_is_gone_does_not_lead_back() -> None:
    node, neighbour = (40.0, 52.0, 55.0), (60.0, 52.0, 55.0)
    z, y, x = np.meshgrid(*(np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    region = ((z - 55) / 9) ** 2 + ((y - 52) / 6) ** 2 + ((x - 40) / 7) ** 2 < 1
    both = nodes(node, neighbour, seed=1)
    still = displacement(both, region, nodes(node, neighbour, seed=2))
    assert length(still) < 0.5
    assert still.return_mm < 0.5
    elsewhere = displacement(both, region, nodes(neighbour, seed=2))
    assert elsewhere.by_mm == pytest.approx((20, 0, 0), abs=1.5)
    assert elsewhere.return_mm > 18
