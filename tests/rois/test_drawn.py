"""A mask that the node drew, laid on the grids of other series."""

from __future__ import annotations

import numpy as np
import pytest

from her2node.errors import EmptyRoi
from her2node.rois.carrying import carried
from her2node.rois.drawn import DrawnMask
from her2node.rois.registration import Way
from her2node.volumes.volume import Bools, Geometry
from tests.rois import made

RNG = np.random.default_rng(8)
OWN = made.grid((9, 14, 12), spacing=(2.5, 0.7, 0.9)).geometry
MASK = np.zeros(OWN.shape, dtype=np.bool_)
MASK[2:7, 3:11, 2:10] = RNG.random((5, 8, 8)) < 0.6
OTHERS = {
    "the same": OWN,
    "finer": made.grid((31, 40, 45), spacing=(0.8, 0.31, 0.27), origin=(-9.9, -19.8, 29.3)).geometry,
    "coarser": made.grid((4, 5, 6), spacing=(5.1, 2.2, 2.1), origin=(-10.3, -20.2, 30.4)).geometry,
    "coronal": made.grid(
        (11, 20, 13), spacing=(0.93, 1.7, 0.8), origin=(-10.2, -19.1, 52.0), orientation=(1, 0, 0, 0, 0, -1)
    ).geometry,
    "oblique": made.grid(
        (12, 20, 20), spacing=(2.0, 0.6, 0.7), origin=(-11.0, -19.0, 27.0), orientation=(0.96, 0, 0.28, 0, 1, 0)
    ).geometry,
}


def nearest(geometry: Geometry) -> Bools:
    """By brute force: the nearest voxel of the mask's grid to every voxel centre."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    own = np.floor(OWN.to_index(geometry.to_patient(index)) + 0.5).astype(int)
    inside = ((own >= 0) & (own < OWN.shape)).all(axis=-1)
    clipped = np.clip(own, 0, np.array(OWN.shape) - 1)
    return np.asarray(MASK[tuple(np.moveaxis(clipped, -1, 0))] & inside)


@pytest.mark.parametrize("other", OTHERS)
def test_on_any_grid_a_voxel_belongs_to_it_when_its_centre_lies_in_a_voxel_of_the_mask(other: str) -> None:
    found = DrawnMask(MASK, OWN).laid(OTHERS[other])
    wanted = nearest(OTHERS[other])
    assert wanted.any()
    assert np.array_equal(found.mask, wanted)


def test_carried_by_no_registration_it_is_the_same() -> None:
    for geometry in OTHERS.values():
        mask = carried(DrawnMask(MASK, OWN).planes(), geometry, Way(())).mask
        assert np.array_equal(mask, DrawnMask(MASK, OWN).laid(geometry).mask)


def test_on_a_series_that_ends_within_it_it_is_cut_off() -> None:
    short = made.grid((4, 14, 12), spacing=(2.5, 0.7, 0.9)).geometry
    assert DrawnMask(MASK, OWN).laid(short).cut_off
    assert not DrawnMask(MASK, OWN).laid(OWN).cut_off


def test_a_mask_without_a_voxel_is_refused() -> None:
    with pytest.raises(EmptyRoi):
        DrawnMask(np.zeros_like(MASK), OWN).planes()
