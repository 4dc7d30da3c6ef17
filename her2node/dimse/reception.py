"""What the acceptor asks of the room above it: may this peer associate, where do its objects go, what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from her2node.dimse.status import Status

AssociationEnd = Literal["released", "aborted"]


@dataclass(frozen=True)
class AssociationRequest:
    """Who wants to associate. ``active`` counts the established associations of the node, this one not included."""

    calling_ae: str
    called_ae: str
    address: str
    active: int


@dataclass(frozen=True)
class Rejection:
    """The fields of A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    result: int
    source: int
    diagnostic: int


NO_REASON = Rejection(1, 1, 1)
CALLING_AE_NOT_RECOGNISED = Rejection(1, 1, 3)
CALLED_AE_NOT_RECOGNISED = Rejection(1, 1, 7)
LOCAL_LIMIT_EXCEEDED = Rejection(2, 3, 2)


@dataclass(frozen=True)
class StoreRequest:
    """A C-STORE request as it came; the UIDs are what the peer claims and nothing more.

    ``negotiated_class_uid`` and ``transfer_syntax_uid`` are what was agreed for its presentation context.
    """

    sop_class_uid: str
    sop_instance_uid: str
    negotiated_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True)
class Answer:
    """What a C-STORE is answered with. ``comment`` goes into ErrorComment, at most 64 characters."""

    status: Status
    comment: str = ""


class Sink(Protocol):
    """Takes the data set of one C-STORE. It reads on to the end even when it has refused; it does not raise."""

    def write(self, data: memoryview) -> None:
        """Take a piece. The view is valid during the call."""

    def end(self) -> Answer:
        """The data set is complete. Success means that it lasts."""

    def drop(self) -> None:
        """The association broke off: leave nothing. Also called after ``end``, and then without effect."""


class Attendant(Protocol):
    """Attends to one association. Called by its thread alone."""

    def begin(self, request: StoreRequest) -> Sink:
        """A C-STORE begins."""

    def ended(self, how: AssociationEnd, detail: str) -> None:
        """The association is over; ``detail`` says why, where it broke."""


class Intake(Protocol):
    """What the acceptor is given. Called by many threads."""

    def knows(self, address: str) -> bool:
        """Whether this address may associate at all."""

    def admit(self, request: AssociationRequest) -> Attendant | Rejection:
        """Accept an association, or say how it is rejected."""

    def turned_away(self, address: str, reason: str) -> None:
        """A connection was closed before it became an association."""


class Unfit(Exception):
    """The peer broke the protocol (PS3.7, PS3.8): the association is aborted."""


class ConnectionLost(Exception):
    """The peer closed the connection, or was silent for too long where it must not be."""
