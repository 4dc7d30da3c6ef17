"""MaZda-like texture: IBSI's and the inventors' figures where there are any, analytic cases elsewhere."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from her2node.dicom.codes import Texture, Unit
from her2node.errors import NotCalibrated, RoleMissing, TooFewVoxels, Undefined
from her2node.quantities import texture
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.quantities.texture import autoregression, cooccurrence, gradient, grey_values, haar, runs
from her2node.quantities.texture.slice_levels import Plane, largest, levels_of, normalised
from her2node.selection.roles import Role
from tests.quantities import made

RNG = np.random.default_rng(20)
VOXELS = RNG.normal(45, 12, (3, 40, 48)).round()
DISC = np.hypot(*(np.indices((40, 48)) - np.array([19.5, 23.5])[:, None, None])) < 18
MASK = np.stack([np.zeros_like(DISC), DISC, DISC & (np.indices(DISC.shape)[0] < 20)])
HARALICK = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]]) + 1
GALLOWAY = np.array([[0, 1, 2, 3], [0, 2, 3, 3], [2, 1, 1, 1], [3, 0, 3, 0]]) + 1
QUICK = settings(deadline=None, max_examples=30)


def measured(
    voxels: np.ndarray = VOXELS, mask: np.ndarray = MASK, role: Role | None = Role.PLAIN, **changed: object
) -> tuple[Quantity | NotMeasured, ...]:
    volume = made.volume(voxels, **changed)  # type: ignore[arg-type]
    return texture.measure(volume, made.roi(mask, volume), role)


def by_name(found: tuple[Quantity | NotMeasured, ...]) -> dict[str, Quantity | NotMeasured]:
    return {item.code.meaning.removesuffix(" (MaZda-like)"): item for item in found if item.code is not None}


def told(found: tuple[Quantity | NotMeasured, ...]) -> list[tuple[str, float | str]]:
    return [(str(item.code), item.value if isinstance(item, Quantity) else str(item.refused)) for item in found]


def noise_plane(rows: int = 60, columns: int = 60) -> Plane:
    return Plane(np.random.default_rng(1).normal(size=(rows, columns)), np.ones((rows, columns), np.bool_))


# the whole


def test_the_classes_of_mazda_have_279_features() -> None:
    found = by_name(measured())
    assert len(found) == 279 == 9 + 5 + 4 * 5 + 5 * 4 * 11 + 5 + 5 * 4
    assert {"Perc.01%", "GrNonZeros", "135dr_RLNonUni", "S(5,-5)AngScMom", "Teta4", "Sigma", "WavEnHH_s-5"} <= set(
        found
    )
    missing = {name for name, item in found.items() if isinstance(item, NotMeasured)}
    assert missing == {f"WavEn{band}_s-{scale}" for band in haar.SUBBANDS for scale in (4, 5)}


def test_codes_are_private_unique_and_fit() -> None:
    codes = [item.code for item in measured()]
    values = {code.value for code in codes if code is not None}
    assert len(values) == 279
    assert max(map(len, values)) <= 16
    assert {code.scheme for code in codes if code is not None} == {"99HER2NODE"}
    assert Texture.feature("S(5,-5)AngScMom").value == "MZ-S5-5AngScMom"


@pytest.mark.parametrize(
    ("name", "method", "unit"),
    [
        ("Mean", "MAZDA-LIKE", Unit.HU),
        ("Perc.50%", "MAZDA-LIKE", Unit.HU),
        ("Variance", "MAZDA-LIKE", Unit.HU2),
        ("Skewness", "MAZDA-LIKE", Unit.ONE),
        ("GrMean", "MAZDA-LIKE-4B", Unit.ONE),
        ("Vertl_Fraction", "MAZDA-LIKE-6B", Unit.ONE),
        ("S(1,0)Contrast", "MAZDA-LIKE-6B", Unit.ONE),
        ("Teta1", "MAZDA-LIKE-3SD", Unit.ONE),
        ("WavEnLL_s-1", "MAZDA-LIKE-8B", Unit.ONE),
    ],
)
def test_the_method_says_mazda_like_and_how_many_grey_levels(name: str, method: str, unit: object) -> None:
    quantity = by_name(measured())[name]
    assert isinstance(quantity, Quantity)
    assert quantity.method is not None
    assert (quantity.method.value, quantity.unit) == (method, unit)
    assert quantity.method.meaning.startswith("MaZda-like, largest slice")
    assert len(quantity.method.meaning) <= 64
    assert (quantity.roi, quantity.role, quantity.series_uids) == ("T", Role.PLAIN, ("1.2.4",))


def test_only_the_slice_of_the_largest_area_counts() -> None:
    elsewhere = VOXELS.copy()
    elsewhere[2] = 500
    elsewhere[1][~DISC] = -300
    assert told(measured(elsewhere)) == told(measured())


def test_voxels_without_image_are_outside_the_region() -> None:
    valid = np.ones_like(MASK)
    valid[1, 10:20, 10:30] = False
    assert told(measured(valid=valid)) == told(measured(mask=MASK & valid))
    assert told(measured(valid=valid)) != told(measured())


@QUICK
@given(st.sampled_from([0.25, 2.0, 4.0]), st.integers(-200, 200))
def test_normalised_texture_does_not_change_with_shift_and_scale(scale: float, shift: int) -> None:
    before, after = by_name(measured()), by_name(measured(VOXELS * scale + shift))
    for name in [*runs.NAMES, *cooccurrence.NAMES, *autoregression.NAMES, *gradient.NAMES]:
        was, now = before[name], after[name]
        assert isinstance(was, Quantity)
        assert isinstance(now, Quantity)
        assert now.value == pytest.approx(was.value, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("role", [None, Role.PORTAL, Role.CONTRAST_UNSPECIFIED])
def test_it_is_that_of_the_plain_phase_only(role: Role | None) -> None:
    (found,) = measured(role=role)
    assert isinstance(found, NotMeasured)
    assert isinstance(found.refused, RoleMissing)


def test_a_volume_in_another_unit_is_refused() -> None:
    (found,) = measured(unit=Unit.ONE)
    assert isinstance(found, NotMeasured)
    assert isinstance(found.refused, NotCalibrated)


def test_a_region_without_image_is_refused() -> None:
    (found,) = measured(valid=np.zeros_like(MASK))
    assert isinstance(found, NotMeasured)
    assert isinstance(found.refused, TooFewVoxels)


def test_a_constant_region_has_its_mean_and_nothing_that_is_normalised() -> None:
    found = measured(np.full_like(VOXELS, 40))
    values = {name: item.value for name, item in by_name(found).items() if isinstance(item, Quantity)}
    assert values == {"Mean": 40, "Variance": 0, **{f"Perc.{p:02d}%": 40 for p in grey_values.PERCENTS}}
    assert {type(item.refused) for item in found if isinstance(item, NotMeasured)} == {Undefined}


@QUICK
@given(
    arrays.arrays(np.float32, (2, 9, 9), elements=st.integers(-1024, 3071)),
    arrays.arrays(np.bool_, (2, 9, 9)),
)
def test_any_region_gives_finite_values_or_a_named_refusal(voxels: np.ndarray, mask: np.ndarray) -> None:
    for item in measured(voxels, mask):
        if isinstance(item, NotMeasured):
            assert isinstance(item.refused, (TooFewVoxels, Undefined))
        else:
            assert math.isfinite(item.value)


def test_a_region_of_one_voxel_has_a_run_and_no_pair() -> None:
    mask = np.zeros_like(MASK)
    mask[0, 5, 5] = True
    found = by_name(measured(mask=mask))
    assert isinstance(found["Mean"], Quantity)
    assert all(isinstance(found[name], NotMeasured) for name in cooccurrence.NAMES)


# slice, normalisation, levels


def test_the_first_of_slices_of_equal_area_is_taken_and_cut_to_the_region() -> None:
    mask = np.zeros((3, 6, 7), np.bool_)
    mask[1, 2:4, 1:5] = mask[2, 0:4, 0:2] = True
    voxels = np.arange(3 * 6 * 7, dtype=np.float32).reshape(3, 6, 7)
    plane = largest(voxels, mask)
    assert isinstance(plane, Plane)
    assert np.array_equal(plane.image, voxels[1, 2:4, 1:5])


def test_the_normalised_region_has_mean_0_and_sd_1_and_ends_at_3() -> None:
    normal = normalised(noise_plane())
    assert isinstance(normal, Plane)
    assert normal.values.mean() == pytest.approx(0, abs=0.01)
    assert normal.values.std() == pytest.approx(1, abs=0.01)
    outlier = Plane(np.array([[0.0, 1.0] * 20 + [1000.0]]), np.ones((1, 41), np.bool_))
    limited = normalised(outlier)
    assert isinstance(limited, Plane)
    assert limited.values.max() == 3


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_grey_levels_are_of_equal_width_between_3_sd_below_and_above(bits: int) -> None:
    count = 2**bits
    ends = np.linspace(-3, 3, count + 1)
    image = np.array([[*(ends[:-1] + 1e-9), 3.0, 0.0]])
    region = np.array([[True] * (count + 1) + [False]])
    assert levels_of(Plane(image, region), bits).ravel().tolist() == [*range(1, count + 1), count, 0]


# histogram


def test_grey_percentiles_are_values_of_the_region() -> None:
    values = np.arange(1.0, 201)
    assert [grey_values.grey_percentile(values, p) for p in grey_values.PERCENTS] == [2, 20, 100, 180, 198]
    assert grey_values.grey_variance(values) == pytest.approx((200**2 - 1) / 12)


# gradient


def test_the_gradient_of_a_ramp_is_its_rise_over_four_pixels_everywhere() -> None:
    levels = np.broadcast_to(np.arange(1, 13), (9, 12)).copy()
    found = gradient.features(levels)
    assert found["GrMean"] == 4
    assert (found["GrVariance"], found["GrNonZeros"]) == (0, 1)
    assert isinstance(found["GrSkewness"], Undefined)
    assert isinstance(found["GrKurtosis"], Undefined)


def test_the_gradient_of_a_slanted_ramp_has_the_length_of_both_parts() -> None:
    i, j = np.indices((9, 9))
    assert gradient.features(3 * i + 4 * j + 1)["GrMean"] == pytest.approx(4 * 5)


def test_the_gradient_of_a_step_is_0_but_near_it() -> None:
    levels = np.where(np.indices((10, 20))[1] < 10, 1, 16)
    lengths = gradient.absolute_gradient(levels)
    assert lengths.size == 6 * 16
    share = 4 / 16  # columns 8 to 11 see both sides
    assert gradient.gradient_nonzeros(lengths) == pytest.approx(share)
    assert gradient.gradient_mean(lengths) == pytest.approx(15 * share)
    assert gradient.gradient_variance(lengths) == pytest.approx(15**2 * share * (1 - share))
    assert gradient.gradient_skewness(lengths) == pytest.approx((1 - 2 * share) / math.sqrt(share * (1 - share)))
    assert gradient.gradient_kurtosis(lengths) == pytest.approx((1 - 6 * share * (1 - share)) / (share * (1 - share)))


def test_a_pixel_whose_partner_lies_outside_the_region_has_no_gradient() -> None:
    levels = np.ones((7, 7), np.intp)
    assert gradient.absolute_gradient(levels).size == 9
    levels[1, 3] = 0  # partner of (3, 3)
    assert gradient.absolute_gradient(levels).size == 8
    narrow = gradient.features(np.ones((4, 50), np.intp))
    assert {type(value) for value in narrow.values()} == {TooFewVoxels}


# run lengths


@pytest.mark.truth
@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("Horzl", [[4, 0, 0], [1, 0, 1], [3, 0, 0], [3, 1, 0]]),
        ("45dgr", [[4, 0, 0], [4, 0, 0], [0, 0, 1], [3, 1, 0]]),
    ],
)
def test_the_runs_of_galloway_s_example_are_those_of_her_paper(direction: str, expected: list[list[int]]) -> None:
    assert runs.run_length_matrix(runs.DIRECTIONS[direction](GALLOWAY)).tolist() == expected


def test_runs_end_at_the_region_and_at_the_end_of_a_line() -> None:
    levels = np.array([[1, 1, 0, 1], [1, 0, 1, 1]])
    assert runs.run_length_matrix(runs.DIRECTIONS["Horzl"](levels)).tolist() == [[2, 2]]
    assert runs.run_length_matrix(runs.DIRECTIONS["Vertl"](levels)).tolist() == [[2, 2]]
    assert runs.run_length_matrix(runs.DIRECTIONS["135dr"](levels)).tolist() == [[4, 1]]
    assert runs.run_length_matrix(runs.DIRECTIONS["45dgr"](levels)).tolist() == [[2, 2]]


@QUICK
@given(arrays.arrays(np.intp, (6, 7), elements=st.integers(0, 4)))
def test_every_pixel_is_in_one_run_of_each_direction(levels: np.ndarray) -> None:
    levels[0, 0] = 1
    for lines in runs.DIRECTIONS.values():
        matrix = runs.run_length_matrix(lines(levels))
        pixels = (matrix * np.arange(1, matrix.shape[1] + 1)).sum(axis=1)
        assert pixels.tolist() == [np.count_nonzero(levels == level) for level in range(1, len(pixels) + 1)]


# co-occurrence


@pytest.mark.truth
@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ((1, 0), [[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]]),
        ((0, 1), [[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]]),
        ((1, 1), [[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]]),
        ((1, -1), [[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]]),
    ],
)
def test_the_pairs_of_haralick_s_example_are_those_of_his_paper(
    offset: tuple[int, int], expected: list[list[int]]
) -> None:
    p = cooccurrence.cooccurrence_matrix(HARALICK, offset)
    assert p[:4, :4] * np.sum(expected) == pytest.approx(np.array(expected))
    assert p.sum() == pytest.approx(1)


IBSI_TAGS = {
    "AngScMom": "cm_energy",
    "Contrast": "cm_contrast",
    "Correlat": "cm_corr",
    "SumOfSqs": "cm_joint_var",
    "InvDfMom": "cm_inv_diff_mom",
    "SumAverg": "cm_sum_avg",
    "SumVarnc": "cm_sum_var",
    "SumEntrp": "cm_sum_entr",
    "Entropy": "cm_joint_entr",
    "DifVarnc": "cm_diff_var",
    "DifEntrp": "cm_diff_entr",
    "RLNonUni": "rlm_rlnu",
    "GLevNonU": "rlm_glnu",
    "LngREmph": "rlm_lre",
    "ShrtREmp": "rlm_sre",
    "Fraction": "rlm_r_perc",
}
"""By MaZda's names: 11 of co-occurrence, 5 of run lengths."""


