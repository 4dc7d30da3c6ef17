from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from her2node.dicom.csa import csa_numbers, csa_text, csa_values
from her2node.dicom.private import PrivateTag, private_numbers, private_text
from her2node.phantoms.weighting import csa

FLOATS = PrivateTag("SOMEBODY", 0x2001, 0x03, "FL")
WORDS = PrivateTag("SOMEBODY", 0x0019, 0x0C, "text")


def with_block(tag: PrivateTag, vr: str, value: object, creator: str = "SOMEBODY", first: str = "") -> Dataset:
    ds = Dataset()
    if first:
        ds.private_block(tag.group, first, create=True)
    ds.private_block(tag.group, creator, create=True).add_new(tag.element, vr, value)
    return ds


def test_a_value_is_found_in_whichever_block_its_creator_has() -> None:
    assert private_numbers(with_block(FLOATS, "FL", 800.0, first="ANOTHER"), FLOATS) == (800.0,)


def test_a_value_that_became_unknown_bytes_is_read_as_what_the_vendor_documents() -> None:
    assert private_numbers(with_block(FLOATS, "UN", struct.pack("<f", 800.0)), FLOATS) == (800.0,)
    assert private_numbers(with_block(WORDS, "UN", b"800 "), WORDS) == (800.0,)
    assert private_text(with_block(WORDS, "OB", b"DIRECTIONAL "), WORDS) == "DIRECTIONAL"


def test_a_value_without_any_creator_in_its_group_is_believed_in_block_10() -> None:
    ds = Dataset()
    ds.add_new((0x2001, 0x1003), "FL", 50.0)
    assert private_numbers(ds, FLOATS) == (50.0,)


def test_a_value_of_another_creator_is_not_taken_for_ours() -> None:
    assert private_numbers(with_block(FLOATS, "FL", 800.0, creator="ANOTHER"), FLOATS) == ()


@pytest.mark.parametrize("value", [b"", b"abc", struct.pack("<f", float("nan"))])
def test_bytes_that_are_no_numbers_give_none(value: bytes) -> None:
    assert private_numbers(with_block(FLOATS, "UN", value), FLOATS) == ()


def header(raw: bytes) -> Dataset:
    ds = Dataset()
    ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", raw)
    return ds


def older(values: dict[str, list[str]]) -> bytes:
    """The CSA form without SV10: every length counts the items of the first element on top."""
    first = len(next(iter(values.values())))
    found = struct.pack("<2i", len(values), 77)
    for name, words in values.items():
        found += struct.pack("<64si4siii", name.encode(), len(words), b"DS\0\0", 6, len(words), 77)
        for word in words:
            text = word.encode() + b"\0"
            found += struct.pack("<4i", len(text) + first, 0, 77, 0) + text + b"\0" * (-len(text) % 4)
    return found


@pytest.mark.parametrize("form", [csa, older], ids=["SV10", "older"])
def test_both_forms_of_the_csa_header_are_read(form: object) -> None:
    raw = form({"B_value": ["800"], "SliceNormalVector": ["0", "-0.6", "0.8"]})  # type: ignore[operator]
    assert csa_text(header(raw), "B_value") == "800"
    assert csa_numbers(header(raw), "SliceNormalVector") == (0.0, -0.6, 0.8)
    assert csa_values(header(raw), "Absent") == ()


@given(st.integers(0, 400), st.binary(max_size=40))
def test_a_damaged_csa_header_gives_values_or_nothing_and_never_raises(cut: int, noise: bytes) -> None:
    raw = csa({"Other": ["1", "2"], "B_value": ["800"]})
    assert csa_values(header(raw[:cut] + noise), "B_value") in ((), ("800",)) or cut < len(raw)
