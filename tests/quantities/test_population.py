from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from her2node.quantities import population
from tests.quantities.osipi import rows


def test_there_is_nothing_before_the_bolus_arrives() -> None:
    for function, _ in population.INPUTS.values():
        assert (function(np.array([-30.0, -0.1])) == 0).all()


def test_curves_do_not_depend_on_how_long_they_are_watched() -> None:
    times = np.linspace(0, 60, 31)
    for function, _ in population.INPUTS.values():
        assert function(np.append(times, 3600.0))[:-1] == pytest.approx(function(times), rel=1e-12)
        assert np.isfinite(function(np.array([3600.0]))).all()


@pytest.mark.truth
@pytest.mark.parametrize("table", ["ParkerAIF_ref.csv", "ParkerAIF_ref_with_delay.csv"])
def test_parkers_curve_is_osipis_to_1e_6(shared: Path, table: str) -> None:
    cases = rows(shared, f"PopulationAIF_DCE/{table}")
    assert len(cases) > 1500
    times = np.array([60 * float(row["time"]) - float(row["delay"]) for row in cases])
    assert population.parker(times) == pytest.approx(np.array([float(row["Cb"]) for row in cases]), abs=1e-6)


@pytest.mark.truth
def test_georgious_curve_is_its_authors_to_1e_6_for_24_seconds_and_then_to_6e_5(shared: Path) -> None:
    """OSIPI's tolerance is 1e-4 + 1 %. The parameters were recovered from the first 18 s of this very curve, so those
    seconds show that the equation is right; the rest was not fitted, and there the authors' table lies apart."""
    cases = rows(shared, "PopulationAIF_DCE/GeorgiouAIF_ref.csv")
    times = np.array([60 * float(row["time"]) for row in cases])
    apart = np.abs(population.georgiou(times) - np.array([float(row["Cb"]) for row in cases]))
    assert len(cases) == 4271
    assert apart[times <= 24].max() < 1e-6
    assert apart.max() < 6e-5
