"""The measurement groups that viewers draw: an outline on one image with a few numbers beside it (TID 1410)."""

from __future__ import annotations

from collections.abc import Iterator

from highdicom.sr import (
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    SourceImageForRegion,
    TrackingIdentifier,
)

from her2node.dicom.codes import Anatomy, Derivation
from her2node.dicom.codes import Quantity as Concept
from her2node.models.prediction import Prediction
from her2node.reading import LaidRoi, Reading
from her2node.reports.content import Group, measurement, probability
from her2node.reports.envelope import concept
from her2node.reports.regions import Points, measured_series, outlines, shown
from her2node.reports.segmentation import kind_of
from her2node.volumes.volume import SliceSource

_DRAWN = (
    (Concept.LONG_AXIS, None),
    (Concept.SHORT_AXIS, None),
    (Concept.ATTENUATION, Derivation.MEAN),
    (Concept.VOLUME, None),
)
"""Viewers draw the first five numbers: these come after the probability."""


def outline_groups(reading: Reading) -> list[Group]:
    """One group a connected part of each region's largest slice on the most important series.

    The parts of a region share its tracking UID; the largest bears the numbers.
    """
    return [group for laid in shown(reading) for group in _parts(reading, laid)]


def _parts(reading: Reading, laid: LaidRoi) -> Iterator[Group]:
    measured = measured_series(reading, laid.series_instance_uid)
    if measured is None:
        return
    source = measured.sources[laid.key_slice]
    for number, points in enumerate(outlines(laid.roi.mask[laid.key_slice])):
        yield _group(reading, laid, source, points, with_numbers=number == 0)


def _group(reading: Reading, laid: LaidRoi, source: SliceSource, points: Points, *, with_numbers: bool) -> Group:
    roi = laid.roi
    tumour = roi.tracking_id == reading.tumour
    image = SourceImageForRegion(
        source.sop_class_uid, source.sop_instance_uid, None if source.frame is None else [source.frame]
    )
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(roi.tracking_uid, roi.tracking_id),
        referenced_region=ImageRegion(GraphicTypeValues.POLYLINE, points, image),
        finding_type=concept(kind_of(roi.type, tumour)),
        finding_sites=[FindingSite(concept(Anatomy.STOMACH))] if tumour else None,
        measurements=_numbers(reading, laid) if with_numbers else None,
    )


def _numbers(reading: Reading, laid: LaidRoi) -> list[Measurement]:
    """The probability of each package that has one answer, then the region's size and attenuation in this series.

    A package with open inputs has several answers and is drawn with none: a bare number would hide that it depends
    on what nobody has entered.
    """
    tumour = laid.roi.tracking_id == reading.tumour
    closed = [one for one in reading.predictions if tumour and _is_closed(one, laid)]
    numbers = [probability(one.answers[0], one.package) for one in closed]
    here = [
        quantity
        for quantity in reading.quantities
        if quantity.roi == laid.roi.tracking_id and quantity.series_uids == (laid.series_instance_uid,)
    ]
    for wanted in _DRAWN:
        numbers += [measurement(quantity) for quantity in here if (quantity.code, quantity.modifier) == wanted]
    return numbers


def _is_closed(prediction: Prediction, laid: LaidRoi) -> bool:
    return len(prediction.answers) == 1 and prediction.roi in (None, laid.roi.tracking_id)
