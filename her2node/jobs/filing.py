"""Filing: header and digest of each arrival go into the ledger; what cannot be read is set aside with the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from unicodedata import category

from her2node.dicom.attributes import integer, text
from her2node.errors import InstanceUnreadable, Refused, SpoolAway
from her2node.jobs.door import Door, Failed
from her2node.ledger import Ledger
from her2node.ledger.records import Filing, FilingEffect, SetAside, Unfiled
from her2node.log import Event, emit
from her2node.selection.study import Instance, open_instance
from her2node.spool import Spool

BATCH = 100
_LONGEST_DETAIL = 200
_DISK_PATIENCE = timedelta(minutes=10)
"""An arrival that the disk refuses for so long, while it gives others, is set aside: what is not filed stops the clock
of every study."""
_NUMBERS = range(-(2**31), 2**31)
"""What an IS may hold (PS3.5 6.2), and the ledger."""
_BEFORE_LENGTH = b"DICM\x02\x00\x00\x00UL\x04\x00"
"""Prefix and head of (0002,0000) FileMetaInformationGroupLength (PS3.10 7.1), which counts the bytes after it."""


def file_arrivals(ledger: Ledger, spool: Spool, door: Door, now: datetime) -> bool:
    """File a batch of arrivals. True when more may wait."""
    waiting = ledger.unfiled(BATCH)
    found = {one: _read_guarded(spool, door, one) for one in waiting}
    filings = [filing for filing in found.values() if filing is not None]
    if not filings:
        return False
    filings += [
        _lost(one) for one, filing in found.items() if filing is None and now - one.received_at > _DISK_PATIENCE
    ]
    _tell(_file(ledger, door, filings, now), waiting)
    return len(waiting) == BATCH


def read_arrival(spool: Spool, arrival: Unfiled) -> Filing | SetAside:
    """What an arrival's file says. Raises SpoolAway when the disk does not answer."""
    path = spool.path_of(arrival.association_id, arrival.number)
    try:
        instance = open_stored(path)
        return _filing(arrival.instance_id, instance, digest_of(path))
    except Refused as error:
        return SetAside(arrival.instance_id, error.reason, error.detail[:_LONGEST_DETAIL])


def open_stored(path: Path, *, met: bool = False) -> Instance:
    """``open_instance`` of a file in the spool. Raises also SpoolAway, when the disk does not answer."""
    try:
        return open_instance(path, met=met)
    except InstanceUnreadable as error:
        if disk_is_silent(error):
            raise SpoolAway(error.detail) from error
        raise


def disk_is_silent(error: InstanceUnreadable) -> bool:
    """Whether the disk is at fault, not the file: it may be read later. A file that is gone stays so."""
    cause = error.__cause__
    return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)


def digest_of(path: Path) -> str:
    """SHA-256 (hex) of the data set's bytes, after the file meta group. Raises InstanceUnreadable, SpoolAway."""
    try:
        with path.open("rb") as file:
            head = file.read(144)
            if head[128:140] != _BEFORE_LENGTH or len(head) < 144:
                raise InstanceUnreadable("no file meta group length")
            file.seek(int.from_bytes(head[140:144], "little"), 1)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SpoolAway(str(error)) from error


def _filing(instance_id: int, instance: Instance, digest: str) -> Filing:
    number = integer(instance.header, "SeriesNumber")
    return Filing(
        instance_id=instance_id,
        identity=instance.identity,
        modality=_storable(text(instance.header, "Modality")),
        series_number=number if number is not None and number in _NUMBERS else None,
        series_description=_storable(text(instance.header, "SeriesDescription")),
        digest=digest,
    )


def _storable(words: str) -> str:
    """Without control characters and lone surrogates, which a database may refuse, and the whole row with them."""
    return "".join(letter for letter in words if category(letter) not in {"Cc", "Cs"})


def _read_guarded(spool: Spool, door: Door, arrival: Unfiled) -> Filing | SetAside | None:
    """None: to be read again at the next tick."""
    what = f"filing {arrival.association_id}/{arrival.number}"
    found = door.attempt(what, partial(read_arrival, spool, arrival))
    if not isinstance(found, Failed):
        return found
    return None if found.passing else _unexpected(arrival.instance_id, found)


def _file(ledger: Ledger, door: Door, filings: Sequence[Filing | SetAside], now: datetime) -> list[FilingEffect]:
    """File the batch, or, when it cannot be, its arrivals one by one, so that a bad one stops no other."""
    effect = door.attempt("filing", partial(ledger.file, filings, now))
    if not isinstance(effect, Failed):
        return [effect]
    if effect.passing:
        return []
    return [alone for filing in filings if (alone := _file_alone(ledger, door, filing, now)) is not None]


def _file_alone(ledger: Ledger, door: Door, filing: Filing | SetAside, now: datetime) -> FilingEffect | None:
    what = f"filing arrival {filing.instance_id}"
    effect = door.attempt(what, partial(ledger.file, [filing], now))
    if isinstance(effect, Failed) and not effect.passing:
        effect = door.attempt(what, partial(ledger.file, [_unexpected(filing.instance_id, effect)], now))
    return None if isinstance(effect, Failed) else effect


def _lost(arrival: Unfiled) -> SetAside:
    return SetAside(arrival.instance_id, "spool-away", "the disk gives other objects, but not this one")


def _unexpected(instance_id: int, failed: Failed) -> SetAside:
    return SetAside(instance_id, "unexpected-error", type(failed.error).__name__)


def _tell(effects: Sequence[FilingEffect], waiting: Sequence[Unfiled]) -> None:
    places = {one.instance_id: one for one in waiting}
    for effect in effects:
        for edition in effect.opened:
            emit(Event.EDITION_OPENED, study=edition.study_instance_uid, edition=edition.number)
        for aside in effect.aside:
            place = places[aside.instance_id]
            emit(Event.INSTANCE_SET_ASIDE, association=place.association_id, number=place.number, reason=aside.reason)
