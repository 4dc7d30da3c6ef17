"""Several processes and threads at one ledger: nothing twice, nothing lost, nothing locked."""

from __future__ import annotations

import multiprocessing
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from multiprocessing.synchronize import Barrier

import pytest

from her2node.errors import LeaseLost
from her2node.ledger import open_ledger
from her2node.ledger.records import Arrival, AssociationOpened
from tests.ledger.way import CT, LEASE, MINUTE, SECOND, START, Sent, Way, deliver, result, slices

PROCESSES = 3
JOBS = 24
Task = Callable[[str, int], list[int]]


class Processes:
    """A few processes that begin each task together. Each opens the ledger itself."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        barrier = context.Barrier(PROCESSES)
        self._pool = ProcessPoolExecutor(PROCESSES, context, initializer=_meet_at, initargs=(barrier,))

    def run(self, task: Task, url: str) -> list[int]:
        """What they returned together."""
        running = [self._pool.submit(_together, task, url, number) for number in range(PROCESSES)]
        return [item for one in running for item in one.result(timeout=120)]

    def stop(self) -> None:
        self._pool.shutdown()


_barrier: Barrier


def _meet_at(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _together(task: Task, url: str, number: int) -> list[int]:
    _barrier.wait(timeout=60)
    return task(url, number)


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    started = Processes()
    yield started
    started.stop()


def claim_all(url: str, number: int) -> list[int]:
    """Claim what one can of the same jobs, each process in another order, and finish it."""
    mine = []
    with closing(open_ledger(url)) as ledger:
        job_ids = range(1, JOBS + 1)
        for job_id in random.Random(number).sample(job_ids, len(job_ids)):
            claim = ledger.claim(job_id, f"w{number}", LEASE, START)
            if claim is not None:
                uid = f"2.25.{job_id}"
                ledger.finish(claim.token, "read", "{}", [result(uid)], [deliver(uid)], START)
                mine.append(job_id)
    return mine


def test_every_job_is_claimed_by_one_process(url: str, processes: Processes) -> None:
    with closing(open_ledger(url)) as ledger:
        way = Way(ledger)
        for number in range(JOBS):
            way.complete(slices(1, study=f"1.{number}"))
        assert sorted(processes.run(claim_all, url)) == list(range(1, JOBS + 1))
        assert Counter(line.state for line in ledger.studies()) == {"read": JOBS}
        assert all(line.deliveries == {"due": 1} for line in ledger.studies())


def courier(url: str, number: int) -> list[int]:
    """Deliver whatever can be claimed; every third claim sleeps through its lease."""
    mine = []
    now = START
    with closing(open_ledger(url)) as ledger:
        for turn in range(200):
            claims = ledger.claim_deliveries(f"c{number}", LEASE, now, 2)
            now += SECOND
            for claim in claims:
                ids = [item.delivery_id for item in claim.items]
                if turn % 3 == 2:
                    now += LEASE
                try:
                    ledger.delivered(claim.token, ids, now)
                except LeaseLost:
                    continue
                mine += ids
            if not claims and not any(line.deliveries.keys() - {"sent"} for line in ledger.studies()):
                break
    return mine


def test_no_delivery_is_sent_by_two_couriers(url: str, processes: Processes) -> None:
    with closing(open_ledger(url)) as ledger:
        way = Way(ledger)
        for number in range(16):
            uid = f"2.25.{number}"
            deliveries = [deliver(uid, "pacs"), deliver(uid, "archive", "ARCHIVE")]
            way.read([result(uid)], deliveries, slices(1, study=f"1.{number}"))
        sent = processes.run(courier, url)
        assert len(sent) == len(set(sent)) == 32
        assert all(line.deliveries == {"sent": 2} for line in ledger.studies())


def lead(url: str, number: int) -> list[int]:
    with closing(open_ledger(url)) as ledger:
        return [number] if ledger.hold("leader", f"p{number}", LEASE, START) else []


def test_one_process_leads(url: str, processes: Processes) -> None:
    open_ledger(url).close()
    assert len(processes.run(lead, url)) == 1


def receive(url: str, number: int) -> list[int]:
    """A receiver's writer: many small batches, some told twice."""
    with closing(open_ledger(url)) as ledger:
        name = f"a{number}"
        opened = [AssociationOpened(name, "PACS", "HER2NODE", "", START, f"receive-{number}")]
        for batch in range(20):
            arrivals = [
                Arrival(name, n, CT, f"1.{number}.{n}", "1.2.840.10008.1.2", 10, START)
                for n in range(batch * 5, batch * 5 + 7)
            ]
            ledger.take_in(opened, arrivals, [])
        return sorted(ledger.taken_in(name))


