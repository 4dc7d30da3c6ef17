"""Interpolation, re-segmentation, discretisation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.quantities.radiomics import shipped
from her2node.quantities.radiomics.configuration import Interpolation, Resegmentation
from her2node.quantities.radiomics.discretisation import FixedBinNumber, FixedBinSize
from her2node.quantities.radiomics.local_intensity import RADIUS_MM
from her2node.quantities.radiomics.processing import prepared
from tests.quantities.radiomics import made

PLAIN = replace(made.DIGITAL, resegmentation=Resegmentation())


def to(in_plane_mm: float, slice_mm: float | None = None, order: int = 1, rounds: bool = False) -> Interpolation:
    return Interpolation(in_plane_mm, slice_mm, order, rounds, 0.5)


def ramp(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> np.ndarray:
    """An image that grows evenly along every axis, zero at its centre."""
    places = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return places[0][:, None, None] + 10 * places[1][None, :, None] + 100 * places[2][None, None, :]


@pytest.mark.parametrize("order", [1, 3])
def test_the_new_grid_shares_its_centre_with_the_old_one(order: int) -> None:
    shape, spacing = (20, 30, 40), (3.0, 1.0, 1.0)
    how = replace(PLAIN, interpolation=to(2.0, 2.0, order))
    region = prepared(ramp(shape, spacing), np.ones(shape, np.bool_), spacing, how, reach_mm=(np.inf, np.inf, np.inf))
    assert region.image.shape == (30, 15, 20)
    inner = (slice(3, -3),) * 3
    assert region.image[inner] == pytest.approx(ramp((30, 15, 20), (2.0, 2.0, 2.0))[inner], abs=0.05)
    if order == 1:
        assert region.image[inner] == pytest.approx(ramp((30, 15, 20), (2.0, 2.0, 2.0))[inner], abs=1e-9)


def test_the_grid_of_the_ct_phantom_is_ibsis() -> None:
    shape, spacing = (60, 201, 204), (3.0, 0.9765625, 0.9765625)
    voxels = np.zeros(shape, np.float32)
    region = prepared(voxels, np.ones(shape, np.bool_), spacing, shipped("ibsi-c"), reach_mm=(np.inf, np.inf, np.inf))
    assert region.image.shape == (90, 99, 100)


def test_without_a_slice_spacing_slices_stay_as_they_are() -> None:
    voxels = np.random.default_rng(0).normal(size=(4, 9, 9))
    how = replace(PLAIN, interpolation=to(0.5))
    region = prepared(voxels, np.ones(voxels.shape, np.bool_), (5.0, 1.0, 1.0), how, reach_mm=(np.inf, np.inf, np.inf))
    assert region.spacing_mm == (5.0, 0.5, 0.5)
    assert region.image.shape == (4, 18, 18)


@pytest.mark.parametrize("order", [1, 3])
@given(seed=st.integers(0, 20), spacing=st.sampled_from([(3.0, 0.9, 0.9), (1.0, 2.5, 2.1), (5.0, 0.7, 0.7)]))
@settings(max_examples=8, deadline=None)
def test_the_box_around_the_region_is_interpolated_as_the_whole_image(
    order: int, seed: int, spacing: tuple[float, float, float]
) -> None:
    shape = (50, 60, 60)
    voxels = np.random.default_rng(seed).normal(0, 100, shape)
    mask = made.ellipsoid(shape, spacing, (24, 31, 28), (7.0, 6.0, 5.0))
    how = replace(PLAIN, interpolation=to(2.0, 2.0, order))
    part = prepared(voxels, mask, spacing, how, reach_mm=(RADIUS_MM, RADIUS_MM, RADIUS_MM))
    whole = prepared(voxels, mask, spacing, how, reach_mm=(np.inf, np.inf, np.inf))
    assert part.image.size < whole.image.size
    assert part.x == pytest.approx(whole.x, abs=1e-6)
    around = np.argwhere(part.morphological)
    assert (around.min(axis=0) * 2 > RADIUS_MM).all()
    assert ((np.array(part.image.shape) - 1 - around.max(axis=0)) * 2 > RADIUS_MM).all()


def test_a_voxel_half_in_the_region_is_in_it() -> None:
    voxels, mask = np.zeros((1, 1, 4)), np.array([[[False, True, True, False]]])
    how = replace(PLAIN, interpolation=to(1.0))
    region = prepared(voxels, mask, (1.0, 1.0, 2.0), how, reach_mm=(np.inf, np.inf, np.inf))
    assert region.morphological.sum() == 4


def test_intensities_half_way_are_rounded_to_the_even_number_whatever_the_last_digits_say() -> None:
    voxels = np.array([[[0.0, 1.0, 2.0, 3.0]]]) + 1e-9
    how = replace(PLAIN, interpolation=to(1.0, rounds=True))
    region = prepared(
        voxels + 0.25, np.ones((1, 1, 4), np.bool_), (1.0, 1.0, 2.0), how, reach_mm=(np.inf, np.inf, np.inf)
    )
    assert region.image.ravel().tolist() == [0, 0, 1, 2, 2, 2, 3, 3]


def test_range_and_outliers_are_judged_on_the_whole_region_and_both_hold() -> None:
    x = np.concatenate([np.zeros(50), np.ones(49), [1000.0]]).reshape(1, 10, 10)
    how = replace(PLAIN, resegmentation=Resegmentation(lowest=0.5, outliers_sigma=3))
    region = prepared(x, np.ones(x.shape, np.bool_), made.CUBES, how, reach_mm=(0, 0, 0))
    assert region.x.tolist() == [1.0] * 49
    assert region.morphological.sum() == 100  # the shape keeps what the intensities lose


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=50), st.integers(1, 64))
def test_a_fixed_number_of_bins_is_filled_from_the_first_to_the_last(values: list[float], bins: int) -> None:
    x = np.array(values)
    levels = FixedBinNumber(bins).levels(x)
    assert levels.min() == 1
    assert levels.max() <= bins
    assert x.min() == x.max() or levels[x.argmax()] == bins
    order = np.argsort(x, kind="stable")
    assert (np.diff(levels[order]) >= 0).all()


@given(st.lists(st.integers(-500, 500), min_size=1, max_size=50), st.sampled_from([1.0, 2.5, 25.0]))
def test_fixed_bins_hold_their_intensities(values: list[int], size: float) -> None:
    x = np.array(values, float)
    how = FixedBinSize(size)
    assert (np.abs(how.centres(x, -500.0) - x) <= size / 2).all()
    assert ((how.levels(x, -500.0) - 1) * size - 500 <= x).all()
