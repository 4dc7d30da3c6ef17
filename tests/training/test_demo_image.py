"""The network that was trained on phantoms: what ships, and that its graph is the network that its card describes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import load_model_from_string, numpy_helper

from her2node import phantoms
from her2node.models.image.classifier import noise, read
from her2node.models.manifest import Image
from her2node.models.odds import expit
from her2node.models.package import MODEL, SHIPPED, load, shipped_trust
from her2node.models.prediction import Level
from her2node.phantoms import PhantomOptions, Phase
from her2node.reading import read as read_study
from her2node.reading import way
from her2node.reading.reading import Found, Scene
from her2node.selection.study import open_study
from her2node.training import demo_image

SHIPS = load(SHIPPED / demo_image.NAME, shipped_trust())


def weights_of(model: bytes) -> demo_image.Weights:
    stored = load_model_from_string(model).graph.initializer
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in stored}


def test_what_ships_is_a_demonstration_and_says_how_it_was_made_and_how_good_it_is() -> None:
    said = SHIPS.manifest
    assert isinstance(said, Image)
    assert said.level is Level.SYNTHETIC_DEMO
    assert "python -m her2node.training.demo_image" in SHIPS.card
    assert f"seed {demo_image.FITTED[1]}" in SHIPS.card
    assert "Area under the ROC curve 0." in SHIPS.card
    assert said.prior.positives + said.prior.negatives <= demo_image.FITTED[0]
    assert (said.crop.size, said.crop.spacing_mm) == (demo_image.SHAPE.size, demo_image.SHAPE.spacing_mm)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_what_ships_answers_random_crops_as_its_layers_do_one_by_one(seed: int) -> None:
    assert SHIPS.classifier is not None
    weights = weights_of((SHIPPED / demo_image.NAME / MODEL).read_bytes())
    crop = noise(SHIPS.classifier.stated, seed)
    assert SHIPS.classifier.probability(crop) == pytest.approx(expit(demo_image.evaluated(weights, crop)), abs=1e-5)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_any_weights_become_a_graph_that_calculates_the_same(seed: int) -> None:
    rng, channels, filters = np.random.default_rng(seed), demo_image.SHAPE.shape[0], demo_image.FILTERS
    shapes = {
        "first.weight": (filters, channels, 3, 3, 3), "first.bias": (filters,),
        "second.weight": (filters, filters, 3, 3, 3), "second.bias": (filters,),
        "last.weight": (1, filters), "last.bias": (1,),
    }  # fmt: skip
    weights = {name: rng.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}
    network = read(demo_image.SHAPE, demo_image.graph(weights, demo_image.SHAPE.shape))
    crop = rng.normal(0, 1, demo_image.SHAPE.shape).astype(np.float32)
    crop[-1] = crop[-1] > 0
    assert network.probability(crop) == pytest.approx(expit(demo_image.evaluated(weights, crop)), abs=1e-5)


def test_it_is_trained_on_the_very_crops_that_the_node_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = PhantomOptions(
        seed=4, rows=96, columns=96, slices=24, slice_spacing_mm=5.0, phases=(Phase.ARTERIAL, Phase.PORTAL)
    )
    study = phantoms.ct.make(options)
    kept = []
    course = way.read_phases

    def keeping(scene: Scene) -> Found:
        found = course(scene)
        kept.extend(found.views)
        return found

    monkeypatch.setattr(way, "_COURSES", (keeping,))
    reading = read_study(open_study(phantoms.write(study, tmp_path)), [SHIPS], demonstration=True)
    views = demo_image.views_of(study)
    assert len(kept) == len(views) == 2
    for mine in views:
        (theirs,) = (one for one in kept if one.role is mine.role)
        assert np.allclose(mine.hu, theirs.hu, atol=0.01, equal_nan=True)
        assert np.array_equal(mine.mask, theirs.mask)
        assert mine.reaches_mm == pytest.approx(theirs.reaches_mm)
    (said,) = reading.predictions
    assert 0 < said.answers[0].probability < 1
    assert len(reading.maps) == 1


def test_normalisation_is_that_of_regions_without_their_rim() -> None:
    crops = np.full((2, 3, 5, 5, 5), -900.0, dtype=np.float32)
    crops[:, 2, 1:4, 1:4, 1:4] = 1
    crops[:, 0, 2, 2, 2], crops[:, 1, 2, 2, 2] = [50.0, 70.0], [80.0, 120.0]
    crops[:, 2, 0, 0, 0] = 0
    arterial, portal = demo_image.normalisation(crops).channels
    assert (arterial.mean_hu, portal.mean_hu) == (60.0, 100.0)
    assert arterial.sd_hu == pytest.approx(9.9)
    assert arterial.clip_hu == (50.1, 69.9)
