"""What kind of study to make."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import StrEnum

from her2node.errors import PhantomRefused
from her2node.phantoms.anatomy import Anatomy, Phase
from her2node.phantoms.shapes import Point

_BEIJING = timezone(timedelta(hours=8))


class Form(StrEnum):
    """The IOD of the images."""

    CLASSIC = "classic"
    """CT Image Storage, one object a slice."""
    ENHANCED = "enhanced"
    """Enhanced CT Image Storage, one object a phase (held in memory while it is written)."""


class CharacterSet(StrEnum):
    """Specific Character Set (0008,0005)."""

    LATIN = "ISO_IR 100"
    UTF8 = "ISO_IR 192"
    GB18030 = "GB18030"


class Descriptions(StrEnum):
    """What SeriesDescription says of the phase."""

    ENGLISH = "english"
    CHINESE = "chinese"
    NONE = "none"
    """No phase is named; contrast and timing attributes still tell."""
    WRONG = "wrong"
    """Each series bears the description of another phase."""


class Border(StrEnum):
    """What lies outside the circular field of view."""

    NONE = "none"
    """The field of view is the whole square."""
    PADDED = "padded"
    """-3024 HU, declared by PixelPaddingValue."""
    UNDECLARED = "undeclared"
    """-3024 HU without PixelPaddingValue."""


class RoiForm(StrEnum):
    """How the tumour's outline is given along with the images."""

    BINARY = "binary"
    """Segmentation Storage, BINARY."""
    FRACTIONAL = "fractional"
    """Segmentation Storage, FRACTIONAL: share of each voxel that the tumour fills."""
    LABELMAP = "labelmap"
    """Label Map Segmentation Storage."""
    CONTOURS = "contours"
    """RT Structure Set Storage, from the analytic sections."""


@dataclass(frozen=True)
class Patient:
    """Who. Empty name and ID are made from the seed; a name in Chinese script needs UTF8 or GB18030."""

    name: str = ""
    patient_id: str = ""
    birth_date: str = "19590412"
    sex: str = "M"


@dataclass(frozen=True)
class PhantomOptions:
    """A study of ``phases`` with ``slices`` images of ``rows`` x ``columns`` each.

    ``pixel_spacing_mm`` is (between rows, between columns); None spreads a 380 mm field of view over the matrix.
    ``thickness_mm`` None means the slice spacing. ``supersampling`` n averages n³ points a voxel (partial volume);
    1 samples voxel centres. ``noise_hu`` is the standard deviation of the Gaussian noise. ``anatomy`` None means
    ``varied(seed)``. Equal seed, anatomy, patient and start time make one and the same study, so that two
    calls with, say, different phases give two parts of it. ``breathing_mm`` displaces the organs (not trunk, spine and
    great vessels) in some phases, other than the one that the tumour is outlined on. Raises PhantomRefused for what
    cannot be made.
    """

    seed: int = 0
    phases: tuple[Phase, ...] = tuple(Phase)
    rows: int = 256
    columns: int = 256
    slices: int = 40
    slice_spacing_mm: float = 2.5
    pixel_spacing_mm: tuple[float, float] | None = None
    thickness_mm: float | None = None
    supersampling: int = 1
    noise_hu: float = 10.0
    form: Form = Form.CLASSIC
    rois: tuple[RoiForm, ...] = (RoiForm.BINARY,)
    anatomy: Anatomy | None = None
    border: Border = Border.NONE
    descriptions: Descriptions = Descriptions.ENGLISH
    character_set: CharacterSet = CharacterSet.LATIN
    patient: Patient = Patient()
    started: datetime = field(default=datetime(2024, 3, 14, 9, 30, tzinfo=_BEIJING))
    kvp: int = 120
    kernel: str = "B30f"
    breathing_mm: tuple[tuple[Phase, Point], ...] = ()

    def __post_init__(self) -> None:
        self._check_size()
        if len(set(self.phases)) != len(self.phases) or not self.phases:
            raise PhantomRefused("each phase can be there once, and one must be")
        outlined = Phase.PORTAL if Phase.PORTAL in self.phases else max(self.phases, key=list(Phase).index)
        if outlined in dict(self.breathing_mm):
            raise PhantomRefused(f"the tumour is outlined on the {outlined} phase, which cannot be displaced")
        if self.textured and self.supersampling != 1:
            raise PhantomRefused("the truth of a texture is that at voxel centres: no supersampling")
        if self.noise_hu < 0:
            raise PhantomRefused(f"noise of {self.noise_hu} HU")
        if self.started.utcoffset() is None:
            raise PhantomRefused("the start time has no zone")
        if self.descriptions is Descriptions.CHINESE and self.character_set is CharacterSet.LATIN:
            raise PhantomRefused("Chinese descriptions need the character set UTF8 or GB18030")

    def _check_size(self) -> None:
        if not (64 <= self.rows <= 1024 and 64 <= self.columns <= 1024):
            raise PhantomRefused(f"matrix {self.rows} x {self.columns}: 64 to 1024 are possible")
        if self.slices < 1 or self.supersampling < 1:
            raise PhantomRefused("there must be at least one slice and one sample a voxel")
        if min(self.slice_spacing_mm, self.thickness, *self.spacing_mm) <= 0:
            raise PhantomRefused("spacings and thickness must be positive")

    @property
    def textured(self) -> bool:
        """Whether the tumour has a texture."""
        return self.anatomy is not None and self.anatomy.tumour.texture is not None

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """In-plane spacing: as given, or that of a 380 mm field of view."""
        return self.pixel_spacing_mm or (380.0 / self.rows, 380.0 / self.columns)

    @property
    def thickness(self) -> float:
        """Slice thickness in mm."""
        return self.slice_spacing_mm if self.thickness_mm is None else self.thickness_mm
