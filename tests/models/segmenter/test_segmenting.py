"""Segmentation by the rules of nnU-Net, on networks simple enough that the right answer is plain."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import resize

from her2node.errors import EmptyRoi, PackageRefused, TooSlow
from her2node.models.segmenter import segmenting
from her2node.models.segmenter.plans import Plans, Resampling, parse
from her2node.models.segmenter.resampling import axis_apart, interpolated, new_shape, positions, resampled
from her2node.models.segmenter.segmenting import How, segmented
from her2node.models.segmenter.windows import flips, padding, starts, weight_of
from tests.models.segmenter.made import configuration, dataset, plans, thresholding

Floats = npt.NDArray[np.float32]


def _ball(shape: tuple[int, ...], spacing: tuple[float, ...], radius: float = 12.0) -> Floats:
    grid = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    middle = [(n - 1) * s / 2 for n, s in zip(shape, spacing, strict=True)]
    apart = np.sqrt(sum((axis - centre) ** 2 for axis, centre in zip(grid, middle, strict=True)))
    return np.asarray(100 * (1 + np.tanh((radius - apart) / 4)) / 2 + 1, dtype=np.float32)


def _plans(**more: object) -> Plans:
    return parse(plans({"3d_fullres": configuration(**more)}), dataset(), "3d_fullres")


@pytest.mark.parametrize(
    "spacing", [(2.0, 2.0, 2.0), (1.0, 1.3, 0.9), (5.0, 0.8, 0.8), (0.8, 5.0, 0.8), (3.0, 3.0, 3.0)]
)
@pytest.mark.parametrize("budget", [2**31, 60_000])
def test_a_network_that_thresholds_gives_the_threshold(spacing: tuple[float, float, float], budget: int) -> None:
    shape = tuple(int(60 / step) for step in spacing)
    image = _ball(shape, spacing)
    found = segmented(image[None], spacing, _plans(), [thresholding(51.0)], How(mirror=(0, 2), batch=3, budget=budget))
    wrong = (found == 1) != (image > 51)
    edge = np.abs(image - 51) < 12  # where resampling there and back may move the surface
    assert found.shape == image.shape
    assert not (wrong & ~edge).any()
    assert wrong.mean() < 0.02


def test_blocks_change_nothing() -> None:
    rng = np.random.default_rng(5)
    image = rng.normal(size=(1, 40, 34, 30)).astype(np.float32)
    network = thresholding(0.1, 0.4)
    three = parse(plans(), dataset({"background": 0, "wall": 1, "tumour": 2}), "3d_fullres")
    whole = segmented(image, (1.5, 2.2, 2.4), three, [network])
    for budget in (1, 50_000, 200_000):
        assert np.array_equal(whole, segmented(image, (1.5, 2.2, 2.4), three, [network], How(budget=budget)))


def test_slabs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(6).normal(size=(1, 21, 34, 30)).astype(np.float32)
    three = parse(plans(), dataset({"background": 0, "wall": 1, "tumour": 2}), "3d_fullres")
    for spacing in ((1.5, 2.2, 2.4), (7.0, 2.2, 2.4), (2.0, 2.0, 2.0)):
        whole = segmented(image, spacing, three, [thresholding(0.1, 0.4)])
        for slab in (1, 5 * 34 * 30):
            with monkeypatch.context() as patched:
                patched.setattr(segmenting, "SLAB", slab)
                for budget in (2**31, 50_000):
                    how = How(budget=budget)
                    assert np.array_equal(whole, segmented(image, spacing, three, [thresholding(0.1, 0.4)], how))


@pytest.mark.parametrize(
    ("shape", "spacing", "most"),
    [((96, 160, 160), (1.0, 1.0, 1.0), 32 * 96 * 160 * 160), ((48, 48, 48), (4.0, 4.0, 4.0), 12 * 96**3)],
    ids=["image finer than the network", "network finer than the image"],
)
def test_memory_is_what_is_said_of_it(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], spacing: tuple[float, float, float], most: int
) -> None:
    image = np.random.default_rng(7).normal(size=(1, *shape)).astype(np.float32)
    monkeypatch.setattr(segmenting, "SLAB", 2**16)
    tracemalloc.start()
    try:
        segmented(image, spacing, _plans(patch_size=[32] * 3), [thresholding(0.1)], How(budget=2**20))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most


def _run_with(classes: int, image: Floats, budget: int) -> tuple[Floats, int, int]:
    """Labels, the most bytes held meanwhile, and the patches run, by a network of which only the first class is any."""
    said = dataset({"background": 0, **{f"organ {number}": number for number in range(1, classes + 1)}})
    network, runs = thresholding(0.1, *[9.0] * (classes - 1)), [0]

    def counted(patches: Floats) -> Floats:
        runs[0] += len(patches)
        return np.asarray(network(patches))

    tracemalloc.start()
    try:
        found = segmented(image, (2.0, 2.0, 2.0), parse(plans(), said, "3d_fullres"), [counted], How(budget=budget))
        return found, tracemalloc.get_traced_memory()[1], runs[0]
    finally:
        tracemalloc.stop()


def test_more_classes_go_by_blocks_and_need_little_more_memory() -> None:
    image, budget = np.random.default_rng(8).normal(size=(1, 96, 64, 64)).astype(np.float32), 2**22
    few, few_bytes, few_runs = _run_with(4, image, budget)
    many, many_bytes, many_runs = _run_with(40, image, budget)
    assert set(np.unique(few)) == {0, 1}
    assert np.array_equal(many, few)
    assert many_runs > few_runs  # those that reach into two blocks are run for each
    whole = 2 * (40 + 1) * image.size
    assert many_bytes - few_bytes < whole / 4


def test_a_transposed_network_sees_its_own_axes_and_answers_in_those_of_the_image() -> None:
    turned = parse(plans(transpose_forward=[2, 0, 1], transpose_backward=[1, 2, 0]), dataset(), "3d_fullres")
    image = np.zeros((1, 20, 30, 40), dtype=np.float32)
    image[0, 3, 4, 5:20] = 10
    seen: list[tuple[int, ...]] = []

    def network(patches: Floats) -> Floats:
        seen.append(patches.shape)
        return np.asarray(thresholding(5)(patches))

    assert np.array_equal(segmented(image, (2.0, 2.0, 2.0), turned, [network]) == 1, image[0] > 5)
    assert seen[0] == (1, 1, 16, 16, 16)


def test_a_network_of_single_slices_keeps_the_distance_between_slices() -> None:
    flat = parse(plans({"2d": configuration(patch_size=[16, 16], spacing=[2.0, 2.0])}), dataset(), "2d")
    image = _ball((9, 30, 30), (7.0, 2.0, 2.0))
    assert np.array_equal(segmented(image[None], (7.0, 2.0, 2.0), flat, [thresholding(51)]) == 1, image > 51)


def test_regions_overlap_and_the_later_lies_over_the_earlier() -> None:
    said = dataset({"background": 0, "whole": [1, 2], "core": 2}, regions_class_order=[1, 2])
    image = np.full((1, 16, 16, 16), -1.0, dtype=np.float32)
    image[0, :8], image[0, :3] = 1, 5

    def network(patches: Floats) -> Floats:
        return np.stack([patches[:, 0], patches[:, 0] - 3], axis=1)

    found = segmented(image, (2.0, 2.0, 2.0), parse(plans(), said, "3d_fullres"), [network])
    assert [set(np.unique(found[part])) for part in (slice(0, 3), slice(3, 8), slice(8, None))] == [{2}, {1}, {0}]


def test_folds_are_averaged_as_logits() -> None:
    """Logits of -5, 2 and 2 are -1/3 in the mean, and probabilities of 0.007, 0.88 and 0.88 are 0.59."""
    image = np.full((1, 16, 16, 16), 3.0, dtype=np.float32)
    against, weak = thresholding(8.0), thresholding(1.0)
    assert (segmented(image, (2.0, 2.0, 2.0), _plans(), [weak]) == 1).all()
    assert (segmented(image, (2.0, 2.0, 2.0), _plans(), [against, weak, weak]) == 0).all()
    assert (segmented(image, (2.0, 2.0, 2.0), _plans(), [against, weak, weak, weak]) == 1).all()


def test_ct_is_clipped_and_scaled_by_the_training_set() -> None:
    plan = _plans(normalization_schemes=["CTNormalization"])
    image = np.linspace(-1000, 1000, 16**3, dtype=np.float32).reshape(1, 16, 16, 16)
    seen: list[Floats] = []

    def network(patches: Floats) -> Floats:
        seen.append(patches)
        return np.asarray(thresholding(0)(patches))

    segmented(image, (2.0, 2.0, 2.0), plan, [network])
    np.testing.assert_allclose(seen[0][0, 0], (np.clip(image[0], -10, 120) - 40) / 20, rtol=1e-6, atol=1e-6)


def test_what_is_zero_around_the_patient_is_left_out_of_a_masked_normalisation() -> None:
    plan = _plans(normalization_schemes=["ZScoreNormalization"], use_mask_for_norm=[True], patch_size=[8, 8, 8])
    inner = np.random.default_rng(1).normal(50, 9, size=(10, 10, 10)).astype(np.float32)
    image = np.pad(inner, 8)[None]
    seen: list[Floats] = []

    def network(patches: Floats) -> Floats:
        seen.append(patches)
        return np.asarray(thresholding(0)(patches))

    found = segmented(image, (2.0, 2.0, 2.0), plan, [network])
    np.testing.assert_allclose(seen[0][0, 0], ((inner - inner.mean()) / inner.std())[:8, :8, :8], atol=1e-5)
    sure = np.abs(inner - inner.mean()) > 0.6 * inner.std()  # half precision rounds the rim of a patch to whole numbers
    assert np.array_equal((found[8:18, 8:18, 8:18] == 1)[sure], (inner > inner.mean())[sure])
    assert not np.pad(~found[8:18, 8:18, 8:18].astype(bool), 8)[found == 1].any()


def test_an_image_of_nothing_and_a_network_of_another_shape_are_refused() -> None:
    with pytest.raises(EmptyRoi):
        segmented(np.zeros((1, 16, 16, 16), np.float32), (2.0, 2.0, 2.0), _plans(), [thresholding(1)])
    image = np.ones((1, 16, 16, 16), np.float32)
    with pytest.raises(PackageRefused, match="was expected"):
        segmented(image, (2.0, 2.0, 2.0), _plans(), [thresholding(1, 2)])
    with pytest.raises(PackageRefused, match="channels"):
        segmented(np.ones((2, 16, 16, 16), np.float32), (2.0, 2.0, 2.0), _plans(), [thresholding(1)])


def _with_a_voxel(value: float) -> Callable[[Floats], Floats]:
    """A network that answers 1 for the tumour, and ``value`` in the middle of a patch, whose weight is 10."""

    def network(patches: Floats) -> Floats:
        answer = np.asarray(thresholding(0)(patches))
        answer[:, 1, 8, 8, 8] = value
        return answer

    return network


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 20_000.0, -20_000.0])
def test_logits_that_are_no_numbers_or_beyond_half_precision_are_no_background(value: float) -> None:
    image = np.ones((1, 16, 16, 16), np.float32)
    assert segmented(image, (2.0, 2.0, 2.0), _plans(), [_with_a_voxel(600.0)]).all()
    with pytest.raises(PackageRefused, match="not finite, or beyond half precision"):
        segmented(image, (2.0, 2.0, 2.0), _plans(), [_with_a_voxel(value)])


def test_the_sum_of_folds_stays_within_half_precision_or_is_refused() -> None:
    image = np.ones((1, 16, 16, 16), np.float32)
    strong = _with_a_voxel(6_000.0)
    assert segmented(image, (2.0, 2.0, 2.0), _plans(), [strong] * 2).all()
    with pytest.raises(PackageRefused, match="not finite, or beyond half precision"):
        segmented(image, (2.0, 2.0, 2.0), _plans(), [strong] * 11)


def test_networks_that_take_longer_than_they_may_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that moves on by a minute with every patch."""
    now, image = [0.0], np.ones((1, 32, 32, 32), np.float32)

    def slow(patches: Floats) -> Floats:
        now[0] += 60
        return np.asarray(thresholding(0)(patches))

    monkeypatch.setattr(segmenting, "monotonic", lambda: now[0])
    segmented(image, (2.0, 2.0, 2.0), _plans(), [slow], How(seconds=26 * 60))
    assert now[0] == 27 * 60
    with pytest.raises(TooSlow, match="10 s"):
        segmented(image, (2.0, 2.0, 2.0), _plans(), [slow], How(seconds=10))
    assert now[0] == 28 * 60


