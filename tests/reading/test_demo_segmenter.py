"""The network that ships for the demonstration, on phantoms that it has not seen, as the node draws with it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from her2node import phantoms
from her2node.errors import NoTumourFound
from her2node.models.package import SHIPPED, load_packages
from her2node.models.prediction import Level
from her2node.models.segmenter.ensemble import PLANS
from her2node.phantoms import PhantomOptions, Phase, cohort
from her2node.phantoms.options import Border, Form
from her2node.phantoms.rendering import mask
from her2node.reading.drawing import draw
from her2node.selection import select
from her2node.selection.study import open_study
from her2node.service.demonstration import studies
from her2node.training import demo_segmenter

(PACKAGE,) = load_packages([demo_segmenter.NAME]).packages
WANTED = 0.85
"""Median Dice coefficient."""
COUNT, SEED = 50, 8
UNSEEN = tuple(case.options.seed for case in cohort.cohort(COUNT, SEED))
NODES = (
    PhantomOptions(phases=(Phase.PORTAL,), rois=(), rows=192, columns=192, slices=48, slice_spacing_mm=2.5),
    PhantomOptions(phases=(Phase.PORTAL,), rois=(), rows=128, columns=128, slices=24, slice_spacing_mm=5.0),
    PhantomOptions(
        phases=(Phase.PORTAL,), rois=(), rows=256, columns=256, slices=40, slice_spacing_mm=3.0, noise_hu=15.0,
        form=Form.ENHANCED, border=Border.PADDED,
    ),
)  # fmt: skip
"""How the node's phantoms are scanned: those of the demonstration, coarser ones, and finer and noisier ones."""


def dice(seed: int, how: PhantomOptions, folder: Path) -> float:
    """2 |A and B| / (|A| + |B|) of what the node draws on a phantom's images and of the voxels in its tumour."""
    study = phantoms.ct.make(replace(how, seed=seed))
    opened = open_study(phantoms.write(study, folder))
    try:
        found = draw([PACKAGE], opened, select(opened, (), {}), demonstration=True, batch=1, seconds=math.inf)
    except NoTumourFound:
        return 0.0
    assert found.region.drawn is not None
    drawn = found.region.drawn.mask
    truth = np.stack([mask(study.anatomy.tumour.shape, planned.plane) for planned in study.roi_series.slices])
    return float(2 * (drawn & truth).sum() / (drawn.sum() + truth.sum()))


def told(found: Sequence[float]) -> str:
    return f"median {np.median(found):.3f}, least {min(found):.3f} of {len(found)}"


def test_the_first_unseen_phantoms_are_drawn_as_they_are(tmp_path: Path) -> None:
    found = [dice(seed, how, tmp_path / how.form / str(seed)) for seed, how in zip(UNSEEN, NODES, strict=False)]
    assert np.median(found) >= WANTED, told(found)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_median_dice_coefficient_of_50_unseen_phantoms_is_at_least_085(tmp_path: Path) -> None:
    found = [dice(seed, NODES[place % len(NODES)], tmp_path / str(seed)) for place, seed in enumerate(UNSEEN)]
    print(told(found))
    assert np.median(found) >= WANTED, told(found)


def test_the_phantoms_were_not_trained_on_and_nor_was_that_of_the_demonstration() -> None:
    trained = {case.options.seed for case in cohort.cohort(demo_segmenter.PATIENTS, demo_segmenter.SEED)}
    assert not trained & {*UNSEEN, studies.CT_OPTIONS.seed}


def test_the_card_says_how_it_was_made_and_that_it_says_nothing_of_patients() -> None:
    assert PACKAGE.manifest.level is Level.SYNTHETIC_DEMO
    assert PACKAGE.card == demo_segmenter.card()
    assert "`python -m her2node.training.demo_segmenter`" in PACKAGE.card
    assert f"seed {demo_segmenter.SEED}" in PACKAGE.card
    assert "It has seen no patient" in PACKAGE.card
    stored = json.loads((SHIPPED / demo_segmenter.NAME / PLANS).read_bytes())
    assert stored == demo_segmenter.plans()


def test_the_network_is_small_enough_to_ship() -> None:
    assert (SHIPPED / demo_segmenter.NAME / "fold-0.onnx").stat().st_size < 2**20
