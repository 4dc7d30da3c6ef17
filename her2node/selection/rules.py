"""A site's own word on which series plays which role."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset

from her2node.dicom.attributes import text
from her2node.selection.roles import Role


@dataclass(frozen=True)
class SiteRule:
    """Every pattern must be found in its attribute. ``role`` None keeps a matching series out."""

    role: Role | None
    patterns: tuple[tuple[str, re.Pattern[str]], ...]

    @classmethod
    def of(cls, role: str, patterns: Mapping[str, str]) -> SiteRule:
        """From a role's name, or ``ignore``, and DICOM keyword -> regular expression, searched without regard to case.

        Raises ValueError for an unknown role, no pattern, or an expression that cannot be compiled.
        """
        if not patterns:
            raise ValueError("a site rule without patterns would match every series")
        compiled = tuple((keyword, re.compile(pattern, re.IGNORECASE)) for keyword, pattern in patterns.items())
        return cls(None if role == "ignore" else Role(role), compiled)

    def matches(self, header: Dataset) -> bool:
        return all(pattern.search(text(header, keyword)) for keyword, pattern in self.patterns)

    def __str__(self) -> str:
        shown = " and ".join(f"{keyword} ~ /{pattern.pattern}/" for keyword, pattern in self.patterns)
        return f"{shown} -> {self.role or 'ignore'}"
