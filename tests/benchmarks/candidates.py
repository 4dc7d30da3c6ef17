"""Servers that are compared, each started the same way and measured from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import system_tool
from tests.wire.peer import A_ASSOCIATE_AC, Peer
from tests.wire.test_senders import free_port

ROOT = Path(__file__).resolve().parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Candidate:
    """A running server."""

    name: str
    process: subprocess.Popen[bytes]
    port: int

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            with suppress(OSError, AssertionError), Peer(self.port) as peer:
                if peer.associate() == A_ASSOCIATE_AC:
                    peer.release()
                    return
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not answer")
            time.sleep(0.1)

    def cpu_seconds(self) -> float:
        """CPU of the server and of all its children, living and waited for."""
        return sum(_cpu(pid) for pid in self._family())

    def memory_mb(self) -> float:
        """Memory (PSS) of the server and its children."""
        return sum(_pss(pid) for pid in self._family())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    def _family(self) -> list[int]:
        pid = self.process.pid
        with suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return [pid, *map(int, children)]
        return [pid]


def _cpu(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS
    return 0.0


def _pss(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def start_all(folder: Path, names: list[str]) -> list[Candidate]:
    """Start the candidates that are asked for."""
    started = []
    for name in names:
        place = folder / name.replace(" ", "-")
        place.mkdir()
        port = free_port()
        process = subprocess.Popen(
            _command(name, place, port), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "TCP_NODELAY": "1"},
        )  # fmt: skip
        candidate = Candidate(name, process, port)
        candidate.wait_until_it_answers()
        started.append(candidate)
    return started


def _command(name: str, place: Path, port: int) -> list[str]:
    if name.startswith("her2node"):
        receivers = name.partition(" x")[2] or "1"
        launcher = [sys.executable, "-m", "tests.wire.launcher", str(place), "--port", str(port)]
        return [*launcher, "--receivers", receivers]
    if name == "stock pynetdicom":
        return [sys.executable, "-m", "tests.benchmarks.stock_scp", str(port), str(place)]
    if name == "storescp --fork":
        return [system_tool("storescp"), "--fork", "-pdu", "131072", "-aet", "HER2NODE", "-od", str(place), str(port)]
    return [system_tool("Orthanc"), str(_orthanc_settings(place, port))]


def _orthanc_settings(place: Path, port: int) -> Path:
    """Orthanc with synchronous storage, answering everyone, with a thread for each sender."""
    settings = {
        "StorageDirectory": str(place / "storage"),
        "IndexDirectory": str(place / "storage"),
        "DicomAet": "HER2NODE",
        "DicomPort": port,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowEcho": True,
        "HttpServerEnabled": False,
        "Plugins": [],
        "SyncStorageArea": True,
        "DicomThreadsCount": 8,
        "SaveJobs": False,
    }
    path = place / "orthanc.json"
    path.write_text(json.dumps(settings))
    return path
