"""A phantom study: a plan of series and slices with its truth, whose objects are made one by one when asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from her2node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from her2node.phantoms.anatomy import Anatomy, Phase
from her2node.phantoms.options import PhantomOptions
from her2node.phantoms.planes import Plane
from her2node.phantoms.truth import Truth


@dataclass(frozen=True)
class PlannedSlice:
    """One image to be made. ``key`` names its noise; ``number`` is its InstanceNumber or place among the frames."""

    plane: Plane
    number: int
    key: int
    sop_instance_uid: str


@dataclass(frozen=True)
class PlannedSeries:
    """One contrast phase. ``sop_instance_uid`` is that of the one object of an enhanced series."""

    phase: Phase
    series_instance_uid: str
    sop_instance_uid: str
    number: int
    description: str
    acquired: datetime
    slices: tuple[PlannedSlice, ...]


@dataclass(frozen=True)
class PhantomStudy:
    """A study that knows its truth. ``parts`` make its objects in order; ``edits`` change each of them on its way out.

    ``injected`` is when the contrast injection began. ``roi_series`` is the series on which the tumour is outlined.
    """

    options: PhantomOptions
    anatomy: Anatomy
    truth: Truth
    study_instance_uid: str
    frame_of_reference_uid: str
    injected: datetime
    series: tuple[PlannedSeries, ...]
    parts: tuple[Callable[[PhantomStudy], Iterator[Dataset]], ...]
    edits: tuple[Callable[[Dataset], Dataset], ...] = ()

    @property
    def datasets(self) -> Iterator[Dataset]:
        """The objects, made one by one; every access starts anew and gives the same objects."""
        for part in self.parts:
            for ds in part(self):
                yield self._edited(ds)

    def anatomy_in(self, phase: Phase) -> Anatomy:
        """The anatomy as it lay when this phase was scanned."""
        by_mm = dict(self.options.breathing_mm).get(phase)
        return self.anatomy.breathed(by_mm) if by_mm else self.anatomy

    @property
    def roi_series(self) -> PlannedSeries:
        """The portal series, else the last."""
        return next((series for series in self.series if series.phase is Phase.PORTAL), self.series[-1])

    @property
    def covers_tumour(self) -> bool:
        """Whether the slices reach over both ends of the tumour."""
        heights = [planned.plane.origin_mm[2] for planned in self.roi_series.slices]
        low, high = self.truth.tumour.z_range_mm
        return min(heights) <= low and high <= max(heights)

    def series_of(self, phase: Phase) -> PlannedSeries:
        """The series of a phase. Raises KeyError where the study lacks it."""
        for series in self.series:
            if series.phase is phase:
                return series
        raise KeyError(phase)

    def with_series(self, change: Callable[[PlannedSeries], PlannedSeries]) -> PhantomStudy:
        """The study with every series changed."""
        return replace(self, series=tuple(change(series) for series in self.series))

    def with_edit(self, edit: Callable[[Dataset], Dataset]) -> PhantomStudy:
        """The study with each object changed on its way out."""
        return replace(self, edits=(*self.edits, edit))

    def as_json(self) -> dict[str, object]:
        """The truth with the UIDs of study and series."""
        series = [
            {"phase": s.phase, "series_instance_uid": s.series_instance_uid, "description": s.description}
            for s in self.series
        ]
        return {"study_instance_uid": self.study_instance_uid, "series": series, **self.truth.as_json()}

    def _edited(self, ds: Dataset) -> Dataset:
        for edit in self.edits:
            ds = edit(ds)
        return ds


class Writable(Protocol):
    """A study of any modality."""

    @property
    def datasets(self) -> Iterator[Dataset]:
        """Its objects."""

    def as_json(self) -> dict[str, object]:
        """Its truth."""


def write(study: Writable, folder: Path) -> list[Path]:
    """Write the objects as DICOM files and the truth as ``truth.json`` into ``folder``; the paths of the objects.

    Files are ``<series number>/<count>.dcm``. One object at a time is in memory.
    """
    paths = []
    for count, ds in enumerate(study.datasets, start=1):
        path = folder / f"{int(ds.get('SeriesNumber') or 0):03d}" / f"{count:05d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    truth = json.dumps(study.as_json(), indent=2, ensure_ascii=False)
    (folder / "truth.json").write_text(truth + "\n", encoding="utf-8")
    return paths


def file_meta(sop_class_uid: str, sop_instance_uid: str) -> FileMetaDataset:
    """The file meta group of an object in Explicit VR Little Endian (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta
