"""The demonstration's node: its settings, its process, what is sent to it and when it has delivered."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from her2node import settings as settings_file
from her2node.dimse.requestor import Outgoing, Requestor, needs_of
from her2node.errors import Transient
from her2node.ledger import open_ledger
from her2node.ledger.story_records import StudyLine, StudyStory
from her2node.service.demonstration import pacs
from her2node.settings import Peer, Settings

PATIENCE = 1200.0
"""Seconds that the node has to start, and again from the last image to the last delivery."""


@dataclass(frozen=True)
class RunningNode:
    """A node as a process of its own, and its log."""

    settings: Settings
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raises Transient where it has ended."""
        if self.process.poll() is not None:
            raise Transient("the node has ended", remedy=f"read {self.log}")


def write_settings(folder: Path, pacs_port: int) -> Settings:
    """Write the node's settings file and read it."""
    text = f"""\
# The settings of the demonstration.
state_dir = {json.dumps(str(folder / "node"))}
demonstration = true

[reception]
host = "127.0.0.1"
port = {_free_port()}
free_space_watermark_bytes = 0

[completion]
settle = 1
quiet = 4

[jobs]
workers = {min(2, os.cpu_count() or 1)}

# The phantoms' flows are per 100 ml, and their tumours leak by the standard Tofts model.
[perfusion]
density_g_ml = 1.0

[dce]
model = "tofts"

[reports]
site = "Demonstration"
summary = "always"

[peers.pacs]
ae = "{pacs.AE}"
host = "127.0.0.1"
port = {pacs_port}
"""
    (folder / "her2node.toml").write_text(text, encoding="utf-8")
    return settings_file.read(folder / "her2node.toml")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def node(folder: Path, pacs_port: int) -> Iterator[RunningNode]:
    """`her2node up` as a process of its own, its log in node.log, for the length of the block."""
    settings = write_settings(folder, pacs_port)
    command = [sys.executable, "-m", "her2node", "up", "--config", str(folder / "her2node.toml")]
    log = folder / "node.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        yield RunningNode(settings, process, log)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def send(running: RunningNode, images: Sequence[Path]) -> float:
    """C-STORE a study as the PACS would; when its first image left. Raises Transient where no node answers."""
    reception = running.settings.reception
    here = Peer(ae=reception.ae_title, host="127.0.0.1", port=reception.port)
    files = [Outgoing.of(path) for path in images]
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with Requestor(pacs.AE).open(here, needs_of(files)) as link:
                began = time.time()
                for file in files:
                    link.store(file)
            return began
        except Transient:
            running.check()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)  # the node is still starting


def wait(running: RunningNode, studies: Collection[str]) -> Mapping[str, StudyStory]:
    """Wait until everything of these studies is delivered, PATIENCE at most; the stories of those, and only those, that
    are. Raises Transient where the node ends before."""
    ledger = open_ledger(running.settings.ledger_url)
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            done = {line.study_instance_uid for line in ledger.studies() if delivered(line)} & set(studies)
            if done == set(studies) or time.monotonic() > deadline:
                return {uid: ledger.study(uid) for uid in done}
            running.check()
            time.sleep(0.1)
    finally:
        ledger.close()


def delivered(line: StudyLine) -> bool:
    """Whether a study has results and all of them arrived: none is on its way, none was refused for good."""
    return bool(line.deliveries) and set(line.deliveries) <= {"sent", "confirmed"}
