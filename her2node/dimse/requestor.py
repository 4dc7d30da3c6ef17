"""Associations that the node opens: C-STORE, C-FIND and C-ECHO, every step within a time limit.

``Requestor.open`` negotiates exactly what is about to be used and gives a ``Link``. What goes wrong has a name: the
peer is away or busy (try again), rejected the association, refused the SOP class or the object (an answer).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from ssl import SSLContext
from types import MappingProxyType
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import _config, build_context
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from her2node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from her2node.dimse.contexts import VERIFICATION
from her2node.dimse.outbound import OutboundEntity, OutboundSocket
from her2node.dimse.queries import (
    STUDY_ROOT_FIND,
    StudyHeld,
    held_in,
    instances_in,
    instances_of,
    series_of,
    study_of,
)
from her2node.dimse.status import Outcome, outcome
from her2node.errors import (
    AssociationRejected,
    Her2nodeError,
    InstanceRejected,
    InstanceUnreadable,
    PeerAway,
    PeerBusy,
    SopClassRefused,
    SpoolAway,
)
from her2node.settings import Peer

_config.STORE_SEND_CHUNKED_DATASET = True  # files go out as they are, without being parsed

MAXIMUM_CONTEXTS: Final = 128
"""Presentation context IDs are the odd numbers of one byte (PS3.8 9.3.2.2)."""

_SUCCESS = 0x0000
_SOP_CLASS_NOT_SUPPORTED = 0x0122
_PENDING = frozenset({0xFF00, 0xFF01})
_REJECTED_PERMANENT = 1
_REMEDIES = MappingProxyType(
    {
        (1, 3): "make the AE title {ours} known to the peer",
        (1, 7): "correct `ae` of the peer in the settings: it does not answer to {theirs}",
    }
)
"""What helps against a rejection, by its source and diagnostic (PS3.8 table 9-21)."""


@dataclass(frozen=True)
class Need:
    """One presentation context to propose: a SOP class in one transfer syntax."""

    sop_class_uid: str
    transfer_syntax_uid: str = ImplicitVRLittleEndian


@dataclass(frozen=True)
class Outgoing:
    """A file to send, and what its file meta information says of it."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    size: int

    @classmethod
    def of(cls, path: Path) -> Outgoing:
        """Read the file meta information alone. Raises InstanceUnreadable, and SpoolAway when the disk is at fault."""
        try:
            meta = read_file_meta_info(path)
            return cls(
                path,
                str(meta.MediaStorageSOPClassUID),
                str(meta.MediaStorageSOPInstanceUID),
                str(meta.TransferSyntaxUID),
                path.stat().st_size,
            )
        except OSError as error:
            raise SpoolAway(str(error)) from error
        except (AttributeError, ValueError, EOFError, InvalidDicomError) as error:
            raise InstanceUnreadable(f"{path.name}: {error}") from error

    @property
    def needs(self) -> tuple[Need, ...]:
        """Its own transfer syntax and, for an uncompressed object, the default one (PS3.5 10.1)."""
        own = Need(self.sop_class_uid, self.transfer_syntax_uid)
        if self.transfer_syntax_uid == ExplicitVRLittleEndian:
            return own, Need(self.sop_class_uid)
        return (own,)


@dataclass(frozen=True)
class TimeLimits:
    """How long the node waits for a peer."""

    connect: timedelta = timedelta(seconds=10)
    """For the TCP connection and the TLS handshake, each."""
    answer: timedelta = timedelta(seconds=60)
    """For the answer to any request, an association's among them."""
    slowest_bytes_per_second: int = 100_000
    """An object may take its size divided by this, on top of ``answer``."""

    def transfer(self, size: int) -> float:
        """Seconds that an object of ``size`` bytes may take from the first byte to the answer."""
        return self.answer.total_seconds() + size / self.slowest_bytes_per_second


