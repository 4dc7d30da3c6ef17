from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.dicom.codes import Method, Pattern
from her2node.dicom.codes import Quantity as Concept
from her2node.quantities import enhancement
from her2node.quantities.enhancement import PhaseMeans, measure, pattern
from her2node.quantities.quantity import Evaluation, NotMeasured, Quantity
from her2node.selection.roles import Role

FOUR = {
    Role.PLAIN: PhaseMeans("1", 38.0, 42.0, 42.0),
    Role.ARTERIAL: PhaseMeans("2", 70.0, 310.0, 92.0),
    Role.PORTAL: PhaseMeans("3", 90.0, 155.0, 170.0),
    Role.EQUILIBRIUM: PhaseMeans("4", 84.0, 115.0, 118.0),
}


def numbers(found: tuple[object, ...]) -> dict[tuple[str, Role | None], float]:
    return {(q.code.value, q.role): q.value for q in found if isinstance(q, Quantity)}


def test_four_phases_give_every_difference_and_ratio() -> None:
    found = numbers(measure("T", FOUR, narrowed=False))
    difference = Concept.ATTENUATION_DIFFERENCE.value
    assert found[difference, Role.ARTERIAL] == 32.0
    assert found[difference, Role.PORTAL] == 52.0
    assert found[difference, Role.EQUILIBRIUM] == 46.0
    assert found["CTP-A", Role.PORTAL] == 20.0
    assert found["CCAV-RAW", Role.ARTERIAL] == pytest.approx(70 / 310)
    assert found["CCAV-ENH", Role.PORTAL] == pytest.approx(52 / 113)


def test_a_difference_names_both_its_series_and_how_the_region_was_laid() -> None:
    for narrowed, method in ((False, Method.MINUS_PLAIN), (True, Method.MINUS_PLAIN_NARROWED)):
        found = measure("T", FOUR, narrowed=narrowed)
        (ctp,) = (q for q in found if isinstance(q, Quantity) and q.method == method and q.role is Role.PORTAL)
        assert ctp.series_uids == ("3", "1")


def test_without_a_plain_scan_there_is_no_enhancement_but_a_ratio() -> None:
    found = numbers(measure("T", {Role.PORTAL: FOUR[Role.PORTAL]}, narrowed=False))
    assert set(found) == {(code, Role.PORTAL) for code in ("REF-AORTA", "REF-PV", "CCAV-RAW")}


def test_an_aorta_too_dark_to_divide_by_is_refused_by_name() -> None:
    dark = {**FOUR, Role.PORTAL: PhaseMeans("3", 60.0, 60.0)}
    refused = [q for q in measure("T", dark, narrowed=False) if isinstance(q, NotMeasured)]
    assert [(q.code, q.role, q.refused.reason) for q in refused] == [
        (Concept.TO_AORTA_ENHANCEMENT, Role.PORTAL, "weak-reference")
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((70, 90, 84), Pattern.WASH_OUT),
        ((70, 90, 85), Pattern.PERSISTENT),
        ((70, 90, 120), Pattern.PERSISTENT),
        ((95, 90, 88), Pattern.EARLY_PEAK),
        ((95, 90, 80), Pattern.WASH_OUT),
    ],
)
def test_the_pattern_follows_its_definition(values: tuple[float, float, float], expected: object) -> None:
    assert pattern(*values) == expected


def test_the_pattern_is_told_in_coded_words_of_its_three_series() -> None:
    (found,) = (e for e in measure("T", FOUR, narrowed=False) if isinstance(e, Evaluation))
    assert (found.code, found.value, found.series_uids) == (Pattern.CONCEPT, Pattern.WASH_OUT, ("3", "2", "4"))


def test_the_correction_across_scans_has_the_printed_coefficients() -> None:
    assert enhancement.across_scans(80.0, 160.0, 150.0) == pytest.approx(80.0 + 3.5 - 4.0)
    found = measure("T", FOUR, narrowed=False, reference_vein_hu=150.0)
    (corrected,) = (q for q in found if isinstance(q, Quantity) and q.method == Method.ACROSS_SCANS)
    assert corrected.value == pytest.approx(90.0 + 3.5 - 8.0)


@given(st.floats(-100, 300), st.floats(-100, 300), st.floats(-100, 300))
def test_portal_minus_arterial_is_the_difference_of_the_enhancements(n: float, a: float, p: float) -> None:
    both = enhancement.enhancement(p, n) - enhancement.enhancement(a, n)
    assert enhancement.portal_minus_arterial(p, a) == pytest.approx(both, abs=1e-9)
