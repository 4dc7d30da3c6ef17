from __future__ import annotations

import pytest

from her2node.ledger.records import FilingEffect, OpenedEdition, SetAside
from tests.ledger.way import MINUTE, SEG, SR, START, Sent, Way, deliver, result, slices

NOTHING = FilingEffect(0, 0, 0, (), ())


def test_the_first_objects_of_a_study_open_its_first_edition(way: Way) -> None:
    way.send(slices(3))
    effect = way.file()
    assert effect == FilingEffect(3, 0, 0, (), (OpenedEdition(1, "1.2.3", 1),))
    assert way.ledger.study("1.2.3").instances == {"filed": 3}


def test_filing_twice_changes_nothing(way: Way) -> None:
    way.send(slices(3))
    filings = way.filings()
    way.ledger.file(filings, way.now)
    before = way.ledger.study("1.2.3")
    assert way.ledger.file(filings, way.later(MINUTE)) == NOTHING
    assert way.ledger.study("1.2.3") == before


def test_an_empty_batch_files_nothing(way: Way) -> None:
    assert way.ledger.file([], way.now) == NOTHING


def test_more_objects_join_the_gathering_edition(way: Way) -> None:
    way.gather(slices(3))
    way.send(slices(3, first=4))
    assert way.file() == FilingEffect(3, 0, 0, (), ())
    (facts,) = way.ledger.gathering()
    assert (facts.number, facts.series[0].instances) == (1, 6)


@pytest.mark.parametrize("together", [True, False])
def test_the_same_object_again_is_a_duplicate_and_starts_nothing(way: Way, together: bool) -> None:
    if together:
        way.send([*slices(3), *slices(3)])
        effect = way.file()
    else:
        way.complete(slices(3))
        way.send(slices(3))
        effect = way.file()
        assert effect.opened == ()
        assert way.ledger.gathering() == ()
    assert effect.duplicates == 3
    assert way.ledger.study("1.2.3").instances == {"filed": 3, "duplicate": 3}


@pytest.mark.parametrize("together", [True, False])
def test_another_object_under_a_known_uid_is_set_aside(way: Way, together: bool) -> None:
    other = Sent("1.2.3.1.1", content="other pixels")
    if together:
        way.send([*slices(1), other])
    else:
        way.complete(slices(1))
        way.send([other])
    effect = way.file()
    assert [item.reason for item in effect.aside] == ["conflicting-duplicate"]
    (aside,) = way.ledger.study("1.2.3").set_aside
    assert (aside.reason, aside.sop_instance_uid, aside.calling_ae) == ("conflicting-duplicate", "1.2.3.1.1", "PACS")
    assert len(way.ledger.study("1.2.3").editions) == 1


def test_the_same_uid_in_another_study_is_another_object(way: Way) -> None:
    way.send([Sent("1.9"), Sent("1.9", study="1.2.4", series="1.2.4.1")])
    assert way.file().filed == 2


@pytest.mark.parametrize("together", [True, False])
def test_another_patient_in_the_study_is_set_aside(way: Way, together: bool) -> None:
    if not together:
        way.gather(slices(2))
        way.send(slices(1, first=3, patient="P2"))
    else:
        way.send([*slices(2), *slices(1, first=3, patient="P2")])
    (aside,) = way.file().aside
    assert aside.reason == "conflicting-identity"
    assert aside.detail == "PatientID differ within the study"
    assert "P2" not in aside.detail


def test_a_blank_patient_attribute_conflicts_with_nothing_and_is_filled_by_the_next(way: Way) -> None:
    way.gather(slices(1, patient=""))
    way.send([*slices(1, first=2, patient="P1", sex="F"), *slices(1, first=3, patient="P1", sex="M")])
    effect = way.file()
    assert effect.filed == 1
    assert [item.detail for item in effect.aside] == ["PatientSex differ within the study"]


def test_a_patient_of_sex_o_is_the_one_of_sex_m_and_then_no_other(way: Way) -> None:
    way.gather(slices(1, sex="O"))
    way.send(slices(1, first=2, sex="M"))
    effect = way.file()
    assert (effect.filed, effect.aside) == (1, ())
    way.send([*slices(1, first=3, sex="O"), *slices(1, first=4, sex="F")])
    effect = way.file()
    assert effect.filed == 1
    assert [item.detail for item in effect.aside] == ["PatientSex differ within the study"]


