"""A house with a ledger and a spool, and both brokers."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest

from her2node import log
from her2node.jobs.queue import QueueOptions
from her2node.ledger import open_ledger
from tests.conftest import system_tool
from tests.jobs.made import House, new_house, until


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[StringIO]:
    """The log goes into a string: lines of JSON."""
    stream = StringIO()
    log.configure("json", stream)
    yield stream
    log.configure()


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.sqlite"
    open_ledger(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def house(tmp_path: Path, empty_ledger: Path) -> Iterator[House]:
    shutil.copy(empty_ledger, tmp_path / "ledger.sqlite")
    made = new_house(tmp_path)
    yield made
    made.session.close(clean=True)
    made.ledger.close()


class RedisServer:
    """A real Redis on a unix socket of its own; nothing is kept on disk."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self._command = [system_tool("redis-server"), "--port", "0", "--unixsocket", str(self.socket)]
        self._command += ["--save", "", "--dir", str(folder), "--logfile", str(folder / "log")]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis+socket://{self.socket}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command)
        until(lambda: self._cli("ping") == "PONG", 20, "Redis")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def flush(self) -> None:
        assert self._cli("flushall") == "OK"

    def _cli(self, word: str) -> str:
        command = [system_tool("redis-cli"), "-s", str(self.socket), word]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="her2node-redis-", dir="/tmp"))  # short: socket paths hold 107 bytes
    server = RedisServer(folder)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.servers)])
def queue_options(request: pytest.FixtureRequest, tmp_path: Path) -> QueueOptions:
    """Both brokers, the same tests."""
    if request.param == "embedded":
        return QueueOptions("embedded", tmp_path / "run", timedelta(seconds=60))
    server: RedisServer = request.getfixturevalue("redis_server")
    return QueueOptions(server.url, tmp_path / "run", timedelta(seconds=60))
