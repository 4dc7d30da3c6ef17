"""Crops by geometry: an affine field of attenuation is interpolated exactly, however the series lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from her2node.dicom.codes import Unit
from her2node.errors import MixedOrientations
from her2node.models.image.stated import Channel, CropStated
from her2node.models.image.view import PATIENT_AXES, View, seen, stacked, view
from her2node.rois.roi import Roi, RoiOrigin
from her2node.selection.roles import Role
from her2node.volumes.volume import Geometry, SliceSource, Volume

SLOPE, LEVEL = np.array([0.7, -0.4, 0.9]), 50.0
"""HU a mm along x, y and z, and HU at the origin."""
CROP = CropStated(
    channels=(Channel(Role.ARTERIAL, (-1000.0, 1000.0), 40.0, 20.0), Channel(Role.PORTAL, (-1000.0, 1000.0), 0.0, 1.0)),
    size=(6, 8, 7),
    spacing_mm=(4.0, 2.5, 3.0),
    margin_mm=0.0,
    answer="logit",
)
SPACINGS = st.tuples(st.floats(1, 5), st.floats(0.5, 2), st.floats(0.5, 2))
ANGLES = st.tuples(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))


def geometry(spacing: tuple[float, float, float], angles: tuple[float, float, float]) -> Geometry:
    """A grid turned at will, right-handed as volumes are, with the patient's origin in its middle."""
    turned = Rotation.from_euler("zyx", angles).as_matrix()
    shape = (18, 36, 34)
    directions = np.array([turned[2], turned[1], turned[0]])
    middle = ((np.array(shape) - 1) / 2 * spacing) @ directions
    first, second, third = (tuple(row) for row in directions.tolist())
    return Geometry(shape, spacing, tuple((-middle).tolist()), (first, second, third), "1.2.3")


def volume(grid: Geometry) -> Volume:
    hu = (grid.to_patient(np.moveaxis(np.indices(grid.shape), 0, -1)) @ SLOPE + LEVEL).astype(np.float32)
    sources = tuple(SliceSource("1.2", f"1.2.3.{index}") for index in range(grid.shape[0]))
    return Volume(grid, hu, np.ones(grid.shape, np.bool_), Unit.HU, "1.2.3.4", sources)


def region(grid: Geometry, middle: tuple[int, int, int] = (8, 17, 15)) -> Roi:
    """A lopsided box of voxels."""
    mask = np.zeros(grid.shape, dtype=np.bool_)
    s, r, c = middle
    mask[s : s + 3, r - 4 : r + 4, c : c + 5] = True
    mask[s, r + 3, c : c + 2] = False
    return Roi(mask, grid, "Tumour", "1.2.9", "Tumour", RoiOrigin.SEGMENTATION, "1.2", "1.2.3", 1)


def places(found: View) -> npt.NDArray[np.float64]:
    return found.geometry.to_patient(np.moveaxis(np.indices(found.geometry.shape), 0, -1))


@given(spacing=SPACINGS, angles=ANGLES)
@settings(max_examples=30, deadline=None)
def test_a_crop_of_an_oblique_anisotropic_series_has_the_attenuation_of_each_place(
    spacing: tuple[float, float, float], angles: tuple[float, float, float]
) -> None:
    grid = geometry(spacing, angles)
    found = view(CROP, region(grid), volume(grid), Role.PORTAL)
    index = grid.to_index(places(found))
    last = np.array(grid.shape) - 1
    inner = ((index >= 0) & (index <= last)).all(axis=-1)
    beyond = ((index < -0.501) | (index > last + 0.501)).any(axis=-1)
    expected = places(found) @ SLOPE + LEVEL
    assert np.abs(found.hu[inner] - expected[inner]).max(initial=0.0) < 0.01
    assert np.isnan(found.hu[beyond]).all()
    assert np.isfinite(found.hu[inner]).all()


@given(spacing=SPACINGS, angles=ANGLES)
@settings(max_examples=20, deadline=None)
def test_the_crop_lies_about_the_centroid_along_the_patient_s_axes(
    spacing: tuple[float, float, float], angles: tuple[float, float, float]
) -> None:
    grid = geometry(spacing, angles)
    roi = region(grid)
    found = view(CROP, roi, volume(grid), Role.PORTAL).geometry
    centroid = grid.to_patient(np.argwhere(roi.mask)).mean(axis=0)
    assert places_mean(found) == pytest.approx(centroid, abs=1e-6)
    assert found.directions == PATIENT_AXES
    step = found.to_patient((1, 1, 1)) - found.to_patient((0, 0, 0))
    assert step == pytest.approx((3.0, 2.5, 4.0))


def places_mean(grid: Geometry) -> npt.NDArray[np.float64]:
    return grid.to_patient(np.moveaxis(np.indices(grid.shape), 0, -1)).reshape(-1, 3).mean(axis=0)