class Link:
    """An open association, made by ``Requestor.open``. Every method raises PeerAway when the peer breaks off."""

    def __init__(self, assoc: Association, wire: OutboundSocket, where: str, limits: TimeLimits) -> None:
        self._assoc, self._wire, self._where, self._patience = assoc, wire, where, limits
        self._messages = 0
        self._broken = False
        self._contexts = [_need_of(context) for context in assoc.accepted_contexts]

    @property
    def accepted(self) -> frozenset[Need]:
        """What the peer accepted of that which was proposed."""
        return frozenset(self._contexts)

    def echo(self) -> None:
        """C-ECHO. Raises SopClassRefused, PeerBusy."""
        self._must_accept(Need(VERIFICATION), "Verification")
        with self._within(self._patience.answer.total_seconds()):
            status = self._status_of(self._assoc.send_c_echo(self._next_message()))
        if status != _SUCCESS:
            raise PeerBusy(f"{self._where} answered C-ECHO with 0x{status:04X}")

    def store(self, file: Outgoing) -> str:
        """C-STORE of one file as it lies on the disk; '' or a note when the peer accepted it with a warning.

        An uncompressed object goes to a peer that takes only Implicit VR Little Endian in that syntax. Raises
        SopClassRefused and InstanceRejected (for good), PeerBusy (try again), InstanceUnreadable.
        """
        content = self._encoding_of(file)
        with self._within(self._patience.transfer(file.size)):
            status = self._status_of(self._assoc.send_c_store(content, self._next_message()))
        said = f"{self._where} answered C-STORE with 0x{status:04X}"
        match outcome(status):
            case Outcome.STORED:
                return "" if status == _SUCCESS else said
            case Outcome.LATER:
                raise PeerBusy(said)
        raise SopClassRefused(said) if status == _SOP_CLASS_NOT_SUPPORTED else InstanceRejected(said)

    def find(self, study_uid: str, series_uid: str, instance_uids: Collection[str]) -> frozenset[str]:
        """Which of the instances of one series the peer has (C-FIND, study root, IMAGE level).

        Raises SopClassRefused when it offers no such query, PeerBusy when the query failed.
        """
        found = instances_in(self._matches(instances_of(study_uid, series_uid, instance_uids)))
        return found & frozenset(instance_uids)

    def count(self, study_uid: str) -> StudyHeld:
        """How many objects the peer has of a study and of each of its series (C-FIND, study root, SERIES and STUDY).

        A peer need not give the numbers. Raises SopClassRefused when it offers no such query, PeerBusy when the query
        failed.
        """
        return held_in(study_uid, self._matches(series_of(study_uid)), self._matches(study_of(study_uid)))

    def _matches(self, identifier: Dataset) -> list[Dataset]:
        """All answers to one query."""
        self._must_accept(Need(STUDY_ROOT_FIND), "C-FIND")
        found: list[Dataset] = []
        status = _SUCCESS
        with self._within(self._patience.answer.total_seconds()):
            for answer, match in self._assoc.send_c_find(identifier, STUDY_ROOT_FIND, self._next_message()):
                status = self._status_of(answer)
                if status in _PENDING and match is not None:
                    found.append(match)
        if status == _SOP_CLASS_NOT_SUPPORTED:
            raise SopClassRefused(f"{self._where} offers no C-FIND")
        if status != _SUCCESS:
            raise PeerBusy(f"{self._where} answered C-FIND with 0x{status:04X}")
        return found

    def _encoding_of(self, file: Outgoing) -> Path | Dataset:
        """The file itself where its own syntax was accepted, else its data set for pynetdicom to encode anew."""
        own = Need(file.sop_class_uid, file.transfer_syntax_uid)
        if own in self._contexts:
            return file.path
        if not any(need in self._contexts for need in file.needs):
            self._must_accept(own, UID(file.sop_class_uid).name)
        return dcmread(file.path)

    def _must_accept(self, need: Need, name: str) -> None:
        if need not in self._contexts:
            syntax = UID(need.transfer_syntax_uid).name
            raise SopClassRefused(
                f"{self._where} does not accept {name} ({need.sop_class_uid}) in {syntax}",
                remedy=f"have {name} switched on at the peer, or leave it out of `receives` of the peer",
            )

    def _next_message(self) -> int:
        self._messages = self._messages % 0xFFFF + 1
        return self._messages

    def _status_of(self, answer: Dataset) -> int:
        """The status, or PeerAway: pynetdicom gives an empty data set for an abort or the end of its patience."""
        if "Status" not in answer:
            raise self._away()
        return int(answer.Status)

    @contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        if self._broken or not self._assoc.is_established:
            raise self._away()
        self._assoc.dimse_timeout = seconds + 1  # the rope acts first; this is for a rope that found no socket
        with self._wire.rope(seconds):
            try:
                yield
            except RuntimeError as error:  # the association ended between two steps
                raise self._away() from error

    def _away(self) -> PeerAway:
        self._broken = True  # pynetdicom takes a moment to notice, and would wait for an answer meanwhile
        return PeerAway(f"{self._where} {self._wire.ending}")