def ibsi_texture(shared: Path) -> dict[str, float]:
    path = shared / "reference/ibsi1/reference_values/ibsi_1_reference_values_digital_phantom.csv"
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["tag"].endswith("_2D_avg")]
    return {row["tag"]: float(row["reference value"]) for row in rows}


@pytest.mark.truth
def test_run_lengths_and_co_occurrence_are_ibsi_s_on_its_digital_phantom(shared: Path) -> None:
    """IBSI's '2D, averaged': the mean over slices and directions, of features that MaZda shares with it."""
    values, mask = made.digital_phantom()
    slices = [np.where(inside, image, 0).astype(np.intp) for image, inside in zip(values, mask, strict=True)]
    found: dict[str, float] = {}
    pairs = [cooccurrence.features(image) for image in slices]
    lengths = [runs.features(image) for image in slices]
    for name in list(IBSI_TAGS)[:11]:
        each = [features[f"S({offset}){name}"] for features in pairs for offset in ("1,0", "0,1", "1,1", "1,-1")]
        bits = math.log2(10) if name.endswith("Entrp") or name == "Entropy" else 1
        found[name] = float(np.mean(each)) * bits  # type: ignore[arg-type]
    for name in list(IBSI_TAGS)[11:]:
        found[name] = float(np.mean([features[f"{way}_{name}"] for features in lengths for way in runs.DIRECTIONS]))  # type: ignore[arg-type]
    reference = ibsi_texture(shared)
    missed = {
        name: (found[name], reference[f"{tag}_2D_avg"])
        for name, tag in IBSI_TAGS.items()
        if not made.agrees(found[name], (reference[f"{tag}_2D_avg"], 0))
    }
    assert not missed


