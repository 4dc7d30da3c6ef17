"""`demo`: a phantom study through the whole running node into a small test PACS, with the truth beside the numbers.

The node is the real one: `up` with a settings file of its own, receiving by C-STORE on a free port of this machine. The
test PACS is a second receiver with a spool. Nothing in the node knows that this is a demonstration but the setting
``demonstration``, which lets the packages with synthetic weights run.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from rich.console import Console
from rich.table import Table

from her2node import log
from her2node import settings as settings_file
from her2node.dicom.codes import Estimate
from her2node.dicom.codes import Quantity as Concept
from her2node.dimse.requestor import Outgoing, Requestor, needs_of
from her2node.errors import Refused, Transient
from her2node.intake.receiver import Receiver
from her2node.ledger import open_ledger
from her2node.ledger.records import Arrival, AssociationEnded, AssociationOpened
from her2node.ledger.story_records import StudyStory
from her2node.phantoms import ct
from her2node.phantoms.options import PhantomOptions, RoiForm
from her2node.phantoms.study import PhantomStudy
from her2node.phantoms.study import write as write_phantom
from her2node.service.comparison import Comparison, compare, concept_of, groups_of
from her2node.settings import Peer, Reception, Settings
from her2node.spool import Spool

PACS_AE = "DEMOPACS"
PATIENCE = 120.0
"""Seconds that the node has from the last image to the last delivery."""
OPTIONS = PhantomOptions(seed=7, rows=192, columns=192, slices=48, slice_spacing_mm=2.5, rois=(RoiForm.BINARY,))


@dataclass(frozen=True)
class Told:
    """What the demonstration showed."""

    study: str
    arrived: tuple[tuple[str, Path], ...]
    """Series description and file of every object that the test PACS got."""
    comparisons: tuple[Comparison, ...]
    estimates: tuple[tuple[str, float, str], ...]
    """Whose answer, probability, and the estimate's word."""
    true_probability: float
    timeline: tuple[tuple[float, str], ...]
    """Seconds since the first image was sent, and what happened."""
    folder: Path

    @property
    def succeeded(self) -> bool:
        return bool(self.arrived) and all(comparison.agrees for comparison in self.comparisons)

    def as_json(self) -> dict[str, Any]:
        return {
            "succeeded": self.succeeded,
            "study": self.study,
            "arrived": [{"series_description": what, "file": str(path)} for what, path in self.arrived],
            "comparisons": [{**asdict(row), "agrees": row.agrees} for row in self.comparisons],
            "estimates": [{"package": p, "probability": value, "estimate": word} for p, value, word in self.estimates],
            "planted_probability": self.true_probability,
            "timeline": [{"seconds": seconds, "event": event} for seconds, event in self.timeline],
            "folder": str(self.folder),
        }

    def print(self, console: Console) -> None:
        table = Table("measured in the report", "value", "truth", "unit", "", box=None)
        for row in self.comparisons:
            sign = "agrees" if row.agrees else "DIFFERS"
            table.add_row(row.name, f"{row.value:.2f}", f"{row.truth:.2f}", row.unit, sign)
        console.print(table)
        for package, probability, word in self.estimates:
            console.print(f"{package}: {probability:.3f}, {word}")
        console.print(f"planted in the phantom, what synthetic-demo-ct was fitted to: {self.true_probability:.3f}")
        console.print("\ntimeline, in seconds from the first image:")
        for seconds, event in self.timeline:
            console.print(f"  {seconds:6.2f}  {event}")
        console.print("\narrived in the test PACS:")
        for what, path in self.arrived:
            console.print(f"  {what}: {path}")
        console.print(f"\nimages, node and log: {self.folder}")
        console.print("Research software, not a medical device: nothing here says anything about a patient.")


def run(out: Path | None, say: Callable[[str], object]) -> Told:
    """Run the demonstration in ``out`` (default: a new temporary folder). Raises Refused, or Transient on no answer."""
    folder = out.absolute() if out else Path(tempfile.mkdtemp(prefix="her2node-demo-"))
    if folder.exists() and any(folder.iterdir()):
        raise Refused(f"{folder} is not empty", remedy="name a new folder with --out")
    say("making a phantom study with known truth ...")
    phantom = ct.make(OPTIONS)
    images = write_phantom(phantom, folder / "phantom")
    log.configure(stream=(folder / "pacs.log").open("w", encoding="utf-8", buffering=1))
    pacs = _Pacs(folder / "pacs")
    settings = _settings(folder, pacs.port)
    say(f"starting the node on port {settings.reception.port} and a test PACS on port {pacs.port} ...")
    try:
        with _node(folder):
            began = _send(settings, images)
            say(f"sent {len(images)} objects; the node now works ...")
            story = _wait(settings, phantom.study_instance_uid, folder)
    finally:
        pacs.stop()
    arrived = pacs.files()
    return _tell(phantom, story, arrived, began, folder)


