"""The one place where the leader and its helpers meet errors that nobody foresaw.

What is attempted at the door either gives its value or ``Failed``, which holds the error: a bad study, a missing
database or a mistake of ours stops nothing else. Each failure is told once, not at every tick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from her2node.errors import Transient
from her2node.log import emit_exception

T = TypeVar("T")
_REMEMBERED = 1000


@dataclass(frozen=True)
class Failed:
    """An attempt that ended in ``error``."""

    error: Exception

    @property
    def passing(self) -> bool:
        """Whether the same attempt may succeed later."""
        return isinstance(self.error, Transient)


class Door:
    """Attempts things by name. Safe for one thread."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def attempt(self, what: str, act: Callable[[], T]) -> T | Failed:
        """The value of ``act``, or Failed. An error is logged when ``what`` did not fail with it the last time."""
        try:
            value = act()
        except Exception as error:  # noqa: BLE001 - this is the door
            self._tell(what, error)
            return Failed(error)
        self._told.pop(what, None)
        return value

    def _tell(self, what: str, error: Exception) -> None:
        words = f"{type(error).__name__}: {error}"
        if self._told.get(what) == words:
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told[what] = words
        emit_exception(error, during=what)