def test_a_region_of_one_grey_level_has_no_correlation() -> None:
    found = cooccurrence.features(np.full((8, 8), 3))
    assert isinstance(found["S(1,0)Correlat"], Undefined)
    assert (found["S(1,0)AngScMom"], found["S(1,0)Entropy"]) == (1, 0)


def test_no_pair_at_a_distance_beyond_the_region() -> None:
    found = cooccurrence.features(np.ones((3, 9), np.intp))
    assert isinstance(found["S(0,3)Contrast"], TooFewVoxels)
    assert isinstance(found["S(3,-3)Contrast"], TooFewVoxels)
    assert found["S(5,0)Contrast"] == 0


@QUICK
@given(arrays.arrays(np.intp, (7, 7), elements=st.integers(0, 5)), st.sampled_from(cooccurrence.OFFSETS))
def test_a_quarter_turn_exchanges_the_directions(levels: np.ndarray, offset: tuple[int, int]) -> None:
    dx, dy = offset
    turned = cooccurrence.cooccurrence_matrix(np.rot90(levels), (abs(dy), abs(dx)) if 0 in offset else (dx, -dy))
    assert turned == pytest.approx(cooccurrence.cooccurrence_matrix(levels, offset))


# autoregressive model

THETAS = [(0.0, 0.0, 0.0, 0.0), (0.6, 0.0, 0.0, 0.0), (0.0, 0.0, 0.5, 0.0), (0.5, -0.2, 0.5, 0.1), (0.3, 0.1, 0.2, 0.2)]


