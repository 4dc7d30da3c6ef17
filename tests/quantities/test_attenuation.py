"""Attenuation in a region."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2node.dicom.codes import Code, Derivation, Method, Unit, percentile_modifier
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import NotCalibrated, TooFewVoxels
from her2node.quantities import attenuation, measure
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.selection.roles import Role
from tests.quantities import made

RNG = np.random.default_rng(7)
VOXELS = RNG.normal(60, 20, (4, 8, 8)).round()
MASK = np.zeros((4, 8, 8), np.bool_)
MASK[1:3, 2:7, 2:7] = True


def quantities(valid: np.ndarray | None = None) -> tuple[Quantity | NotMeasured, ...]:
    volume = made.volume(VOXELS, valid=valid)
    return attenuation.measure(volume, made.roi(MASK, volume), Role.PORTAL)


def test_the_statistics_are_those_of_the_voxels_in_the_region() -> None:
    inside = VOXELS[MASK]
    found = made.named(quantities())
    assert found.pop("Mean") == pytest.approx(inside.mean())
    assert found.pop("Standard Deviation") == pytest.approx(math.sqrt(((inside - inside.mean()) ** 2).sum() / 49))
    assert (found.pop("Minimum"), found.pop("Maximum")) == (inside.min(), inside.max())
    assert found.pop("Median") == np.median(inside)
    for percent in (5, 10, 25, 75, 90, 95):
        assert found.pop(f"Percentile {percent}") == np.percentile(inside, percent)
    assert found == {}


def test_each_number_carries_code_unit_role_region_and_series() -> None:
    for quantity in quantities():
        assert isinstance(quantity, Quantity)
        assert (quantity.code, quantity.unit, quantity.role) == (Concept.ATTENUATION, Unit.HU, Role.PORTAL)
        assert (quantity.roi, quantity.series_uids) == ("T", ("1.2.4",))
        assert isinstance(quantity.value, float)


@pytest.mark.parametrize(
    ("modifier", "method"),
    [
        (Derivation.MEAN, None),
        (Derivation.STANDARD_DEVIATION, Method.SD_N_MINUS_1),
        (percentile_modifier(10), Method.PERCENTILE_LINEAR),
    ],
)
def test_the_way_it_was_calculated_is_coded(modifier: Code, method: Code | None) -> None:
    (quantity,) = [q for q in quantities() if isinstance(q, Quantity) and q.modifier == modifier]
    assert quantity.method == method


def test_voxels_without_image_count_in_no_statistic_but_are_counted() -> None:
    valid = np.ones_like(MASK)
    valid[1, 2, 2:5] = False
    valid[0] = False  # outside the region: nobody's business
    found = made.named(quantities(valid))
    assert found["Mean"] == pytest.approx(VOXELS[MASK & valid].mean())
    assert found["Voxels of the region without image"] == 3


def test_a_region_wholly_without_image_is_not_measured_by_name() -> None:
    found = quantities(np.zeros_like(MASK))
    refused = [q for q in found if isinstance(q, NotMeasured)]
    assert len(refused) == 11
    assert {type(q.refused) for q in refused} == {TooFewVoxels}
    assert made.named(found) == {"Voxels of the region without image": 50}


@pytest.mark.parametrize(
    ("count", "missing"),
    [(1, {"Standard Deviation", "Percentile 5"}), (2, {"Percentile 5"}), (29, {"Percentile 95"}), (30, set())],
)
def test_what_is_not_defined_for_so_few_voxels_is_not_measured(count: int, missing: set[str]) -> None:
    volume = made.volume(VOXELS)
    mask = np.zeros_like(MASK)
    mask.ravel()[:count] = True
    found = attenuation.measure(volume, made.roi(mask, volume), None)
    reasons = " ".join(str(q.refused) for q in found if isinstance(q, NotMeasured))
    assert all(f"{name}: {count} voxels" in reasons for name in missing)
    assert bool(reasons) == bool(missing)
    assert "Mean" in made.named(found)


def test_a_volume_in_another_unit_has_no_attenuation() -> None:
    volume = made.volume(VOXELS, unit=Unit.ONE)
    (found,) = attenuation.measure(volume, made.roi(MASK, volume), None)
    assert isinstance(found, NotMeasured)
    assert isinstance(found.refused, NotCalibrated)


def test_a_region_laid_on_another_grid_is_the_caller_s_fault() -> None:
    volume = made.volume(VOXELS)
    with pytest.raises(ValueError, match="shape"):
        measure(volume, made.roi(MASK[:2], volume), None)


@settings(deadline=None)
@given(st.lists(st.integers(-1024, 3071), min_size=30, max_size=200), st.integers(-500, 500))
def test_adding_a_constant_moves_every_statistic_but_the_spread(values: list[int], shift: int) -> None:
    a, b = np.array(values, float), np.array(values, float) + shift
    assert attenuation.standard_deviation(b) == pytest.approx(attenuation.standard_deviation(a), abs=1e-6)
    for statistic in (attenuation.mean, attenuation.minimum, attenuation.maximum, attenuation.median):
        assert statistic(b) == pytest.approx(statistic(a) + shift)


@settings(deadline=None)
@given(st.lists(st.integers(-1024, 3071), min_size=30, max_size=200))
def test_percentiles_rise_from_the_minimum_to_the_maximum(values: list[int]) -> None:
    a = np.array(values, float)
    rising = [attenuation.percentile(a, percent) for percent in (0, 5, 10, 25, 50, 75, 90, 95, 100)]
    assert rising == sorted(rising)
    assert (rising[0], rising[4], rising[-1]) == (a.min(), attenuation.median(a), a.max())
