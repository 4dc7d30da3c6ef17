"""One job: claim, read, write, address, finish.

Every outcome is a value: ``Done``, ``Again`` or ``GiveUp``. Results are written to the spool before the ledger knows
of them, under UIDs that follow from what shapes them, so a job that ran twice left one set of results. The closing
transaction is fenced by the claim's token: a worker that lost its lease writes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Any

from her2node.errors import (
    ConflictingDuplicate,
    ConflictingIdentity,
    EmptyStudy,
    Her2nodeError,
    InstanceUnreadable,
    LeaseLost,
    MismatchedUid,
    MixedStudies,
    OutOfSpace,
    Refused,
    SpoolAway,
    TimeIsUp,
    Transient,
)
from her2node.jobs.classify import entered_roles
from her2node.jobs.filing import disk_is_silent
from her2node.jobs.heartbeat import Heartbeat
from her2node.jobs.story import Seconds, held_for, summary_of, tell_held, tell_outcome
from her2node.ledger import Ledger
from her2node.ledger.records import Claim, EditionInput, NewDelivery, NewResult, Outcome
from her2node.log import Event, emit, emit_exception
from her2node.quantities.quantity import NotMeasured
from her2node.reading import Reading
from her2node.reports.report import ObjectKind, Predecessor, Report, Stamp
from her2node.reports.wording import ran
from her2node.selection.roles import Role
from her2node.selection.study import Study, open_study
from her2node.spool import Spool

Read = Callable[[Study, Mapping[str, Role | None], Mapping[str, str]], Reading]
"""``reading.read`` with everything but the study, the entered roles and the entered values."""
Write = Callable[[Reading, Stamp], tuple[Report, ...]]
"""``reports.write`` with the kinds of objects that the site wants."""
Address = Callable[[tuple[NewResult, ...], str], tuple[NewDelivery, ...]]
"""``delivery.outbox.address`` with the peers: results and the sender's AE title to deliveries."""


@dataclass(frozen=True)
class Maker:
    """Who makes the results. ``shaping`` is a digest of all settings and packages that shape them."""

    version: str
    device_uid: str
    site: str
    ae_title: str
    shaping: str
    zone: tzinfo | None = None
    """The zone of dates and times in the results; None: that of the machine."""


@dataclass(frozen=True)
class Patience:
    """How long a claim lasts without a sign, how often the sign is given, and when a failed job comes again."""

    lease: timedelta
    heartbeat: timedelta
    attempts: int
    first_pause: timedelta = timedelta(seconds=5)
    longest_pause: timedelta = timedelta(minutes=10)

    def pause(self, attempts: int) -> timedelta:
        """The pause after ``attempts`` attempts: it doubles every time."""
        doubled: timedelta = self.first_pause * 2 ** min(attempts - 1, 20)
        return min(doubled, self.longest_pause)


@dataclass(frozen=True)
class Done:
    """The edition has its answer."""

    how: Outcome
    summary: Mapping[str, Any]
    results: tuple[NewResult, ...]
    deliveries: tuple[NewDelivery, ...]


@dataclass(frozen=True)
class Again:
    """Not now, but after a pause."""

    error: str


@dataclass(frozen=True)
class GiveUp:
    """Never."""

    error: str


