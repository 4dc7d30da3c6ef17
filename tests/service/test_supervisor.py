"""The supervisor: starts all, mends what dies, stops in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from her2node.service.supervisor import EXIT_SETTINGS, Supervisor

CHILD = """
import os, signal, sys, time
from her2node.service.supervisor import follow_parent, say_ready
folder, role, exit_status = sys.argv[1:]
def note(word):
    with open(os.path.join(folder, 'notes'), 'a') as file:
        file.write(f'{role} {word} {os.getpid()}\\n')
follow_parent()
def end(*_):
    note('ended')
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
note('started')
if exit_status != '-':
    sys.exit(int(exit_status))
say_ready()
while True:
    time.sleep(0.05)
"""


def _command(folder: Path, status: str = "-") -> object:
    def command(role: str) -> Sequence[str]:
        return (sys.executable, "-c", CHILD, str(folder), role, status)

    return command


def _notes(folder: Path) -> list[list[str]]:
    file = folder / "notes"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def _until(condition: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited too long"
        threading.Event().wait(0.02)


@pytest.fixture
def running(tmp_path: Path) -> object:
    ready = threading.Event()
    supervisor = Supervisor(_command(tmp_path))  # type: ignore[arg-type]
    result: list[int] = []
    thread = threading.Thread(target=lambda: result.append(supervisor.run(lambda _: ready.set())))
    thread.start()
    yield tmp_path, supervisor, ready, thread, result
    supervisor.stop.set()
    thread.join(20)


def test_all_roles_start_and_say_ready(running: tuple) -> None:
    folder, _, ready, *_ = running
    assert ready.wait(20)
    assert {role for role, word, _ in _notes(folder) if word == "started"} == {"receive", "work", "deliver"}


def test_the_receiver_stops_before_the_others(running: tuple) -> None:
    folder, supervisor, ready, thread, result = running
    assert ready.wait(20)
    supervisor.stop.set()
    thread.join(20)
    ended = [role for role, word, _ in _notes(folder) if word == "ended"]
    assert ended[0] == "receive"
    assert set(ended) == {"receive", "work", "deliver"}
    assert result == [0]


def test_a_child_that_is_killed_is_started_again(running: tuple) -> None:
    folder, _, ready, *_ = running
    assert ready.wait(20)
    pid = next(int(pid) for role, word, pid in _notes(folder) if (role, word) == ("work", "started"))
    os.kill(pid, signal.SIGKILL)
    _until(lambda: sum((role, word) == ("work", "started") for role, word, _ in _notes(folder)) == 2)


def test_a_child_that_cannot_run_with_its_settings_ends_the_whole(tmp_path: Path) -> None:
    assert Supervisor(_command(tmp_path, str(EXIT_SETTINGS))).run() == EXIT_SETTINGS  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="parent death signals are Linux's")
def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.service.test_supervisor import _command; from pathlib import Path\n"
        "from her2node.service.supervisor import Supervisor\n"
        f"Supervisor(_command(Path({str(tmp_path)!r}))).run()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[2])
    _until(lambda: sum(word == "started" for _, word, _ in _notes(tmp_path)) == 3)
    parent.kill()
    parent.wait()
    _until(lambda: sum(word == "ended" for _, word, _ in _notes(tmp_path)) == 3)
