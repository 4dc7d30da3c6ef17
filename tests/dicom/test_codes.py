"""Codes: DICOM's own where there are any, the private scheme otherwise."""

from __future__ import annotations

import inspect

import pytest
from pydicom.sr._concepts_dict import concepts

from her2node.dicom import codes
from her2node.dicom.codes import Code

_APART = (Code, codes.Unit, codes.Document)
"""Units have a dictionary of their own, and templates name some concepts that no context group holds."""
TABLES = [table for _, table in inspect.getmembers(codes, inspect.isclass) if table not in _APART]
ALL = [
    (f"{table.__name__}.{name}", code)
    for table in TABLES
    for name, code in vars(table).items()
    if isinstance(code, Code)
]


@pytest.mark.truth
@pytest.mark.parametrize(("name", "code"), [(n, c) for n, c in ALL if c.scheme != codes.PRIVATE_SCHEME])
def test_a_public_code_stands_in_the_context_groups_of_dicom(name: str, code: Code) -> None:
    values = {value for entry in concepts[code.scheme].values() for value in entry}
    assert code.value in values, name


def test_private_values_fit_a_code_value() -> None:
    for name, code in ALL:
        assert len(code.value) <= 16, name
        assert len(code.meaning) <= 64, name


def test_no_code_of_a_tissue_test_is_ever_an_estimate() -> None:
    tissue = {"48676-1", "85319-2", "18474-7", "C68748", "C68749", "10828004", "260385009"}
    assert not tissue & {code.value for _, code in ALL}
