from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from her2node.models import synthetic
from her2node.models.package import SHIPPED, load, shipped_trust
from her2node.phantoms.planted import PLANTED


def test_the_fit_finds_a_planted_effect_and_satisfies_its_own_equations() -> None:
    rng = np.random.default_rng(5)
    features = np.column_stack([rng.normal(90, 15, 4000), rng.normal(70, 12, 4000), rng.normal(30, 10, 4000)])
    wanted = np.array([0.12, -0.05, 0.0])
    labels = rng.uniform(size=4000) < 1 / (1 + np.exp(-(-8.3 + features @ wanted)))
    weights = synthetic.maximum_likelihood(features, labels)
    assert weights[1:] == pytest.approx(wanted, abs=0.02)
    residual = labels - 1 / (1 + np.exp(-(weights[0] + features @ weights[1:])))
    assert np.abs(np.column_stack([np.ones(4000), features]).T @ residual).max() < 1e-6


def test_the_area_under_the_curve_counts_pairs() -> None:
    scores = np.array([0.0, 1.0, 1.0, 2.0])
    assert synthetic.area_under_curve(scores, np.array([False, True, False, True])) == 3.5 / 4


def test_the_package_has_the_direction_of_the_planted_relation() -> None:
    package = load(SHIPPED / synthetic.NAME, shipped_trust())
    logistic = package.manifest.logistic
    assert logistic is not None
    assert logistic.coefficients["portal_mean"] * PLANTED.portal_slope > 0
    assert logistic.coefficients["arterial_mean"] * PLANTED.arterial_slope > 0


@pytest.mark.soak
def test_fitting_anew_gives_the_package_that_ships_byte_for_byte(tmp_path: Path) -> None:
    synthetic.write(tmp_path / synthetic.NAME)
    for path in (SHIPPED / synthetic.NAME).iterdir():
        assert (tmp_path / synthetic.NAME / path.name).read_bytes() == path.read_bytes(), path.name
