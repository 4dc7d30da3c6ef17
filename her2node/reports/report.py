"""What this room hands over, and the stamp that it puts on everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from io import BytesIO

from pydicom.dataset import Dataset

from her2node.dicom.uids import derived_uid


class ObjectKind(StrEnum):
    """The objects that the node writes; the words are those of ``receives`` in the settings."""

    REPORT = "report"
    """Comprehensive 3D SR with everything: measurements, estimates, refusals, provenance. Read as text."""
    OUTLINE = "outline"
    """Comprehensive 3D SR with the outline of the region on its largest slice. Drawn by viewers."""
    SEGMENTATION = "segmentation"
    """Binary SEG of the regions on the most important series."""
    SUMMARY_IMAGE = "summary-image"
    """The summary page as Secondary Capture."""
    SUMMARY_DOCUMENT = "summary-document"
    """The summary page as Encapsulated PDF."""
    COULD_NOT = "could-not"
    """Comprehensive 3D SR that says why nothing could run."""
    PARAMETRIC_MAP = "parametric-map"
    """Parametric Map of a quantity, voxel by voxel; as many as the reading has maps."""


@dataclass(frozen=True)
class Predecessor:
    """A result of the study's previous edition."""

    kind: ObjectKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True)
class Stamp:
    """Who wrote the objects, when, and from what: all that shapes them beside the reading.

    - ``edition``: the study's edition number, from 1. ``moment``: when it was made, with its zone; the only date and
      time inside the objects.
    - ``device_uid``: the installation as observer, the same for ever. ``site``: the institution, may be ''.
    - ``input_hash``: a digest of everything that shaped the reading (objects, regions, roles, entered values,
      packages, settings); no control characters.
    - ``predecessors``: results of the previous edition, which an SR of the same kind names.
    """

    edition: int
    moment: datetime
    version: str
    device_uid: str
    site: str
    ae_title: str
    input_hash: str
    predecessors: tuple[Predecessor, ...] = ()

    def __post_init__(self) -> None:
        if self.moment.tzinfo is None:
            raise ValueError("the moment of a stamp has no time zone")

    def uid(self, study_instance_uid: str, kind: ObjectKind, what: str) -> str:
        """The UID of ``what`` (``instance``, ``series``, ...) in the object of ``kind``: a function of all it holds."""
        return derived_uid(
            "reports",
            what,
            kind.value,
            study_instance_uid,
            str(self.edition),
            self.moment.isoformat(),
            self.version,
            self.device_uid,
            self.site,
            self.ae_title,
            self.input_hash,
            *(predecessor.sop_instance_uid for predecessor in self.predecessors),
        )


@dataclass(frozen=True)
class Report:
    """One object, ready to be stored: ``dataset`` carries its file meta information."""

    kind: ObjectKind
    dataset: Dataset = field(repr=False, compare=False)
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str

    def content(self) -> bytes:
        """The object as a DICOM file (PS3.10): preamble, file meta information, data set."""
        buffer = BytesIO()
        self.dataset.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()
