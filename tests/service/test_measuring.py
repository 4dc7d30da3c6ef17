"""The rows of `measure`: numbers, what was found in words, and refusals, in one list."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from her2node.dicom.codes import Pattern, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import EmptyRoi, NoReference
from her2node.quantities.quantity import Evaluation, NotMeasured, Quantity
from her2node.reading import Reading
from her2node.selection.roles import Role
from her2node.selection.study import group
from her2node.service import measuring
from tests.selection.headers import instance

NUMBER = Quantity("tumour", Role.PORTAL, Concept.ATTENUATION, 93.25, Unit.HU, series_uids=("1.2.3.2",))
PATTERN = Evaluation("tumour", Pattern.CONCEPT, Pattern.PERSISTENT, ("1.2.3.1", "1.2.3.2"))
NOTHING = Reading(group([instance("1.2.3.1")]), (), (), (), None, (), (), (), ())
HELPED = NotMeasured("", None, NoReference("no region is the aorta", remedy="outline the aorta and label it so"))
UNHELPED = NotMeasured("tumour", Role.PORTAL, EmptyRoi())
FOUND = replace(NOTHING, quantities=(NUMBER,), evaluations=(PATTERN,))


def printed(reading: Reading) -> str:
    lines = io.StringIO()
    console = Console(file=lines, width=160, highlight=False, markup=False, soft_wrap=True)
    measuring.print_rows(measuring.as_list(reading), console)
    return lines.getvalue()


def test_what_was_found_in_words_is_a_row_whose_value_is_a_code_and_that_has_no_unit() -> None:
    number, pattern = measuring.as_list(FOUND)
    assert (number["value"], number["unit"]) == (93.25, "[hnsf'U]")
    assert pattern == {
        "roi": "tumour",
        "role": None,
        "code": {"value": "ENH-PATTERN", "scheme": "99HER2NODE", "meaning": "Enhancement pattern"},
        "value": {
            "value": "ENH-PERSIST",
            "scheme": "99HER2NODE",
            "meaning": "Persistent or progressive enhancement",
        },
        "unit": None,
        "series_uids": ["1.2.3.1", "1.2.3.2"],
    }


def test_the_table_shows_the_meaning_of_what_was_found_in_words() -> None:
    (number,) = (line for line in printed(FOUND).splitlines() if "93.25" in line)
    (pattern,) = (line for line in printed(FOUND).splitlines() if "Enhancement pattern" in line)
    assert number.split()[-1] == "[hnsf'U]"
    assert "Persistent or progressive enhancement" in pattern


def test_a_refusal_tells_its_remedy_where_there_is_one() -> None:
    helped, unhelped = measuring.as_list(replace(NOTHING, not_measured=(HELPED, UNHELPED)))
    assert (helped["refused"], helped["remedy"]) == ("no-reference", "outline the aorta and label it so")
    assert unhelped["refused"] == "empty-roi"
    assert "remedy" not in unhelped


def test_the_remedy_is_printed_on_the_line_of_its_refusal() -> None:
    helped, unhelped = printed(replace(NOTHING, not_measured=(HELPED, UNHELPED))).splitlines()[-2:]
    assert helped.endswith("no region is the aorta (remedy: outline the aorta and label it so)")
    assert "remedy" not in unhelped
