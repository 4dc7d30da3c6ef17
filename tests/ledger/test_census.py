from __future__ import annotations

from dataclasses import replace

from her2node.ledger.records import Census, SeriesCount
from tests.ledger.way import MINUTE, SECOND, START, Way, deliver, result, slices

ANSWER = Census(
    START,
    (SeriesCount("1.2.3.1", "CT", 120), SeriesCount("1.2.3.2", "", None)),
    objects=130,
)
VAIN = Census(START, silence="The peer cannot be reached", vain=2, again_at=START + MINUTE)


def test_what_the_sender_said_is_kept_with_the_study_and_tells_what_it_left_out(way: Way) -> None:
    way.gather(slices(3))
    assert way.ledger.gathering()[0].census is None
    for answer in (VAIN, ANSWER):
        way.ledger.note_census("1.2.3", answer)
        assert way.ledger.gathering()[0].census == answer


def test_an_answer_to_an_earlier_question_changes_nothing(way: Way) -> None:
    way.gather(slices(3))
    later = replace(ANSWER, asked_at=START + SECOND)
    way.ledger.note_census("1.2.3", later)
    way.ledger.note_census("1.2.3", VAIN)
    assert way.ledger.gathering()[0].census == later


def test_each_study_has_its_own_answer(way: Way) -> None:
    way.gather(slices(1, study="1.1"))
    way.gather(slices(1, study="1.2"))
    way.ledger.note_census("1.1", ANSWER)
    answers = {facts.study_instance_uid: facts.census for facts in way.ledger.gathering()}
    assert answers == {"1.1": ANSWER, "1.2": None}


def test_the_facts_can_be_asked_for_by_the_sender(way: Way) -> None:
    way.gather(slices(1, study="1.1"), "PACS")
    way.gather(slices(1, study="1.2"), "SCANNER")
    assert [facts.study_instance_uid for facts in way.ledger.gathering("SCANNER")] == ["1.2"]
    assert way.ledger.gathering("NOBODY") == ()
    assert {facts.sender_ae for facts in way.ledger.gathering()} == {"PACS", "SCANNER"}


def test_the_series_of_our_own_results_are_known_with_their_objects(way: Way) -> None:
    way.read([result("9.1"), result("9.2"), replace(result("9.3"), series_instance_uid="9.2.0")], [deliver("9.1")])
    way.later(MINUTE)
    way.gather(slices(1, series="1.2.3.2"))
    assert way.ledger.gathering()[0].own_series == {"9.1.0": 1, "9.2.0": 2}


def test_the_same_result_of_two_editions_is_one_object(way: Way) -> None:
    way.read([result("9.1")], [deliver("9.1")])
    way.later(MINUTE)
    way.read([result("9.1")], [deliver("9.1")], slices(1, series="1.2.3.2"))
    way.later(MINUTE)
    way.gather(slices(1, series="1.2.3.3"))
    assert way.ledger.gathering()[0].own_series == {"9.1.0": 1}


def test_the_answer_leaves_with_the_study(way: Way) -> None:
    edition_id = way.gather(slices(1))
    way.ledger.note_census("1.2.3", ANSWER)
    way.ledger.complete(edition_id, "quiet", "", way.now)
    way.ledger.finish(way.claim().token, "read", "{}", [], [], way.now)
    way.later(MINUTE)
    leaving = way.ledger.purge(way.now, way.now, way.now, 100)
    assert leaving.studies == ("1.2.3",)
    way.ledger.forget(leaving, way.now)
    way.gather(slices(1))
    assert way.ledger.gathering()[0].census is None


def test_the_address_of_a_sender_is_that_of_its_latest_association(way: Way) -> None:
    way.send(slices(1), "PACS")
    way.later(SECOND)
    way.send(slices(1, study="1.9"), "SCANNER", address="192.0.2.9")
    way.later(SECOND)
    way.send(slices(1), "PACS", address="192.0.2.7")
    assert way.ledger.addresses(["PACS", "SCANNER", "NOBODY"]) == {"PACS": "192.0.2.7", "SCANNER": "192.0.2.9"}
    assert way.ledger.addresses([]) == {}
