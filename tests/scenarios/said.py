"""What came back to the PACS: objects by their kind, and the numbers of a report, read by plain pydicom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.orthanc import Orthanc

COMPREHENSIVE_3D_SR, PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.30"
_ONCOLOGY_REPORT = "126001"
_GROUP, _TRACKING, _SERIES, _DERIVATION, _METHOD = "125007", "112039", "121232", "121401", "370129005"


def returned(pacs: Orthanc, study: str, sent: Sequence[Path] = ()) -> list[Dataset]:
    """The objects of a study that were not put there."""
    known = {str(dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in sent}
    return [dcmread(BytesIO(pacs.fetch(uid))) for uid in pacs.instances(study) if uid not in known]


def report_of(objects: Sequence[Dataset]) -> Dataset:
    """The report with the measurements."""
    (found,) = (
        ds
        for ds in objects
        if ds.SOPClassUID == COMPREHENSIVE_3D_SR and ds.ConceptNameCodeSequence[0].CodeValue == _ONCOLOGY_REPORT
    )
    return found


def maps_of(objects: Sequence[Dataset]) -> dict[str, Dataset]:
    """The parametric maps by the code value of their quantity."""
    found = {}
    for ds in objects:
        if ds.SOPClassUID == PARAMETRIC_MAP:
            groups = ds.SharedFunctionalGroupsSequence[0]
            (mapping,) = groups.RealWorldValueMappingSequence
            found[_value(mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0])] = ds
    return found


@dataclass(frozen=True)
class Number:
    """A measurement: whose region, on which series, what, how derived, by which method (code values), in which unit."""

    region: str
    series: str
    code: str
    derivation: str
    method: str
    value: float
    unit: str


def numbers(report: Dataset) -> list[Number]:
    """Every measurement of a report."""
    return [number for group in _groups(report) for number in _of_group(group)]


def the(found: Sequence[Number], code: str, derivation: str = "", method: str = "", series: str = "") -> float:
    """The one value of a quantity; '' stands for none (derivation) and for any (method, series)."""
    (value,) = {
        number.value
        for number in found
        if (number.code, number.derivation) == (code, derivation)
        and method in ("", number.method)
        and series in ("", number.series)
    }
    return value


def _groups(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        if _name(child) == _GROUP:
            yield child
        else:
            yield from _groups(child)


def _of_group(group: Dataset) -> Iterator[Number]:
    region = next(child.TextValue for child in group.ContentSequence if _name(child) == _TRACKING)
    series = next((str(child.UID) for child in group.ContentSequence if _name(child) == _SERIES), "")
    for child in group.ContentSequence:
        if child.ValueType == "NUM":
            (measured,) = child.MeasuredValueSequence
            yield Number(
                str(region),
                series,
                _name(child),
                _coded(child, _DERIVATION),
                _coded(child, _METHOD),
                float(measured.get("FloatingPointValue", measured.NumericValue)),
                _value(measured.MeasurementUnitsCodeSequence[0]),
            )


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return _value(names[0]) if names else ""


def _coded(item: Dataset, concept: str) -> str:
    found = (child for child in item.get("ContentSequence", ()) if _name(child) == concept)
    return next((_value(child.ConceptCodeSequence[0]) for child in found), "")


def _value(code: Dataset) -> str:
    """CodeValue, or LongCodeValue where it has more than 16 characters (PS3.3 8.1)."""
    return str(code.get("CodeValue") or code.LongCodeValue)
