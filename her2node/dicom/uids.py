"""UIDs that the node makes: derived from content, so that a repeat overwrites itself (promise 3)."""

from __future__ import annotations

import hashlib
import re

IMPLEMENTATION_CLASS_UID = "2.25.202611230000000000000000000000000002"
"""Sent in every association and file meta group (PS3.7 D.3.3.2)."""
IMPLEMENTATION_VERSION_NAME = "HER2NODE_01"

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


def derived_uid(*parts: str) -> str:
    """A UID that is a function of ``parts`` alone (PS3.5 B.2: 2.25 and a UUID as a decimal integer).

    The parts are joined with a separator that no part may hold, hashed with SHA-256 and cut to the 128 bits of a
    version 8 (custom) UUID.
    """
    for part in parts:
        if "\x1f" in part:
            raise ValueError("a part of a derived UID holds the separator U+001F")
    digest = bytearray(hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return f"2.25.{int.from_bytes(digest, 'big')}"


def is_valid_uid(uid: str) -> bool:
    """Whether ``uid`` obeys PS3.5 chapter 9: at most 64 characters, digits and dots, no leading zeros."""
    return len(uid) <= 64 and _UID.fullmatch(uid) is not None
