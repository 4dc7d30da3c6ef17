"""What all objects of an examination by MR or PET share: patient, study, series, equipment, place and pixels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy.typing as npt
from pydicom.dataset import Dataset

from her2node.phantoms.headers import MANUFACTURER, da, decimal, decimals, fill, item, tm
from her2node.phantoms.planes import Plane
from her2node.phantoms.study import file_meta


@dataclass(frozen=True)
class Examination:
    """Who was examined, when, and in which frame of reference. Weight and size are left out where they are None."""

    study_instance_uid: str
    frame_of_reference_uid: str
    started: datetime
    patient_name: str
    patient_id: str
    description: str
    sex: str = "F"
    weight_kg: float | None = None
    size_m: float | None = None


@dataclass(frozen=True)
class Head:
    """What the objects of one series share."""

    series_instance_uid: str
    number: int
    description: str
    modality: str
    began: datetime


def header(examination: Examination, series: Head, sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """An object without image: patient, study, series, frame of reference, equipment, and its file meta group."""
    ds = item(
        SOPClassUID=sop_class_uid,
        SOPInstanceUID=sop_instance_uid,
        PatientName=examination.patient_name,
        PatientID=examination.patient_id,
        PatientBirthDate="19600101",
        PatientSex=examination.sex,
        QualityControlSubject="YES",
        StudyInstanceUID=examination.study_instance_uid,
        StudyDate=da(examination.started),
        StudyTime=tm(examination.started),
        TimezoneOffsetFromUTC=f"{examination.started:%z}",
        StudyID="1",
        AccessionNumber="",
        ReferringPhysicianName="",
        StudyDescription=examination.description,
        Modality=series.modality,
        SeriesInstanceUID=series.series_instance_uid,
        SeriesNumber=series.number,
        SeriesDescription=series.description,
        SeriesDate=da(series.began),
        SeriesTime=tm(series.began),
        ContentDate=da(series.began),
        ContentTime=tm(series.began),
        FrameOfReferenceUID=examination.frame_of_reference_uid,
        PositionReferenceIndicator="",
        Manufacturer=MANUFACTURER,
        ManufacturerModelName="Analytic abdomen",
        DeviceSerialNumber="0",
        SoftwareVersions="1",
    )
    if examination.weight_kg is not None:
        ds.PatientWeight = decimal(examination.weight_kg)
    if examination.size_m is not None:
        ds.PatientSize = decimal(examination.size_m)
    ds.file_meta = file_meta(sop_class_uid, sop_instance_uid)
    return ds


def place(ds: Dataset, plane: Plane) -> None:
    """Where a classic image lies (PS3.3 C.7.6.2)."""
    fill(
        ds,
        ImagePositionPatient=decimals(*plane.origin_mm),
        ImageOrientationPatient=decimals(*plane.row, *plane.column),
        PixelSpacing=decimals(*plane.spacing_mm),
        SliceThickness=decimal(plane.thickness_mm),
        SpacingBetweenSlices=decimal(plane.thickness_mm),
    )


def put_pixels(ds: Dataset, pixels: npt.NDArray[Any], bits: int = 16) -> None:
    """Grey values of 16 bits, ``bits`` of them in use; signed where the array is."""
    fill(
        ds,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=pixels.shape[-2],
        Columns=pixels.shape[-1],
        BitsAllocated=16,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=int(pixels.dtype.kind == "i"),
        PixelData=pixels.astype(f"<{pixels.dtype.kind}2").tobytes(),
    )
    ds["PixelData"].VR = "OW"
