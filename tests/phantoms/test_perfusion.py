from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from her2node import phantoms
from her2node.errors import PhantomRefused
from her2node.phantoms import flow
from her2node.phantoms.flow import Artery, Tissue, uptake
from her2node.phantoms.perfusion import PerfusionOptions, make

TIMES = tuple(float(t) for t in range(301))


def test_what_flows_in_flows_out_and_the_area_is_the_volume_of_blood() -> None:
    artery = Artery(again=0.0, staying=0.0)
    course = uptake(artery, Tissue(40, 0.07), TIMES)
    inflow = np.trapezoid([artery.at(t) for t in TIMES], TIMES)
    assert np.trapezoid(course, TIMES) / inflow == pytest.approx(0.07, rel=1e-4)


def test_with_exchange_the_area_is_blood_and_interstitium() -> None:
    artery = Artery(again=0.0, staying=0.0)
    course = uptake(artery, Tissue(60, 0.07, 60, 0.1), TIMES)
    inflow = np.trapezoid([artery.at(t) for t in TIMES], TIMES)
    assert np.trapezoid(course, TIMES) / inflow == pytest.approx(0.17, rel=1e-3)


def test_a_delay_moves_the_curve() -> None:
    early, late = (uptake(Artery(), Tissue(60, 0.06, 15, 0.2, d), TIMES) for d in (0.0, 5.0))
    assert late[5:] == pytest.approx(early[:-5], abs=1e-6)


def test_the_forward_model_shares_nothing_with_what_is_held_against_it() -> None:
    for module in (flow, phantoms.perfusion):
        tree = ast.parse(Path(module.__file__).read_text())
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any("quantities" in name or "volumes" in name for name in imported)


def test_the_truth_is_written_with_the_study(tmp_path: Path) -> None:
    phantoms.write(make(PerfusionOptions(times_s=(0.0, 1.0), rows=64, columns=64, slices=4)), tmp_path)
    written = json.loads((tmp_path / "truth.json").read_text())
    assert written["perfusion"]["tumour"] == {
        "flow": 60, "volume": 0.06, "exchange": 15, "interstitium": 0.2, "delay_s": 2.0
    }  # fmt: skip
    assert written["perfusion"]["tumour_transit_s"] == pytest.approx(6.0)


@pytest.mark.parametrize(
    "options", [{"times_s": (0.0,)}, {"times_s": (2.0, 1.0)}, {"shifts_mm": ((0.0, 0.0, 0.0),)}], ids=str
)
def test_what_cannot_be_made_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(PhantomRefused):
        PerfusionOptions(**options)  # type: ignore[arg-type]
