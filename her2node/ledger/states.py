"""What may happen to an edition, an instance, a job and a delivery: four tables, and nothing else decides.

Each table maps a state to the events that may happen in it and to the state that follows. An event that a state does
not list raises IllegalTransition. Every change of a ``state`` column goes through ``Machine``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from her2node.errors import IllegalTransition


class EditionState(StrEnum):
    """One reading of a study: what belongs to it, and what became of it."""

    GATHERING = "gathering"
    """Objects still come; completion has not spoken."""
    DUE = "due"
    """Complete; waits for a worker."""
    READING = "reading"
    """A worker analyses it."""
    READ = "read"
    """Analysed; it has results."""
    REFUSED = "refused"
    """Analysed, and nothing could run; the reasons are its answer."""
    FAILED = "failed"
    """Given up after too many attempts or an error of ours."""


class EditionEvent(StrEnum):
    """What can happen to an edition."""

    COMPLETE = "complete"
    """Completion spoke, or a command."""
    CLAIM = "claim"
    """A worker took its job."""
    GIVE_BACK = "give-back"
    """The job went back to be tried again."""
    READ = "read"
    """The worker finished with results."""
    REFUSE = "refuse"
    """The worker finished: nothing could run."""
    FAIL = "fail"
    """The job was given up."""


class InstanceState(StrEnum):
    """One object that was answered with Success."""

    ARRIVED = "arrived"
    """In the spool; nobody has read its header."""
    FILED = "filed"
    """Part of a study."""
    DUPLICATE = "duplicate"
    """The same object, byte for byte, is part of the study already."""
    OWN = "own"
    """A result of this node that was routed back."""
    ASIDE = "aside"
    """Cannot be used, and is kept with the reason."""
    LEAVING = "leaving"
    """Belongs to nothing any more: its file is being removed, then its row."""


class InstanceEvent(StrEnum):
    """What can happen to an object."""

    FILE = "file"
    """It joined a study."""
    REPEAT = "repeat"
    """It was recognised as a duplicate."""
    RECOGNISE = "recognise"
    """It was recognised as our own result."""
    SET_ASIDE = "set-aside"
    """It was found unusable."""
    LEAVE = "leave"
    """Its retention ended."""


class JobState(StrEnum):
    """One piece of work for a worker."""

    DUE = "due"
    """Wants a worker, from its due time on."""
    CLAIMED = "claimed"
    """A worker has it by a lease."""
    DONE = "done"
    """Finished."""
    FAILED = "failed"
    """Given up."""


class JobEvent(StrEnum):
    """What can happen to a job."""

    CLAIM = "claim"
    """A worker took it."""
    RETRY = "retry"
    """It failed and is tried again later."""
    EXPIRE = "expire"
    """The lease ended without a sign from the worker."""
    FINISH = "finish"
    """Its outcome was written."""
    GIVE_UP = "give-up"
    """It was tried often enough, or can never succeed."""


class DeliveryState(StrEnum):
    """One result on its way to one destination."""

    HELD = "held"
    """No peer with this AE title is configured."""
    WITHHELD = "withheld"
    """A fallback: sent only if the destination refuses the object it stands in for."""
    DUE = "due"
    """Wants a courier, from its due time on."""
    SENDING = "sending"
    """A courier has it by a lease."""
    SENT = "sent"
    """The peer answered with Success."""
    CONFIRMED = "confirmed"
    """The peer was asked and has it. Storage commitment comes to lie between ``sent`` and here."""
    REFUSED = "refused"
    """The peer refused it for good."""
    EXPIRED = "expired"
    """Not delivered before the end of the retention time, or made needless."""


class DeliveryEvent(StrEnum):
    """What can happen to a delivery."""

    RELEASE = "release"
    """A peer with its AE title was configured."""
    WAKE = "wake"
    """The object it stands in for was refused."""
    CLAIM = "claim"
    """A courier took it."""
    POSTPONE = "postpone"
    """The peer is away or busy: tried again later."""
    EXPIRE_LEASE = "expire-lease"
    """The lease ended without a sign from the courier."""
    DELIVER = "deliver"
    """The peer answered with Success."""
    REFUSE = "refuse"
    """The peer refused it for good."""
    CONFIRM = "confirm"
    """The peer was asked and has it."""
    MISS = "miss"
    """The peer was asked and has lost it."""
    RESEND = "resend"
    """Somebody wants it sent again."""
    EXPIRE = "expire"
    """The retention time ended, or another delivery of the result serves the same destination."""


S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True)
class Machine(Generic[S, E]):
    """One table: state -> event -> state."""

    name: str
    table: Mapping[S, Mapping[E, S]]

    def step(self, state: S, event: E) -> S:
        """The state after ``event``. Raises IllegalTransition."""
        try:
            return self.table[state][event]
        except KeyError as error:
            raise IllegalTransition(f"{self.name}: no {event!s} in {state!s}") from error

    def before(self, event: E) -> tuple[S, ...]:
        """The states in which ``event`` may happen: what a guarded UPDATE asks for."""
        return tuple(state for state, events in self.table.items() if event in events)

    def after(self, event: E) -> S:
        """The one state that ``event`` leads to. Raises IllegalTransition when that depends on the state before."""
        targets = {events[event] for events in self.table.values() if event in events}
        if len(targets) != 1:
            raise IllegalTransition(f"{self.name}: {event!s} leads to {len(targets)} states")
        return targets.pop()


EDITION: Machine[EditionState, EditionEvent] = Machine(
    "edition",
    {
        EditionState.GATHERING: {EditionEvent.COMPLETE: EditionState.DUE},
        EditionState.DUE: {EditionEvent.CLAIM: EditionState.READING},
        EditionState.READING: {
            EditionEvent.GIVE_BACK: EditionState.DUE,
            EditionEvent.READ: EditionState.READ,
            EditionEvent.REFUSE: EditionState.REFUSED,
            EditionEvent.FAIL: EditionState.FAILED,
        },
        EditionState.READ: {},
        EditionState.REFUSED: {},
        EditionState.FAILED: {},
    },
)

INSTANCE: Machine[InstanceState, InstanceEvent] = Machine(
    "instance",
    {
        InstanceState.ARRIVED: {
            InstanceEvent.FILE: InstanceState.FILED,
            InstanceEvent.REPEAT: InstanceState.DUPLICATE,
            InstanceEvent.RECOGNISE: InstanceState.OWN,
            InstanceEvent.SET_ASIDE: InstanceState.ASIDE,
        },
        InstanceState.FILED: {InstanceEvent.LEAVE: InstanceState.LEAVING},
        InstanceState.DUPLICATE: {InstanceEvent.LEAVE: InstanceState.LEAVING},
        InstanceState.OWN: {InstanceEvent.LEAVE: InstanceState.LEAVING},
        InstanceState.ASIDE: {InstanceEvent.LEAVE: InstanceState.LEAVING},
        InstanceState.LEAVING: {},
    },
)

JOB: Machine[JobState, JobEvent] = Machine(
    "job",
    {
        JobState.DUE: {JobEvent.CLAIM: JobState.CLAIMED},
        JobState.CLAIMED: {
            JobEvent.RETRY: JobState.DUE,
            JobEvent.EXPIRE: JobState.DUE,
            JobEvent.FINISH: JobState.DONE,
            JobEvent.GIVE_UP: JobState.FAILED,
        },
        JobState.DONE: {},
        JobState.FAILED: {},
    },
)

_RESEND = {DeliveryEvent.RESEND: DeliveryState.DUE}
_EXPIRE = {DeliveryEvent.EXPIRE: DeliveryState.EXPIRED}

DELIVERY: Machine[DeliveryState, DeliveryEvent] = Machine(
    "delivery",
    {
        DeliveryState.HELD: {DeliveryEvent.RELEASE: DeliveryState.DUE} | _EXPIRE,
        DeliveryState.WITHHELD: {DeliveryEvent.WAKE: DeliveryState.DUE} | _EXPIRE,
        DeliveryState.DUE: {DeliveryEvent.CLAIM: DeliveryState.SENDING} | _RESEND | _EXPIRE,
        DeliveryState.SENDING: {
            DeliveryEvent.DELIVER: DeliveryState.SENT,
            DeliveryEvent.REFUSE: DeliveryState.REFUSED,
            DeliveryEvent.POSTPONE: DeliveryState.DUE,
            DeliveryEvent.EXPIRE_LEASE: DeliveryState.DUE,
        },
        DeliveryState.SENT: {
            DeliveryEvent.CONFIRM: DeliveryState.CONFIRMED,
            DeliveryEvent.MISS: DeliveryState.DUE,
        }
        | _RESEND,
        DeliveryState.CONFIRMED: _RESEND,
        DeliveryState.REFUSED: _RESEND,
        DeliveryState.EXPIRED: _RESEND,
    },
)
