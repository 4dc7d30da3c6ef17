"""The tumour as an RT structure set (PS3.3 A.19), by plain pydicom: contours are the analytic plane sections."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import RTStructureSetStorage

from her2node.dicom.uids import derived_uid
from her2node.phantoms.headers import common, da, decimal, fill, image_reference, instance_references, item, tm
from her2node.phantoms.shapes import Ellipse
from her2node.phantoms.study import PhantomStudy, PlannedSlice

_DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"
POINTS = 360
"""Vertices a contour; they lie on the ellipse, so the polygon's area is 5e-5 too small."""


def contours(study: PhantomStudy) -> Dataset:
    """One ROI, the tumour, with one closed planar contour on each slice of ``study.roi_series`` that it meets."""
    series_uid = derived_uid("phantom structure set", study.roi_series.series_instance_uid)
    ds = common(study, RTStructureSetStorage, derived_uid("phantom structure set object", series_uid))
    drawn = study.roi_series.acquired
    fill(
        ds,
        Modality="RTSTRUCT",
        SeriesInstanceUID=series_uid,
        SeriesNumber=104,
        SeriesDescription="Tumour contours",
        SeriesDate=da(drawn),
        SeriesTime=tm(drawn),
        OperatorsName="",
        InstanceNumber=1,
        StructureSetLabel="TUMOUR",
        StructureSetDate=da(drawn),
        StructureSetTime=tm(drawn),
        ApprovalStatus="UNAPPROVED",
        ReferencedFrameOfReferenceSequence=Sequence([_frame_of_reference(study)]),
        StructureSetROISequence=Sequence([_roi(study)]),
        ROIContourSequence=Sequence([_outlines(study)]),
        RTROIObservationsSequence=Sequence(
            [item(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="GTV", ROIInterpreter="")]
        ),
    )
    return ds


def _frame_of_reference(study: PhantomStudy) -> Dataset:
    series = item(
        SeriesInstanceUID=study.roi_series.series_instance_uid, ContourImageSequence=instance_references(study)
    )
    in_study = item(
        ReferencedSOPClassUID=_DETACHED_STUDY,
        ReferencedSOPInstanceUID=study.study_instance_uid,
        RTReferencedSeriesSequence=Sequence([series]),
    )
    return item(FrameOfReferenceUID=study.frame_of_reference_uid, RTReferencedStudySequence=Sequence([in_study]))


def _roi(study: PhantomStudy) -> Dataset:
    return item(
        ROINumber=1,
        ReferencedFrameOfReferenceUID=study.frame_of_reference_uid,
        ROIName="Tumour",
        ROIGenerationAlgorithm="MANUAL",
    )


def _outlines(study: PhantomStudy) -> Dataset:
    shape = study.anatomy.tumour.shape
    places = {planned.plane: planned for planned in study.roi_series.slices}
    cuts = ((planned, shape.section(at.origin_mm, at.row, at.column)) for at, planned in places.items())
    drawn = (_contour(study, planned, cut) for planned, cut in cuts if cut is not None)
    return item(ReferencedROINumber=1, ROIDisplayColor=[255, 0, 0], ContourSequence=Sequence(drawn))


def _contour(study: PhantomStudy, planned: PlannedSlice, cut: Ellipse) -> Dataset:
    return item(
        ContourImageSequence=Sequence([image_reference(study, planned)]),
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=POINTS,
        ContourData=[decimal(round(float(value), 4)) for value in cut.outline(POINTS).ravel()],
    )
