"""A whole node in a folder of its own: real processes, real ports, real files."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from her2node import settings
from her2node.ledger import open_ledger
from her2node.ledger.story_records import StudyStory

ROOT = Path(__file__).resolve().parents[2]
__all__ = ["Node", "free_port", "until"]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], seconds: float = 60, what: str = "") -> Any:
    """Wait for ``condition`` to hold and return its value; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what or condition}")
        threading.Event().wait(0.05)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value)


class Node:
    """A node with quick clocks. ``more`` are dotted settings, e.g. ``{"completion.quiet": 2}``."""

    def __init__(self, folder: Path, more: Mapping[str, object] | None = None) -> None:
        self.folder, self.port = folder, free_port()
        self.config = folder / "her2node.toml"
        self.log = folder / "node.log"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.keys: dict[str, object] = {
            "state_dir": folder / "state",
            "log_format": "json",
            "reception.port": self.port,
            "reception.host": "127.0.0.1",
            "reception.free_space_watermark_bytes": 0,
            "completion.settle": 0.5,
            "completion.quiet": 2,
            "jobs.lease": 4,
            "jobs.heartbeat": 0.5,
            "jobs.resend": 3,
            "jobs.tick": 0.1,
            "delivery.first_pause": 0.3,
            "delivery.longest_pause": 1,
            **(more or {}),
        }
        self.write()

    def write(self, more: Mapping[str, object] | None = None) -> None:
        """Write the settings file, with ``more`` added."""
        self.keys.update(more or {})
        lines = [f"{key} = {_toml(value)}" for key, value in self.keys.items()]
        self.config.write_text("\n".join(lines) + "\n")

    def peer(self, name: str, ae: str, port: int, **more: object) -> None:
        """Configure a peer on this machine."""
        keys = {"ae": ae, "host": "127.0.0.1", "port": port, **more}
        self.write({f"peers.{name}.{key}": value for key, value in keys.items()})

    def start(
        self,
        *roles: str,
        launcher: Sequence[str] = ("-m", "her2node"),
        env: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> None:
        """Start roles (``up`` for all) as processes of their own; with ``wait``, return when the port answers."""
        for role in roles or ("up",):
            with self.log.open("ab") as log:
                self.processes[role] = subprocess.Popen(
                    [sys.executable, *launcher, role, "--config", str(self.config)],
                    stdout=log,
                    stderr=log,
                    cwd=ROOT,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
                    start_new_session=True,
                )
        if wait and {"up", "receive"} & set(roles or ("up",)):
            until(self.answers, 30, "the node's port")

    def answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def alive(self, role: str = "up") -> bool:
        return role in self.processes and self.processes[role].poll() is None

    def stop(self, *roles: str, seconds: float = 60) -> dict[str, int]:
        """SIGTERM; the exit statuses."""
        chosen = roles or tuple(self.processes)
        for role in chosen:
            if self.alive(role):
                self.processes[role].terminate()
        statuses = {role: self.processes[role].wait(seconds) for role in chosen}
        for role in chosen:
            self._bury(role)
        return statuses

    def kill(self, *roles: str) -> None:
        """SIGKILL to the whole process groups of these roles."""
        for role in roles or tuple(self.processes):
            self._bury(role)

    def _bury(self, role: str) -> None:
        process = self.processes.pop(role)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command of the node with its settings."""
        return subprocess.run(
            [sys.executable, "-m", "her2node", *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            check=check,
            cwd=ROOT,
            timeout=120,
        )

    def settings(self) -> settings.Settings:
        return settings.read(self.config)

    def story(self, study_uid: str) -> StudyStory | None:
        """What the ledger knows of the study, or None."""
        ledger = open_ledger(self.settings().ledger_url)
        try:
            known = {line.study_instance_uid for line in ledger.studies()}
            return ledger.study(study_uid) if study_uid in known else None
        finally:
            ledger.close()

    def deliveries(self, study_uid: str) -> list[str]:
        """The states of the study's deliveries over all editions, those withheld left out."""
        story = self.story(study_uid)
        if story is None:
            return []
        results = [result for edition in story.editions for result in edition.results]
        states = [delivery.state for result in results for delivery in result.deliveries]
        return [state for state in states if state != "withheld"]

    def settled(self, study_uid: str, editions: int = 1) -> bool:
        """Whether all editions are read and all their results sent."""
        story = self.story(study_uid)
        if story is None or len(story.editions) < editions:
            return False
        if any(edition.state not in {"read", "refused"} for edition in story.editions):
            return False
        states = self.deliveries(study_uid)
        return bool(states) and set(states) <= {"sent", "confirmed"}

    def events(self) -> list[dict[str, Any]]:
        """The log lines so far."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]
