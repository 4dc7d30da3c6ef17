"""Quantities voxel by voxel as DICOM Parametric Maps: 32-bit floats with real-world values, a series a map.

Viewers that know maps take a series for one map (OHIF does), so each map is a series of its own. Every slice of the
source is a frame, in ascending order along the normal: OHIF 3.13 and dcmqi 1.5.7 take the frames in the order in which
they are stored, whatever their positions say, and the order that highdicom gives them would show the map upside down.

**Voxels without a value** get a number of their own: a sixteenth of the values' span below the lowest, stated as Float
Pixel Padding Value (PS3.3 C.7.6.24) and outside the range to which the real-world mapping applies. NaN would be legal
(PS3.5 section 8), but readers look for the lowest and highest stored value: a NaN in the first voxel, which lies in the
air, leaves OHIF 3.13 without a window, and so would a padding value far from the values. It is negative, for OHIF
colours whatever is above zero. dcmqi and Slicer know no padding: they show it as a value below all others.

**Memory**: highdicom is told of planes of one pixel and never meets the voxels. They are copied once, slice by slice,
into the buffer that is written to the file: with the map itself and the file's bytes, three times the voxels.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodeContentItem, CodedConcept
from pydicom.dataset import Dataset

from her2node.dicom.codes import Anatomy
from her2node.dicom.identity import MANUFACTURER
from her2node.models.prediction import PackageRef
from her2node.quantities.quantity import QuantityMap
from her2node.reading import Reading
from her2node.reports.derived import Planes, borne_by_objects, headers_of, series_reference, slices_of
from her2node.reports.envelope import concept, envelope, sealed
from her2node.reports.report import ObjectKind, Report, Stamp
from her2node.selection.roles import Role

LARGEST_BYTES = 2**32 - 2
"""The length of one value (PS3.5 7.1.2)."""
_ONE_PIXEL = (1, 1)
_METHOD = CodedConcept("370129005", "SCT", "Measurement Method")


def parametric_maps(reading: Reading, stamp: Stamp) -> list[Report | None]:
    """The maps of a reading, in its order; None for one that holds no value or more bytes than an object can."""
    return [_parametric_map(reading, stamp, one, number) for number, one in enumerate(reading.maps, start=1)]


def _parametric_map(reading: Reading, stamp: Stamp, one: QuantityMap, number: int) -> Report | None:
    extent = _extent(one)
    if extent is None or one.voxels.size * 4 > LARGEST_BYTES:
        return None
    label = envelope(reading, stamp, ObjectKind.PARAMETRIC_MAP, number, _title(one), _package(reading, one))
    planes = Planes(one.geometry, one.series_uids[0], one.sources, own_grid=one.own_grid)
    headers = headers_of(reading)
    built = ParametricMap(
        source_images=[planes.stand_in(index, headers, _ONE_PIXEL) for index in range(len(one.sources))],
        pixel_array=np.zeros((len(one.sources), *_ONE_PIXEL), dtype=np.float32),
        series_instance_uid=label.SeriesInstanceUID,
        series_number=label.SeriesNumber,
        sop_instance_uid=label.SOPInstanceUID,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=stamp.version,
        device_serial_number=stamp.device_uid,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(one, extent)],
        voi_lut_transformations=[_window(one)],
        derivation=concept(one.method) if one.method else None,
        content_label="HER2NODE_MAP",
        content_description=f"{one.code.meaning}. Research use"[:64],
    )
    dimensions = stamp.uid(reading.study.study_instance_uid, ObjectKind.PARAMETRIC_MAP, f"dimensions {number}")
    _ascend(built)
    ds = planes.finished(built, label, dimensions, borne_by_objects(reading))
    ds.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_anatomy()]
    ds.ReferencedSeriesSequence += _further_series(reading, one)
    ds.DerivationDescription = _derivation(one)
    ds.ContentCreatorName = ""
    _put_voxels(ds, one, extent)
    return sealed(ds, reading, ObjectKind.PARAMETRIC_MAP)


def _package(reading: Reading, one: QuantityMap) -> PackageRef | None:
    """The package whose estimate the map explains."""
    refs = (prediction.package for prediction in reading.predictions)
    return next((ref for ref in refs if f"{ref.name} {ref.version}" == one.of), None)


def _ascend(built: Dataset) -> None:
    """Put the frames into the order of the slices, which ascend along their normal."""
    by_slice = dict(zip(slices_of(built), built.PerFrameFunctionalGroupsSequence, strict=True))
    built.PerFrameFunctionalGroupsSequence = [by_slice[index] for index in range(len(by_slice))]
    for place, frame in enumerate(built.PerFrameFunctionalGroupsSequence, start=1):
        frame.FrameContentSequence[0].DimensionIndexValues = [place]


def _extent(one: QuantityMap) -> tuple[float, float] | None:
    """The lowest and the highest value, slice by slice; None where no voxel has one."""
    found = [values for image in one.voxels if (values := image[np.isfinite(image)]).size]
    if not found:
        return None
    return min(float(values.min()) for values in found), max(float(values.max()) for values in found)


def _title(one: QuantityMap) -> str:
    phase = f", {one.role}" if one.role not in (None, Role.IODINE, Role.MONOENERGETIC) else ""
    of = f", {one.of.partition(' ')[0]}" if one.of else ""
    return f"map {one.code.meaning}{phase}{of}"


def _mapping(one: QuantityMap, extent: tuple[float, float]) -> RealWorldValueMapping:
    """What a stored value means (PS3.3 C.7.6.16.2.11): itself, in the map's unit, within the values' range."""
    mapping = RealWorldValueMapping(
        lut_label=one.code.value[:16],
        lut_explanation=one.code.meaning[:64],
        unit=concept(one.unit),
        value_range=extent,
        slope=1.0,
        intercept=0.0,
        quantity_definition=concept(one.code),
    )
    if one.method:
        mapping.QuantityDefinitionSequence += [CodeContentItem(_METHOD, concept(one.method))]
    return mapping


def _window(one: QuantityMap) -> VOILUTTransformation:
    """LINEAR, which every viewer knows, allows no window narrower than 1 (PS3.3 C.11.2.1.2.1)."""
    width = max(one.high - one.low, 1e-6)
    function = "LINEAR" if width >= 1 else "LINEAR_EXACT"
    return VOILUTTransformation(window_center=(one.low + one.high) / 2, window_width=width, voi_lut_function=function)


def _anatomy() -> Dataset:
    """Frame Anatomy macro (PS3.3 C.7.6.16.2.8), mandatory in a map and left out by highdicom 0.28."""
    item = Dataset()
    item.FrameLaterality = "U"
    item.AnatomicRegionSequence = [concept(Anatomy.STOMACH)]
    return item


def _further_series(reading: Reading, one: QuantityMap) -> list[Dataset]:
    """The other series that the map was calculated from, whole, under the UIDs that their objects bear."""
    by_series: dict[str, list[tuple[str, str]]] = {}
    for series in (reading.study.series_of(uid) for uid in one.series_uids[1:]):
        for identity in (instance.identity for instance in series.instances) if series else ():
            member = identity.sop_class_uid, identity.sop_instance_uid
            by_series.setdefault(identity.series_instance_uid, []).append(member)
    return [series_reference(uid, members) for uid, members in by_series.items()]


def _derivation(one: QuantityMap) -> str:
    method = f" by {one.method.meaning}" if one.method else ""
    of = f" of the estimate of {one.of} ({'; '.join(one.parameters)})" if one.of else ""
    said = f"{one.code.meaning} in {one.unit.value}{method}{of}"
    return f"{said}. Made by {MANUFACTURER}: research use, not for diagnosis"


def _put_voxels(ds: Dataset, one: QuantityMap, extent: tuple[float, float]) -> None:
    """Float Pixel Data, one frame after another, with padding where there is no value."""
    lowest, highest = extent
    padding = np.float32(min(lowest, 0.0) - ((highest - lowest) / 16 or 1.0))
    content, padded = BytesIO(), False
    for image in one.voxels:
        gaps = ~np.isfinite(image)
        padded = padded or bool(gaps.any())
        content.write(np.where(gaps, padding, image).astype("<f4").tobytes())
    content.seek(0)
    ds.Rows, ds.Columns = one.geometry.shape[1:]
    if padded:
        ds.FloatPixelPaddingValue = ds.FloatPixelPaddingRangeLimit = float(padding)
    ds.FloatPixelData = content
