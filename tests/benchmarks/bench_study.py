"""One large study through the whole node: ``python -m tests.benchmarks.bench_study [--slices 600] [--matrix 512]``.

A portal series and a SEG of its tumour are written beforehand, sent by storescu to a node with production clocks, and
come back as results in an Orthanc. Printed for each settle time: the seconds from the end of the association to the
last result in the PACS, step by step; what every process used beside its limit; how long `up` took to be ready and
to stop. Nothing is asserted but that the results are in the PACS.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import create_engine, func, select

from her2node.ledger import schema
from her2node.ledger.story_records import StudyStory
from her2node.phantoms import PhantomOptions, RoiForm, ct, write
from her2node.phantoms.anatomy import Phase
from tests.conftest import system_tool
from tests.orthanc import Orthanc
from tests.scenarios.node import Node, until

SETTLES = (5.0, 0.5)
LENGTH_MM = 300.0
"""Of the series, whatever the number of its slices."""
PATIENCE = 300.0
LOOK_EVERY = 0.2
LIMITS_MB = {"receive": 100, "work, pool process": 2048}
_TICKS = os.sysconf("SC_CLK_TCK")
QUICK = ("completion.", "jobs.", "delivery.")
"""Clocks of ``Node`` that are taken back to what the settings say."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--matrix", type=int, default=512)
    parser.add_argument("--settle", type=float, nargs="*", default=SETTLES, help="seconds; one run for each")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="bench-study-") as name:
        folder = Path(name)
        study = make(folder / "study", options.slices, options.matrix)
        print(f"{study.objects} objects, {study.megabytes:.0f} MB; load {load()}", flush=True)
        runs = [run(folder / f"settle-{settle:g}", study, settle) for settle in options.settle]
    print_steps(runs)
    print_uses(runs)


@dataclass(frozen=True)
class Study:
    """What is sent."""

    uid: str
    folder: Path
    objects: int
    megabytes: float


@dataclass
class Run:
    """What one run showed. ``steps`` begin with the end of the association, in seconds."""

    settle: float
    load_before: str
    load_after: str = ""
    ready: float = 0.0
    transfer: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    stop: float = 0.0
    uses: dict[str, Use] = field(default_factory=dict)


@dataclass
class Use:
    """What one process used: most memory (MB), and processor seconds from its start."""

    rss: float = 0.0
    pss: float = 0.0
    cpu: float = 0.0


def make(folder: Path, slices: int, matrix: int) -> Study:
    """The portal phase of a phantom and its tumour as SEG."""
    study = ct.make(
        PhantomOptions(
            seed=11,
            phases=(Phase.PORTAL,),
            rows=matrix,
            columns=matrix,
            slices=slices,
            slice_spacing_mm=round(LENGTH_MM / slices, 3),
            rois=(RoiForm.BINARY,),
        )
    )
    files = write(study, folder)
    (folder / "truth.json").unlink()  # storescu sends what lies in the folder
    return Study(study.study_instance_uid, folder, len(files), sum(file.stat().st_size for file in files) / 1e6)


def load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


# --- a run ---------------------------------------------------------------------------------------------------


def run(folder: Path, study: Study, settle: float) -> Run:
    """Start a node and a PACS, send, wait for the results, stop."""
    node = Node(folder / "node")
    node.keys = {key: value for key, value in node.keys.items() if not key.startswith(QUICK)}
    found = Run(settle, load())
    with Orthanc(folder / "pacs", ae_title="PACS") as pacs:
        node.peer("pacs", "PACS", pacs.port)
        node.write({"completion.settle": settle})
        began = time.monotonic()
        node.start()
        try:
            until(lambda: ready(node), 120, "a node that is ready")
            found.ready = time.monotonic() - began
            with watching(node) as watch:
                found.transfer = send(study, node.port)
                until(lambda: node.settled(study.uid), PATIENCE, "delivered results")
            found.steps, found.uses = steps_of(node, study, watch), watch.uses
            assert len(pacs.instances(study.uid, "SR")) == 2, "the results are not in the PACS"
            began = time.monotonic()
            assert node.stop() == {"up": 0}
            found.stop = time.monotonic() - began
        finally:
            node.kill()
    found.load_after = load()
    return found


def ready(node: Node) -> bool:
    return any(event["event"] == "started" and event.get("role") == "up" for event in node.events())


def send(study: Study, port: int) -> float:
    """By storescu over one association; seconds."""
    command = [system_tool("storescu"), "-R", "-pdu", "131072", "-aet", "PACS", "-aec", "HER2NODE", "+sd", "+r"]
    began = time.monotonic()
    subprocess.run(
        [*command, "127.0.0.1", str(port), str(study.folder)],
        check=True,
        env={**os.environ, "TCP_NODELAY": "1"},
        stderr=subprocess.DEVNULL,
    )
    return time.monotonic() - began


