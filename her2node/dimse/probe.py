"""What a peer can do, step by step, for `doctor`: every failure in plain words, with what helps against it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from her2node.dimse.contexts import VERIFICATION
from her2node.dimse.queries import STUDY_ROOT_FIND
from her2node.dimse.requestor import Need, Requestor
from her2node.errors import Her2nodeError, PeerAway, Refused, Transient
from her2node.settings import ObjectKind, Peer

OUTPUT_CLASSES: Final[Mapping[ObjectKind, UID]] = MappingProxyType(
    {
        "report": Comprehensive3DSRStorage,
        "outline": Comprehensive3DSRStorage,
        "could-not": Comprehensive3DSRStorage,
        "segmentation": SegmentationStorage,
        "summary-image": SecondaryCaptureImageStorage,
        "summary-document": EncapsulatedPDFStorage,
        "parametric-map": ParametricMapStorage,
    }
)
"""The SOP class of each kind of object that the node sends."""
OUTPUT_SYNTAXES: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
"""The transfer syntaxes that it sends them in, the first where the peer accepts it."""
STORAGE_COMMITMENT: Final = UID("1.2.840.10008.1.20.1")


class Verdict(StrEnum):
    """How a check came out."""

    GOOD = "good"
    LACKING = "lacking"
    """The peer does not offer it; the node does without."""
    BAD = "bad"
    """Results cannot reach the peer as configured."""


@dataclass(frozen=True)
class Check:
    """One step of a probe."""

    what: str
    verdict: Verdict
    detail: str
    remedy: str = ""

    @property
    def fine(self) -> bool:
        return self.verdict is not Verdict.BAD


def probe(requestor: Requestor, peer: Peer) -> tuple[Check, ...]:
    """Every check of a peer in the order of an association; it ends with the first after which no other can pass."""
    return tuple(_checks(requestor, peer))


def _checks(requestor: Requestor, peer: Peer) -> Iterator[Check]:
    for check in _dial(requestor, peer):
        yield check
        if not check.fine:
            return
    echo = _echo(requestor, peer)
    yield echo
    if echo.fine:
        yield from _offers(requestor, peer)


def _dial(requestor: Requestor, peer: Peer) -> Iterator[Check]:
    """The TCP connection and, where the peer wants it, the TLS handshake."""
    where = f"{peer.host} port {peer.port}"
    try:
        with socket.create_connection((peer.host, peer.port), requestor.limits.connect.total_seconds()) as wire:
            yield Check("connection", Verdict.GOOD, where)
            if peer.tls:
                yield _handshake(requestor, peer, wire)
    except OSError as error:
        yield Check("connection", Verdict.BAD, f"{where}: {error.strerror or error}", _remedy_for_connection(error))


def _remedy_for_connection(error: OSError) -> str:
    match error:
        case socket.gaierror():
            return "correct `host` of the peer in the settings, or name it in DNS"
        case ConnectionRefusedError():
            return "nobody listens there: start the peer's DICOM service, or correct `port` of the peer"
        case TimeoutError():
            return "no answer: open the port in the firewall between node and peer, or correct `host`"
    return "look at the network between node and peer"


def _handshake(requestor: Requestor, peer: Peer, wire: socket.socket) -> Check:
    if requestor.tls is None:
        return Check("TLS", Verdict.BAD, "not set up here", "set certificate, key and ca in [delivery.tls]")
    try:
        with requestor.tls.wrap_socket(wire, server_hostname=peer.host) as secured:
            return Check("TLS", Verdict.GOOD, secured.version() or "")
    except ssl.SSLCertVerificationError as error:
        remedy = "name the authority of its certificate as `ca` in [delivery.tls], and the name in it as `host`"
        return Check("TLS", Verdict.BAD, error.verify_message, remedy)
    except OSError as error:
        remedy = "does the peer speak TLS at this port? If not, set `tls = false` or another `port`"
        return Check("TLS", Verdict.BAD, str(error), remedy)


def _echo(requestor: Requestor, peer: Peer) -> Check:
    """Association and C-ECHO."""
    try:
        with requestor.open(peer, [Need(VERIFICATION)]) as link:
            link.echo()
    except PeerAway as error:
        remedy = error.remedy or "is this the peer's DICOM port? And does it want TLS (`tls`, client certificate)?"
        return Check("association", Verdict.BAD, error.detail, remedy)
    except (Refused, Transient) as error:
        return Check("association", Verdict.BAD, str(error), error.remedy or "ask the peer's administrator")
    return Check("association", Verdict.GOOD, f"{requestor.ae_title} to {peer.ae}, C-ECHO answered")


def _offers(requestor: Requestor, peer: Peer) -> Iterator[Check]:
    """What the peer accepts of all that the node might want of it."""
    classes = dict.fromkeys(OUTPUT_CLASSES[kind] for kind in peer.receives)
    storage = [Need(uid, syntax) for uid in classes for syntax in OUTPUT_SYNTAXES]
    try:
        with requestor.open(peer, [*storage, Need(STUDY_ROOT_FIND), Need(STORAGE_COMMITMENT)]) as link:
            accepted = link.accepted
    except Her2nodeError as error:
        yield Check("offers", Verdict.BAD, str(error), error.remedy or "ask the peer's administrator")
        return
    for kind in peer.receives:
        yield _storage(kind, accepted)
    yield _service("C-FIND", STUDY_ROOT_FIND, accepted, _without_queries(peer))
    yield _service("storage commitment", STORAGE_COMMITMENT, accepted, "results are confirmed by C-FIND alone")


def _storage(kind: ObjectKind, accepted: frozenset[Need]) -> Check:
    sop_class = OUTPUT_CLASSES[kind]
    syntaxes = [syntax for syntax in OUTPUT_SYNTAXES if Need(sop_class, syntax) in accepted]
    if syntaxes:
        return Check(kind, Verdict.GOOD, f"{sop_class.name} in {', '.join(syntax.name for syntax in syntaxes)}")
    remedy = f'have {sop_class.name} ({sop_class}) switched on at the peer, or take "{kind}" out of its `receives`'
    return Check(kind, Verdict.BAD, f"{sop_class.name} is not accepted", remedy)


def _without_queries(peer: Peer) -> str:
    stays = "results stay `sent`, the node cannot see whether they are kept"
    return f"{stays}; `counts` is in vain, the phases' extents stand in for the numbers" if peer.counts else stays


def _service(what: str, sop_class: UID, accepted: frozenset[Need], without: str) -> Check:
    if Need(sop_class) in accepted:
        return Check(what, Verdict.GOOD, "offered")
    return Check(what, Verdict.LACKING, f"not offered: {without}")
