"""`doctor`: what works, what does not, and what to do, in plain words. And `conformance`, the statement to file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import her2node
from her2node.dimse.conformance import Facts, statement
from her2node.dimse.contexts import VERIFICATION
from her2node.dimse.probe import Verdict, probe
from her2node.dimse.requestor import Need, Requestor
from her2node.dimse.tls import client_context, server_context
from her2node.errors import Her2nodeError
from her2node.service.parts import open_ledger_of
from her2node.service.roles import queue_options_of
from her2node.settings import Peer, ReceptionTls, Settings


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    verdict: str
    """``good``, ``lacking`` (the node does without) or ``bad``."""
    detail: str
    remedy: str = ""

    @property
    def fine(self) -> bool:
        return self.verdict != "bad"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_text(self) -> str:
        remedy = f"\n          do: {self.remedy}" if self.remedy else ""
        return f"{self.verdict:8}  {self.what}: {self.detail}{remedy}"


def examine(settings: Settings, *, peers: bool) -> tuple[Finding, ...]:
    """Look at this node, and with ``peers`` at every configured peer too."""
    found = [_disk(settings), *_ledger(settings), _broker(settings), *_receiver(settings)]
    if peers:
        found += _peers(settings)
    return tuple(found)


def conformance(settings: Settings) -> str:
    """The DICOM Conformance Statement, as Markdown."""
    return statement(Facts(her2node.__version__, settings.reception, settings.delivery))


def _attempt(what: str, act: Callable[[], str], remedy: str = "") -> Finding:
    """Whether ``act`` succeeds, with its words or those of the error that the node foresees."""
    try:
        return Finding(what, "good", act())
    except Her2nodeError as error:
        return Finding(what, "bad", str(error), error.remedy or remedy)


def _disk(settings: Settings) -> Finding:
    folder = settings.spool_dir
    while not folder.exists():
        folder = folder.parent
    free, watermark = shutil.disk_usage(folder).free, settings.reception.free_space_watermark_bytes
    detail = f"{free / 2**30:.1f} GiB free for {settings.spool_dir}, watermark {watermark / 2**30:.1f} GiB"
    if free < watermark:
        return Finding("disk", "bad", detail, "free space or lower reception.free_space_watermark_bytes")
    return Finding("disk", "good", detail)


def _ledger(settings: Settings) -> Iterator[Finding]:
    def look() -> str:
        with open_ledger_of(settings) as ledger:
            studies = ledger.studies()
        unsent = [line for line in studies if {"due", "sending", "held"} & line.deliveries.keys()]
        if not unsent:
            return f"{len(studies)} studies, every result is sent"
        oldest = min(line.changed_at for line in unsent)
        return f"{len(studies)} studies, {len(unsent)} with unsent results, the oldest of {oldest:%Y-%m-%d %H:%M} UTC"

    yield _attempt("ledger", look, "correct ledger.url, or start the database")


def _broker(settings: Settings) -> Finding:
    from her2node.jobs.queue import JobQueue

    def look() -> str:
        queue = JobQueue(queue_options_of(settings))
        try:
            workers = queue.ping()
        finally:
            queue.close()
        return f"{settings.jobs.broker if not settings.jobs.broker_file else 'broker'}: {_workers(workers)}"

    return _attempt("broker", look, "start Redis, or correct jobs.broker")


def _workers(names: tuple[str, ...]) -> str:
    return (
        f"{len(names)} workers answer ({', '.join(names)})"
        if names
        else "no worker answers; is `her2node work` running?"
    )


def _receiver(settings: Settings) -> Iterator[Finding]:
    """C-ECHO to the own port, as the own AE title; of a TLS port, whether its files can be used."""
    reception = settings.reception
    host = "127.0.0.1" if reception.host in {"0.0.0.0", "::", ""} else reception.host
    if reception.port:
        us = Peer(ae=reception.ae_title, host=host, port=reception.port)
        remedy = "start `her2node up` or `her2node receive`"
        yield _attempt("receiver", lambda: _echo(Requestor(reception.ae_title), us), remedy)
    if reception.tls.port:
        yield _attempt("receiver, TLS", lambda: _tls_files(reception.tls))


def _tls_files(files: ReceptionTls) -> str:
    server_context(files)
    return f"certificate and key can be used on port {files.port}"


def _echo(requestor: Requestor, peer: Peer) -> str:
    with requestor.open(peer, [Need(VERIFICATION)]) as link:
        link.echo()
    return f"{peer.ae} answers C-ECHO on port {peer.port}"


def _peers(settings: Settings) -> Iterator[Finding]:
    if not settings.peers:
        remedy = "add [peers.NAME] with ae, host and port: where results go"
        yield Finding("peers", "bad", "none is configured: every result will be held", remedy)
    for name, peer in settings.peers.items():
        tls = client_context(settings.delivery.tls) if peer.tls else None
        for check in probe(Requestor(settings.reception.ae_title, tls), peer):
            yield Finding(f"peer {name}, {check.what}", _word(check.verdict), check.detail, check.remedy)


def _word(verdict: Verdict) -> str:
    return verdict.value
