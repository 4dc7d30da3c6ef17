from __future__ import annotations

import pytest

from her2node.errors import NotFound
from her2node.ledger.records import PreviousResult
from tests.ledger.way import MINUTE, SECOND, SEG, SR, START, Sent, Way, deliver, result, slices


def test_a_complete_edition_has_one_due_job(way: Way) -> None:
    edition_id = way.gather(slices(3))
    assert way.ledger.complete(edition_id, "content", "every role is here", way.later(MINUTE))
    (job,) = way.ledger.due_jobs(way.now, 16)
    assert (job.edition_id, job.kind) == (edition_id, "analyse")
    (edition,) = way.ledger.study("1.2.3").editions
    assert (edition.state, edition.completed_by, edition.completed_at) == ("due", "content", START + MINUTE)


def test_an_edition_is_completed_once(way: Way) -> None:
    edition_id = way.complete()
    assert not way.ledger.complete(edition_id, "patience", "", way.later(MINUTE))
    assert len(way.ledger.due_jobs(way.now, 16)) == 1


@pytest.mark.parametrize("stage", ["due", "reading", "read"])
def test_a_late_object_opens_the_next_edition_which_has_all_objects(way: Way, stage: str) -> None:
    first = way.complete(slices(3))
    if stage != "due":
        claim = way.claim()
        if stage == "read":
            way.ledger.finish(claim.token, "read", "{}", [], [], way.now)
    second = way.complete(slices(2, first=4))
    assert len(way.ledger.snapshot(first).instances) == 3
    assert len(way.ledger.snapshot(second).instances) == 5
    assert way.ledger.snapshot(second).number == 2


def test_a_snapshot_is_the_same_whatever_the_order_of_arrival(way: Way) -> None:
    one = way.complete(slices(4, study="1.1"))
    two = way.complete(list(reversed(slices(4, study="1.2"))))
    orders = [[item.sop_instance_uid[4:] for item in way.ledger.snapshot(found).instances] for found in (one, two)]
    assert orders[0] == orders[1] == sorted(orders[0])


def test_a_snapshot_names_where_each_object_lies(way: Way) -> None:
    edition_id = way.complete([Sent("1.2.3.1.2"), Sent("1.2.3.1.1")])
    places = {item.sop_instance_uid: item.place.number for item in way.ledger.snapshot(edition_id).instances}
    assert places == {"1.2.3.1.1": 2, "1.2.3.1.2": 1}


def test_duplicates_and_what_was_set_aside_belong_to_no_edition(way: Way) -> None:
    edition_id = way.complete([*slices(2), *slices(2), Sent("1.2.3.1.1", content="other")])
    assert len(way.ledger.snapshot(edition_id).instances) == 2


def test_an_edition_that_still_gathers_has_no_snapshot(way: Way) -> None:
    edition_id = way.gather(slices(1))
    with pytest.raises(NotFound):
        way.ledger.snapshot(edition_id)


def test_a_snapshot_keeps_its_times_and_sender(way: Way) -> None:
    edition_id = way.gather(slices(1))
    way.ledger.complete(edition_id, "quiet", "", way.later(MINUTE))
    made_of = way.ledger.snapshot(edition_id)
    assert (made_of.created_at, made_of.completed_at, made_of.sender_ae) == (START, START + MINUTE, "PACS")


def test_the_next_edition_knows_the_results_of_the_last_that_has_any(way: Way) -> None:
    way.read([result("2.25.1"), result("2.25.2", "segmentation", SEG)], [], slices(1))
    failed = way.complete(slices(1, first=2))
    way.ledger.give_up(way.claim().token, "broken", way.now)
    third = way.complete(slices(1, first=3))
    expected = (
        PreviousResult("report", SR, "2.25.1", "2.25.1.0"),
        PreviousResult("segmentation", SEG, "2.25.2", "2.25.2.0"),
    )
    assert way.ledger.snapshot(failed).predecessor == way.ledger.snapshot(third).predecessor == expected


def test_an_edition_counts_what_was_set_aside_before_it_was_closed(way: Way) -> None:
    edition_id = way.gather(slices(2))
    way.send(slices(2, first=3, patient="P2"))
    way.file()
    way.ledger.complete(edition_id, "quiet", "", way.now)
    way.later(MINUTE)
    way.send(slices(1, first=5, patient="P2"))
    way.file()
    assert way.ledger.snapshot(edition_id).set_aside == (("conflicting-identity", 2),)


# --- entered values ----------------------------------------------------------------------------------------


