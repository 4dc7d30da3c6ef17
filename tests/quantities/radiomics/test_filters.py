"""The filters where the answer is known by hand, and what holds for any image."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from her2node.quantities.radiomics.filters import (
    Band,
    Boundary,
    Family,
    Filter,
    Gabor,
    LaplacianOfGaussian,
    Laws,
    Mean,
    NonSeparableWavelet,
    Pooling,
    Riesz,
    SeparableWavelet,
    respond,
)
from her2node.quantities.radiomics.filters.kernel import Kernel
from her2node.quantities.radiomics.filters.wavelets import analysis_taps

ONE_MM = (1.0, 1.0, 1.0)
MIRROR, PERIODIC, ZERO = Boundary.MIRROR, Boundary.PERIODIC, Boundary.ZERO
NOISE = np.random.default_rng(11).normal(40, 20, (8, 9, 11))
WITHOUT_ZERO = (Boundary.NEAREST, PERIODIC, MIRROR)
IMAGES = arrays.arrays(np.float64, (5, 5, 5), elements=st.integers(-1000, 1000).map(float))
QUICK = settings(deadline=None, max_examples=25)

LINEAR: tuple[Filter, ...] = (
    Mean(3, 3, PERIODIC),
    LaplacianOfGaussian(1.2, 3, PERIODIC),
    Laws("L5E5S3", PERIODIC),
    SeparableWavelet(Family.DAUBECHIES_3, "LHL", 2, PERIODIC),
    NonSeparableWavelet(Band.SIMONCELLI, 1, 3),
    Riesz((1, 0, 1), NonSeparableWavelet(Band.SHANNON, 1, 3)),
)
POOLED_IN_SPACE: tuple[Filter, ...] = (
    Laws("E5L5S5", MIRROR, Pooling.MAXIMUM),
    Laws("L3E3E5", ZERO, Pooling.AVERAGE, energy_distance=1),
    SeparableWavelet(Family.DAUBECHIES_2, "LLH", 1, PERIODIC, Pooling.AVERAGE),
    SeparableWavelet(Family.COIFLET_1, "LHH", 2, MIRROR, Pooling.MAXIMUM),
    Gabor(2.0, 3.0, 1.5, MIRROR, rotation_step_deg=45.0, orthogonal_planes=True),
)
POOLED_IN_SLICES: tuple[Filter, ...] = (
    Laws("L5E5", MIRROR, Pooling.MAXIMUM, energy_distance=2),
    SeparableWavelet(Family.DAUBECHIES_3, "LH", 1, MIRROR, Pooling.AVERAGE),
    Gabor(2.0, 3.0, 0.5, MIRROR, rotation_step_deg=30.0),
)


def impulse(size: int = 15) -> np.ndarray:
    voxels = np.zeros((size, size, size))
    voxels[size // 2, size // 2, size // 2] = 1
    return voxels


def ramp(shape: tuple[int, int, int], axis: int) -> np.ndarray:
    return np.broadcast_to(np.moveaxis(np.arange(shape[axis], dtype=float)[:, None, None], 0, axis), shape).copy()


@pytest.mark.parametrize(
    ("boundary", "left", "right"),
    [(ZERO, 1, 3), (Boundary.NEAREST, 4 / 3, 11 / 3), (PERIODIC, 7 / 3, 8 / 3), (MIRROR, 4 / 3, 11 / 3)],
)
def test_what_stands_beyond_the_faces_is_as_named(boundary: Boundary, left: float, right: float) -> None:
    row = np.array([[[1.0, 2.0, 3.0, 4.0]]] * 3).reshape(3, 1, 4)
    response = Mean(3, 2, boundary).apply(np.repeat(row, 3, axis=1), ONE_MM)
    between = [2.0, 3.0]
    rows = 2 / 3 if boundary is ZERO else 1  # the rows above and below are outside too
    assert response[1, 0] == pytest.approx(
        np.array([left, *between, (right if boundary is not ZERO else 7 / 3)]) * rows
    )


def test_mirror_repeats_the_voxel_of_the_face() -> None:
    row = np.array([1.0, 10.0, 100.0]).reshape(1, 1, 3)
    assert Kernel((1.0, 0.0, 0.0, 0.0, 0.0), 2).convolve(row, 2, MIRROR).ravel().tolist() == [100, 100, 10]
    assert Kernel((0.0, 0.0, 0.0, 0.0, 1.0), 2).convolve(row, 2, MIRROR).ravel().tolist() == [10, 1, 1]


def test_the_mean_of_an_impulse_is_a_box() -> None:
    response = Mean(5, 3, ZERO).apply(impulse(), ONE_MM)
    expected = np.zeros((15, 15, 15))
    expected[5:10, 5:10, 5:10] = 1 / 125
    assert response == pytest.approx(expected)


def test_the_laplacian_of_gaussian_of_an_impulse_is_ibsi_s_formula() -> None:
    sigma, size = 2.0, 25
    response = LaplacianOfGaussian(3.0, 3, ZERO).apply(impulse(size), (1.5, 1.5, 1.5))
    squared = ((np.indices((size, size, size)) - size // 2) ** 2).sum(axis=0)
    gaussian = np.exp(-squared / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma) ** 3
    formula = -gaussian / sigma**2 * (3 - squared / sigma**2)
    inside = np.abs(np.indices((size, size, size)) - size // 2).max(axis=0) <= 8
    assert np.abs(response - formula)[inside].max() < 2e-3 * np.abs(formula).max()
    assert not response[~inside].any()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_laplacian_of_a_parabola_is_two_an_axis(dimensions: int) -> None:
    shape = (31, 31, 31)
    parabola = sum(ramp(shape, axis) ** 2 for axis in range(3 - dimensions, 3))
    response = LaplacianOfGaussian(1.5, dimensions, MIRROR).apply(parabola, ONE_MM)
    assert response[15, 15, 15] == pytest.approx(2 * dimensions, rel=0.01)


@QUICK
@given(st.floats(0.5, 4), st.integers(-1024, 3071), st.sampled_from(WITHOUT_ZERO), st.sampled_from([2, 3]))
def test_the_laplacian_of_gaussian_of_a_constant_is_0(sigma: float, value: int, boundary: Boundary, d: int) -> None:
    response = LaplacianOfGaussian(sigma, d, boundary).apply(np.full((5, 6, 7), float(value)), ONE_MM)
    assert np.abs(response).max() <= 1e-12 * max(abs(value), 1)


@pytest.mark.parametrize(
    "filter_",
    [
        Laws("L5E5S5", MIRROR, Pooling.MAXIMUM, energy_distance=2),
        SeparableWavelet(Family.DAUBECHIES_4, "LLH", 2, MIRROR),
        NonSeparableWavelet(Band.SIMONCELLI, 2, 3),
        NonSeparableWavelet(Band.SHANNON, 1, 3),
        Riesz((1, 0, 0), NonSeparableWavelet(Band.SHANNON, 2, 3)),
    ],
)
def test_what_looks_for_change_gives_0_for_a_constant(filter_: Filter) -> None:
    assert np.abs(filter_.apply(np.full((9, 9, 9), 1000.0), ONE_MM)).max() < 1e-8


def test_laws_edge_kernel_measures_the_slope_of_a_ramp() -> None:
    columns = ramp((9, 9, 9), axis=2)
    response = Laws("E5L5L5", MIRROR).apply(columns, ONE_MM)
    level = 16 / math.sqrt(70)
    assert response[4, 4, 4] == pytest.approx(-8 / math.sqrt(10) * level**2)
    assert Laws("L5E5L5", MIRROR).apply(columns, ONE_MM)[4, 4, 4] == pytest.approx(0, abs=1e-12)


def test_the_first_letter_is_along_the_columns_and_the_last_along_the_slices() -> None:
    for position, axis in ((0, 2), (1, 1), (2, 0)):
        name = ["L5", "L5", "L5"]
        name[position] = "E5"
        subband = "".join("H" if letter == "E5" else "L" for letter in name)
        image = ramp((9, 9, 9), axis) ** 3
        assert abs(Laws("".join(name), MIRROR).apply(image, ONE_MM)[4, 4, 4]) > 1
        assert abs(SeparableWavelet(Family.HAAR, subband, 1, MIRROR).apply(image, ONE_MM)[4, 4, 4]) > 1


def test_laws_energy_is_the_mean_of_the_absolute_response_around() -> None:
    plain = np.abs(Laws("E5S5", MIRROR).apply(NOISE, ONE_MM))
    energy = Laws("E5S5", MIRROR, energy_distance=1).apply(NOISE, ONE_MM)
    assert energy[3, 4, 5] == pytest.approx(plain[3, 3:6, 4:7].mean())


def test_a_gabor_filter_answers_stripes_of_its_direction_and_width_most() -> None:
    y, x = np.mgrid[:61, :61]
    theta = math.radians(30)
    stripes = np.cos(2 * math.pi * (x * math.cos(theta) + y * math.sin(theta)) / 6)[None]
    envelope = 2 * math.pi * 3**2 / 1.5
    answer = {
        turn: Gabor(3.0, 6.0, 1.5, MIRROR, theta_deg=turn).apply(stripes, ONE_MM)[0, 30, 30]
        for turn in range(0, 180, 30)
    }
    assert answer[30] == pytest.approx(envelope / 2, rel=1e-3)
    assert max(value for turn, value in answer.items() if turn != 30) < 0.6 * answer[30]
    assert Gabor(3.0, 12.0, 1.5, MIRROR, theta_deg=30.0).apply(stripes, ONE_MM)[0, 30, 30] < 0.5 * answer[30]


def test_a_gabor_average_is_the_mean_over_directions() -> None:
    each = [Gabor(2.0, 4.0, 1.5, MIRROR, theta_deg=turn).apply(NOISE, ONE_MM) for turn in range(0, 360, 72)]
    pooled = Gabor(2.0, 4.0, 1.5, MIRROR, rotation_step_deg=72.0).apply(NOISE, ONE_MM)
    assert pooled == pytest.approx(np.mean(each, axis=0))
    half = [Gabor(2.0, 4.0, 1.5, MIRROR, theta_deg=turn).apply(NOISE, ONE_MM) for turn in range(0, 360, 90)]
    assert Gabor(2.0, 4.0, 1.5, MIRROR, rotation_step_deg=90.0).apply(NOISE, ONE_MM) == pytest.approx(
        np.mean(half, axis=0)
    )


def test_the_taps_of_daubechies_2_are_those_of_the_book() -> None:
    r = math.sqrt(3)
    low, high = analysis_taps(Family.DAUBECHIES_2)
    assert low == pytest.approx([t / (4 * math.sqrt(2)) for t in (1 - r, 3 - r, 3 + r, 1 + r)])
    assert high == pytest.approx([t / (4 * math.sqrt(2)) for t in (-1 - r, 3 + r, -3 + r, 1 - r)])


@pytest.mark.parametrize("family", Family)
def test_the_taps_of_every_wavelet_are_orthonormal_and_have_their_vanishing_moments(family: Family) -> None:
    low, high = (np.array(taps) for taps in analysis_taps(family))
    moments = {Family.HAAR: 1, Family.COIFLET_1: 2}.get(family) or int(family.value[-1])
    assert low.sum() == pytest.approx(math.sqrt(2))
    for shift in range(0, len(low), 2):
        alike = 1 if shift == 0 else 0
        assert low[shift:] @ low[: len(low) - shift] == pytest.approx(alike, abs=1e-9)
        assert high[shift:] @ high[: len(high) - shift] == pytest.approx(alike, abs=1e-9)
        assert high[shift:] @ low[: len(low) - shift] == pytest.approx(0, abs=1e-9)
    for power in range(moments):
        assert high @ np.arange(len(high)) ** power == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("family", [Family.HAAR, Family.DAUBECHIES_3, Family.COIFLET_1])
def test_a_level_of_a_separable_wavelet_keeps_the_energy_eightfold(family: Family) -> None:
    bands = ("".join(letters) for letters in itertools.product("LH", repeat=3))
    energy = sum((SeparableWavelet(family, b, 1, PERIODIC).apply(NOISE, ONE_MM) ** 2).sum() for b in bands)
    assert energy == pytest.approx(8 * (NOISE**2).sum())


def test_level_2_is_level_1_of_every_second_voxel_of_the_smoothed_image() -> None:
    image = np.random.default_rng(3).normal(size=(1, 16, 16))
    smooth = SeparableWavelet(Family.DAUBECHIES_2, "LL", 1, PERIODIC).apply(image, ONE_MM)
    coarse = SeparableWavelet(Family.DAUBECHIES_2, "HL", 1, PERIODIC).apply(smooth[:, ::2, ::2], ONE_MM)
    assert SeparableWavelet(Family.DAUBECHIES_2, "HL", 2, PERIODIC).apply(image, ONE_MM)[:, ::2, ::2] == pytest.approx(
        coarse
    )


def wave(cycles: int, size: int = 65) -> np.ndarray:
    return np.cos(2 * math.pi * cycles * ramp((3, 3, size), axis=2) / size)


def test_simoncelli_passes_half_of_nyquist_at_level_1_and_a_quarter_at_level_2() -> None:
    for level, cycles in ((1, 16), (2, 8), (3, 4)):
        assert NonSeparableWavelet(Band.SIMONCELLI, level, 3).apply(wave(cycles), ONE_MM) == pytest.approx(wave(cycles))
        blocked = NonSeparableWavelet(Band.SIMONCELLI, level, 3).apply(wave(cycles * 2), ONE_MM)
        assert np.abs(blocked).max() < 1e-12


def test_neighbouring_simoncelli_bands_share_the_energy_of_a_frequency() -> None:
    image = wave(12)
    energy = sum((NonSeparableWavelet(Band.SIMONCELLI, n, 3).apply(image, ONE_MM) ** 2).sum() for n in (1, 2))
    assert energy == pytest.approx((image**2).sum())


def test_shannon_bands_do_not_overlap_and_pass_unchanged() -> None:
    first = NonSeparableWavelet(Band.SHANNON, 1, 3).apply(NOISE[:7, :, :], ONE_MM)
    assert NonSeparableWavelet(Band.SHANNON, 1, 3).apply(first, ONE_MM) == pytest.approx(first)
    assert np.abs(NonSeparableWavelet(Band.SHANNON, 2, 3).apply(first, ONE_MM)).max() < 1e-10


def test_the_riesz_transform_of_a_cosine_is_the_sine() -> None:
    sine = np.sin(2 * math.pi * 16 * ramp((3, 3, 65), axis=2) / 65)
    simoncelli = NonSeparableWavelet(Band.SIMONCELLI, 1, 3)
    assert Riesz((1, 0, 0), simoncelli).apply(wave(16), ONE_MM) == pytest.approx(sine)
    assert Riesz((2, 0, 0), simoncelli).apply(wave(16), ONE_MM) == pytest.approx(-wave(16))
    assert np.abs(Riesz((0, 1, 0), simoncelli).apply(wave(16), ONE_MM)).max() < 1e-12


@pytest.mark.parametrize("total", [1, 2, 3])
def test_the_riesz_transforms_of_one_order_share_the_energy(total: int) -> None:
    band = NonSeparableWavelet(Band.SIMONCELLI, 1, 3)
    image = np.random.default_rng(5).normal(size=(7, 9, 11))
    orders = [order for order in itertools.product(range(total + 1), repeat=3) if sum(order) == total]
    energy = sum((Riesz(order, band).apply(image, ONE_MM) ** 2).sum() for order in orders)
    assert energy == pytest.approx((band.apply(image, ONE_MM) ** 2).sum())


@pytest.mark.parametrize("filter_", LINEAR, ids=lambda f: f.kind)
@QUICK
@given(a=IMAGES, b=IMAGES)
def test_the_response_to_a_sum_is_the_sum_of_the_responses(filter_: Filter, a: np.ndarray, b: np.ndarray) -> None:
    both = filter_.apply(a + 2 * b, ONE_MM)
    assert both == pytest.approx(filter_.apply(a, ONE_MM) + 2 * filter_.apply(b, ONE_MM), abs=1e-6)


@pytest.mark.parametrize("filter_", LINEAR, ids=lambda f: f.kind)
@QUICK
@given(image=IMAGES, shift=st.tuples(*[st.integers(0, 4)] * 3))
def test_the_response_moves_with_a_periodic_image(
    filter_: Filter, image: np.ndarray, shift: tuple[int, int, int]
) -> None:
    moved = filter_.apply(np.roll(image, shift, (0, 1, 2)), ONE_MM)
    assert moved == pytest.approx(np.roll(filter_.apply(image, ONE_MM), shift, (0, 1, 2)), abs=1e-6)


@pytest.mark.parametrize("filter_", POOLED_IN_SPACE, ids=lambda f: f.kind)
@QUICK
@given(image=IMAGES, plane=st.sampled_from([(0, 1), (0, 2), (1, 2)]))
def test_a_pooled_response_in_space_turns_with_the_image(
    filter_: Filter, image: np.ndarray, plane: tuple[int, int]
) -> None:
    turned = filter_.apply(np.rot90(image, axes=plane).copy(), ONE_MM)
    assert turned == pytest.approx(np.rot90(filter_.apply(image, ONE_MM), axes=plane), abs=1e-6)


@pytest.mark.parametrize("filter_", POOLED_IN_SLICES, ids=lambda f: f.kind)
@QUICK
@given(image=IMAGES)
def test_a_pooled_response_in_slices_turns_with_each_slice(filter_: Filter, image: np.ndarray) -> None:
    turned = filter_.apply(np.rot90(image, axes=(1, 2)).copy(), ONE_MM)
    assert turned == pytest.approx(np.rot90(filter_.apply(image, ONE_MM), axes=(1, 2)), abs=1e-6)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@QUICK
@given(image=IMAGES)
def test_exchanging_the_axes_of_the_image_and_of_the_kernels_exchanges_those_of_the_response(
    order: tuple[int, ...], image: np.ndarray
) -> None:
    names = ["E5", "L3", "S5"]
    exchanged = "".join(names[2 - axis] for axis in reversed(order))
    response = Laws("".join(names), MIRROR).apply(image, ONE_MM)
    assert Laws(exchanged, MIRROR).apply(image.transpose(order), ONE_MM) == pytest.approx(
        response.transpose(order), abs=1e-6
    )


@pytest.mark.parametrize(
    "filter_",
    [
        Mean(5, 3, ZERO),
        LaplacianOfGaussian(1.0, 3, Boundary.NEAREST),
        Laws("L5E5E5", MIRROR, Pooling.MAXIMUM, energy_distance=2),
        Gabor(1.0, 2.0, 1.0, MIRROR, rotation_step_deg=45.0, orthogonal_planes=True),
        Gabor(1.0, 2.0, 1.0, ZERO),
        SeparableWavelet(Family.DAUBECHIES_2, "LLH", 2, MIRROR, Pooling.AVERAGE),
        SeparableWavelet(Family.DAUBECHIES_2, "LLH", 1, PERIODIC),
        NonSeparableWavelet(Band.SIMONCELLI, 1, 2),
    ],
)
@pytest.mark.parametrize("corner", [(0, 0, 0), (12, 13, 14), (26, 25, 24)])
def test_the_response_in_a_region_is_that_of_the_whole_image_there(
    filter_: Filter, corner: tuple[int, int, int]
) -> None:
    image = np.random.default_rng(2).normal(size=(29, 28, 27))
    mask = np.zeros(image.shape, np.bool_)
    mask[tuple(slice(at, at + 3) for at in corner)] = True
    near = respond(filter_, image, ONE_MM, mask)
    assert near[mask] == pytest.approx(filter_.apply(image, ONE_MM)[mask], abs=1e-9)
    assert not near[~mask].any()


@pytest.mark.parametrize("filter_", [*LINEAR, *POOLED_IN_SPACE, *POOLED_IN_SLICES], ids=lambda f: f.kind)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 3), (2, 1, 5)])
def test_an_image_of_a_few_voxels_has_a_finite_response(filter_: Filter, shape: tuple[int, int, int]) -> None:
    response = filter_.apply(np.full(shape, 40.0), ONE_MM)
    assert response.shape == shape
    assert response.dtype == np.float64
    assert np.isfinite(response).all()
