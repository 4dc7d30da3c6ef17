"""One job from claim to outcome: idempotent, fenced, and with every error an outcome."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from her2node import reading as real_reading
from her2node.delivery import outbox
from her2node.errors import (
    GantryTilt,
    InstanceUnreadable,
    LedgerAway,
    NoRoi,
    OutOfSpace,
    PeerAway,
    RoleMissing,
    TimeIsUp,
)
from her2node.jobs import analyse
from her2node.jobs.analyse import Maker, Patience, Workshop, input_hash
from her2node.jobs.door import Door
from her2node.jobs.filing import file_arrivals
from her2node.jobs.heartbeat import Heartbeat
from her2node.ledger.records import EditionInput, NewDelivery, NewResult
from her2node.quantities.quantity import NotMeasured
from her2node.reading import Reading
from her2node.reports.report import ObjectKind, Report, Stamp
from her2node.reports.writing import write
from her2node.selection.roles import Role
from her2node.selection.study import Study
from tests.jobs.made import SECOND, STUDY, House, ct, until

PATIENCE = Patience(lease=60 * SECOND, heartbeat=timedelta(milliseconds=10), attempts=3, first_pause=5 * SECOND)
COULD_NOT = partial(write, kinds=[ObjectKind.COULD_NOT])
MAKER = Maker("0.1", "2.25.1", "Site", "HER2NODE", "shaping", UTC)


def nothing_ran(study: Study, roles: Mapping[str, Role | None], entered: Mapping[str, str]) -> Reading:
    return analyse.refused_reading(study, NoRoi())


def held(results: tuple[NewResult, ...], sender_ae: str) -> tuple[NewDelivery, ...]:
    return outbox.address(results, sender_ae, {})


@dataclass
class Bench:
    """A workshop with real ledger, spool and reports, in which single tools can be replaced."""

    house: House
    read: Callable[..., Reading] = nothing_ran
    write: Callable[[Reading, Stamp], tuple[Report, ...]] = COULD_NOT
    ledger: Any = None
    patience: Patience = PATIENCE
    readings: list[tuple[Study, Mapping[str, Role | None], Mapping[str, str]]] = field(default_factory=list)

    def workshop(self) -> Workshop:
        return Workshop(
            name="w1",
            ledger=self.ledger or self.house.ledger,
            spool=self.house.spool,
            read=self._read,
            write=self.write,
            address=held,
            maker=MAKER,
            patience=self.patience,
            clock=lambda: self.house.now,
        )

    def _read(self, study: Study, roles: Mapping[str, Role | None], entered: Mapping[str, str]) -> Reading:
        self.readings.append((study, roles, entered))
        return self.read(study, roles, entered)

    def gather(self, first: int = 1, last: int = 3) -> None:
        self.house.receive([ct(number) for number in range(first, last + 1)])
        file_arrivals(self.house.ledger, self.house.spool, Door(), self.house.now)

    def due(self, first: int = 1, last: int = 3) -> int:
        """A complete study; its job."""
        self.gather(first, last)
        (facts,) = self.house.ledger.gathering()
        self.house.ledger.complete(facts.edition_id, "quiet", "", self.house.now)
        return self.job()

    def job(self) -> int:
        (job,) = self.house.ledger.due_jobs(self.house.now, 16)
        return job.job_id

    def edition(self) -> Any:
        return self.house.ledger.study(STUDY).editions[-1]

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.house.folder.glob("spool/results/*/*")}


@pytest.fixture
def bench(house: House) -> Bench:
    return Bench(house)


def test_the_lines_to_add_for_held_results_name_the_address_of_the_sender(bench: Bench, quiet_log: StringIO) -> None:
    bench.workshop().run(bench.due())
    lines = [json.loads(line) for line in quiet_log.getvalue().splitlines()]
    (held_,) = [line for line in lines if line["event"] == "result-held"]
    assert 'host = "127.0.0.1"' in held_["remedy"]


def test_a_study_on_which_nothing_could_run_gets_the_report_that_says_why(bench: Bench) -> None:
    bench.workshop().run(bench.due())
    edition = bench.edition()
    assert edition.state == "refused"
    (result,) = edition.results
    assert result.kind == "could-not"
    assert [delivery.state for delivery in result.deliveries] == ["held"]
    stored = dcmread(bench.house.spool.result_path(edition.edition_id, result.name))
    assert stored.StudyInstanceUID == STUDY
    assert str(stored.PatientName) == "Doe^Jane"
    assert stored.SOPInstanceUID == result.sop_instance_uid
    summary = json.loads(edition.summary)
    assert "region of interest" in summary["reason"]
    assert list(summary["seconds"]) == ["open", "read", "write", "store"]


def test_the_whole_reading_runs_on_real_headers(bench: Bench) -> None:
    """These images have no pixels: the real reading refuses them by name and the report says so."""
    bench.read = lambda study, roles, entered: real_reading.read(study, (), entered_roles=roles, entered=entered)
    bench.workshop().run(bench.due())
    summary = json.loads(bench.edition().summary)
    assert bench.edition().state == "refused"
    assert summary["roles"] == {f"{STUDY}.1": "arterial"}
    assert summary["not_measured"]


def test_a_job_that_is_done_or_taken_is_left_alone(bench: Bench) -> None:
    job_id = bench.due()
    claim = bench.house.ledger.claim(job_id, "other", 60 * SECOND, bench.house.now)
    assert claim is not None
    bench.workshop().run(job_id)
    assert bench.readings == []
    bench.house.ledger.hand_back(claim.token, bench.house.now)
    bench.workshop().run(job_id)
    bench.workshop().run(job_id)
    assert len(bench.readings) == 1


def test_a_repeat_after_a_crash_leaves_one_set_of_results_byte_for_byte(bench: Bench) -> None:
    """The crash is between the files and the closing transaction: the worst moment."""
    job_id = bench.due()
    bench.ledger = DyingLedger(bench.house.ledger)
    with pytest.raises(Crash):
        bench.workshop().run(job_id)
    before = bench.files()
    bench.house.later(61 * SECOND)
    bench.house.ledger.requeue_expired(bench.house.now, 5)
    bench.ledger = None
    bench.workshop().run(job_id)
    assert bench.files() == before
    assert len(before) == 1
    assert len(bench.edition().results) == 1


class Crash(BaseException):
    """The process is gone."""


class DyingLedger:
    """A ledger whose process dies at the closing transaction."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def finish(self, *_: object) -> None:
        raise Crash


