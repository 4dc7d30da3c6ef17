"""What the demonstration showed: of each study what arrived, its numbers beside the truth, who answered and who not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from rich.console import Console
from rich.table import Table

from her2node.dicom.codes import Document
from her2node.ledger.story_records import StudyStory
from her2node.models.prediction import Level
from her2node.service.demonstration.answers import Answer, Silent, answers_of, silent_of
from her2node.service.demonstration.comparison import Comparison, compare
from her2node.service.demonstration.overlap import compare_drawn
from her2node.service.demonstration.studies import Kind, Shown

_PREFIX = "HER2 AI - not for diagnosis - "


@dataclass(frozen=True)
class ToldStudy:
    """What came back of one study."""

    kind: Kind
    title: str
    study: str
    arrived: tuple[tuple[str, Path], ...]
    """Series description and file of every object that the test PACS got."""
    reports: int
    delivered: bool
    """Whether everything that the node made of it arrived before the demonstration's patience ended."""
    comparisons: tuple[Comparison, ...]
    answers: tuple[Answer, ...]
    silent: tuple[Silent, ...]
    planted: float | None
    timeline: tuple[tuple[float, str], ...]
    """Seconds since the first image of the demonstration was sent, and what happened."""

    @property
    def succeeded(self) -> bool:
        """Everything arrived, one report among it, and all that was compared agrees."""
        return self.delivered and self.reports == 1 and all(row.agrees for row in self.comparisons)

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "title": self.title,
            "study": self.study,
            "succeeded": self.succeeded,
            "reports": self.reports,
            "delivered": self.delivered,
            "arrived": [{"series_description": what, "file": str(path)} for what, path in self.arrived],
            "comparisons": [{**asdict(row), "agrees": row.agrees} for row in self.comparisons],
            "estimates": [asdict(answer) for answer in self.answers],
            "not_run": [asdict(one) for one in self.silent],
            "planted_probability": self.planted,
            "timeline": [{"seconds": seconds, "event": event} for seconds, event in self.timeline],
        }

    def print(self, console: Console) -> None:
        console.print(f"\n{self.title} ({self.kind})")
        for line in self._arrivals():
            console.print(line)
        if self.comparisons:
            console.print(self._table())
        for line in (*self._estimates(), *self._no_estimates()):
            console.print(line)

    def _arrivals(self) -> Iterator[str]:
        counts = Counter(_sort(what) for what, _ in self.arrived)
        came = ", ".join(f"{count} x {what}" if count > 1 else what for what, count in counts.items())
        yield f"  in the PACS: {came or 'nothing'}"
        if self.reports != 1:
            yield f"  MISSING: one report is due, {self.reports} came"
        if not self.delivered:
            yield "  MISSING: not all results were delivered, or the PACS refused some"

    def _table(self) -> Table:
        table = Table(box=None)
        for heading in ("  measured in the report", "value", "truth", "+-", "unit", ""):
            table.add_column(heading, no_wrap=True)
        for row in self.comparisons:
            sign = "agrees" if row.agrees else "DIFFERS"
            value = "none" if row.value is None else f"{row.value:.5g}"
            table.add_row(f"  {row.name}", value, f"{row.truth:.5g}", _short(row.tolerance), row.unit, sign)
        return table

    def _estimates(self) -> Iterator[str]:
        """A line a package: its probability, or one for each value that only a reader could enter."""
        for package in dict.fromkeys(answer.package for answer in self.answers):
            mine = [answer for answer in self.answers if answer.package == package]
            values = " or ".join(f"{answer.probability:.3f}" for answer in mine)
            word = mine[0].estimate if len(mine) == 1 else "by what a reader has not entered"
            planted = self.planted is not None and mine[0].level == Level.SYNTHETIC_DEMO
            beside = f"; planted in the phantom: {self.planted:.3f}" if planted else ""
            yield f"  {package} ({mine[0].level}): {values}, {word}{beside}"

    def _no_estimates(self) -> Iterator[str]:
        """Packages that gave none, together where they have the same reason."""
        for reason in dict.fromkeys(one.reason for one in self.silent):
            yield f"  no estimate: {', '.join(one.package for one in self.silent if one.reason == reason)}: {reason}"


