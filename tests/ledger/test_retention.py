from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select

from her2node.errors import NotFound
from her2node.ledger import Ledger
from her2node.ledger.database import reading, writing
from her2node.ledger.records import Leaving, SetAside, SpoolPlace
from her2node.ledger.schema import association, brought, instance, series, study
from tests.ledger.way import MINUTE, SEG, SR, START, Sent, Way, deliver, result, slices

DAY = timedelta(days=1)


def purge(way: Way, keep: timedelta = 30 * DAY, limit: int = 1000) -> Leaving:
    return way.ledger.purge(way.now - keep, way.now - keep, way.now, limit)


def empty(way: Way) -> None:
    while leaving := purge(way):
        way.ledger.forget(leaving, way.now)


def rows(ledger: Ledger) -> dict[str, int]:
    with reading(ledger._engine) as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in (association, instance, series, brought)
        }


def delivered(way: Way, uid: str = "2.25.1") -> int:
    edition_id = way.read([result(uid)], [deliver(uid)])
    claim = way.courier()
    way.ledger.delivered(claim.token, [item.delivery_id for item in claim.items], way.now)
    return edition_id


def test_nothing_leaves_before_its_time(way: Way) -> None:
    delivered(way)
    way.later(29 * DAY)
    assert not purge(way)


def test_a_study_leaves_after_its_time_with_everything_that_lies_in_the_spool(way: Way) -> None:
    edition_id = delivered(way)
    way.later(31 * DAY)
    leaving = purge(way)
    assert leaving.studies == ("1.2.3",)
    assert leaving.editions == (edition_id,)
    assert sorted(place for _, place in leaving.instances) == [SpoolPlace("a0001", number) for number in (1, 2, 3)]


def test_what_was_not_forgotten_is_named_again(way: Way) -> None:
    delivered(way)
    way.later(31 * DAY)
    first = purge(way)
    again = purge(way)
    assert (again.instances, again.editions, again.studies) == (first.instances, first.editions, ())
    way.ledger.forget(again, way.now)
    assert not purge(way)
    way.ledger.forget(first, way.now)


def test_what_was_forgotten_leaves_no_rows_but_the_story(way: Way) -> None:
    delivered(way)
    way.later(31 * DAY)
    empty(way)
    assert rows(way.ledger) == {"association": 0, "instance": 0, "series": 0, "brought": 0}
    (edition,) = way.ledger.study("1.2.3").editions
    assert edition.purged_at == way.now
    assert edition.results[0].sop_instance_uid == "2.25.1"


def test_a_big_study_leaves_a_little_at_a_time(way: Way) -> None:
    delivered(way)
    way.later(31 * DAY)
    left = []
    while leaving := purge(way, limit=2):
        assert len(leaving.instances) <= 2
        left += leaving.instances
        way.ledger.forget(leaving, way.now)
    assert len(left) == 3
    assert rows(way.ledger) == {"association": 0, "instance": 0, "series": 0, "brought": 0}


def test_our_result_is_recognised_however_late_it_is_routed_back(way: Way) -> None:
    delivered(way)
    way.later(31 * DAY)
    empty(way)
    way.send([Sent("2.25.1", series="2.25.1.0", sop_class=SR, modality="SR")])
    assert way.file().own == 1
    assert way.ledger.gathering() == ()


def test_a_study_sent_anew_after_it_left_opens_the_next_edition_of_what_came(way: Way) -> None:
    delivered(way)
    way.later(31 * DAY)
    purge(way)  # its files are being removed
    edition_id = way.complete(slices(2))
    made_of = way.ledger.snapshot(edition_id)
    assert (made_of.number, len(made_of.instances)) == (2, 2)
    assert [item.sop_instance_uid for item in made_of.predecessor] == ["2.25.1"]


def test_a_study_whose_objects_left_cannot_be_read_again(way: Way) -> None:
    delivered(way)
    way.later(31 * DAY)
    empty(way)
    with pytest.raises(NotFound, match="here any more"):
        way.ledger.rerun("1.2.3", way.now)
    with pytest.raises(NotFound, match="here any more"):
        way.ledger.enter("1.2.3", "t-stage", "3", way.now)