def test_a_worker_that_slept_through_its_lease_writes_nothing(bench: Bench) -> None:
    job_id = bench.due()

    def sleep_through(study: Study, *rest: Any) -> Reading:
        bench.house.later(61 * SECOND)
        bench.house.ledger.requeue_expired(bench.house.now, 5)
        other = bench.house.ledger.claim(job_id, "other", 60 * SECOND, bench.house.now)
        assert other is not None
        return nothing_ran(study, *rest)

    bench.read = sleep_through
    bench.patience = replace(PATIENCE, heartbeat=timedelta(hours=1))
    bench.workshop().run(job_id)
    edition = bench.edition()
    assert edition.state == "reading"
    assert edition.results == ()
    assert edition.jobs[0].worker == "other"


def test_a_worker_that_learns_of_its_lost_lease_stops_before_it_writes(bench: Bench) -> None:
    job_id = bench.due()
    written: list[Reading] = []
    bench.write = lambda reading, stamp: (written.append(reading), ())[1]

    def until_lost(study: Study, *rest: Any) -> Reading:
        bench.house.later(61 * SECOND)
        bench.house.ledger.requeue_expired(bench.house.now, 5)
        until(lambda: not any(t.name == "heartbeat" for t in threading.enumerate()), 10, "the heartbeat to end")
        return nothing_ran(study, *rest)

    bench.read = until_lost
    bench.workshop().run(job_id)
    assert written == []
    assert bench.edition().state == "due"


def test_the_lease_is_extended_while_the_work_goes_on(bench: Bench) -> None:
    job_id = bench.due()

    def outlast(study: Study, *rest: Any) -> Reading:
        for _ in range(3):
            bench.house.later(40 * SECOND)
            moment, beats = bench.house.now, ledger.beats
            until(lambda beats=beats: ledger.beats > beats + 1, 10, "a heartbeat")
            assert bench.house.ledger.requeue_expired(moment, 5) == ()
        return nothing_ran(study, *rest)

    ledger = CountingLedger(bench.house.ledger)
    bench.ledger, bench.read = ledger, outlast
    bench.workshop().run(job_id)
    assert bench.edition().state == "refused"


