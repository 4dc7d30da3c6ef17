"""Objects that lie slice by slice on a series: its planes as highdicom must be told of them, and the references back.

highdicom is given stand-ins of the slices, so that frames of multi-frame objects and objects that lack type 2
attributes take one and the same way; what it built is then put under the node's envelope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat

from her2node.dicom.attributes import number, numbers
from her2node.reading import Reading
from her2node.volumes.volume import Geometry, SliceSource

_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_BLANK = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "PositionReferenceIndicator",
)

_ROUNDED = 0.5
"""mm: headers round their figures by less."""


@dataclass(frozen=True)
class Planes:
    """The slices of a series: where they lie, and the object and frame that each was read from; with ``own_grid`` they
    lie on a grid of their own, and those objects only near them."""

    geometry: Geometry
    series_instance_uid: str
    sources: tuple[SliceSource, ...] = field(repr=False)
    own_grid: bool = False

    def stand_in(self, index: int, headers: Mapping[str, Dataset], matrix: tuple[int, int] | None = None) -> Dataset:
        """What highdicom must know of one slice, as a single-frame image without patient and study.

        The UID is the slice's index and is replaced by the slice's source in ``finished``. ``headers`` are those of
        the study's objects by UID; ``matrix`` (rows, columns) stands in for the slice's own. Orientation and spacing
        are the first slice's for all: scanners write them with last digits that differ from slice to slice.
        """
        geometry = self.geometry
        header, first = (Dataset() if self.own_grid else _single_frame(headers, self.sources[of]) for of in (index, 0))
        ds = Dataset()
        ds.SOPClassUID = _CT_IMAGE
        ds.SOPInstanceUID = _index_uid(index)
        ds.StudyInstanceUID = _index_uid(0)
        ds.SeriesInstanceUID = self.series_instance_uid
        for keyword in _BLANK:
            setattr(ds, keyword, "")
        ds.Modality = "CT"
        ds.FrameOfReferenceUID = geometry.frame_of_reference_uid
        ds.Rows, ds.Columns = matrix or geometry.shape[1:]
        position = geometry.to_patient((index, 0, 0)).tolist()
        ds.ImagePositionPatient = _plane(header, "ImagePositionPatient", position)
        ds.ImageOrientationPatient = _plane(
            first, "ImageOrientationPatient", [*geometry.directions[2], *geometry.directions[1]]
        )
        ds.PixelSpacing = _plane(first, "PixelSpacing", list(geometry.spacing_mm[1:]))
        thickness = number(header, "SliceThickness")
        ds.SliceThickness = _ds(thickness if thickness else geometry.spacing_mm[0])
        ds.SpacingBetweenSlices = _ds(geometry.spacing_mm[0])
        return ds

    def finished(self, built: Dataset, label: Dataset, dimensions: str, borne: Mapping[str, str]) -> Dataset:
        """A plain data set: highdicom's ``built``, under the node's envelope ``label``, referring to the objects
        themselves. ``dimensions`` is its Dimension Organization UID; ``borne`` is SOP Instance UID to the
        SeriesInstanceUID that the object bears, for a series here may be a part of one, or made of several."""
        ds = Dataset()
        ds.update({element.tag: element for element in built})
        ds.update({element.tag: element for element in label})
        for item in (*ds.DimensionOrganizationSequence, *ds.DimensionIndexSequence):
            item.DimensionOrganizationUID = dimensions
        frames = ds.PerFrameFunctionalGroupsSequence
        used = [self.sources[index] for index in slices_of(ds)]
        for frame, source in zip(frames, used, strict=True):
            derivation = deepcopy(frame.DerivationImageSequence[0])  # highdicom shares it between channels
            image = derivation.SourceImageSequence[0]
            image.update(referred(source.sop_class_uid, source.sop_instance_uid))
            if source.frame is not None:
                image.ReferencedFrameNumber = source.frame
            frame.DerivationImageSequence = [derivation]
        objects = list(dict.fromkeys((source.sop_class_uid, source.sop_instance_uid) for source in used))
        ds.SourceImageSequence = [referred(*one) for one in objects]
        by_series: dict[str, list[tuple[str, str]]] = {}
        for one in objects:
            by_series.setdefault(borne.get(one[1], self.series_instance_uid), []).append(one)
        ds.ReferencedSeriesSequence = [series_reference(uid, members) for uid, members in by_series.items()]
        if "ContributingEquipmentSequence" not in label:
            del ds.ContributingEquipmentSequence
        return ds


def headers_of(reading: Reading) -> dict[str, Dataset]:
    """The header of every object of the study, by SOP Instance UID."""
    return {instance.identity.sop_instance_uid: instance.header for instance in reading.study.instances}


def borne_by_objects(reading: Reading) -> dict[str, str]:
    """The SeriesInstanceUID that every object of the study bears, by SOP Instance UID."""
    return {i.identity.sop_instance_uid: i.identity.series_instance_uid for i in reading.study.instances}


def slices_of(built: Dataset) -> list[int]:
    """Which slice each frame lies on, in the order of the frames, from the UIDs of the stand-ins."""
    return [
        int(frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID.rpartition(".")[2])
        for frame in built.PerFrameFunctionalGroupsSequence
    ]


def series_reference(series_instance_uid: str, objects: Sequence[tuple[str, str]]) -> Dataset:
    """An item of ReferencedSeriesSequence. ``objects``: SOP Class UID and SOP Instance UID (PS3.3 C.12.2)."""
    series = Dataset()
    series.SeriesInstanceUID = series_instance_uid
    series.ReferencedInstanceSequence = [referred(*one) for one in objects]
    return series


def referred(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """SOP Instance Reference macro (PS3.3 10.8)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def _single_frame(headers: Mapping[str, Dataset], source: SliceSource) -> Dataset:
    """The header of the object that a slice is, empty for a frame of a multi-frame object."""
    return Dataset() if source.frame is not None else headers.get(source.sop_instance_uid, Dataset())


def _plane(header: Dataset, keyword: str, computed: list[float]) -> list[DSfloat]:
    """The object's own figures, digit by digit, where it has them, so that viewers match planes exactly. Those of a
    mosaic are not its slices' own, and far from them."""
    given = numbers(header, keyword)
    own = len(given) == len(computed) and all(abs(a - b) < _ROUNDED for a, b in zip(given, computed, strict=True))
    return [_ds(value) for value in (given if own else computed)]


def _ds(value: float) -> DSfloat:
    return DSfloat(value, auto_format=True)


def _index_uid(index: int) -> str:
    return f"2.25.{index}"
