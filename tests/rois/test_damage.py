"""Damaged objects: an answer or a reason, never an accident."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from her2node import quantities, rois, volumes
from her2node.errors import Refused
from her2node.selection.study import group, open_instance
from tests.rois import made
from tests.volumes import made as ct

GRID = made.grid((4, 5, 7))
MASK = np.zeros((4, 5, 7), bool)
MASK[1:3, 2:4, 1:5] = True
SQUARE = made.contour(GRID, 1, [(0.5, 0.5), (0.5, 4.2), (4.2, 4.2), (4.2, 0.5)])
SPLINTERS = (b"\xff\xff", b"\0", b"", b"1e999", b"nan", b"-", b"\\\\", b"\xff\xff\xff\x7f", b"9999", b"\0\0\0\0")


def whole(kind: str, folder: Path) -> bytes:
    """One sound object of a kind."""
    match kind:
        case "binary":
            path = made.segmentation(folder, MASK[None], GRID)
        case "fractional":
            path = made.segmentation(folder, 200 * MASK[None].astype("u1"), GRID, kind="FRACTIONAL")
        case "labelmap":
            path = made.segmentation(folder, 2 * MASK, GRID, kind="LABELMAP", numbers=(2,))
        case "contours":
            path = made.structure_set(folder, [SQUARE])
        case "enhanced":
            path = ct.enhanced(folder).instances[0].path
        case _:
            path = ct.classic(folder, ct.values(1, 5, 7)).instances[0].path
    return path.read_bytes()


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Cut short, or with a few bytes behind the meta header replaced, inserted or lost."""
    if rng.random() < 0.15:
        return content[: rng.randrange(132, len(content))]
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 10))):
        at = rng.randrange(300, len(found))
        splinter = rng.choice(SPLINTERS)
        found[at : at + rng.choice((1, max(len(splinter), 1)))] = splinter
    return bytes(found)


def outcome(path: Path) -> list[str]:
    """Everything that the rooms of the images say of one file; only Refused is caught."""
    try:
        study = group([open_instance(path)])
    except Refused as error:
        return [error.reason]
    said = []
    for region in rois.given(study):
        try:
            said.append(f"{len(quantities.measure(GRID, rois.lay(region, GRID), None))} measured")
        except Refused as error:
            said.append(error.reason)
    try:
        said.append(f"{volumes.build(study.series[0]).voxels.shape} built")
    except Refused as error:
        said.append(error.reason)
    return said


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["binary", "fractional", "labelmap", "contours", "enhanced", "classic"])
def test_a_damaged_object_is_an_answer_or_a_reason(kind: str, tmp_path: Path) -> None:
    content, rng = whole(kind, tmp_path), random.Random(kind)
    path = tmp_path / "damaged.dcm"
    said = set()
    for _ in range(120):
        path.write_bytes(damaged(content, rng))
        said.update(outcome(path))
    assert len(said) >= 4  # the damage was of several kinds
