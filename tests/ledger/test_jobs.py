from __future__ import annotations

import pytest

from her2node.errors import Broken, IllegalTransition, LeaseLost, NotFound
from her2node.ledger import Ledger
from her2node.ledger.database import writing
from her2node.ledger.editions import step
from her2node.ledger.states import EditionEvent
from tests.ledger.way import LEASE, MINUTE, SECOND, SEG, START, Way, deliver, result, slices


def state_of(way: Way, study: str = "1.2.3") -> tuple[str, str]:
    """(edition, job) state of the latest edition."""
    edition = way.ledger.study(study).editions[-1]
    return edition.state, edition.jobs[0].state


# --- dispatch ----------------------------------------------------------------------------------------------


def test_a_sent_job_is_not_sent_again_before_its_time(way: Way) -> None:
    way.complete()
    job_id = way.due_job()
    way.ledger.mark_sent(job_id, way.now + MINUTE, way.now)
    assert way.ledger.due_jobs(way.now + 59 * SECOND, 16) == ()
    assert [job.job_id for job in way.ledger.due_jobs(way.now + MINUTE, 16)] == [job_id]


def test_the_window_bounds_what_is_in_the_queue(way: Way) -> None:
    for number in range(5):
        way.complete(slices(1, study=f"1.{number}"))
    first = way.ledger.due_jobs(way.now, 2)
    assert len(first) == 2
    way.ledger.mark_sent(first[0].job_id, way.now + MINUTE, way.now)
    assert len(way.ledger.due_jobs(way.now, 2)) == 1
    way.ledger.mark_sent(first[1].job_id, way.now + MINUTE, way.now)
    assert way.ledger.due_jobs(way.now, 2) == ()
    assert way.ledger.claim(first[0].job_id, "w1", LEASE, way.now)
    assert len(way.ledger.due_jobs(way.now, 2)) == 1, "a claimed job has left the queue"


def test_an_edition_waits_until_the_earlier_one_of_its_study_is_done(way: Way) -> None:
    first = way.complete(slices(1))
    way.complete(slices(1, first=2))
    other = way.complete(slices(1, study="1.9"))
    assert [job.edition_id for job in way.ledger.due_jobs(way.now, 16)] == [first, other]
    claim = way.ledger.claim(way.ledger.due_jobs(way.now, 1)[0].job_id, "w1", LEASE, way.now)
    assert claim is not None
    assert [job.edition_id for job in way.ledger.due_jobs(way.now, 16)] == [other]
    way.ledger.finish(claim.token, "read", "{}", [], [], way.now)
    assert len(way.ledger.due_jobs(way.now, 16)) == 2


# --- claims ------------------------------------------------------------------------------------------------


def test_a_job_is_claimed_once(way: Way) -> None:
    way.complete()
    job_id = way.due_job()
    claim = way.ledger.claim(job_id, "w1", LEASE, way.now)
    assert claim is not None
    assert (claim.kind, claim.study_instance_uid, claim.attempts) == ("analyse", "1.2.3", 1)
    assert way.ledger.claim(job_id, "w2", LEASE, way.now) is None
    assert state_of(way) == ("reading", "claimed")
    assert way.ledger.due_jobs(way.now, 16) == ()


def test_a_job_that_nobody_knows_is_not_claimed(ledger: Ledger) -> None:
    assert ledger.claim(4711, "w1", LEASE, START) is None


def test_a_heartbeat_keeps_the_lease(way: Way) -> None:
    way.complete()
    claim = way.claim()
    way.later(50 * SECOND)
    assert way.ledger.heartbeat(claim.token, LEASE, way.now)
    way.later(50 * SECOND)
    assert way.ledger.requeue_expired(way.now, 5) == ()


def test_a_job_whose_worker_gives_no_sign_is_due_again_at_once(way: Way) -> None:
    way.complete()
    way.ledger.mark_sent(way.due_job(), way.now + 10 * MINUTE, way.now)
    claim = way.ledger.claim(1, "w1", LEASE, way.now)
    assert claim is not None
    (back,) = way.ledger.requeue_expired(way.later(LEASE + SECOND), 5)
    assert (back.job_id, back.attempts, back.failed) == (claim.job_id, 1, False)
    assert state_of(way) == ("due", "due")
    again = way.claim("w2")
    assert (again.attempts, again.token != claim.token) == (2, True)


def test_whoever_lost_the_lease_can_write_nothing(way: Way) -> None:
    way.complete()
    lost = way.claim("w1")
    way.ledger.requeue_expired(way.later(LEASE + SECOND), 5)
    ours = way.claim("w2")
    assert not way.ledger.heartbeat(lost.token, LEASE, way.now)
    with pytest.raises(LeaseLost):
        way.ledger.finish(lost.token, "read", "{}", [result("2.25.9")], [], way.now)
    for step_ in (
        lambda: way.ledger.retry(lost.token, "x", way.now, way.now),
        lambda: way.ledger.give_up(lost.token, "x", way.now),
        lambda: way.ledger.hand_back(lost.token, way.now),
    ):
        with pytest.raises(LeaseLost):
            step_()
    way.ledger.finish(ours.token, "read", "{}", [result("2.25.1")], [], way.now)
    (edition,) = way.ledger.study("1.2.3").editions
    assert [item.sop_instance_uid for item in edition.results] == ["2.25.1"]


