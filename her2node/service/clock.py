"""The time, in one place."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The aware present."""
    return datetime.now(UTC)
