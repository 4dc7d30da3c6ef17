"""Which packages answered, as a report says it, and which did not and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from her2node.dicom.codes import Estimate, Statement
from her2node.dicom.codes import Quantity as Concept
from her2node.service.demonstration.comparison import concept_of, groups_of

_TRACKING, _PARAMETER = "112039", "111002"
_LEVEL = "provenance level "
_ABSENT, _DID_NOT = "did not run, for the study has no series of their modality: ", " did not run: "


@dataclass(frozen=True)
class Answer:
    """An estimate: whose (name and version), which of several answers ('' for the one), its level, probability and
    word."""

    package: str
    which: str
    level: str
    probability: float
    estimate: str


@dataclass(frozen=True)
class Silent:
    """A package that gave no estimate, and the reason in a few words."""

    package: str
    reason: str


def answers_of(report: Dataset) -> tuple[Answer, ...]:
    """Every measurement group that holds an estimate."""
    found = []
    for group in groups_of(report):
        number = [item for item in group if concept_of(item) == Concept.PROBABILITY.value]
        word = [item for item in group if concept_of(item) == Estimate.CONCEPT.value]
        if number and word:
            name = next(str(item.TextValue) for item in group if concept_of(item) == _TRACKING)
            said = (str(item.TextValue) for item in group if concept_of(item) == _PARAMETER)
            level = next((words.removeprefix(_LEVEL) for words in said if words.startswith(_LEVEL)), "")
            value = float(number[0].MeasuredValueSequence[0].NumericValue)
            package, _, which = name.partition(", ")
            found.append(Answer(package, which, level, value, str(word[0].ConceptCodeSequence[0].CodeMeaning)))
    return tuple(found)


def silent_of(report: Dataset) -> tuple[Silent, ...]:
    """The packages that gave no estimate: refused, of another modality, or measured only."""
    found: list[Silent] = []
    for concept, words in _statements(report):
        if concept == Statement.OBSERVATION.value:
            package, _, said = words.partition(": ")
            found.append(Silent(package, f"measured only, {said.partition('. ')[0]}"))
        elif concept == Statement.REFUSAL.value and words.startswith(_ABSENT):
            for one in words.removeprefix(_ABSENT).split("; "):
                package, _, modality = one.rpartition(" (")
                found.append(Silent(package, f"no series of {modality.rstrip(')')}"))
        elif concept == Statement.REFUSAL.value and _DID_NOT in words:
            package, _, reason = words.partition(_DID_NOT)
            found.append(Silent(package, reason.partition(": ")[2] or reason))
    return tuple(found)


def _statements(item: Dataset) -> Iterator[tuple[str, str]]:
    """Concept and words of every text below an item."""
    for child in item.get("ContentSequence", []):
        if child.ValueType == "TEXT":
            yield concept_of(child), str(child.TextValue)
        yield from _statements(child)
