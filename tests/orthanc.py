"""Orthanc as a test PACS: started on free ports with a storage of its own, stopped and waited for.

Use it as a context manager, or ``start`` and ``stop`` it to take the PACS away and bring it back: ports and storage
stay the same.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import system_tool

_DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = 30, what: str = "") -> Any:
    """Wait until ``condition`` gives something true, and return it; AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what or condition}")
        threading.Event().wait(0.02)
    return value


class Orthanc:
    """An Orthanc in ``folder``.

    ``modalities``: symbolic name to (AE title, port) on this machine, as Orthanc's DicomModalities. ``lua``: scripts to
    load. ``more``: further keys of orthanc.json, which win.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str = "ORTHANC",
        modalities: Mapping[str, tuple[str, int]] | None = None,
        lua: Sequence[Path] = (),
        more: Mapping[str, object] | None = None,
    ) -> None:
        self.folder, self.ae_title = folder, ae_title
        self.port, self.http_port = free_port(), free_port()
        self.modalities = dict(modalities or {})
        self.lua = tuple(lua)
        self.more = dict(more or {})
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    # --- life ----------------------------------------------------------------------------------------------

    def start(self) -> Orthanc:
        """Start and wait until REST and DICOM ports answer."""
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(self._configuration(), indent=1))
        with (self.folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen(
                [system_tool("Orthanc"), str(config)],
                stdout=log,
                stderr=log,
                env={**os.environ, "TCP_NODELAY": "1"},
                cwd=self.folder,
            )
        wait_for(self._ready, 60, f"Orthanc in {self.folder}")
        return self

    def stop(self) -> None:
        """SIGTERM, and wait until the process is gone and its ports are free."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """SIGKILL: the PACS is gone from one moment to the next."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Orthanc:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _configuration(self) -> dict[str, object]:
        return {
            "Name": "her2node test PACS",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "Plugins": [str(_DICOMWEB)] if _DICOMWEB.exists() else [],
            "LuaScripts": [str(path) for path in self.lua],
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAet": self.ae_title,
            "DicomPort": self.port,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowMove": True,
            "DicomAlwaysAllowGet": True,
            "DefaultEncoding": "Utf8",
            "OverwriteInstances": True,
            "UnknownSopClassAccepted": False,
            "StableAge": 3,
            "DicomModalities": {
                name: {"AET": ae_title, "Host": "127.0.0.1", "Port": port}
                for name, (ae_title, port) in self.modalities.items()
            },
            "DicomWeb": {"Enable": True, "StudiesMetadata": "Full"},
            **self.more,
        }

    def _ready(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise AssertionError((self.folder / "orthanc.log").read_text()[-3000:])
        try:
            self.get("/system")
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:  # urllib.error.URLError is one
            return False

    # --- REST ----------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def _call(self, path: str, body: bytes | None = None, method: str | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, data=body, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: bytes = answer.read()
        return content

    def get(self, path: str) -> Any:
        """GET; JSON decoded."""
        return json.loads(self._call(path))

    def post(self, path: str, body: object) -> Any:
        """POST of a JSON value (bytes go as they are); JSON decoded."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return json.loads(self._call(path, content) or b"null")

    def upload(self, path: Path) -> str:
        """Put a file into the PACS by REST; Orthanc's id of the instance."""
        return str(self.post("/instances", path.read_bytes())["ID"])

    def delete(self, sop_instance_uid: str) -> None:
        """Lose an instance, as a PACS may."""
        self._call(f"/instances/{self.id_of(sop_instance_uid)}", method="DELETE")

    def studies(self) -> list[str]:
        """StudyInstanceUIDs."""
        return sorted(study["MainDicomTags"]["StudyInstanceUID"] for study in self.get("/studies?expand"))

    def series(self, study_uid: str) -> list[dict[str, Any]]:
        """The series of a study as Orthanc shows them (MainDicomTags: Modality, SeriesDescription, ...)."""
        found: list[dict[str, Any]] = self._find("Series", {"StudyInstanceUID": study_uid})
        return found

    def instances(self, study_uid: str | None = None, modality: str | None = None) -> list[str]:
        """SOPInstanceUIDs, of one study or modality if named, sorted."""
        query = {"StudyInstanceUID": study_uid, "Modality": modality}
        found = self._find("Instance", {key: value for key, value in query.items() if value})
        return sorted(instance["MainDicomTags"]["SOPInstanceUID"] for instance in found)

    def id_of(self, sop_instance_uid: str) -> str:
        """Orthanc's id of an instance."""
        (found,) = self._find("Instance", {"SOPInstanceUID": sop_instance_uid})
        return str(found["ID"])

    def fetch(self, sop_instance_uid: str, to: Path | None = None) -> bytes:
        """The file of an instance; also written to ``to``."""
        content = self._call(f"/instances/{self.id_of(sop_instance_uid)}/file")
        if to is not None:
            to.write_bytes(content)
        return content

    def _find(self, level: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.post("/tools/find", {"Level": level, "Query": dict(query), "Expand": True})
        return found
