"""How often each flag of applicability fires, by package: studies drift away from what a package was made for."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Firing:
    """``studies``: how many the package (NAME@VERSION) answered. ``flags``: in how many of them, by kind."""

    package: str
    studies: int
    flags: Mapping[str, int]

    def __str__(self) -> str:
        kinds = (f"{kind} {count} ({100 * count / self.studies:.0f} %)" for kind, count in self.flags.items())
        return f"{self.package} answered {self.studies}, flagged: {', '.join(kinds) or 'none'}"


def firing(summaries: Sequence[str]) -> tuple[Firing, ...]:
    """From what the ledger keeps of readings (JSON, ``jobs.story``), one of each study; packages by name."""
    studies: Counter[str] = Counter()
    flags: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for summary in summaries:
        for package, kinds in json.loads(summary).get("flagged", {}).items():
            studies[package] += 1
            flags[package].update(set(kinds))
    return tuple(Firing(name, studies[name], dict(flags[name].most_common())) for name in sorted(studies))