class CountingLedger:
    """A ledger that counts heartbeats."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.beats = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def heartbeat(self, *arguments: Any) -> bool:
        alive: bool = self._ledger.heartbeat(*arguments)
        self.beats += 1
        return alive


def test_a_heartbeat_outlives_a_ledger_that_is_away_for_a_moment() -> None:
    answers = iter([LedgerAway("restarting"), True, True, False])
    asked: list[object] = []

    def beat() -> bool:
        answer = next(answers)
        asked.append(answer)
        if isinstance(answer, LedgerAway):
            raise answer
        return bool(answer)

    with Heartbeat(beat, timedelta(milliseconds=1)) as heartbeat:
        until(lambda: len(asked) == 4, 10, "all beats")
        with pytest.raises(analyse.LeaseLost):
            until(lambda: heartbeat.check(), 10)


@pytest.mark.parametrize("error", [PeerAway("x"), OutOfSpace("disk full"), LedgerAway("y")])
def test_what_may_pass_is_tried_again_after_a_pause_that_grows(bench: Bench, error: Exception) -> None:
    def fail(*_: object) -> Reading:
        raise error

    job_id, bench.read = bench.due(), fail
    for pause in (5, 10, 20, 40, 80):
        bench.workshop().run(job_id)
        (job,) = bench.edition().jobs
        assert job.state == "due"
        assert job.due_at == bench.house.now + pause * SECOND
        bench.house.later(pause * SECOND)
    bench.read = nothing_ran
    bench.workshop().run(job_id)
    assert bench.edition().state == "refused"


def test_the_pause_grows_only_so_far() -> None:
    assert PATIENCE.pause(10**6) == timedelta(minutes=10)


def test_a_full_disk_is_waited_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    job_id = bench.due()
    with monkeypatch.context() as patch:
        patch.setattr(bench.house.spool, "write_result", full)
        bench.workshop().run(job_id)
    assert bench.edition().state == "due"
    bench.workshop().run(job_id)
    assert bench.edition().state == "refused"


def test_an_error_of_ours_is_tried_again_and_then_given_up_with_its_words(bench: Bench) -> None:
    def fail(*_: object) -> Reading:
        raise ZeroDivisionError("no slope")

    job_id, bench.read = bench.due(), fail
    for attempt in range(1, PATIENCE.attempts + 1):
        assert bench.edition().state == "due", attempt
        bench.workshop().run(job_id)
    edition = bench.edition()
    assert edition.state == "failed"
    assert "ZeroDivisionError: no slope" in edition.reason


def test_a_job_whose_time_is_up_is_tried_again(bench: Bench) -> None:
    def late(*_: object) -> Reading:
        raise TimeIsUp

    job_id, bench.read = bench.due(), late
    for _ in range(PATIENCE.attempts):
        assert bench.edition().state == "due"
        bench.workshop().run(job_id)
    assert "TimeIsUp" in bench.edition().reason


def test_a_study_refused_as_a_whole_gets_the_report_with_the_reason(bench: Bench) -> None:
    def refuse(*_: object) -> Reading:
        raise GantryTilt("series 1")

    job_id, bench.read = bench.due(), refuse
    bench.workshop().run(job_id)
    assert bench.edition().state == "refused"
    assert "gantry tilt" in json.loads(bench.edition().summary)["reason"]
    assert len(bench.edition().results) == 1


def test_conflicting_patients_that_slipped_through_are_refused_in_a_report(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = analyse.open_study

    def conflicting(paths: list[Path], *, met: bool = False) -> Study:
        if len(paths) > 1:
            raise analyse.ConflictingIdentity("PatientID differ")
        return really(paths, met=met)

    monkeypatch.setattr(analyse, "open_study", conflicting)
    bench.workshop().run(bench.due())
    assert bench.edition().state == "refused"
    assert "different patients" in json.loads(bench.edition().summary)["reason"]


def test_without_the_wish_for_a_report_the_refusal_stands_in_the_ledger_alone(bench: Bench) -> None:
    bench.write = partial(write, kinds=[ObjectKind.REPORT])
    bench.workshop().run(bench.due())
    assert bench.edition().state == "refused"
    assert bench.edition().results == ()
    assert bench.edition().reason


def test_a_disk_that_does_not_answer_makes_the_job_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(paths: list[Path], *, met: bool = False) -> Study:
        raise InstanceUnreadable("1.dcm") from OSError(5, "Input/output error")

    job_id = bench.due()
    monkeypatch.setattr(analyse, "open_study", silent)
    for _ in range(PATIENCE.attempts + 2):
        bench.workshop().run(job_id)
    assert bench.edition().state == "due"


def test_a_stored_object_that_is_lost_fails_the_edition_and_never_reads_a_part(bench: Bench) -> None:
    job_id = bench.due()
    next(bench.house.folder.glob("spool/incoming/*/2.dcm")).unlink()
    for _ in range(PATIENCE.attempts):
        bench.workshop().run(job_id)
    assert bench.readings == []
    assert bench.edition().state == "failed"


def test_a_process_that_is_told_to_end_hands_its_job_back_uncounted(bench: Bench) -> None:
    def told_to_end(*_: object) -> Reading:
        raise SystemExit(-15)

    job_id, bench.read = bench.due(), told_to_end
    with pytest.raises(SystemExit):
        bench.workshop().run(job_id)
    (job,) = bench.edition().jobs
    assert (job.state, job.attempts) == ("due", 0)
    assert bench.job() == job_id


def test_readers_words_reach_the_reading(bench: Bench) -> None:
    bench.gather()
    bench.house.ledger.enter(STUDY, "liver_metastasis", "1", bench.house.now)
    bench.house.ledger.enter(STUDY, f"role:{STUDY}.1", "portal", bench.house.now)
    (facts,) = bench.house.ledger.gathering()
    bench.house.ledger.complete(facts.edition_id, "command", "", bench.house.now)
    bench.workshop().run(bench.job())
    ((study, roles, entered),) = bench.readings
    assert len(study.instances) == 3
    assert roles == {f"{STUDY}.1": Role.PORTAL}
    assert entered == {"liver_metastasis": "1"}


def test_the_next_edition_names_its_predecessor_and_has_other_uids(bench: Bench) -> None:
    bench.workshop().run(bench.due())
    (first,) = bench.edition().results
    bench.house.later(timedelta(hours=1))
    bench.workshop().run(bench.due(4, 4))
    edition = bench.edition()
    (second,) = edition.results
    assert (edition.number, second.sop_instance_uid != first.sop_instance_uid) == (2, True)
    stored = dcmread(bench.house.spool.result_path(edition.edition_id, second.name))
    predecessor = stored.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == first.sop_instance_uid


def test_dates_inside_come_from_the_edition_and_not_from_the_clock(bench: Bench) -> None:
    job_id = bench.due()
    completed = bench.edition().completed_at
    bench.house.later(timedelta(days=3))
    bench.workshop().run(job_id)
    edition = bench.edition()
    stored = dcmread(bench.house.spool.result_path(edition.edition_id, edition.results[0].name))
    assert stored.ContentDate == f"{completed:%Y%m%d}"


def test_everything_that_shapes_a_reading_shapes_its_digest() -> None:
    edition = EditionInput(
        1, STUDY, 1, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "PACS", (), {}, {}, ()
    )
    others = [
        replace(edition, entered={"age": "60"}),
        replace(edition, entered_roles={"1.2": "portal"}),
        replace(edition, study_instance_uid="1.2.4"),
        replace(edition, set_aside=(("conflicting-identity", 2),)),
    ]
    digests = {input_hash(one, "shaping") for one in (edition, *others)} | {input_hash(edition, "other packages")}
    assert len(digests) == 6
    assert input_hash(replace(edition, edition_id=7), "shaping") == input_hash(edition, "shaping")


def test_a_summary_counts_refusals_by_reason(bench: Bench) -> None:
    def two_refusals(study: Study, *_: Any) -> Reading:
        reading = analyse.refused_reading(study, NoRoi())
        missing = NotMeasured(roi="", role=None, refused=RoleMissing("portal"))
        return replace(reading, not_measured=(*reading.not_measured, missing, missing))

    bench.read = two_refusals
    bench.workshop().run(bench.due())
    assert json.loads(bench.edition().summary)["not_measured"] == {"no-roi": 1, "role-missing": 2}


def test_objects_that_were_set_aside_are_told_in_the_report_and_the_summary(bench: Bench) -> None:
    bench.gather()
    bench.house.receive([ct(4, PatientID="SOMEBODY ELSE"), ct(5, PatientID="SOMEBODY ELSE")])
    job_id = bench.due()
    bench.workshop().run(job_id)
    edition = bench.edition()
    assert json.loads(edition.summary)["not_measured"]["conflicting-identity"] == 1  # one sentence for both objects
    stored = bench.house.spool.result_path(edition.edition_id, edition.results[0].name)
    assert b"2 objects were set aside" in stored.read_bytes()
