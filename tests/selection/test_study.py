"""Headers are read once, within bounds, and faults of the machine are not laid on the objects."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from her2node.errors import InstanceUnreadable, TimeIsUp
from her2node.selection import study
from tests.volumes import made


@pytest.mark.parametrize("fault", [MemoryError, TimeIsUp])
def test_a_fault_of_the_machine_is_not_laid_on_the_object(
    fault: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made.classic(tmp_path).instances[0].path

    def fails(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(study, "dcmread", fails)
    with pytest.raises(fault):
        study.read_header(path)


def test_a_deflated_object_that_would_swell_out_of_all_proportion_is_refused(tmp_path: Path) -> None:
    path = made.classic(tmp_path).instances[0].path
    ds = dcmread(path)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(path)
    assert study.read_header(path).Rows == 5
    ds.add_new(0x00091010, "OB", bytes(65 << 20))
    ds.save_as(path)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InstanceUnreadable, match="inflates to more than 64 MiB"):
        study.read_header(path)


def test_a_giant_value_stays_in_the_file_and_a_long_sequence_is_read(tmp_path: Path) -> None:
    def giant(_: int, ds: Dataset) -> None:
        ds.add_new(0x00091010, "OB", bytes(2 << 20))
        ds.ReferencedImageSequence = [Dataset()]
        ds.ReferencedImageSequence[0].add_new(0x00091010, "OB", bytes(2 << 20))

    header = made.classic(tmp_path, change=giant).first
    element: object = header.get_item(0x00091010, keep_deferred=True)
    assert isinstance(element, RawDataElement)
    assert element.value is None
    assert len(header.ReferencedImageSequence) == 1
