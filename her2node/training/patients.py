"""Which patients trained a package: digests by which the site that trained it tells them again, and nobody else can.

A PatientID is short: a plain digest of it, or one with a printed salt, is undone by trying them all. So digests are
keyed (HMAC, RFC 2104) with a secret of the site that never leaves its state folder. Elsewhere a PatientID of the site
means nothing, and the digests in a package that was handed on tell nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FILE = "patients.key"
"""In the state folder."""
_BYTES = 32


def site_key(state: Path) -> bytes:
    """The site's secret, made where there is none yet; readable by its owner alone."""
    file = state / FILE
    try:
        return file.read_bytes()
    except FileNotFoundError:
        state.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(secrets.token_bytes(_BYTES))
    with suppress(FileExistsError):  # another process was first
        os.link(part, file)
    part.unlink()
    return file.read_bytes()


def name_of(key: bytes) -> str:
    """By which a key is told from another; it tells nothing of it."""
    return digest(key, "which key")[:16]


def digest(key: bytes, patient: str) -> str:
    """HMAC-SHA256 of a patient, as ``findings.patient_of`` names one."""
    return hmac.new(key, patient.encode(), hashlib.sha256).hexdigest()


def digests(key: bytes, patients: Iterable[str]) -> list[str]:
    """Of several patients, in an order that tells nothing."""
    return sorted({digest(key, patient) for patient in patients})
