"""One trip: all that is due of one edition, to one peer, over one association.

Every object is recorded as soon as the peer answered for it. What is not recorded when the process dies is due again
when the lease ends, and goes out under the same UIDs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from her2node.delivery.desk import Desk
from her2node.delivery.heartbeat import heartbeat
from her2node.dimse.requestor import Link, Outgoing, batches, needs_of
from her2node.errors import (
    InstanceUnreadable,
    KindNotWanted,
    LeaseLost,
    LedgerAway,
    PeerBusy,
    Refused,
    SpoolAway,
    Transient,
)
from her2node.ledger.records import DeliveryClaim, DeliveryItem
from her2node.log import Event, emit
from her2node.settings import Peer


class Trip:
    """The way of one claim to its peer."""

    def __init__(self, desk: Desk, peer: Peer, claim: DeliveryClaim) -> None:
        self._desk, self._peer, self._claim = desk, peer, claim
        self._left = {item.delivery_id: item for item in claim.items}
        self._sent = 0
        self._notes: list[str] = []

    def run(self) -> None:
        """Bring it there, and record what became of each object.

        Raises LedgerAway and LeaseLost: what has no outcome then is another's, or due again when the lease ends.
        """
        try:
            with heartbeat(self._extend, self._desk.timing.heartbeat):
                self._send_all(self._pack())
        except (LeaseLost, LedgerAway):
            raise
        except (Refused, Transient) as error:  # the association: it holds for all that is left
            self._settle(tuple(self._left.values()), error)
        finally:
            if self._sent:
                self._tell(Event.DELIVERED, objects=self._sent, note="; ".join(self._notes) or None)

    def _extend(self) -> bool:
        return self._desk.ledger.extend_deliveries(self._claim.token, self._desk.timing.lease, self._desk.clock())

    def _pack(self) -> dict[Outgoing, DeliveryItem]:
        """The files to send; what cannot go is settled at once."""
        packed: dict[Outgoing, DeliveryItem] = {}
        for item in self._claim.items:
            try:
                packed[self._file_of(item)] = item
            except (Refused, SpoolAway) as error:
                self._settle((item,), error)
        return packed

    def _file_of(self, item: DeliveryItem) -> Outgoing:
        if item.kind not in self._peer.receives:
            raise KindNotWanted(item.kind, remedy=f'add "{item.kind}" to receives of [peers.{self._claim.destination}]')
        path = self._desk.locate(self._claim.edition_id, item.name)
        file = Outgoing.of(path)
        if _digest(path) != item.sha256:
            raise InstanceUnreadable(f"{path.name} is not what was written", remedy="read the study again: rerun")
        return file

    def _send_all(self, packed: Mapping[Outgoing, DeliveryItem]) -> None:
        for batch in batches(tuple(packed)):
            with self._desk.requestor.open(self._peer, needs_of(batch)) as link:
                for file in batch:
                    self._send(link, file, packed[file])

    def _send(self, link: Link, file: Outgoing, item: DeliveryItem) -> None:
        if self._desk.stopping.is_set():
            raise Transient("the courier stops")
        try:
            note = link.store(file)
        except (Refused, PeerBusy) as error:
            self._settle((item,), error)
            return
        self._desk.ledger.delivered(self._claim.token, [item.delivery_id], self._desk.clock())
        del self._left[item.delivery_id]
        self._sent += 1
        if note:
            self._notes.append(note)

    def _settle(self, items: Collection[DeliveryItem], error: Refused | Transient) -> None:
        """The one place that decides between never and later."""
        for item in items:
            del self._left[item.delivery_id]
        if isinstance(error, Refused):
            self._refuse(items, error)
        elif items:
            self._postpone(items, error)

    def _refuse(self, items: Collection[DeliveryItem], error: Refused) -> None:
        for item in items:
            self._desk.ledger.refused(self._claim.token, [item.delivery_id], str(error), self._desk.clock())
            self._tell(
                Event.DELIVERY_REFUSED,
                kind=item.kind,
                instance=item.sop_instance_uid,
                error=str(error),
                remedy=error.remedy or None,
            )

    def _postpone(self, items: Collection[DeliveryItem], error: Transient) -> None:
        attempts = max(item.attempts for item in items)
        due_at, now = self._desk.again_at(attempts), self._desk.clock()
        ids = [item.delivery_id for item in items]
        self._desk.ledger.postponed(self._claim.token, ids, str(error), due_at, now)
        self._tell(
            Event.DELIVERY_POSTPONED,
            objects=len(items),
            error=str(error),
            remedy=error.remedy or None,
            attempts=attempts,
            again_in_s=round((due_at - now).total_seconds(), 1),
        )

    def _tell(self, event: Event, **fields: str | int | float | None) -> None:
        emit(event, destination=self._claim.destination, study=self._claim.study_instance_uid, **fields)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SpoolAway(str(error)) from error
