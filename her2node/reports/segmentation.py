"""The regions as a binary SEG on the most important series.

Given regions are others' work laid on this series: each segment keeps who drew it (MANUAL, SEMIAUTOMATIC, AUTOMATIC as
the source says) and its tracking identifiers, and nothing of it is claimed as the node's. What a segmenter package drew
is AUTOMATIC and names the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom.dataset import Dataset

from her2node.dicom.attributes import integer, items, text
from her2node.dicom.codes import Anatomy, Code, Document, Finding
from her2node.dicom.identity import MANUFACTURER
from her2node.models.prediction import PackageRef
from her2node.reading import LaidRoi, Reading
from her2node.reports.derived import Planes, borne_by_objects, headers_of
from her2node.reports.envelope import concept, envelope, sealed
from her2node.reports.regions import measured_series, most_important, shown
from her2node.reports.report import ObjectKind, Report, Stamp
from her2node.reports.wording import package_name
from her2node.rois.roi import Roi, RoiOrigin

_GIVEN = "Given regions of interest, laid on this series. Research use"
_DRAWN = "Tumour drawn by a model, checked by no reader. Research use"
TUMOUR_COLOUR = (255, 92, 64)
_COLOURS = ((64, 160, 255), (80, 200, 120), (240, 200, 60), (190, 110, 240), (60, 210, 210))


@dataclass(frozen=True)
class Segments:
    """What a report must know of the SEG to refer to it. ``rois`` in the order of their segment numbers, from 1."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    """Of the series that the segments lie on ..."""
    borne_uid: str
    """... and what its images bear: it may be a part of a series."""
    rois: tuple[Roi, ...]
    tumour: str | None

    def number(self, tracking_id: str | None) -> int | None:
        """The segment of the region with this tracking id, or None."""
        found = [n for n, roi in enumerate(self.rois, start=1) if roi.tracking_id == tracking_id]
        return found[0] if found else None

    def finding(self, tracking_id: str) -> Code:
        """What the region is: as given, else the tumour, else tissue."""
        roi = next((roi for roi in self.rois if roi.tracking_id == tracking_id), None)
        return kind_of(roi.type if roi else None, tracking_id == self.tumour)


def segments_of(reading: Reading, segmentation: Report | None) -> Segments:
    """The segments of the SEG that ``segmentation`` is; none at all without it."""
    uid = most_important(reading) or ""
    series = reading.study.series_of(uid)
    return Segments(
        sop_class_uid=segmentation.sop_class_uid if segmentation else "",
        sop_instance_uid=segmentation.sop_instance_uid if segmentation else "",
        series_instance_uid=uid,
        borne_uid=series.instances[0].identity.series_instance_uid if series else uid,
        rois=tuple(laid.roi for laid in shown(reading)) if segmentation else (),
        tumour=reading.tumour,
    )


def kind_of(given: Code | None, tumour: bool) -> Code:
    """The segmented property type: as given, else the tumour, else tissue."""
    return given or (Finding.PRIMARY_NEOPLASM if tumour else Finding.TISSUE)


def segmentation(reading: Reading, stamp: Stamp) -> Report | None:
    """The SEG, or None when no region lies on the most important series."""
    laid = shown(reading)
    measured = measured_series(reading, most_important(reading) or "")
    if not laid or measured is None:
        return None
    slices = np.flatnonzero(np.any([one.roi.mask.any(axis=(1, 2)) for one in laid], axis=0)).tolist()
    label = envelope(reading, stamp, ObjectKind.SEGMENTATION)
    headers = headers_of(reading)
    planes = Planes(measured.geometry, measured.series_instance_uid, measured.sources)
    seg = Segmentation(
        source_images=[planes.stand_in(index, headers) for index in slices],
        pixel_array=_stacked(laid, slices),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_described(one.roi, n, headers, reading) for n, one in enumerate(laid, start=1)],
        series_instance_uid=label.SeriesInstanceUID,
        series_number=label.SeriesNumber,
        sop_instance_uid=label.SOPInstanceUID,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=stamp.version,
        device_serial_number=stamp.device_uid,
        content_label="HER2NODE_REGIONS",
        content_description=_DRAWN if reading.segmented else _GIVEN,
    )
    dimensions = stamp.uid(reading.study.study_instance_uid, ObjectKind.SEGMENTATION, "dimensions")
    ds = planes.finished(seg, label, dimensions, borne_by_objects(reading))
    return sealed(ds, reading, ObjectKind.SEGMENTATION)


def _stacked(laid: tuple[LaidRoi, ...], slices: list[int]) -> npt.NDArray[np.uint8]:
    """Masks of shape (slices with any region, rows, columns, segments)."""
    return np.stack([one.roi.mask[slices] for one in laid], axis=-1).astype(np.uint8)


def _described(roi: Roi, segment: int, headers: Mapping[str, Dataset], reading: Reading) -> SegmentDescription:
    tumour = roi.tracking_id == reading.tumour
    colour = TUMOUR_COLOUR if tumour else _COLOURS[(segment - 1) % len(_COLOURS)]
    description = SegmentDescription(
        segment_number=segment,
        segment_label=(roi.label or roi.tracking_id).replace("\\", "/")[:64],  # a backslash would part it
        segmented_property_category=concept(roi.category or _category(tumour)),
        segmented_property_type=concept(kind_of(roi.type, tumour)),
        algorithm_type="MANUAL",
        tracking_uid=roi.tracking_uid,
        tracking_id=roi.tracking_id,
        anatomic_regions=[concept(Anatomy.STOMACH)] if tumour else None,
        display_color=CIELabColor.from_rgb(*colour),
    )
    if roi.origin is RoiOrigin.MODEL and reading.segmented:
        package = reading.segmented.package
        description.SegmentAlgorithmType = "AUTOMATIC"
        description.SegmentAlgorithmName = package_name(package)[:64]
        description.SegmentDescription = f"{package_name(package)} drew it; no reader has checked it"
        description.SegmentationAlgorithmIdentificationSequence = _identified(package)
        return description
    made_by, algorithm = _made_by(roi, headers)
    description.SegmentAlgorithmType = made_by
    if made_by != "MANUAL":
        description.SegmentAlgorithmName = algorithm
    return description


def _identified(package: PackageRef) -> AlgorithmIdentificationSequence:
    """PS3.3 10.16: the hash of its package.toml pins every file of the package."""
    return AlgorithmIdentificationSequence(
        name=package.name,
        family=concept(Document.ARTIFICIAL_INTELLIGENCE),
        version=package.version,
        source=MANUFACTURER,
        parameters={"package sha256": package.sha256, "provenance level": package.level.value},
    )


def _category(tumour: bool) -> Code:
    return Finding.ABNORMAL_STRUCTURE if tumour else Finding.TISSUE


def _made_by(roi: Roi, headers: Mapping[str, Dataset]) -> tuple[str, str]:
    """SegmentAlgorithmType and SegmentAlgorithmName as the source says; MANUAL where it says nothing."""
    header = headers.get(roi.source_sop_instance_uid, Dataset())
    if roi.origin is RoiOrigin.SEGMENTATION:
        found = [s for s in items(header, "SegmentSequence") if integer(s, "SegmentNumber") == roi.source_number]
        keywords = ("SegmentAlgorithmType", "SegmentAlgorithmName")
    else:
        found = [s for s in items(header, "StructureSetROISequence") if integer(s, "ROINumber") == roi.source_number]
        keywords = ("ROIGenerationAlgorithm", "ROIGenerationDescription")
    said = found[0] if found else Dataset()
    kind = text(said, keywords[0])
    if kind not in ("AUTOMATIC", "SEMIAUTOMATIC"):
        return "MANUAL", ""
    return kind, text(said, keywords[1])[:64] or "not named by the source"
