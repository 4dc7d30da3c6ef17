"""SEG and RTSTRUCT written with pydicom alone, and grids to lay them on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pack_bits

from her2node import rois
from her2node.dicom.codes import Unit
from her2node.rois.given import GivenRoi
from her2node.selection.study import group, open_instance
from her2node.volumes.volume import Geometry, SliceSource, Volume
from tests.volumes import made as ct

SEG, LABELMAP, RTSTRUCT = (
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.66.7",
    "1.2.840.10008.5.1.4.1.1.481.3",
)

Change = Callable[[Dataset], Any]


def unchanged(ds: Dataset) -> None:
    """Leave an object as it is."""


def grid(
    shape: tuple[int, int, int],
    *,
    spacing: tuple[float, float, float] = (2.5, 0.7, 0.9),
    origin: tuple[float, float, float] = (-10.0, -20.0, 30.0),
    orientation: Sequence[float] = ct.AXIAL,
    frame_of_reference_uid: str = ct.FRAME,
) -> Volume:
    """An empty volume on a grid."""
    up = tuple(float(x) for x in ct.normal(orientation))
    geometry = Geometry(
        shape, spacing, origin, (up, tuple(orientation[3:]), tuple(orientation[:3])), frame_of_reference_uid
    )
    return Volume(
        geometry=geometry,
        voxels=np.zeros(shape, np.float32),
        valid=np.ones(shape, np.bool_),
        unit=Unit.HU,
        series_instance_uid=ct.SERIES,
        sources=tuple(SliceSource(ct.CT, f"1.2.3.4.{i + 1}") for i in range(shape[0])),
    )


def regions_of(path: Path) -> tuple[GivenRoi, ...]:
    return rois.given(group([open_instance(path)]))


def segmentation(
    folder: Path,
    stored: np.ndarray,
    like: Volume,
    *,
    kind: str = "BINARY",
    numbers: Sequence[int] = (1,),
    slices: Sequence[int] | None = None,
    change: Change = unchanged,
) -> Path:
    """A SEG of ``stored``, shape (segments, slices, rows, columns) for BINARY and FRACTIONAL, (slices, rows, columns)
    for LABELMAP, with the frames of ``slices`` only."""
    geometry = like.geometry
    labelmap = kind == "LABELMAP"
    ds = ct.header(LABELMAP if labelmap else SEG, "1.2.3.9.1", "SEG")
    ds.SeriesInstanceUID = "1.2.3.9"
    ds.SegmentationType = kind
    ds.SegmentSequence = [segment(number) for number in numbers]
    slices = range(geometry.shape[0]) if slices is None else slices
    shared = ct.one_item("PixelMeasuresSequence", PixelSpacing=list(geometry.spacing_mm[1:]))
    measures = shared.PixelMeasuresSequence[0]
    measures.SliceThickness, measures.SpacingBetweenSlices = geometry.spacing_mm[0], geometry.spacing_mm[0]
    orientation = [*geometry.directions[2], *geometry.directions[1]]
    shared.update(ct.one_item("PlaneOrientationSequence", ImageOrientationPatient=orientation))
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence, pixels = [], []
    for place, number in [(0, None)] if labelmap else list(enumerate(numbers)):
        for index in slices:
            at = [round(float(x), 6) for x in geometry.to_patient((index, 0, 0))]
            groups = ct.one_item("PlanePositionSequence", ImagePositionPatient=at)
            if number is not None:
                groups.update(ct.one_item("SegmentIdentificationSequence", ReferencedSegmentNumber=number))
            ds.PerFrameFunctionalGroupsSequence.append(groups)
            pixels.append(stored[index] if labelmap else stored[place][index])
    frames = np.stack(pixels).astype("u1")
    ds.NumberOfFrames = len(frames)
    ct.describe_pixels(ds, frames)
    if kind == "BINARY":
        ds.BitsAllocated = ds.BitsStored = 1
        ds.HighBit = 0
        ds.PixelData = pack_bits(frames.ravel())
    if kind == "FRACTIONAL":
        ds.SegmentationFractionalType, ds.MaximumFractionalValue = "PROBABILITY", 200
    change(ds)
    path = folder / "seg.dcm"
    ds.save_as(path)
    return path


def segment(number: int) -> Dataset:
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = number, f"Lesion {number}"
    item.SegmentAlgorithmType = "MANUAL"
    item.SegmentedPropertyCategoryCodeSequence = [code("49755003", "SCT", "Morphologically Abnormal Structure")]
    item.SegmentedPropertyTypeCodeSequence = [code("372087000", "SCT", "Neoplasm, Primary")]
    return item


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def structure_set(
    folder: Path,
    contours: Sequence[np.ndarray],
    *,
    geometric_type: str = "CLOSED_PLANAR",
    change: Change = unchanged,
) -> Path:
    """An RTSTRUCT with one region of ``contours``, each (n, 3) in mm."""
    ds = ct.header(RTSTRUCT, "1.2.3.8.1", "RTSTRUCT")
    ds.SeriesInstanceUID = "1.2.3.8"
    del ds.FrameOfReferenceUID
    ds.StructureSetDate, ds.StructureSetTime = "20260102", "030405"
    described, drawn = Dataset(), Dataset()
    described.ROINumber, described.ROIName, described.ReferencedFrameOfReferenceUID = 7, "GTV", ct.FRAME
    drawn.ReferencedROINumber, drawn.ContourSequence = 7, []
    for points in contours:
        contour = Dataset()
        contour.ContourGeometricType, contour.NumberOfContourPoints = geometric_type, len(points)
        contour.ContourData = [f"{x:.6f}" for x in np.asarray(points).ravel()]
        drawn.ContourSequence.append(contour)
    ds.StructureSetROISequence, ds.ROIContourSequence = [described], [drawn]
    change(ds)
    path = folder / "rtstruct.dcm"
    ds.save_as(path)
    return path


def contour(like: Volume, slice_: float, corners: Sequence[tuple[float, float]]) -> np.ndarray:
    """A contour in mm from (row, column) indices in a slice of a grid."""
    return like.geometry.to_patient([(slice_, row, column) for row, column in corners])
