"""MR: frames of any form become received signal, or the diffusion coefficients that a scanner calculated.

Signal: Philips writes each image in steps of its own, so there signal = (stored - SI) / SS by the private (2005,100E)
SS and (2005,100D) SI; elsewhere a RealWorldValueMapping, else RescaleSlope and RescaleIntercept, else as stored. It has
no unit; only its ratios mean anything. A diffusion coefficient has a unit: a map whose header names none stays in
arbitrary units, and one whose header names one that is not known here is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, number, text
from her2node.dicom.codes import Code, Unit
from her2node.dicom.diffusion import Content, content_of
from her2node.dicom.private import PrivateTag, private_items, private_numbers
from her2node.errors import NotCalibrated, OtherKindOfImage, UnknownUnit
from her2node.selection.mr import SOP_CLASSES
from her2node.selection.study import Series
from her2node.volumes import frames
from her2node.volumes.dynamic import PHILIPS_PER_FRAME
from her2node.volumes.frames import Frame
from her2node.volumes.mosaic import is_mosaic, tiles_of
from her2node.volumes.pixels import Stored
from her2node.volumes.slices import decoded, padding_of
from her2node.volumes.stack import Stack, stack
from her2node.volumes.volume import Bools, Floats, Volume

PHILIPS_SLOPE = PrivateTag("Philips MR Imaging DD 001", 0x2005, 0x0E, "FL")
PHILIPS_INTERCEPT = PrivateTag("Philips MR Imaging DD 001", 0x2005, 0x0D, "FL")

_UM2_PER_S = {"um2/s": 1.0, "10-6.mm2/s": 1.0, "10*-6.mm2/s": 1.0, "mm2/s": 1e6, "10-3.mm2/s": 1e3, "10*-3.mm2/s": 1e3}
"""UCUM as RealWorldValueMapping writes it -> factor to um2/s."""
_SPELLED = re.compile(
    r"(?:10\s*(?:\^|\*\*|\*|e)?|\b1e)\s*\(?\s*(?P<power>-0?[36])\s*\)?\s*[.*x ]?\s*mm\^?2\s*/\s*s(?:ec)?(?![a-z])"
    r"|[µμu]m\^?2\s*/\s*(?P<per>m?s)(?:ec)?(?![a-z])",
    re.IGNORECASE,
)
"""As headers spell it, e.g. 'ADC (10^-6 mm²/s)'; mm2/s without a power is no unit of stored whole numbers."""
_LIKE_A_UNIT = re.compile(
    r"m\s*(?:\^|\*\*)?\s*2\s*(?:/\s*m?s(?:ec)?(?![a-z0-9])|[ .*·]\s*s(?:ec)?\s*(?:\^|\*\*)?\s*\(?-1)", re.IGNORECASE
)
"""What looks like the unit of a diffusion coefficient, whatever its power."""
_PLAIN_DIGITS = str.maketrans("⁻−⁰²³⁵⁶⁹", "--023569")
_NO_UNIT = frozenset({"", "1", "US", "UNSPECIFIED", "NORMALIZED", "[ARB'U]"})
"""What RescaleType and UCUM write where a value has no unit of its own."""
_TELLING = {
    "RescaleType": "(0028,1054)",
    "SeriesDescription": "(0008,103E)",
    "ImageComments": "(0020,4000)",
    "DerivationDescription": "(0008,2111)",
}
"""Attributes that may spell the unit, beside RealWorldValueMappingSequence."""
UNIT_TAGS = ", ".join(
    ("RealWorldValueMappingSequence (0040,9096)", *(f"{keyword} {tag}" for keyword, tag in _TELLING.items()))
)
"""Every place where the unit of a map is looked for, for a report to name."""
_LIKELY_UM2_PER_S = 10.0, 30_000.0
"""The middle of a map of tissue lies far within; free water at body temperature has 3000."""


@dataclass(frozen=True)
class Scale:
    """value = stored x slope + intercept."""

    slope: float
    intercept: float


def frames_of(series: Series, content: Content) -> tuple[Frame, ...]:
    """Every slice of a series that shows ``content``, mosaics taken apart. Raises OtherKindOfImage and what the
    mosaic or the functional groups of an object raise."""
    others = {i.identity.sop_class_uid for i in series.instances} - SOP_CLASSES
    if others:
        raise OtherKindOfImage(f"SOP class {', '.join(sorted(others))} in a series of modality MR")
    return tuple(
        part
        for frame in frames.frames_of(series)
        if content_of(frame.header, frame.image_type("MRImageFrameTypeSequence")) is content
        for part in (tiles_of(frame) if is_mosaic(frame) else (frame,))
    )


def signal_scale(frame: Frame) -> Scale:
    """Stored values to received signal. Raises NotCalibrated."""
    for place in _philips_places(frame):
        slope = private_numbers(place, PHILIPS_SLOPE)
        if slope and slope[0] > 0:
            offset = next(iter(private_numbers(place, PHILIPS_INTERCEPT)), 0.0)
            return Scale(1 / slope[0], -offset / slope[0])
    return next((scale for scale, _ in _mappings(frame)), None) or _rescale(frame)


def adc_scale(frame: Frame) -> tuple[Scale, Code]:
    """Stored values to um2/s, or to arbitrary units where no attribute names a unit: what is large is never taken for
    1e-6 mm2/s. Raises NotCalibrated where two units are named, UnknownUnit where one is that is not known here."""
    mapped = tuple(_mappings(frame))
    for scale, unit in mapped:
        if unit in _UM2_PER_S:
            return Scale(scale.slope * _UM2_PER_S[unit], scale.intercept * _UM2_PER_S[unit]), Unit.UM2_PER_S
    transformation = frame.group("PixelValueTransformationSequence")
    stated: dict[str, float] = {}
    unknown = [f"RealWorldValueMapping {unit!r}" for _, unit in mapped if unit.upper() not in _NO_UNIT]
    for keyword in _TELLING:
        said = text(transformation if keyword == "RescaleType" else frame.header, keyword)
        plain = said.translate(_PLAIN_DIGITS)
        spelled = _SPELLED.search(plain)
        factor = _UM2_PER_S.get(said) or (_spelled(spelled) if spelled else None)
        if factor:
            stated[f"{keyword} {said!r}"] = factor
        elif _LIKE_A_UNIT.search(plain) or (keyword == "RescaleType" and said.upper() not in _NO_UNIT):
            unknown.append(f"{keyword} {said!r}")
    if len(set(stated.values())) > 1:
        raise NotCalibrated(f"a vendor's ADC map in two units: {', '.join(stated)}")
    rescale = _rescale(frame)
    if not stated and unknown:
        raise UnknownUnit(f"a vendor's ADC map in {', '.join(unknown)}")
    if not stated:
        return rescale, Unit.ARBITRARY
    factor = next(iter(stated.values()))
    return Scale(rescale.slope * factor, rescale.intercept * factor), Unit.UM2_PER_S


def adc_stack_of(series: Series) -> Stack:
    """The frames of a vendor's ADC map and their grid, from headers alone. Raises what ``stack`` and ``adc_scale``
    raise, OtherKindOfImage where the series has no ADC map, NotCalibrated where some of its frames name a unit."""
    found = frames_of(series, Content.ADC)
    if not found:
        raise OtherKindOfImage("no image of the series is an ADC map")
    placed = stack(found)
    if len({adc_scale(frame)[1] for frame in placed.frames}) > 1:
        raise NotCalibrated("a vendor's ADC map of which some images name a unit and others do not")
    return placed


def build_adc(series: Series) -> Volume:
    """A vendor's ADC map in um2/s; in arbitrary units, as it is stored and rescaled, where its header names none.

    Raises PixelsUnreadable, NotCalibrated where the unit that is stated cannot be that of the values, and what
    ``adc_stack_of`` raises.
    """
    found = adc_stack_of(series)
    voxels = np.empty(found.geometry.shape, dtype=np.float32)
    valid = np.empty(found.geometry.shape, dtype=np.bool_)
    _, unit = adc_scale(found.frames[0])
    for index, frame, stored in decoded(found.frames):
        scale, _ = adc_scale(frame)
        voxels[index] = scaled(stored, scale)
        valid[index] = holds_image(stored, frame)
    if unit == Unit.UM2_PER_S:
        _need_likely(voxels[valid & (voxels > 0)])
    voxels.flags.writeable = valid.flags.writeable = False
    sources = tuple(frame.source for frame in found.frames)
    return Volume(found.geometry, voxels, valid, unit, series.series_instance_uid, sources)


def scaled(stored: Stored, scale: Scale) -> Floats:
    """stored x slope + intercept, float32. Raises NotCalibrated for a scale that leads beyond what that holds."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.asarray(stored * scale.slope + scale.intercept, dtype=np.float32)
    if not np.isfinite(found).all():
        raise NotCalibrated(f"slope {scale.slope:g}, intercept {scale.intercept:g}: values beyond all measure")
    return found


