"""OHIF, the viewer that readers use, served to a headless Chromium from beside a test PACS.

The viewer is the prebuilt package of its makers, fetched once by the npm client, pinned by version and hash, and kept
outside the repository. ``Viewer`` serves it with the PACS's DICOMweb under the same origin, as a site would.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.webdriver import WebDriver

from tests.conftest import system_tool
from tests.orthanc import Orthanc

VERSION = "3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""Subresource integrity of the package, as the registry states it."""

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "her2node-tests"

WHOLE_OBJECT_S = 4
"""How long a whole object is on its way, in seconds: the viewer gives a parametric map up, and does not ask again, when
it arrives before the volume that it is laid over is made ("Referenced Volume is missing for the PMAP")."""

CONFIG = """\
window.config = {
  routerBasename: '/',
  extensions: [],
  modes: [],
  customizationService: {},
  showStudyList: true,
  maxNumberOfWebWorkers: 2,
  showLoadingIndicator: true,
  showErrorDetails: 'always',
  strictZSpacingForVolumeViewport: true,
  defaultDataSourceName: 'pacs',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
    sourceName: 'pacs',
    configuration: {
      friendlyName: 'test PACS',
      name: 'pacs',
      wadoUriRoot: '/dicom-web',
      qidoRoot: '/dicom-web',
      wadoRoot: '/dicom-web',
      qidoSupportsIncludeField: false,
      imageRendering: 'wadors',
      thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true,
      supportsFuzzyMatching: false,
      supportsWildcard: true,
      omitQuotationForMultipartRequest: true,
    },
  }],
};
"""


def package() -> Path:
    """The folder of the viewer's static files, fetched when it is not there yet."""
    folder = CACHE / f"ohif-app-{VERSION}"
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            _unpack(_fetched(Path(work)), Path(work) / "unpacked")
            (Path(work) / "unpacked").rename(folder)
    return folder / "package" / "dist"


def _fetched(folder: Path) -> Path:
    command = [system_tool("npm"), "pack", f"@ohif/app@{VERSION}", "--silent", "--ignore-scripts"]
    subprocess.run(command, cwd=folder, check=True, timeout=240)
    (archive,) = folder.glob("*.tgz")
    return archive


def _unpack(archive: Path, folder: Path) -> None:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == INTEGRITY, f"{archive.name} is not the package that was pinned"
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")


class Viewer:
    """The viewer on a free port of this machine; use it as a context manager."""

    def __init__(self, pacs: Orthanc) -> None:
        handler = type("Handler", (_Handler,), {"folder": str(package()), "pacs_port": pacs.http_port})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Viewer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(SimpleHTTPRequestHandler):
    """Files of the viewer; its one page for every other path; DICOMweb from the PACS."""

    folder: str
    pacs_port: int
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, directory=self.folder)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if re.search(r"/instances/[^/]+$", path):
            time.sleep(WHOLE_OBJECT_S)
        if path.startswith("/dicom-web"):
            self._from_the_pacs()
        elif path == "/app-config.js":
            self._answer(200, "text/javascript", CONFIG.encode())
        else:
            if not (Path(self.folder) / path.lstrip("/")).is_file():
                self.path = "/index.html"
            super().do_GET()

    def _from_the_pacs(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.pacs_port, timeout=60)
        wanted = {"Accept": self.headers.get("Accept", "*/*"), "Host": self.headers["Host"]}
        connection.request("GET", self.path, headers=wanted)
        found = connection.getresponse()
        self._answer(found.status, found.headers.get("Content-Type", ""), found.read())
        connection.close()

    def _answer(self, status: int, content_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        """Shared memory of the viewer's workers needs an origin that is isolated."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,900", "--hide-scrollbars",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
"""WebGL by software, and no word to anybody but the viewer's server."""


@contextmanager
def browser() -> Iterator[WebDriver]:
    """A Chromium with an empty profile."""
    profile = tempfile.mkdtemp(prefix="her2node-chromium-")
    options = webdriver.ChromeOptions()
    options.binary_location = system_tool("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(system_tool("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)
