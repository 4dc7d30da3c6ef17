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
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from her2node.errors import Refused

FILE = "patients.key"
"""In the state folder."""
_BYTES = 32


def site_key(state: Path) -> bytes:
    """The site's secret, made where there is none yet; readable by its owner alone.

    Raises Refused where it can be neither read nor made, and where what stands there is none: without it nobody could
    tell whether a patient trained a package.
    """
    file = state / FILE
    try:
        if not file.exists():
            _make(file)
        key = file.read_bytes()
    except OSError as error:
        raise Refused(
            f"the site's key {file} can be neither read nor made: {error.strerror}",
            remedy="let the user who trains read and write in state_dir",
        ) from error
    if len(key) != _BYTES:
        raise Refused(
            f"the site's key {file} has {len(key)} bytes instead of {_BYTES}",
            remedy="restore it from a backup; with a new one, made once it is deleted, the patients of packages that "
            "were trained before cannot be told again",
        )
    return key


def _make(file: Path) -> None:
    """A key, whole or not at all: written beside it, then linked. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix=f"{FILE}.", dir=file.parent)
    try:
        _write(descriptor)
        _named(part, file)
    finally:
        Path(part).unlink()


def _named(part: str, file: Path) -> None:
    """Give what is written its name, unless another process was first. Raises OSError."""
    try:
        os.link(part, file)
    except FileExistsError:
        return
    except OSError:  # no hard links here, as on SMB
        with suppress(FileExistsError):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _write(descriptor)
            except OSError:
                file.unlink()  # else nobody could make it once there is room
                raise


def _write(descriptor: int) -> None:
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(_BYTES))
        stream.flush()
        os.fsync(stream.fileno())


def name_of(key: bytes) -> str:
    """By which a key is told from another; it tells nothing of it."""
    return digest(key, "which key")[:16]


def digest(key: bytes, patient: str) -> str:
    """HMAC-SHA256 of a patient, as ``findings.patient_of`` names one."""
    return hmac.new(key, patient.encode(), hashlib.sha256).hexdigest()


def issued(unissued: str) -> str:
    """A patient by a PatientID alone, who trained a package under an issuer: whom a study without issuer may be of."""
    return f"{unissued} of an issuer"


def digests(key: bytes, patients: Iterable[str]) -> list[str]:
    """Of several patients, in an order that tells nothing."""
    return sorted({digest(key, patient) for patient in patients})
