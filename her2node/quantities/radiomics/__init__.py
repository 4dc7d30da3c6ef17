"""Radiomics as the Image Biomarker Standardisation Initiative defined it (IBSI 1; Zwanenburg 2020, and its manual).

``measure(volume, roi, role, configuration)`` gives quantities, ``features(voxels, mask, spacing_mm, configuration)``
numbers by IBSI's tag from arrays, ``features_of_response`` those of a filter's response (IBSI 2). A configuration says
how the image is processed, discretised and aggregated; those of IBSI ship with the node. A feature without a value is
Undefined by name, never NaN. Importing this room loads no compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from her2node.dicom.codes import Code, Unit
from her2node.errors import AnisotropicVoxels, EmptyRoi, Refused, RoiCutOff, SingleSlice
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.quantities.radiomics.configuration import Configuration, shipped, shipped_text
from her2node.quantities.radiomics.discretisation import FixedBinNumber
from her2node.quantities.radiomics.engine import features, features_of_response, reach_mm
from her2node.quantities.radiomics.feature import Dimension, Values
from her2node.quantities.radiomics.names import Name, catalogue
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Volume

__all__ = [
    "measure", "features", "features_of_response", "reach_mm", "shipped", "shipped_text", "catalogue",
    "Configuration",
]  # fmt: skip


def measure(
    volume: Volume, roi: Roi, role: Role | None, configuration: Configuration
) -> tuple[Quantity | NotMeasured, ...]:
    """Every feature that ``configuration`` asks for, in IBSI's order, of a region laid on ``volume``.

    Those of the image come first, then those of each filter's response, told apart by the method's code. A feature
    without a value is a NotMeasured with Undefined; all are, with EmptyRoi, where no voxel is left after interpolation,
    and those of a response with AnisotropicVoxels where the filter wants voxels of one size. A region cut off by the
    ends of the series has no morphology (RoiCutOff), nor has one in a series of a single slice (SingleSlice).
    """
    own = _Features(catalogue(configuration), configuration, configuration.method, volume.unit)
    reading = [(own, partial(features, configuration=configuration))]
    for filtered in configuration.filters:
        alike = configuration.of_response(filtered)
        words = f"{filtered.name}: {filtered.filter}"
        wanted = _Features(catalogue(alike), alike, configuration.method_of(filtered), Unit.ARBITRARY, (words,))
        reading.append((wanted, partial(features_of_response, configuration=configuration, filtered=filtered)))
    return tuple(value for wanted, of in reading for value in _measured(volume, roi, role, wanted, of))


@dataclass(frozen=True)
class _Features:
    """Features that are calculated in one way: of the image, or of one filter's response."""

    names: Mapping[str, Name]
    configuration: Configuration
    method: Code
    unit: Code
    parameters: tuple[str, ...] = ()


def _measured(
    volume: Volume, roi: Roi, role: Role | None, wanted: _Features, of: Callable[..., Values]
) -> Iterator[Quantity | NotMeasured]:
    found: Mapping[str, float | Refused]
    try:
        found = of(volume.voxels, roi.mask, volume.geometry.spacing_mm, valid=volume.valid)
    except (EmptyRoi, AnisotropicVoxels) as reason:
        found = dict.fromkeys(wanted.names, reason)
    sizeless, series_uids = _sizeless(volume, roi), (volume.series_instance_uid,)
    for name in wanted.names.values():
        value = found[name.tag] if sizeless is None or name.family != "morph" else sizeless
        if isinstance(value, Refused):
            where = (roi.tracking_id, role, value, name.code, series_uids)
            yield NotMeasured(*where, modifier=name.aggregation, method=wanted.method)
            continue
        unit = unit_of(name, wanted.unit, wanted.configuration)
        yield Quantity(
            roi.tracking_id, role, name.code, value, unit, name.aggregation, wanted.method, series_uids,
            parameters=wanted.parameters,
        )  # fmt: skip


def _sizeless(volume: Volume, roi: Roi) -> Refused | None:
    if roi.cut_off:
        return RoiCutOff(roi.label)
    return SingleSlice(volume.series_instance_uid) if volume.geometry.shape[0] == 1 else None


def unit_of(name: Name, intensity: Code, configuration: Configuration) -> Code:
    """The UCUM unit of a feature of an image in unit ``intensity``."""
    dimension = name.feature.dimension
    levels = name.family == "ivh" and isinstance(configuration.volume_histogram, FixedBinNumber)
    if dimension is Dimension.ONE or (levels and dimension is Dimension.INTENSITY):
        return Unit.ONE
    if dimension is Dimension.INTENSITY:
        return intensity
    if dimension is Dimension.INTENSITY2:
        return Code(
            f"({intensity.value})2" if intensity != Unit.HU else f"{intensity.value}2",
            "UCUM",
            f"square {intensity.meaning}",
        )
    if dimension is Dimension.INTENSITY_MM3:
        return Code(f"{intensity.value}.mm3", "UCUM", f"{intensity.meaning} cubic millimeter")
    return _LENGTHS[dimension]


_LENGTHS = {
    Dimension.MM: Unit.MM,
    Dimension.MM2: Unit.MM2,
    Dimension.MM3: Unit.MM3,
    Dimension.PER_MM: Code("/mm", "UCUM", "per millimeter"),
}
