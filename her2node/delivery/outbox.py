"""Who gets which result. Pure: results and settings in, deliveries out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from her2node.ledger.records import NewDelivery, NewResult
from her2node.settings import Peer

SummaryPolicy = Literal["on-refusal", "always", "never"]
REPORTS: Final = ("report", "could-not")
"""Kinds whose refusal wakes the summaries, the first that there is."""
SUMMARIES: Final = frozenset({"summary-image", "summary-document"})


def address(
    results: Sequence[NewResult],
    sender_ae: str,
    peers: Mapping[str, Peer],
    *,
    to_sender: bool = True,
    destinations: Sequence[str] = (),
    summary: SummaryPolicy = "on-refusal",
) -> tuple[NewDelivery, ...]:
    """The deliveries of ``results``: to the peer that sent the study and to ``destinations``, each once.

    A peer gets the kinds that it ``receives``. With ``summary`` on refusal, the summaries wait until the peer refuses
    the report, and go at once to a peer that gets no report. When the sender is no peer and there is no other
    destination, everything is held under the sender's AE title.
    """
    wanted = [result for result in results if summary != "never" or result.kind not in SUMMARIES]
    names = _names(sender_ae, peers, to_sender, destinations)
    if not names and to_sender:
        return tuple(_to(None, sender_ae.strip(), wanted, summary))
    return tuple(
        delivery
        for name in names
        for delivery in _to(
            name, peers[name].ae, [result for result in wanted if result.kind in peers[name].receives], summary
        )
    )


def _names(sender_ae: str, peers: Mapping[str, Peer], to_sender: bool, destinations: Sequence[str]) -> tuple[str, ...]:
    """Names of the peers to deliver to, each once."""
    sender = next((name for name, peer in peers.items() if peer.ae == sender_ae.strip()), None) if to_sender else None
    return tuple(dict.fromkeys([*([sender] if sender else []), *destinations]))


def _to(
    destination: str | None, ae_title: str, results: Sequence[NewResult], summary: SummaryPolicy
) -> Iterator[NewDelivery]:
    report = next((result.sop_instance_uid for kind in REPORTS for result in results if result.kind == kind), None)
    for result in results:
        waits = summary == "on-refusal" and result.kind in SUMMARIES
        yield NewDelivery(result.sop_instance_uid, destination, ae_title, report if waits else None)


def remedy_for(ae_title: str, address: str = "") -> str:
    """The lines that, added to the settings, give held results of this sender a place to go.

    ``address``: where it called from, '' where that is not known any more. No association tells the port.
    """
    if not ae_title.strip():
        return '[delivery]\ndestinations = ["..."]  # the name of a peer in [peers]'
    name = re.sub(r"[^a-z0-9_-]+", "-", ae_title.strip().lower()).strip("-") or "peer"
    quoted = ae_title.strip().replace('"', '\\"')
    host = f'"{address}"  # where it called from' if address else '"..."  # its host name or address'
    return f'[peers.{name}]\nae = "{quoted}"\nhost = {host}\nport = 104  # check: the port on which it listens'
