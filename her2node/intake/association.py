"""Who may associate, and what is kept of one association."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from her2node import log
from her2node.dimse.reception import (
    CALLED_AE_NOT_RECOGNISED,
    CALLING_AE_NOT_RECOGNISED,
    LOCAL_LIMIT_EXCEEDED,
    NO_REASON,
    Answer,
    AssociationEnd,
    AssociationRequest,
    Attendant,
    Rejection,
    Sink,
    StoreRequest,
)
from her2node.dimse.transfer import Refusing
from her2node.intake.ledger_writer import LedgerWriter
from her2node.intake.store import StoreLimits, Storing, answer_to, refusal_of
from her2node.ledger.records import Arrival, AssociationEnded, AssociationOpened
from her2node.log import Event
from her2node.settings import Reception
from her2node.spool import AssociationFolder, Session, Spool
from her2node.spool.file_meta import Sender

_SILENCE = 10.0
"""Seconds in which the same refusal is logged once."""
_REMEMBERED = 256


@dataclass(frozen=True)
class Refusal:
    """Why an association is refused, how the peer is told, and the settings that would let it in."""

    rejection: Rejection
    reason: str
    remedy: str


def judge(request: AssociationRequest, reception: Reception) -> Refusal | None:
    """Whether a peer may associate: None, or the refusal. The order is from the outermost door inwards."""
    if not allows_address(reception, request.address):
        return Refusal(NO_REASON, "address-not-allowed", _remedy_for_address(reception, request.address))
    if request.called_ae != reception.ae_title:
        remedy = (
            f"let the peer call {reception.ae_title}, or set in [reception]: ae_title = {json.dumps(request.called_ae)}"
        )
        return Refusal(CALLED_AE_NOT_RECOGNISED, "called-ae-title-unknown", remedy)
    if reception.allow_ae_titles and request.calling_ae not in reception.allow_ae_titles:
        titles = json.dumps([*reception.allow_ae_titles, request.calling_ae])
        return Refusal(
            CALLING_AE_NOT_RECOGNISED, "calling-ae-title-not-allowed", f"set in [reception]: allow_ae_titles = {titles}"
        )
    if request.active >= reception.maximum_associations:
        remedy = f"set in [reception]: maximum_associations = {reception.maximum_associations * 2}"
        return Refusal(LOCAL_LIMIT_EXCEEDED, "too-many-associations", remedy)
    return None


def allows_address(reception: Reception, address: str) -> bool:
    """Whether an address may associate at all."""
    parsed = ip_address(address)
    return any(parsed in network for network in reception.allow_addresses)


def _remedy_for_address(reception: Reception, address: str) -> str:
    networks = [str(network) for network in reception.allow_addresses]
    return f"set in [reception]: allow_addresses = {json.dumps([*networks, address])}"


class Refusals:
    """Logs refusals: the same one for the same peer not more than every few seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[tuple[str, str, str], float] = {}
        self._lock = threading.Lock()

    def log(self, reason: str, address: str, calling_ae: str = "", called_ae: str = "", remedy: str = "") -> None:
        if self._due((reason, address, calling_ae)):
            log.emit(
                Event.ASSOCIATION_REFUSED,
                reason=reason,
                address=address,
                calling_ae=calling_ae or None,
                called_ae=called_ae or None,
                remedy=remedy or None,
            )

    def _due(self, key: tuple[str, str, str]) -> bool:
        now = self._clock()
        with self._lock:
            if now - self._last.get(key, -_SILENCE) < _SILENCE:
                return False
            if len(self._last) >= _REMEMBERED:
                self._last.clear()
            self._last[key] = now
            return True


class ReceiverIntake:
    """The intake of one receiver process: association policy in front of spool and ledger."""

    def __init__(self, reception: Reception, spool: Spool, session: Session, writer: LedgerWriter) -> None:
        self._reception = reception
        self._spool = spool
        self._session = session
        self._writer = writer
        self._refusals = Refusals()
        self._limits = StoreLimits(
            reception.maximum_instance_bytes, reception.free_space_watermark_bytes, spool.free_bytes
        )

    def knows(self, address: str) -> bool:
        return allows_address(self._reception, address)

    def admit(self, request: AssociationRequest) -> Attendant | Rejection:
        refusal = judge(request, self._reception)
        if refusal is not None:
            self._refusals.log(refusal.reason, request.address, request.calling_ae, request.called_ae, refusal.remedy)
            return refusal.rejection
        opened_at = datetime.now(UTC)
        sender = Sender(request.calling_ae, request.called_ae, request.address)
        folder = self._spool.open_association(self._session, sender, opened_at)
        opened = AssociationOpened(
            folder.association_id,
            request.calling_ae,
            request.called_ae,
            request.address,
            opened_at,
            receiver=self._session.session_id,
        )
        return Visit(opened, folder, self._limits, self._writer)

    def turned_away(self, address: str, reason: str) -> None:
        self._refusals.log(reason, address)


class Visit:
    """One association from its first object to its end. The ledger is told of it when it brought something."""

    def __init__(
        self, opened: AssociationOpened, folder: AssociationFolder, limits: StoreLimits, writer: LedgerWriter
    ) -> None:
        self._opened = opened
        self._folder = folder
        self._limits = limits
        self._writer = writer
        self._began = time.monotonic()
        self._stored = self._refused = self._bytes = 0

    def begin(self, request: StoreRequest) -> Sink:
        refused = refusal_of(request, self._limits)
        if refused is None:
            try:
                file = self._folder.begin(request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid)
                return Storing(file, request, self._limits, self)
            except OSError as error:
                refused = answer_to(error)
        self.refused(request, refused)
        return Refusing(refused)

    def ended(self, how: AssociationEnd, detail: str) -> None:
        self._folder.close()
        if self._stored:
            ended = AssociationEnded(self._opened.association_id, datetime.now(UTC), how, self._stored)
            self._writer.put(ended)
        if self._stored or self._refused or how != "released":
            self._log_end(how, detail)

    # what became of an object

    def stored(self, request: StoreRequest, number: int, length: int) -> None:
        if not self._stored:
            self._writer.put(self._opened)
        self._stored += 1
        self._bytes += length
        self._writer.put(
            Arrival(
                self._opened.association_id,
                number,
                request.sop_class_uid,
                request.sop_instance_uid,
                request.transfer_syntax_uid,
                length,
                datetime.now(UTC),
            )
        )

    def refused(self, request: StoreRequest, answer: Answer) -> None:
        self._refused += 1
        log.emit(
            Event.INSTANCE_REFUSED,
            status=f"{answer.status:#06x}",
            reason=answer.comment,
            sop_class_uid=request.sop_class_uid[:64],
            sop_instance_uid=request.sop_instance_uid[:64],
            calling_ae=self._opened.calling_ae,
            address=self._opened.address,
        )

    def _log_end(self, how: AssociationEnd, detail: str) -> None:
        log.emit(
            Event.ASSOCIATION_ENDED,
            association_id=self._opened.association_id,
            how=how,
            detail=detail or None,
            calling_ae=self._opened.calling_ae,
            address=self._opened.address,
            stored=self._stored,
            refused=self._refused,
            bytes=self._bytes,
            seconds=round(time.monotonic() - self._began, 3),
        )
