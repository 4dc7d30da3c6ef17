"""Job ids over real Celery workers, over the embedded broker and over Redis."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from her2node.errors import BrokerAway
from her2node.jobs.broker import FILE_NAME
from her2node.jobs.queue import JobQueue, QueueOptions, discard_broker
from tests.jobs.conftest import RedisServer
from tests.jobs.made import until
from tests.jobs.worker import BAD, SLOW, Worker, done

Start = Callable[..., Worker]


@pytest.fixture
def queue(queue_options: QueueOptions) -> Iterator[JobQueue]:
    made = JobQueue(queue_options)
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path, queue_options: QueueOptions) -> Iterator[Start]:
    started: list[Worker] = []

    def begin(options: QueueOptions = queue_options, **more: Any) -> Worker:
        started.append(Worker(tmp_path, options, **more))
        return started[-1].wait_ready()

    yield begin
    for worker in started:
        worker.kill()


def finished(folder: Path, *jobs: int) -> bool:
    return {f"{job} done" for job in jobs} <= set(done(folder))


def begun(folder: Path, job: int) -> int | None:
    """The process that began a job."""
    prefix = f"{job} begun by "
    return next((int(line.removeprefix(prefix)) for line in done(folder) if line.startswith(prefix)), None)


def test_jobs_run_in_pool_processes_and_the_worker_answers(queue: JobQueue, start: Start, tmp_path: Path) -> None:
    worker = start(processes=2)
    for job in range(20):
        queue.send(job)
    until(lambda: finished(tmp_path, *range(20)), 30, "all jobs")
    assert {begun(tmp_path, job) for job in range(20)} <= set(worker.children())
    assert until(lambda: queue.ping(timedelta(seconds=0.5)), 20, "an answer") == ("work@test",)
    assert worker.terminate() == 0


def test_a_job_sent_before_any_worker_lives_waits_for_one(queue: JobQueue, start: Start, tmp_path: Path) -> None:
    queue.send(1)
    assert queue.ping(timedelta(seconds=0.2)) == ()
    start()
    until(lambda: finished(tmp_path, 1), 30, "the job")


def test_a_job_that_raises_harms_no_other(queue: JobQueue, start: Start, tmp_path: Path) -> None:
    worker = start()
    queue.send(BAD)
    queue.send(1)
    until(lambda: finished(tmp_path, 1), 30, "the good job")
    assert "ZeroDivisionError" in worker.log


def test_a_killed_pool_process_is_replaced_and_the_next_job_runs(queue: JobQueue, start: Start, tmp_path: Path) -> None:
    start()
    queue.send(SLOW)
    victim = until(lambda: begun(tmp_path, SLOW), 30, "the slow job")
    queue.send(1)
    os.kill(victim, signal.SIGKILL)
    until(lambda: finished(tmp_path, 1), 30, "the next job")
    assert begun(tmp_path, 1) != victim


@pytest.mark.parametrize("queue_options", ["embedded"], indirect=True)
def test_idle_pool_processes_may_be_killed_in_any_order(queue: JobQueue, start: Start, tmp_path: Path) -> None:
    """Processes that share a pipe would leave its lock behind, and the pool would stand still."""
    worker = start(processes=2)
    for job in range(5):
        both = until(lambda: len(worker.children()) == 2 and worker.children(), 30, "two processes")
        os.kill(both[job % 2], signal.SIGKILL)
        until(lambda both=both, job=job: both[job % 2] not in worker.children(), 30, "the end of one")
        queue.send(job)
        until(lambda job=job: finished(tmp_path, job), 30, "the job")


def test_pool_processes_do_not_outlive_their_parent(queue: JobQueue, start: Start, tmp_path: Path) -> None:
    worker = start()
    queue.send(SLOW)
    child = until(lambda: begun(tmp_path, SLOW), 30, "the slow job")
    os.kill(worker.process.pid, signal.SIGKILL)
    until(lambda: _dead(child), 30, "the child's end")
    assert not finished(tmp_path, SLOW)


def _dead(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_sigterm_lets_the_running_job_finish(queue: JobQueue, start: Start, tmp_path: Path) -> None:
    worker = start()
    queue.send(SLOW)
    until(lambda: begun(tmp_path, SLOW), 30, "the slow job")
    worker.process.terminate()
    (tmp_path / "go").touch()
    assert worker.process.wait(30) == 0
    assert finished(tmp_path, SLOW)


def test_after_the_grace_a_running_job_is_interrupted_and_the_worker_ends(
    queue: JobQueue, start: Start, tmp_path: Path
) -> None:
    worker = start(grace=0.2)
    queue.send(SLOW)
    until(lambda: begun(tmp_path, SLOW), 30, "the slow job")
    assert worker.terminate(40) == 0
    assert f"{SLOW} SystemExit" in done(tmp_path)


def test_what_cannot_be_built_at_birth_is_built_for_a_later_job(queue: JobQueue, start: Start, tmp_path: Path) -> None:
    worker = start(fails=2)
    queue.send(1)  # the second build: fails, too
    until(lambda: worker.log.count("the ledger is away") >= 2, 30, "two failures")
    queue.send(2)
    until(lambda: finished(tmp_path, 2), 30, "the later job")


def test_a_job_over_its_time_limit_is_interrupted(
    queue: JobQueue, start: Start, queue_options: QueueOptions, tmp_path: Path
) -> None:
    start(replace(queue_options, time_limit=timedelta(seconds=1)))
    queue.send(SLOW)
    queue.send(1)
    until(lambda: finished(tmp_path, 1), 30, "the next job")
    assert f"{SLOW} TimeIsUp" in done(tmp_path)


@pytest.mark.parametrize("queue_options", ["embedded"], indirect=True)
def test_the_embedded_broker_lost_under_a_running_worker_is_made_anew(
    queue: JobQueue, start: Start, queue_options: QueueOptions, tmp_path: Path
) -> None:
    start()
    for round_, spoil in enumerate((discard_broker, _overwrite, _unmount, discard_broker)):
        spoil(queue_options)
        queue.send(round_)
        until(lambda round_=round_: finished(tmp_path, round_), 30, "a job after the loss")
    assert until(lambda: queue.ping(timedelta(seconds=0.5)), 20, "an answer") == ("work@test",)


def _unmount(options: QueueOptions) -> None:
    """Away for a while: no folder can be made, then it is back."""
    aside = options.broker_dir.with_name("aside")
    options.broker_dir.rename(aside)
    options.broker_dir.touch()
    queue = JobQueue(options)
    with pytest.raises(BrokerAway):
        queue.send(1)
    options.broker_dir.unlink()
    aside.rename(options.broker_dir)


def _overwrite(options: QueueOptions) -> None:
    path = options.broker_dir / FILE_NAME
    path.unlink()
    path.write_bytes(os.urandom(30_000))


@pytest.mark.servers
@pytest.mark.parametrize("queue_options", ["redis"], indirect=True)
def test_redis_flushed_or_killed_under_a_running_worker_comes_back(
    queue: JobQueue, start: Start, redis_server: RedisServer, tmp_path: Path
) -> None:
    start()
    queue.send(1)
    until(lambda: finished(tmp_path, 1), 30, "a job")
    redis_server.flush()
    queue.send(2)
    until(lambda: finished(tmp_path, 2), 30, "a job after the flush")
    redis_server.kill()
    with pytest.raises(BrokerAway):
        queue.send(3)
    redis_server.start()
    until(lambda: _sent(queue, 4), 30, "a message")
    until(lambda: finished(tmp_path, 4), 60, "a job after the restart")


def _sent(queue: JobQueue, job: int) -> bool:
    try:
        queue.send(job)
    except BrokerAway:
        return False
    return True


def test_a_broker_that_cannot_be_reached_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = (
        QueueOptions("embedded", tmp_path / "file"),
        QueueOptions(f"redis+socket://{tmp_path}/none.sock", tmp_path),
        QueueOptions("redis://127.0.0.1:1/0", tmp_path),
    )
    for options in nowhere:
        queue = JobQueue(options)
        with pytest.raises(BrokerAway):
            queue.send(1)
        with pytest.raises(BrokerAway):
            queue.ping(timedelta(seconds=0.1))
        queue.close()
