"""A worker process for tests: ``python -m tests.jobs.worker JSON``. See ``Worker`` for what starts and kills it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian

from her2node import log
from her2node.jobs.queue import Pool, QueueOptions
from tests.jobs.made import until

ROOT = Path(__file__).resolve().parents[2]
SLOW = 1000
"""Job ids from here on wait for a file ``go``."""
BAD = 999
"""This job raises."""


def now() -> datetime:
    return datetime.now(UTC)


class Worker:
    """A worker in a process group of its own, with what it wrote down in ``folder``."""

    def __init__(self, folder: Path, options: QueueOptions, **more: Any) -> None:
        self.folder = folder
        self.name: str = more.setdefault("name", "work@test")
        self._config = json.dumps(
            {
                "folder": str(folder),
                "broker_url": options.broker_url,
                "broker_dir": str(options.broker_dir),
                "time_limit": options.time_limit.total_seconds(),
                **more,
            }
        )
        self.process: subprocess.Popen[bytes] = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with (self.folder / f"{self.name}.log").open("ab") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.jobs.worker", self._config],
                cwd=ROOT,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text()

    def wait_ready(self) -> Worker:
        until(lambda: '"ready"' in self.log or self.process.poll() is not None, 60, "the worker")
        assert self.process.poll() is None, self.log
        return self

    def children(self) -> list[int]:
        """The pool's processes."""
        pids: list[int] = []
        for task in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with suppress(OSError):
                pids += [int(pid) for pid in task.read_text().split()]
        return pids

    def restart(self) -> None:
        self.process = self._start()

    def kill(self) -> None:
        """SIGKILL to the whole tree."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self, seconds: float = 60) -> int:
        """SIGTERM to the parent alone; the exit status."""
        self.process.terminate()
        return self.process.wait(seconds)


def done(folder: Path) -> list[str]:
    """What jobs wrote down, a line each."""
    path = folder / "done"
    return path.read_text().splitlines() if path.exists() else []


def note(folder: Path, line: str) -> None:
    with (folder / "done").open("a") as file:
        file.write(f"{line}\n")


def echo(folder: Path, fails: int) -> Callable[[int], None]:
    """What runs jobs in queue tests. The first ``fails`` builds fail."""
    builds = folder / "builds"
    builds.write_text((builds.read_text() if builds.exists() else "") + "x")
    if len(builds.read_text()) <= fails:
        raise ConnectionError("the ledger is away")

    def run(job_id: int) -> None:
        note(folder, f"{job_id} begun by {os.getpid()}")
        if job_id == BAD:
            raise ZeroDivisionError
        try:
            if job_id >= SLOW:
                _deaf_to_exceptions(folder)
        except BaseException as error:
            note(folder, f"{job_id} {type(error).__name__}")
            raise
        note(folder, f"{job_id} done")

    return run


def _deaf_to_exceptions(folder: Path) -> None:
    """Waits like a decoder behind a broad handler."""
    with suppress(Exception):
        until((folder / "go").exists, 300)


def serve(config: Mapping[str, Any], options: QueueOptions) -> int:
    """A pool alone."""
    folder = Path(config["folder"])
    pool = Pool(options, config["name"], config.get("processes", 1), partial(echo, folder, config.get("fails", 0)))
    ended = threading.Event()

    def stop() -> None:
        ended.set()

    hurrying = threading.Thread(
        target=lambda: (ended.wait(), threading.Event().wait(config["grace"]), pool.hurry()), daemon=True
    )
    if "grace" in config:
        hurrying.start()
    return pool.serve(ready, stop)


def ready() -> None:
    print('"ready"', flush=True)


def work(config: Mapping[str, Any], options: QueueOptions) -> int:
    """The whole role: pool, leader, ledger and spool, with a reading that only takes its time."""
    from her2node.jobs.dispatch import DispatchOptions, dispatch, requeue_expired, send_again
    from her2node.jobs.leader import Leader, Step
    from her2node.jobs.work import WorkOptions, run_worker
    from her2node.ledger import open_ledger

    lease = timedelta(seconds=config["lease"])
    queueing = DispatchOptions(resend=lease, window=8, attempts=config.get("attempts", 50))

    def build_leader(send: Callable[[int], None]) -> Leader:
        ledger = open_ledger(config["ledger"])
        steps = (
            Step("requeue", partial(requeue_expired, ledger, queueing)),
            Step("dispatch", partial(dispatch, ledger, send, queueing)),
        )
        again = (Step("again", partial(send_again, ledger, send, queueing)),)
        return Leader(ledger, f"{config['name']} {os.getpid()}", steps, on_elected=again, lease=lease)

    return run_worker(
        WorkOptions(
            name=config["name"],
            queue=options,
            processes=config.get("processes", 1),
            tick=timedelta(seconds=0.05),
            grace=timedelta(seconds=config.get("grace", 15)),
        ),
        partial(build_workshop, config),
        build_leader,
        now,
        ready,
    )


def build_workshop(config: Mapping[str, Any]) -> Callable[[int], None]:
    from her2node.errors import NoRoi
    from her2node.jobs.analyse import Maker, Patience, Workshop, refused_reading
    from her2node.ledger import open_ledger
    from her2node.reports.report import ObjectKind, Report
    from her2node.spool import Spool

    folder, lease = Path(config["folder"]), timedelta(seconds=config["lease"])

    def read(study: Any, *_: Any) -> Any:
        note(folder, f"{study.study_instance_uid} begun by {os.getpid()}")
        if config.get("wait"):
            until((folder / "go").exists, 300)
        threading.Event().wait(config.get("seconds", 0))
        return refused_reading(study, NoRoi())

    def write(reading: Any, stamp: Any) -> tuple[Report, ...]:
        uid = stamp.uid(reading.study.study_instance_uid, ObjectKind.COULD_NOT, "instance")
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = Comprehensive3DSRStorage, uid, f"{uid[:60]}.1"
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = Comprehensive3DSRStorage, uid
        return (Report(ObjectKind.COULD_NOT, ds, Comprehensive3DSRStorage, uid, f"{uid[:60]}.1"),)

    return Workshop(
        name=f"{config['name']} {os.getpid()}",
        ledger=open_ledger(config["ledger"]),
        spool=Spool(folder / "spool"),
        read=read,
        write=write,
        address=lambda results, sender_ae: (),
        maker=Maker("0.1", "2.25.1", "", "HER2NODE", "", UTC),
        patience=Patience(lease, lease / 5, attempts=50, first_pause=timedelta(milliseconds=50)),
        clock=now,
    ).run


def main() -> int:
    config = json.loads(sys.argv[1])
    log.configure("json")
    options = QueueOptions(config["broker_url"], Path(config["broker_dir"]), timedelta(seconds=config["time_limit"]))
    return work(config, options) if "ledger" in config else serve(config, options)


if __name__ == "__main__":
    sys.exit(main())
