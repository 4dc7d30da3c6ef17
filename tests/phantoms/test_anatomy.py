"""The family of abdomens that seeds make."""

from __future__ import annotations

import numpy as np
import pytest

from her2node.errors import PhantomRefused
from her2node.phantoms.anatomy import Attenuation, Phase, Tumour, varied
from her2node.phantoms.planes import holds
from her2node.phantoms.shapes import Ellipsoid

SEEDS = range(150)


def _points_in(shape: Ellipsoid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    balls = rng.normal(size=(500, 3))
    balls *= (rng.uniform(size=500) ** (1 / 3) / np.linalg.norm(balls, axis=1))[:, None]
    at = np.asarray(shape.centre_mm) + (balls * shape.semi_axes_mm) @ np.asarray(shape.axes)
    return at[:, 0], at[:, 1], at[:, 2]


def test_every_seed_finds_a_place_for_its_tumour_clear_of_other_organs() -> None:
    for seed in SEEDS:
        anatomy = varied(seed)
        x, y, z = _points_in(anatomy.tumour.shape)
        for name in ("liver", "spleen", "kidney", "aorta", "vena cava", "portal vein", "vertebra"):
            for organ in anatomy.organ(name):
                assert not organ.shape.contains(x, y, z).any(), (seed, name)


def test_the_tumour_is_joined_to_the_gastric_wall_and_reaches_in_and_out() -> None:
    for seed in SEEDS:
        anatomy = varied(seed)
        x, y, z = _points_in(anatomy.tumour.shape)
        outer = np.any([part.shape.contains(x, y, z) for part in anatomy.organ("gastric wall")], axis=0)
        inner = np.any([part.shape.contains(x, y, z) for part in anatomy.organ("gastric fluid")], axis=0)
        assert (outer & ~inner).any(), seed
        assert inner.any(), seed
        assert (~outer).any(), seed


def test_seeds_differ_in_place_size_attenuation_and_pattern() -> None:
    tumours = [varied(seed).tumour for seed in SEEDS]
    assert {tumour.place for tumour in tumours} == {"fundus", "corpus", "antrum"}
    assert np.ptp([tumour.shape.volume_mm3 for tumour in tumours]) > 20_000
    assert np.std([tumour.mean_hu(Phase.PORTAL) for tumour in tumours]) > 8
    assert 0.15 < np.mean([tumour.core > 0 for tumour in tumours]) < 0.45


def test_the_same_seed_is_the_same_patient() -> None:
    assert varied(11) == varied(11)
    assert varied(11) != varied(12)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(PhantomRefused, match="negative"):
        varied(-1)


def test_the_mean_of_a_tumour_with_a_core_weighs_both_by_volume() -> None:
    shape = Ellipsoid((0.0, 0.0, 0.0), (20.0, 14.0, 12.0))
    tumour = Tumour("corpus", shape, Attenuation(40, 80, 100, 90), 0.5, Attenuation(20, 22, 24, 24))
    grid = tuple(np.meshgrid(*[np.arange(-21, 21, 0.25)] * 3, indexing="ij", sparse=True))
    whole, core = shape.contains(*grid), shape.scaled(0.5).contains(*grid)
    values = np.where(core, 24, 100)[whole]
    assert tumour.mean_hu(Phase.PORTAL) == pytest.approx(values.mean(), abs=0.05)


def test_the_lumen_holds_gas_over_fluid() -> None:
    anatomy = varied(0)
    gas, fluid = anatomy.organ("gastric gas"), anatomy.organ("gastric fluid")
    assert sum(part.shape.volume_mm3 for part in gas) > 5_000
    assert all(g.shape.volume_mm3 < f.shape.volume_mm3 for g, f in zip(gas, fluid, strict=True))


def test_holds_agrees_with_the_shape_on_a_turned_grid() -> None:
    shape = varied(5).tumour.shape
    rng = np.random.default_rng(2)
    size = (40, 30)
    x, y, z = (rng.uniform(-40, 40, size) + centre for centre in shape.centre_mm)
    assert np.array_equal(holds(shape, (x, y, z), size), shape.contains(x, y, z))