def test_an_entered_value_opens_an_edition_that_has_it(way: Way) -> None:
    first = way.complete()
    opened = way.ledger.enter("1.2.3", "liver-metastasis", "yes", way.later(MINUTE))
    assert opened.number == 2
    way.ledger.complete(opened.edition_id, "quiet", "", way.now)
    assert way.ledger.snapshot(opened.edition_id).entered == {"liver-metastasis": "yes"}
    assert way.ledger.snapshot(first).entered == {}


def test_values_entered_one_after_the_other_join_one_edition(way: Way) -> None:
    way.complete()
    numbers = {way.ledger.enter("1.2.3", name, "1", way.now).number for name in ("a", "b", "c")}
    assert numbers == {2}


def test_the_last_word_counts_and_an_empty_one_takes_a_value_back(way: Way) -> None:
    edition_id = way.gather(slices(1))
    for name, value in (("a", "1"), ("a", "2"), ("b", "1"), ("b", "")):
        way.ledger.enter("1.2.3", name, value, way.now)
    way.ledger.complete(edition_id, "quiet", "", way.now)
    assert way.ledger.snapshot(edition_id).entered == {"a": "2"}
    later = way.ledger.enter("1.2.3", "a", "", way.now)
    way.ledger.complete(later.edition_id, "quiet", "", way.now)
    assert way.ledger.snapshot(later.edition_id).entered == {}
    assert way.ledger.snapshot(edition_id).entered == {"a": "2"}


def test_an_entered_role_is_kept_apart_from_values(way: Way) -> None:
    edition_id = way.gather(slices(1))
    way.ledger.enter("1.2.3", "role:1.2.3.1", "portal", way.now)
    way.ledger.enter("1.2.3", "t-stage", "3", way.now)
    way.ledger.complete(edition_id, "quiet", "", way.now)
    made_of = way.ledger.snapshot(edition_id)
    assert (made_of.entered, made_of.entered_roles) == ({"t-stage": "3"}, {"1.2.3.1": "portal"})


def test_a_role_for_a_series_that_the_study_does_not_have_is_refused_and_opens_no_edition(way: Way) -> None:
    way.complete()
    with pytest.raises(NotFound, match=r"series 1\.2\.3\.77"):
        way.ledger.enter("1.2.3", "role:1.2.3.77", "portal", way.now)
    assert way.ledger.gathering() == ()


def test_several_values_are_entered_all_or_none(way: Way) -> None:
    edition_id = way.gather(slices(1))
    with pytest.raises(NotFound):
        way.ledger.enter_all("1.2.3", {"t-stage": "3", "role:1.2.3.77": "portal"}, way.now)
    assert way.ledger.study("1.2.3").entered == {}
    opened = way.ledger.enter_all("1.2.3", {"t-stage": "3", "role:1.2.3.1": "portal"}, way.now)
    assert opened.edition_id == edition_id
    assert way.ledger.study("1.2.3").entered == {"t-stage": "3", "role:1.2.3.1": "portal"}


def test_a_value_for_an_unknown_study_is_refused(way: Way) -> None:
    with pytest.raises(NotFound, match=r"1\.9\.9"):
        way.ledger.enter("1.9.9", "a", "1", way.now)


# --- rerun -------------------------------------------------------------------------------------------------


def test_a_rerun_is_complete_at_once(way: Way) -> None:
    way.read([result("2.25.1")], [])
    again = way.ledger.rerun("1.2.3", way.later(MINUTE))
    assert again.number == 2
    assert [job.edition_id for job in way.ledger.due_jobs(way.now, 16)] == [again.edition_id]
    assert len(way.ledger.snapshot(again.edition_id).instances) == 3
    assert way.ledger.study("1.2.3").editions[-1].completed_by == "command"


def test_a_rerun_completes_what_gathers(way: Way) -> None:
    edition_id = way.gather(slices(1))
    assert way.ledger.rerun("1.2.3", way.now).edition_id == edition_id
    assert way.ledger.gathering() == ()


def test_a_rerun_waits_while_something_is_being_delivered(way: Way) -> None:
    association = way.open()
    way.store(association, slices(1))
    way.file()
    way.ledger.rerun("1.2.3", way.now)
    assert len(way.ledger.gathering()) == 1
    way.end(association)
    way.ledger.rerun("1.2.3", way.later(SECOND))
    assert way.ledger.gathering() == ()


def test_a_rerun_of_an_unknown_study_is_refused(way: Way) -> None:
    with pytest.raises(NotFound):
        way.ledger.rerun("1.9.9", way.now)


def test_editions_never_share_a_number(way: Way) -> None:
    way.read([result("2.25.1")], [deliver("2.25.1")])
    for _ in range(3):
        way.ledger.rerun("1.2.3", way.now)
    assert [item.number for item in way.ledger.study("1.2.3").editions] == [1, 2, 3, 4]
