"""Regions that are hardly any: a value where there is one, a named refusal elsewhere, never NaN."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.dicom.codes import Unit
from her2node.errors import EmptyRoi, RoiCutOff, SingleSlice, Undefined
from her2node.quantities import radiomics
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.quantities.radiomics.feature import Values
from tests.quantities import made as arrays
from tests.quantities.radiomics import made

EVERY = [radiomics.shipped(f"ibsi-{letter}") for letter in "abcde"] + [made.DIGITAL]
every_configuration = pytest.mark.parametrize("configuration", EVERY, ids=lambda c: c.name)


def all_named(found: Values) -> dict[str, str]:
    """No value is NaN or infinite and no refusal lacks its reason; the reasons by tag."""
    reasons = {}
    for tag, value in found.items():
        if isinstance(value, Undefined):
            assert value.detail, tag
            reasons[tag] = value.detail
        else:
            assert math.isfinite(value), tag
    return reasons


def noise(shape: tuple[int, int, int] = (9, 10, 11)) -> np.ndarray:
    return np.random.default_rng(3).integers(-100, 200, shape).astype(np.float32)


def one_voxel(shape: tuple[int, int, int] = (9, 10, 11)) -> np.ndarray:
    mask = np.zeros(shape, np.bool_)
    mask[4, 5, 6] = True
    return mask


@every_configuration
def test_one_voxel_has_a_volume_and_a_mean_and_no_neighbours(configuration: radiomics.Configuration) -> None:
    voxels = noise()
    found = radiomics.features(np.abs(voxels) + 1, one_voxel(), made.SPACING, configuration)
    reasons = all_named(found)
    assert found["morph_volume"] == pytest.approx(8 / 6, rel=0.01)  # an octahedron between the voxel's centres
    assert found["stat_mean"] == np.abs(voxels)[4, 5, 6] + 1
    assert found["stat_var"] == 0
    assert {"morph_moran_i", "morph_geary_c", "morph_vol_dens_aee", "morph_area_dens_aee"} <= reasons.keys()
    assert "variance" in reasons["morph_moran_i"] or "pairs" in reasons["morph_moran_i"]
    pairless = [tag for tag in found if tag.startswith(("cm_", "ngt_"))]
    assert pairless
    assert reasons.keys() >= set(pairless)
    assert all(found[tag] == 1 for tag in found if tag.startswith(("rlm_sre_", "szm_sze_", "dzm_sde_", "ngl_lde_")))


@every_configuration
def test_constant_intensity_has_no_spread_and_no_correlation(configuration: radiomics.Configuration) -> None:
    mask = made.ellipsoid((9, 10, 11), made.SPACING, (4, 5, 5), (7, 8, 9))
    found = radiomics.features(np.full(mask.shape, 0.1, np.float32), mask, made.SPACING, _from_zero(configuration))
    reasons = all_named(found)
    assert found["stat_var"] == found["stat_skew"] == found["stat_kurt"] == found["stat_range"] == 0
    assert {"morph_moran_i", "morph_geary_c"} <= reasons.keys()
    assert {tag for tag in found if tag.startswith(("cm_corr_", "cm_info_corr1_"))} <= reasons.keys()
    assert all(found[tag] == 1 for tag in found if tag.startswith(("cm_joint_max_", "cm_energy_")))
    assert all(found[tag] == 1e6 for tag in found if tag.startswith("ngt_coarseness"))
    assert all(found[tag] == 0 for tag in found if tag.startswith(("ngt_contrast", "ngt_busyness", "ngt_strength")))


def _from_zero(configuration: radiomics.Configuration) -> radiomics.Configuration:
    """Without rounding, and with bins from zero."""
    kept = replace(configuration.resegmentation, lowest=0.0, highest=None)
    interpolation = configuration.interpolation and replace(configuration.interpolation, rounds=False)
    return replace(configuration, resegmentation=kept, interpolation=interpolation)


@every_configuration
def test_one_slice_has_texture_in_it_and_a_flat_ellipsoid(configuration: radiomics.Configuration) -> None:
    mask = np.zeros((9, 10, 11), np.bool_)
    mask[4, 2:8, 3:9] = True
    found = radiomics.features(np.abs(noise()) + 1, mask, made.SPACING, configuration)
    reasons = all_named(found)
    assert found["morph_pca_flatness"] == found["morph_pca_least_axis"] == 0
    assert reasons.keys() == {"morph_vol_dens_aee"}
    assert reasons["morph_vol_dens_aee"] == "morph_vol_dens_aee: the volume of the ellipsoid is zero"


def test_a_perfect_sphere_is_round() -> None:
    mask = made.ellipsoid((31, 31, 31), made.CUBES, (15, 15, 15), (13, 13, 13))
    found = radiomics.features(np.abs(noise(mask.shape)) + 1, mask, made.CUBES, EVERY[2])
    assert not all_named(found)
    assert found["morph_pca_elongation"] == pytest.approx(1, abs=1e-12)
    assert found["morph_pca_flatness"] == pytest.approx(1, abs=1e-12)
    assert found["morph_vol_dens_aee"] == pytest.approx((13 / (2 * 13 / np.sqrt(5))) ** 3, rel=0.02)
    assert 0.9 < found["morph_sphericity"] < 1  # steps of voxels add area


@every_configuration
def test_a_region_as_large_as_the_image_is_measured_without_going_beyond_it(
    configuration: radiomics.Configuration,
) -> None:
    voxels = np.abs(noise()) + 1
    assert not all_named(radiomics.features(voxels, np.ones(voxels.shape, np.bool_), made.SPACING, configuration))


def test_a_region_larger_than_the_series_has_intensities_and_no_size() -> None:
    volume = arrays.volume(np.abs(noise()) + 1)
    roi = arrays.roi(np.ones(volume.voxels.shape, np.bool_), volume, cut_off=True)
    found = radiomics.measure(volume, roi, None, EVERY[2])
    sizes = [item for item in found if item.code is not None and isinstance(item, NotMeasured)]
    assert len(sizes) == 25
    assert all(isinstance(item.refused, RoiCutOff) for item in sizes)
    assert len(found) == 210


def test_a_series_of_one_slice_has_no_size() -> None:
    volume = arrays.volume(np.abs(noise((1, 9, 9))) + 1)
    found = radiomics.measure(volume, arrays.roi(np.ones((1, 9, 9), np.bool_), volume), None, EVERY[0])
    refused = {type(item.refused) for item in found if isinstance(item, NotMeasured)}
    assert refused == {SingleSlice}


@every_configuration
def test_a_region_outside_the_field_of_view_has_a_size_and_no_intensity(configuration: radiomics.Configuration) -> None:
    voxels = noise()
    valid = np.zeros(voxels.shape, np.bool_)
    mask = made.ellipsoid(voxels.shape, made.SPACING, (4, 5, 5), (6, 7, 8))
    found = radiomics.features(voxels, mask, made.SPACING, configuration, valid=valid)
    reasons = all_named(found)
    assert found["morph_volume"] > 0
    assert "stat_mean" in reasons
    assert reasons.keys() >= {"morph_com", "morph_integ_int", "morph_moran_i", "loc_peak_glob", "ih_mean", "ivh_v10"}


def test_a_voxel_without_image_is_in_no_statistic_and_touches_no_neighbour_by_interpolation() -> None:
    voxels = np.full((9, 10, 11), 50, np.float32)
    voxels[4, 5, 5] = -3024
    mask = made.ellipsoid(voxels.shape, made.SPACING, (4, 5, 5), (7, 8, 9))
    for configuration in EVERY:
        found = radiomics.features(voxels, mask, (2.0, 3.0, 3.0), configuration, valid=voxels > -1024)
        assert found["stat_min"] == found["stat_max"] == 50


@every_configuration
def test_a_region_in_the_air_is_measured_as_air(configuration: radiomics.Configuration) -> None:
    mask = made.ellipsoid((9, 10, 11), made.SPACING, (4, 5, 5), (7, 8, 9))
    found = radiomics.features(np.full(mask.shape, -1000, np.float32), mask, made.SPACING, configuration)
    all_named(found)
    beyond = (configuration.resegmentation.lowest or -1000) > -1000
    assert isinstance(found["stat_mean"], Undefined) if beyond else found["stat_mean"] == -1000


def test_a_region_that_interpolation_loses_is_empty_and_every_feature_says_so() -> None:
    volume = arrays.volume(noise(), spacing=(0.3, 0.3, 0.3))
    roi = arrays.roi(one_voxel(), volume)
    found = radiomics.measure(volume, roi, None, EVERY[2])
    assert len(found) == 210
    assert {type(item.refused) for item in found if isinstance(item, NotMeasured)} == {EmptyRoi}
    with pytest.raises(EmptyRoi):
        radiomics.features(noise(), np.zeros((9, 10, 11), np.bool_), made.SPACING, EVERY[2])


def test_a_mask_of_another_shape_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="the mask"):
        radiomics.features(noise(), np.ones((2, 2, 2), np.bool_), made.SPACING, EVERY[0])


def test_too_many_grey_levels_are_refused_for_texture_alone() -> None:
    voxels = np.arange(990, dtype=np.float32).reshape(9, 10, 11) * 100
    found = radiomics.features(voxels, np.ones(voxels.shape, np.bool_), made.SPACING, made.DIGITAL)
    reasons = all_named(found)
    assert all(tag.startswith(("cm_", "rlm_", "szm_", "dzm_", "ngt_", "ngl_")) for tag in reasons)
    assert "grey levels" in reasons["cm_joint_max_3D_comb"]


@given(
    voxels=st.lists(st.integers(-3, 3), min_size=12, max_size=12),
    inside=st.lists(st.booleans(), min_size=12, max_size=12).filter(any),
    configuration=st.sampled_from(EVERY),
)
@settings(max_examples=60, deadline=None)
def test_no_tiny_region_gives_nan(
    voxels: list[int], inside: list[bool], configuration: radiomics.Configuration
) -> None:
    image = np.array(voxels, np.float32).reshape(2, 2, 3)
    mask = np.array(inside).reshape(2, 2, 3)
    try:
        found = radiomics.features(image, mask, (3.0, 1.5, 2.0), _from_zero(configuration))
    except EmptyRoi:
        return
    all_named(found)


@pytest.mark.soak
def test_five_million_voxels_have_every_feature() -> None:
    shape = (172, 216, 216)
    mask = made.ellipsoid(shape, made.CUBES, (86, 108, 108), (85, 116, 116))
    assert np.count_nonzero(mask) > 4_500_000
    voxels = np.random.default_rng(5).normal(80, 30, shape).astype(np.float32)
    found = radiomics.features(voxels, mask, made.CUBES, replace(EVERY[2], interpolation=None))
    assert not all_named(found)
    assert len(found) == 210


def test_a_measured_feature_bears_its_code_unit_aggregation_and_configuration() -> None:
    volume = arrays.volume(np.abs(noise()) + 1)
    mask = made.ellipsoid(volume.voxels.shape, made.SPACING, (4, 5, 5), (7, 8, 9))
    asked = made.asking("morph_volume", "stat_var", "cm_joint_max_3D_comb", "ivh_i10", of=EVERY[4])
    found = radiomics.measure(volume, arrays.roi(mask, volume), None, asked)
    assert all(isinstance(item, Quantity) for item in found)
    size, variance, joint, level = found
    assert (size.code.value, size.code.scheme, size.code.meaning) == ("RNU0", "IBSI", "Volume of Mesh")
    assert size.unit == Unit.MM3
    assert variance.unit.value == "[hnsf'U]2"
    assert joint.modifier is not None
    assert (joint.modifier.value, joint.unit) == ("IAZD", Unit.ONE)
    assert level.unit == Unit.ONE  # configuration E counts intensities of the histogram in bins
    assert {item.method for item in found} == {asked.method}
    assert asked.method == EVERY[4].method  # which features are asked for shapes no value
