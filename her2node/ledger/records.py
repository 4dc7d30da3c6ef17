"""What crosses the ledger's door: frozen records in the order of a study's way.

Times are aware datetimes in UTC. UIDs are text. ``token`` is the fresh secret of one claim: whoever holds it may
write, and a claim that another process took over has another token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from her2node.dicom.identity import InstanceIdentity

AssociationEnd = Literal["released", "aborted", "lost"]
CompletedBy = Literal["content", "quiet", "patience", "command"]
OpenedBy = Literal["images", "entered", "command"]
Outcome = Literal["read", "refused"]
Extent = tuple[float, float]
"""Where a series begins and ends along its normal, in mm."""


# --- reception ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AssociationOpened:
    """A peer opened an association; ``receiver`` names the receiving process so that a successor can end it."""

    association_id: str
    calling_ae: str
    called_ae: str
    address: str
    opened_at: datetime
    receiver: str


@dataclass(frozen=True)
class Arrival:
    """An object that was answered with Success: it lies in the spool at (association_id, number)."""

    association_id: str
    number: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    size: int
    received_at: datetime


@dataclass(frozen=True)
class AssociationEnded:
    """An association ended; ``instances`` were answered with Success."""

    association_id: str
    ended_at: datetime
    how: AssociationEnd
    instances: int


@dataclass(frozen=True, order=True)
class SpoolPlace:
    """Where an object lies in the spool."""

    association_id: str
    number: int


# --- filing ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unfiled:
    """An arrival whose header nobody has read yet."""

    instance_id: int
    association_id: str
    number: int
    sop_class_uid: str
    sop_instance_uid: str
    calling_ae: str
    received_at: datetime


@dataclass(frozen=True)
class Filing:
    """What the header of an arrival says. ``digest`` is the SHA-256 (hex) of the data set bytes after the file meta."""

    instance_id: int
    identity: InstanceIdentity
    modality: str
    series_number: int | None
    series_description: str
    digest: str


@dataclass(frozen=True)
class SetAside:
    """An arrival that cannot be used: ``reason`` in kebab case (``Refused.reason``), ``detail`` without names."""

    instance_id: int
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class OpenedEdition:
    """An edition that something new opened."""

    edition_id: int
    study_instance_uid: str
    number: int


@dataclass(frozen=True)
class FilingEffect:
    """What a batch of filings did. Instances that were filed before are in none of the counts."""

    filed: int
    duplicates: int
    own: int
    aside: tuple[SetAside, ...]
    opened: tuple[OpenedEdition, ...]


@dataclass(frozen=True)
class UnclassifiedSeries:
    """A series that changed since it was classified. Hand ``revision`` back to ``classify``."""

    series_id: int
    study_instance_uid: str
    series_instance_uid: str
    modality: str
    revision: int
    places: tuple[SpoolPlace, ...]
    entered_roles: Mapping[str, str]
    """SeriesInstanceUID to role, as entered by a reader for this study."""
    changed_at: datetime


# --- completion --------------------------------------------------------------------------------------------


JOINT = " + "
"""Between the roles of a series that packs several phases."""


@dataclass(frozen=True)
class SeriesFacts:
    """What completion needs to know of a series. ``classified``: the role is that of all its present instances."""

    series_instance_uid: str
    modality: str
    role: str | None
    extent: Extent | None
    refused: str | None
    instances: int
    classified: bool = True

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role that the series plays: several where it packs several phases."""
        return tuple(self.role.split(JOINT)) if self.role else ()


@dataclass(frozen=True)
class OpenAssociation:
    """An open association that brought objects of the study.

    ``last_at``: its last object of this study; ``moved_on``: after that it brought objects of other studies.
    """

    association_id: str
    calling_ae: str
    last_at: datetime
    moved_on: bool = False


@dataclass(frozen=True)
class SeriesCount:
    """A series that the sender of a study has. ``modality`` is '' and ``objects`` None where it does not say."""

    series_instance_uid: str
    modality: str
    objects: int | None


@dataclass(frozen=True)
class Census:
    """What the sender of a study answered when it was asked at ``asked_at`` how many objects it has of it.

    ``silence`` says why there is no answer, '' where there is one. ``vain`` counts the questions without an answer in
    a row, and ``again_at`` is when to ask again although nothing came since (None: not before something comes).
    """

    asked_at: datetime
    series: tuple[SeriesCount, ...] = ()
    objects: int | None = None
    silence: str = ""
    vain: int = 0
    again_at: datetime | None = None


