"""The embedded broker: nothing lost, nothing double, and no trouble with a file that is gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue

import her2node.jobs.queue  # noqa: F401 - registers the transport
from her2node.jobs.broker import Binding, Store, discard
from tests.jobs.made import until

fork = multiprocessing.get_context("fork")
spawn = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "broker.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = Store(path)
    yield opened
    opened.close()


def taken(store: Store, queue: str = "q") -> list[str]:
    found = []
    while (body := store.take(queue)) is not None:
        found.append(body)
    return found


def test_messages_come_by_priority_then_age(store: Store) -> None:
    for body, priority in (("old", 0), ("urgent", 9), ("new", 0), ("soon", 5)):
        store.put("q", body, priority)
    assert taken(store) == ["urgent", "soon", "old", "new"]


def test_a_queue_holds_only_its_own_messages(store: Store) -> None:
    store.put("a", "for a", 0)
    store.put("b", "for b", 9)
    assert store.size("a") == 1
    assert taken(store, "a") == ["for a"]
    assert store.purge("b") == 1
    assert store.take("b") is None


def test_a_message_outlives_the_process_that_put_it(path: Path, store: Store) -> None:
    process = spawn.Process(target=_put_and_die, args=(path,))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert taken(store) == ["last words"]


def _put_and_die(path: Path) -> None:
    Store(path).put("q", "last words", 0)
    os.kill(os.getpid(), signal.SIGKILL)


def test_many_first_starts_at_one_time_all_succeed(path: Path, store: Store) -> None:
    for round_ in range(5):
        discard(path)
        barrier = fork.Barrier(6)
        processes = [fork.Process(target=_first, args=(path, barrier, f"{round_}.{n}")) for n in range(6)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(30)
        assert [process.exitcode for process in processes] == [0] * 6
        assert len(taken(store)) == 6


def _first(path: Path, barrier: Barrier, body: str) -> None:
    store = Store(path)
    barrier.wait(30)
    store.put("q", body, 0)


def test_several_producers_and_consumers_lose_and_double_nothing(path: Path, tmp_path: Path) -> None:
    consumers = [fork.Process(target=_consume, args=(path, tmp_path / f"got{n}"), daemon=True) for n in range(3)]
    producers = [fork.Process(target=_produce, args=(path, tmp_path / f"put{n}", n, 150)) for n in range(3)]
    for process in consumers + producers:
        process.start()
    for process in producers:
        process.join(60)
    until(lambda: len(_lines(tmp_path, "got")) >= 450, 60, "all messages")
    for process in consumers:
        process.kill()
    assert Counter(_lines(tmp_path, "got")) == Counter(_lines(tmp_path, "put"))


def test_killed_producers_and_consumers_lose_only_what_they_had_in_hand(path: Path, tmp_path: Path) -> None:
    """A consumer that is killed takes at most the one message with it that it had taken; a put that was acknowledged
    is never lost, and no message ever comes twice."""
    kills = 0
    for life in range(4):
        consumer = fork.Process(target=_consume, args=(path, tmp_path / f"got{life}"), daemon=True)
        producer = fork.Process(target=_produce, args=(path, tmp_path / f"put{life}", life, 10_000), daemon=True)
        consumer.start()
        producer.start()
        until(lambda life=life: len(_lines(tmp_path, f"got{life}")) > 20, 30, "some messages")
        consumer.kill()
        producer.kill()
        consumer.join()
        producer.join()
        kills += 1
    last = Store(path)
    got = Counter(_lines(tmp_path, "got") + taken(last))
    last.close()
    put = set(_lines(tmp_path, "put"))
    assert max(got.values()) == 1
    assert len(put - set(got)) <= kills
    assert len(set(got) - put) <= kills  # committed, and killed before it was written down


def _produce(path: Path, log: Path, producer: int, count: int) -> None:
    store = Store(path)
    with log.open("a", buffering=1) as file:
        for number in range(count):
            store.put("q", f"{producer}.{number}", 0)
            file.write(f"{producer}.{number}\n")


def _consume(path: Path, log: Path) -> None:
    store = Store(path)
    with log.open("a", buffering=1) as file:
        while True:
            body = store.take("q")
            if body is not None:
                file.write(f"{body}\n")


def _lines(folder: Path, prefix: str) -> list[str]:
    """Whole lines of all logs of this prefix; what a kill cut short is left out."""
    found: list[str] = []
    for log in folder.glob(f"{prefix}*"):
        found += [line.strip() for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return found


def test_a_forked_child_opens_a_connection_of_its_own_and_leaves_the_parents_alone(path: Path, store: Store) -> None:
    store.put("q", "before", 0)
    child = fork.Process(target=lambda: store.put("q", "child", 0))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    store.put("q", "after", 0)
    assert taken(store) == ["before", "child", "after"]


def _checkpoint(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(max(path.stat().st_size, 8192)))


def _replace(path: Path) -> None:
    path.unlink()
    path.write_bytes(os.urandom(20_000))


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _drop_tables(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE message")
    connection.close()


def _folder(path: Path) -> None:
    discard(path)
    path.parent.rmdir()


RUINS: dict[str, Callable[[Path], None]] = {
    "deleted": discard,
    "main file deleted": Path.unlink,
    "folder deleted": _folder,
    "overwritten": _overwrite,
    "replaced by garbage": _replace,
    "emptied": _empty,
    "tables dropped": _drop_tables,
    "wal deleted": lambda path: path.with_name(path.name + "-wal").unlink(),
    "wal overwritten": lambda path: _overwrite(path.with_name(path.name + "-wal")),
}


@pytest.mark.parametrize("ruin", RUINS.values(), ids=RUINS.keys())
@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_file_that_is_deleted_or_ruined_is_replaced_and_everybody_meets_in_the_new_one(
    path: Path, ruin: Callable[[Path], None], checkpointed: bool
) -> None:
    here, there = Store(path), Store(path)
    binding = Binding("celeryev", "q", "", "")
    here.bind(binding)
    for number in range(50):
        here.put("q", f"old {number}", 0)
    there.size("q")
    if checkpointed:
        _checkpoint(path)
    ruin(path)
    late = Store(path)
    for store in (there, late, here):
        store.put("q", "perhaps lost", 0)
    got = taken(here)
    assert len(set(got)) + got.count("perhaps lost") - 1 == len(got), "a message came twice"
    for putter, taker in ((there, here), (here, late), (late, there)):
        putter.put("q", "new", 0)
        assert taken(taker) == ["new"]
    assert there.bindings("celeryev") == [binding]
    for store in (here, there, late):
        store.close()


def test_a_full_disk_or_a_lock_is_no_reason_to_throw_the_file_away(path: Path) -> None:
    store = Store(path)
    store.put("q", "kept", 0)

    def locked(_: sqlite3.Connection) -> Any:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with pytest.raises(sqlite3.OperationalError):
        store._do(locked)
    assert taken(store) == ["kept"]
    store.close()


def test_fanout_reaches_every_bound_queue_of_every_process_even_after_the_file_was_lost(path: Path) -> None:
    exchange = Exchange("news", type="fanout")
    with _connection(path) as one, _connection(path) as two, _connection(path) as sender:
        readers = [Queue(f"reader {n}", exchange)(connection.channel()) for n, connection in enumerate((one, two))]
        for reader in readers:
            reader.declare()
        discard(path)
        for reader in readers:
            assert reader.get() is None
        producer = sender.Producer(exchange=exchange)
        producer.publish({"hello": 1})
        assert [reader.get().payload for reader in readers] == [{"hello": 1}, {"hello": 1}]


def test_kombu_puts_the_more_urgent_message_first(path: Path) -> None:
    with _connection(path) as connection:
        queue = Queue("q")(connection.channel())
        queue.declare()
        producer = connection.Producer(routing_key="q")
        for priority in (0, 9, 5):
            producer.publish({"priority": priority}, priority=priority)
        assert [queue.get().payload["priority"] for _ in range(3)] == [9, 5, 0]
        assert queue.get() is None


def test_a_message_that_is_no_json_is_dropped_and_the_next_one_comes(path: Path) -> None:
    with _connection(path) as connection:
        queue = Queue("q")(connection.channel())
        queue.declare()
        queue.channel.store.put("q", "\x00garbage", 9)
        connection.Producer(routing_key="q").publish("good")
        assert queue.get() is None
        assert queue.get().payload == "good"


def test_a_deleted_queue_gets_no_more_fanout(path: Path) -> None:
    exchange = Exchange("news", type="fanout")
    with _connection(path) as connection:
        channel = connection.channel()
        queue = Queue("reader", exchange)(channel)
        queue.declare()
        assert channel.get_table("news") == [("", "", "reader")]
        queue.delete()
        assert channel.get_table("news") == []


def _connection(path: Path) -> Any:
    return Connection("her2node://localhost", transport_options={"path": str(path)})
