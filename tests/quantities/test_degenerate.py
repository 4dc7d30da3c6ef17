"""Regions of every degenerate kind through every method: a finite value, or a refusal by name; never NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from her2node import quantities
from her2node.dicom.codes import Unit
from her2node.errors import DisplacementUnknown, Refused
from her2node.phantoms.flow import Artery, Tissue
from her2node.phantoms.flow import uptake as flow_phantom
from her2node.quantities import dce, diffusion, dual_energy, enhancement, perfusion, signature, uptake
from her2node.quantities.bolus import bolus_of
from her2node.quantities.displacement import displacement
from her2node.quantities.dual_energy import Aorta, Provenance
from her2node.quantities.enhancement import PhaseMeans
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.quantities.uptake import Circumstances
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.body import Body
from her2node.volumes.diffusion import DiffusionSeries
from her2node.volumes.volume import Volume
from tests.quantities import dce_made, made

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


def fdg(volume: Volume, roi: Roi) -> Found:
    suv = made.volume(volume.voxels / 20, spacing=(3.0, 2.0, 2.0), valid=volume.valid, unit=Unit.SUVBW)
    liver = np.random.default_rng(7).normal(2.0, 0.2, 100)
    return uptake.measure(suv, roi, Role.PET, Circumstances(Body(70.0, 1.75, "M"), liver=liver))


def diffusion_of_many_b_values(volume: Volume, roi: Roi) -> Found:
    """IVIM by either fit; the signal of b 0 is what the volume holds, with noise of its own at each b."""
    b_values = (0.0, 20.0, 60.0, 120.0, 250.0, 500.0, 800.0)
    rng = np.random.default_rng(9)
    decays = [0.1 * np.exp(-b * 0.02) + 0.9 * np.exp(-b * 0.001) for b in b_values]
    signal = [10 * volume.voxels * d + rng.normal(0, 5, volume.voxels.shape) * volume.voxels.any() for d in decays]
    series = DiffusionSeries(
        b_values=b_values,
        signal=np.stack(signal).astype(np.float32),
        valid=volume.valid,
        geometry=volume.geometry,
        combined=("trace image",) * len(b_values),
        series_uids=("1.2.4",) * len(b_values),
        sources=(volume.sources,) * len(b_values),
    )
    fits = [diffusion.fitted(series, diffusion.Factors(ivim=ivim)) for ivim in ("variable-projection", "segmented")]
    return tuple(one for fit in fits for one in diffusion.measure(fit, roi, Role.DIFFUSION))


def vendors_adc(volume: Volume, roi: Roi) -> Found:
    return diffusion.measure_vendor_map(made.volume(volume.voxels * 20, valid=volume.valid), roi, Role.ADC_MAP)


def ct_perfusion(volume: Volume, roi: Roi) -> Found:
    """Every voxel takes up contrast by its own share: the zeros nothing, air less than nothing. Every fourth is taken,
    lest the whole image be fitted."""
    times = tuple(float(t) for t in range(0, 61, 2))
    artery = Artery()
    bolus = bolus_of(np.array(times), np.array([artery.at(t) for t in times]), perfusion.LEAST_ARTERIAL_HU)
    own = volume.voxels[roi.mask & volume.valid].astype(np.float64)[::4, np.newaxis]
    curves = own + own / 60 * flow_phantom(artery, Tissue(60, 0.06, 15, 0.2, 2.0), times)
    return perfusion.measure(
        bolus, curves, perfusion.Region(roi.tracking_id, Role.PERFUSION, ("1.2.4",)), perfusion.FACTORS
    )


def dynamic_mr(volume: Volume, roi: Roi) -> Found:
    """Signal by what the volume holds, blood in the first column; an examination may be refused as a whole."""
    times_s = np.arange(0.0, 240.0, 6.0)
    enhanced = dce_made.echo(dce_made.concentration(dce_made.Tissue(vp=0.02), times_s), 1.0)
    blood = dce_made.echo(dce_made.plasma(times_s) * (1 - dce_made.HAEMATOCRIT), dce_made.BLOOD_T1_S)
    signal = enhanced[:, np.newaxis, np.newaxis, np.newaxis] * volume.voxels / 60
    signal[..., 0] = blood[:, np.newaxis, np.newaxis]
    artery = np.zeros(volume.voxels.shape, np.bool_)
    artery[..., 0] = True
    series = replace(
        dce_made.examination([dce_made.Tissue()], times_s=times_s, block=1).volume,
        voxels=signal.astype(np.float32),
        valid=volume.valid,
        geometry=volume.geometry,
        sources=(volume.sources,) * len(times_s),
    )
    found: list[Quantity | NotMeasured] = []
    for model in ("extended-tofts", "patlak"):
        try:
            fit = dce.fitted(series, None, dce.DceFactors(model=model), volume.voxels > 0, artery)
        except Refused as error:
            found.append(NotMeasured("", Role.DCE, error))
            continue
        found += dce.measure(fit, roi, Role.DCE)
    return tuple(found)


METHODS = (
    attenuation_and_morphology, radiomics_filters_and_texture, iodine, fdg, diffusion_of_many_b_values, vendors_adc,
    ct_perfusion, dynamic_mr,
)  # fmt: skip


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


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
@pytest.mark.parametrize("region", [one_voxel, sphere], ids=lambda region: region.__name__)
def test_every_method_measures_what_is_there(
    region: Callable[[], tuple[Volume, Roi]], method: Callable[[Volume, Roi], Found]
) -> None:
    assert any(isinstance(value, Quantity) for value in method(*region()))


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


PLACED = (one_voxel, two_voxels, one_slice, sphere, as_large_as_the_image, larger_than_the_image)
"""Whose surroundings lie in the image and hold edges; of the others none may be given a place."""


@pytest.mark.parametrize("region", PLACED, ids=lambda region: region.__name__)
def test_a_region_compared_with_itself_lies_where_it_lies_as_well_as_is_told(
    region: Callable[[], tuple[Volume, Roi]],
) -> None:
    volume, roi = region()
    found = displacement(volume, roi.mask, volume)
    assert np.abs(found.by_mm).max() <= 4 * found.error_mm + 0.05


@pytest.mark.parametrize("region", [one for one in REGIONS if one not in PLACED], ids=lambda region: region.__name__)
def test_a_region_without_edges_or_surroundings_has_no_place(region: Callable[[], tuple[Volume, Roi]]) -> None:
    volume, roi = region()
    with pytest.raises(DisplacementUnknown):
        displacement(volume, roi.mask, volume)


@pytest.mark.soak
def test_five_million_voxels_have_attenuation_size_iodine_and_texture() -> None:
    volume = made.volume(np.random.default_rng(2).normal(60, 15, (172, 172, 172)).astype(np.float32))
    roi = made.roi(np.ones(volume.voxels.shape, np.bool_), volume)
    assert roi.mask.sum() > 5e6
    for found in (attenuation_and_morphology(volume, roi), iodine(volume, roi)):
        assert all(isinstance(value, Quantity) and math.isfinite(value.value) for value in found)
    texture = signature.shipped("mazda-like").measured(volume, roi, Role.PLAIN)
    assert len([value for value in texture if isinstance(value, Quantity) and math.isfinite(value.value)]) > 250