@dataclass(frozen=True)
class Gathering:
    """All facts on which the completion of an edition is judged.

    ``first_at`` is the first and ``last_at`` the last thing that came for this edition (object, duplicate or entered
    value). ``aborted``: associations that brought objects of this edition, broke off, and nothing was sent again
    since. ``filed_until``: everything that arrived before it is filed; None when nothing waits to be filed.
    """

    edition_id: int
    study_instance_uid: str
    number: int
    first_at: datetime
    last_at: datetime
    series: tuple[SeriesFacts, ...]
    delivering: tuple[OpenAssociation, ...] = ()
    aborted: tuple[str, ...] = ()
    filed_until: datetime | None = None
    entered: Mapping[str, str] = field(default_factory=dict)
    noted: str = ""
    """What ``note_waiting`` noted last."""
    sender_ae: str = ""
    census: Census | None = None
    own_series: Mapping[str, int] = field(default_factory=dict)
    """The series of the node's own results in this study, with the number of objects of each."""

    @property
    def modalities(self) -> frozenset[str]:
        """The modalities of its series."""
        return frozenset(series.modality for series in self.series)

    @property
    def unclassified(self) -> int:
        """How many of its series changed since they were classified."""
        return sum(not series.classified for series in self.series)

    def known_until(self, now: datetime) -> datetime:
        """How far time runs for this edition: what arrived but is not filed yet may belong to it."""
        return min(now, self.filed_until) if self.filed_until else now


# --- jobs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DueJob:
    """A job that wants a worker."""

    job_id: int
    kind: str
    edition_id: int


@dataclass(frozen=True)
class Claim:
    """A job that is ours until the lease ends. ``attempts`` counts this one."""

    token: str
    job_id: int
    kind: str
    edition_id: int
    study_instance_uid: str
    attempts: int


@dataclass(frozen=True)
class RequeuedJob:
    """A job whose lease ended: due again, or ``failed`` after too many attempts."""

    job_id: int
    kind: str
    edition_id: int
    study_instance_uid: str
    attempts: int
    failed: bool


@dataclass(frozen=True)
class EditionInstance:
    """An object of an edition and where it lies in the spool."""

    place: SpoolPlace
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True)
class PreviousResult:
    """A result of the last edition that has results: what a new report names as its predecessor."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True)
class EditionInput:
    """What an edition is made of; the same at every attempt.

    ``instances`` are in order of SeriesInstanceUID, then SOPInstanceUID, whatever the order of arrival.
    """

    edition_id: int
    study_instance_uid: str
    number: int
    created_at: datetime
    completed_at: datetime
    sender_ae: str
    instances: tuple[EditionInstance, ...]
    entered: Mapping[str, str]
    entered_roles: Mapping[str, str]
    """SeriesInstanceUID to role."""
    predecessor: tuple[PreviousResult, ...]
    set_aside: tuple[tuple[str, int], ...] = ()
    """(reason, count) of the study's objects that were set aside before it was closed, in order of the reason."""


@dataclass(frozen=True)
class NewResult:
    """An object that the node made; its file is ``name`` in the spool's results of the edition."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    size: int
    sha256: str
    name: str


@dataclass(frozen=True)
class NewDelivery:
    """Who shall get a result.

    ``destination`` is a peer's name, or None while no peer with ``ae_title`` is configured (held). With
    ``fallback_for`` (a SOPInstanceUID of the same edition) it waits until that result is refused there.
    """

    result: str
    destination: str | None
    ae_title: str
    fallback_for: str | None = None


# --- delivery ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeliveryItem:
    """One object to send. ``attempts`` counts this one."""

    delivery_id: int
    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    name: str
    size: int
    sha256: str
    attempts: int


@dataclass(frozen=True)
class DeliveryClaim:
    """All due objects of one edition for one destination, ours until the lease ends."""

    token: str
    edition_id: int
    study_instance_uid: str
    destination: str
    ae_title: str
    items: tuple[DeliveryItem, ...]


@dataclass(frozen=True)
class Taker:
    """A peer that held results may go to: its name and the kinds that it receives."""

    name: str
    receives: tuple[str, ...]


@dataclass(frozen=True)
class ToConfirm:
    """An object that was sent and that the peer shall be asked for. ``asked`` counts the questions in vain so far.

    Sending it again because the peer has lost it does not begin a new count: that is what bounds it.
    """

    delivery_id: int
    destination: str
    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    sent_at: datetime
    asked: int


# --- retention ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaving:
    """What is to be removed from the spool now; hand it to ``forget`` when the files are gone."""

    instances: tuple[tuple[int, SpoolPlace], ...]
    """(instance_id, where it lies)."""
    editions: tuple[int, ...]
    """Editions whose result files are to be removed."""
    studies: tuple[str, ...]
    """Studies that left by this call."""

    def __bool__(self) -> bool:
        return bool(self.instances or self.editions)
