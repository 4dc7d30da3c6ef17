"""A receiver killed (SIGKILL) at every step of a C-STORE: what was answered with Success is there afterwards."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pydicom
import pytest

from her2node.ledger.ledger import open_ledger
from tests.wire.launcher import POINTS
from tests.wire.node import until
from tests.wire.peer import Peer
from tests.wire.process import ReceiverProcess

INSTANCES = 100
DECISIVE = ("write", "rename", "fsync", "answer", "answered", "taken-in")
"""The points where the most can go wrong; the long test takes all."""


def send_until_it_dies(port: int, prefix: str = "1.2") -> list[str]:
    """Store objects in two associations; those that were answered with Success."""
    answered: list[str] = []
    for half in range(2):
        with suppress(OSError, AssertionError), Peer(port) as peer:
            peer.associate()
            for number in range(half * INSTANCES // 2, (half + 1) * INSTANCES // 2):
                assert peer.store(f"{prefix}.{number}") == 0
                answered.append(f"{prefix}.{number}")
            peer.release()
    return answered


def known_to_the_ledger(root: Path) -> dict[str, tuple[str, int]]:
    ledger = open_ledger(f"sqlite:///{root / 'ledger.sqlite'}")
    try:
        return {one.sop_instance_uid: (one.association_id, one.number) for one in ledger.unfiled(10_000)}
    finally:
        ledger.close()


def kill_at(root: Path, point: str, count: int) -> list[str]:
    """Start a receiver, which puts right what the one before left, and kill it at a point. What it answered."""
    victim = ReceiverProcess(root, "--kill", f"{point}:{count}")
    answered = send_until_it_dies(victim.port, prefix=f"1.2.{len(list(root.glob('spool/incoming/*')))}")
    assert victim.wait() == -9, point
    return answered


def look(root: Path, answered: list[str], kills: int) -> int:
    """Start a receiver and check that everything is there. How many objects were found."""
    heir = ReceiverProcess(root)
    until(lambda: len(list(root.glob("spool/sessions/*"))) == 1)  # its own
    known = known_to_the_ledger(root)
    assert set(answered) <= set(known)
    assert heir.terminate() == 0
    assert not heir.files(".part")
    assert not list(root.glob("spool/sessions/*"))
    stored = {str(pydicom.dcmread(path).SOPInstanceUID): path for path in heir.files()}
    assert set(stored) == set(known)
    for instance, (association_id, number) in known.items():
        assert stored[instance].parts[-2:] == (association_id, f"{number}.dcm")
    assert len(set(stored) - set(answered)) <= kills  # one in flight may have become durable unanswered
    return len(stored)


def test_what_was_answered_outlives_kills_at_every_step(tmp_path: Path) -> None:
    answered: list[str] = []
    for place, point in enumerate(DECISIVE):
        answered += kill_at(tmp_path, point, 1 if point.startswith("tak") else 3 + place)
    look(tmp_path, answered, kills=len(DECISIVE))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_what_was_answered_outlives_kills_wherever_they_strike(tmp_path: Path) -> None:
    print(f"\n{'point':12}{'at':>5}{'answered':>10}{'found':>7}")
    for point in POINTS:
        for turn, count in enumerate((1, 1, 1) if point.startswith("tak") else (1, 50, 100)):
            root = tmp_path / f"{point}-{turn}"
            answered = kill_at(root, point, count)
            print(f"{point:12}{count:5}{len(answered):10}{look(root, answered, kills=1):7}")


def test_a_start_after_a_clean_end_has_nothing_to_put_right(tmp_path: Path) -> None:
    first = ReceiverProcess(tmp_path)
    answered = send_until_it_dies(first.port)
    assert first.terminate() == 0
    assert sorted(known_to_the_ledger(tmp_path)) == sorted(answered)
    assert not list(tmp_path.glob("spool/sessions/*"))