@given(spacing=SPACINGS, angles=ANGLES)
@settings(max_examples=20, deadline=None)
def test_mask_and_reach_are_those_of_the_region_s_own_voxels(
    spacing: tuple[float, float, float], angles: tuple[float, float, float]
) -> None:
    grid = geometry(spacing, angles)
    roi = region(grid)
    found = view(CROP, roi, volume(grid), Role.PORTAL)
    at = grid.to_index(places(found)) + 0.5
    voxel = np.floor(at).astype(int)
    inside = ((voxel >= 0) & (voxel < grid.shape)).all(axis=-1)
    expected = np.zeros(CROP.size, dtype=np.bool_)
    expected[inside] = roi.mask[tuple(voxel[inside].T)]
    tie = (np.abs(at - np.rint(at)) < 1e-5).any(axis=-1)
    assert (found.mask == expected)[~tie].all()
    corners = [np.argwhere(roi.mask) + np.array(half) for half in np.ndindex(2, 2, 2)]
    far = grid.to_patient(np.concatenate(corners) - 0.5) - places_mean(found.geometry)
    assert found.reaches_mm == pytest.approx(np.abs(far).max(axis=0)[::-1], abs=1e-6)


def test_where_the_tissue_was_displaced_the_crop_follows_it() -> None:
    grid = geometry((2.0, 1.0, 1.5), (0.2, 0.1, -0.3))
    by = (3.0, -5.0, 4.0)
    still, moved = (view(CROP, region(grid), volume(grid), Role.PORTAL, by_mm) for by_mm in ((0.0, 0.0, 0.0), by))
    assert moved.geometry == still.geometry
    ends = (places(still), places(still) + by)
    within = [((at >= 0) & (at <= np.array(grid.shape) - 1)).all(axis=-1) for at in map(grid.to_index, ends)]
    both = within[0] & within[1]  # beyond the last centres attenuation stays what it is there
    assert both.mean() > 0.5
    assert np.abs((moved.hu - still.hu)[both] - SLOPE @ by).max() < 0.01


def test_voxels_without_image_are_none_in_the_crop() -> None:
    grid = geometry((2.0, 1.0, 1.5), (0.0, 0.0, 0.0))
    full = volume(grid)
    valid = full.valid.copy()
    valid[:6] = False
    found = view(CROP, region(grid), replace(full, valid=valid), Role.PORTAL)
    index = grid.to_index(places(found))[..., 0]
    assert np.isnan(found.hu[index < 5.999]).all()
    assert np.isfinite(found.hu[(index >= 6.001) & (index <= 17)]).all()


def test_every_slice_names_the_image_that_lies_nearest() -> None:
    grid = geometry((2.0, 1.0, 1.5), (0.0, 0.0, 0.0))
    found = view(CROP, region(grid), volume(grid), Role.PORTAL)
    along = grid.to_index(places(found))[:, 0, 0, 0]
    expected = np.clip(np.rint(along), 0, 17).astype(int)
    assert [source.sop_instance_uid for source in found.sources] == [f"1.2.3.{index}" for index in expected]


def test_channels_are_clipped_normalised_and_filled_where_there_is_no_image() -> None:
    grid = geometry((2.0, 1.0, 1.5), (0.0, 0.0, 0.0))
    narrow = replace(
        CROP,
        channels=(replace(CROP.channels[0], clip_hu=(30.0, 60.0)), CROP.channels[1]),
        mask=True,
        outside_hu=-500.0,
    )
    arterial, portal = (view(narrow, region(grid), volume(grid), role) for role in narrow.roles)
    holed = portal.hu.copy()
    holed[0, 0, 0] = np.nan
    found = stacked((arterial, replace(portal, hu=holed)))
    assert found.shape == narrow.shape
    where = np.isfinite(arterial.hu)
    assert found[0][where] == pytest.approx((np.clip(arterial.hu[where], 30, 60) - 40) / 20, abs=1e-5)
    assert found[0][~where] == pytest.approx((30 - 40) / 20)
    assert found[1][0, 0, 0] == -500
    assert (found[2] == arterial.mask).all()
    assert not seen((arterial, replace(portal, hu=holed)))[0, 0, 0]


def test_another_frame_of_reference_is_refused() -> None:
    grid = geometry((2.0, 1.0, 1.5), (0.0, 0.0, 0.0))
    other = replace(volume(grid), geometry=replace(grid, frame_of_reference_uid="1.9"))
    with pytest.raises(MixedOrientations):
        view(CROP, region(grid), other, Role.PORTAL)


def test_a_region_between_the_crop_s_voxels_has_an_empty_mask() -> None:
    grid = geometry((2.0, 1.0, 1.5), (0.0, 0.0, 0.0))
    mask = np.zeros(grid.shape, dtype=np.bool_)
    mask[2, 2, 2] = mask[15, 30, 30] = True
    assert not view(CROP, replace(region(grid), mask=mask), volume(grid), Role.PORTAL).mask.any()