def process(theta: tuple[float, ...], noise: float, size: int = 120) -> Plane:
    """A field made by the model itself, from noise of the given SD."""
    rng = np.random.default_rng(9)
    field = np.zeros((size + 40, size + 80))
    for row in range(1, field.shape[0]):
        above = theta[1] * field[row - 1, :-2] + theta[2] * field[row - 1, 1:-1] + theta[3] * field[row - 1, 2:]
        driven = above + rng.normal(0, noise, len(above))
        for column in range(len(driven)):
            field[row, column + 1] = driven[column] + theta[0] * field[row, column]
    image = field[40:, 40 : 40 + size]
    return Plane(image, np.ones(image.shape, np.bool_))


@pytest.mark.parametrize("theta", THETAS, ids=str)
def test_the_parameters_and_the_noise_of_a_known_process_are_found(theta: tuple[float, ...]) -> None:
    plane = process(theta, noise=5.0)
    model = autoregression.fitted(plane)
    assert isinstance(model, autoregression.Model)
    found = [autoregression.autoregressive_parameter(model, number) for number in range(1, 5)]
    assert found == pytest.approx(theta, abs=0.03)
    assert autoregression.autoregressive_noise(model) == pytest.approx(5.0, rel=0.02)
    normal = normalised(plane)
    assert isinstance(normal, Plane)
    features = autoregression.features(normal)
    assert features["Sigma"] == pytest.approx(5.0 / plane.image.std(), rel=0.02)
    assert features["Teta1"] == pytest.approx(theta[0], abs=0.04)


