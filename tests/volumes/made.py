"""Small CT objects, written with pydicom alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from her2node.selection.study import Series, open_study

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
STUDY, SERIES, FRAME = "1.2.3.1", "1.2.3.2", "1.2.3.3"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)

Change = Callable[[int, Dataset], Any]


def unchanged(index: int, ds: Dataset) -> None:
    """Leave an object as it is."""


def values(slices: int, rows: int, columns: int) -> np.ndarray:
    """A stored value of its own for every voxel."""
    return (1000 + np.arange(slices * rows * columns)).reshape(slices, rows, columns).astype("<i2")


def normal(orientation: Sequence[float]) -> np.ndarray:
    return np.cross(orientation[:3], orientation[3:])


def header(sop_class_uid: str, sop_instance_uid: str, modality: str = "CT") -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class_uid
    meta.MediaStorageSOPInstanceUID = sop_instance_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class_uid, sop_instance_uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = STUDY, SERIES, FRAME
    ds.Modality, ds.PatientID = modality, "1"
    return ds


def describe_pixels(ds: Dataset, stored: np.ndarray) -> None:
    """Fill the Image Pixel module from integers of shape (rows, columns) or (frames, rows, columns)."""
    ds.Rows, ds.Columns = stored.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = stored.dtype.itemsize * 8
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.PixelData = stored.tobytes()


def classic(
    folder: Path,
    stored: np.ndarray | None = None,
    *,
    spacing: tuple[float, float, float] = (2.5, 0.7, 0.9),
    origin: tuple[float, float, float] = (-10.0, -20.0, 30.0),
    orientation: Sequence[float] = AXIAL,
    change: Change = unchanged,
) -> Series:
    """A series of single-frame CT: one object a slice, ascending along the normal, each given to ``change``."""
    stored = values(4, 5, 7) if stored is None else stored
    paths = []
    for index, image in enumerate(stored):
        ds = header(CT, f"1.2.3.4.{index + 1}")
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.InstanceNumber = index + 1
        place = np.asarray(origin) + index * spacing[0] * normal(orientation)
        ds.ImagePositionPatient = [round(float(x), 6) for x in place]
        ds.ImageOrientationPatient = list(orientation)
        ds.PixelSpacing = list(spacing[1:])
        ds.SliceThickness = 9.0  # never the spacing
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
        describe_pixels(ds, image)
        change(index, ds)
        paths.append(folder / f"{index:03d}.dcm")
        ds.save_as(paths[-1])
    return open_study(paths).series[0]


def one_item(sequence: str, **attributes: Any) -> Dataset:
    """A data set with one functional group."""
    groups, item = Dataset(), Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    setattr(groups, sequence, [item])
    return groups


def enhanced(
    folder: Path,
    stored: np.ndarray | None = None,
    *,
    spacing: tuple[float, float, float] = (2.5, 0.7, 0.9),
    origin: tuple[float, float, float] = (-10.0, -20.0, 30.0),
    orientation: Sequence[float] = AXIAL,
    order: Sequence[int] | None = None,
    sop_class_uid: str = ENHANCED_CT,
    rescale_per_frame: bool = False,
    change: Change = unchanged,
) -> Series:
    """A series of one multi-frame CT with its slices stored in ``order``; ``change`` gets (-1, the object)."""
    stored = values(4, 5, 7) if stored is None else stored
    order = range(len(stored)) if order is None else order
    ds = header(sop_class_uid, "1.2.3.4.1")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.NumberOfFrames = len(stored)
    shared = one_item("PixelMeasuresSequence", PixelSpacing=list(spacing[1:]), SliceThickness=9.0)
    shared.update(one_item("PlaneOrientationSequence", ImageOrientationPatient=list(orientation)))
    rescale = one_item("PixelValueTransformationSequence", RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")
    if not rescale_per_frame:
        shared.update(rescale)
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = []
    for index in order:
        place = np.asarray(origin) + index * spacing[0] * normal(orientation)
        own = one_item("PlanePositionSequence", ImagePositionPatient=[round(float(x), 6) for x in place])
        if rescale_per_frame:
            own.update(
                one_item("PixelValueTransformationSequence", RescaleSlope=1 + index, RescaleIntercept=-1024 - index)
            )
        ds.PerFrameFunctionalGroupsSequence.append(own)
    describe_pixels(ds, np.stack([stored[index] for index in order]))
    change(-1, ds)
    ds.save_as(folder / "enhanced.dcm")
    return open_study([folder / "enhanced.dcm"]).series[0]


PET = "1.2.840.10008.5.1.4.1.1.128"


def pet_series(folder: Path, slices: int, change: Change = unchanged) -> Series:
    """A series of single-frame PET in Bq/ml, corrected to the start of the series an hour after injection."""
    folder.mkdir(exist_ok=True)

    def as_pet(index: int, ds: Dataset) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = PET
        ds.Modality = "PT"
        ds.ImageType = ["ORIGINAL", "PRIMARY"]
        ds.RescaleIntercept = 0
        del ds.RescaleType
        ds.Units, ds.DecayCorrection = "BQML", "START"
        ds.CorrectedImage = ["DECY", "ATTN", "SCAT"]
        ds.SeriesDate = ds.AcquisitionDate = "20260102"
        ds.SeriesTime = ds.AcquisitionTime = "110000"
        ds.PatientWeight, ds.PatientSize, ds.PatientSex = 70, 1.75, "M"
        given = Dataset()
        given.Radiopharmaceutical = "FDG"
        given.RadionuclideTotalDose = 3.7e8
        given.RadionuclideHalfLife = 6586.2
        given.RadiopharmaceuticalStartTime = "100000"
        ds.RadiopharmaceuticalInformationSequence = [given]
        change(index, ds)

    return classic(folder, values(slices, 4, 5), change=as_pet)
