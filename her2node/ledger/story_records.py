"""What the ledger tells of a study, for people: frozen records. Times are aware datetimes in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from her2node.ledger.records import Extent, SpoolPlace


@dataclass(frozen=True)
class JobStory:
    """A job as ``status`` tells it."""

    kind: str
    state: str
    attempts: int
    due_at: datetime
    worker: str | None
    claimed_at: datetime | None
    finished_at: datetime | None
    error: str | None


@dataclass(frozen=True)
class DeliveryStory:
    """A delivery as ``status`` tells it."""

    destination: str | None
    ae_title: str
    state: str
    attempts: int
    due_at: datetime
    sent_at: datetime | None
    confirmed_at: datetime | None
    error: str | None


@dataclass(frozen=True)
class ResultStory:
    """A result and its deliveries."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    name: str
    size: int
    created_at: datetime
    deliveries: tuple[DeliveryStory, ...]


@dataclass(frozen=True)
class EditionStory:
    """An edition with its state and the reason for it."""

    edition_id: int
    number: int
    state: str
    reason: str
    opened_by: str
    opened_at: datetime
    completed_by: str | None
    completed_at: datetime | None
    finished_at: datetime | None
    purged_at: datetime | None
    summary: str | None
    jobs: tuple[JobStory, ...]
    results: tuple[ResultStory, ...]


@dataclass(frozen=True)
class SeriesStory:
    """A series, its role and what speaks for it."""

    series_instance_uid: str
    modality: str
    number: int | None
    description: str
    instances: int
    classified: bool
    role: str | None
    evidence: tuple[str, ...]
    extent: Extent | None
    refused: str | None


@dataclass(frozen=True)
class SetAsideStory:
    """An object that is kept aside; its study is None where the header could not be read."""

    place: SpoolPlace
    study_instance_uid: str | None
    sop_class_uid: str
    sop_instance_uid: str
    calling_ae: str
    received_at: datetime
    reason: str
    detail: str


@dataclass(frozen=True)
class EventStory:
    """Something that happened, and when."""

    at: datetime
    kind: str
    edition_number: int | None
    detail: str


@dataclass(frozen=True)
class StudyStory:
    """Everything the ledger knows of a study."""

    study_instance_uid: str
    sender_ae: str
    first_at: datetime
    changed_at: datetime
    instances: Mapping[str, int]
    """Instance state to count."""
    entered: Mapping[str, str]
    editions: tuple[EditionStory, ...]
    series: tuple[SeriesStory, ...]
    set_aside: tuple[SetAsideStory, ...]
    events: tuple[EventStory, ...]


@dataclass(frozen=True)
class StudyLine:
    """A study on one line: its latest edition, and why it is in that state."""

    study_instance_uid: str
    sender_ae: str
    first_at: datetime
    changed_at: datetime
    number: int
    state: str
    reason: str
    instances: int
    set_aside: int
    results: int
    deliveries: Mapping[str, int]
    """Delivery state to count, over all editions."""
