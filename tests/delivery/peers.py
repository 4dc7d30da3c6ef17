"""Peers of every temper: pynetdicom SCPs with scripted answers, DCMTK's storescp, and bare sockets."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from her2node.settings import Peer
from tests.conftest import system_tool
from tests.delivery.objects import PDF, PM, SC, SEG, SR
from tests.orthanc import free_port, wait_for

VERIFICATION = "1.2.840.10008.1.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
ALL = (SR, SEG, SC, PDF, PM)


def peer_at(port: int, ae: str = "PACS", **more: object) -> Peer:
    return Peer.model_validate({"ae": ae, "host": "127.0.0.1", "port": port, **more})


class FakePacs:
    """Stores by ``answers`` (SOP class to status, or a callable), and finds what it stored unless ``lost``."""

    def __init__(
        self,
        *,
        classes: Sequence[str] = ALL,
        syntaxes: Sequence[str] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        finds: bool = True,
        ae_title: str = "PACS",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        on_store: Callable[[evt.Event], int] = lambda event: 0x0000,
        require_calling: Sequence[str] = (),
    ) -> None:
        self.stored: list[str] = []
        self.datasets: dict[str, Dataset] = {}
        self.syntaxes: list[str] = []
        self.proposed: list[list[tuple[str, str]]] = []
        self.lost: set[str] = set()
        self.echoes = 0
        self.fails_queries = False
        self.queries: list[Dataset] = []
        self.holds: list[Dataset] = []
        """What it answers to queries of series and studies."""
        self._on_store = on_store
        ae = AE(ae_title)
        ae.require_called_aet = True
        ae.require_calling_aet = list(require_calling)
        ae.add_supported_context(VERIFICATION)
        for sop_class in classes:
            ae.add_supported_context(sop_class, list(syntaxes))
        if finds:
            ae.add_supported_context(FIND)
        self._connections: list[socket.socket] = []
        handlers = [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_REQUESTED, self._requested),
        ]
        self._server = ae.make_server(("127.0.0.1", port), evt_handlers=handlers, ssl_context=tls)
        ae._servers.append(self._server)  # as start_server does, which polls every 0.5 s
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.port = int(self._server.server_address[1])
        self.peer = peer_at(self.port, ae_title)

    def _store(self, event: evt.Event) -> int:
        status = self._on_store(event)
        if status == 0x0000 or status >> 12 == 0xB:
            uid = str(event.request.AffectedSOPInstanceUID)
            self.datasets[uid] = event.dataset
            self.syntaxes.append(str(event.context.transfer_syntax))
            self.stored.append(uid)
        return status

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        wanted = event.identifier
        self.queries.append(wanted)
        if self.fails_queries:
            yield 0xC001, None
            return
        if wanted.QueryRetrieveLevel != "IMAGE":
            held = [match for match in self.holds if match.QueryRetrieveLevel == wanted.QueryRetrieveLevel]
            yield from ((0xFF00, match) for match in held)
            return
        uids = wanted.SOPInstanceUID
        for uid in [str(uids)] if isinstance(uids, UID) else [str(uid) for uid in uids]:
            if uid in self.stored and uid not in self.lost:
                match = Dataset()
                match.QueryRetrieveLevel = "IMAGE"
                match.SOPInstanceUID = uid
                yield 0xFF00, match

    def _echo(self, event: evt.Event) -> int:
        self.echoes += 1
        return 0x0000

    def _opened(self, event: evt.Event) -> None:
        self._connections.append(event.assoc.dul.socket.socket)

    def _requested(self, event: evt.Event) -> None:
        contexts = event.assoc.requestor.requested_contexts
        self.proposed.append([(str(cx.abstract_syntax), str(cx.transfer_syntax[0])) for cx in contexts])

    def stop(self) -> None:
        self._server.shutdown()
        for connection in self._connections:
            connection.close()  # pynetdicom leaves those open that the other side shut first

    def __enter__(self) -> FakePacs:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def holding(
    series: Mapping[str, tuple[str, int | str | None]], objects: int | str | None = None, study: str = "2.25.100"
) -> list[Dataset]:
    """Answers of a peer that has ``series`` (UID to modality and number of objects); None leaves the number out."""
    whole = Dataset()
    whole.QueryRetrieveLevel, whole.StudyInstanceUID = "STUDY", study
    if objects is not None:
        whole.NumberOfStudyRelatedInstances = objects
    return [whole, *(_held(study, uid, *what) for uid, what in series.items())]


def _held(study: str, series: str, modality: str, objects: int | str | None) -> Dataset:
    ds = Dataset()
    ds.QueryRetrieveLevel, ds.StudyInstanceUID, ds.SeriesInstanceUID = "SERIES", study, series
    if modality:
        ds.Modality = modality
    if objects is not None:
        ds.NumberOfSeriesRelatedInstances = objects
    return ds


@contextmanager
def deaf_peer(*, says: bytes = b"", then_closes: bool = False) -> Iterator[int]:
    """A port that accepts connections, says ``says`` and then is silent (or closes); never reads."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if says:
                connection.sendall(says)
            if then_closes:
                connection.close()
            else:
                taken.append(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in taken:
            connection.close()


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    """DCMTK's storescp, writing to ``folder``."""
    port = free_port()
    process = subprocess.Popen(
        [system_tool("storescp"), "-od", str(folder), *options, str(port)],
        env={**os.environ, "TCP_NODELAY": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: _answers(port), 30, "storescp")
        yield port
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