def test_a_wave_without_noise_leaves_nothing_over() -> None:
    i, j = np.indices((30, 30))
    waves = np.cos(0.7 * i + 0.3 * j) + np.cos(0.4 * i - 0.9 * j + 1)
    model = autoregression.fitted(Plane(waves, np.ones(waves.shape, np.bool_)))
    assert isinstance(model, autoregression.Model)
    assert autoregression.autoregressive_noise(model) == pytest.approx(0, abs=1e-9)


def test_only_pixels_with_all_neighbours_in_the_region_count() -> None:
    region = np.zeros((20, 20), np.bool_)
    region[5:15, 5:15] = True
    image = np.random.default_rng(4).normal(size=(20, 20))
    inside = autoregression.features(Plane(image, region))
    outside = np.where(region, image, 1e6)
    assert autoregression.features(Plane(outside, region)) == inside
    model = autoregression.fitted(Plane(image, region))
    assert isinstance(model, autoregression.Model)
    assert len(model.residuals) == 9 * 8


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.broadcast_to(np.arange(12.0) % 2 - 0.5, (12, 12)), Undefined),
        (np.random.default_rng(0).normal(size=(6, 7)), TooFewVoxels),
    ],
)
def test_a_model_that_cannot_be_told_is_refused(image: np.ndarray, reason: type[Exception]) -> None:
    found = autoregression.features(Plane(image.copy(), np.ones(image.shape, np.bool_)))
    assert {type(value) for value in found.values()} == {reason}


