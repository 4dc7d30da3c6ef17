"""The digital reference object of QIBA for Tofts' model (version 6), with an outline around each of its patches."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

KTRANS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35)
"""/min, from the top down."""
VE = (0.01, 0.05, 0.1, 0.2, 0.5)
"""From left to right."""
SIDE, FIRST_ROW, BLOOD_ROW = 10, 10, 70
T1_S, BLOOD_T1_S, RELAXIVITY, HAEMATOCRIT = 1.0, 1.44, 4.5, 0.45


def study(archive: Path, folder: Path) -> list[Path]:
    """The images as they come, and a structure set of 30 patches and the blood."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    images = sorted(folder.rglob("*.dcm"))
    drawn = _structure_set(dcmread(images[0], stop_before_pixels=True))
    drawn.save_as(folder / "patches.dcm", enforce_file_format=True)
    return [*images, folder / "patches.dcm"]


def name(ktrans: float, ve: float) -> str:
    return f"Ktrans {ktrans:g} ve {ve:g}"


def patches() -> Iterator[tuple[tuple[float, float], tuple[slice, slice]]]:
    """(Ktrans, ve) of each patch, and its rows and columns."""
    for down, ktrans in enumerate(KTRANS):
        for across, ve in enumerate(VE):
            row, column = FIRST_ROW + SIDE * down, SIDE * across
            yield (ktrans, ve), (slice(row, row + SIDE), slice(column, column + SIDE))


def _structure_set(image: Dataset) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, "1.2.3.77.1"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
        setattr(ds, keyword, image.get(keyword))
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = RTStructureSetStorage, "1.2.3.77.1", "1.2.3.77"
    ds.Modality, ds.StructureSetDate, ds.StructureSetTime = "RTSTRUCT", "20120109", "120000"
    ds.StructureSetROISequence, ds.ROIContourSequence = [], []
    boxes = {name(*truth): (rows.start, columns.start, SIDE, SIDE) for truth, (rows, columns) in patches()}
    boxes["AIF"] = BLOOD_ROW, 0, SIDE, SIDE * len(VE)
    for number, (label, box) in enumerate(boxes.items(), start=1):
        described, drawn, contour = Dataset(), Dataset(), Dataset()
        described.ROINumber, described.ROIName = number, label
        described.ReferencedFrameOfReferenceUID = image.FrameOfReferenceUID
        corners = _corners(image, *box)
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(corners)
        contour.ContourData = [f"{x:.6f}" for x in corners.ravel()]
        drawn.ReferencedROINumber, drawn.ContourSequence = number, [contour]
        ds.StructureSetROISequence.append(described)
        ds.ROIContourSequence.append(drawn)
    return ds


def _corners(image: Dataset, row: int, column: int, rows: int, columns: int) -> np.ndarray:
    """The outline in mm, along the outer edges of its pixels; the image is transverse with pixels of 1 mm."""
    x, y, z = map(float, image.ImagePositionPatient)
    left, top = x + column - 0.5, y + row - 0.5
    right, bottom = left + columns, top + rows
    return np.array([(left, top, z), (right, top, z), (right, bottom, z), (left, bottom, z)])
