"""Histogram analysis of a set of voxel values."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from her2node.dicom.codes import Code, Derivation, Histogram, Method, Unit, percentile_modifier
from her2node.errors import TooFewVoxels, Undefined
from her2node.quantities import histogram
from her2node.quantities.histogram import histogram_of
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.selection.roles import Role
from tests.quantities import made

CONCEPT = Code("44588005", "SCT", "Iodine")
UNIT = Code("mg/ml", "UCUM", "milligram per milliliter")
WHERE = ("T", Role.ARTERIAL, ("1.2.3", "1.2.4"))
VALUES = np.random.default_rng(5).gamma(2.0, 1.5, 400)
MANY = st.lists(st.integers(-1000, 3000), min_size=30, max_size=200)
QUICK = settings(deadline=None, max_examples=50)


def found(values: object, bin_width: float = 0.5) -> tuple[Quantity | NotMeasured, ...]:
    return histogram_of(values, CONCEPT, UNIT, *WHERE, bin_width=bin_width)  # type: ignore[arg-type]


def refused(quantities: tuple[Quantity | NotMeasured, ...]) -> dict[type[Exception], int]:
    kinds = [type(q.refused) for q in quantities if isinstance(q, NotMeasured)]
    return {kind: kinds.count(kind) for kind in kinds}


def test_the_statistics_are_those_of_the_values() -> None:
    named = made.named(found(VALUES))
    ordered, n = sorted(VALUES.tolist()), len(VALUES)
    assert named.pop("Mean") == pytest.approx(statistics.fmean(ordered))
    assert named.pop("Standard Deviation") == pytest.approx(statistics.stdev(ordered))
    assert (named.pop("Minimum"), named.pop("Maximum")) == (ordered[0], ordered[-1])
    assert named.pop("Median") == pytest.approx(statistics.median(ordered))
    for percent in (1, 5, 10, 25, 75, 90, 95, 99):
        place = (n - 1) * percent / 100
        below = math.floor(place)
        type_7 = ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])
        assert named.pop(f"Percentile {percent}") == pytest.approx(type_7)
    centred = [value - statistics.fmean(ordered) for value in ordered]
    second, third, fourth = (sum(c**power for c in centred) / n for power in (2, 3, 4))
    assert named.pop("Skewness") == pytest.approx(third / second**1.5)
    assert named.pop("Kurtosis") == pytest.approx(fourth / second**2 - 3)
    shares = [sum(0.5 * k <= value < 0.5 * (k + 1) for value in ordered) / n for k in range(100)]
    assert named.pop("Entropy of the histogram") == pytest.approx(-sum(p * math.log2(p) for p in shares if p))
    assert named == {}


def test_every_percentile_is_told_when_asked_for() -> None:
    everything = histogram_of(VALUES, CONCEPT, UNIT, *WHERE, bin_width=0.5, percents=histogram.EVERY_PERCENT)
    ordered, n = sorted(VALUES.tolist()), len(VALUES)
    by_code = {one.modifier: one for one in everything if isinstance(one, Quantity)}
    for percent in range(1, 100):
        place = (n - 1) * percent / 100
        below = math.floor(place)
        one = by_code[Derivation.MEDIAN if percent == 50 else percentile_modifier(percent)]
        assert one.value == pytest.approx(ordered[below] + (place - below) * (ordered[below + 1] - ordered[below]))
        assert one.method == Method.PERCENTILE_LINEAR
    others = {one.modifier for one in found(VALUES)}
    assert others <= set(by_code)
    assert len(everything) == len(others) + 90


@pytest.mark.truth
def test_ibsi_s_digital_phantom_has_its_published_statistics() -> None:
    values, mask = made.digital_phantom()
    inside = values[mask]
    assert histogram.mean(inside) == pytest.approx(2.15, abs=0.005)
    assert histogram.skewness(inside) == pytest.approx(1.08, abs=0.005)
    assert histogram.kurtosis(inside) == pytest.approx(-0.355, abs=0.0005)
    assert histogram.entropy(inside, 1.0) == pytest.approx(1.27, abs=0.005)
    assert histogram.percentile(inside, 50) == 1


def test_each_number_carries_its_codes_unit_and_where_it_was_measured() -> None:
    quantities = found(VALUES)
    assert len(quantities) == 16
    for quantity in quantities:
        assert isinstance(quantity, Quantity)
        assert (quantity.code, quantity.roi, quantity.role, quantity.series_uids) == (CONCEPT, *WHERE)
        shape = quantity.modifier in {Histogram.SKEWNESS, Histogram.KURTOSIS, Histogram.ENTROPY}
        assert quantity.unit == (Unit.ONE if shape else UNIT)
    assert len({quantity.modifier for quantity in quantities}) == 16  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("modifier", "method"),
    [
        (Derivation.MEAN, None),
        (Derivation.STANDARD_DEVIATION, Method.SD_N_MINUS_1),
        (Derivation.MEDIAN, Method.PERCENTILE_LINEAR),
        (percentile_modifier(1), Method.PERCENTILE_LINEAR),
        (Histogram.SKEWNESS, Histogram.MOMENTS_N),
        (Histogram.KURTOSIS, Histogram.EXCESS_N),
        (Histogram.ENTROPY, Code("ENT-W0.5", "99HER2NODE", "Entropy in bits, bins 0.5 wide from 0")),
    ],
)
def test_the_convention_is_coded(modifier: Code, method: Code | None) -> None:
    (quantity,) = [q for q in found(VALUES) if isinstance(q, Quantity) and q.modifier == modifier]
    assert quantity.method == method


@pytest.mark.parametrize(("count", "measured"), [(0, 0), (1, 3), (2, 4), (29, 4), (30, 16)])
def test_what_is_not_defined_for_so_few_values_is_not_measured(count: int, measured: int) -> None:
    quantities = found(VALUES[:count])
    assert sum(isinstance(q, Quantity) for q in quantities) == measured
    assert refused(quantities) == ({TooFewVoxels: 16 - measured} if measured < 16 else {})
    reasons = [str(q.refused) for q in quantities if isinstance(q, NotMeasured)]
    assert all(f"{count} voxels with a value" in reason for reason in reasons)


@pytest.mark.parametrize("value", [0.0, 40.0, 0.1, 1e-38, 3e38, -3e5 / 7])
def test_equal_values_have_no_skewness_nor_kurtosis_by_name(value: float) -> None:
    quantities = found(np.full(50, value), bin_width=max(abs(value), 1.0))
    assert refused(quantities) == {Undefined: 2}
    named = made.named(quantities)
    assert named["Mean"] == pytest.approx(value)
    assert named["Entropy of the histogram"] == 0


def test_a_nan_is_a_voxel_without_a_value() -> None:
    with_gaps = np.insert(VALUES, [0, 7, 100], np.nan).reshape(13, 31)
    assert found(with_gaps) == found(VALUES)
    assert refused(found(np.full(50, np.nan))) == {TooFewVoxels: 16}


@pytest.mark.parametrize(
    ("values", "width"), [([1.0, math.inf], 1.0), (VALUES, 0.0), (VALUES, -1.0), (VALUES, math.inf)]
)
def test_an_infinite_value_or_a_bin_without_width_is_the_caller_s_fault(values: object, width: float) -> None:
    with pytest.raises(ValueError, match=r"infinite|width"):
        found(values, width)


def test_a_normal_distribution_has_neither_skewness_nor_excess_kurtosis() -> None:
    quantiles = [statistics.NormalDist().inv_cdf((k + 0.5) / 20_000) for k in range(20_000)]
    normal = np.array(quantiles)
    assert histogram.skewness(normal) == pytest.approx(0, abs=1e-9)
    assert histogram.kurtosis(normal) == pytest.approx(0, abs=0.01)
    assert histogram.entropy(normal, 0.01) == pytest.approx(
        0.5 * math.log2(2 * math.pi * math.e) + math.log2(100), abs=0.02
    )


@QUICK
@given(st.integers(1, 6))
def test_so_many_equally_filled_bins_have_that_many_bits(bits: int) -> None:
    assert histogram.entropy(np.repeat(np.arange(2.0**bits), 30), 1.0) == pytest.approx(bits)


@QUICK
@given(MANY, st.integers(-500, 500), st.sampled_from([0.5, 2.0, 16.0]))
def test_the_shape_does_not_change_with_shift_and_scale(values: list[int], shift: int, scale: float) -> None:
    a = np.array(values, float)
    assume(np.ptp(a) > 0)
    b = scale * a + shift
    assert histogram.skewness(b) == pytest.approx(histogram.skewness(a), abs=1e-6)
    assert histogram.kurtosis(b) == pytest.approx(histogram.kurtosis(a), abs=1e-6)
    assert histogram.skewness(-a) == pytest.approx(-histogram.skewness(a), abs=1e-9)
    assert histogram.kurtosis(a) >= histogram.skewness(a) ** 2 - 2 - 1e-9
    width = 10.0
    assert histogram.entropy(scale * a, scale * width) == histogram.entropy(a, width)


@QUICK
@given(MANY)
def test_percentiles_rise_from_the_minimum_to_the_maximum(values: list[int]) -> None:
    a = np.array(values, float)
    rising = [a.min(), *(histogram.percentile(a, percent) for percent in histogram.PERCENTS), a.max()]
    assert rising == sorted(rising)


@QUICK
@given(st.lists(st.just(math.nan) | st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=60))
def test_no_value_of_a_map_of_float32_is_ever_nan(values: list[float]) -> None:
    assert all(math.isfinite(q.value) for q in found(values, bin_width=1e30) if isinstance(q, Quantity))