# --- the parts ----------------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.integers(4, 96), st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_patches_cover_every_voxel_and_none_reaches_out(size: int, patch: int, step: float) -> None:
    size = max(size, patch)
    found = starts(size, patch, step)
    assert found[0] == 0
    assert found[-1] == size - patch
    assert all(0 < b - a <= max(1, np.ceil(patch * step)) for a, b in pairwise(found))


def test_patches_of_64_on_110_voxels_start_at_0_23_46() -> None:
    assert starts(110, 64, 0.5) == (0, 23, 46)


def test_a_weight_is_ten_in_the_middle_and_nowhere_zero() -> None:
    weight = weight_of((32, 20, 20))
    assert weight[16, 10, 10] == 10
    assert weight.min() > 0


def test_every_set_of_axes_is_mirrored_once() -> None:
    assert flips((0, 2)) == ((), (0,), (2,), (0, 2))
    assert padding((10, 20), (15, 16)) == ((2, 3), (0, 0))


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(2, 14)] * 3), st.tuples(*[st.integers(1, 20)] * 3), st.integers(0, 99))
def test_answers_go_back_as_skimage_resizes_them(
    shape: tuple[int, int, int], wanted: tuple[int, int, int], seed: int
) -> None:
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    found = values
    for axis in range(3):
        found = interpolated(found, axis, positions(shape[axis], wanted[axis]), 0, nearest=False)
    expected = resize(values.astype(float), wanted, 1, mode="edge", anti_aliasing=False)  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_axis_is_taken_apart_where_one_spacing_is_more_than_three_times_another() -> None:
    assert axis_apart(None, (5.0, 1.0, 1.0), (1.0, 1.0, 1.0)) == 0
    assert axis_apart(None, (1.0, 1.0, 1.0), (1.0, 4.0, 1.0)) == 1
    assert axis_apart(None, (3.0, 1.0, 1.0), (1.0, 1.0, 1.0)) is None
    assert axis_apart(None, (0.2, 1.0, 1.0), (1.0, 1.0, 1.0)) is None  # two coarse axes: none is apart
    assert axis_apart(False, (9.0, 1.0, 1.0), (1.0, 1.0, 1.0)) is None
    assert axis_apart(True, (1.2, 1.0, 1.0), (1.0, 1.0, 1.0)) == 0


