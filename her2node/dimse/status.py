"""DIMSE status codes: what the node answers, and what a peer's answer means for what was sent."""

from __future__ import annotations

from enum import Enum, IntEnum


class Status(IntEnum):
    """What the node answers to C-STORE (PS3.4 table B.2-1, PS3.7 annex C)."""

    SUCCESS = 0x0000
    """Stored: durable under its final name."""
    PROCESSING_FAILURE = 0x0110
    """The node is at fault."""
    INVALID_SOP_INSTANCE = 0x0117
    """The SOP Instance UID is no UID."""
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    """The SOP class is not the one that was negotiated for this presentation context."""
    OUT_OF_RESOURCES = 0xA700
    """Too little space, or the object is too large."""
    CANNOT_UNDERSTAND = 0xC000
    """There is no data set."""


class Outcome(Enum):
    """What follows from a peer's answer to C-STORE."""

    STORED = "stored"
    """The peer has the object."""
    LATER = "later"
    """The peer may take it another time."""
    REFUSED = "refused"
    """Sending it again would change nothing."""


_STORED = frozenset({0x0000, 0x0001, 0x0107, 0x0111, 0x0116, 0xB000, 0xB006, 0xB007})
"""Success, every warning of PS3.4 B.2.3 and PS3.7 C.4, and 0x0111: the peer has this instance already."""
_LATER = frozenset({0x0110, 0x0213})
"""Processing failure and resource limitation (PS3.7 C.5)."""


def outcome(status: int) -> Outcome:
    """What a peer's C-STORE status means; a status that nobody declared is a refusal."""
    if status in _STORED or status >> 12 == 0xB:
        return Outcome.STORED
    if status in _LATER or status >> 8 == 0xA7:
        return Outcome.LATER
    return Outcome.REFUSED