def test_a_lease_that_is_over_but_not_taken_back_may_still_finish(way: Way) -> None:
    way.complete()
    claim = way.claim()
    way.ledger.finish(claim.token, "read", "{}", [], [], way.later(10 * MINUTE))
    assert way.ledger.requeue_expired(way.now, 5) == ()
    assert state_of(way) == ("read", "done")


def test_a_job_that_kills_its_workers_is_given_up(way: Way) -> None:
    way.complete()
    failed = []
    for _ in range(3):
        way.claim()
        failed += [item.failed for item in way.ledger.requeue_expired(way.later(LEASE + SECOND), 3)]
    assert failed == [False, False, True]
    assert state_of(way) == ("failed", "failed")
    assert way.ledger.studies()[0].reason == "its worker died or stalled 3 times"
    assert way.ledger.due_jobs(way.now + MINUTE, 16) == ()


def test_a_failed_job_is_tried_again_when_it_is_due(way: Way) -> None:
    way.complete()
    way.ledger.retry(way.claim().token, "disk away", way.now + MINUTE, way.now)
    assert way.ledger.due_jobs(way.now, 16) == ()
    assert way.ledger.studies()[0].reason.endswith("tried before: disk away")
    way.later(MINUTE)
    assert way.claim().attempts == 2


def test_a_job_handed_back_counts_as_no_attempt(way: Way) -> None:
    way.complete()
    way.ledger.hand_back(way.claim().token, way.now)
    assert way.claim().attempts == 1


def test_giving_up_fails_the_edition_with_its_reason(way: Way) -> None:
    way.complete()
    way.ledger.give_up(way.claim().token, "worked-case-failed", way.now)
    (edition,) = way.ledger.study("1.2.3").editions
    assert (edition.state, edition.reason) == ("failed", "worked-case-failed")


def test_the_table_of_editions_guards_the_rows(way: Way, ledger: Ledger) -> None:
    edition_id = way.gather(slices(1))
    with (
        pytest.raises(IllegalTransition, match="no read in gathering"),
        writing(ledger._engine) as connection,
    ):
        step(connection, edition_id, EditionEvent.READ)


# --- the outcome -------------------------------------------------------------------------------------------


def test_an_outcome_writes_results_deliveries_states_and_event_at_once(way: Way) -> None:
    way.read(
        [result("2.25.1"), result("2.25.2", "segmentation", SEG)],
        [deliver("2.25.1"), deliver("2.25.2"), deliver("2.25.1", "archive", "ARCHIVE")],
    )
    story = way.ledger.study("1.2.3")
    assert [item.kind for item in story.editions[0].results] == ["report", "segmentation"]
    assert way.states() == {
        ("report", "pacs"): "due",
        ("report", "archive"): "due",
        ("segmentation", "pacs"): "due",
    }
    assert story.events[-1].kind == "edition-read"


def test_an_edition_is_finished_once(way: Way) -> None:
    way.complete()
    claim = way.claim()
    way.ledger.finish(claim.token, "read", "{}", [result("2.25.1")], [deliver("2.25.1")], way.now)
    with pytest.raises(LeaseLost):
        way.ledger.finish(claim.token, "read", "{}", [result("2.25.1")], [deliver("2.25.1")], way.now)
    assert way.states() == {("report", "pacs"): "due"}


def test_an_outcome_that_cannot_be_written_leaves_nothing(way: Way) -> None:
    way.complete()
    claim = way.claim()
    with pytest.raises(Broken, match=r"2\.25\.9"):
        way.ledger.finish(claim.token, "read", "{}", [result("2.25.1")], [deliver("2.25.9")], way.now)
    assert state_of(way) == ("reading", "claimed")
    assert way.ledger.study("1.2.3").editions[0].results == ()
    way.ledger.finish(claim.token, "refused", '{"reason": "no portal series"}', [], [], way.now)
    assert way.ledger.studies()[0].reason == "no portal series"


def test_a_refusal_is_an_answer_and_may_have_results(way: Way) -> None:
    way.complete()
    summary = '{"reason": "role-missing: portal"}'
    way.ledger.finish(way.claim().token, "refused", summary, [result("2.25.1", "could-not")], [], way.now)
    (edition,) = way.ledger.study("1.2.3").editions
    assert (edition.state, edition.reason, edition.summary) == ("refused", "role-missing: portal", summary)
    assert edition.results[0].kind == "could-not"


def test_the_same_result_may_come_of_two_editions_but_not_twice_of_one(way: Way) -> None:
    way.read([result("2.25.1")], [deliver("2.25.1")])
    way.ledger.rerun("1.2.3", way.now)
    way.ledger.finish(way.claim().token, "read", "{}", [result("2.25.1")], [deliver("2.25.1")], way.now)
    assert [len(item.results) for item in way.ledger.study("1.2.3").editions] == [1, 1]


def test_an_unknown_edition_has_no_snapshot(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        ledger.snapshot(4711)