def test_what_stays_of_a_study_names_no_patient(way: Way) -> None:
    delivered(way)
    way.later(31 * DAY)
    empty(way)
    way.send(slices(1, patient="P2"))
    assert way.file().aside == ()


@pytest.mark.parametrize("stage", ["gathering", "due", "reading"])
def test_a_study_that_waits_for_something_stays(way: Way, stage: str) -> None:
    way.gather(slices(1))
    if stage != "gathering":
        way.ledger.rerun("1.2.3", way.now)
    if stage == "reading":
        way.claim()
    way.later(31 * DAY)
    assert not purge(way)


def test_an_undelivered_result_expires_with_the_retention_time(way: Way) -> None:
    way.read([result("2.25.1"), result("2.25.2", "segmentation", SEG)], [deliver("2.25.1"), deliver("2.25.2", None)])
    way.later(31 * DAY)
    assert purge(way).studies == ("1.2.3",)
    assert set(way.states().values()) == {"expired"}
    assert way.ledger.claim_deliveries("c1", MINUTE, way.now, 10) == ()
    assert way.ledger.resend("1.2.3", way.now) == 0, "its file is gone"


def test_a_result_that_is_being_sent_keeps_its_study(way: Way) -> None:
    way.read([result("2.25.1")], [deliver("2.25.1")])
    way.later(31 * DAY)
    way.courier()
    assert not purge(way)


def test_nobody_asks_for_results_that_left_nor_sends_them_again(way: Way) -> None:
    delivered(way)
    (item,) = way.ledger.to_confirm(["pacs"], way.now, 9)
    way.later(31 * DAY)
    purge(way)
    assert way.ledger.to_confirm(["pacs"], way.now, 9) == ()
    assert way.ledger.missing([item.delivery_id], "not found", way.now, way.now) == 0
    assert set(way.states().values()) == {"sent"}


def test_a_result_sent_again_on_demand_has_its_whole_time_anew(way: Way) -> None:
    delivered(way)
    way.later(29 * DAY)
    way.ledger.resend("1.2.3", way.now)
    way.later(2 * DAY)
    assert not purge(way)
    assert way.states() == {("report", "pacs"): "due"}


def test_files_of_duplicates_and_own_results_leave_at_once_and_stay_counted(way: Way) -> None:
    delivered(way)
    back = Sent("2.25.1", series="2.25.1.0", sop_class=SR, modality="SR")
    association = way.send([*slices(2), back])
    way.file()
    leaving = purge(way)
    assert sorted(place for _, place in leaving.instances) == [SpoolPlace(association, number) for number in (1, 2, 3)]
    way.ledger.forget(leaving, way.now)
    assert not purge(way)
    assert way.ledger.study("1.2.3").instances == {"filed": 3, "duplicate": 2, "own": 1}
    way.later(31 * DAY)
    empty(way)
    assert rows(way.ledger)["instance"] == 0


def test_what_was_set_aside_leaves_in_its_own_time(way: Way) -> None:
    way.send(slices(1))
    (unfiled,) = way.ledger.unfiled(1)
    way.ledger.file([SetAside(unfiled.instance_id, "instance-unreadable")], way.now)
    way.later(2 * DAY)
    assert not way.ledger.purge(START, way.now - 3 * DAY, way.now, 10)
    leaving = way.ledger.purge(START, way.now - DAY, way.now, 10)
    assert leaving.instances == ((unfiled.instance_id, SpoolPlace("a0001", 1)),)
    way.ledger.forget(leaving, way.now)
    assert way.ledger.set_aside() == ()


def test_a_study_that_never_had_an_edition_leaves(way: Way) -> None:
    with writing(way.ledger._engine) as connection:
        connection.execute(
            insert(study).values(study_instance_uid="1.2.9", sender_ae="PACS", first_at=way.now, changed_at=way.now)
        )
    assert not purge(way)
    way.ledger.study("1.2.9")
    way.later(31 * DAY)
    purge(way)
    with pytest.raises(NotFound):
        way.ledger.study("1.2.9")


def test_an_arrival_that_nobody_filed_never_leaves(way: Way) -> None:
    way.send(slices(1))
    way.later(1000 * DAY)
    assert not purge(way)
    assert len(way.ledger.unfiled(10)) == 1
