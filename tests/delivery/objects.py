"""Small DICOM files to send: each says no more than a PACS needs to file it."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

SR, SEG, SC, PDF, PM, CT = (
    Comprehensive3DSRStorage,
    SegmentationStorage,
    SecondaryCaptureImageStorage,
    EncapsulatedPDFStorage,
    ParametricMapStorage,
    CTImageStorage,
)
_MODALITY = {SR: "SR", SEG: "SEG", SC: "OT", PDF: "DOC", PM: "OT", CT: "CT"}


def write_object(
    folder: Path,
    sop_class_uid: UID = SR,
    number: int = 1,
    *,
    study: str = "2.25.100",
    syntax: UID = ExplicitVRLittleEndian,
    padding: int = 0,
) -> Path:
    """A file named by its SOP instance UID; ``padding`` bytes of private data make it big."""
    ds = Dataset()
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = f"{study}.{number}"
    ds.StudyInstanceUID = study
    ds.SeriesInstanceUID = f"{study}.{number}.1"
    ds.PatientID, ds.PatientName = "P1", "Test^Patient"
    ds.PatientBirthDate = ds.PatientSex = ds.StudyDate = ds.StudyTime = ds.StudyID = ds.AccessionNumber = ""
    ds.Modality = _MODALITY[sop_class_uid]
    ds.SeriesNumber, ds.InstanceNumber = str(number), "1"
    if padding:
        block = ds.private_block(0x0099, "HER2NODE TEST", create=True)
        block.add_new(0x01, "OB", b"\0" * (padding + padding % 2))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class_uid, ds.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    path = folder / f"{ds.SOPInstanceUID}.dcm"
    FileDataset(path, ds, file_meta=meta, preamble=b"\0" * 128).save_as(path, enforce_file_format=True)
    return path