def test_a_header_that_names_another_object_than_the_request_is_set_aside(way: Way) -> None:
    association = way.open()
    way.store(association, slices(1), requested="1.2.3.4.5.6")
    (aside,) = way.file().aside
    assert aside.reason == "mismatched-uid"
    assert way.ledger.studies() == ()
    assert way.ledger.set_aside()[0].study_instance_uid is None  # in the list of what belongs to no study


def test_a_study_begins_with_what_is_filed_to_it_and_keeps_what_is_set_aside_later(way: Way) -> None:
    way.store(way.open("STRANGER"), slices(1), requested="1.2.3.4.5.6")
    way.send(slices(1, first=2), "PACS")
    way.file()
    assert way.ledger.study("1.2.3").sender_ae == "PACS"
    way.store(way.open(), slices(1, first=3), requested="1.2.3.4.5.6")
    way.file()
    assert way.ledger.studies()[0].set_aside == 2


def test_what_cannot_be_read_is_kept_aside_without_a_study(way: Way) -> None:
    way.send(slices(1))
    (unfiled,) = way.ledger.unfiled(10)
    effect = way.ledger.file([SetAside(unfiled.instance_id, "instance-unreadable", "1.dcm: cut short")], way.now)
    assert effect.aside == (SetAside(unfiled.instance_id, "instance-unreadable", "1.dcm: cut short"),)
    (aside,) = way.ledger.set_aside()
    assert (aside.study_instance_uid, aside.reason, aside.detail) == (None, "instance-unreadable", "1.dcm: cut short")
    assert way.ledger.unfiled(10) == ()


def test_our_own_result_routed_back_starts_nothing(way: Way) -> None:
    way.read([result("2.25.7")], [deliver("2.25.7")])
    way.send([Sent("2.25.7", series="2.25.7.0", sop_class=SR, modality="SR")])
    effect = way.file()
    assert (effect.own, effect.filed, effect.opened) == (1, 0, ())
    assert way.ledger.gathering() == ()
    assert way.ledger.study("1.2.3").instances == {"filed": 3, "own": 1}


def test_a_result_that_a_reader_edited_bears_a_new_uid_and_is_ordinary_input(way: Way) -> None:
    way.read([result("2.25.7", "segmentation", SEG)], [])
    way.send([Sent("2.25.8", series="2.25.8.0", sop_class=SEG, modality="SEG")])
    assert [item.number for item in way.file().opened] == [2]


def test_interleaved_studies_of_one_association_are_kept_apart(way: Way) -> None:
    one, two = slices(3, study="1.1"), slices(3, study="1.2")
    way.send([item for pair in zip(one, two, strict=True) for item in pair])
    effect = way.file()
    assert {item.study_instance_uid for item in effect.opened} == {"1.1", "1.2"}
    assert way.ledger.study("1.1").instances == way.ledger.study("1.2").instances == {"filed": 3}


def test_the_same_series_uid_in_two_studies_makes_two_series(way: Way) -> None:
    way.send([*slices(2, study="1.1", series="9.9"), *slices(1, study="1.2", series="9.9", first=7)])
    way.file()
    assert [way.ledger.study(uid).series[0].instances for uid in ("1.1", "1.2")] == [2, 1]


def test_the_sender_is_who_called_with_the_first_image(way: Way) -> None:
    roi = Sent("1.2.3.9.1", series="1.2.3.9", sop_class=SEG, modality="SEG")
    way.gather([roi], calling_ae="WORKSTATION")
    assert way.ledger.study("1.2.3").sender_ae == "WORKSTATION"
    way.gather(slices(1), calling_ae="PACS")
    assert way.ledger.study("1.2.3").sender_ae == "PACS"
    way.gather(slices(1, first=2), calling_ae="SCANNER")
    assert way.ledger.study("1.2.3").sender_ae == "PACS"


def test_the_first_word_on_an_arrival_counts_within_a_batch(way: Way) -> None:
    way.send(slices(1))
    (filing,) = way.filings()
    effect = way.ledger.file([filing, SetAside(filing.instance_id, "instance-unreadable")], way.now)
    assert (effect.filed, effect.aside) == (1, ())


def test_a_study_tells_when_it_began_and_changed(way: Way) -> None:
    way.gather(slices(1))
    way.later(MINUTE)
    way.gather(slices(1, first=2))
    story = way.ledger.study("1.2.3")
    assert (story.first_at, story.changed_at) == (START, START + MINUTE)
