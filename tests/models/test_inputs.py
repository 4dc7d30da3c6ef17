from __future__ import annotations

import math
from dataclasses import replace

import pytest

from her2node.dicom.codes import Code, Dce, Unit
from her2node.errors import InputMissing, QuantityAmbiguous, QuantityMissing, ScannerUnknown
from her2node.models.inputs import LARGEST_ALTERNATIVES, Where, gather
from her2node.models.manifest import Limits, Manifest, QuantityInput, ReaderInput
from her2node.models.package import load_packages
from her2node.models.wanted import ScannerInput
from her2node.quantities.quantity import Quantity
from her2node.selection.roles import Role
from tests.models.making import attenuation

(LEE,) = load_packages(["lee2017-portal-liver"]).packages
MEAN = QuantityInput(
    source="quantity",
    name="portal_mean",
    meaning="Mean attenuation",
    role=Role.PORTAL,
    code=attenuation(0.0).code,
    unit="[hnsf'U]",
    modifier=attenuation(0.0).modifier,
)
WHERE = Where("tumour", {(Role.PORTAL, None): "1.2.3.1"})


def asking(*inputs: QuantityInput | ReaderInput | ScannerInput) -> Manifest:
    return replace(LEE.manifest, inputs=inputs)


def question(name: str, values: tuple[float, ...]) -> ReaderInput:
    return ReaderInput(source="reader", name=name, meaning="?", values=values, limits=Limits(usual=(0.0, 1.0)))


def test_every_combination_of_what_is_left_open_is_a_case_in_the_order_of_the_inputs() -> None:
    manifest = asking(question("first", (0.0, 1.0)), MEAN, question("second", (0.0, 1.0, 2.0)))
    found = gather(manifest, (attenuation(50.0),), (), WHERE, {})
    assert [tuple(used.value for used in case) for case in found.cases] == [
        (0, 50, 0), (0, 50, 1), (0, 50, 2), (1, 50, 0), (1, 50, 1), (1, 50, 2),
    ]  # fmt: skip
    assert found.open_inputs == ("first", "second")


@pytest.mark.parametrize(("counts", "allowed"), [((4, 4, 4), True), ((4, 4, 5), False)])
def test_more_than_64_cases_are_too_many_to_leave_open(counts: tuple[int, ...], allowed: bool) -> None:
    manifest = asking(*(question(f"q{n}", tuple(map(float, range(count)))) for n, count in enumerate(counts)))
    if allowed:
        assert len(gather(manifest, (), (), WHERE, {}).cases) == math.prod(counts) == LARGEST_ALTERNATIVES
    else:
        with pytest.raises(InputMissing, match="q0, q1, q2"):
            gather(manifest, (), (), WHERE, {})
    assert len(gather(manifest, (), (), WHERE, {"q2": "3"}).cases) == 16


def test_an_unusual_value_is_flagged_where_a_reader_entered_it_but_not_where_it_is_only_possible() -> None:
    manifest = asking(question("grade", (0.0, 1.0, 2.0)))
    assert gather(manifest, (), (), WHERE, {}).flags == ()
    assert gather(manifest, (), (), WHERE, {"grade": "1"}).flags == ()
    (flag,) = gather(manifest, (), (), WHERE, {"grade": "2"}).flags
    assert (flag.kind, "grade" in flag.said) == ("input-range", True)


def test_what_a_measured_value_is_flagged_with_goes_with_the_answer() -> None:
    measured = replace(attenuation(50.0), flags=("the region is cut off",))
    (flag,) = gather(asking(MEAN), (measured,), (), WHERE, {}).flags
    assert str(flag) == "portal_mean: the region is cut off"


def test_what_was_measured_with_a_reconstruction_for_others_is_not_meant() -> None:
    compared = replace(attenuation(70.0), series_uids=("1.2.3.1", "1.2.3.9"))
    mine = attenuation(50.0)
    passing = replace(WHERE, passed_over=frozenset({"1.2.3.9"}))
    ((used,),) = gather(asking(MEAN), (compared, mine), (), passing, {}).cases
    assert used.value == 50.0
    with pytest.raises(QuantityMissing, match="portal_mean"):
        gather(asking(MEAN), (compared,), (), passing, {})
    ((used,),) = gather(asking(MEAN), (compared,), (), WHERE, {}).cases
    assert used.value == 70.0


@pytest.mark.parametrize(
    ("code", "of_phases", "of_curve"),
    [
        (Dce.TIME_TO_PEAK, Dce.OF_PHASES, Dce.OF_CURVE),
        (Dce.SER, Dce.ratio_of_phases(40, 240), Dce.ratio_at(90, 360)),
    ],
)
def test_what_is_counted_from_the_first_phase_is_taken_only_by_the_name_of_its_method(
    code: Code, of_phases: Code, of_curve: Code
) -> None:
    def measured(method: Code) -> Quantity:
        return Quantity("tumour", Role.DCE, code, 80.0, Unit.SECOND, None, method, ("1.2.3.5",))

    unnamed = replace(MEAN, name="peak_at", role=Role.DCE, code=code, unit=Unit.SECOND.value, modifier=None)
    where = Where("tumour", {(Role.DCE, None): "1.2.3.5"})
    with pytest.raises(QuantityAmbiguous, match=r"peak_at .* the package names no method"):
        gather(asking(unnamed), (measured(of_phases),), (), where, {})
    for given, method in ((replace(unnamed, method=of_phases), of_phases), (unnamed, of_curve)):
        ((used,),) = gather(asking(given), (measured(method),), (), where, {}).cases
        assert (used.value, used.method) == (80.0, method.meaning)
    with pytest.raises(QuantityMissing):
        gather(asking(replace(unnamed, method=of_curve)), (measured(of_phases),), (), where, {})


SCANNED = ScannerInput("scanner", "scanner", "Scanner", ("GE Revolution", "SIEMENS Force"))


def on(*scanners: str) -> Where:
    return replace(WHERE, scanners=scanners)


def test_the_headers_tell_the_scanner_and_the_graph_gets_its_place() -> None:
    ((used,),) = gather(asking(SCANNED), (), (), on("SIEMENS Force"), {}).cases
    assert (used.value, used.source, used.method) == (1.0, "header", "SIEMENS Force")
    ((used,),) = gather(asking(SCANNED), (), (), on("", "GE Revolution"), {"scanner": " "}).cases
    assert (used.value, used.source) == (0.0, "header")


def test_what_a_reader_says_of_the_scanner_goes_before_its_headers() -> None:
    ((used,),) = gather(asking(SCANNED), (), (), on("PACS Anonymised"), {"scanner": "GE Revolution"}).cases
    assert (used.value, used.source, used.method) == (0.0, "entered", "GE Revolution")


@pytest.mark.parametrize(
    ("scanners", "said"),
    [
        (("PHILIPS iCT",), "PHILIPS iCT"),
        (("GE Revolution", "SIEMENS Force"), "made on GE Revolution and SIEMENS Force"),
        (("",), "tell neither maker nor model"),
        ((), "tell neither maker nor model"),
    ],
)
def test_on_a_scanner_that_is_not_among_those_known_there_is_no_answer(scanners: tuple[str, ...], said: str) -> None:
    with pytest.raises(ScannerUnknown, match=said):
        gather(asking(SCANNED), (), (), on(*scanners), {})
    with pytest.raises(ScannerUnknown, match="Elsewhere"):
        gather(asking(SCANNED), (), (), on("GE Revolution"), {"scanner": "Elsewhere"})
