"""The way of a study through the ledger, in few words, so that a test can begin where its subject begins."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from her2node.dicom.identity import InstanceIdentity
from her2node.ledger import Ledger
from her2node.ledger.records import (
    Arrival,
    AssociationEnd,
    AssociationEnded,
    AssociationOpened,
    Claim,
    DeliveryClaim,
    Filing,
    FilingEffect,
    NewDelivery,
    NewResult,
    Unfiled,
)

START = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=60)

CT = "1.2.840.10008.5.1.4.1.1.2"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SR = "1.2.840.10008.5.1.4.1.1.88.34"


@dataclass(frozen=True)
class Sent:
    """An object as a peer sends it. Equal ``content`` means equal bytes."""

    uid: str
    study: str = "1.2.3"
    series: str = "1.2.3.1"
    sop_class: str = CT
    modality: str = "CT"
    patient: str = "P1"
    content: str = ""
    sex: str = ""

    def filing(self, instance_id: int) -> Filing:
        identity = InstanceIdentity(
            sop_class_uid=self.sop_class,
            sop_instance_uid=self.uid,
            series_instance_uid=self.series,
            study_instance_uid=self.study,
            patient_id=self.patient,
            issuer_of_patient_id="",
            patient_birth_date="",
            patient_sex=self.sex,
        )
        return Filing(instance_id, identity, self.modality, 2, "abdomen", f"digest of {self.uid} {self.content}")


def slices(count: int, study: str = "1.2.3", series: str | None = None, first: int = 1, **how: Any) -> list[Sent]:
    """``count`` images of one series."""
    series = series or f"{study}.1"
    return [Sent(f"{series}.{number}", study, series, **how) for number in range(first, first + count)]


@dataclass
class Way:
    """Moves studies along, with a clock that moves by hand."""

    ledger: Ledger
    now: datetime = START
    objects: dict[tuple[str, int], Sent] = field(default_factory=dict)
    _names: Any = field(default_factory=lambda: itertools.count(1))

    def later(self, by: timedelta) -> datetime:
        self.now += by
        return self.now

    def open(self, calling_ae: str = "PACS", receiver: str = "receive-1", address: str = "192.0.2.1") -> str:
        """Open an association; its id."""
        name = f"a{next(self._names):04d}"
        opened = AssociationOpened(name, calling_ae, "HER2NODE", address, self.now, receiver)
        self.ledger.take_in([opened], [], [])
        return name

    def store(self, association: str, sent: Sequence[Sent], requested: str | None = None) -> list[Arrival]:
        """Objects that were answered with Success."""
        known = max((number for name, number in self.objects if name == association), default=0)
        arrivals = []
        for number, item in enumerate(sent, known + 1):
            self.objects[association, number] = item
            uid = requested or item.uid
            arrivals.append(Arrival(association, number, item.sop_class, uid, "1.2.840.10008.1.2.1", 1000, self.now))
        self.ledger.take_in([], arrivals, [])
        return arrivals

    def end(self, association: str, how: AssociationEnd = "released") -> None:
        self.ledger.take_in([], [], [AssociationEnded(association, self.now, how, 0)])

    def send(
        self,
        sent: Sequence[Sent],
        calling_ae: str = "PACS",
        how: AssociationEnd = "released",
        address: str = "192.0.2.1",
    ) -> str:
        """One association that brings all of it and ends."""
        association = self.open(calling_ae, address=address)
        self.store(association, sent)
        self.end(association, how)
        return association

    def filings(self, limit: int = 10_000) -> list[Filing]:
        return [self.read_header(item) for item in self.ledger.unfiled(limit)]

    def read_header(self, item: Unfiled) -> Filing:
        return self.objects[item.association_id, item.number].filing(item.instance_id)

    def file(self, limit: int = 10_000) -> FilingEffect:
        return self.ledger.file(self.filings(limit), self.now)

    def gather(self, sent: Sequence[Sent], calling_ae: str = "PACS") -> int:
        """Send and file; the id of the gathering edition."""
        self.send(sent, calling_ae)
        self.file()
        return next(item.edition_id for item in self.ledger.gathering() if item.study_instance_uid == sent[0].study)

    def complete(self, sent: Sequence[Sent] = (), calling_ae: str = "PACS") -> int:
        """Send, file and complete; the edition's id."""
        edition_id = self.gather(sent or slices(3), calling_ae)
        assert self.ledger.complete(edition_id, "quiet", "nothing came for 60 s", self.now)
        return edition_id

    def due_job(self) -> int:
        (job,) = self.ledger.due_jobs(self.now, 16)
        return job.job_id

    def claim(self, worker: str = "w1") -> Claim:
        claim = self.ledger.claim(self.due_job(), worker, LEASE, self.now)
        assert claim is not None
        return claim

    def read(self, results: Sequence[NewResult], deliveries: Sequence[NewDelivery], sent: Sequence[Sent] = ()) -> int:
        """A study all the way to its outcome; the edition's id."""
        edition_id = self.complete(sent)
        self.ledger.finish(self.claim().token, "read", "{}", results, deliveries, self.now)
        return edition_id

    def courier(self, worker: str = "c1") -> DeliveryClaim:
        (claim,) = self.ledger.claim_deliveries(worker, LEASE, self.now, 1)
        return claim

    def states(self, study: str = "1.2.3") -> dict[tuple[str, str | None], str]:
        """(kind, destination) to delivery state, of the latest edition."""
        edition = self.ledger.study(study).editions[-1]
        return {(item.kind, to.destination): to.state for item in edition.results for to in item.deliveries}


def result(uid: str, kind: str = "report", sop_class: str = SR) -> NewResult:
    return NewResult(kind, sop_class, uid, f"{uid}.0", 2000, "0" * 64, uid)


def deliver(uid: str, to: str | None = "pacs", ae: str = "PACS", fallback_for: str | None = None) -> NewDelivery:
    return NewDelivery(uid, to, ae, fallback_for)
