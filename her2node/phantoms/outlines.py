"""Regions of an examination as an RT structure set or a segmentation: any number of shapes on any images.

Contours are the analytic sections of the shapes, segments are the voxels whose centres they hold. By plain pydicom:
nothing here knows how the node reads or writes regions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

from her2node.dicom.codes import Anatomy, Code, Finding
from her2node.dicom.uids import derived_uid
from her2node.phantoms.examination import Examination, Head, header
from her2node.phantoms.headers import coded, da, decimal, decimals, fill, item, tm
from her2node.phantoms.planes import Plane, holds
from her2node.phantoms.shapes import Ellipse, Ellipsoid

_POINTS = 360
"""Vertices a contour; they lie on the ellipse, so the polygon's area is 5e-5 too small."""
_DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"
_DERIVATION = Code("113076", "DCM", "Segmentation")
_PURPOSE = Code("121322", "DCM", "Source image for image processing operation")


@dataclass(frozen=True)
class Outlined:
    """A shape that a reader has outlined: its label, and what its type code says that it is."""

    label: str
    shape: Ellipsoid
    kind: Code
    category: Code = Finding.ABNORMAL_STRUCTURE
    interpreted: str = "GTV"
    """RTROIInterpretedType."""


@dataclass(frozen=True)
class Drawn:
    """An image, or a frame of one, on which regions are drawn."""

    plane: Plane
    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None = None

    @property
    def reference(self) -> Dataset:
        found = item(ReferencedSOPClassUID=self.sop_class_uid, ReferencedSOPInstanceUID=self.sop_instance_uid)
        if self.frame is not None:
            found.ReferencedFrameNumber = self.frame
        return found


@dataclass(frozen=True)
class Ground:
    """The images of one series, a place once, and when regions were drawn on them."""

    examination: Examination
    series_instance_uid: str
    images: tuple[Drawn, ...]
    drawn: datetime

    @property
    def references(self) -> Items:
        """All objects, none twice."""
        return Items({one.sop_instance_uid: _whole(one) for one in self.images}.values())


def _whole(one: Drawn) -> Dataset:
    return item(ReferencedSOPClassUID=one.sop_class_uid, ReferencedSOPInstanceUID=one.sop_instance_uid)


# --- contours ------------------------------------------------------------------------------------------------


def structure_set(ground: Ground, regions: Sequence[Outlined]) -> Dataset:
    """All regions as closed planar contours (PS3.3 A.19)."""
    uid = derived_uid("phantom structure set", ground.series_instance_uid)
    series = Head(uid, 104, "Contours", "RTSTRUCT", ground.drawn)
    ds = header(ground.examination, series, RTStructureSetStorage, derived_uid("phantom structure set object", uid))
    del ds.ContentDate, ds.ContentTime
    where = ground.examination.frame_of_reference_uid
    fill(
        ds,
        OperatorsName="",
        InstanceNumber=1,
        StructureSetLabel="REGIONS",
        StructureSetDate=da(ground.drawn),
        StructureSetTime=tm(ground.drawn),
        ApprovalStatus="UNAPPROVED",
        ReferencedFrameOfReferenceSequence=Items([_frame_of_reference(ground)]),
        StructureSetROISequence=Items(_named(number, one, where) for number, one in enumerate(regions, start=1)),
        ROIContourSequence=Items(_contours(number, one, ground) for number, one in enumerate(regions, start=1)),
        RTROIObservationsSequence=Items(_observed(number, one) for number, one in enumerate(regions, start=1)),
    )
    return ds


def _frame_of_reference(ground: Ground) -> Dataset:
    series = item(SeriesInstanceUID=ground.series_instance_uid, ContourImageSequence=ground.references)
    study = item(
        ReferencedSOPClassUID=_DETACHED_STUDY,
        ReferencedSOPInstanceUID=ground.examination.study_instance_uid,
        RTReferencedSeriesSequence=Items([series]),
    )
    return item(FrameOfReferenceUID=ground.examination.frame_of_reference_uid, RTReferencedStudySequence=Items([study]))


def _named(number: int, region: Outlined, frame_of_reference_uid: str) -> Dataset:
    return item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=frame_of_reference_uid,
        ROIName=region.label,
        ROIGenerationAlgorithm="MANUAL",
    )


def _observed(number: int, region: Outlined) -> Dataset:
    return item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        RTROIInterpretedType=region.interpreted,
        ROIInterpreter="",
    )


def _contours(number: int, region: Outlined, ground: Ground) -> Dataset:
    planes = ((one, one.plane) for one in ground.images)
    cuts = ((one, region.shape.section(plane.origin_mm, plane.row, plane.column)) for one, plane in planes)
    drawn = (_contour(one, cut) for one, cut in cuts if cut is not None)
    return item(ReferencedROINumber=number, ROIDisplayColor=[255, 0, 0], ContourSequence=Items(drawn))


