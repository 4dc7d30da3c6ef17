"""From ``sent`` to ``confirmed``: ask the peer by C-FIND whether the objects are there.

``sent`` is what the peer said; a PACS may lose an object after that. What it does not show after several questions is
sent again, a bounded number of times, and the log says so; then no question follows and it stays ``sent``. A peer that
offers no C-FIND keeps its ``sent``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from her2node.delivery.desk import Desk, Timing
from her2node.dimse.queries import STUDY_ROOT_FIND
from her2node.dimse.requestor import Link, Need
from her2node.errors import PeerAway, PeerBusy, Refused
from her2node.ledger.records import ToConfirm
from her2node.log import Event, emit
from her2node.settings import Peer

_AT_ONCE = 200


def confirm(desk: Desk, name: str, peer: Peer) -> bool:
    """Ask for what was sent and not yet seen; whether there was anything to ask for. Raises LedgerAway."""
    items = desk.ledger.to_confirm((name,), desk.clock(), _AT_ONCE)
    if not items:
        return False
    unasked = {item.delivery_id: item for item in items}
    seen: Counter[str] = Counter()
    try:
        with desk.requestor.open(peer, [Need(STUDY_ROOT_FIND)]) as link:
            for group in _by_series(items):
                seen[group[0].study_instance_uid] += _ask(desk, link, name, group)
                for item in group:
                    del unasked[item.delivery_id]
    except (PeerAway, PeerBusy):
        for item in unasked.values():
            desk.ledger.ask_later([item.delivery_id], _when_back(desk, item))
    except Refused:
        desk.ledger.ask_later(list(unasked), desk.clock() + desk.timing.unanswerable)
    for study, objects in (+seen).items():
        emit(Event.DELIVERY_CONFIRMED, destination=name, study=study, objects=objects)
    return True


def is_lost(asked: int, timing: Timing) -> bool:
    """Whether an object that the peer did not show at question number ``asked`` is to be sent again."""
    return asked % timing.questions == 0 and asked <= timing.questions * timing.resends


def is_enough(asked: int, timing: Timing) -> bool:
    """Whether question number ``asked`` in vain was the last one."""
    return asked >= timing.questions * (timing.resends + 1)


def _by_series(items: Sequence[ToConfirm]) -> Iterator[tuple[ToConfirm, ...]]:
    def series(item: ToConfirm) -> tuple[str, str]:
        return item.study_instance_uid, item.series_instance_uid

    for _, group in groupby(sorted(items, key=series), series):
        yield tuple(group)


def _ask(desk: Desk, link: Link, name: str, group: Sequence[ToConfirm]) -> int:
    """Ask for the objects of one series and record the answer; how many are there."""
    first = group[0]
    found = link.find(first.study_instance_uid, first.series_instance_uid, {item.sop_instance_uid for item in group})
    there = [item for item in group if item.sop_instance_uid in found]
    if there:
        desk.ledger.confirmed([item.delivery_id for item in there], desk.clock())
    for item in group:
        if item.sop_instance_uid not in found:
            _not_there(desk, name, item)
    return len(there)


def _when_back(desk: Desk, item: ToConfirm) -> datetime:
    """When to try a peer that gave no answer: that counts as no question, so the pause grows with the time gone."""
    now = desk.clock()
    return now + min(max(now - item.sent_at, desk.timing.first_pause), desk.timing.longest_pause)


def _not_there(desk: Desk, name: str, item: ToConfirm) -> None:
    asked, now = item.asked + 1, desk.clock()
    if is_enough(asked, desk.timing):
        desk.ledger.unconfirmed([item.delivery_id], f"not there after {asked} questions: asked no more", now)
        return
    if not is_lost(asked, desk.timing):
        desk.ledger.ask_again([item.delivery_id], desk.again_at(asked))
        return
    reason = f"accepted by the peer, but not there after {asked} questions: sent again"
    desk.ledger.missing([item.delivery_id], reason, now, now)
    emit(
        Event.DELIVERY_POSTPONED,
        destination=name,
        study=item.study_instance_uid,
        instance=item.sop_instance_uid,
        error=reason,
    )