class _Pacs:
    """A receiver with a spool of its own, and a list for a ledger."""

    def __init__(self, folder: Path) -> None:
        self._spool = Spool(folder)
        self._arrivals: list[Arrival] = []
        reception = Reception(ae_title=PACS_AE, host="127.0.0.1", port=0, free_space_watermark_bytes=0)
        self._receiver = Receiver(reception, self._spool, lambda: self)
        self._receiver.start()
        (self.port,) = self._receiver.ports

    def take_in(
        self,
        opened: Sequence[AssociationOpened],
        arrivals: Sequence[Arrival],
        ended: Sequence[AssociationEnded],
    ) -> None:
        self._arrivals += arrivals

    def taken_in(self, association_id: str) -> set[int]:
        return {arrival.number for arrival in self._arrivals if arrival.association_id == association_id}

    def end_lost(self, receiver: str, now: datetime) -> int:
        return 0

    def close(self) -> None:
        """Nothing is held."""

    def files(self) -> list[Path]:
        """Everything that came, in order."""
        return [self._spool.path_of(arrival.association_id, arrival.number) for arrival in self._arrivals]

    def stop(self) -> None:
        self._receiver.stop()


def _settings(folder: Path, pacs_port: int) -> Settings:
    """Write the node's settings file and read it."""
    text = f"""\
# The settings of the demonstration.
state_dir = {json.dumps(str(folder / "node"))}
demonstration = true

[reception]
host = "127.0.0.1"
port = {_free_port()}
free_space_watermark_bytes = 0

[completion]
settle = 1
quiet = 10

[reports]
site = "Demonstration"
summary = "always"

[peers.pacs]
ae = "{PACS_AE}"
host = "127.0.0.1"
port = {pacs_port}
"""
    (folder / "her2node.toml").write_text(text, encoding="utf-8")
    return settings_file.read(folder / "her2node.toml")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _node(folder: Path) -> Iterator[None]:
    """`her2node up` as a process of its own, its log in node.log, for the length of the block."""
    command = [sys.executable, "-m", "her2node", "up", "--config", str(folder / "her2node.toml")]
    with (folder / "node.log").open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _send(settings: Settings, images: Sequence[Path]) -> float:
    """C-STORE the study as the PACS would; when the first image left."""
    node = Peer(ae=settings.reception.ae_title, host="127.0.0.1", port=settings.reception.port)
    files = [Outgoing.of(path) for path in images]
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with Requestor(PACS_AE).open(node, needs_of(files)) as link:
                began = time.time()
                for file in files:
                    link.store(file)
            return began
        except Transient:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)  # the node is still starting


def _wait(settings: Settings, study: str, folder: Path) -> StudyStory:
    """Wait until everything is delivered. Raises Transient, naming the log."""
    ledger = open_ledger(settings.ledger_url)
    deadline = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline:
            if any(line.study_instance_uid == study and _delivered(line.deliveries) for line in ledger.studies()):
                return ledger.study(study)
            time.sleep(0.1)
    finally:
        ledger.close()
    raise Transient(f"the node delivered nothing in {PATIENCE:.0f} s", remedy=f"read {folder / 'node.log'}")


def _delivered(deliveries: Any) -> bool:
    return bool(deliveries) and set(deliveries) <= {"sent", "confirmed"}


def _tell(phantom: PhantomStudy, story: StudyStory, arrived: Sequence[Path], began: float, folder: Path) -> Told:
    objects = [(dcmread(path, stop_before_pixels=True), path) for path in arrived]
    report = next((ds for ds, _ in objects if ds.get("Modality") == "SR" and _measures(ds)), Dataset())
    return Told(
        study=phantom.study_instance_uid,
        arrived=tuple((str(ds.get("SeriesDescription", "")), path) for ds, path in objects),
        comparisons=compare(report, phantom.truth.tumour, OPTIONS),
        estimates=_estimates(report),
        true_probability=phantom.truth.her2_probability,
        timeline=_timeline(story, began),
        folder=folder,
    )


def _measures(ds: Dataset) -> bool:
    """Whether this SR is the report, not the outline: its title is 126001."""
    return str(ds.ConceptNameCodeSequence[0].CodeValue) == "126001"


def _estimates(report: Dataset) -> tuple[tuple[str, float, str], ...]:
    """Tracking identifier, probability and word of every measurement group that holds an estimate."""
    found = []
    for group in groups_of(report):
        number = [i for i in group if concept_of(i) == Concept.PROBABILITY.value]
        word = [i for i in group if concept_of(i) == Estimate.CONCEPT.value]
        if number and word:
            name = next(str(i.TextValue) for i in group if concept_of(i) == "112039")
            value = float(number[0].MeasuredValueSequence[0].NumericValue)
            found.append((name, value, str(word[0].ConceptCodeSequence[0].CodeMeaning)))
    return tuple(found)


def _timeline(story: StudyStory, began: float) -> tuple[tuple[float, str], ...]:
    events = [(event.at.timestamp() - began, f"{event.kind} {event.detail}".strip()) for event in story.events]
    for edition in story.editions:
        sent = [d.sent_at for result in edition.results for d in result.deliveries if d.sent_at]
        if sent:
            events.append((max(sent).timestamp() - began, f"all {len(sent)} results are in the PACS"))
    return tuple(sorted((round(seconds, 2), event) for seconds, event in events))
