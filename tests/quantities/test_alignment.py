"""Time points are brought onto each other by where edges lie and face, however contrast changes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from her2node.quantities.alignment import aligned
from her2node.selection.study import open_study
from her2node.volumes.dce import build, dynamic_stack_of
from tests.reading import qiba

SPACING_MM = (5.0, 2.0, 2.0)
SHAPE = (4, 96, 96)
RISES = [0, 0, 1.0, 1.5, 1.2, 1.0, 0.8]


def breathing(moves: list[tuple[float, float]], rises: list[float], tissue: float = 100.0) -> np.ndarray:
    """A body with gas, a lesion and a vessel that take up contrast; moved (mm by rows, by columns) at each time."""
    row, column = np.mgrid[0:96, 0:96] - 48.0
    still = np.where((row / 34) ** 2 + (column / 42) ** 2 <= 1, tissue, 4.0)
    still[((row + 10) / 8) ** 2 + ((column - 12) / 6) ** 2 <= 1] = 8.0
    lesion = ((row - 8) / 9) ** 2 + ((column + 15) / 9) ** 2 <= 1
    vessel = (row - 12) ** 2 + (column - 4) ** 2 <= 16
    rng = np.random.default_rng(4)
    found = []
    for (down, across), rise in zip(moves, rises, strict=True):
        image = still + 60 * rise * lesion + 300 * rise * vessel
        moved = ndimage.shift(np.repeat(image[np.newaxis], SHAPE[0], axis=0), (0, down / 2, across / 2), order=1)
        found.append(moved + 3 * rng.standard_normal(SHAPE))
    return np.asarray(found, dtype=np.float32)


def test_shifts_are_found_while_contrast_comes_and_goes() -> None:
    moves = [(0.0, 0.0), (0.0, 0.0), (6.0, 2.0), (-4.0, 0.0), (0.0, 0.0), (3.0, -3.0), (0.0, 0.0)]
    found = aligned(breathing(moves, RISES), SPACING_MM).shifts_mm
    expected = np.array([(0.0, down, across) for down, across in moves])
    assert found - found[0] == pytest.approx(expected - expected[0], abs=0.6)


@pytest.mark.parametrize("tissue", [100.0, 30.0, 10.0])
def test_contrast_alone_is_no_motion_in_bright_tissue_or_dark(tissue: float) -> None:
    assert aligned(breathing([(0.0, 0.0)] * 7, RISES, tissue), SPACING_MM).largest_mm == 0


def test_a_shift_too_small_to_be_told_is_none() -> None:
    assert aligned(breathing([(0.0, 0.0)] * 6 + [(0.3, 0.3)], RISES), SPACING_MM).largest_mm == 0


def test_a_few_slices_are_not_shifted_along_their_normal() -> None:
    voxels = breathing([(0.0, 0.0), (6.0, 0.0), (0.0, 0.0)], [0, 0, 1.0])[:, :3]
    found = aligned(voxels, SPACING_MM).shifts_mm
    assert (found[:, 0] == 0).all()
    assert found[1, 1] == pytest.approx(6, abs=0.6)


def test_images_without_any_edge_lie_where_they_are() -> None:
    assert aligned(np.zeros((3, *SHAPE), dtype=np.float32), SPACING_MM).largest_mm == 0


@pytest.mark.truth
def test_patches_that_take_up_contrast_do_not_move(shared: Path, tmp_path: Path) -> None:
    """QIBA's reference object: tissue darker than blood, brighter than blood, and both over time."""
    files = qiba.study(shared / "reference" / "qiba-dce-v6" / "QIBA_v06_Tofts_dicom.tar.gz", tmp_path)
    members = [series for series in open_study(files, met=True).series if series.modality == "MR"]
    volume = build(dynamic_stack_of(members))
    assert aligned(volume.voxels, volume.geometry.spacing_mm).largest_mm == 0


@pytest.mark.truth
def test_a_patient_whose_pelvis_lies_still_is_left_alone(shared: Path) -> None:
    folder = shared / "data" / "mr-prostatex0218-dwi-dce"
    volume = build(dynamic_stack_of(open_study(sorted(folder.glob("*twist/*.dcm")), met=True).series))
    assert aligned(volume.voxels, volume.geometry.spacing_mm).largest_mm == 0
