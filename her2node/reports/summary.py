"""The summary page as DICOM objects, for archives and viewers that take no structured report."""

from __future__ import annotations

from pydicom.dataset import Dataset

from her2node.dicom.attributes import text
from her2node.reading import Reading
from her2node.reports.drawing import as_pdf, as_pixels
from her2node.reports.envelope import DESCRIPTION, base_header, envelope, sealed
from her2node.reports.page import page_of
from her2node.reports.report import ObjectKind, Report, Stamp


def summary_image(reading: Reading, stamp: Stamp) -> Report:
    """The page as a Secondary Capture image, RGB, 150 dots per inch. PatientID and StudyDate are drawn into it."""
    ds = envelope(reading, stamp, ObjectKind.SUMMARY_IMAGE)
    pixels = as_pixels(page_of(reading, stamp))
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.BodyPartExamined = "STOMACH"  # unpaired, so that no Laterality is missed
    ds.PatientOrientation = ""
    ds.BurnedInAnnotation = "YES"
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    content = pixels.tobytes()
    ds.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))
    return sealed(ds, reading, ObjectKind.SUMMARY_IMAGE)


def summary_document(reading: Reading, stamp: Stamp) -> Report:
    """The page as an Encapsulated PDF."""
    ds = envelope(reading, stamp, ObjectKind.SUMMARY_DOCUMENT)
    title = f"{DESCRIPTION} summary"
    content = as_pdf(page_of(reading, stamp), title)
    ds.ConversionType = "WSD"
    ds.BurnedInAnnotation = "YES"
    ds.AcquisitionDateTime = text(base_header(reading), "AcquisitionDateTime")
    ds.DocumentTitle = title
    ds.ConceptNameCodeSequence = []
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocumentLength = len(content)
    ds.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    ds.SourceInstanceSequence = [_source(reading)]
    return sealed(ds, reading, ObjectKind.SUMMARY_DOCUMENT)


def _source(reading: Reading) -> Dataset:
    header = base_header(reading)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item
