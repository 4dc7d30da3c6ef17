"""The network's answer and its map, for networks whose answer and map are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.errors import PackageRefused, TooSlow
from her2node.models.image.classifier import noise
from her2node.models.image.stated import Saliency
from her2node.models.odds import expit
from tests.models.image.made import CROP, classifier

SMALL = replace(CROP, size=(4, 6, 4), saliency=Saliency((2, 3, 2), (1, 3, 2)))
SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_the_answer_is_that_of_numpy_on_random_crops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.1, SMALL.shape).astype(np.float32)
    crop = rng.normal(0, 1, SMALL.shape).astype(np.float32)
    odds = 0.3 + float((weights.astype(np.float64) * crop).sum())
    assert classifier(weights, 0.3, SMALL).probability(crop) == pytest.approx(expit(odds), abs=1e-6)


@given(seed=SEEDS, shift=st.floats(-2, 2))
@settings(max_examples=15, deadline=None)
def test_saliency_is_the_mean_fall_of_the_probability_over_the_blocks_that_hold_a_voxel(
    seed: int, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.1, SMALL.shape)
    crop = rng.normal(0, 1, SMALL.shape).astype(np.float32)
    parts = weights.astype(np.float32).astype(np.float64) * crop
    whole = expit(parts.sum() + shift)
    falls: dict[tuple[int, int, int], list[float]] = {place: [] for place in np.ndindex(SMALL.size)}
    for a in range(3):
        for b in (0, 3):
            for c in (0, 2):
                block = (slice(a, a + 2), slice(b, b + 3), slice(c, c + 2))
                fall = whole - expit(parts.sum() - parts[(slice(2), *block)].sum() + shift)
                for place in falls:
                    if all(side.start <= index < side.stop for side, index in zip(block, place, strict=True)):
                        falls[place].append(fall)
    found = classifier(weights.astype(np.float32), crop=SMALL).saliency(crop, shift, batch=5)
    expected = np.array([np.mean(falls[place]) for place in np.ndindex(SMALL.size)]).reshape(SMALL.size)
    assert found.shape == SMALL.size
    assert np.abs(found - expected).max() < 1e-5


def test_the_map_of_a_network_that_reads_one_half_of_the_crop_is_empty_in_the_other() -> None:
    weights = np.zeros(CROP.shape, dtype=np.float32)
    weights[0, :4] = 0.01
    crop = np.ones(CROP.shape, dtype=np.float32)
    apart = replace(CROP, saliency=Saliency((4, 4, 5), (4, 4, 5)))
    found = classifier(weights, crop=apart).saliency(crop)
    assert (found[:4] > 0).all()
    assert (found[4:] == 0).all()


def test_what_speaks_against_is_negative() -> None:
    weights = np.zeros(CROP.shape, dtype=np.float32)
    weights[1, :, :4], weights[1, :, 8:] = 0.02, -0.02
    found = classifier(weights).saliency(np.ones(CROP.shape, dtype=np.float32))
    assert (found[:, :4] > 0).all()
    assert (found[:, 4:8] == 0).all()
    assert (found[:, 8:] < 0).all()


def test_the_mask_is_never_hidden() -> None:
    weights = np.zeros(CROP.shape, dtype=np.float32)
    weights[2] = 0.01
    found = classifier(weights).saliency(np.ones(CROP.shape, dtype=np.float32))
    assert (found == 0).all()


def test_the_map_does_not_depend_on_how_many_crops_are_answered_at_a_time() -> None:
    weights = np.random.default_rng(1).normal(0, 0.05, CROP.shape).astype(np.float32)
    network, crop = classifier(weights), noise(CROP, 3)
    assert network.saliency(crop, batch=1) == pytest.approx(network.saliency(crop, batch=7), abs=1e-6)


def test_a_map_that_takes_too_long_is_given_up() -> None:
    network = classifier(np.zeros(CROP.shape, dtype=np.float32))
    with pytest.raises(TooSlow, match="hidden blocks"):
        network.saliency(noise(CROP, 3), seconds=-1.0)


def test_an_answer_that_is_no_number_is_refused() -> None:
    network = classifier(np.full(CROP.shape, math.inf, dtype=np.float32))
    with pytest.raises(PackageRefused, match="finite"):
        network.probability(noise(CROP, 3))


def test_the_crop_of_a_worked_case_is_clipped_and_normalised_and_its_mask_is_one() -> None:
    narrow = replace(CROP, channels=(replace(CROP.channels[0], clip_hu=(35.0, 85.0)), CROP.channels[1]))
    found = noise(narrow, 9)
    drawn = np.random.RandomState(9).standard_normal(CROP.shape)
    assert found[0] == pytest.approx(np.clip(drawn[0], -1, 1), abs=1e-6)
    assert set(np.unique(found[2])) == {0.0, 1.0}