class Requestor:
    """Opens associations in the node's name. Safe for several threads."""

    def __init__(self, ae_title: str, tls: SSLContext | None = None, limits: TimeLimits | None = None) -> None:
        self.ae_title = ae_title
        self.tls = tls
        self.limits = limits or TimeLimits()
        self._open: set[OutboundSocket] = set()
        self._lock = threading.Lock()

    @contextmanager
    def open(self, peer: Peer, needs: Sequence[Need]) -> Iterator[Link]:
        """An association that proposes ``needs`` (at most 128), released at the end, aborted after an error.

        When the peer accepts the association but none of ``needs``, the link accepts nothing and says so.
        Raises PeerAway and AssociationRejected.
        """
        if not 1 <= len(needs) <= MAXIMUM_CONTEXTS:
            raise ValueError(f"{len(needs)} presentation contexts; an association takes 1 to {MAXIMUM_CONTEXTS}")
        where = f"{peer.ae} at {peer.host}:{peer.port}"
        assoc, wire = self._associate(peer, needs, where)
        try:
            yield Link(assoc, wire, where, self.limits)
            with wire.rope(self.limits.answer.total_seconds()):
                assoc.release()
        finally:
            with wire.rope(self.limits.connect.total_seconds()):
                if assoc.is_established:
                    assoc.abort()
            self._discard(wire)

    def cut_all(self) -> None:
        """Break off every association that is open, from any thread: its user gets PeerAway."""
        with self._lock:
            wires = tuple(self._open)
        for wire in wires:
            wire.cut("the node stops")

    def _associate(self, peer: Peer, needs: Sequence[Need], where: str) -> tuple[Association, OutboundSocket]:
        connect, answer = self.limits.connect.total_seconds(), self.limits.answer.total_seconds()
        ae = OutboundEntity(self.ae_title, connect, answer, self._keep)
        ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        if peer.tls and self.tls is None:
            raise PeerAway(f"{where} wants TLS", remedy="set certificate, key and ca in [delivery.tls]")
        tls = (self.tls, peer.host) if peer.tls and self.tls else None
        contexts = [build_context(need.sop_class_uid, need.transfer_syntax_uid) for need in needs]
        try:
            with ae.within(2 * connect + answer):
                assoc = ae.associate(peer.host, peer.port, contexts, peer.ae, tls_args=tls)
        except socket.gaierror as error:
            raise PeerAway(f"{where}: {error.strerror}", remedy="correct `host` of the peer in the settings") from error
        if (reason := self._why_not(assoc, ae.wire, peer, where)) is not None:
            self._discard(ae.wire)
            raise reason
        _keep_answers(assoc)
        return assoc, ae.wire

    def _keep(self, wire: OutboundSocket) -> None:
        with self._lock:
            self._open.add(wire)

    def _discard(self, wire: OutboundSocket) -> None:
        wire.discard()
        with self._lock:
            self._open.discard(wire)

    def _why_not(self, assoc: Association, wire: OutboundSocket, peer: Peer, where: str) -> Her2nodeError | None:
        """What stands against using the association. None: nothing, or nothing but refused contexts."""
        answer = assoc.acceptor.primitive
        if assoc.is_established or (isinstance(answer, A_ASSOCIATE) and answer.result == 0):
            return None
        if assoc.is_rejected and isinstance(answer, A_ASSOCIATE):
            return self._rejection(answer, peer, where)
        if wire.failure is not None:
            return PeerAway(f"{where}: {wire.failure}")
        return PeerAway(f"{where} {wire.ending}")

    def _rejection(self, answer: A_ASSOCIATE, peer: Peer, where: str) -> Her2nodeError:
        said = f"{where}: {answer.reason_str}"
        if answer.result != _REJECTED_PERMANENT:
            return PeerAway(f"{said} (transient)")
        remedy = _REMEDIES.get((answer.result_source or 0, answer.diagnostic or 0), "ask the peer's administrator")
        return AssociationRejected(said, remedy=remedy.format(ours=self.ae_title, theirs=peer.ae))


def _keep_answers(assoc: Association) -> None:
    """Leave every answer to the thread that waits for it.

    pynetdicom's reactor thread is meant to pause meanwhile, but may still be between its pause and one more look, by
    which it takes the answer away (seen once in some 1,000 sends on Python 3.13). Only it looks without waiting, and a
    peer has nothing to ask of a requestor.
    """
    waiting = assoc.dimse.get_msg

    def get_msg(block: bool = False) -> tuple[int, Any] | tuple[None, None]:
        return waiting(block=True) if block else (None, None)

    setattr(assoc.dimse, "get_msg", get_msg)  # noqa: B010 - mypy holds that a method cannot be assigned to


def needs_of(files: Iterable[Outgoing]) -> tuple[Need, ...]:
    """What must be proposed to send ``files``, each once."""
    return tuple(dict.fromkeys(need for file in files for need in file.needs))


def batches(files: Sequence[Outgoing]) -> Iterator[tuple[Outgoing, ...]]:
    """Split ``files`` so that each batch needs no more contexts than one association takes."""
    batch: list[Outgoing] = []
    for file in files:
        if len(needs_of([*batch, file])) > MAXIMUM_CONTEXTS:
            yield tuple(batch)
            batch = []
        batch.append(file)
    if batch:
        yield tuple(batch)


def _need_of(context: PresentationContext) -> Need:
    return Need(str(context.abstract_syntax), str(context.transfer_syntax[0]))
