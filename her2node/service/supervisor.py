"""`up`: receiver, worker and courier as three processes under one parent.

A child that dies unasked is started again after a pause that doubles; one that ends with ``EXIT_SETTINGS`` has nothing
to gain from another try and ends the whole. On SIGTERM the receiver stops first (nothing new comes in), then worker and
courier, each told alone; their process groups are killed only when their time is over. A child whose supervisor is
killed gets SIGTERM from the kernel (Linux).
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from her2node.log import Event, emit

EXIT_SETTINGS = 78
"""EX_CONFIG of sysexits.h: the role cannot run with these settings."""

ROLES = ("receive", "work", "deliver")
_READY_FD = "HER2NODE_READY_FD"
_PARENT = "HER2NODE_PARENT"
_PR_SET_PDEATHSIG = 1
_LIVED = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


@dataclass
class _Child:
    role: str
    process: subprocess.Popen[bytes]
    ready_fd: int
    started: float
    ready: bool = False


@dataclass
class Supervisor:
    """Runs ``roles`` until ``stop`` is set. ``command`` gives the command line of a role."""

    command: Callable[[str], Sequence[str]]
    roles: Sequence[str] = ROLES
    stop: threading.Event = field(default_factory=threading.Event)
    patience: float = 30.0
    """Seconds a role has to end after SIGTERM."""
    _children: dict[str, _Child] = field(default_factory=dict, init=False)
    _pauses: dict[str, float] = field(default_factory=dict, init=False)
    _due: dict[str, float] = field(default_factory=dict, init=False)

    def run(self, on_ready: Callable[[float], None] = lambda seconds: None) -> int:
        """Start the roles, watch them, stop them. The exit status is 0, or EXIT_SETTINGS."""
        began, told = time.monotonic(), False
        for role in self.roles:
            self._start(role)
        status = 0
        while not self.stop.is_set() and status == 0:
            self._hear(0.1)
            if not told and all(child.ready for child in self._children.values()):
                told = True
                on_ready(time.monotonic() - began)
            status = self._mend()
        self._stop_all()
        return status

    def _start(self, role: str) -> None:
        ours, theirs = os.pipe()
        environment = {**os.environ, _READY_FD: str(theirs), _PARENT: str(os.getpid())}
        process = subprocess.Popen(self.command(role), env=environment, pass_fds=(theirs,), start_new_session=True)
        os.close(theirs)
        self._children[role] = _Child(role, process, ours, time.monotonic())

    def _hear(self, timeout: float) -> None:
        """Wait for a child to say that it is ready, at most ``timeout`` seconds."""
        waiting = {child.ready_fd: child for child in self._children.values() if child.ready_fd >= 0}
        if not waiting:
            self.stop.wait(timeout)
            return
        readable, _, _ = select.select(list(waiting), [], [], timeout)
        for fd in readable:
            child = waiting[fd]
            child.ready = bool(os.read(fd, 1))
            os.close(fd)
            child.ready_fd = -1

    def _mend(self) -> int:
        """Start again what died and is due; EXIT_SETTINGS when starting again cannot help."""
        now = time.monotonic()
        for role, child in list(self._children.items()):
            code = child.process.poll()
            if code is None or role in self._due:
                continue
            if code == EXIT_SETTINGS:
                return EXIT_SETTINGS
            self._bury(child)
            lived = now - child.started
            pause = (
                _FIRST_PAUSE if lived > _LIVED else min(self._pauses.get(role, _FIRST_PAUSE / 2) * 2, _LONGEST_PAUSE)
            )
            self._pauses[role], self._due[role] = pause, now + pause
            emit(Event.ROLE_DIED, role=role, exit_status=code, lived_s=round(lived, 1), again_in_s=pause)
        for role in [role for role, due in self._due.items() if due <= now]:
            del self._due[role]
            self._start(role)
        return 0

    def _bury(self, child: _Child) -> None:
        if child.ready_fd >= 0:
            os.close(child.ready_fd)
            child.ready_fd = -1
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)  # what a dead child left behind

    def _stop_all(self) -> None:
        first, rest = self.roles[:1], self.roles[1:]
        for group in (first, rest):
            children = [self._children[role] for role in group]
            for child in children:
                if child.process.poll() is None:
                    child.process.terminate()
            deadline = time.monotonic() + self.patience
            for child in children:
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.0, deadline - time.monotonic()))
                self._bury(child)
                child.process.wait()


def command_of(config: str | None) -> Callable[[str], Sequence[str]]:
    """The command line of a role with the same settings file as the supervisor's."""
    settings = ("--config", config) if config else ()
    return lambda role: (sys.executable, "-m", "her2node", role, *settings)


def stop_on_signals(stop: threading.Event) -> None:
    """SIGTERM and SIGINT set ``stop``. To be called from the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def follow_parent() -> None:
    """In a child of ``up``: get SIGTERM when the supervisor dies, even by SIGKILL."""
    parent = int(os.environ.get(_PARENT, "0"))
    if not parent:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGTERM)


def say_ready() -> None:
    """In a child of ``up``: tell the supervisor that this role is ready. Without a supervisor, nothing."""
    fd = os.environ.pop(_READY_FD, "")
    if fd:
        with suppress(OSError):
            os.write(int(fd), b"1")
            os.close(int(fd))
