"""Settings become parts: ledger, spool, packages, rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from her2node.dicom.uids import derived_uid
from her2node.ledger import Ledger, open_ledger
from her2node.settings import Settings
from her2node.spool import Spool


def ledger_of(settings: Settings) -> Ledger:
    """The ledger, made or upgraded. The caller closes it."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    return open_ledger(settings.ledger_url, backups=backups_of(settings))


@contextmanager
def open_ledger_of(settings: Settings) -> Iterator[Ledger]:
    """The ledger for the length of a command."""
    ledger = ledger_of(settings)
    try:
        yield ledger
    finally:
        ledger.close()


def backups_of(settings: Settings) -> Path:
    """Where an SQLite ledger is copied to before an upgrade."""
    return settings.state_dir / "backups"


def spool_of(settings: Settings) -> Spool:
    """The spool; its folders are made."""
    return Spool(settings.spool_dir)


def device_uid_of(settings: Settings) -> str:
    """The UID by which reports name this installation: stable, from the settings or derived from site and AE title."""
    return settings.reports.device_uid or derived_uid("device", settings.reports.site, settings.reception.ae_title)
