"""What selection says about one series."""

from __future__ import annotations

from dataclasses import dataclass

from her2node.selection.roles import Role


@dataclass(frozen=True)
class Assignment:
    """The role of one series and every reason for it, in the order in which it was weighed.

    ``role`` None: nothing tells. ``ignored``: the series is kept out (localizer, derived image, report, own result, a
    site rule that says so) and is neither measured nor given to a package.
    """

    series_instance_uid: str
    role: Role | None
    evidence: tuple[str, ...]
    ignored: bool = False
