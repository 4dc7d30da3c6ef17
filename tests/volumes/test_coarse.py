"""Coarse volumes: the same body, fewer voxels."""

from __future__ import annotations

import numpy as np
import pytest

from her2node import phantoms
from her2node.errors import DuplicateSlices
from her2node.phantoms import Border, PhantomOptions, Phase
from her2node.selection.study import Series, open_study
from her2node.volumes import build, preview
from her2node.volumes.coarse import PIXEL_MM, SLICE_MM

OPTIONS = PhantomOptions(
    seed=4, rows=96, columns=80, slices=30, slice_spacing_mm=2.0, pixel_spacing_mm=(0.8, 0.8), phases=(Phase.PORTAL,),
    rois=(), border=Border.PADDED,
)  # fmt: skip


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    return open_study(phantoms.write(phantoms.ct.make(OPTIONS), tmp_path_factory.mktemp("study"))).series[0]


def test_slices_are_left_out_and_pixels_averaged(series: Series) -> None:
    whole, coarse = build(series), preview(series)
    assert coarse.geometry.spacing_mm == (4.0, 1.6, 1.6)
    assert coarse.geometry.spacing_mm[0] <= SLICE_MM
    assert coarse.geometry.spacing_mm[1] <= PIXEL_MM
    assert coarse.geometry.shape == (15, 48, 40)
    squares = whole.voxels[::2].reshape(15, 48, 2, 40, 2).mean(axis=(2, 4), dtype=np.float64)
    held = whole.valid[::2].reshape(15, 48, 2, 40, 2).all(axis=(2, 4))
    assert np.array_equal(coarse.valid, held)
    assert np.abs(coarse.voxels - squares)[held].max() < 1e-3
    assert (coarse.voxels[~held] == -1024.0).all()
    assert (~held).any(), "the padded border is no image"


def test_a_coarse_voxel_lies_in_the_middle_of_those_it_was_made_of(series: Series) -> None:
    whole, coarse = build(series), preview(series)
    for index in ((0, 0, 0), (7, 20, 11), (14, 47, 39)):
        members = [(2 * index[0], 2 * index[1] + row, 2 * index[2] + column) for row in (0, 1) for column in (0, 1)]
        middle = whole.geometry.to_patient(members).mean(axis=0)
        assert coarse.geometry.to_patient(index) == pytest.approx(middle, abs=1e-6)
    assert [source.sop_instance_uid for source in coarse.sources] == [
        source.sop_instance_uid for source in whole.sources[::2]
    ]


def test_what_forms_no_stack_has_no_coarse_volume_either(series: Series) -> None:
    alone = Series(series.series_instance_uid, "CT", "", 1, series.instances[:1])
    assert preview(alone).geometry.shape[0] == 1
    with pytest.raises(DuplicateSlices):
        preview(Series(series.series_instance_uid, "CT", "", 1, (series.instances[0], series.instances[0])))
