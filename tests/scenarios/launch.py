"""Runs a role of the node with a killer in it: SIGKILL at a named point, for tests alone.

``python -m tests.scenarios.launch ROLE --config FILE`` with the environment

- ``KILL_AT``: ``module:Qualified.name:before`` or ``...:after``;
- ``KILL_FILE``: a file with one line for every kill done so far;
- ``KILL_TIMES``: how many kills; then the role lives on;
- ``KILL_SKIP``: how many calls pass first in each life.

The killer wraps the function in this process, and so in the worker processes that are forked from it.
"""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


def arm(at: str, kills: Path, times: int, skip: int) -> None:
    """Wrap the function named by ``at``."""
    module_name, qualified, when = at.split(":")
    owner: Any = importlib.import_module(module_name)
    *path, name = qualified.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, name, _deadly(getattr(owner, name), when, kills, times, skip))


def _deadly(function: Callable[..., Any], when: str, kills: Path, times: int, skip: int) -> Callable[..., Any]:
    calls = 0

    def die() -> None:
        nonlocal calls
        calls += 1
        done = len(kills.read_text().splitlines()) if kills.exists() else 0
        if calls > skip and done < times:
            with kills.open("a") as file:
                file.write(f"{os.getpid()}\n")
                file.flush()
                os.fsync(file.fileno())
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            die()
        result = function(*arguments, **named)
        if when == "after":
            die()
        return result

    return wrapped


def main() -> None:
    """Arm the killer, then be the command."""
    from her2node import cli

    if os.environ.get("KILL_AT"):
        arm(
            os.environ["KILL_AT"],
            Path(os.environ["KILL_FILE"]),
            int(os.environ.get("KILL_TIMES", "1")),
            int(os.environ.get("KILL_SKIP", "0")),
        )
    cli.main()


if __name__ == "__main__":
    main()
