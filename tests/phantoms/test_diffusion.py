from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from her2node import phantoms
from her2node.phantoms.diffusion import DiffusionOptions, Tissue, make
from her2node.phantoms.weighting import Tagging, Weighted
from tests.reports.gates import dciodvfy

SMALL = DiffusionOptions(b_values=(0, 100, 800), rows=64, columns=64, slices=2, spacing_mm=4.0, region=False)


def test_a_tissue_s_signal_at_b_0_is_its_s0() -> None:
    assert Tissue(500.0, 1000.0, 50_000.0, 0.2).signal(Weighted(0.0), 0.3) == pytest.approx(500.0)


def test_a_tissue_s_signal_is_two_decays() -> None:
    found = Tissue(1000.0, 1000.0, 50_000.0, 0.2).signal(Weighted(100.0, trace=True), 0.0)
    assert found == pytest.approx(800 * np.exp(-0.1) + 200 * np.exp(-5.0))


def test_the_geometric_mean_over_the_axes_is_the_trace_of_a_single_decay() -> None:
    tissue = Tissue(1000.0, 1500.0, 0.0, 0.0)
    axes = [tissue.signal(Weighted(800.0, axis), 0.4) for axis in ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))]
    assert len({round(value, 6) for value in axes}) == 3
    assert np.prod(axes) ** (1 / 3) == pytest.approx(tissue.signal(Weighted(800.0, trace=True), 0.4))


def test_air_reads_as_magnitude_noise_does() -> None:
    images = list(make(replace(SMALL, noise=20.0)).datasets)
    air = np.concatenate([ds.pixel_array[:6].ravel() for ds in images])
    assert air.mean() == pytest.approx(20 * np.sqrt(np.pi / 2), rel=0.02)


@pytest.mark.parametrize("tagging", list(Tagging))
def test_the_same_options_give_the_same_objects(tagging: Tagging) -> None:
    options = replace(SMALL, tagging=tagging)
    one, other = (list(make(options).datasets) for _ in range(2))
    assert one == other
    assert len({ds.SOPInstanceUID for ds in one}) == len(one)


@pytest.mark.parametrize("directional", [False, True])
@pytest.mark.parametrize("tagging", [Tagging.ENHANCED, Tagging.PHILIPS_ENHANCED])
def test_an_enhanced_object_is_whole(tagging: Tagging, directional: bool, tmp_path: Path) -> None:
    study = make(replace(SMALL, tagging=tagging, directional=directional, rows=16, columns=16, spacing_mm=16.0))
    (path,) = (path for path in phantoms.write(study, tmp_path) if path.suffix == ".dcm")
    assert dciodvfy(path) == ([], [])
