from __future__ import annotations

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom.sop_class import _STORAGE_CLASSES

from her2node.dimse.contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES, accepted_contexts
from her2node.dimse.seats import Seats
from her2node.dimse.status import Outcome, outcome


def test_every_class_is_a_storage_class_and_named_once() -> None:
    assert len(set(STORAGE_CLASSES)) == len(STORAGE_CLASSES)
    assert set(STORAGE_CLASSES) <= set(_STORAGE_CLASSES.values())


def test_every_sr_class_that_pydicom_knows_is_there() -> None:
    root = "1.2.840.10008.5.1.4.1.1.88."
    known = {
        uid for uid, (_, kind, _, retired, *_) in UID_dictionary.items()
        if uid.startswith(root) and kind == "SOP Class" and not retired
    }  # fmt: skip
    assert known <= set(STORAGE_CLASSES)


def test_every_transfer_syntax_is_there_uncompressed_before_compressed() -> None:
    assert set(AllTransferSyntaxes) <= set(TRANSFER_SYNTAXES)
    assert [UID(syntax).name for syntax in TRANSFER_SYNTAXES[:2]] == [
        "Explicit VR Little Endian",
        "Implicit VR Little Endian",
    ]
    assert all(UID(syntax).is_transfer_syntax for syntax in TRANSFER_SYNTAXES)


def test_the_list_of_contexts_is_made_once() -> None:
    assert accepted_contexts() is accepted_contexts()


def test_what_a_status_means() -> None:
    table = {
        0x0000: Outcome.STORED,
        0xB000: Outcome.STORED,
        0xB007: Outcome.STORED,
        0x0111: Outcome.STORED,
        0xA700: Outcome.LATER,
        0xA7FF: Outcome.LATER,
        0x0110: Outcome.LATER,
        0x0122: Outcome.REFUSED,
        0x0124: Outcome.REFUSED,
        0xA900: Outcome.REFUSED,
        0xC000: Outcome.REFUSED,
        0x1234: Outcome.REFUSED,
    }
    assert {status: outcome(status) for status in table} == table


def test_seats_are_counted_over_all_places() -> None:
    seats = Seats(3)
    assert [seats.take(), seats.take()] == [0, 1]
    seats.move_to(2)
    assert seats.take() == 2
    seats.leave()
    seats.move_to(2)  # a successor at the same place begins at nothing
    assert seats.take() == 2
