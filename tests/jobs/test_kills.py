"""Workers that die at any moment: nothing is lost, nothing has a double effect."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from her2node.jobs.door import Door
from her2node.jobs.filing import file_arrivals
from her2node.jobs.queue import QueueOptions, discard_broker
from tests.jobs.conftest import RedisServer
from tests.jobs.made import House, ct, until
from tests.jobs.worker import Worker, done, now

Start = Callable[..., Worker]


@pytest.fixture
def start(house: House, queue_options: QueueOptions) -> Iterator[Start]:
    started: list[Worker] = []

    def begin(**more: Any) -> Worker:
        more = {"ledger": house.url, "lease": 1.5, **more}
        started.append(Worker(house.folder, queue_options, **more))
        return started[-1]

    yield begin
    for worker in started:
        worker.kill()


def studies(house: House, count: int) -> list[str]:
    """So many complete studies of one object, each with a due job."""
    house.now = now()
    uids = [f"1.2.826.5.{number}" for number in range(count)]
    house.receive([ct(1, uid) for uid in uids])
    while file_arrivals(house.ledger, house.spool, Door(), house.now):
        pass
    for facts in house.ledger.gathering():
        house.ledger.complete(facts.edition_id, "quiet", "", house.now)
    return uids


def unfinished(house: House) -> int:
    return sum(line.state != "refused" for line in house.ledger.studies())


def assert_one_result_set_each(house: House, uids: list[str]) -> None:
    for uid in uids:
        (edition,) = house.ledger.study(uid).editions
        (result,) = edition.results
        files = list((house.folder / "spool" / "results" / str(edition.edition_id)).iterdir())
        assert [path.name for path in files] == [f"{result.name}.dcm"]
        assert files[0].stat().st_size == result.size
        assert edition.jobs[0].state == "done"


KILLS = ("pool process", "worker", "everything", "pool process")


@pytest.mark.parametrize(("count", "rounds"), [(12, 1), pytest.param(100, 6, marks=pytest.mark.soak)])
def test_workers_killed_again_and_again_lose_nothing_and_double_nothing(
    house: House,
    start: Start,
    queue_options: QueueOptions,
    request: pytest.FixtureRequest,
    count: int,
    rounds: int,
) -> None:
    """Two workers with two processes each; SIGKILL by turns to a pool process, a whole worker, and everything with
    its broker."""
    uids = studies(house, count)
    dice = random.Random(7)
    workers = [start(name=f"work{n}@test", processes=2, seconds=0.15) for n in (1, 2)]
    for kill in KILLS * rounds:
        seen = len(done(house.folder))
        until(lambda seen=seen: len(done(house.folder)) > seen + 1 or not unfinished(house), 90, "some work")
        if kill == "pool process":
            for victim in dice.choice(workers).children()[:1]:
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
        elif kill == "worker":
            _restart([dice.choice(workers)])
        else:
            _restart(workers, lambda: _lose_broker(queue_options, request))
    until(lambda: not unfinished(house), 120, "all studies")
    assert_one_result_set_each(house, uids)
    print(f"{count} studies, {len(KILLS) * rounds} kills, {len(done(house.folder))} attempts")


def _restart(workers: list[Worker], between: Callable[[], None] = lambda: None) -> None:
    for worker in workers:
        worker.kill()
    between()
    for worker in workers:
        worker.restart()


def _lose_broker(options: QueueOptions, request: pytest.FixtureRequest) -> None:
    if options.broker_url == "embedded":
        discard_broker(options)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    server.kill()
    server.start()


@pytest.mark.parametrize("queue_options", ["embedded"], indirect=True)
def test_a_process_that_wakes_after_its_lease_is_fenced(house: House, start: Start) -> None:
    """SIGSTOP past the lease, another process reads the study, SIGCONT: the sleeper's result is not taken."""
    (uid,) = studies(house, 1)
    sleeping = start(name="sleeper@test", wait=True)
    sleeper = until(lambda: _begun_by(house.folder, uid), 60, "the first process")[0]
    os.kill(sleeper, signal.SIGSTOP)
    start(name="other@test")
    until(lambda: not unfinished(house), 60, "the other process")
    story = house.ledger.study(uid)
    (house.folder / "go").touch()
    os.kill(sleeper, signal.SIGCONT)
    until(lambda: "another worker took it over" in sleeping.log, 30, "the sleeper to notice")
    assert house.ledger.study(uid) == story
    assert story.editions[0].jobs[0].attempts == 2
    assert len(_begun_by(house.folder, uid)) == 2
    assert_one_result_set_each(house, [uid])


def _begun_by(folder: Path, uid: str) -> list[int]:
    return [int(line.rsplit(" ", 1)[1]) for line in done(folder) if line.startswith(f"{uid} begun")]


@pytest.mark.parametrize("queue_options", ["embedded"], indirect=True)
def test_a_worker_told_to_end_hands_back_its_job_and_the_leadership_at_once(house: House, start: Start) -> None:
    (uid,) = studies(house, 1)
    first = start(name="first@test", wait=True, grace=0.1, lease=60)
    until(lambda: _begun_by(house.folder, uid), 60, "the first process")
    assert first.terminate(60) == 0
    (job,) = house.ledger.study(uid).editions[0].jobs
    assert (job.state, job.attempts) == ("due", 0)
    (house.folder / "go").touch()
    began = time.monotonic()
    start(name="second@test", lease=60)
    until(lambda: not unfinished(house), 50, "the second worker")
    assert time.monotonic() - began < 50  # no lease of 60 s was waited for
    assert_one_result_set_each(house, [uid])


@pytest.mark.parametrize("queue_options", ["embedded"], indirect=True)
def test_a_job_that_kills_its_worker_every_time_is_given_up(house: House, start: Start) -> None:
    (uid,) = studies(house, 1)
    start(name="work@test", wait=True, attempts=3, lease=1)
    killed: set[int] = set()
    while house.ledger.study(uid).editions[0].state != "failed":
        fresh = until(lambda: _fresh(house, uid, killed), 60, "an attempt or the end")
        if fresh is not True:
            killed.add(fresh)
            with suppress(ProcessLookupError):
                os.kill(fresh, signal.SIGKILL)
    assert len(killed) == 3


def _fresh(house: House, uid: str, killed: set[int]) -> int | bool:
    """A process that began the study and lives still, or True when it was given up."""
    if house.ledger.study(uid).editions[0].state == "failed":
        return True
    return next((pid for pid in _begun_by(house.folder, uid) if pid not in killed), False)