def _contour(one: Drawn, cut: Ellipse) -> Dataset:
    return item(
        ContourImageSequence=Items([one.reference]),
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=_POINTS,
        ContourData=[decimal(round(float(value), 4)) for value in cut.outline(_POINTS).ravel()],
    )


# --- segments ------------------------------------------------------------------------------------------------

_Segmented = tuple[int, int, Drawn, npt.NDArray[np.bool_]]
"""Segment number, place among the images, image, voxels."""


def segmentation(ground: Ground, regions: Sequence[Outlined]) -> Dataset:
    """All regions as binary segments on the grid of the images (PS3.3 A.51); frames without voxels are left out."""
    uid = derived_uid("phantom segmentation", ground.series_instance_uid)
    series = Head(uid, 101, "Segmentation", "SEG", ground.drawn)
    ds = header(ground.examination, series, SegmentationStorage, derived_uid("phantom segmentation object", uid))
    fill(
        ds,
        InstanceNumber=1,
        ImageType=["DERIVED", "PRIMARY"],
        ContentLabel="REGIONS",
        ContentDescription="Regions of the phantom, by voxel centre",
        ContentCreatorName="",
        SegmentationType="BINARY",
        LossyImageCompression="00",
        SegmentSequence=Items(_segment(number, one, ground) for number, one in enumerate(regions, start=1)),
        ReferencedSeriesSequence=Items(
            [item(SeriesInstanceUID=ground.series_instance_uid, ReferencedInstanceSequence=ground.references)]
        ),
    )
    frames = list(_segmented(ground, regions))
    _functional_groups(ds, ground, frames)
    _put_bits(ds, np.stack([voxels for *_, voxels in frames]))
    return ds


def _segmented(ground: Ground, regions: Sequence[Outlined]) -> Iterator[_Segmented]:
    for number, region in enumerate(regions, start=1):
        for place, one in enumerate(ground.images, start=1):
            voxels = holds(region.shape, one.plane.coordinates(), one.plane.size)
            if voxels.any():
                yield number, place, one, voxels


def _segment(number: int, region: Outlined, ground: Ground) -> Dataset:
    study_uid = ground.examination.study_instance_uid
    found = item(
        SegmentNumber=number,
        SegmentLabel=region.label,
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=coded(region.category),
        SegmentedPropertyTypeCodeSequence=coded(region.kind),
        TrackingID=region.label,
        TrackingUID=derived_uid("phantom region", study_uid, region.label),
        RecommendedDisplayCIELabValue=[34885, 53485, 50171],
    )
    if region.kind == Finding.PRIMARY_NEOPLASM:
        found.AnatomicRegionSequence = coded(Anatomy.STOMACH)
    return found


def _functional_groups(ds: Dataset, ground: Ground, frames: Sequence[_Segmented]) -> None:
    organization_uid = derived_uid("phantom dimensions", ds.SOPInstanceUID)
    ds.DimensionOrganizationSequence = Items([item(DimensionOrganizationUID=organization_uid)])
    ds.DimensionIndexSequence = Items(
        item(DimensionOrganizationUID=organization_uid, DimensionIndexPointer=pointer, FunctionalGroupPointer=group)
        for pointer, group in ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113))
    )
    plane = ground.images[0].plane
    measures = item(
        SliceThickness=decimal(plane.thickness_mm),
        SpacingBetweenSlices=decimal(plane.thickness_mm),
        PixelSpacing=decimals(*plane.spacing_mm),
    )
    orientation = item(ImageOrientationPatient=decimals(*plane.row, *plane.column))
    ds.SharedFunctionalGroupsSequence = Items(
        [item(PlaneOrientationSequence=Items([orientation]), PixelMeasuresSequence=Items([measures]))]
    )
    ds.PerFrameFunctionalGroupsSequence = Items(_frame_group(*frame[:3]) for frame in frames)


def _frame_group(number: int, place: int, one: Drawn) -> Dataset:
    source = one.reference
    fill(source, SpatialLocationsPreserved="YES", PurposeOfReferenceCodeSequence=coded(_PURPOSE))
    derivation = item(DerivationCodeSequence=coded(_DERIVATION), SourceImageSequence=Items([source]))
    return item(
        FrameContentSequence=Items([item(DimensionIndexValues=[number, place])]),
        PlanePositionSequence=Items([item(ImagePositionPatient=decimals(*one.plane.origin_mm))]),
        DerivationImageSequence=Items([derivation]),
        SegmentIdentificationSequence=Items([item(ReferencedSegmentNumber=number)]),
    )


def _put_bits(ds: Dataset, frames: npt.NDArray[np.bool_]) -> None:
    """Bits of all frames run on without a gap (PS3.5 8.1.1), low bit first, padded to an even number of bytes."""
    content = np.packbits(frames, axis=None, bitorder="little").tobytes()
    fill(
        ds,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        NumberOfFrames=frames.shape[0],
        Rows=frames.shape[1],
        Columns=frames.shape[2],
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelRepresentation=0,
        PixelData=content + b"\0" * (len(content) % 2),
    )
    ds["PixelData"].VR = "OB"
