"""The tumour as a DICOM segmentation (PS3.3 A.51), by plain pydicom: nothing here knows how the node reads or writes
one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, SegmentationStorage

from her2node.dicom.codes import Anatomy, Code, Finding
from her2node.dicom.uids import derived_uid
from her2node.phantoms.headers import (
    coded,
    common,
    da,
    decimal,
    decimals,
    fill,
    image_reference,
    instance_references,
    item,
    tm,
)
from her2node.phantoms.options import RoiForm
from her2node.phantoms.rendering import mask, occupancy
from her2node.phantoms.study import PhantomStudy, PlannedSlice

LABEL_MAP_SEGMENTATION_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")
"""Not among the names of pydicom 3.0."""

_BACKGROUND = Code("125040", "DCM", "Background")
_DERIVATION = Code("113076", "DCM", "Segmentation")
_PURPOSE = Code("121322", "DCM", "Source image for image processing operation")
_SERIES_NUMBERS = {RoiForm.BINARY: 101, RoiForm.FRACTIONAL: 102, RoiForm.LABELMAP: 103}
_FULL = 255

Frames = npt.NDArray[np.uint8]


def segmentation(study: PhantomStudy, form: RoiForm) -> Dataset:
    """One segment, the tumour, on the grid of ``study.roi_series``; frames without tumour are left out.

    Where no slice meets the tumour, one empty frame stands, as a segmentation must have one.
    """
    series_uid = derived_uid("phantom segmentation", study.roi_series.series_instance_uid, form)
    sop_class = LABEL_MAP_SEGMENTATION_STORAGE if form is RoiForm.LABELMAP else SegmentationStorage
    ds = common(study, sop_class, derived_uid("phantom segmentation object", series_uid))
    planned, frames = _frames(study, form)
    _series_and_content(ds, study, form, series_uid)
    _segments(ds, study, form)
    _functional_groups(ds, study, form, planned)
    _pixels(ds, form, frames)
    return ds


def _frames(study: PhantomStudy, form: RoiForm) -> tuple[list[PlannedSlice], Frames]:
    """The slices (one a place) that hold tumour, and their values 0..1 or 0..255, shape (frames, rows, columns)."""
    shape = study.anatomy.tumour.shape
    places = {planned.plane: planned for planned in study.roi_series.slices}
    found: list[tuple[PlannedSlice, Frames]] = []
    for plane, planned in places.items():
        if form is RoiForm.FRACTIONAL:
            frame = np.rint(_FULL * occupancy(shape, plane)).astype(np.uint8)
        else:
            frame = mask(shape, plane).astype(np.uint8)
        if frame.any():
            found.append((planned, frame))
    if not found:
        planned = study.roi_series.slices[0]
        found = [(planned, np.zeros(planned.plane.size, dtype=np.uint8))]
    return [planned for planned, _ in found], np.stack([frame for _, frame in found])


def _series_and_content(ds: Dataset, study: PhantomStudy, form: RoiForm, series_uid: str) -> None:
    drawn = study.roi_series.acquired
    fill(
        ds,
        Modality="SEG",
        SeriesInstanceUID=series_uid,
        SeriesNumber=_SERIES_NUMBERS[form],
        SeriesDescription="Tumour segmentation",
        SeriesDate=da(drawn),
        SeriesTime=tm(drawn),
        ContentDate=da(drawn),
        ContentTime=tm(drawn),
        InstanceNumber=1,
        BodyPartExamined="ABDOMEN",
        ImageType=["DERIVED", "PRIMARY"],
        ContentLabel="TUMOUR",
        ContentDescription="Tumour of the phantom, by voxel centre or filled share",
        ContentCreatorName="",
        SegmentationType=form.value.upper(),
        LossyImageCompression="00",
    )
    ds.ReferencedSeriesSequence = Sequence(
        [
            item(
                SeriesInstanceUID=study.roi_series.series_instance_uid,
                ReferencedInstanceSequence=instance_references(study),
            )
        ]
    )


def _segments(ds: Dataset, study: PhantomStudy, form: RoiForm) -> None:
    tumour = _segment(1, "Tumour", Finding.ABNORMAL_STRUCTURE, Finding.PRIMARY_NEOPLASM)
    fill(
        tumour,
        AnatomicRegionSequence=coded(Anatomy.STOMACH),
        TrackingID="Tumour 1",
        TrackingUID=derived_uid("phantom tumour", study.study_instance_uid),
        RecommendedDisplayCIELabValue=[34885, 53485, 50171],
    )
    if form is RoiForm.LABELMAP:
        ds.SegmentSequence = Sequence([_segment(0, "Background", _BACKGROUND, _BACKGROUND), tumour])
        ds.PixelPaddingValue = 0
    else:
        ds.SegmentSequence = Sequence([tumour])
    if form is RoiForm.FRACTIONAL:
        fill(ds, SegmentationFractionalType="OCCUPANCY", MaximumFractionalValue=_FULL)


def _segment(number: int, label: str, category: Code, kind: Code) -> Dataset:
    return item(
        SegmentNumber=number,
        SegmentLabel=label,
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=coded(category),
        SegmentedPropertyTypeCodeSequence=coded(kind),
    )


def _functional_groups(ds: Dataset, study: PhantomStudy, form: RoiForm, planned: list[PlannedSlice]) -> None:
    plane = planned[0].plane
    organization_uid = derived_uid("phantom dimensions", ds.SOPInstanceUID)
    by_segment = form is not RoiForm.LABELMAP
    pointers = [(0x0062000B, 0x0062000A)] * by_segment + [(0x00200032, 0x00209113)]
    ds.DimensionOrganizationSequence = Sequence([item(DimensionOrganizationUID=organization_uid)])
    ds.DimensionIndexSequence = Sequence(
        [
            item(DimensionOrganizationUID=organization_uid, DimensionIndexPointer=pointer, FunctionalGroupPointer=group)
            for pointer, group in pointers
        ]
    )
    orientation = item(ImageOrientationPatient=decimals(*plane.row, *plane.column))
    measures = item(
        SliceThickness=decimal(plane.thickness_mm),
        SpacingBetweenSlices=decimal(study.options.slice_spacing_mm),
        PixelSpacing=decimals(*plane.spacing_mm),
    )
    shared = item(PlaneOrientationSequence=Sequence([orientation]), PixelMeasuresSequence=Sequence([measures]))
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = (_frame_group(study, one, number, by_segment) for number, one in enumerate(planned, start=1))
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)


def _frame_group(study: PhantomStudy, planned: PlannedSlice, number: int, by_segment: bool) -> Dataset:
    source = image_reference(study, planned)
    fill(source, SpatialLocationsPreserved="YES", PurposeOfReferenceCodeSequence=coded(_PURPOSE))
    derivation = item(DerivationCodeSequence=coded(_DERIVATION), SourceImageSequence=Sequence([source]))
    group = item(
        FrameContentSequence=Sequence([item(DimensionIndexValues=[1, number] if by_segment else [number])]),
        PlanePositionSequence=Sequence([item(ImagePositionPatient=decimals(*planned.plane.origin_mm))]),
        DerivationImageSequence=Sequence([derivation]),
    )
    if by_segment:
        group.SegmentIdentificationSequence = Sequence([item(ReferencedSegmentNumber=1)])
    return group


def _pixels(ds: Dataset, form: RoiForm, frames: Frames) -> None:
    """Bits of all frames run on without a gap (PS3.5 8.1.1), low bit first; bytes are padded to an even number."""
    packed = np.packbits(frames, axis=None, bitorder="little") if form is RoiForm.BINARY else frames
    content = packed.tobytes()
    bits = 1 if form is RoiForm.BINARY else 8
    fill(
        ds,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        NumberOfFrames=frames.shape[0],
        Rows=frames.shape[1],
        Columns=frames.shape[2],
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=0,
    )
    ds.PixelData = content + b"\0" * (len(content) % 2)
    ds["PixelData"].VR = "OB"
