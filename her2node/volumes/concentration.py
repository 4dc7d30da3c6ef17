"""Dual-energy CT whose stored values are no Hounsfield units: iodine in mg/ml, effective atomic number.

What a stored value means is read from where the object says it, in this order: a Real World Value Mapping (PS3.3
C.7.6.16.2.11), then RescaleType (PS3.3 C.11.1.1.2; scaled as in the example of PS3.17 JJJJ.5.2.1, ``10^-2 MGML``, or in
the words of scanners, ``100ug/cm3``). Two statements that differ are believed neither. Where no unit is stated the
values stay as they are and ``Stated.words`` is empty: 28 can be 28 mg/ml or 28 x 100 ug/ml, and nothing in the images
can tell. Ratios alone may then be had of them (``quantities.dual_energy``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, number, text
from her2node.dicom.codes import Code, Unit
from her2node.errors import NotCalibrated, UnknownUnit
from her2node.selection.roles import Role
from her2node.selection.study import Series
from her2node.volumes import ct
from her2node.volumes.frames import Frame
from her2node.volumes.slices import decoded, padding_of
from her2node.volumes.stack import Stack
from her2node.volumes.volume import Volume

_CONCENTRATION = re.compile(r"(10[\^*]-?\d+\.?|\[?10+\]?\.?)?(m|u|mc)g/(?:ml|cm\^?3|cc)")
_GRAMS = {"m": 1.0, "u": 1e-3, "mc": 1e-3}
"""Milligrams."""
_ATOMIC_NUMBER = frozenset({"1", "{ratio}", "zeff", "effz"})
_HOUNSFIELD = frozenset({"hu", "hu_mod", "[hnsf'u]"})
_UNSTATED = frozenset({"", "us", "unspecified"})
_SIGNS = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u00b3": "3"})


@dataclass(frozen=True)
class Stated:
    """What an object says of its values: value = stored x ``slope`` + ``intercept`` in the unit ``unit``.

    ``words`` are the object's own for the unit, '' where it names none. ``factor`` turns the unit that it names into
    that of the volume.
    """

    slope: float
    intercept: float
    factor: float
    words: str


def build_iodine(series: Series) -> tuple[Volume, Stated]:
    """An iodine map in mg/ml, and what its first frame said of its unit.

    Where no unit is stated, the factor is 1 and the volume's unit is mg/ml by assumption only. Raises NotCalibrated (in
    HU, two statements that differ, frames with different units), UnknownUnit, and whatever ``volumes.build`` raises.
    """
    return _build(series, Role.IODINE, Unit.MG_PER_ML)


def build_effective_z(series: Series) -> tuple[Volume, Stated]:
    """A map of the effective atomic number. Raises as ``build_iodine``, and NotCalibrated where no unit is stated."""
    volume, stated = _build(series, Role.EFFECTIVE_Z, Unit.ONE)
    if not stated.words:
        raise NotCalibrated("neither RescaleType nor a real world value mapping says that this is an atomic number")
    return volume, stated


def stack_of(series: Series, role: Role) -> Stack:
    """The frames in slice order and their grid, from headers alone. Raises as ``build_iodine``, but no pixel errors."""
    found = ct.grid_of(series)
    said = {stated_of(frame, role).words for frame in found.frames}
    if len(said) > 1:
        raise NotCalibrated(f"units differ from image to image: {', '.join(sorted(said))}")
    return found


def _build(series: Series, role: Role, unit: Code) -> tuple[Volume, Stated]:
    found = stack_of(series, role)
    voxels = np.empty(found.geometry.shape, dtype=np.float32)
    valid = np.ones(found.geometry.shape, dtype=np.bool_)
    for index, frame, stored in decoded(found.frames):
        one = stated_of(frame, role)
        scaled = np.multiply(stored, one.slope, dtype=np.float64)
        scaled += one.intercept
        scaled *= one.factor
        voxels[index] = scaled
        padding = padding_of(frame)
        if padding is not None:
            valid[index] = (stored < padding[0]) | (stored > padding[1])
    voxels.flags.writeable = valid.flags.writeable = False
    sources = tuple(frame.source for frame in found.frames)
    volume = Volume(found.geometry, voxels, valid, unit, series.series_instance_uid, sources)
    return volume, stated_of(found.frames[0], role)


def stated_of(frame: Frame, role: Role) -> Stated:
    """What a frame says of its values. Raises NotCalibrated, UnknownUnit."""
    mapped = _mapped(frame, role)
    if mapped is None:
        return _rescaled(frame, role)
    if _rescale_type(frame).lower() in _UNSTATED | _HOUNSFIELD:
        return mapped
    rescaled = _rescaled(frame, role)
    if not _alike(mapped, rescaled):
        raise NotCalibrated(f"the real world value mapping and RescaleType {rescaled.words} give different values")
    return mapped


def factor_of(words: str, role: Role) -> float | None:
    """What turns a value in the unit that is named into mg/ml, or into an atomic number; None where nothing is named.

    Raises NotCalibrated for Hounsfield units, UnknownUnit for anything else that it does not know.
    """
    name = words.strip().lower().translate(_SIGNS)
    if name in _UNSTATED:
        return None
    if name in _HOUNSFIELD:
        raise NotCalibrated(f"a map of {role} in {words}, which only its scanner can turn into anything else")
    factor = _of_atomic_number(name) if role is Role.EFFECTIVE_Z else _of_concentration(name)
    if factor is None:
        raise UnknownUnit(f"{words!r} of a map of {role}")
    return factor


def _of_atomic_number(name: str) -> float | None:
    return 1.0 if name.replace("_", "") in _ATOMIC_NUMBER else None


def _of_concentration(name: str) -> float | None:
    found = _CONCENTRATION.fullmatch(name.replace("mgml", "mg/ml").replace(" ", ""))
    if not found:
        return None
    prefix, gram = found.groups()
    return _power(prefix or "1") * _GRAMS[gram]


def _power(prefix: str) -> float:
    """100, [100], 10^-2, 10*2 as a number."""
    base, sign, exponent = prefix.replace("*", "^").partition("^")
    return float(base.strip("[].")) ** (int(exponent.strip(".")) if sign else 1)


def _rescale_type(frame: Frame) -> str:
    return text(frame.group("PixelValueTransformationSequence"), "RescaleType")


def _rescaled(frame: Frame, role: Role) -> Stated:
    transformation = frame.group("PixelValueTransformationSequence")
    slope, intercept = number(transformation, "RescaleSlope"), number(transformation, "RescaleIntercept")
    if slope is None or intercept is None or not 0 < abs(slope) < 1e4 or not abs(intercept) < 1e6:
        raise NotCalibrated(f"RescaleSlope {slope}, RescaleIntercept {intercept}")
    words = _rescale_type(frame)
    factor = factor_of(words, role)
    return Stated(slope, intercept, 1.0, "") if factor is None else Stated(slope, intercept, factor, words)


def _mapped(frame: Frame, role: Role) -> Stated | None:
    """The real world value mapping in a unit of this role; None where no mapping is given."""
    found = _mappings(frame)
    if not found:
        return None
    words, item = next((pair for pair in found if pair[0].lower() not in _HOUNSFIELD), found[0])
    slope, intercept = number(item, "RealWorldValueSlope"), number(item, "RealWorldValueIntercept")
    factor = factor_of(words, role)
    if slope is None or intercept is None or not slope or factor is None:
        raise NotCalibrated(f"real world value mapping: slope {slope}, intercept {intercept}, unit {words!r}")
    return Stated(slope, intercept, factor, words)


def _mappings(frame: Frame) -> list[tuple[str, Dataset]]:
    """The code values of the units of all mappings of a frame, with the mappings."""
    places = (frame.header,) if frame.number is None else (frame.own, frame.shared)
    groups = (items(place, "RealWorldValueMappingSequence") for place in places if place is not None)
    found = next((group for group in groups if group), ())
    units = (items(item, "MeasurementUnitsCodeSequence") for item in found)
    return [(text(unit[0], "CodeValue") if unit else "", item) for unit, item in zip(units, found, strict=True)]


def _alike(one: Stated, other: Stated) -> bool:
    mine, theirs = (np.array([said.slope, said.intercept]) * said.factor for said in (one, other))
    return bool(np.allclose(mine, theirs, rtol=1e-6, atol=1e-9))
