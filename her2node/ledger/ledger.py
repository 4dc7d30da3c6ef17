"""The ledger's face: every question and every step that other rooms may ask of it, each one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from her2node.ledger import (
    census,
    commands,
    confirmation,
    editions,
    events,
    facts,
    filing,
    jobs,
    leases,
    outcome,
    purge,
    reception,
    revision,
    sending,
    series,
    stories,
)
from her2node.ledger.database import connect, reading, writing
from her2node.ledger.records import (
    Arrival,
    AssociationEnded,
    AssociationOpened,
    Census,
    Claim,
    CompletedBy,
    DeliveryClaim,
    DueJob,
    EditionInput,
    Extent,
    Filing,
    FilingEffect,
    Gathering,
    Leaving,
    NewDelivery,
    NewResult,
    OpenedEdition,
    Outcome,
    RequeuedJob,
    SetAside,
    Taker,
    ToConfirm,
    UnclassifiedSeries,
    Unfiled,
)
from her2node.ledger.story_records import (
    SetAsideStory,
    StudyLine,
    StudyStory,
)


def open_ledger(url: str, backups: Path | None = None) -> Ledger:
    """Open the ledger at a SQLAlchemy URL, made or upgraded to this version's schema.

    An SQLite file is copied into ``backups`` (default: a folder beside it) before an upgrade. Open it after a fork,
    never before. Raises LedgerAway, and LedgerNewer when a newer version of the node wrote it.
    """
    engine = connect(url)
    with ExitStack() as on_failure:
        on_failure.callback(engine.dispose)
        if revision.current(engine) != revision.newest():
            from her2node.ledger.upgrade import upgrade  # here, for it brings in alembic: 11 MB in every process

            upgrade(engine, backups)
        on_failure.pop_all()
    return Ledger(engine)


class Ledger:
    """What is known of every study, instance, result and delivery.

    Safe for several threads and processes. Every method is one transaction; all may raise LedgerAway. ``now`` and all
    other times are aware datetimes.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    # --- receiver ------------------------------------------------------------------------------------------

    def take_in(
        self, opened: Sequence[AssociationOpened], arrivals: Sequence[Arrival], ended: Sequence[AssociationEnded]
    ) -> None:
        """Write down what came over the wire. Telling it twice changes nothing.

        The association of every arrival must be known: opened in this call or in an earlier one.
        """
        with writing(self._engine) as connection:
            reception.take_in(connection, opened, arrivals, ended)

    def taken_in(self, association_id: str) -> set[int]:
        """The numbers of an association's objects that the ledger knows."""
        with reading(self._engine) as connection:
            return reception.taken_in(connection, association_id)

    def end_lost(self, receiver: str, now: datetime) -> int:
        """End the associations that a dead receiver of this name left open as lost; how many."""
        with writing(self._engine) as connection:
            return reception.end_lost(connection, receiver, now)

    def end_silent(self, before: datetime, now: datetime) -> int:
        """End open associations that brought nothing since ``before`` as lost (their receiver never came back)."""
        with writing(self._engine) as connection:
            return reception.end_silent(connection, before, now)

    # --- leader: filing ------------------------------------------------------------------------------------

    def unfiled(self, limit: int) -> tuple[Unfiled, ...]:
        """Arrivals whose header nobody has read yet, in order of arrival."""
        with reading(self._engine) as connection:
            return reception.unfiled(connection, limit)

    def file(self, filings: Sequence[Filing | SetAside], now: datetime) -> FilingEffect:
        """Decide what each arrival is: part of a study, a duplicate, our own result, or set aside.

        Our own result and a duplicate start nothing. A new object joins the study's gathering edition or opens the
        next one. Set aside, besides those given so: another object under a known SOP Instance UID
        (``conflicting-duplicate``), another patient in the study (``conflicting-identity``), another SOP Instance or
        Class UID in the header than in the C-STORE request (``mismatched-uid``). Filing twice changes nothing.
        """
        with writing(self._engine) as connection:
            return filing.file(connection, filings, now)

    def unclassified(self, limit: int, unchanged_since: datetime | None = None) -> tuple[UnclassifiedSeries, ...]:
        """Series that changed since they were classified.

        ``unchanged_since`` leaves out those that changed later: a series that is just arriving need not be read anew
        at every tick.
        """
        with reading(self._engine) as connection:
            return series.unclassified(connection, limit, unchanged_since)

    def classify(
        self,
        series_id: int,
        role: str | None,
        evidence: Sequence[str],
        extent: Extent | None,
        refused: str | None,
        revision: int,
        anew: Collection[int] = (),
    ) -> None:
        """Note the role of a series as it was at ``revision``; if it changed since, it stays unclassified.

        ``anew``: other series of the study that are to be classified again, for this one tells more of them.
        """
        with writing(self._engine) as connection:
            series.classify(connection, series_id, role, evidence, extent, refused, revision)
            if anew:
                series.judge_anew(connection, anew)

    # --- leader: completion --------------------------------------------------------------------------------

    def gathering(self, sender_ae: str | None = None) -> tuple[Gathering, ...]:
        """The facts of every edition that is not complete, or of those whose study this AE title sent."""
        with reading(self._engine) as connection:
            return facts.gathering(connection, sender_ae)

    def note_waiting(self, edition_id: int, sentence: str) -> None:
        """What a gathering edition waits for, for ``status``; write it when it changes."""
        with writing(self._engine) as connection:
            editions.note_waiting(connection, edition_id, sentence)

    def complete(self, edition_id: int, how: CompletedBy, evidence: str, now: datetime) -> bool:
        """Close an edition and make its analysis due. False when it was no longer gathering."""
        with writing(self._engine) as connection:
            return editions.complete(connection, edition_id, how, evidence, now)

    # --- leader: dispatch ----------------------------------------------------------------------------------

    def due_jobs(self, now: datetime, window: int) -> tuple[DueJob, ...]:
        """Due jobs to send, so that at most ``window`` are in the queue.

        Those sent before whose ``sent_until`` has not passed count as being there. A job waits until the earlier
        editions of its study are done.
        """
        with reading(self._engine) as connection:
            return jobs.due(connection, now, window)

    def mark_sent(self, job_id: int, until: datetime, now: datetime) -> None:
        """Write before sending: the job is in the queue and is not sent again before ``until``."""
        with writing(self._engine) as connection:
            jobs.mark_sent(connection, job_id, until, now)

    def requeue_expired(self, now: datetime, attempts: int) -> tuple[RequeuedJob, ...]:
        """Give jobs whose lease ended back, and give up those that have had ``attempts``."""
        with writing(self._engine) as connection:
            return jobs.requeue_expired(connection, now, attempts)

    # --- worker --------------------------------------------------------------------------------------------

    def claim(self, job_id: int, worker: str, lease: timedelta, now: datetime) -> Claim | None:
        """Make a due job ours, or None: somebody else has it or it is done."""
        with writing(self._engine) as connection:
            return jobs.claim(connection, job_id, worker, lease, now)

    def heartbeat(self, token: str, lease: timedelta, now: datetime) -> bool:
        """Extend the lease. False: the job is no longer ours, stop working on it."""
        with writing(self._engine) as connection:
            return jobs.heartbeat(connection, token, lease, now)

    def snapshot(self, edition_id: int) -> EditionInput:
        """What a complete edition is made of. Raises NotFound."""
        with reading(self._engine) as connection:
            return editions.snapshot(connection, edition_id)

    def finish(
        self,
        token: str,
        how: Outcome,
        summary: str,
        results: Sequence[NewResult],
        deliveries: Sequence[NewDelivery],
        now: datetime,
    ) -> None:
        """Write the outcome of an edition: results, deliveries, states and event at once. Raises LeaseLost.

        ``summary`` is JSON; of its keys the ledger reads ``reason`` alone (a sentence for ``status``).
        """
        with writing(self._engine) as connection:
            outcome.finish(connection, token, how, summary, results, deliveries, now)

    def retry(self, token: str, error: str, due_at: datetime, now: datetime) -> None:
        """Give a job back to be tried again from ``due_at`` on. Raises LeaseLost."""
        with writing(self._engine) as connection:
            jobs.retry(connection, token, error, due_at, now)

    def hand_back(self, token: str, now: datetime) -> None:
        """Give a job back undone because this process stops; it does not count as an attempt. Raises LeaseLost."""
        with writing(self._engine) as connection:
            jobs.hand_back(connection, token, now)

    def give_up(self, token: str, error: str, now: datetime) -> None:
        """Fail a job and its edition for good. Raises LeaseLost."""
        with writing(self._engine) as connection:
            jobs.give_up(connection, token, error, now)

    # --- courier -------------------------------------------------------------------------------------------

    def claim_deliveries(
        self,
        worker: str,
        lease: timedelta,
        now: datetime,
        limit: int,
        to: Collection[str] | None = None,
        not_to: Collection[str] = (),
    ) -> tuple[DeliveryClaim, ...]:
        """Make due deliveries ours: at most ``limit`` claims, each all that is due of one edition to one destination.

        ``to`` and ``not_to`` name the destinations that are meant; all without them. Deliveries whose lease ended are
        due again first.
        """
        with writing(self._engine) as connection:
            return sending.claim(connection, worker, lease, now, limit, to, not_to)

    def extend_deliveries(self, token: str, lease: timedelta, now: datetime) -> bool:
        """Extend the lease of what is left of a claim. False: nothing of it is ours any more."""
        with writing(self._engine) as connection:
            return sending.extend(connection, token, lease, now)

    def delivered(self, token: str, delivery_ids: Sequence[int], now: datetime) -> None:
        """The peer answered with Success (or a warning). Raises LeaseLost when any was not ours."""
        with writing(self._engine) as connection:
            sending.delivered(connection, token, delivery_ids, now)

    def postponed(self, token: str, delivery_ids: Sequence[int], error: str, due_at: datetime, now: datetime) -> None:
        """Not now: try again from ``due_at`` on. Raises LeaseLost when any was not ours."""
        with writing(self._engine) as connection:
            sending.postponed(connection, token, delivery_ids, error, due_at, now)

    def refused(self, token: str, delivery_ids: Sequence[int], reason: str, now: datetime) -> None:
        """The peer refused for good; what waits as a fallback there becomes due. Raises LeaseLost."""
        with writing(self._engine) as connection:
            sending.refused(connection, token, delivery_ids, reason, now)

    def to_confirm(self, destinations: Collection[str], now: datetime, limit: int) -> tuple[ToConfirm, ...]:
        """Objects sent to ``destinations`` that the peer shall be asked for now, by destination and study."""
        with reading(self._engine) as connection:
            return confirmation.to_confirm(connection, destinations, now, limit)

    def confirmed(self, delivery_ids: Sequence[int], now: datetime) -> int:
        """The peer was asked and has them; how many were confirmed by this call."""
        with writing(self._engine) as connection:
            return confirmation.confirmed(connection, delivery_ids, now)

    def ask_again(self, delivery_ids: Sequence[int], ask_at: datetime) -> None:
        """The peer was asked in vain: ask again from ``ask_at`` on."""
        with writing(self._engine) as connection:
            confirmation.ask_again(connection, delivery_ids, ask_at)

    def ask_later(self, delivery_ids: Sequence[int], ask_at: datetime) -> None:
        """The peer gave no answer: ask from ``ask_at`` on; no question is counted."""
        with writing(self._engine) as connection:
            confirmation.ask_later(connection, delivery_ids, ask_at)

    def unconfirmed(self, delivery_ids: Sequence[int], reason: str, now: datetime) -> None:
        """The peer was asked often enough and shows nothing: ask no more; the deliveries stay sent."""
        with writing(self._engine) as connection:
            confirmation.unconfirmed(connection, delivery_ids, reason, now)

    def missing(self, delivery_ids: Sequence[int], reason: str, due_at: datetime, now: datetime) -> int:
        """The peer was asked and has lost them: send again from ``due_at`` on; how many."""
        with writing(self._engine) as connection:
            return confirmation.missing(connection, delivery_ids, reason, due_at, now)

    def note_census(self, study_instance_uid: str, answer: Census) -> None:
        """What the sender of a study said it has; an answer to a later question is never undone."""
        with writing(self._engine) as connection:
            census.note(connection, study_instance_uid, answer)

    def release_held(self, peers: Mapping[str, Taker], now: datetime) -> int:
        """Make held deliveries due whose AE title is now that of a peer; how many. ``peers``: by AE title.

        Kinds that the peer does not receive expire.
        """
        with writing(self._engine) as connection:
            return sending.release_held(connection, peers, now)

    # --- commands ------------------------------------------------------------------------------------------

    def enter(self, study_instance_uid: str, name: str, value: str, now: datetime) -> OpenedEdition:
        """Note what only a reader knows (empty takes it back); joins the gathering edition or opens one.

        ``role:SERIES_INSTANCE_UID`` names the role of a series. Raises NotFound.
        """
        return self.enter_all(study_instance_uid, {name: value}, now)

    def enter_all(self, study_instance_uid: str, entries: Mapping[str, str], now: datetime) -> OpenedEdition:
        """``enter`` for several names at once: all of them or, when NotFound is raised, none."""
        with writing(self._engine) as connection:
            return commands.enter(connection, study_instance_uid, entries, now)

    def rerun(self, study_instance_uid: str, now: datetime) -> OpenedEdition:
        """Read the study again: a new edition, complete at once unless something is being delivered to the study.

        An edition that is still gathering is completed instead. Raises NotFound.
        """
        with writing(self._engine) as connection:
            return commands.rerun(connection, study_instance_uid, now)

    def resend(self, study_instance_uid: str, now: datetime) -> int:
        """Make the deliveries of the latest edition with results due again; how many. Raises NotFound."""
        with writing(self._engine) as connection:
            return commands.resend(connection, study_instance_uid, now)

    def addresses(self, ae_titles: Collection[str]) -> dict[str, str]:
        """AE title to the address from which it called last, as far as that is still known."""
        with reading(self._engine) as connection:
            return reception.addresses(connection, ae_titles)

    def studies(self, limit: int = 1000) -> tuple[StudyLine, ...]:
        """Every study on one line, the latest change first."""
        with reading(self._engine) as connection:
            return stories.lines(connection, limit)

    def summaries(self, limit: int = 1000) -> tuple[str, ...]:
        """What was told of each study's latest reading (JSON), the latest first."""
        with reading(self._engine) as connection:
            return stories.summaries(connection, limit)

    def study(self, study_instance_uid: str) -> StudyStory:
        """Everything the ledger knows of a study. Raises NotFound."""
        with reading(self._engine) as connection:
            return stories.story(connection, study_instance_uid)

    def set_aside(self, limit: int = 1000) -> tuple[SetAsideStory, ...]:
        """Objects that are kept aside, those without a readable study among them; the latest first."""
        with reading(self._engine) as connection:
            return stories.set_aside(connection, limit)

    def event(
        self, kind: str, now: datetime, study_uid: str | None = None, edition_id: int | None = None, detail: str = ""
    ) -> None:
        """Note something that happened, for the story of a study."""
        with writing(self._engine) as connection:
            events.note(connection, kind, now, study_uid=study_uid, edition_id=edition_id, detail=detail)

    # --- housekeeping --------------------------------------------------------------------------------------

    def hold(self, name: str, holder: str, lease: timedelta, now: datetime) -> bool:
        """Take or extend a named lease (the leader's). False: another holds it."""
        with writing(self._engine) as connection:
            return leases.hold(connection, name, holder, lease, now)

    def let_go(self, name: str, holder: str) -> None:
        """Give a named lease back, if it is ours."""
        with writing(self._engine) as connection:
            leases.let_go(connection, name, holder)

    def purge(self, before: datetime, set_aside_before: datetime, now: datetime, limit: int) -> Leaving:
        """What is to be removed from the spool now, at most ``limit`` objects; call until it is empty.

        Studies unchanged since ``before`` with nothing under way leave, their undelivered results expire, and objects
        set aside before ``set_aside_before`` leave. Files of duplicates and of our own results routed back go at
        once. Nothing that left belongs to a later edition. Remove the files, then call ``forget``: what was not
        forgotten is named again.
        """
        with writing(self._engine) as connection:
            return purge.purge(connection, before, set_aside_before, now, limit)

    def forget(self, leaving: Leaving, now: datetime) -> None:
        """The files are gone: drop the rows of the objects. Editions and results stay known by their UIDs."""
        with writing(self._engine) as connection:
            purge.forget(connection, leaving, now)
