"""An FDG PET of the trunk with lesions, and a CT of the same frame of reference, in the units that scanners write.

``make(PetOptions(...))`` plans a study whose SUV, metabolic volumes and glycolysis are written down before a voxel is
made. Two bed positions follow each other, so that images differ in time; the slope differs from slice to slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from enum import StrEnum

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, PositronEmissionTomographyImageStorage

from her2node.dicom.codes import Anatomy, Code, Finding
from her2node.dicom.uids import derived_uid
from her2node.errors import PhantomRefused
from her2node.phantoms import outlines
from her2node.phantoms.activity import FLUORINE_18, Calibration, Decay, Person, Timing, Tracer, Units
from her2node.phantoms.examination import Examination, Head, header, place, put_pixels
from her2node.phantoms.headers import copied, da, decimal, fill, tm
from her2node.phantoms.options import RoiForm
from her2node.phantoms.outlines import Drawn, Ground, Outlined
from her2node.phantoms.planes import Plane, holds, transverse
from her2node.phantoms.planted import PLANTED_SUVMAX, Label
from her2node.phantoms.shapes import Ellipsoid, Floats, Shape
from her2node.phantoms.study import file_meta
from her2node.phantoms.uptake_truth import Lesion


class OutlinedOn(StrEnum):
    """On which images the lesions are outlined."""

    PET = "pet"
    CT = "ct"


_SECONDARY = Code("14799000", "SCT", "Neoplasm, Secondary")
TUMOUR = Lesion(
    "Tumour",
    Finding.PRIMARY_NEOPLASM,
    Ellipsoid((34.0, -30.0, -20.0), (28.0, 24.0, 24.0)),
    ((1.0, 3.0), (0.9, 4.0), (0.78, 5.67), (0.62, 8.0), (0.45, 14.0)),
)
"""Its layers lie on either side of every threshold: SUV 2.5, PERCIST (3.3), 40 and 41 % of SUVmax, 50 and 60 %."""
NODE = Lesion("Lymph node metastasis", _SECONDARY, Ellipsoid((2.0, -8.0, -58.0), (13.0, 12.0, 12.0)), ((1.0, 7.0),))
LESIONS = (TUMOUR, NODE)
LIVER_SUV = 2.2
_LIVER_SPHERE = Ellipsoid((-75.0, -10.0, 0.0), (15.0, 15.0, 15.0))
_BODY: tuple[tuple[Shape, float, int], ...] = (
    (Ellipsoid((0.0, 0.0, 0.0), (155.0, 105.0, 1200.0)), 0.7, 40),
    (Ellipsoid((-72.0, 0.0, 110.0), (55.0, 70.0, 70.0)), 0.4, -820),
    (Ellipsoid((72.0, 0.0, 110.0), (55.0, 70.0, 70.0)), 0.4, -820),
    (Ellipsoid((20.0, -35.0, 100.0), (42.0, 38.0, 44.0)), 3.0, 42),
    (Ellipsoid((0.0, 65.0, 0.0), (20.0, 18.0, 1200.0)), 1.2, 210),
    (Ellipsoid((-72.0, -8.0, 5.0), (62.0, 68.0, 62.0)), LIVER_SUV, 58),
    (Ellipsoid((102.0, 32.0, 10.0), (24.0, 34.0, 42.0)), 1.9, 48),
    (Ellipsoid((62.0, 50.0, -60.0), (26.0, 26.0, 48.0)), 4.5, 32),
    (Ellipsoid((-62.0, 50.0, -62.0), (26.0, 26.0, 48.0)), 4.5, 32),
)
"""Shapes with their SUVbw and HU, later over earlier; no lesion meets an organ that takes up more than it."""
_LESION_HU = 45
_INTERCEPT = -1024


@dataclass(frozen=True)
class PetOptions:
    """A PET of ``slices`` images, a CT of the same trunk where ``ct`` is set, and the lesions outlined on either.

    ``noise`` is the standard deviation of a voxel as a share of its uptake; ``uncorrected``: also the series without
    correction for attenuation. Raises PhantomRefused for what cannot be made.
    """

    seed: int = 1
    units: Units = Units.BQML
    decay: Decay = Decay.START
    sex: str = "M"
    weight_kg: float = 72.0
    size_m: float = 1.74
    dose_bq: float = 2.6e8
    uptake: timedelta = timedelta(minutes=61)
    rows: int = 96
    columns: int = 96
    slices: int = 75
    spacing_mm: float = 4.0
    slice_spacing_mm: float = 4.0
    ct_slice_spacing_mm: float = 3.0
    noise: float = 0.0
    ct: bool = True
    uncorrected: bool = False
    rois: tuple[RoiForm, ...] = (RoiForm.BINARY,)
    outlined_on: OutlinedOn = OutlinedOn.PET
    liver: bool = True
    lesions: tuple[Lesion, ...] = LESIONS
    started: datetime = field(default=datetime(2025, 3, 6, 11, 0, tzinfo=timezone(timedelta(hours=8))))

    def __post_init__(self) -> None:
        if self.outlined_on is OutlinedOn.CT and not self.ct:
            raise PhantomRefused("the lesions are to be outlined on a CT that is not made")
        if set(self.rois) - {RoiForm.BINARY, RoiForm.CONTOURS}:
            raise PhantomRefused("regions of PET are made as binary segments or as contours")
        if self.slices < 2 or min(self.rows, self.columns) < 8:
            raise PhantomRefused("two slices of 8 x 8 at least")
        if self.sex not in ("M", "F"):
            raise PhantomRefused(f"sex {self.sex!r}: lean masses are known for M and F")

    @property
    def calibration(self) -> Calibration:
        tracer = Tracer("FDG", FLUORINE_18, 6586.2, 0.967, self.dose_bq, self.started - self.uptake)
        return Calibration(self.units, self.decay, Person(self.sex, self.weight_kg, self.size_m), tracer)


@dataclass(frozen=True)
class PetStudy:
    """A study that knows its truth; its objects are made one by one when asked for."""

    options: PetOptions
    examination: Examination
    planes: tuple[Plane, ...] = field(repr=False)
    ct_planes: tuple[Plane, ...] = field(repr=False)

    @property
    def study_instance_uid(self) -> str:
        return self.examination.study_instance_uid

    @property
    def datasets(self) -> Iterator[Dataset]:
        """The objects; every access starts anew and gives the same objects."""
        if self.options.ct:
            yield from _ct(self)
        yield from _pet(self, self.head("pet"), True)
        if self.options.uncorrected:
            yield from _pet(self, self.head("nac"), False)
        for form in self.options.rois:
            make_regions = outlines.structure_set if form is RoiForm.CONTOURS else outlines.segmentation
            yield make_regions(_ground(self), _regions(self.options))

    def head(self, name: str) -> Head:
        """The series ``ct``, ``pet`` or ``nac``."""
        number, description, modality = {
            "ct": (2, "AC CT", "CT"),
            "pet": (3, "PET WB AC", "PT"),
            "nac": (4, "PET WB NAC", "PT"),
        }[name]
        uid = derived_uid("phantom pet series", self.study_instance_uid, name)
        return Head(uid, number, description, modality, self.examination.started)

    @property
    def label(self) -> Label | None:
        """Planted by the highest uptake of the first primary tumour; None without one."""
        primary = (lesion for lesion in self.options.lesions if lesion.kind == Finding.PRIMARY_NEOPLASM)
        highest = next((lesion.highest for lesion in primary), None)
        return None if highest is None else PLANTED_SUVMAX.label(highest, self.options.seed)

    def as_json(self) -> dict[str, object]:
        """The truth with the UID of the study."""
        options = self.options
        person = options.calibration.person
        return {
            "study_instance_uid": self.study_instance_uid,
            "lesions": {lesion.label: lesion.figures(person, LIVER_SUV) for lesion in options.lesions},
            "liver_suvbw": LIVER_SUV,
            "uptake_minutes": options.uptake.total_seconds() / 60,
            "lean_janmahasatian_kg": person.lean_janmahasatian * person.weight_kg,
            **(asdict(self.label) if self.label else {}),
        }


def make(options: PetOptions) -> PetStudy:
    """Plan a study; what shapes its objects shapes its UIDs."""
    study_uid = derived_uid("phantom pet study", repr(options))
    examination = Examination(
        study_uid,
        derived_uid("phantom frame of reference", study_uid),
        options.started,
        "Phantom^Uptake",
        f"PHANTOM-{options.seed:06d}",
        "PET/CT trunk",
        options.sex,
        options.weight_kg,
        options.size_m,
    )
    size = (options.rows, options.columns)
    planes = transverse(size, options.slices, options.spacing_mm, options.slice_spacing_mm)
    finer = (int(4 / 3 * options.rows), int(4 / 3 * options.columns))
    ct_slices = int(options.slices * options.slice_spacing_mm / options.ct_slice_spacing_mm)
    ct_planes = transverse(finer, ct_slices, 0.75 * options.spacing_mm, options.ct_slice_spacing_mm)
    return PetStudy(options, examination, planes, ct_planes)


# --- voxels --------------------------------------------------------------------------------------------------


def painted(plane: Plane, shapes: Sequence[tuple[Shape, float]], outside: float) -> Floats:
    """The value of the last shape that holds each voxel centre, shape ``plane.size``."""
    found = np.full(plane.size, outside)
    for shape, value in shapes:
        found[holds(shape, plane.coordinates(), plane.size)] = value
    return found


def _uptakes(options: PetOptions) -> list[tuple[Shape, float]]:
    of_lesions = [part for lesion in options.lesions for part in lesion.parts]
    return [*((shape, suv) for shape, suv, _ in _BODY), *of_lesions]


def _attenuations(options: PetOptions) -> list[tuple[Shape, float]]:
    of_lesions = [(lesion.shape, float(_LESION_HU)) for lesion in options.lesions]
    return [*((shape, float(hu)) for shape, _, hu in _BODY), *of_lesions]


# --- objects -------------------------------------------------------------------------------------------------


def _image_uid(head: Head, index: int) -> str:
    return derived_uid("phantom pet image", head.series_instance_uid, str(index))


def _image(template: Dataset, plane: Plane, sop_class_uid: str, uid: str, index: int) -> Dataset:
    ds = copied(template)
    ds.file_meta = file_meta(sop_class_uid, uid)
    fill(ds, SOPInstanceUID=uid, InstanceNumber=index + 1)
    place(ds, plane)
    return ds


def _pet(study: PetStudy, head: Head, corrected: bool) -> Iterator[Dataset]:
    """PET Image Storage (PS3.3 A.21); ``corrected`` for attenuation."""
    options, calibration = study.options, study.options.calibration
    template = header(study.examination, head, PositronEmissionTomographyImageStorage, head.series_instance_uid)
    _pet_series(template, options)
    uptakes = _uptakes(options)
    for index, plane in enumerate(study.planes):
        uid = _image_uid(head, index)
        ds = _image(template, plane, PositronEmissionTomographyImageStorage, uid, index)
        timing = _bed(study, index)
        calibration.tell(ds, timing)
        ds.ImageIndex = index + 1
        if not corrected:
            ds.CorrectedImage = [word for word in ds.CorrectedImage if word != "ATTN"]
        shown = _noisy(options, painted(plane, uptakes, 0.0), head.number, index) * calibration.per_suv(timing)
        _put_rescaled(ds, shown if corrected else 0.3 * shown)
        yield ds


def _bed(study: PetStudy, index: int) -> Timing:
    """The lower half of the trunk is scanned first, the upper half three minutes later."""
    scan, duration = study.examination.started, timedelta(minutes=3)
    upper = index >= len(study.planes) // 2
    return Timing(scan, scan + duration if upper else scan, duration)


def _pet_series(ds: Dataset, options: PetOptions) -> None:
    """PET Series and Image modules (PS3.3 C.8.9.1, C.8.9.4), as far as no calibration is in them."""
    fill(
        ds,
        ImageType=["ORIGINAL", "PRIMARY"],
        BodyPartExamined="WHOLEBODY",
        CountsSource="EMISSION",
        SeriesType=["WHOLE BODY", "IMAGE"],
        NumberOfSlices=options.slices,
        CollimatorType="NONE",
        ReconstructionMethod="OSEM 3i21s",
        AttenuationCorrectionMethod="CT",
        ScatterCorrectionMethod="Model based",
        RandomsCorrectionMethod="DLYD",
        PatientOrientationCodeSequence=Items(),
        PatientGantryRelationshipCodeSequence=Items(),
    )


def _noisy(options: PetOptions, suv: Floats, *key: int) -> Floats:
    rng = np.random.default_rng(np.random.SeedSequence([options.seed, *key]))
    return suv * (1 + options.noise * rng.standard_normal(suv.shape)) if options.noise else suv


def _put_rescaled(ds: Dataset, values: Floats) -> None:
    """Stored values by the slope of this very slice, which is used as it is written."""
    slope = decimal(max(float(values.max()), 1e-3) / 32000)
    fill(ds, RescaleSlope=slope, RescaleIntercept="0")
    put_pixels(ds, np.clip(np.rint(values / float(slope)), 0, 32767).astype(np.int16))


def _ct(study: PetStudy) -> Iterator[Dataset]:
    """The low-dose CT by which PET is corrected for attenuation."""
    head = study.head("ct")
    template = header(study.examination, head, CTImageStorage, head.series_instance_uid)
    began = study.examination.started - timedelta(minutes=2)
    fill(
        template,
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        BodyPartExamined="WHOLEBODY",
        PatientPosition="HFS",
        AcquisitionDate=da(began),
        AcquisitionTime=tm(began),
        AcquisitionNumber=1,
        KVP="120",
        ConvolutionKernel="B19f",
        RescaleSlope="1",
        RescaleIntercept=str(_INTERCEPT),
        RescaleType="HU",
    )
    attenuations = _attenuations(study.options)
    for index, plane in enumerate(study.ct_planes):
        ds = _image(template, plane, CTImageStorage, _image_uid(head, index), index)
        hu = painted(plane, attenuations, -1000.0)
        rng = np.random.default_rng(np.random.SeedSequence([study.options.seed, head.number, index]))
        hu = hu + 12.0 * rng.standard_normal(hu.shape)
        put_pixels(ds, np.clip(np.rint(hu) - _INTERCEPT, 0, 4095).astype(np.int16))
        yield ds


# --- regions -------------------------------------------------------------------------------------------------


def _regions(options: PetOptions) -> list[Outlined]:
    found = [Outlined(lesion.label, lesion.shape, lesion.kind) for lesion in options.lesions]
    liver = Outlined("Liver", _LIVER_SPHERE, Anatomy.LIVER, Finding.TISSUE, "ORGAN")
    return [*found, liver] if options.liver else found


def _ground(study: PetStudy) -> Ground:
    on_ct = study.options.outlined_on is OutlinedOn.CT
    head, planes = (study.head("ct"), study.ct_planes) if on_ct else (study.head("pet"), study.planes)
    sop_class_uid = CTImageStorage if on_ct else PositronEmissionTomographyImageStorage
    images = tuple(Drawn(plane, sop_class_uid, _image_uid(head, index)) for index, plane in enumerate(planes))
    return Ground(study.examination, head.series_instance_uid, images, study.examination.started + timedelta(hours=2))
