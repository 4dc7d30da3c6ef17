"""What work takes: seconds of the wall, which grow on a busy machine, and of the processors, which hardly do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Spent:
    """Seconds."""

    wall: float
    processor: float

    @property
    def words(self) -> str:
        return f"{self.wall:.1f} s, {self.processor:.1f} s of processor time"

    def a_voxel(self, voxels: int) -> str:
        """In columns: microseconds of the wall and of the processors."""
        return f"{self.wall / voxels * 1e6:10.1f}{self.processor / voxels * 1e6:10.1f}"

    def ratio_to(self, voxels: int, other: Spent, others_voxels: int) -> str:
        """How many times as long this takes a voxel as the other does."""
        wall, processor = (
            mine / voxels / (theirs / others_voxels)
            for mine, theirs in ((self.wall, other.wall), (self.processor, other.processor))
        )
        return f"ratio of time a voxel: {wall:.0f} of the wall, {processor:.0f} of the processors"


def spent(work: Callable[[], T]) -> tuple[T, Spent]:
    """The outcome of some work, and what it took."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return found, Spent(time.perf_counter() - wall, time.process_time() - processor)