@dataclass(frozen=True)
class Workshop:
    """What a worker process works with. Built once in each process, after the fork."""

    name: str
    ledger: Ledger
    spool: Spool
    read: Read
    write: Write
    address: Address
    maker: Maker
    patience: Patience
    clock: Callable[[], datetime]

    def run(self, job_id: int) -> None:
        """Do a job, if it is still to be done. Raises LedgerAway."""
        claim = self.ledger.claim(job_id, self.name, self.patience.lease, self.clock())
        if claim is None:
            return
        try:
            with Heartbeat(partial(self._beat, claim), self.patience.heartbeat) as heartbeat:
                outcome = self._attempt(claim, heartbeat)
            self._close(claim, outcome)
        except LeaseLost:
            emit(
                Event.JOB_RETRIED, study=claim.study_instance_uid, job=claim.job_id, error="another worker took it over"
            )
        except SystemExit:  # the pool wants this process to end
            with suppress(Transient):
                self.ledger.hand_back(claim.token, self.clock())
            raise

    def _beat(self, claim: Claim) -> bool:
        return self.ledger.heartbeat(claim.token, self.patience.lease, self.clock())

    def _attempt(self, claim: Claim, heartbeat: Heartbeat) -> Done | Again | GiveUp:
        """Analyse. The one place where errors of an analysis become an outcome."""
        try:
            return self._analyse(claim, heartbeat)
        except LeaseLost:
            raise
        except Transient as error:
            return Again(str(error))
        except (Exception, TimeIsUp) as error:  # noqa: BLE001 - the door of an analysis: whatever it is, the ledger must know
            emit_exception(error, study=claim.study_instance_uid, job=claim.job_id)
            words = str(error) if isinstance(error, Her2nodeError) else f"{type(error).__name__}: {error}".rstrip(": ")
            return GiveUp(words) if claim.attempts >= self.patience.attempts else Again(words)

    def _analyse(self, claim: Claim, heartbeat: Heartbeat) -> Done:
        edition = self.ledger.snapshot(claim.edition_id)
        seconds = Seconds()
        try:
            reading = with_set_aside(self._reading(edition, seconds), edition.set_aside)
        except EmptyStudy as error:  # nobody to write a report about
            summary = {"reason": str(error), "edition": edition.number, "seconds": seconds.spent}
            return Done("refused", summary, (), ())
        heartbeat.check()
        with seconds.of("write"):
            reports = self.write(reading, self._stamp(edition))
        with seconds.of("store"):
            results = tuple(self._store(edition, report) for report in reports)
        heartbeat.check()
        how: Outcome = "read" if ran(reading) else "refused"
        deliveries = self.address(results, edition.sender_ae)
        return Done(
            how, summary_of(reading, edition.number, len(edition.instances), seconds.spent), results, deliveries
        )

    def _reading(self, edition: EditionInput, seconds: Seconds) -> Reading:
        """What the node finds; a study that is refused as a whole is a reading with nothing but the reason."""
        places = [instance.place for instance in edition.instances]
        paths = [self.spool.path_of(place.association_id, place.number) for place in places]
        try:
            with seconds.of("open"):
                study = open_study(paths, met=True)  # filing opened them before
        except (ConflictingIdentity, MixedStudies) as error:
            return refused_reading(open_study(paths[:1], met=True), error)
        except InstanceUnreadable as error:
            if disk_is_silent(error):
                raise SpoolAway(error.detail) from error
            raise
        try:
            with seconds.of("read"):
                return self.read(study, entered_roles(edition.entered_roles), edition.entered)
        except Refused as error:
            return refused_reading(study, error)

    def _stamp(self, edition: EditionInput) -> Stamp:
        return Stamp(
            edition=edition.number,
            moment=edition.completed_at.astimezone(self.maker.zone),
            version=self.maker.version,
            device_uid=self.maker.device_uid,
            site=self.maker.site,
            ae_title=self.maker.ae_title,
            input_hash=input_hash(edition, self.maker.shaping),
            predecessors=tuple(
                Predecessor(ObjectKind(p.kind), p.sop_class_uid, p.sop_instance_uid, p.series_instance_uid)
                for p in edition.predecessor
            ),
        )

    def _store(self, edition: EditionInput, report: Report) -> NewResult:
        content = report.content()
        try:
            self.spool.write_result(edition.edition_id, report.sop_instance_uid, content)
        except OSError as error:
            raise OutOfSpace(str(error)) from error
        return NewResult(
            kind=report.kind.value,
            sop_class_uid=report.sop_class_uid,
            sop_instance_uid=report.sop_instance_uid,
            series_instance_uid=report.series_instance_uid,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            name=report.sop_instance_uid,
        )

    def _close(self, claim: Claim, outcome: Done | Again | GiveUp) -> None:
        now = self.clock()
        match outcome:
            case Done():
                summary = json.dumps(outcome.summary, ensure_ascii=False)
                self.ledger.finish(claim.token, outcome.how, summary, outcome.results, outcome.deliveries, now)
                tell_outcome(claim, outcome.how, outcome.summary, outcome.results)
                if held := held_for(outcome.deliveries):
                    tell_held(claim.study_instance_uid, held, self.ledger.addresses(held))
            case Again():
                pause = self.patience.pause(claim.attempts)
                self.ledger.retry(claim.token, outcome.error, now + pause, now)
                emit(
                    Event.JOB_RETRIED,
                    study=claim.study_instance_uid,
                    job=claim.job_id,
                    attempts=claim.attempts,
                    again_in_s=pause.total_seconds(),
                )
            case GiveUp():
                self.ledger.give_up(claim.token, outcome.error, now)
                emit(Event.EDITION_FAILED, study=claim.study_instance_uid, job=claim.job_id, attempts=claim.attempts)


def refused_reading(study: Study, error: Refused) -> Reading:
    """A reading of a study that is refused as a whole: nothing but the reason."""
    return Reading(
        study=study,
        assignments=(),
        measured=(),
        rois=(),
        tumour=None,
        quantities=(),
        not_measured=(NotMeasured(roi="", role=None, refused=error),),
        predictions=(),
        not_predicted=(),
    )


def with_set_aside(reading: Reading, set_aside: Sequence[tuple[str, int]]) -> Reading:
    """A reading that says which objects of its study it left out. ``set_aside``: (reason, count)."""
    left_out = tuple(NotMeasured(roi="", role=None, refused=_left_out(*item)) for item in set_aside)
    return replace(reading, not_measured=(*reading.not_measured, *left_out))


def _left_out(reason: str, count: int) -> Refused:
    objects = "1 object was" if count == 1 else f"{count} objects were"
    known = {kind().reason: kind for kind in (ConflictingDuplicate, ConflictingIdentity, MismatchedUid)}
    return known[reason](f"{objects} set aside") if reason in known else Refused(f"{objects} set aside: {reason}")


def input_hash(edition: EditionInput, shaping: str) -> str:
    """SHA-256 (hex) of all that shapes a reading beside the software: objects, entered values and roles,
    what was set aside, settings.
    """
    shapes = {
        "study": edition.study_instance_uid,
        "objects": sorted(instance.sop_instance_uid for instance in edition.instances),
        "entered": dict(edition.entered),
        "roles": dict(edition.entered_roles),
        "set_aside": edition.set_aside,
        "shaping": shaping,
    }
    return hashlib.sha256(json.dumps(shapes, sort_keys=True).encode()).hexdigest()
