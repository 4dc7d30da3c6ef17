from __future__ import annotations

import io

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filebase import DicomBytesIO

from her2node.errors import InstanceUnreadable
from her2node.spool.file_meta import Sender, decode, encode, encoded_length

SENDER = Sender("PACS", "HER2NODE", "2001:db8::1")
UIDS = st.from_regex(r"[1-9][0-9]{0,4}(\.[1-9][0-9]{0,6}){1,6}", fullmatch=True)
AE_TITLES = st.from_regex(r"[A-Z0-9_]{1,16}", fullmatch=True)


@given(UIDS, UIDS, UIDS, AE_TITLES, AE_TITLES, st.integers(0, 2**63))
def test_what_was_written_is_read(a: str, b: str, c: str, calling: str, called: str, length: int) -> None:
    sender = Sender(calling, called, "10.0.0.1")
    head = encode(a, b, c, sender)
    meta = decode(io.BytesIO(head[:-8] + encoded_length(length) + b"data"))
    assert (meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid) == (a, b, c)
    assert (meta.sender, meta.length) == (sender, length)


def test_pydicom_reads_the_head() -> None:
    head = encode("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", SENDER)
    ds = pydicom.dcmread(DicomBytesIO(head))
    meta = ds.file_meta
    assert len(ds) == 0
    assert meta.FileMetaInformationGroupLength == len(head) - 144
    assert (meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID) == ("1.2.3", "1.2.840.10008.1.2.1")
    assert (meta.SendingApplicationEntityTitle, meta.ReceivingApplicationEntityTitle) == ("PACS", "HER2NODE")
    assert meta.SendingPresentationAddress == "dicom://2001:db8::1"


def test_a_head_cut_short_anywhere_is_unreadable() -> None:
    head = encode("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", SENDER)
    for end in range(len(head)):
        with pytest.raises(InstanceUnreadable):
            decode(io.BytesIO(head[:end]))


def test_another_file_is_unreadable() -> None:
    with pytest.raises(InstanceUnreadable):
        decode(io.BytesIO(b"%PDF" + bytes(1000)))
