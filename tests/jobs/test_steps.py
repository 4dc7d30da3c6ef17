"""Classifying, completing, dispatching and housekeeping: what the leader does at a tick."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from her2node.errors import BrokerAway
from her2node.intake.completion import Verdict
from her2node.jobs import classify, housekeeping
from her2node.jobs.classify import classify_changed, entered_roles
from her2node.jobs.completing import complete_ready
from her2node.jobs.dispatch import DispatchOptions, dispatch, requeue_expired, send_again
from her2node.jobs.door import Door
from her2node.jobs.filing import file_arrivals
from her2node.jobs.housekeeping import HouseRules, keep_house
from her2node.ledger.records import Gathering, NewDelivery, NewResult
from her2node.ledger.story_records import SeriesStory
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from tests.jobs.made import SECOND, STUDY, House, ct

OPTIONS = DispatchOptions(resend=60 * SECOND, window=2, attempts=3)
STILL = SECOND


def gather(house: House, count: int = 3, study: str = STUDY, **attributes: object) -> None:
    house.receive([ct(number, study, **attributes) for number in range(1, count + 1)])
    file_arrivals(house.ledger, house.spool, Door(), house.now)


def series_of(house: House) -> SeriesStory:
    return house.ledger.study(STUDY).series[0]


def test_a_registration_is_a_series_of_its_own_and_wants_no_volume(house: House) -> None:
    registration = "1.2.840.10008.5.1.4.1.1.66.1"
    reg = ct(1, series=f"{STUDY}.7", SOPClassUID=registration, Modality="REG", SeriesNumber=7)
    house.receive([ct(1), ct(2), ct(3), reg])
    file_arrivals(house.ledger, house.spool, Door(), house.now)
    house.later(2 * SECOND)
    classify_all(house)
    (found,) = (series for series in house.ledger.study(STUDY).series if series.modality == "REG")
    assert (found.role, found.refused) == ("registration", None)
    (facts,) = house.ledger.gathering()
    assert facts.unclassified == 0
    house.ledger.complete(facts.edition_id, "quiet", "", house.now)
    assert f"{STUDY}.7.1" in {one.sop_instance_uid for one in house.ledger.snapshot(facts.edition_id).instances}


def classify_all(house: House, *rules: SiteRule) -> bool:
    return classify_changed(house.ledger, house.spool, rules, STILL, Door(), house.now)


def due(house: House, *studies: str) -> None:
    """Complete studies, so that each has a due job."""
    for study in studies or (STUDY,):
        gather(house, study=study)
    for facts in house.ledger.gathering():
        house.ledger.complete(facts.edition_id, "quiet", "", house.now)


# --- classifying -------------------------------------------------------------------------------------------


def test_a_series_gets_its_role_extent_and_evidence(house: House) -> None:
    gather(house)
    house.later(2 * SECOND)
    classify_all(house)
    series = series_of(house)
    assert (series.role, series.extent, series.refused) == ("arterial", (2.5, 7.5), None)
    assert series.evidence


def test_a_series_that_is_just_arriving_waits(house: House) -> None:
    gather(house)
    classify_all(house)
    assert not series_of(house).classified


def test_a_site_rule_decides_before_the_description(house: House) -> None:
    gather(house)
    house.later(2 * SECOND)
    classify_all(house, SiteRule.of("portal", {"SeriesDescription": "abdomen"}))
    assert series_of(house).role == "portal"


def test_a_late_image_makes_the_series_judged_anew(house: House) -> None:
    gather(house, 2)
    house.later(2 * SECOND)
    classify_all(house)
    house.receive([ct(4)])
    file_arrivals(house.ledger, house.spool, Door(), house.now)
    house.later(2 * SECOND)
    classify_all(house)
    series = series_of(house)
    assert series.extent == (2.5, 10.0)
    assert series.refused is not None
    assert "missing" in series.refused


def test_an_entered_role_decides_before_everything(house: House) -> None:
    gather(house)
    house.ledger.enter(STUDY, f"role:{STUDY}.1", "equilibrium", house.now)
    house.later(2 * SECOND)
    classify_all(house, SiteRule.of("portal", {"SeriesDescription": "abdomen"}))
    assert series_of(house).role == "equilibrium"


def packed(house: House, slices: tuple[int, ...] = (3, 3)) -> None:
    """An arterial and a portal stack in one series, 30 and 70 s after the bolus at 10:00."""
    number = 0
    for stack, count in enumerate(slices):
        for slice_ in range(1, count + 1):
            number += 1
            told = {"ContrastBolusStartTime": "100000", "AcquisitionTime": ("100030", "100110")[stack]}
            position = [0, 0, 2.5 * slice_]
            house.receive([ct(number, SeriesDescription="Abdomen", ImagePositionPatient=position, **told)])
    file_arrivals(house.ledger, house.spool, Door(), house.now)
    house.later(2 * SECOND)
    classify_all(house)


def test_phases_packed_in_one_series_are_classified_each(house: House) -> None:
    packed(house)
    series = series_of(house)
    assert (series.role, series.refused) == ("arterial + portal", None)
    assert series.evidence[0] == "2 stacks are packed in one series"
    assert any(words.startswith("portal: acquired 70 s") for words in series.evidence)
    (facts,) = house.ledger.gathering()[0].series
    assert facts.roles == ("arterial", "portal")


def test_a_packed_series_of_which_the_end_is_still_to_come_is_not_complete(house: House) -> None:
    packed(house, (30, 25))
    assert series_of(house).refused == "the stacks that are packed in this series cover different extents"


def test_entered_words_become_roles_and_unknown_ones_are_left_out() -> None:
    words = {"1.1": "portal", "1.2": "ignore", "1.3": "sideways"}
    assert entered_roles(words) == {"1.1": Role.PORTAL, "1.2": None}


def test_a_series_that_breaks_the_judgement_is_noted_and_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = classify.assign

    def assign(series: object, *rest: object) -> object:
        if getattr(series, "number", None) == 7:
            raise ZeroDivisionError
        return really(series, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(classify, "assign", assign)
    gather(house, SeriesNumber=7)
    gather(house, study="1.2.5")
    house.later(2 * SECOND)
    classify_all(house)
    assert series_of(house).refused == "unexpected-error: ZeroDivisionError"
    assert house.ledger.study("1.2.5").series[0].role == "arterial"


def test_only_a_few_series_are_judged_at_a_tick(house: House) -> None:
    for number in range(classify.AT_ONCE + 1):
        gather(house, 1, study=f"1.2.{number}")
    house.later(2 * SECOND)
    assert classify_all(house) is True
    assert len(house.ledger.unclassified(16)) == 1
    assert classify_all(house) is False
    assert house.ledger.unclassified(16) == ()


def test_when_its_time_is_used_up_a_tick_begins_no_further_series(house: House) -> None:
    for number in range(3):
        gather(house, 1, study=f"1.2.{number}")
    house.later(2 * SECOND)
    clock = itertools.count(0, 1.5)  # each look at it is 1.5 s later
    assert classify_changed(house.ledger, house.spool, (), STILL, Door(), house.now, lambda: next(clock)) is True
    assert len(house.ledger.unclassified(16)) == 1
    slow = itertools.count(0, 60)
    classify_changed(house.ledger, house.spool, (), STILL, Door(), house.now, lambda: next(slow))
    assert house.ledger.unclassified(16) == (), "one at least"


def test_a_big_series_waits_longer_than_a_small_one(house: House) -> None:
    gather(house)
    (small,) = house.ledger.unclassified(16)
    big = replace(small, places=small.places * 1000)
    later = house.now + 2 * SECOND
    assert classify.is_still(small, STILL, later)
    assert not classify.is_still(big, STILL, later)
    assert classify.is_still(big, STILL, later + 9 * SECOND)


# --- completing --------------------------------------------------------------------------------------------


def after(seconds: int) -> Callable[[Gathering, datetime], Verdict]:
    """A judge for whom a study is complete so long after its last object."""

    def judge(facts: Gathering, now: datetime) -> Verdict:
        if facts.study_instance_uid.endswith(".666"):
            raise ZeroDivisionError("a study that nobody can judge")
        return Verdict("quiet" if now >= facts.last_at + seconds * SECOND else None, "because")

    return judge


def test_a_complete_edition_becomes_a_due_job(house: House) -> None:
    gather(house)
    complete_ready(house.ledger, after(60), Door(), house.now)
    assert house.ledger.due_jobs(house.now, 16) == ()
    house.later(60 * SECOND)
    complete_ready(house.ledger, after(60), Door(), house.now)
    (edition,) = house.ledger.study(STUDY).editions
    assert (edition.state, edition.completed_by) == ("due", "quiet")
    assert len(house.ledger.due_jobs(house.now, 16)) == 1


def test_a_study_that_cannot_be_judged_holds_up_only_itself(house: House) -> None:
    gather(house, study="1.2.666")
    gather(house)
    complete_ready(house.ledger, after(0), Door(), house.now)
    assert house.ledger.study(STUDY).editions[0].state == "due"
    assert house.ledger.study("1.2.666").editions[0].state == "gathering"


# --- dispatch ----------------------------------------------------------------------------------------------


class Wire:
    """Takes what is sent; ``away`` makes it a broker that cannot be reached."""

    def __init__(self, house: House) -> None:
        self.sent: list[int] = []
        self.away = False
        self._house = house

    def send(self, job_id: int) -> None:
        if self.away:
            raise BrokerAway("gone")
        self.sent.append(job_id)

    def tick(self) -> None:
        dispatch(self._house.ledger, self.send, OPTIONS, self._house.now)


def test_a_due_job_is_sent_once_and_again_when_nobody_took_it(house: House) -> None:
    due(house)
    wire = Wire(house)
    wire.tick()
    wire.tick()
    assert len(wire.sent) == 1
    house.later(61 * SECOND)
    wire.tick()
    assert len(wire.sent) == 2


def test_the_queue_never_holds_more_than_the_window(house: House) -> None:
    due(house, "1.2.1", "1.2.2", "1.2.3")
    wire = Wire(house)
    wire.tick()
    assert len(wire.sent) == OPTIONS.window
    house.ledger.claim(wire.sent[0], "w", 60 * SECOND, house.now)
    wire.tick()
    assert len(wire.sent) == 3


def test_what_a_broker_that_is_away_did_not_take_is_due_at_the_next_tick(house: House) -> None:
    due(house)
    wire = Wire(house)
    wire.away = True
    with pytest.raises(BrokerAway):
        wire.tick()
    wire.away = False
    house.later(SECOND)
    wire.tick()
    assert len(wire.sent) == 1


def test_a_leader_that_dies_between_note_and_message_loses_no_job(house: House) -> None:
    """The note is written first, so what is lost is the message: it is sent again."""
    due(house)
    (job,) = house.ledger.due_jobs(house.now, 16)
    house.ledger.mark_sent(job.job_id, house.now + OPTIONS.resend, house.now)
    wire = Wire(house)
    house.later(OPTIONS.resend + SECOND)
    wire.tick()
    assert wire.sent == [job.job_id]


def test_a_new_leader_sends_again_what_the_lost_queue_may_have_held(house: House) -> None:
    due(house)
    wire = Wire(house)
    wire.tick()
    house.later(SECOND)
    send_again(house.ledger, wire.send, OPTIONS, house.now)
    assert len(wire.sent) == 2
    wire.tick()
    assert len(wire.sent) == 2


def test_the_job_of_a_dead_worker_comes_again_until_it_has_had_its_attempts(house: House) -> None:
    due(house)
    wire = Wire(house)
    for attempt in range(1, OPTIONS.attempts + 1):
        wire.tick()
        claim = house.ledger.claim(wire.sent[-1], "w", 5 * SECOND, house.now)
        assert claim is not None
        assert claim.attempts == attempt
        house.later(6 * SECOND)
        requeue_expired(house.ledger, OPTIONS, house.now)
    wire.tick()
    assert len(wire.sent) == OPTIONS.attempts
    assert house.ledger.study(STUDY).editions[0].state == "failed"


# --- housekeeping ------------------------------------------------------------------------------------------

RULES = HouseRules(keep=timedelta(days=30), keep_aside=timedelta(days=10))


def _read_and_confirmed(house: House) -> int:
    due(house)
    (job,) = house.ledger.due_jobs(house.now, 16)
    claim = house.ledger.claim(job.job_id, "w", 60 * SECOND, house.now)
    assert claim is not None
    house.spool.write_result(claim.edition_id, "1.2.3.9", b"result")
    result = NewResult("report", "1.2", "1.2.3.9", "1.2.3", 6, "0" * 64, "1.2.3.9")
    house.ledger.finish(claim.token, "read", "{}", [result], [NewDelivery("1.2.3.9", "pacs", "PACS")], house.now)
    (delivery,) = house.ledger.claim_deliveries("c", 60 * SECOND, house.now, 1)
    house.ledger.delivered(delivery.token, [delivery.items[0].delivery_id], house.now)
    house.ledger.confirmed([delivery.items[0].delivery_id], house.now)
    return claim.edition_id


def test_old_studies_leave_spool_and_ledger_a_few_objects_at_a_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "AT_ONCE", 2)
    edition_id = _read_and_confirmed(house)
    assert keep_house(house.ledger, house.spool, RULES, house.now) is False
    assert len(list(house.folder.glob("spool/incoming/*/*.dcm"))) == 3
    house.later(timedelta(days=31))
    ticks = 0
    while keep_house(house.ledger, house.spool, RULES, house.now):
        ticks += 1
        assert ticks < 10
    assert ticks >= 2
    assert list(house.folder.glob("spool/incoming/*")) == []
    assert not house.spool.result_path(edition_id, "1.2.3.9").exists()


def test_what_was_set_aside_leaves_earlier(house: House) -> None:
    house.receive([b""])
    file_arrivals(house.ledger, house.spool, Door(), house.now)
    house.later(timedelta(days=11))
    while keep_house(house.ledger, house.spool, RULES, house.now):
        pass
    assert house.ledger.set_aside() == ()
    assert list(house.folder.glob("spool/incoming/*/*.dcm")) == []
