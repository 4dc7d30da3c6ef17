"""Organs and vessels found without a network: equal to a phantom's truth, however it lies, None where they are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from her2node import phantoms
from her2node.phantoms import PhantomOptions, PhantomStudy, Phase
from her2node.rois.landmarks import Landmarks, find, turned
from her2node.selection.study import open_study
from her2node.volumes import preview
from her2node.volumes.volume import Volume

OPTIONS = PhantomOptions(seed=5, rows=144, columns=144, slices=30, slice_spacing_mm=5.0, rois=(), noise_hu=10.0)


@pytest.fixture(scope="module")
def study() -> PhantomStudy:
    return phantoms.make(OPTIONS)


@pytest.fixture(scope="module")
def volumes(study: PhantomStudy, tmp_path_factory: pytest.TempPathFactory) -> dict[Phase, Volume]:
    opened = open_study(phantoms.write(study, tmp_path_factory.mktemp("study")))
    by_uid = {series.series_instance_uid: series for series in opened.series}
    return {series.phase: preview(by_uid[series.series_instance_uid]) for series in study.series}


@pytest.fixture(scope="module")
def found(volumes: dict[Phase, Volume]) -> dict[Phase, Landmarks]:
    return {phase: find(volume) for phase, volume in volumes.items()}


def truth(study: PhantomStudy, organ: str, phase: Phase) -> float:
    return next(one.hu[phase] for one in study.truth.organs if one.name == organ)


@pytest.mark.parametrize("phase", [Phase.ARTERIAL, Phase.PORTAL, Phase.EQUILIBRIUM])
def test_organs_and_aorta_have_the_attenuation_that_they_were_made_with(
    study: PhantomStudy, found: dict[Phase, Landmarks], phase: Phase
) -> None:
    landmarks = found[phase]
    for organ in ("liver", "spleen"):
        assert getattr(landmarks, organ) == pytest.approx(truth(study, organ, phase), abs=6.0)
    assert landmarks.aorta == pytest.approx(truth(study, "aorta", phase), rel=0.08)
    assert landmarks.cortex is not None
    assert landmarks.medulla is not None
    assert landmarks.cortex > landmarks.medulla or phase is Phase.EQUILIBRIUM


def test_without_contrast_nothing_before_the_spine_is_bright(found: dict[Phase, Landmarks]) -> None:
    plain = found[Phase.PLAIN]
    assert plain.ceiling is not None
    assert plain.ceiling < 80
    assert plain.portal_tube is None


@pytest.mark.parametrize("phase", [Phase.ARTERIAL, Phase.PORTAL])
def test_the_tube_of_the_aorta_lies_in_blood_alone(
    found: dict[Phase, Landmarks], volumes: dict[Phase, Volume], study: PhantomStudy, phase: Phase
) -> None:
    tube, volume = found[phase].aorta_tube, volumes[phase]
    assert tube is not None
    assert len(tube.line_mm) >= 0.5 * volume.geometry.shape[0]
    index = np.rint(volume.geometry.to_index(tube.line_mm)).astype(int)
    assert volume.voxels[tuple(index.T)] == pytest.approx(truth(study, "aorta", phase), abs=30.0)
    moved = tube.moved((1.0, -2.0, 3.0))
    assert np.subtract(moved.line_mm, tube.line_mm) == pytest.approx(np.tile([1.0, -2.0, 3.0], (len(tube.line_mm), 1)))


def mirrored(volume: Volume, axes: tuple[int, ...]) -> Volume:
    """The same voxels at the same places, stored the other way round along axes."""
    geometry = volume.geometry
    last = [geometry.shape[axis] - 1 if axis in axes else 0 for axis in range(3)]
    x, y, z = (float(at) for at in geometry.to_patient(last))
    directions = np.array(geometry.directions)
    directions[list(axes)] *= -1
    a, b, c = (tuple(map(float, row)) for row in directions)
    turned_geometry = replace(geometry, origin_mm=(x, y, z), directions=(a, b, c))
    voxels, valid = np.flip(volume.voxels, axes).copy(), np.flip(volume.valid, axes).copy()
    return replace(volume, geometry=turned_geometry, voxels=voxels, valid=valid)


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1), (0, 1, 2)])
def test_they_are_the_same_however_the_voxels_are_stored(
    volumes: dict[Phase, Volume], found: dict[Phase, Landmarks], axes: tuple[int, ...]
) -> None:
    again, before = find(mirrored(volumes[Phase.PORTAL], axes)), found[Phase.PORTAL]
    for name in ("aorta", "liver", "spleen", "cortex", "medulla", "portal_vein", "ceiling"):
        assert getattr(again, name) == pytest.approx(getattr(before, name), abs=0.5), name
    assert again.aorta_tube is not None
    assert before.aorta_tube is not None
    assert np.sort(again.aorta_tube.line_mm, axis=0) == pytest.approx(
        np.sort(before.aorta_tube.line_mm, axis=0), abs=0.1
    )


def test_an_upright_volume_runs_up_back_and_left(volumes: dict[Phase, Volume]) -> None:
    upright = turned(mirrored(volumes[Phase.PORTAL], (0, 2)))
    assert upright is not None
    assert np.allclose(upright.geometry.directions, ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
    oblique = replace(volumes[Phase.PORTAL].geometry, directions=((0.0, 0.6, 0.8), (0.0, 0.8, -0.6), (1.0, 0.0, 0.0)))
    assert turned(replace(volumes[Phase.PORTAL], geometry=oblique)) is None


def test_where_there_is_no_spine_nothing_is_found(volumes: dict[Phase, Volume]) -> None:
    volume = volumes[Phase.PORTAL]
    soft = replace(volume, voxels=np.minimum(volume.voxels, np.float32(100.0)))
    air = replace(volume, voxels=np.full_like(volume.voxels, -1000.0))
    for other in (soft, air):
        assert find(other) == Landmarks(volume.geometry.frame_of_reference_uid)


def test_in_noise_no_vessel_is_found_and_so_no_phase_is_judged(volumes: dict[Phase, Volume]) -> None:
    volume = volumes[Phase.PORTAL]
    noise = np.random.default_rng(1).normal(0, 300, volume.voxels.shape).astype(np.float32)
    seen = find(replace(volume, voxels=noise))
    assert (seen.aorta, seen.aorta_tube, seen.portal_tube) == (None, None, None)
