"""Places and indices are one and the same thing, said twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.volumes.volume import Geometry

lengths = st.floats(0.2, 10)
places = st.floats(-500, 500)
angles = st.floats(-np.pi, np.pi)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any right-handed grid: a rotation by three angles, any spacing, any origin, up to 12 voxels a side."""
    a, b, c = draw(angles), draw(angles), draw(angles)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    across, down, up = (about_z @ about_y @ about_x).T
    side = st.integers(1, 12)
    return Geometry(
        shape=(draw(side), draw(side), draw(side)),
        spacing_mm=(draw(lengths), draw(lengths), draw(lengths)),
        origin_mm=(draw(places), draw(places), draw(places)),
        directions=(tuple(up), tuple(down), tuple(across)),
        frame_of_reference_uid="1.2.3",
    )


@settings(deadline=None)
@given(geometries(), st.tuples(places, places, places))
def test_an_index_taken_to_the_patient_and_back_is_itself(geometry: Geometry, index: tuple[float, ...]) -> None:
    assert np.allclose(geometry.to_index(geometry.to_patient(index)), index, atol=1e-6)


@settings(deadline=None)
@given(geometries())
def test_voxel_zero_is_the_origin_and_a_step_is_a_spacing_along_its_direction(geometry: Geometry) -> None:
    assert np.allclose(geometry.to_patient((0, 0, 0)), geometry.origin_mm)
    for axis in range(3):
        step = geometry.to_patient(np.eye(3)[axis]) - geometry.to_patient((0, 0, 0))
        assert np.allclose(step, np.asarray(geometry.directions[axis]) * geometry.spacing_mm[axis])
