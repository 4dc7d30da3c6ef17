from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.quantities import kinetics, tofts
from tests.quantities.dce_made import Tissue, concentration, plasma
from tests.quantities.osipi import array, rows

TIMES = np.arange(0.0, 300.0, 2.0)
INFLOW = kinetics.Inflow.of(TIMES, plasma(TIMES))


def curves(*tissues: Tissue) -> np.ndarray:
    return np.stack([concentration(tissue, TIMES) for tissue in tissues])


@settings(max_examples=20, deadline=None)
@given(ktrans=st.floats(0.02, 0.6), ve=st.floats(0.05, 0.8), vp=st.floats(0.0, 0.1))
def test_a_curve_made_by_sums_gives_its_transfer_back(ktrans: float, ve: float, vp: float) -> None:
    found = tofts.extended_tofts(INFLOW, curves(Tissue(ktrans, ve, vp)))
    assert 60 * found.ktrans[0] == pytest.approx(ktrans, rel=0.03)
    assert found.ktrans[0] / found.kep[0] == pytest.approx(ve, rel=0.03)
    assert found.vp[0] == pytest.approx(vp, abs=0.003)


def test_where_nothing_comes_back_kep_is_the_slowest_there_is() -> None:
    found = tofts.tofts(INFLOW, (kinetics.integrated(TIMES, plasma(TIMES)) * 0.001)[np.newaxis])
    assert found.kep[0] == pytest.approx(tofts.RATES[0], rel=0.05)
    assert 60 * found.ktrans[0] == pytest.approx(0.06, rel=0.02)


def test_what_follows_the_plasma_ends_at_the_edge() -> None:
    found = tofts.tofts(INFLOW, 0.1 * plasma(TIMES)[np.newaxis])
    assert found.at_edge.all()


def test_a_curve_that_falls_has_no_transfer() -> None:
    found = tofts.extended_tofts(INFLOW, -curves(Tissue()))
    assert found.ktrans[0] == 0
    assert found.vp[0] == 0


def test_curves_are_fitted_alike_alone_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    many = curves(*(Tissue(ktrans, 0.2, 0.02) for ktrans in (0.05, 0.1, 0.2, 0.3, 0.4)))
    together = tofts.extended_tofts(INFLOW, many)
    monkeypatch.setattr(tofts, "CURVES_AT_ONCE", 2)
    in_blocks = tofts.extended_tofts(INFLOW, many)
    assert in_blocks.ktrans == pytest.approx(together.ktrans, rel=1e-6)
    assert in_blocks.kep == pytest.approx(together.kep, rel=1e-6)


def test_no_curve_gives_no_fit() -> None:
    assert len(tofts.tofts(INFLOW, np.empty((0, len(TIMES)))).ktrans) == 0


def test_uneven_times_give_the_same_transfer() -> None:
    times = np.concatenate([np.arange(0, 80, 1.5), np.arange(80, 300, 7.0)])
    tissue = Tissue(0.15, 0.25, 0.03)
    found = tofts.extended_tofts(kinetics.Inflow.of(times, plasma(times)), concentration(tissue, times)[np.newaxis])
    assert 60 * found.ktrans[0] == pytest.approx(0.15, rel=0.03)
    assert found.ktrans[0] / found.kep[0] == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize("delay", [0.0, 2.0, 5.0])
def test_the_delay_of_the_tissue_is_found(delay: float) -> None:
    times = np.arange(0.0, 240.0, 2.0)
    late = np.stack([
        concentration(Tissue(ktrans, 0.3, 0.04), times, 20.0 + delay) for ktrans in (0.1, 0.2, 0.4)
    ])  # fmt: skip
    late += 0.01 * np.random.default_rng(2).standard_normal(late.shape)
    inflow = kinetics.Inflow.of(times, plasma(times))
    assert tofts.best_delay(inflow, late, np.arange(0, 10.5, 0.5)) == pytest.approx(delay, abs=0.5)


@pytest.mark.truth
@pytest.mark.parametrize(
    ("fit", "table", "count"),
    [
        (tofts.tofts, "DCEmodels/dce_DRO_data_tofts.csv", 25),
        (tofts.extended_tofts, "DCEmodels/dce_DRO_data_extended_tofts.csv", 15),
    ],
)
def test_osipi_cases_are_all_within_tolerance(shared: Path, fit: object, table: str, count: int) -> None:
    assert callable(fit)
    cases = rows(shared, table)
    assert len(cases) == count
    for row in cases:
        found = fit(kinetics.Inflow.of(array(row["t"]), array(row["ca"])), array(row["C"])[np.newaxis])
        ktrans = float(row["Ktrans"])
        assert abs(60 * found.ktrans[0] - ktrans) <= 0.005 + 0.1 * ktrans, row["label"]
        assert abs(found.ktrans[0] / found.kep[0] - float(row["ve"])) <= 0.05, row["label"]
        assert abs(found.vp[0] - float(row.get("vp", 0))) <= 0.025, row["label"]
