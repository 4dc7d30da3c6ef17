"""Typed, tolerant reading: nothing invented, nothing unforeseen."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import config
from pydicom.dataset import Dataset

from her2node.dicom import attributes
from her2node.dicom.identity import identify
from her2node.dicom.uids import derived_uid, is_valid_uid
from her2node.errors import InvalidAttribute, MissingAttribute


def _dataset(**values: object) -> Dataset:
    ds = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in values.items():
            setattr(ds, keyword, value)
    return ds


def test_absent_and_empty_are_alike() -> None:
    ds = _dataset(PatientID="", KVP=None)
    assert attributes.text(ds, "PatientID") == ""
    assert attributes.text(ds, "PatientName") == ""
    assert attributes.number(ds, "KVP") is None
    assert attributes.items(ds, "ReferencedSeriesSequence") == ()


def test_a_needed_attribute_that_is_absent_is_named() -> None:
    with pytest.raises(MissingAttribute, match="PixelSpacing"):
        attributes.needed_numbers(Dataset(), "PixelSpacing", 2)


def test_a_needed_attribute_with_too_few_values_is_named() -> None:
    with pytest.raises(InvalidAttribute, match="ImagePositionPatient"):
        attributes.needed_numbers(_dataset(ImagePositionPatient=[1, 2]), "ImagePositionPatient", 3)


def test_a_moment_carries_its_zone() -> None:
    ds = _dataset(StudyDate="20261123", StudyTime="101112.5", TimezoneOffsetFromUTC="+0800")
    expected = datetime(2026, 11, 23, 10, 11, 12, 500000, tzinfo=timezone(timedelta(hours=8)))
    assert attributes.moment(ds, "StudyDate", "StudyTime") == expected


def test_a_moment_without_zone_is_utc() -> None:
    ds = _dataset(StudyDate="20261123", StudyTime="10")
    assert attributes.moment(ds, "StudyDate", "StudyTime") == datetime(2026, 11, 23, 10, tzinfo=UTC)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=6))
def test_no_text_breaks_the_reading_of_a_moment(day: str, clock: str, zone: str) -> None:
    before, config.settings.writing_validation_mode = config.settings.writing_validation_mode, config.IGNORE
    try:
        attributes.moment(
            _dataset(StudyDate=day, StudyTime=clock, TimezoneOffsetFromUTC=zone), "StudyDate", "StudyTime"
        )
    finally:
        config.settings.writing_validation_mode = before


@given(st.lists(st.text(st.characters(exclude_characters="\x1f"), max_size=40), min_size=1, max_size=5))
def test_a_derived_uid_is_valid_and_repeats(parts: list[str]) -> None:
    uid = derived_uid(*parts)
    assert is_valid_uid(uid)
    assert derived_uid(*parts) == uid
    assert derived_uid(*parts, "more") != uid


@pytest.mark.parametrize("uid", ["", "1", "1..2", "01.2", "1.02", "../../etc/passwd", "1.2.3 ", "1." * 33 + "1"])
def test_what_is_no_uid_is_not_taken_for_one(uid: str) -> None:
    assert not is_valid_uid(uid)


def test_two_patients_conflict_and_a_respelled_name_does_not() -> None:
    uids = {"SOPClassUID": "1.2", "SOPInstanceUID": "1.3", "SeriesInstanceUID": "1.4", "StudyInstanceUID": "1.5"}
    one = identify(_dataset(**uids, PatientID="A", PatientSex="F", PatientName="Li^Na"))
    respelled = identify(_dataset(**uids, PatientID="A", PatientSex="", PatientName="李^娜"))
    other = identify(_dataset(**uids, PatientID="B", PatientSex="M"))
    assert one.conflicts(respelled) == ()
    assert one.conflicts(other) == ("PatientID", "PatientSex")
    born, later = (identify(_dataset(**uids, PatientBirthDate=day)) for day in ("19600101", "19610101"))
    assert born.conflicts(later) == ("PatientBirthDate",)


@pytest.mark.parametrize("one", ["M", "F", "O", "", "f", "U", "MALE"])
@pytest.mark.parametrize("other", ["M", "F", "O", "", "f", "U", "UNKNOWN"])
def test_of_two_sexes_only_m_and_f_are_two_patients(one: str, other: str) -> None:
    uids = {"SOPClassUID": "1.2", "SOPInstanceUID": "1.3", "SeriesInstanceUID": "1.4", "StudyInstanceUID": "1.5"}
    first, second = (identify(_dataset(**uids, PatientID="A", PatientSex=sex)) for sex in (one, other))
    assert first.conflicts(second) == (("PatientSex",) if {one.upper(), other.upper()} == {"M", "F"} else ())


@pytest.mark.parametrize(
    ("known", "new", "filled"),
    [
        ("", "O", "O"),
        ("O", "", "O"),
        ("O", "F", "F"),
        ("F", "O", "F"),
        ("", "M", "M"),
        ("UNKNOWN", "f", "F"),
        ("U", "", "U"),
    ],
)
def test_what_is_open_of_a_patient_is_filled(known: str, new: str, filled: str) -> None:
    uids = {"SOPClassUID": "1.2", "SOPInstanceUID": "1.3", "SeriesInstanceUID": "1.4", "StudyInstanceUID": "1.5"}
    first = identify(_dataset(**uids, PatientID="A", PatientSex=known))
    second = identify(_dataset(**uids, PatientID="A", PatientSex=new, PatientBirthDate="19600101"))
    both = first.filled_from(second)
    assert (both.patient_id, both.patient_birth_date, both.patient_sex) == ("A", "19600101", filled)
