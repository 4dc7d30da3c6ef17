from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from her2node.errors import NoBaseline
from her2node.quantities import motion
from her2node.quantities.dce_motion import steadied
from her2node.volumes.dce import Contrast, DceVolume
from her2node.volumes.volume import Geometry, SliceSource

SHAPE = (4, 96, 96)


def breathing(moves: list[tuple[float, float]], rises: list[float]) -> tuple[DceVolume, np.ndarray]:
    """A body with dark gas and a lesion that takes up contrast; at each time moved (mm by rows, by columns)."""
    place, row, column = np.mgrid[0 : SHAPE[0], 0:96, 0:96] - np.array([1.5, 48.0, 48.0])[:, None, None, None]
    size = 1 - 0.06 * place
    body = (row / 34 / size) ** 2 + (column / 42 / size) ** 2 <= 1
    gas = ((row + 10) / 8 * size) ** 2 + ((column - 12 - 2 * place) / 6) ** 2 <= 1
    lesion = ((row - 8) / 9) ** 2 + ((column + 15) / 9) ** 2 <= 1
    vessel = (row - 12) ** 2 + (column - 4) ** 2 <= 16
    rng = np.random.default_rng(4)
    voxels = []
    for (down, across), rise in zip(moves, rises, strict=True):
        still = np.where(body, 100.0, 4.0)
        still[gas] = 8.0
        still[lesion] += 60 * rise
        still[vessel] += 300 * rise
        moved = ndimage.shift(still, (0, down / 2, across / 2), order=1, mode="nearest")
        voxels.append(moved + 3 * rng.standard_normal(SHAPE))
    geometry = Geometry(SHAPE, (5.0, 2.0, 2.0), (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "1.2.3")
    volume = DceVolume(
        np.asarray(voxels, dtype=np.float32), np.ones(SHAPE, np.bool_), np.arange(float(len(moves))), geometry, ("1",),
        ((SliceSource("1", "2"),) * SHAPE[0],) * len(moves), "AcquisitionTime", 5.0, 2.0, 20.0, 1.5, Contrast(),
    )  # fmt: skip
    return volume, body


def test_shifts_are_found_while_contrast_comes_and_goes() -> None:
    moves = [(0.0, 0.0), (0.0, 0.0), (6.0, 2.0), (-4.0, 0.0), (0.0, 0.0), (3.0, -3.0), (0.0, 0.0)]
    volume, body = breathing(moves, [0, 0, 1.0, 1.5, 1.2, 1.0, 0.8])
    _, found = steadied(volume, body)
    expected = np.array([(0.0, down, across) for down, across in moves])
    assert found.shifts_mm[:, 1:] - found.shifts_mm[0, 1:] == pytest.approx(expected[:, 1:] - expected[0, 1:], abs=0.6)


def test_contrast_alone_is_no_motion() -> None:
    volume, body = breathing([(0.0, 0.0)] * 6, [0, 0.2, 1.0, 1.5, 1.0, 0.8])
    made_still, found = steadied(volume, body)
    assert found.largest_mm < motion.STILL * 2.0
    assert (made_still.voxels == volume.voxels).all()


def test_the_given_voxels_stay_as_they_are_and_the_notes_say_what_was_done() -> None:
    volume, body = breathing([(0.0, 0.0), (0.0, 0.0), (6.0, 0.0)], [0, 0, 1.0])
    before = volume.voxels.copy()
    made_still, found = steadied(volume, body)
    assert (volume.voxels == before).all()
    assert f"shifted by up to {found.largest_mm:.1f} mm" in made_still.notes[-1]
    inside = np.abs(made_still.voxels[2] - made_still.voxels[0])[:, 20:30, 30:60]
    assert np.median(inside) < 6


def test_without_signal_nothing_can_be_aligned() -> None:
    volume, body = breathing([(0.0, 0.0)] * 2, [0, 0])
    with pytest.raises(NoBaseline):
        steadied(volume, np.zeros_like(body))
