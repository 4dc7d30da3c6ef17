"""Every matrix against IBSI's definition written out, and what no feature may depend on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.errors import Undefined
from her2node.quantities import radiomics
from her2node.quantities.radiomics import texture
from her2node.quantities.radiomics.autocorrelation import pairs
from her2node.quantities.radiomics.counted import Counted
from her2node.quantities.radiomics.feature import Values
from her2node.quantities.radiomics.local_intensity import RADIUS_MM, Neighbourhood
from her2node.quantities.radiomics.texture import Aggregation, Levels
from tests.quantities.radiomics import direct, made

SIDE = st.integers(1, 4)


@st.composite
def grey_levels(draw: st.DrawFn) -> np.ndarray:
    """A box of levels 0 to 4, at least one above 0."""
    shape = (draw(SIDE), draw(SIDE), draw(SIDE))
    size = shape[0] * shape[1] * shape[2]
    values = draw(st.lists(st.integers(0, 4), min_size=size, max_size=size).filter(any))
    return np.array(values, dtype=np.int64).reshape(shape)


def levels_of(box: np.ndarray, *, in_plane: bool, coarseness: int = 0) -> Levels:
    return Levels(box, box > 0, int(box.max()), coarseness, in_plane)


def steps_of(in_plane: bool) -> list[direct.Place]:
    return direct.IN_PLANE if in_plane else direct.STEPS


def entries(matrix: Counted) -> Counter[tuple[int, int]]:
    return Counter(
        {(int(i), int(j)): int(n) for i, j, n in zip(matrix.level, matrix.length, matrix.count, strict=True)}
    )


both = pytest.mark.parametrize("in_plane", [False, True], ids=["space", "plane"])


@both
@given(box=grey_levels())
@settings(max_examples=30, deadline=None)
def test_pairs_are_those_of_the_definition(box: np.ndarray, in_plane: bool) -> None:
    found = texture.FAMILIES["cm"].matrices(levels_of(box, in_plane=in_plane))
    halves = [step for step in steps_of(in_plane) if step > (0, 0, 0)]
    assert len(found) == len(halves)
    for matrix, step in zip(found, halves, strict=True):
        expected = direct.cooccurrence(box, step)
        assert matrix.total == sum(expected.values())
        assert np.array_equal(matrix.pairs, matrix.pairs.T)
        assert {(i + 1, j + 1): n for (i, j), n in np.ndenumerate(matrix.pairs) if n} == dict(expected)


@both
@given(box=grey_levels())
@settings(max_examples=30, deadline=None)
def test_runs_are_those_of_the_definition_and_hold_every_voxel(box: np.ndarray, in_plane: bool) -> None:
    found = texture.FAMILIES["rlm"].matrices(levels_of(box, in_plane=in_plane))
    halves = [step for step in steps_of(in_plane) if step > (0, 0, 0)]
    for matrix, step in zip(found, halves, strict=True):
        assert entries(matrix) == direct.runs(box, step)
        assert matrix.count @ matrix.length == matrix.voxels == np.count_nonzero(box)


@both
@given(box=grey_levels())
@settings(max_examples=30, deadline=None)
def test_zones_and_their_distances_are_those_of_the_definition(box: np.ndarray, in_plane: bool) -> None:
    levels = levels_of(box, in_plane=in_plane)
    expected = direct.zones(box, steps_of(in_plane))
    (sizes,), (distances,) = (texture.FAMILIES[name].matrices(levels) for name in ("szm", "dzm"))
    assert entries(sizes) == Counter((level, len(zone)) for level, zone in expected)
    assert sizes.count @ sizes.length == np.count_nonzero(box)
    assert entries(distances) == Counter(
        (level, min(direct.depth(at, box > 0, in_plane=in_plane) for at in zone)) for level, zone in expected
    )


@both
@given(box=grey_levels(), coarseness=st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_neighbourhoods_are_those_of_the_definition(box: np.ndarray, coarseness: int, in_plane: bool) -> None:
    levels = levels_of(box, in_plane=in_plane, coarseness=coarseness)
    around = direct.neighbours(box, steps_of(in_plane))
    (dependence,) = texture.FAMILIES["ngl"].matrices(levels)
    assert entries(dependence) == Counter(
        (level, 1 + sum(abs(other - level) <= coarseness for other in others)) for level, others in around
    )
    (tone,) = texture.FAMILIES["ngt"].matrices(levels)
    differences: dict[int, list[float]] = {}
    for level, others in around:
        if others:
            differences.setdefault(level, []).append(abs(level - sum(others) / len(others)))
    assert dict(zip(tone.i, tone.n, strict=True)) == {i: len(d) for i, d in differences.items()}
    assert dict(zip(tone.i, tone.s, strict=True)) == pytest.approx({i: sum(d) for i, d in differences.items()})


@given(box=grey_levels())
@settings(max_examples=20, deadline=None)
def test_slices_that_are_counted_together_have_the_matrices_of_all_slices(box: np.ndarray) -> None:
    together = levels_of(box, in_plane=True)
    for name in ("rlm", "szm", "dzm", "ngl"):
        whole = Counted.merged(texture.FAMILIES[name].matrices(together))
        apart = [m for part in together.each_slice() for m in texture.FAMILIES[name].matrices(part)]
        merged = Counted.merged(apart)
        assert entries(merged) == entries(whole)
        assert merged.voxels == whole.voxels


@given(box=grey_levels(), seed=st.integers(0, 9), spacing=st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.7, 1.1)]))
@settings(max_examples=30, deadline=None)
def test_moran_and_geary_are_the_double_sums(box: np.ndarray, seed: int, spacing: tuple[float, float, float]) -> None:
    mask = box > 0
    x = np.random.default_rng(seed).normal(50, 20, box.shape)
    found = pairs(mask, x[mask], spacing)
    if np.count_nonzero(mask) == 1:
        with pytest.raises(Undefined):
            _ = found.moran_i
        return
    moran, geary = direct.moran_and_geary(x, mask, spacing)
    assert found.moran_i == pytest.approx(moran, rel=1e-9, abs=1e-12)
    assert found.geary_c == pytest.approx(geary, rel=1e-9, abs=1e-12)


@given(box=grey_levels(), spacing=st.sampled_from([(2.0, 2.0, 2.0), (5.0, 0.9, 2.5), (3.0, 6.2, 1.0)]))
@settings(max_examples=30, deadline=None)
def test_the_spheres_of_local_intensity_are_those_of_the_definition(
    box: np.ndarray, spacing: tuple[float, float, float]
) -> None:
    image = np.random.default_rng(1).normal(100, 30, box.shape)
    found = Neighbourhood(image, box > 0, spacing)
    expected = [direct.sphere_mean(image, at, spacing, RADIUS_MM) for at in direct.region(box)]
    assert found.means == pytest.approx(np.array(expected))


ROTATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "quarter turn in plane": lambda a: np.rot90(a, axes=(1, 2)),
    "quarter turn across slices": lambda a: np.rot90(a, axes=(0, 1)),
    "axes exchanged": lambda a: np.transpose(a, (2, 0, 1)),
    "mirrored": lambda a: a[:, ::-1, :],
}


def assert_same(found: Values, expected: Values, rel: float) -> None:
    """The same numbers and the same refusals."""
    refused = {tag: str(value) for tag, value in expected.items() if isinstance(value, Undefined)}
    assert {tag: str(value) for tag, value in found.items() if isinstance(value, Undefined)} == refused
    numbers = {tag: value for tag, value in expected.items() if tag not in refused}
    assert {tag: value for tag, value in found.items() if tag not in refused} == pytest.approx(numbers, rel=rel)


IN_SPACE = replace(made.DIGITAL, aggregations=(Aggregation.VOLUME_MERGED, Aggregation.VOLUME_AVERAGED))


@pytest.mark.parametrize("name", ROTATIONS)
@given(seed=st.integers(0, 50))
@settings(max_examples=4, deadline=None)
def test_no_texture_in_space_depends_on_how_a_ragged_region_lies(name: str, seed: int) -> None:
    noise = np.random.default_rng(seed)
    voxels = noise.integers(1, 16, (6, 7, 8)).astype(float)
    mask = noise.random((6, 7, 8)) < 0.7
    texture_only = replace(IN_SPACE, families=("stat", "ih", "ivh", "loc", "cm", "rlm", "szm", "dzm", "ngt", "ngl"))
    straight = radiomics.features(voxels, mask, made.CUBES, texture_only)
    turned = radiomics.features(ROTATIONS[name](voxels), ROTATIONS[name](mask), made.CUBES, texture_only)
    assert_same(turned, straight, 1e-9)


@pytest.mark.parametrize("name", ROTATIONS)
def test_no_feature_in_space_depends_on_how_a_smooth_region_lies(name: str) -> None:
    mask = made.ellipsoid((13, 15, 17), made.CUBES, (6, 7, 8), (4.2, 5.3, 6.4))
    voxels = np.random.default_rng(7).integers(1, 16, mask.shape).astype(float)
    straight = radiomics.features(voxels, mask, made.CUBES, IN_SPACE)
    turned = radiomics.features(ROTATIONS[name](voxels), ROTATIONS[name](mask), made.CUBES, IN_SPACE)
    assert_same(turned, straight, 1e-6)