@dataclass(frozen=True)
class Told:
    """What the demonstration showed, and in how many seconds from its start."""

    studies: tuple[ToldStudy, ...]
    seconds: float
    folder: Path

    @property
    def succeeded(self) -> bool:
        return bool(self.studies) and all(study.succeeded for study in self.studies)

    def as_json(self) -> dict[str, Any]:
        return {
            "succeeded": self.succeeded,
            "studies": [study.as_json() for study in self.studies],
            "seconds": round(self.seconds, 1),
            "folder": str(self.folder),
        }

    def print(self, console: Console) -> None:
        for study in self.studies:
            study.print(console)
        console.print(f"\n{self._summary()} in {self.seconds:.0f} s")
        console.print(f"images, node, log and what the PACS got: {self.folder}")
        console.print("Research software, not a medical device: nothing here says anything about a patient.")

    def _summary(self) -> str:
        rows = [row for study in self.studies for row in study.comparisons]
        right, came = sum(row.agrees for row in rows), sum(study.reports for study in self.studies)
        return f"{len(self.studies)} studies, {came} reports, {right} of {len(rows)} numbers agree with the truth"


def tell(
    shown: Shown, story: StudyStory | None, arrived: Sequence[Path], began: float, *, delivered: bool
) -> ToldStudy:
    """What ``arrived`` in the PACS of a study, and whether that is all; None for a story that is not to be told."""
    headers = [(dcmread(path, stop_before_pixels=True), path) for path in arrived]
    mine = [(ds, path) for ds, path in headers if ds.StudyInstanceUID == shown.study.study_instance_uid]
    reports = [ds for ds, _ in mine if _measures(ds)]
    report = reports[0] if reports else None
    drawn = next((path for ds, path in mine if ds.Modality == "SEG"), None)
    overlap = () if shown.to_draw is None else (compare_drawn(drawn, shown.to_draw),)
    return ToldStudy(
        kind=shown.kind,
        title=shown.title,
        study=shown.study.study_instance_uid,
        arrived=tuple((str(ds.get("SeriesDescription", "")), path) for ds, path in mine),
        reports=len(reports),
        delivered=delivered,
        comparisons=(*overlap, *compare(report, shown.expected)),
        answers=answers_of(report) if report is not None else (),
        silent=silent_of(report) if report is not None else (),
        planted=shown.planted,
        timeline=_timeline(story, began) if story else (),
    )


def _sort(description: str) -> str:
    """What an object is by its series description; all maps alike."""
    words = description.removeprefix(_PREFIX)
    return "map" if words.startswith("map ") else words


def _short(tolerance: float) -> str:
    return f"{tolerance:.3g}" if tolerance < 1000 else f"{tolerance:.0f}"


def _measures(ds: Dataset) -> bool:
    """Whether this is the report, not the outline."""
    names = ds.get("ConceptNameCodeSequence")
    return ds.Modality == "SR" and bool(names) and names[0].get("CodeValue") == Document.ONCOLOGY_REPORT.value


def _timeline(story: StudyStory, began: float) -> tuple[tuple[float, str], ...]:
    events = [(event.at.timestamp() - began, f"{event.kind} {event.detail}".strip()) for event in story.events]
    for edition in story.editions:
        sent = [d.sent_at for result in edition.results for d in result.deliveries if d.sent_at]
        if sent:
            events.append((max(sent).timestamp() - began, f"all {len(sent)} results are in the PACS"))
    in_order = sorted(events, key=lambda event: event[0])  # what happened in one moment stays as the ledger has it
    return tuple((round(seconds, 2), event) for seconds, event in in_order)
