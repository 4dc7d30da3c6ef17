"""A receiver as its own process, over the real ledger: ``python -m tests.wire.launcher ROOT [--kill POINT:N]``.

With ``--kill`` the process kills itself (SIGKILL) when it comes to POINT for the N-th time. The points are put in from
here; the node knows nothing of them.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from her2node import log
from her2node.dimse.wire import Wire
from her2node.intake.receivers import receive
from her2node.ledger.ledger import open_ledger
from her2node.settings import Reception

POINTS = ("begin", "write", "rename", "renamed", "fsync", "fsynced", "answer", "answered", "taking-in", "taken-in")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--kill", default="")
    parser.add_argument("--receivers", type=int, default=1)
    parser.add_argument("--network-timeout", type=float, default=30.0)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    log.configure()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if options.kill:
        point, _, count = options.kill.partition(":")
        put_in(point, int(count))
    reception = Reception(
        host="127.0.0.1",
        port=options.port,
        receivers=options.receivers,
        free_space_watermark_bytes=0,
        network_timeout=timedelta(seconds=options.network_timeout),
    )
    url = f"sqlite:///{options.root / 'ledger.sqlite'}"
    options.root.mkdir(exist_ok=True)
    if options.receivers > 1:
        open_ledger(url).close()  # the schema, before there are several
    receive(
        reception,
        options.root / "spool",
        lambda: open_ledger(url),
        stop,
        lambda ports: print("ports", *ports, flush=True),
    )


class Countdown:
    """Kills the process at the N-th call."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def put_in(point: str, count: int) -> None:
    """Replace the call at ``point`` by one that may kill the process before or after it."""
    count_down = Countdown(count)
    if point in ("answer", "answered"):
        Wire.respond = around(Wire.respond, count_down, before=point == "answer")  # type: ignore[method-assign]
    elif point in ("taking-in", "taken-in"):
        from her2node.ledger.ledger import Ledger

        Ledger.take_in = around(Ledger.take_in, count_down, before=point == "taking-in")  # type: ignore[method-assign]
    elif point == "begin":
        os.open = around(os.open, count_down, before=False, when=lambda name, *_, **__: str(name).endswith(".part"))
    elif point == "write":
        os.writev = halved(os.writev, count_down)
    elif point in ("rename", "renamed"):
        os.rename = around(os.rename, count_down, before=point == "rename")
    elif point in ("fsync", "fsynced"):
        os.fsync = around(os.fsync, count_down, before=point == "fsync", when=is_object)
    else:
        raise SystemExit(f"no point {point}")


def around(call: Callable[..., Any], count_down: Countdown, *, before: bool, when: Any = None) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        counts = when is None or when(*args, **kwargs)
        if counts and before:
            count_down()
        result = call(*args, **kwargs)
        if counts and not before:
            count_down()
        return result

    return wrapped


def halved(writev: Callable[..., int], count_down: Countdown) -> Callable[..., int]:
    """Writes only the first half before the process dies."""

    def wrapped(descriptor: int, buffers: Any) -> int:
        if count_down.left == 1:
            whole = b"".join(bytes(buffer) for buffer in buffers)
            os.write(descriptor, whole[: len(whole) // 2])
        count_down()
        return writev(descriptor, buffers)

    return wrapped


def is_object(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".dcm"


if __name__ == "__main__":
    main()
