"""Starts the launcher and talks to it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class ReceiverProcess:
    """A receiver in a process of its own, over ``root``."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.wire.launcher", str(root), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        assert words[:1] == ["ports"], "the receiver did not start"
        self.port = int(words[1])

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        status = self.process.wait(60)
        if self.process.stdout:
            self.process.stdout.close()
        return status

    def close(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        self.wait()

    def files(self, suffix: str = ".dcm") -> list[Path]:
        return sorted(self.root.glob(f"spool/incoming/*/*{suffix}"))


def resident_mb(pid: int) -> float:
    """Memory of a process that no other shares, and its part of what is shared (PSS), in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no PSS")


def peak_mb(pid: int) -> float:
    """Largest resident set so far, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