def test_slices_taken_apart_go_to_the_nearest() -> None:
    image = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, 3, 3), np.float32)
    found = resampled(image, (8, 3, 3), Resampling(3), 0)
    assert found[:, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert new_shape((100, 512, 512), (5.0, 0.7, 0.7), (2.5, 0.8, 0.8)) == (200, 448, 448)


# --- plans --------------------------------------------------------------------------------------------------


def test_a_configuration_inherits() -> None:
    found = {"3d_lowres": configuration(), "3d_fullres": {"inherits_from": "3d_lowres", "spacing": [1.0, 1.0, 1.0]}}
    assert parse(plans(found), dataset(), "3d_fullres").spacing_mm == (1.0, 1.0, 1.0)


def _answering(**how: int) -> bytes:
    """Plans whose answers go back in another way."""
    return plans({"3d_fullres": configuration(resampling_fn_probabilities_kwargs=how)})


def _scaled(**more: float) -> bytes:
    """Plans of a CT whose training set had these intensities."""
    about = {"mean": 40.0, "std": 20.0, "percentile_00_5": -10.0, "percentile_99_5": 120.0, **more}
    ct = {"3d_fullres": configuration(normalization_schemes=["CTNormalization"])}
    return plans(ct, foreground_intensity_properties_per_channel={"0": about})


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (plans({"3d_fullres": configuration(previous_stage="3d_lowres")}), "cascade"),
        (plans({"3d_fullres": configuration(preprocessor_name="Mine")}), "preprocessor Mine"),
        (plans({"3d_fullres": configuration(normalization_schemes=["Mine"])}), "normalisation Mine"),
        (plans({"3d_fullres": {**configuration(), "resampling_fn_data": "mine"}}), "resampling mine"),
        (plans({"3d_fullres": {"inherits_from": "3d_fullres"}}), "circle"),
        (plans({"2d": configuration()}), "no configuration 3d_fullres; it has 2d"),
        (plans(transpose_backward=[1, 2, 0]), "do not undo"),
        (plans({"3d_fullres": configuration(patch_size=[0, 1, 1])}), "is none"),
        (plans({"3d_fullres": configuration(spacing=[2.0, math.nan, 2.0])}), "is none"),
        (plans({"3d_fullres": configuration(spacing=[2.0, 2.0, math.inf])}), "is none"),
        (plans({"3d_fullres": configuration(spacing=[1e-320, 2.0, 2.0])}), "is none"),
        (plans({"3d_fullres": configuration(patch_size=[100_000] * 3)}), "too large"),
        (plans({"3d_fullres": configuration(patch_size=[math.inf, 1, 1])}), "cannot be used: OverflowError"),
        (plans({"3d_fullres": configuration(resampling_fn_data_kwargs={"order": 7})}), r"orders \(7, 0\) are none"),
        (plans({"3d_fullres": configuration(resampling_fn_data_kwargs={"order": 3, "order_z": -1})}), "are none"),
        (_answering(order=3), "by the orders 3 and 0"),
        (_answering(order=1, order_z=1), "by the orders 1 and 1"),
        (_scaled(percentile_99_5=math.nan), "intensities"),
        (_scaled(mean=1e300), "intensities"),
        (b"[" * 100_000, "cannot be used: RecursionError"),
        (b"{", "cannot be used"),
        (b"[]", "cannot be used"),
    ],
)
def test_plans_that_cannot_be_followed_are_refused(said: bytes, why: str) -> None:
    with pytest.raises(PackageRefused, match=why):
        parse(said, dataset(), "3d_fullres")


def test_labels_that_leave_out_a_number_are_refused() -> None:
    with pytest.raises(PackageRefused, match="labels"):
        parse(plans(), dataset({"background": 0, "tumour": 2}), "3d_fullres")


@pytest.mark.parametrize("order", [[1, 300], [0, 1], [2, 2]])
def test_regions_that_are_not_different_labels_of_a_byte_are_refused(order: list[int]) -> None:
    said = dataset({"background": 0, "whole": [1, 2], "core": 2}, regions_class_order=order)
    with pytest.raises(PackageRefused, match="not different labels of 1 to 255"):
        parse(plans(), said, "3d_fullres")


def test_a_patch_of_many_classes_is_as_large_as_all_of_them() -> None:
    many = dataset({"background": 0, **{f"part {label}": label for label in range(1, 256)}})
    large = plans({"3d_fullres": configuration(patch_size=[128, 128, 128])})
    assert parse(large, dataset(), "3d_fullres").patch == (128, 128, 128)
    with pytest.raises(PackageRefused, match="too large"):
        parse(large, many, "3d_fullres")