def file_until(way: Way, stop: threading.Event) -> int:
    """File whatever arrives until told to stop and nothing is left; how many were filed."""
    filed = 0
    while not stop.is_set() or way.ledger.unfiled(1):
        for item in (waiting := way.ledger.unfiled(50)):
            study = item.sop_instance_uid.rsplit(".", 1)[0]
            way.objects[item.association_id, item.number] = Sent(item.sop_instance_uid, study, f"{study}.0")
        filed += way.ledger.file([way.read_header(item) for item in waiting], START).filed
    return filed


def test_receivers_write_while_a_leader_files(url: str, processes: Processes) -> None:
    with closing(open_ledger(url)) as ledger, ThreadPoolExecutor(1) as pool:
        stop = threading.Event()
        leader = pool.submit(file_until, Way(ledger), stop)
        try:
            numbers = processes.run(receive, url)
        finally:
            stop.set()
        assert len(numbers) == leader.result(timeout=60) == PROCESSES * 102
        assert {line.instances for line in ledger.studies()} == {102}


def test_two_leaders_that_file_the_same_arrivals_file_them_once(url: str) -> None:
    with closing(open_ledger(url)) as ledger:
        way = Way(ledger)
        way.send(slices(40))
        filings = way.filings()
        barrier = threading.Barrier(4)

        def file_(_: int) -> int:
            barrier.wait()
            return ledger.file(filings, START).filed

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(file_, range(4))) == 40
        assert ledger.study("1.2.3").instances == {"filed": 40}
        assert len(ledger.study("1.2.3").editions) == 1


def test_an_edition_is_completed_by_one_of_many(url: str) -> None:
    with closing(open_ledger(url)) as ledger:
        edition_id = Way(ledger).gather(slices(1))
        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(lambda _: ledger.complete(edition_id, "quiet", "", START), range(8)))
        assert sum(won) == 1
        assert len(ledger.due_jobs(START, 16)) == 1


def test_commands_that_meet_open_editions_of_their_own_number(url: str) -> None:
    with closing(open_ledger(url)) as ledger:
        way = Way(ledger)
        way.complete(slices(1))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: ledger.rerun("1.2.3", START), range(8)))
            list(pool.map(lambda n: ledger.enter("1.2.3", f"v{n}", "1", START + MINUTE), range(8)))
        editions = ledger.study("1.2.3").editions
        assert [item.number for item in editions] == list(range(1, 11))
        assert [item.state for item in editions] == ["due"] * 9 + ["gathering"]
        assert len(ledger.study("1.2.3").entered) == 8


@pytest.mark.parametrize("lease", [timedelta(0), LEASE])
def test_a_job_requeued_while_it_is_finished_ends_in_one_way(url: str, lease: timedelta) -> None:
    with closing(open_ledger(url)) as ledger:
        way = Way(ledger)
        for number in range(10):
            way.complete(slices(1, study=f"1.{number}"))
        tokens = []
        for job in ledger.due_jobs(START, 16):
            claim = ledger.claim(job.job_id, "w1", lease, START)
            assert claim is not None
            tokens.append(claim.token)

        def finish(token: str) -> str:
            try:
                ledger.finish(token, "read", "{}", [], [], START + SECOND)
            except LeaseLost:
                return "due"
            return "read"

        with ThreadPoolExecutor(3) as pool:
            requeued = pool.submit(ledger.requeue_expired, START + SECOND, 5)
            outcomes = list(pool.map(finish, tokens))
        assert Counter(line.state for line in ledger.studies()) == Counter(outcomes)
        assert len(requeued.result()) == outcomes.count("due")