def holds_image(stored: Stored, frame: Frame) -> Bools:
    """Where the object has no padding."""
    padding = padding_of(frame)
    if padding is None:
        return np.ones(stored.shape, dtype=np.bool_)
    low, high = padding
    return np.asarray((stored < low) | (stored > high))


def _need_likely(values: Floats) -> None:
    """Raises NotCalibrated where the middle of all values is no diffusion in a body."""
    low, high = _LIKELY_UM2_PER_S
    if len(values) and not low <= (middle := float(np.median(values))) <= high:
        raise NotCalibrated(f"a vendor's ADC map with a median of {middle:.3g} um2/s by the unit that it states")


def _philips_places(frame: Frame) -> Iterator[Dataset]:
    for groups in frame.groups:
        yield from private_items(groups, PHILIPS_PER_FRAME)
    yield frame.header


def _mappings(frame: Frame) -> Iterator[tuple[Scale, str]]:
    """Every linear RealWorldValueMapping and its unit."""
    groups = [item for group in frame.groups for item in items(group, "RealWorldValueMappingSequence")]
    for mapping in (*items(frame.header, "RealWorldValueMappingSequence"), *groups):
        slope, intercept = number(mapping, "RealWorldValueSlope"), number(mapping, "RealWorldValueIntercept")
        if slope and intercept is not None:
            unit = next(iter(items(mapping, "MeasurementUnitsCodeSequence")), Dataset())
            yield Scale(slope, intercept), text(unit, "CodeValue")


def _rescale(frame: Frame) -> Scale:
    transformation = frame.group("PixelValueTransformationSequence")
    slope, intercept = number(transformation, "RescaleSlope"), number(transformation, "RescaleIntercept")
    if slope is None and intercept is None:
        return Scale(1.0, 0.0)
    if slope is None or not slope > 0:
        raise NotCalibrated(f"RescaleSlope {slope}, RescaleIntercept {intercept}")
    return Scale(slope, intercept or 0.0)


def _spelled(found: re.Match[str]) -> float:
    if found["power"]:
        return 10.0 ** (int(found["power"]) + 6)
    return 1e3 if found["per"].lower() == "ms" else 1.0
