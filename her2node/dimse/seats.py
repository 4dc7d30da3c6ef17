"""How many associations the node has, counted over all its receiver processes."""

from __future__ import annotations

import mmap
import threading

_WIDTH = 4


class Seats:
    """A count for each process in memory that forked children share. Each writes its own and reads all."""

    def __init__(self, processes: int = 1) -> None:
        self._counts = memoryview(mmap.mmap(-1, processes * _WIDTH)).cast("I")
        self._place = 0
        self._lock = threading.Lock()

    def move_to(self, place: int) -> None:
        """In a forked child: count at ``place`` from now on. What a dead predecessor left there is forgotten."""
        self._lock = threading.Lock()
        self._place = place
        self._counts[place] = 0

    def take(self) -> int:
        """Take a seat and return how many others are taken."""
        with self._lock:
            self._counts[self._place] += 1
            return sum(self._counts) - 1

    def leave(self) -> None:
        """Give a seat back."""
        with self._lock:
            self._counts[self._place] -= 1