# Haar


@QUICK
@given(arrays.arrays(np.float64, (16, 16), elements=st.integers(1, 256).map(float)))
def test_every_scale_keeps_the_energy_of_the_one_before(image: np.ndarray) -> None:
    region = np.ones(image.shape, np.bool_)
    energy = (image**2).sum()
    for bands, _ in haar.decomposition(image, region):
        assert sum((band**2).sum() for band in bands.values()) == pytest.approx(energy)
        energy = (bands["LL"] ** 2).sum()


def test_the_energies_of_a_constant_are_in_the_lowest_band() -> None:
    found = haar.features(np.full((32, 32), 10))
    for scale in range(1, 6):
        assert found[f"WavEnLL_s-{scale}"] == pytest.approx((10 * 2**scale) ** 2)
        assert found[f"WavEnHL_s-{scale}"] == found[f"WavEnLH_s-{scale}"] == found[f"WavEnHH_s-{scale}"] == 0


@pytest.mark.parametrize(("band", "axes"), [("HL", (1,)), ("LH", (0,)), ("HH", (0, 1))])
def test_stripes_are_in_the_band_of_their_direction(band: str, axes: tuple[int, ...]) -> None:
    sign = (-1) ** sum(np.indices((8, 8))[axis] for axis in axes)
    found = haar.features(20 + 5 * sign)
    assert found[f"WavEn{band}_s-1"] == pytest.approx(100)
    assert sum(found[f"WavEn{other}_s-1"] for other in haar.SUBBANDS[1:]) == pytest.approx(100)  # type: ignore[misc]


def test_only_blocks_within_the_region_count() -> None:
    levels = np.full((9, 8), 10)
    levels[0, 0] = 0
    levels[1, 1] = 99  # in the block of the pixel outside
    levels[8] = 50  # a row left over
    found = haar.features(levels)
    assert found["WavEnLL_s-1"] == pytest.approx(400)
    assert found["WavEnHH_s-2"] == 0
    assert isinstance(found["WavEnLL_s-3"], TooFewVoxels)
    assert isinstance(found["WavEnLL_s-4"], TooFewVoxels)
