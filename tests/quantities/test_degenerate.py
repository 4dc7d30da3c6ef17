"""Regions of every degenerate kind through every method of CT: a finite value, or a refusal by name; never NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest

from her2node import quantities
from her2node.dicom.codes import Unit
from her2node.errors import DisplacementUnknown, Refused
from her2node.quantities import dual_energy, enhancement, signature
from her2node.quantities.displacement import displacement
from her2node.quantities.dual_energy import Aorta, Provenance
from her2node.quantities.enhancement import PhaseMeans
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Volume
from tests.quantities import made

Found = tuple[Quantity | NotMeasured, ...]
SHAPE = (8, 14, 16)

WANTED = signature.parse(
    """
mazda_like = true
name = "all"
title = "every family and every kind of filter"
[interpolation]
in_plane_mm = 2.5
slice_mm = 2.5
method = "cubic-spline"
round_intensities = true
[resegmentation]
outliers_sigma = 3
[discretisation]
method = "fixed-bin-number"
bins = 16
[intensity_volume_histogram]
method = "fixed-bin-number"
bins = 1000
[texture]
aggregations = ["2D_avg", "2D_comb", "2_5D_avg", "2_5D_comb", "3D_avg", "3D_comb"]
[response]
families = ["stat", "ih", "cm", "rlm", "szm", "dzm", "ngt", "ngl"]
discretisation = { method = "fixed-bin-number", bins = 16 }
[[filters]]
name = "mean"
kind = "mean"
support = 3
dimensions = 3
boundary = "mirror"
[[filters]]
name = "log"
kind = "laplacian-of-gaussian"
sigma_mm = 3.0
dimensions = 3
boundary = "nearest"
[[filters]]
name = "laws"
kind = "laws"
kernels = "L5E5S5"
boundary = "zero"
pooling = "maximum"
energy_distance = 3
[[filters]]
name = "gabor"
kind = "gabor"
sigma_mm = 5.0
wavelength_mm = 4.0
aspect = 1.0
boundary = "mirror"
rotation_step_deg = 90.0
orthogonal_planes = true
[[filters]]
name = "wavelet"
kind = "separable-wavelet"
family = "daubechies-2"
subband = "LHL"
level = 1
boundary = "periodic"
[[filters]]
name = "simoncelli"
kind = "non-separable-wavelet"
family = "simoncelli"
level = 1
dimensions = 3
[[filters]]
name = "riesz"
kind = "riesz"
order = [1, 0, 0]
of = { kind = "laplacian-of-gaussian", sigma_mm = 3.0, dimensions = 3, boundary = "mirror" }
""",
    "all",
)


def noise(shape: tuple[int, int, int] = SHAPE) -> Volume:
    return made.volume(np.random.default_rng(5).normal(60, 15, shape), spacing=(3.0, 2.0, 2.0))


def one(place: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.bool_)
    mask[place] = True
    return mask


def one_voxel() -> tuple[Volume, Roi]:
    volume = noise()
    return volume, made.roi(one((4, 7, 7)), volume)


def corner_voxel() -> tuple[Volume, Roi]:
    volume = noise()
    return volume, made.roi(one((0, 0, 0)), volume)


def two_voxels() -> tuple[Volume, Roi]:
    volume = noise()
    return volume, made.roi(one((4, 7, 7)) | one((4, 7, 8)), volume)


def one_slice() -> tuple[Volume, Roi]:
    volume, mask = noise(), np.zeros(SHAPE, np.bool_)
    mask[3, 3:11, 3:11] = True
    return volume, made.roi(mask, volume)


def series_of_one_slice() -> tuple[Volume, Roi]:
    volume = noise((1, 14, 16))
    mask = np.zeros((1, 14, 16), np.bool_)
    mask[0, 3:11, 3:11] = True
    return volume, made.roi(mask, volume)


def sphere() -> tuple[Volume, Roi]:
    volume = noise()
    z, y, x = np.indices(SHAPE)
    return volume, made.roi((3 * (z - 3.5)) ** 2 + (2 * (y - 6.5)) ** 2 + (2 * (x - 7.5)) ** 2 <= 9.0**2, volume)


def constant() -> tuple[Volume, Roi]:
    volume = made.volume(np.full(SHAPE, 40.0), spacing=(3.0, 2.0, 2.0))
    return volume, made.roi(sphere()[1].mask, volume)


def zero() -> tuple[Volume, Roi]:
    volume = made.volume(np.zeros(SHAPE), spacing=(3.0, 2.0, 2.0))
    return volume, made.roi(sphere()[1].mask, volume)


def as_large_as_the_image() -> tuple[Volume, Roi]:
    volume = noise()
    return volume, made.roi(np.ones(SHAPE, np.bool_), volume)


def larger_than_the_image() -> tuple[Volume, Roi]:
    volume = noise()
    return volume, made.roi(np.ones(SHAPE, np.bool_), volume, cut_off=True)


def without_image() -> tuple[Volume, Roi]:
    volume = made.volume(noise().voxels, spacing=(3.0, 2.0, 2.0), valid=np.zeros(SHAPE, np.bool_))
    return volume, made.roi(sphere()[1].mask, volume)


def half_without_image() -> tuple[Volume, Roi]:
    valid = np.ones(SHAPE, np.bool_)
    valid[:, :, 7:] = False
    volume = made.volume(noise().voxels, spacing=(3.0, 2.0, 2.0), valid=valid)
    return volume, made.roi(sphere()[1].mask, volume)


def in_the_air() -> tuple[Volume, Roi]:
    volume = made.volume(np.full(SHAPE, -1000.0), spacing=(3.0, 2.0, 2.0))
    return volume, made.roi(sphere()[1].mask, volume)


REGIONS: tuple[Callable[[], tuple[Volume, Roi]], ...] = (
    one_voxel, corner_voxel, two_voxels, one_slice, series_of_one_slice, sphere, constant, zero, as_large_as_the_image,
    larger_than_the_image, without_image, half_without_image, in_the_air,
)  # fmt: skip


def attenuation_and_morphology(volume: Volume, roi: Roi) -> Found:
    return quantities.measure(volume, roi, Role.PLAIN)


def radiomics_filters_and_texture(volume: Volume, roi: Roi) -> Found:
    return WANTED.measured(volume, roi, Role.PLAIN)


def iodine(volume: Volume, roi: Roi) -> Found:
    mg = made.volume(volume.voxels / 20, spacing=(3.0, 2.0, 2.0), valid=volume.valid, unit=Unit.MG_PER_ML)
    return dual_energy.measure(mg, roi, Role.IODINE, Provenance(), Aorta(roi.mask))


METHODS = (attenuation_and_morphology, radiomics_filters_and_texture, iodine)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.__name__)
def test_every_degenerate_region_has_values_or_named_refusals(
    region: Callable[[], tuple[Volume, Roi]], method: Callable[[Volume, Roi], Found]
) -> None:
    found = method(*region())
    assert found
    for value in found:
        if isinstance(value, Quantity):
            assert math.isfinite(value.value), value
        else:
            assert isinstance(value.refused, Refused)
            assert value.refused.reason
            assert value.refused.detail or value.refused.reason


def test_of_one_voxel_the_value_is_its_mean_and_what_needs_more_is_refused() -> None:
    volume, roi = one_voxel()
    found = attenuation_and_morphology(volume, roi)
    assert made.named(found)["Mean"] == pytest.approx(float(volume.voxels[4, 7, 7]))
    assert {"too-few-voxels"} == {value.refused.reason for value in found if isinstance(value, NotMeasured)}


@pytest.mark.parametrize("hu", [0.0, -0.0, 40.0])
def test_equal_phases_without_any_enhancement_give_no_ratio_of_nothing(hu: float) -> None:
    means = PhaseMeans("1.2", hu, hu, hu)
    phases = dict.fromkeys((Role.PLAIN, Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM), means)
    found = enhancement.measure("T", phases, narrowed=False)
    assert all(math.isfinite(value.value) for value in found if isinstance(value, Quantity))
    assert any(isinstance(value, NotMeasured) for value in found)


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.__name__)
def test_a_displacement_is_finite_or_refused(region: Callable[[], tuple[Volume, Roi]]) -> None:
    volume, roi = region()
    found = None
    with suppress(DisplacementUnknown):  # anything else is a fault
        found = displacement(volume, roi.mask, volume)
    assert found is None or np.isfinite([*found.by_mm, found.error_mm]).all()


@pytest.mark.soak
def test_five_million_voxels_have_attenuation_size_iodine_and_texture() -> None:
    volume = made.volume(np.random.default_rng(2).normal(60, 15, (172, 172, 172)).astype(np.float32))
    roi = made.roi(np.ones(volume.voxels.shape, np.bool_), volume)
    assert roi.mask.sum() > 5e6
    for found in (attenuation_and_morphology(volume, roi), iodine(volume, roi)):
        assert all(isinstance(value, Quantity) and math.isfinite(value.value) for value in found)
    texture = signature.shipped("mazda-like").measured(volume, roi, Role.PLAIN)
    assert len([value for value in texture if isinstance(value, Quantity) and math.isfinite(value.value)]) > 250
