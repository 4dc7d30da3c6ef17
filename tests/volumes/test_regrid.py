from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from her2node.errors import MixedOrientations
from her2node.volumes.regrid import resampled
from her2node.volumes.volume import Geometry

HERE = Geometry((6, 8, 10), (4.0, 2.0, 1.5), (10.0, -5.0, 3.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "1.2.3")


def tilted(degrees: float, spacing_mm: tuple[float, float, float]) -> Geometry:
    """A smaller grid turned about the row direction, wholly within the other."""
    c, s = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
    return Geometry((2, 3, 3), spacing_mm, (13.0, 0.0, 12.0), ((0, -s, c), (0, c, s), (1, 0, 0)), "1.2.3")


def linear(geometry: Geometry, slopes: tuple[float, float, float]) -> np.ndarray:
    """A field that grows evenly in the patient, at the voxel centres of a grid."""
    places = geometry.to_patient(np.moveaxis(np.indices(geometry.shape), 0, -1))
    return np.asarray(100 + places @ np.array(slopes), dtype=np.float32)


@given(
    some.floats(-30, 30),
    some.tuples(*[some.floats(-5, 5)] * 3),
    some.tuples(some.floats(0.5, 2), some.floats(0.5, 2), some.floats(0.5, 2)),
)
def test_a_field_that_grows_evenly_is_the_same_on_any_grid(
    degrees: float, slopes: tuple[float, float, float], spacing_mm: tuple[float, float, float]
) -> None:
    onto = tilted(degrees, spacing_mm)
    (found,) = resampled([linear(HERE, slopes)], HERE, onto)
    assert found == pytest.approx(linear(onto, slopes), abs=0.01)


def test_a_grid_onto_itself_changes_nothing() -> None:
    voxels = np.random.default_rng(1).normal(size=HERE.shape).astype(np.float32)
    one, other = resampled([voxels, -voxels], HERE, HERE)
    assert (one == voxels).all()
    assert (other == -voxels).all()


def test_beyond_half_a_voxel_and_where_there_is_no_image_there_is_no_value() -> None:
    voxels = np.ones(HERE.shape, dtype=np.float32)
    voxels[3] = np.nan
    shifted = replace(HERE, origin_mm=(10.0 - 1.5, -5.0, 3.0 + 0.4 * 4.0))
    (found,) = resampled([voxels], HERE, shifted)
    assert np.isnan(found[:, :, 0]).all()
    assert np.isnan(found[2:4]).all()
    assert (found[[0, 1, 4, 5], :, 1:] == 1).all()


@pytest.mark.parametrize("other", ["1.2.4", ""])
def test_another_frame_of_reference_is_refused(other: str) -> None:
    with pytest.raises(MixedOrientations):
        resampled([np.ones(HERE.shape, dtype=np.float32)], HERE, replace(HERE, frame_of_reference_uid=other))
