"""Nothing lost, nothing doubled: SIGKILL at named points, three times each, over both brokers, printed as a matrix.

Each cell is a study of 104 images and a segmentation that is sent, read and delivered to a real Orthanc while one
process of the node is killed three times at the same point (once in each of its lives) and started again. In the end
every object that was answered with Success is filed, and the PACS holds exactly one result set an edition.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom import dcmread

from her2node.jobs.broker import FILE_NAME
from tests.conftest import system_tool
from tests.orthanc import Orthanc, free_port, wait_for
from tests.scenarios.node import Node, until
from tests.scenarios.sending import Sender, small_study

pytestmark = [
    pytest.mark.soak,
    pytest.mark.servers,
    pytest.mark.timeout(600),
    # pynetdicom's requestor, the sender of these tests, forgets its socket when a node under attack refuses it
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TIMES = 3
LAUNCHER = ("-m", "tests.scenarios.launch")


@dataclass(frozen=True)
class Point:
    """Where a role is killed; ``skip`` calls pass first in each life, so that the kill comes in the midst."""

    role: str
    at: str
    skip: int = 0


POINTS = {
    "receiver: begin": Point("receive", "her2node.spool.incoming:AssociationFolder.begin:after", 20),
    "receiver: write": Point("receive", "her2node.spool.incoming:IncomingFile.write:after", 20),
    "receiver: rename": Point("receive", "her2node.spool.incoming:os.rename:before", 20),
    "receiver: fsync": Point("receive", "her2node.spool.incoming:os.fsync:before", 25),
    "receiver: before the answer": Point("receive", "her2node.spool.incoming:IncomingFile.commit:after", 20),
    "receiver: after the answer": Point("receive", "her2node.dimse.transfer:Transfer._close:after", 20),
    "receiver: telling the ledger": Point("receive", "her2node.ledger.ledger:Ledger.take_in:before"),
    "leader: filing": Point("work", "her2node.ledger.ledger:Ledger.file:after"),
    "leader: completing": Point("work", "her2node.ledger.ledger:Ledger.complete:after"),
    "leader: dispatch": Point("work", "her2node.ledger.ledger:Ledger.mark_sent:after"),
    "worker: claim": Point("work", "her2node.ledger.ledger:Ledger.claim:after"),
    "worker: read": Point("work", "her2node.reading:read:after"),
    "worker: effect": Point("work", "her2node.spool.spool:Spool.write_result:after", 1),
    "worker: before the commit": Point("work", "her2node.ledger.ledger:Ledger.finish:before"),
    "worker: after the commit": Point("work", "her2node.ledger.ledger:Ledger.finish:after"),
    "courier: before the send": Point("deliver", "her2node.dimse.requestor:Link.store:before"),
    "courier: between send and response": Point("deliver", "pynetdicom.dimse:DIMSEServiceProvider.send_msg:after"),
    "courier: after the response": Point("deliver", "her2node.dimse.requestor:Link.store:after"),
    "courier: before it is noted": Point("deliver", "her2node.ledger.ledger:Ledger.delivered:before"),
}
"""Each role is killed in three of its lives."""

ONCE = {"worker: after the commit", "leader: completing", "leader: filing"}
"""Points that a study passes once, for there is nothing to repeat: three studies are sent."""
MATRIX: list[tuple[str, str, str]] = []


class Redis:
    """A real Redis on a free port, nothing kept on disk."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [system_tool("redis-server"), "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen([*command, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL)
        wait_for(lambda: self.command("ping") == "PONG", 20, "Redis")

    def command(self, *words: str) -> str:
        command = [system_tool("redis-cli"), "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class Cell:
    """A node whose roles are started again when they die, as a supervisor would."""

    node: Node
    point: Point | None
    kills: Path
    stopping: threading.Event = field(default_factory=threading.Event)
    deaths: Counter[str] = field(default_factory=Counter)
    thread: threading.Thread | None = None

    def start(self) -> None:
        for role in ("receive", "work", "deliver"):
            self._start(role)
        until(self.node.answers, 30, "the node's port")
        self.thread = threading.Thread(target=self._mend)
        self.thread.start()

    def _start(self, role: str) -> None:
        env = {}
        if self.point is not None and self.point.role == role:
            env = {"KILL_AT": self.point.at, "KILL_SKIP": str(self.point.skip)}
            env |= {"KILL_FILE": str(self.kills), "KILL_TIMES": str(TIMES)}
        # Nobody waits for the port here: a receiver that recovers may be killed before it opens it.
        self.node.start(role, launcher=LAUNCHER, env=env, wait=False)

    def _mend(self) -> None:
        while not self.stopping.wait(0.1):
            for role in ("receive", "work", "deliver"):
                if not self.node.alive(role) and not self.stopping.is_set():
                    self.deaths[role] += 1
                    with suppress(KeyError):
                        self.node.kill(role)
                    self._start(role)

    def stop(self) -> None:
        self.stopping.set()
        if self.thread is not None:
            self.thread.join(60)
        self.node.kill()

    def kills_done(self) -> int:
        return len(self.kills.read_text().splitlines()) if self.kills.exists() else 0


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("pacs"), ae_title="PACS") as orthanc:
        yield orthanc


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    server = Redis()
    server.start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def _matrix(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """What the test held goes to whoever prints the matrix in the end (``tests.conftest.Tally``)."""
    yield
    while MATRIX:
        what, broker, outcome = MATRIX.pop(0)
        record_property("kill matrix", f"{what:38} {broker:9} {outcome}")


@pytest.fixture(params=["embedded", "redis"])
def cell(request: pytest.FixtureRequest, tmp_path: Path, pacs: Orthanc, redis: Redis) -> Iterator[Callable[..., Cell]]:
    made: list[Cell] = []

    def make(point: Point | None, **more: object) -> Cell:
        broker = {"jobs.broker": redis.url} if request.param == "redis" else {}
        quick = {"jobs.lease": 2, "jobs.heartbeat": 0.4, "jobs.resend": 1.5, "completion.quiet": 8, "jobs.attempts": 12}
        node = Node(tmp_path / "node", {**quick, **broker, **more})
        node.peer("pacs", "PACS", pacs.port)
        made.append(Cell(node, point, tmp_path / "kills"))
        return made[-1]

    make.broker = request.param  # type: ignore[attr-defined]
    yield make
    for one in made:
        one.stop()
    gc.collect()  # the forgotten sockets, here where they are expected and in no later test
    if request.param == "redis":
        redis.command("flushall")


def _holds(what: str, cell: Cell, pacs: Orthanc, study: str, acknowledged: set[str], broker: str, kills: int) -> None:
    """Everything acknowledged is filed, and the PACS has one result set an edition."""
    until(lambda: cell.node.settled(study), 150, f"{what}: delivered results")
    story = cell.node.story(study)
    assert story is not None
    until(lambda: (s := cell.node.story(study)) and s.instances.get("filed") == len(acknowledged), 30, "all filed")
    until(lambda: cell.node.settled(study, len(story.editions)), 90)
    story = cell.node.story(study)
    assert story is not None
    editions = len(story.editions)
    for edition in story.editions:
        kinds = Counter(result.kind for result in edition.results)
        assert set(kinds.values()) == {1}
        assert kinds["report"] + kinds["could-not"] == 1  # one that met a phase without the region could not measure
    delivered = {
        result.sop_instance_uid
        for edition in story.editions
        for result in edition.results
        if any(delivery.state in {"sent", "confirmed"} for delivery in result.deliveries)
    }
    assert set(pacs.instances(study)) == delivered
    filed, repeated = story.instances["filed"], story.instances.get("duplicate", 0)
    MATRIX.append(
        (what, broker, f"{kills} kills, {filed} filed ({repeated} sent again), {editions} editions, 1 set each")
    )


@pytest.mark.parametrize("what", POINTS)
def test_nothing_is_lost_or_doubled_when_killed_at(
    what: str, cell: Callable[..., Cell], pacs: Orthanc, tmp_path: Path
) -> None:
    broker: str = cell.broker  # type: ignore[attr-defined]
    one = cell(POINTS[what])
    one.start()
    seed = zlib.crc32(f"{what} {broker}".encode()) % 10**6
    studies = {}
    for number in range(TIMES if what in ONCE else 1):
        study, files = small_study(tmp_path / f"study-{number}", seed + number)
        sender = Sender(one.node.port)
        sender.send(files)
        assert sender.acknowledged == {str(dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in files}
        studies[study] = sender.acknowledged
    until(lambda: one.kills_done() == TIMES, 120, f"{TIMES} kills at {what}, {one.kills_done()} came")
    for study, acknowledged in studies.items():
        _holds(what, one, pacs, study, acknowledged, broker, one.kills_done())


def test_nothing_is_lost_or_doubled_when_the_whole_tree_is_killed(
    cell: Callable[..., Cell], pacs: Orthanc, tmp_path: Path
) -> None:
    one = cell(None)
    study, files = small_study(tmp_path / "study", 71 if cell.broker == "redis" else 72)  # type: ignore[attr-defined]
    one.start()
    sender = Sender(one.node.port)
    third = len(files) // TIMES
    for number in range(TIMES):
        sender.send(files[number * third : (number + 1) * third if number < TIMES - 1 else None])
        for process in tuple(one.node.processes.values()):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        until(lambda seen=number: sum(one.deaths.values()) >= 3 * (seen + 1), 60, "the tree is started again")
    until(one.node.answers, 30)
    _holds("the whole tree", one, pacs, study, sender.acknowledged, cell.broker, sum(one.deaths.values()))  # type: ignore[attr-defined]


def test_nothing_is_lost_or_doubled_when_the_broker_loses_everything(
    cell: Callable[..., Cell], pacs: Orthanc, redis: Redis, tmp_path: Path
) -> None:
    broker: str = cell.broker  # type: ignore[attr-defined]
    losses = {"embedded": (_file_deleted,), "redis": (_killed, _flushed)}[broker]
    one = cell(None)
    one.start()
    for number, lose in enumerate(losses * TIMES):
        study, files = small_study(tmp_path / f"study-{number}", (800 if broker == "redis" else 900) + number)
        sender = Sender(one.node.port)
        sender.send(files)
        _reached(one.node, study, {"due", "reading", "read"})
        lose(one, redis)
        _holds(
            f"the broker {lose.__name__.strip('_').replace('_', ' ')}", one, pacs, study, sender.acknowledged, broker, 1
        )


def _reached(node: Node, study: str, states: set[str]) -> None:
    until(lambda: (story := node.story(study)) and story.editions[-1].state in states, 60, f"one of {states}")


def _file_deleted(one: Cell, redis: Redis) -> None:
    for file in one.node.settings().broker_dir.glob(f"{FILE_NAME}*"):
        file.unlink(missing_ok=True)


def _killed(one: Cell, redis: Redis) -> None:
    redis.kill()
    redis.start()


def _flushed(one: Cell, redis: Redis) -> None:
    redis.command("flushall")
