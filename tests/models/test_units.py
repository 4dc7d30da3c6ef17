from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.errors import UnknownUnit
from her2node.models.units import convert, known


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "expected"),
    [
        (1.0, "cm", "mm", 10.0),
        (1500.0, "mm3", "ml", 1.5),
        (12.1, "cm3", "ml", 12.1),
        (1.321, "10-3 mm2/s", "um2/s", 1321.0),
        (0.001321, "mm2/s", "um2/s", 1321.0),
        (2.0, "ml/min/g", "ml/[100]g/min", 200.0),
        (0.1, "/s", "/min", 6.0),
        (24.0, "[100]ug/ml", "mg/ml", 2.4),
        (50.0, "%", "1", 0.5),
    ],
)
def test_a_value_is_the_same_quantity_in_another_unit(value: float, unit: str, wanted: str, expected: float) -> None:
    assert convert(value, unit, wanted) == pytest.approx(expected, rel=1e-12)


def test_an_unknown_unit_is_an_error_even_where_nothing_is_converted() -> None:
    for unit, wanted in (("furlong", "mm"), ("mm", "furlong"), ("furlong", "furlong")):
        with pytest.raises(UnknownUnit, match="furlong"):
            convert(1.0, unit, wanted)


@pytest.mark.parametrize(("unit", "wanted"), [("mm", "mm3"), ("[hnsf'U]", "1"), ("g/ml{SUVbw}", "g/ml{SUVlbm}")])
def test_units_of_different_kinds_are_never_converted(unit: str, wanted: str) -> None:
    assert known(unit)
    with pytest.raises(UnknownUnit, match="cannot be had"):
        convert(1.0, unit, wanted)


@given(st.floats(-1e9, 1e9), st.sampled_from([("ml", "mm3"), ("cm", "mm"), ("/s", "/min"), ("mm2/s", "um2/s")]))
def test_there_and_back_is_where_it_was(value: float, units: tuple[str, str]) -> None:
    assert convert(convert(value, *units), *reversed(units)) == pytest.approx(value, rel=1e-12, abs=1e-300)


@pytest.mark.truth
def test_a_published_cut_off_passes_through_the_conversion(shared: Path) -> None:
    published = json.loads((shared / "reference/published-models.json").read_text())["models"]
    rule = next(model for model in published if model["id"] == "ji2017-adc")
    cut_off = convert(rule["cutoff"], rule["unit"], "um2/s")
    assert cut_off == pytest.approx(1321.0)
    assert convert(cut_off, "um2/s", rule["unit"]) == pytest.approx(rule["cutoff"], rel=1e-12)