def steps_of(node: Node, study: Study, watch: Watch) -> dict[str, float]:
    """The seconds of each step since the association ended, in order; the last is the whole.

    Settle counts from the last object: what is filed and classified meanwhile costs nothing.
    """
    story = node.story(study.uid)
    assert story is not None
    edition = story.editions[-1]
    (job,) = edition.jobs
    ended, sent = association_end(node), last_sent(story)
    if not (edition.completed_at and edition.summary and job.claimed_at and job.finished_at and watch.filed_at):
        raise RuntimeError(f"edition {edition.number} is {edition.state}: {edition.reason}")
    filed = max(watch.filed_at, ended)
    classified = min(max(watch.classified_at or filed, filed), edition.completed_at)
    inside = {f"  {name}": float(seconds) for name, seconds in json.loads(edition.summary)["seconds"].items()}
    claimed = span(job.claimed_at, job.finished_at)
    return {
        "filing": span(ended, filed),
        "classification": span(filed, classified),
        f"completion ({edition.completed_by}), with settle": span(classified, edition.completed_at),
        "waiting for a worker": span(edition.completed_at, job.claimed_at),
        **inside,
        "  rest of the job": claimed - sum(inside.values()),
        "delivery": span(job.finished_at, sent),
        "end of association to last result": span(ended, sent),
    }


def span(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()


def association_end(node: Node) -> datetime:
    engine = create_engine(node.settings().ledger_url)
    with engine.connect() as connection:
        ended = connection.scalar(select(func.max(schema.association.c.ended_at)))
    engine.dispose()
    assert isinstance(ended, datetime)
    return ended


def last_sent(story: StudyStory) -> datetime:
    deliveries = [d for edition in story.editions for result in edition.results for d in result.deliveries]
    return max(delivery.sent_at for delivery in deliveries if delivery.sent_at)


# --- watching ------------------------------------------------------------------------------------------------


class Watch:
    """Looks at the node's processes, and at what waits in the ledger: that has no time of its own there."""

    def __init__(self, node: Node) -> None:
        self.uses: dict[str, Use] = {}
        self.filed_at: datetime | None = None
        """When nothing waited to be filed for the last time, and ..."""
        self.classified_at: datetime | None = None
        """... to be classified."""
        self._pid = node.processes["up"].pid
        self._engine = create_engine(node.settings().ledger_url)
        self._was = (True, True)

    def look(self) -> None:
        for name, pid in family(self._pid):
            seen, kept = use_of(pid), self.uses.get(name, Use())
            self.uses[name] = Use(*map(max, astuple(kept), astuple(seen)))
        self._look_into_ledger()

    def _look_into_ledger(self) -> None:
        arrived = select(schema.instance.c.id).where(schema.instance.c.state == "arrived").limit(1)
        changed = schema.series.c.revision != schema.series.c.classified_revision
        with self._engine.connect() as connection:
            waits = (
                connection.scalar(arrived) is not None,
                connection.scalar(select(schema.series.c.id).where(changed).limit(1)) is not None,
            )
        moment = datetime.now().astimezone()
        if self._was[0] and not waits[0]:
            self.filed_at = moment
        if self._was[1] and not waits[1]:
            self.classified_at = moment
        self._was = waits

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def watching(node: Node) -> Iterator[Watch]:
    """Look every 0.2 s."""
    watch, over = Watch(node), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_EVERY):
            watch.look()

    thread = threading.Thread(target=look, name="watch")
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
        watch.close()


def family(pid: int, parent: str = "") -> list[tuple[str, int]]:
    """The process and its descendants by what they are."""
    name = role_of(pid)
    label = f"{name}, pool process" if name and name == parent == "work" else name
    found = [(label, pid)] if label else []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child), name)
    return found


def role_of(pid: int) -> str:
    """The role on the command line of a process; '' of none."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        return next((word for word in words if word in {"up", "receive", "work", "deliver"}), "")
    return ""


def use_of(pid: int) -> Use:
    """Peak resident memory as the kernel kept it, memory with shared pages by their share (PSS), processor time."""
    return Use(_megabytes(pid, "status", "VmHWM:"), _megabytes(pid, "smaps_rollup", "Pss:"), _cpu(pid))


def _cpu(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / _TICKS
    return 0.0


def _megabytes(pid: int, file: str, key: str) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    return 0.0


# --- tables --------------------------------------------------------------------------------------------------


def print_steps(runs: list[Run]) -> None:
    print(f"\n{'seconds (share)':42}" + "".join(f"{f'settle {run.settle:g} s':>22}" for run in runs))
    for name in dict.fromkeys(name for run in runs for name in run.steps):
        cells = [cell(run.steps.get(name), list(run.steps.values())[-1]) for run in runs]
        print(f"{name:42}" + "".join(f"{one:>22}" for one in cells))
    rows = {
        "storescu": [f"{run.transfer:.2f}" for run in runs],
        "`up` until ready (< 5)": [f"{run.ready:.2f}" for run in runs],
        "stop on SIGTERM": [f"{run.stop:.2f}" for run in runs],
        "load before": [run.load_before for run in runs],
        "load after": [run.load_after for run in runs],
    }
    for name, cells in rows.items():
        print(f"{name:42}" + "".join(f"{one:>22}" for one in cells))


def cell(seconds: float | None, whole: float) -> str:
    return "-" if seconds is None else f"{seconds:.2f} ({100 * seconds / whole:.0f} %)"


def print_uses(runs: list[Run]) -> None:
    print(
        f"\n{'peak RSS (PSS), MB; processor seconds':42}" + "".join(f"{f'settle {run.settle:g} s':>22}" for run in runs)
    )
    for name in dict.fromkeys(name for run in runs for name in run.uses):
        limit = f" (< {LIMITS_MB[name]} MB)" if name in LIMITS_MB else ""
        uses = [run.uses.get(name, Use()) for run in runs]
        cells = [f"{use.rss:.0f} ({use.pss:.0f}); {use.cpu:.1f}" for use in uses]
        print(f"{name + limit:42}" + "".join(f"{one:>22}" for one in cells))


if __name__ == "__main__":
    main()
