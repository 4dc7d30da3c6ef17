"""When a study is complete: a pure comparison of what came with what the packages need.

Three ways, first to speak wins: by content (every need is met and nothing came for ``settle``), by quiet (nothing came
for ``quiet``), by patience (``patience`` since the first object). None of them while an association is delivering.

Whether a series is whole nothing in it says. Where the sender is a peer that counts, its own number of objects decides;
elsewhere, and where it gives none, the phases must cover the same extent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from her2node.intake.counts import Count, count
from her2node.ledger.records import Extent, Gathering, OpenAssociation, SeriesFacts

By = Literal["content", "quiet", "patience"]

EXTENT_TOLERANCE_MM = 10.0
"""Phases cover the same extent when neither end differs by more: two slices of 5 mm, for each is planned anew."""

ROI_ROLE = "roi"


@dataclass(frozen=True)
class Need:
    """What one enabled package needs of a study of its modality. ``roi``: a given region; the package makes none."""

    package: str
    modality: str
    roles: frozenset[str]
    roi: bool = False


@dataclass(frozen=True)
class CompletionTimes:
    """``settle``, ``quiet`` and ``patience`` of the settings."""

    settle: timedelta
    quiet: timedelta
    patience: timedelta


@dataclass(frozen=True)
class Verdict:
    """Complete by what, or None; and a sentence: the evidence, or what is waited for and until when."""

    by: By | None
    sentence: str
    until: datetime | None = None

    @property
    def complete(self) -> bool:
        """Whether the edition is to be closed."""
        return self.by is not None


def judge(
    facts: Gathering,
    needs: Sequence[Need],
    clock: CompletionTimes,
    now: datetime,
    counting: Collection[str] = (),
) -> Verdict:
    """Whether an edition is complete at ``now``. ``counting``: AE titles of the peers that are asked for their counts.

    What arrived but is not filed yet may belong to the study, so time runs only as far as arrivals are filed: a
    backlog after a pause of the node completes nothing early.
    """
    known_until = facts.known_until(now)
    counted = _counted(facts, needs, counting)
    lacking = _lacking(facts, needs, counted)
    delivering = [item for item in facts.delivering if _delivers(item, clock.quiet, known_until)]
    if delivering:
        callers = ", ".join(sorted({item.calling_ae for item in delivering}))
        return Verdict(None, f"an association from {callers} is delivering{_also(lacking)}")
    settled_at = facts.last_at + clock.settle
    quiet_at = facts.last_at + clock.quiet
    patience_at = facts.first_at + clock.patience
    if not lacking and known_until >= settled_at:
        return Verdict("content", _evidence(facts, needs, counted))
    if known_until >= quiet_at:
        return Verdict("quiet", f"nothing came for {_seconds(clock.quiet)}{_also(lacking)}")
    if known_until >= patience_at:
        return Verdict("patience", f"{_seconds(clock.patience)} since the first object{_also(lacking)}")
    until = min(quiet_at, patience_at, *([] if lacking else [settled_at]))
    waits = "; ".join(lacking) if lacking else "everything is here, waits whether more comes"
    if until <= now:
        return Verdict(None, f"{waits}; until what arrived before is filed", until)
    return Verdict(None, f"{waits}; until {until:%Y-%m-%d %H:%M:%S} UTC", until)


def _delivers(item: OpenAssociation, quiet: timedelta, known_until: datetime) -> bool:
    """An open association delivers to the study, unless it went on to other studies and was quiet for this one.

    Routers keep one association open for everything that they route.
    """
    return not (item.moved_on and known_until >= item.last_at + quiet)


def _counted(facts: Gathering, needs: Sequence[Need], counting: Collection[str]) -> Count:
    """What the sender's count says of the modalities that packages accept, those of which nothing came among them."""
    if facts.sender_ae not in counting:
        return Count(False)
    return count(facts, {need.modality for need in needs})


def _lacking(facts: Gathering, needs: Sequence[Need], counted: Count) -> list[str]:
    """What content completion still misses, in words; nothing when every need is met."""
    heard = _heard(facts, needs)
    if not heard:
        return ["no enabled package accepts what came so far"]
    lacking = _missing(facts, heard)
    if facts.unclassified:
        lacking.append(f"series that are not classified yet: {facts.unclassified}")
    if facts.aborted:
        lacking.append(f"associations that broke off and sent nothing again: {len(facts.aborted)}")
    if counted.decides:
        lacking.extend(counted.lacking)
    elif uneven := _uneven(facts, heard):
        lacking.append(uneven)
    return lacking


def _heard(facts: Gathering, needs: Sequence[Need]) -> list[Need]:
    """Needs of packages whose modality is present."""
    present = facts.modalities
    return [need for need in needs if need.modality in present]


def _missing(facts: Gathering, needs: Sequence[Need]) -> list[str]:
    """Roles and regions that are not there, with the packages that need them."""
    wanted: dict[str, list[str]] = {}
    for need in needs:
        here = {role for item in _usable(facts, need.modality) for role in item.roles}
        for role in sorted(need.roles - here):
            wanted.setdefault(f"the {role} series", []).append(need.package)
        if need.roi and not any(item.role == ROI_ROLE and not item.refused for item in facts.series):
            wanted.setdefault("a region of interest", []).append(need.package)
    return [f"waits for {what} ({', '.join(packages)})" for what, packages in wanted.items()]


def _usable(facts: Gathering, modality: str) -> list[SeriesFacts]:
    return [item for item in facts.series if item.modality == modality and item.role and not item.refused]


def _uneven(facts: Gathering, needs: Sequence[Need]) -> str:
    """The phases of one modality that do not cover the same extent: one may be still on its way."""
    for modality in sorted({need.modality for need in needs}):
        roles = frozenset[str]().union(*(need.roles for need in needs if need.modality == modality))
        extents = _extents(_usable(facts, modality), roles)
        ends = list(zip(*extents.values(), strict=True))
        if any(max(end) - min(end) > EXTENT_TOLERANCE_MM for end in ends):
            spans = ", ".join(f"{role} {low:.0f} to {high:.0f} mm" for role, (low, high) in sorted(extents.items()))
            return f"the phases cover different extents ({spans})"
    return ""


def _extents(series: Sequence[SeriesFacts], roles: frozenset[str]) -> dict[str, Extent]:
    """Role to what its series cover together; series without a known extent say nothing."""
    extents: dict[str, Extent] = {}
    for item in series:
        if item.extent is None:
            continue
        for role in roles.intersection(item.roles):
            low, high = extents.get(role, item.extent)
            extents[role] = (min(low, item.extent[0]), max(high, item.extent[1]))
    return extents


def _evidence(facts: Gathering, needs: Sequence[Need], counted: Count) -> str:
    packages = ", ".join(sorted({need.package for need in _heard(facts, needs)}))
    met = f"{packages}: every role that is needed is here"
    return f"{met}; {counted.evidence}" if counted.evidence else met


def _also(lacking: Sequence[str]) -> str:
    return f"; {'; '.join(lacking)}" if lacking else ""


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():g} s"
