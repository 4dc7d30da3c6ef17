"""Textures: what the formula says of them is what places and voxels show."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from her2node.errors import PhantomRefused
from her2node.phantoms import (
    Checker,
    DualEnergyOptions,
    Form,
    Grating,
    PhantomOptions,
    Phase,
    RandomField,
    Texture,
    ct,
    make,
    varied,
    write,
)
from her2node.phantoms.rendering import attenuations, mask
from her2node.phantoms.texture import entropy_bits

TEXTURES = (Checker(20.0, (4.0, 4.0, 5.0)), Grating(20.0, 12.0, (0.8, 0.6, 0.0)), RandomField(15.0, 2.0, 5))
each = pytest.mark.parametrize("texture", TEXTURES, ids=["checker", "grating", "random"])
PLACES = np.random.default_rng(1).uniform(-200, 200, (3, 20_000))
"""So far apart that they tell nothing of each other: of 20,000 the relative error of a variance is 1 %."""


@each
def test_the_distribution_of_many_places_is_that_of_the_formula(texture: Texture) -> None:
    found = np.sort(texture.at(*PLACES))
    sd = math.sqrt(texture.variance_hu2)
    assert abs(found.mean()) < 0.03 * sd
    assert found.var() == pytest.approx(texture.variance_hu2, rel=0.04)
    assert np.mean(((found - found.mean()) / found.std()) ** 3) == pytest.approx(0, abs=0.08)
    assert np.mean(((found - found.mean()) / found.std()) ** 4) - 3 == pytest.approx(texture.kurtosis, abs=0.15)
    for share in (0.05, 0.25, 0.45, 0.75, 0.99):
        assert texture.share_below(texture.quantile(share) + 1e-9) >= share - 1e-9
        assert found[int(share * len(found))] == pytest.approx(texture.quantile(share), abs=0.06 * sd)


@each
@pytest.mark.parametrize("by", [(1.0, 0, 0), (0, 2.0, 0), (0, 0, 2.5), (1.0, 1.0, 2.5), (6.0, 0, 0)])
def test_places_agree_as_the_autocorrelation_says(texture: Texture, by: tuple[float, float, float]) -> None:
    here, there = texture.at(*PLACES), texture.at(*(PLACES + np.array(by)[:, np.newaxis]))
    assert np.mean(here * there) / texture.variance_hu2 == pytest.approx(texture.correlation(by), abs=0.04)


def test_entropy_is_that_of_the_distribution_in_bins() -> None:
    assert entropy_bits(Checker(20.0, (4.0, 4.0, 4.0)), 90, 5) == 1
    normal = 0.5 * math.log2(2 * math.pi * math.e * (15**2 + 5**2 / 12) / 5**2)  # Sheppard's correction
    assert entropy_bits(RandomField(15.0, 2.0, 1), 90, 5) == pytest.approx(normal, abs=1e-4)
    arcsine = math.log2(math.pi * 10_000 / 2)
    assert entropy_bits(Grating(10_000.0, 12.0, (1.0, 0, 0)), 90.5, 1) == pytest.approx(arcsine, abs=0.005)


@each
@pytest.mark.parametrize("form", list(Form))
def test_voxels_of_the_tumour_and_of_nothing_else_have_the_texture(texture: Texture, form: Form) -> None:
    plain = PhantomOptions(
        seed=3, phases=(Phase.PORTAL,), rows=128, columns=128, slices=24, slice_spacing_mm=3, noise_hu=0, form=form,
        rois=(), anatomy=varied(3).textured(Checker(0.0, (4.0, 4.0, 4.0))),
    )  # fmt: skip
    textured = make(PhantomOptions(**{**vars(plain), "anatomy": varied(3).textured(texture)}))
    inside = []
    for planned in textured.roi_series.slices:
        with_, without = (
            attenuations(one.anatomy, planned.plane, [Phase.PORTAL])[Phase.PORTAL] for one in (textured, make(plain))
        )
        within = mask(textured.anatomy.tumour.shape, planned.plane)
        assert np.array_equal(with_[~within], without[~within])
        inside.append((with_ - without)[within])
    assert np.concatenate(inside).std() == pytest.approx(math.sqrt(texture.variance_hu2), rel=0.1)
    stored = np.concatenate([ds.pixel_array.ravel() for ds in textured.datasets])
    plain_stored = np.concatenate([ds.pixel_array.ravel() for ds in make(plain).datasets])
    assert np.count_nonzero(stored != plain_stored) <= sum(map(len, inside))
    assert np.count_nonzero(stored != plain_stored) > 0.9 * sum(map(len, inside))


def test_the_texture_moves_with_the_tumour() -> None:
    anatomy = varied(3).textured(TEXTURES[0])
    options = PhantomOptions(seed=3, rows=128, columns=128, slices=8, noise_hu=0, rois=(), anatomy=anatomy)
    planned = make(options).roi_series.slices[4]
    step = options.spacing_mm[1]
    still, moved = (
        attenuations(one, planned.plane, [Phase.PORTAL])[Phase.PORTAL]
        for one in (anatomy, anatomy.breathed((step, 0, 0)))
    )
    within = mask(anatomy.tumour.shape, planned.plane)
    assert np.array_equal(still[within], np.roll(moved, -1, axis=1)[within])


def test_the_truth_is_written_beside_the_images(tmp_path: Path) -> None:
    options = PhantomOptions(rows=64, columns=64, slices=1, rois=(), anatomy=varied(1).textured(TEXTURES[2]))
    write(make(options), tmp_path)
    said = json.loads((tmp_path / "truth.json").read_text())["texture"]
    assert said["variance_hu2"] == 225
    assert said["percentiles_hu"]["75"] == pytest.approx(15 * 0.67449, abs=1e-3)
    assert said["correlation"]["z"][1] == pytest.approx(math.exp(-0.5))
    assert set(said["entropy_bits"]) == set(Phase)
    assert said["standard_error"][1] > 0
    assert ct.make(PhantomOptions()).truth.texture is None


def test_what_would_blur_or_lose_a_texture_is_refused() -> None:
    anatomy = varied(1).textured(TEXTURES[0])
    with pytest.raises(PhantomRefused, match="voxel centres"):
        PhantomOptions(anatomy=anatomy, supersampling=2)
    with pytest.raises(PhantomRefused, match="no texture"):
        DualEnergyOptions(base=PhantomOptions(anatomy=anatomy))
