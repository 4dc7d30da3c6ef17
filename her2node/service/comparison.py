"""A report's numbers beside the truth of the phantom that they were measured on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from her2node.dicom.codes import Derivation, Method, Phase, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.phantoms.anatomy import Phase as PhantomPhase
from her2node.phantoms.options import PhantomOptions
from her2node.phantoms.truth import TumourTruth

_PHASES = {
    Phase.PLAIN.value: PhantomPhase.PLAIN,
    Phase.ARTERIAL.value: PhantomPhase.ARTERIAL,
    Phase.PORTAL.value: PhantomPhase.PORTAL,
    Phase.EQUILIBRIUM.value: PhantomPhase.EQUILIBRIUM,
}
_MEASUREMENTS, _CONTRAST_PHASE, _DERIVATION, _METHOD = "126010", "109058", "121401", "370129005"


@dataclass(frozen=True)
class Comparison:
    """One number of the report, the truth, and by how much they may differ."""

    name: str
    value: float
    truth: float
    unit: str
    tolerance: float

    @property
    def agrees(self) -> bool:
        return abs(self.value - self.truth) <= self.tolerance


def compare(report: Dataset, truth: TumourTruth, options: PhantomOptions) -> tuple[Comparison, ...]:
    """Mean attenuation of each phase within 3 standard errors (and the half HU that storing whole numbers costs),
    volume within 2 % (the demonstration's voxels are coarse), diameters within a voxel."""
    found: list[Comparison] = []
    for group in groups_of(report):
        phase = _PHASES.get(_phase(group))
        if phase is None:
            continue
        sizes = {}
        for item in group:
            if item.ValueType == "NUM":
                sizes[(concept_of(item), _code(item, _DERIVATION), _code(item, _METHOD))] = _value(item)
        found += _attenuation(sizes, phase, truth, options)
        if phase is PhantomPhase.PORTAL:
            found += _size(sizes, truth, options)
    return tuple(found)


Values = dict[tuple[str, str, str], float]


def _attenuation(
    values: Values, phase: PhantomPhase, truth: TumourTruth, options: PhantomOptions
) -> Iterator[Comparison]:
    mean = values.get((Concept.ATTENUATION.value, Derivation.MEAN.value, ""))
    volume = values.get((Concept.VOLUME.value, "", Method.VOXEL_SUM.value))
    if mean is None or not volume:
        return
    down, across = options.spacing_mm
    voxels = volume / (down * across * options.slice_spacing_mm)
    tolerance = 3 * options.noise_hu / math.sqrt(voxels) + 0.5
    yield Comparison(f"mean attenuation, {phase}", mean, truth.hu[phase], Unit.HU.value, tolerance)


def _size(values: Values, truth: TumourTruth, options: PhantomOptions) -> Iterator[Comparison]:
    pixel = max(options.spacing_mm)
    voxel = max(pixel, options.slice_spacing_mm)
    wanted = (
        ("volume (voxel sum)", Concept.VOLUME, Method.VOXEL_SUM, truth.volume_mm3, Unit.MM3, 0.02 * truth.volume_mm3),
        ("maximum 3-D diameter", Concept.DIAMETER_3D, Method.MESH, truth.diameter_mm, Unit.MM, voxel),
        (
            "long axis in slice",
            Concept.LONG_AXIS,
            Method.IN_SLICE,
            truth.long_axis_mm,
            Unit.MM,
            max(options.spacing_mm),
        ),
    )
    for name, concept, method, true, unit, tolerance in wanted:
        value = values.get((concept.value, "", method.value))
        if value is not None:
            yield Comparison(name, value, true, unit.value, tolerance)


def groups_of(report: Dataset) -> Iterator[list[Dataset]]:
    """The content items of each measurement group of a TID 1500 report."""
    for container in report.get("ContentSequence", []):
        if concept_of(container) == _MEASUREMENTS:
            for group in container.ContentSequence:
                yield list(group.get("ContentSequence", []))


def concept_of(item: Dataset) -> str:
    """The code value of a content item's concept name, or ''."""
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""


def _phase(group: list[Dataset]) -> str:
    return next((str(i.ConceptCodeSequence[0].CodeValue) for i in group if concept_of(i) == _CONTRAST_PHASE), "")


def _code(item: Dataset, concept: str) -> str:
    """The code by which a measurement is modified: its derivation or method; '' when it has none."""
    for child in item.get("ContentSequence", []):
        if concept_of(child) == concept:
            return str(child.ConceptCodeSequence[0].CodeValue)
    return ""


def _value(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)
