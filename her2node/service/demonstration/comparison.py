"""A report's numbers beside the truth of the phantom that they were measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from her2node.dicom.codes import Code

_MEASUREMENTS, _CONTRAST_PHASE, _DERIVATION, _METHOD = "126010", "109058", "121401", "370129005"


@dataclass(frozen=True)
class Expected:
    """A number that a report must hold, the truth, and by how much they may differ, both in ``unit``."""

    name: str
    concept: Code
    unit: Code
    truth: float
    tolerance: float
    derivation: Code | None = None
    method: Code | None = None
    phase: Code | None = None


@dataclass(frozen=True)
class Comparison:
    """One number of the report, None where it is not there, the truth, and by how much they may differ."""

    name: str
    value: float | None
    truth: float
    unit: str
    tolerance: float

    @property
    def agrees(self) -> bool:
        return self.value is not None and abs(self.value - self.truth) <= self.tolerance


@dataclass(frozen=True)
class Number:
    """A measurement by its codes; '' for none."""

    concept: str
    derivation: str
    method: str
    phase: str
    unit: str
    value: float


def compare(report: Dataset | None, expected: Sequence[Expected]) -> tuple[Comparison, ...]:
    """What a report says of each; of several numbers that are meant, the one farthest from the truth."""
    numbers = list(numbers_of(report)) if report is not None else []
    return tuple(_comparison(numbers, one) for one in expected)


def _comparison(numbers: Sequence[Number], one: Expected) -> Comparison:
    values = [number.value for number in numbers if _is(number, one)]
    value = max(values, key=lambda said: abs(said - one.truth), default=None)
    return Comparison(one.name, value, one.truth, one.unit.value, one.tolerance)


def _is(number: Number, one: Expected) -> bool:
    said = (number.concept, number.unit, number.derivation)
    wanted = (one.concept.value, one.unit.value, one.derivation.value if one.derivation else "")
    by = one.method is None or number.method == one.method.value
    return said == wanted and by and (one.phase is None or number.phase == one.phase.value)


def numbers_of(report: Dataset) -> Iterator[Number]:
    """Every measurement of a TID 1500 report."""
    for group in groups_of(report):
        phase = next((code_of(item) for item in group if concept_of(item) == _CONTRAST_PHASE), "")
        for item in group:
            if item.ValueType == "NUM":
                (measured,) = item.MeasuredValueSequence
                yield Number(
                    concept_of(item),
                    _modifier(item, _DERIVATION),
                    _modifier(item, _METHOD),
                    phase,
                    _value(measured.MeasurementUnitsCodeSequence[0]),
                    float(measured.get("FloatingPointValue", measured.NumericValue)),
                )


def groups_of(report: Dataset) -> Iterator[list[Dataset]]:
    """The content items of each measurement group of a TID 1500 report."""
    for container in report.get("ContentSequence", []):
        if concept_of(container) == _MEASUREMENTS:
            for group in container.ContentSequence:
                yield list(group.get("ContentSequence", []))


def concept_of(item: Dataset) -> str:
    """The code value of a content item's concept name, or ''."""
    names = item.get("ConceptNameCodeSequence")
    return _value(names[0]) if names else ""


def code_of(item: Dataset) -> str:
    """The code value that a content item of type CODE says."""
    return _value(item.ConceptCodeSequence[0])


def _modifier(item: Dataset, concept: str) -> str:
    """The code by which a measurement is modified: its derivation or method; '' when it has none."""
    return next((code_of(child) for child in item.get("ContentSequence", []) if concept_of(child) == concept), "")


def _value(code: Dataset) -> str:
    """CodeValue, or LongCodeValue where it has more than 16 characters (PS3.3 8.1)."""
    return str(code.get("CodeValue") or code.get("LongCodeValue", ""))
