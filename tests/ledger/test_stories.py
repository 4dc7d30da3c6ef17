from __future__ import annotations

import pytest

from her2node.errors import NotFound
from her2node.ledger import Ledger
from her2node.ledger.states import EditionState
from her2node.ledger.stories import reason
from tests.ledger.way import MINUTE, SEG, START, Sent, Way, deliver, result, slices


def test_an_empty_ledger_has_no_studies(ledger: Ledger) -> None:
    assert ledger.studies() == ()
    assert ledger.set_aside() == ()


def test_an_unknown_study_has_no_story(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match=r"1\.9\.9"):
        ledger.study("1.9.9")


def test_studies_stand_on_one_line_each_the_latest_change_first(way: Way) -> None:
    way.read([result("2.25.1")], [deliver("2.25.1"), deliver("2.25.1", None, "SCANNER")], slices(3, study="1.1"))
    way.later(MINUTE)
    way.gather([*slices(2, study="1.2"), Sent("1.2.1.1", "1.2", "1.2.1", content="other")], calling_ae="SCANNER")
    new, old = way.ledger.studies()
    assert (new.study_instance_uid, new.sender_ae, new.state, new.number) == ("1.2", "SCANNER", "gathering", 1)
    assert (new.instances, new.set_aside, new.results, new.deliveries) == (2, 1, 0, {})
    assert (old.study_instance_uid, old.state, old.results) == ("1.1", "read", 1)
    assert old.deliveries == {"due": 1, "held": 1}
    assert len(way.ledger.studies(limit=1)) == 1


def test_of_each_study_its_latest_reading_is_told_the_latest_first(way: Way) -> None:
    def read(summary: str) -> None:
        way.later(MINUTE)
        way.ledger.finish(way.claim().token, "read", summary, [], [], way.now)

    assert way.ledger.summaries() == ()
    for study in ("1.1", "1.2"):
        way.complete(slices(2, study=study))
        read(f'{{"of": "{study}"}}')
    way.ledger.rerun("1.1", way.now)
    assert way.ledger.summaries() == ('{"of": "1.2"}', '{"of": "1.1"}')
    read('{"of": "1.1 again"}')
    assert way.ledger.summaries() == ('{"of": "1.1 again"}', '{"of": "1.2"}')
    assert way.ledger.summaries(limit=1) == ('{"of": "1.1 again"}',)


def test_a_line_tells_of_the_latest_edition(way: Way) -> None:
    way.read([result("2.25.1")], [])
    way.ledger.rerun("1.2.3", way.now)
    (line,) = way.ledger.studies()
    assert (line.number, line.state) == (2, "due")
    assert line.reason == "complete by command (rerun), waits for a worker"


def test_a_story_has_every_step_with_its_time(way: Way) -> None:
    edition_id = way.gather(slices(2))
    way.ledger.complete(edition_id, "quiet", "nothing came for 60 s", way.later(MINUTE))
    claim = way.claim("worker-7")
    way.ledger.finish(claim.token, "read", "{}", [result("2.25.1")], [deliver("2.25.1")], way.later(MINUTE))
    sent = way.courier()
    way.ledger.delivered(sent.token, [sent.items[0].delivery_id], way.later(MINUTE))
    way.ledger.confirmed([sent.items[0].delivery_id], way.later(MINUTE))
    story = way.ledger.study("1.2.3")
    (edition,) = story.editions
    (job,) = edition.jobs
    (delivery,) = edition.results[0].deliveries
    assert (edition.opened_at, edition.completed_at, edition.finished_at) == (START, START + MINUTE, START + 2 * MINUTE)
    assert (job.worker, job.claimed_at, job.finished_at) == ("worker-7", START + MINUTE, START + 2 * MINUTE)
    assert (delivery.sent_at, delivery.confirmed_at) == (START + 3 * MINUTE, START + 4 * MINUTE)
    assert [(item.kind, item.at - START) for item in story.events] == [
        ("edition-opened", 0 * MINUTE),
        ("edition-complete", MINUTE),
        ("edition-read", 2 * MINUTE),
        ("delivered", 3 * MINUTE),
        ("delivery-confirmed", 4 * MINUTE),
    ]
    assert {item.edition_number for item in story.events} == {1}


def test_a_story_has_series_entered_values_and_what_was_set_aside(way: Way) -> None:
    way.gather([*slices(2), *slices(1, patient="P2", first=9)])
    way.ledger.enter("1.2.3", "t-stage", "3", way.now)
    story = way.ledger.study("1.2.3")
    (series,) = story.series
    assert (series.modality, series.number, series.description, series.instances) == ("CT", 2, "abdomen", 2)
    assert (series.classified, series.role, series.evidence, series.extent) == (False, None, (), None)
    assert story.entered == {"t-stage": "3"}
    assert [item.reason for item in story.set_aside] == ["conflicting-identity"]
    assert story.instances == {"filed": 2, "aside": 1}


def test_anybody_may_note_an_event(way: Way) -> None:
    edition_id = way.gather(slices(1))
    way.ledger.event("doctor", way.now, study_uid="1.2.3", detail="echo failed")
    way.ledger.event("doctor", way.now, edition_id=edition_id)
    way.ledger.event("started", way.now)
    told = [(item.kind, item.edition_number, item.detail) for item in way.ledger.study("1.2.3").events]
    assert told[1:] == [("doctor", None, "echo failed"), ("doctor", 1, "")]


def test_times_come_back_aware_and_in_utc(way: Way) -> None:
    way.gather(slices(1))
    story = way.ledger.study("1.2.3")
    for time in (story.first_at, story.editions[0].opened_at, way.ledger.gathering()[0].last_at):
        assert time.utcoffset() == 0 * MINUTE


def test_a_segmentation_alone_makes_a_study_too(way: Way) -> None:
    way.gather([Sent("1.2.3.9.1", series="1.2.3.9", sop_class=SEG, modality="SEG")])
    assert way.ledger.studies()[0].instances == 1


@pytest.mark.parametrize("state", EditionState)
def test_every_state_has_a_reason_in_words(state: EditionState) -> None:
    told = reason(state, "quiet", "nothing came for 60 s", '{"reason": "no portal series"}', "disk away")
    expected = {
        "gathering": "nothing came for 60 s",
        "due": "complete by quiet (nothing came for 60 s), waits for a worker; tried before: disk away",
        "reading": "complete by quiet (nothing came for 60 s), a worker reads it; tried before: disk away",
        "read": "no portal series",
        "refused": "no portal series",
        "failed": "disk away",
    }
    assert told == expected[state]


@pytest.mark.parametrize("summary", [None, "", "{}", "not JSON", "[1]"])
def test_a_summary_without_a_reason_gives_none(summary: str | None) -> None:
    assert reason("read", None, "", summary, None) == ""
