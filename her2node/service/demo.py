"""`demo`: phantom studies through the whole running node into a small test PACS, with the truth beside the numbers.

The node is the real one: `up` with a settings file of its own, receiving by C-STORE on a free port of this machine. The
test PACS is a second receiver with a spool. Nothing in the node knows that this is a demonstration but the setting
``demonstration``, which lets the packages with synthetic weights run.
"""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from her2node import log
from her2node.errors import Refused
from her2node.phantoms.study import write as write_phantom
from her2node.service.demonstration import running
from her2node.service.demonstration.pacs import DemoPacs
from her2node.service.demonstration.running import RunningNode
from her2node.service.demonstration.studies import Kind, Shown, plan
from her2node.service.demonstration.told import Told, tell

__all__ = ["Kind", "Told", "run"]


def run(out: Path | None, only: Sequence[str], say: Callable[[str], object]) -> Told:
    """Run the demonstration of ``only`` these studies (none: all) in ``out`` (None: a new temporary folder). Raises
    Refused, or Transient where no node answers."""
    started = time.monotonic()
    if unknown := set(only) - set(Kind):
        raise Refused(f"no study {', '.join(sorted(unknown))}", remedy=f"there are {', '.join(Kind)}")
    folder = out.absolute() if out else Path(tempfile.mkdtemp(prefix="her2node-demo-"))
    if folder.exists() and any(folder.iterdir()):
        raise Refused(f"{folder} is not empty", remedy="name a new folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    log.configure(stream=(folder / "pacs.log").open("w", encoding="utf-8", buffering=1))
    pacs = DemoPacs(folder / "pacs")
    try:
        with ended_by_signal(), running.node(folder, pacs.port) as node:
            say(f"starting the node on port {node.settings.reception.port} and a test PACS on port {pacs.port} ...")
            shown = [plan(kind) for kind in Kind if kind in only or not only]
            began = [_sent(node, one, folder, say) for one in shown]
            say("the node now works ...")
            stories = running.wait(node, [one.study.study_instance_uid for one in shown])
    finally:
        pacs.stop()
    arrived = pacs.files()
    found = [(one, stories.get(one.study.study_instance_uid)) for one in shown]
    told = tuple(tell(one, story, arrived, began[0], delivered=story is not None) for one, story in found)
    return Told(told, time.monotonic() - started, folder)


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP of a terminal that is gone, leave the block as an exception does, so that the node within
    it, a session of its own, is ended."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sent(node: RunningNode, shown: Shown, folder: Path, say: Callable[[str], object]) -> float:
    """Make a study and send it; when its first image left."""
    images = write_phantom(shown.study, folder / "phantom" / shown.kind)
    began = running.send(node, images)
    say(f"sent {shown.title}: {len(images)} objects")
    return began
