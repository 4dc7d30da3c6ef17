"""`status`, `rerun`, `resend`, `enter`: what the ledger knows, as people and programs read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console

from her2node.delivery.outbox import remedy_for
from her2node.ledger import Ledger
from her2node.ledger.story_records import EditionStory, SetAsideStory, StudyLine, StudyStory
from her2node.service.clock import now
from her2node.service.firing import Firing, firing
from her2node.service.parts import open_ledger_of
from her2node.service.shelf import check_entries
from her2node.settings import Settings


@dataclass(frozen=True)
class Listing:
    """Every study on one line, and what could be attached to none."""

    lines: tuple[StudyLine, ...]
    homeless: tuple[SetAsideStory, ...]
    held: Mapping[str, str]
    """AE title that results are held for, to the lines to add."""
    firing: tuple[Firing, ...] = ()
    """How often each flag of applicability fired in the studies that were read last."""

    def as_json(self) -> dict[str, Any]:
        return {
            "studies": [asdict(line) for line in self.lines],
            "set_aside": [asdict(item) for item in self.homeless],
            "held": dict(self.held),
            "flags": {one.package: {"studies": one.studies, "flagged": dict(one.flags)} for one in self.firing},
        }

    def print(self, console: Console) -> None:
        if not self.lines:
            console.print("no study yet")
        for line in self.lines:
            console.print(_line(line))
        for item in self.homeless:
            place = f"{item.place.association_id}/{item.place.number}"
            console.print(f"set aside: {place} from {item.calling_ae}: {item.reason} {item.detail}".rstrip())
        for one in self.firing:
            console.print(str(one))
        for ae, lines in self.held.items():
            console.print(f"results are held for {ae}: no peer has this AE title. Add to the settings:\n{lines}")


@dataclass(frozen=True)
class Story:
    """Everything about one study."""

    study: StudyStory
    addresses: Mapping[str, str] = field(default_factory=dict)
    """AE title that results may be held for, to the address from which it called."""

    def as_json(self) -> dict[str, Any]:
        shown = asdict(self.study)
        for edition, source in zip(shown["editions"], self.study.editions, strict=True):
            edition["steps"] = [{"step": step, "seconds": seconds} for step, seconds in _steps(source)]
            edition["summary"] = json.loads(source.summary) if source.summary else None
        return shown

    def print(self, console: Console) -> None:
        for line in _tell(self.study, self.addresses):
            console.print(line)


def tell(settings: Settings, study: str | None) -> Listing | Story:
    """What the ledger knows: of one study everything, of all a line each. Raises NotFound."""
    with open_ledger_of(settings) as ledger:
        if study is not None:
            told = ledger.study(study)
            return Story(told, ledger.addresses([told.sender_ae]))
        return Listing(ledger.studies(), _homeless(ledger), _held(ledger), firing(ledger.summaries()))


def rerun(settings: Settings, study: str) -> str:
    """A new edition of the study. Raises NotFound."""
    with open_ledger_of(settings) as ledger:
        edition = ledger.rerun(study, now())
    return f"edition {edition.number} of {study}"


def resend(settings: Settings, study: str) -> str:
    """The latest results once more. Raises NotFound."""
    with open_ledger_of(settings) as ledger:
        count = ledger.resend(study, now())
    return f"{count} deliveries of {study} are due again"


def enter(settings: Settings, study: str, entries: Mapping[str, str]) -> str:
    """Note what a reader knows; an empty value takes it back.

    Raises NotFound, and Refused for a name or value that no package knows.
    """
    check_entries(settings, entries)
    with open_ledger_of(settings) as ledger:
        edition = ledger.enter_all(study, entries, now())
    told = ", ".join(f"{name} = {value}" if value else f"{name} taken back" for name, value in entries.items())
    return f"{told}: edition {edition.number} of {study}"


def _homeless(ledger: Ledger) -> tuple[SetAsideStory, ...]:
    return tuple(item for item in ledger.set_aside() if item.study_instance_uid is None)


def _held(ledger: Ledger) -> dict[str, str]:
    senders = {line.sender_ae for line in ledger.studies() if line.deliveries.get("held")}
    addresses = ledger.addresses(senders)
    return {ae: remedy_for(ae, addresses.get(ae, "")) for ae in sorted(senders)}


def _line(line: StudyLine) -> str:
    deliveries = ", ".join(f"{count} {state}" for state, count in sorted(line.deliveries.items()))
    parts = (
        line.study_instance_uid,
        f"edition {line.number} {line.state}",
        line.reason,
        f"{line.instances} objects from {line.sender_ae}",
        f"{line.set_aside} set aside" if line.set_aside else "",
        deliveries,
    )
    return "  ".join(part for part in parts if part)


def _tell(study: StudyStory, addresses: Mapping[str, str]) -> Iterator[str]:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(study.instances.items()))
    yield f"study {study.study_instance_uid} from {study.sender_ae}: {counts}"
    for series in study.series:
        role = series.role or "no role"
        why = f" ({'; '.join(series.evidence)})" if series.evidence else ""
        refused = f" REFUSED: {series.refused}" if series.refused else ""
        yield f"  series {series.number} {series.modality} {series.instances} objects: {role}{why}{refused}"
    for name, value in study.entered.items():
        yield f"  entered: {name} = {value}"
    for item in study.set_aside:
        yield f"  set aside: {item.sop_instance_uid} {item.reason} {item.detail}".rstrip()
    for edition in study.editions:
        yield from _edition(edition, addresses)
    for event in study.events:
        yield f"  {event.at:%Y-%m-%d %H:%M:%S.%f} {event.kind} {event.detail}".rstrip()


def _edition(edition: EditionStory, addresses: Mapping[str, str]) -> Iterator[str]:
    yield f"  edition {edition.number} {edition.state}: {edition.reason}"
    for step, seconds in _steps(edition):
        yield f"    {step}: {seconds:.2f} s"
    for result in edition.results:
        yield f"    {result.kind} {result.sop_instance_uid}"
        for delivery in result.deliveries:
            where = delivery.destination or f"{delivery.ae_title} (no peer has this AE title)"
            error = f": {delivery.error}" if delivery.error else ""
            yield f"      {where}: {delivery.state} after {delivery.attempts} attempts{error}"
            if delivery.destination is None:
                remedy = remedy_for(delivery.ae_title, addresses.get(delivery.ae_title, ""))
                yield from (f"      {line}" for line in remedy.splitlines())


def _steps(edition: EditionStory) -> list[tuple[str, float]]:
    """How long each step took, from the ledger's times and the analysis' own clock."""
    steps: list[tuple[str, float]] = []
    _span(steps, "received and completed", edition.opened_at, edition.completed_at)
    for job in edition.jobs:
        _span(steps, "waited for a worker", edition.completed_at, job.claimed_at)
        _span(steps, "analysed", job.claimed_at, job.finished_at)
    timed = json.loads(edition.summary).get("seconds", {}) if edition.summary else {}
    steps += [(f"  {name}", float(seconds)) for name, seconds in timed.items()]
    sent = [d.sent_at for result in edition.results for d in result.deliveries if d.sent_at]
    _span(steps, "delivered", edition.finished_at, max(sent, default=None))
    return steps


def _span(steps: list[tuple[str, float]], name: str, begin: datetime | None, end: datetime | None) -> None:
    if begin is not None and end is not None:
        steps.append((name, max(end - begin, timedelta(0)).total_seconds()))
