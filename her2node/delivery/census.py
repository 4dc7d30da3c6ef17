"""How many objects the sender of a study has of it: asked by C-FIND, for completion to compare with what is here.

The leader must wait for no peer, so the courier asks and the ledger keeps the answer. A study is asked for once
whenever it rests: when nothing came for ``settle``, and again only after something came. A peer that is away is asked
again with a growing pause; one that refuses, or that gives no numbers, has answered.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from her2node.delivery.desk import Desk
from her2node.dimse.queries import STUDY_ROOT_FIND, StudyHeld
from her2node.dimse.requestor import Link, Need
from her2node.errors import PeerAway, PeerBusy, Refused
from her2node.ledger.records import Census, Gathering, SeriesCount
from her2node.settings import Peer


def take_census(desk: Desk, peer: Peer) -> bool:
    """Ask the peer for its studies that rest; whether there was anything to ask for. Raises LedgerAway."""
    now = desk.clock()
    resting = [facts for facts in desk.ledger.gathering(peer.ae) if is_due(facts, desk.timing.settle, now)]
    if not resting:
        return False
    unasked = {facts.study_instance_uid: facts for facts in resting}
    try:
        with desk.requestor.open(peer, [Need(STUDY_ROOT_FIND)]) as link:
            for facts in resting:
                desk.ledger.note_census(facts.study_instance_uid, _ask(desk, link, facts))
                del unasked[facts.study_instance_uid]
    except (PeerAway, Refused) as error:  # the association, or the query as such: it holds for all that is left
        if not desk.stopping.is_set():  # else it was cut by this process, which says nothing of the peer
            for facts in unasked.values():
                desk.ledger.note_census(facts.study_instance_uid, _vain(desk, facts, error, now))
    return True


def is_due(facts: Gathering, settle: timedelta, now: datetime) -> bool:
    """Whether a study rests and its sender was not asked since, or was asked in vain and the pause is over."""
    if facts.delivering or facts.known_until(now) < facts.last_at + settle:
        return False
    if facts.census is None or facts.census.asked_at < facts.last_at:
        return True
    return facts.census.again_at is not None and facts.census.again_at <= now


def _ask(desk: Desk, link: Link, facts: Gathering) -> Census:
    """One study's question. Raises PeerAway and Refused."""
    asked_at = desk.clock()  # before the answer is made: what comes meanwhile makes it stale
    try:
        return _answered(link.count(facts.study_instance_uid), asked_at)
    except PeerBusy as error:
        return _vain(desk, facts, error, asked_at)


def _answered(held: StudyHeld, asked_at: datetime) -> Census:
    series = tuple(SeriesCount(item.series_instance_uid, item.modality, item.objects) for item in held.series)
    return Census(asked_at, series, held.objects)


def _vain(desk: Desk, facts: Gathering, error: PeerAway | PeerBusy | Refused, asked_at: datetime) -> Census:
    """No answer; asked again after a pause where the failure may pass."""
    vain = facts.census.vain + 1 if facts.census else 1
    again_at = None if isinstance(error, Refused) else desk.again_at(vain)
    return Census(asked_at, silence=str(error), vain=vain, again_at=again_at)
