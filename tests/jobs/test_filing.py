"""Arrivals are filed, or set aside with a reason; none of them stops the others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from her2node.errors import InstanceUnreadable, LedgerAway, SpoolAway
from her2node.jobs import filing
from her2node.jobs.door import Door
from her2node.ledger.records import Filing, FilingEffect, NewResult, SetAside
from tests.jobs.made import SECOND, STUDY, House, ct, encoded


def file_all(house: House) -> bool:
    return filing.file_arrivals(house.ledger, house.spool, Door(), house.now)


def aside(house: House) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in house.ledger.set_aside():
        found[item.reason] = found.get(item.reason, 0) + 1
    return found


def test_arrivals_become_a_study_with_its_series(house: House) -> None:
    house.receive([ct(number) for number in range(1, 4)])
    assert file_all(house) is False
    study = house.ledger.study(STUDY)
    assert house.states() == {"filed": 3}
    (series,) = study.series
    assert (series.modality, series.number, series.description) == ("CT", 2, "Abdomen arterial phase")
    assert [edition.state for edition in study.editions] == ["gathering"]


def test_the_digest_is_that_of_the_data_set_alone(house: House) -> None:
    """The file meta group names the sender and the way: the same object from another peer is a duplicate."""
    image = ct(1)
    first = house.receive([image], calling_ae="PACS")
    second = house.receive([image], calling_ae="WORKSTATION")
    paths = [house.spool.path_of(name, 1) for name in (first, second)]
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert {filing.digest_of(path) for path in paths} == {hashlib.sha256(encoded(image)).hexdigest()}
    file_all(house)
    assert house.states() == {"filed": 1, "duplicate": 1}


def test_our_own_result_routed_back_starts_nothing(house: House) -> None:
    house.receive([ct(1)])
    file_all(house)
    (facts,) = house.ledger.gathering()
    house.ledger.complete(facts.edition_id, "quiet", "", house.now)
    (job,) = house.ledger.due_jobs(house.now, 16)
    claim = house.ledger.claim(job.job_id, "w", 60 * SECOND, house.now)
    assert claim is not None
    ours = ct(77, SeriesInstanceUID="1.2.3.4")
    result = NewResult("report", str(ours.SOPClassUID), str(ours.SOPInstanceUID), "1.2.3.4", 1, "0" * 64, "x")
    house.ledger.finish(claim.token, "read", "{}", [result], [], house.now)
    house.receive([ours])
    file_all(house)
    assert house.states() == {"filed": 1, "own": 1}
    assert len(house.ledger.study(STUDY).editions) == 1


def _without(keyword: str) -> Dataset:
    image = ct(2)
    delattr(image, keyword)
    return image


BAD: dict[str, tuple[Dataset | bytes, str]] = {
    "no DICOM": (b"\xff" * 400, "missing-attribute"),
    "cut short": (encoded(ct(2))[:170], "missing-attribute"),
    "nothing": (b"", "missing-attribute"),
    "no study": (_without("StudyInstanceUID"), "missing-attribute"),
    "no series": (_without("SeriesInstanceUID"), "missing-attribute"),
    "other UID": (encoded(ct(2)), "mismatched-uid"),
    "path": (encoded(ct(2)).replace(STUDY.encode(), b"../../../../x"), "invalid-attribute"),
    "other patient": (ct(2, PatientID="P2"), "conflicting-identity"),
    "same UID, other content": (ct(1, SliceThickness=9.0), "conflicting-duplicate"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom speaks of the values that are wrong on purpose
@pytest.mark.parametrize(("bad", "reason"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_used_is_set_aside_with_the_reason_and_the_study_is_unharmed(
    house: House, bad: Dataset | bytes, reason: str
) -> None:
    house.receive([ct(1), bad, ct(3)])
    file_all(house)
    assert aside(house) == {reason: 1}
    assert house.states()["filed"] == 2
    assert house.ledger.unfiled(10) == ()


def test_a_file_that_is_gone_is_set_aside(house: House) -> None:
    association = house.receive([ct(1), ct(2)])
    house.spool.remove_instance(association, 2)
    file_all(house)
    assert aside(house) == {"instance-unreadable": 1}
    assert house.states() == {"filed": 1}


def test_a_deeply_nested_object_is_set_aside(house: House) -> None:
    """A sequence of undefined length that opens 3000 times and never closes."""
    opening = b"\x08\x00\x10\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    house.receive([opening * 3000 + encoded(ct(2)), ct(1)])
    file_all(house)
    assert aside(house) == {"instance-unreadable": 1}
    assert house.states() == {"filed": 1}


class SilentDisk:
    """Makes some files unreadable, as a disk with a bad sector or a lost mount does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.silent: set[Path] = set()
        really = filing.open_instance

        def open_instance(path: Path, *, met: bool = False) -> Any:
            if path in self.silent:
                raise InstanceUnreadable(path.name) from OSError(5, "Input/output error")
            return really(path, met=met)

        monkeypatch.setattr(filing, "open_instance", open_instance)


