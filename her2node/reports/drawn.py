"""The measurement groups that viewers draw: an outline on one image with a few numbers beside it (TID 1410), and the
long and short axis as lines on theirs (TID 1501), which viewers on Cornerstone turn into a measurement that a reader
can correct and keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from highdicom.sr import (
    CoordinatesForMeasurement,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    SourceImageForRegion,
    TrackingIdentifier,
)

from her2node.dicom.codes import Anatomy, Code, Derivation
from her2node.dicom.codes import Quantity as Concept
from her2node.dicom.uids import derived_uid
from her2node.models.prediction import Prediction
from her2node.quantities.morphology import Axes, Ends, axes_of
from her2node.quantities.quantity import Quantity
from her2node.reading import LaidRoi, Reading
from her2node.reports.content import Group, measurement, probability
from her2node.reports.envelope import concept
from her2node.reports.regions import Points, measured_series, outlines, shown
from her2node.reports.segmentation import kind_of
from her2node.volumes.volume import SliceSource

_DRAWN = (
    (Concept.ATTENUATION, Derivation.MEAN),
    (Concept.VOLUME, None),
)
"""Viewers draw the first five numbers: the axes, the probability, then these."""

_BIDIRECTIONAL = "Cornerstone3DTools@^0.1.0:Bidirectional"
"""The tracking identifier by which viewers on Cornerstone know a pair of axes."""
_SPELLED = {
    Concept.LONG_AXIS: Code(Concept.LONG_AXIS.value, Concept.LONG_AXIS.scheme, "Long Axis"),
    Concept.SHORT_AXIS: Code(Concept.SHORT_AXIS.value, Concept.SHORT_AXIS.scheme, "Short Axis"),
}
"""The same concepts, spelled as those viewers compare them: with a capital."""


def outline_groups(reading: Reading) -> list[tuple[Group, SliceSource]]:
    """Of each region on the most important series: one group a connected part of its largest slice, and one with its
    axes; with every group the slice that it is drawn on.

    The groups of one slice share the region's tracking UID, and the axes go first: viewers merge such groups into one
    figure with one box of numbers, of the kind that the first one names. The largest part bears the numbers.
    """
    return [drawn for laid in shown(reading) for drawn in _drawn(reading, laid)]


def _drawn(reading: Reading, laid: LaidRoi) -> list[tuple[Group, SliceSource]]:
    measured = measured_series(reading, laid.series_instance_uid)
    if measured is None:
        return []
    key = measured.sources[laid.key_slice]
    parts = [(group, key) for group in _parts(reading, laid, key)]
    axes = axes_of(laid.roi.mask, laid.roi.geometry.spacing_mm)
    source = measured.sources[axes.slice_index]
    lines = [(group, source) for group in _lines(reading, laid, axes, source)]
    return lines + parts if axes.slice_index == laid.key_slice else parts + lines


def _parts(reading: Reading, laid: LaidRoi, source: SliceSource) -> Iterator[Group]:
    for number, points in enumerate(outlines(laid.roi.mask[laid.key_slice])):
        yield _group(reading, laid, source, points, with_numbers=number == 0)


def _group(reading: Reading, laid: LaidRoi, source: SliceSource, points: Points, *, with_numbers: bool) -> Group:
    roi = laid.roi
    tumour = roi.tracking_id == reading.tumour
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(roi.tracking_uid, roi.tracking_id),
        referenced_region=ImageRegion(GraphicTypeValues.POLYLINE, points, _image(source)),
        finding_type=concept(kind_of(roi.type, tumour)),
        finding_sites=[FindingSite(concept(Anatomy.STOMACH))] if tumour else None,
        measurements=_numbers(reading, laid) if with_numbers else None,
    )


def _image(source: SliceSource) -> SourceImageForRegion:
    frames = None if source.frame is None else [source.frame]
    return SourceImageForRegion(source.sop_class_uid, source.sop_instance_uid, frames)


def _lines(reading: Reading, laid: LaidRoi, axes: Axes, source: SliceSource) -> Iterator[Group]:
    """Long and short axis, each with its line; nothing where they were not measured (the region is cut off)."""
    found = {quantity.code: quantity for quantity in _here(reading, laid) if quantity.code in _SPELLED}
    if len(found) < len(_SPELLED):
        return
    roi = laid.roi
    tumour = roi.tracking_id == reading.tumour
    outlined = axes.slice_index == laid.key_slice
    tracking_uid = roi.tracking_uid if outlined else derived_uid("axes", roi.tracking_uid)
    lines = ((Concept.LONG_AXIS, axes.long_ends), (Concept.SHORT_AXIS, axes.short_ends))
    yield MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(tracking_uid, _BIDIRECTIONAL),
        finding_type=concept(kind_of(roi.type, tumour)),
        finding_sites=[FindingSite(concept(Anatomy.STOMACH))] if tumour else None,
        measurements=[_with_line(found[code], ends, source) for code, ends in lines],
    )


def _with_line(quantity: Quantity, ends: Ends, source: SliceSource) -> Measurement:
    """A length with its line, (column, row) as DICOM counts them in SCOORD: the first pixel's centre is (0.5, 0.5)."""
    points = np.array([(column + 0.5, row + 0.5) for row, column in ends])
    line = CoordinatesForMeasurement(GraphicTypeValues.POLYLINE, points, _image(source))
    return measurement(replace(quantity, code=_SPELLED[quantity.code]), [line])


def _here(reading: Reading, laid: LaidRoi) -> list[Quantity]:
    """What was measured of a region in the series on which it is drawn, and in no other with it."""
    return [
        quantity
        for quantity in reading.quantities
        if quantity.roi == laid.roi.tracking_id and quantity.series_uids == (laid.series_instance_uid,)
    ]


def _numbers(reading: Reading, laid: LaidRoi) -> list[Measurement]:
    """The probability of each package that has one answer, then the region's size and attenuation in this series.

    A package with open inputs has several answers and is drawn with none: a bare number would hide that it depends
    on what nobody has entered.
    """
    tumour = laid.roi.tracking_id == reading.tumour
    closed = [one for one in reading.predictions if tumour and _is_closed(one, laid)]
    numbers = [probability(one.answers[0], one.package) for one in closed]
    here = _here(reading, laid)
    for wanted in _DRAWN:
        numbers += [measurement(quantity) for quantity in here if (quantity.code, quantity.modifier) == wanted]
    return numbers


def _is_closed(prediction: Prediction, laid: LaidRoi) -> bool:
    return len(prediction.answers) == 1 and prediction.roi in (None, laid.roi.tracking_id)