def test_a_disk_that_does_not_answer_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SilentDisk(monkeypatch)
    association = house.receive([ct(1), ct(2)])
    disk.silent = {house.spool.path_of(association, number) for number in (1, 2)}
    house.later(timedelta(hours=3))
    assert file_all(house) is False
    assert len(house.ledger.unfiled(10)) == 2
    disk.silent.clear()
    file_all(house)
    assert house.states() == {"filed": 2}


def test_one_file_that_the_disk_never_gives_is_set_aside_after_a_while(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not filed stops the completion clock of every study."""
    disk = SilentDisk(monkeypatch)
    association = house.receive([ct(1), ct(2)])
    disk.silent = {house.spool.path_of(association, 2)}
    file_all(house)
    assert len(house.ledger.unfiled(10)) == 1
    house.later(timedelta(minutes=11))
    house.receive([ct(3)])
    file_all(house)
    assert aside(house) == {"spool-away": 1}
    assert house.states() == {"filed": 2}


class PoisonedLedger:
    """A ledger that one filing breaks, whatever comes with it."""

    def __init__(self, house: House, poison: str) -> None:
        self._ledger = house.ledger
        self._poison = poison
        self.unfiled = house.ledger.unfiled

    def file(self, filings: Sequence[Filing | SetAside], now: datetime) -> FilingEffect:
        for one in filings:
            if isinstance(one, Filing) and one.identity.sop_instance_uid == self._poison:
                raise RuntimeError("constraint violated")
        return self._ledger.file(filings, now)


def test_an_object_that_breaks_the_filing_itself_is_set_aside_alone(house: House) -> None:
    house.receive([ct(1), ct(2), ct(3)])
    ledger = PoisonedLedger(house, str(ct(2).SOPInstanceUID))
    filing.file_arrivals(ledger, house.spool, Door(), house.now)  # type: ignore[arg-type]
    assert aside(house) == {"unexpected-error": 1}
    assert house.states() == {"filed": 2}


def test_numbers_and_letters_that_no_ledger_holds_are_left_out(house: House) -> None:
    image = ct(1, SeriesDescription="Abdo\0men\x1b")
    image["Modality"] = RawDataElement(Tag("Modality"), "CS", 4, b"C\0T ", 0, False, True)
    image["SeriesNumber"] = RawDataElement(Tag("SeriesNumber"), "IS", 12, b"99999999999 ", 0, False, True)
    house.receive([image])
    file_all(house)
    assert aside(house) == {}
    (series,) = house.ledger.study(STUDY).series
    assert (series.modality, series.number, series.description) == ("CT", None, "Abdomen")


def test_a_ledger_that_is_away_sets_nothing_aside(house: House) -> None:
    class Away(PoisonedLedger):
        def file(self, filings: Sequence[Filing | SetAside], now: datetime) -> FilingEffect:
            raise LedgerAway("restarting")

    house.receive([ct(1)])
    filing.file_arrivals(Away(house, ""), house.spool, Door(), house.now)  # type: ignore[arg-type]
    assert len(house.ledger.unfiled(10)) == 1


def test_a_full_batch_says_that_more_may_wait(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filing, "BATCH", 2)
    house.receive([ct(number) for number in range(1, 4)])
    assert file_all(house) is True
    assert file_all(house) is False
    assert house.states() == {"filed": 3}


def test_an_unreadable_folder_is_the_disks_fault(tmp_path: Path) -> None:
    with pytest.raises(SpoolAway):
        filing.digest_of(tmp_path)
    (tmp_path / "x").write_bytes(os.urandom(500))
    with pytest.raises(InstanceUnreadable):
        filing.digest_of(tmp_path / "x")
