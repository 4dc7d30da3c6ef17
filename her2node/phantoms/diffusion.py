"""A diffusion-weighted MR of the abdomen with a gastric tumour, by the two-compartment model, tagged as a vendor would.

Signal of a tissue along a direction: S0 ((1 - f) exp(-b D c) + f exp(-b D*)) where c is 1 + a, 1 and 1 - a along x, y
and z for an anisotropy a, and 1 in a trace image. Noise is that of magnitude images: the length of the signal plus
complex Gaussian noise (Rice), so that air reads 1.25 sigma.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage, RTStructureSetStorage

from her2node.dicom.uids import derived_uid
from her2node.phantoms.enhanced_mr import ACQUISITION, IN_STACK, Pulse, describe, frame_content, shared_groups
from her2node.phantoms.examination import Examination, Head, header, place, put_pixels
from her2node.phantoms.headers import da, decimal, decimals, fill, item, tm
from her2node.phantoms.planes import Plane, holds, transverse
from her2node.phantoms.planted import PLANTED_D, Label
from her2node.phantoms.shapes import Ellipsoid
from her2node.phantoms.weighting import (
    Direction,
    Tagging,
    Weighted,
    functional_group,
    scale_as_philips,
    scale_frame_as_philips,
    weight,
)

AXES: tuple[Direction, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_POINTS = 180
Signal = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tissue:
    """S0 in steps of the stored values, D and D* in um2/s, f as a share."""

    s0: float
    d: float
    d_star: float
    f: float

    def signal(self, weighted: Weighted, anisotropy: float) -> float:
        """Without noise."""
        along = weighted.direction
        c = 1.0 if along is None else 1 + anisotropy * (along[0] ** 2 - along[2] ** 2)
        b = weighted.b * 1e-6
        return float(self.s0 * ((1 - self.f) * np.exp(-b * self.d * c) + self.f * np.exp(-b * self.d_star)))


BODY = Ellipsoid((0.0, 0.0, 0.0), (110.0, 90.0, 400.0))
LIVER = Ellipsoid((-55.0, -10.0, 0.0), (40.0, 45.0, 60.0))
TUMOUR = Ellipsoid((35.0, -20.0, 0.0), (26.0, 20.0, 18.0))


@dataclass(frozen=True)
class DiffusionOptions:
    """What to make. ``directional``: three images along x, y and z in place of one trace image. ``apart``: a series a
    b-value. ``adc_unit``: also a scanner's ADC map, in this unit of RescaleType ('' for one that names none). The
    tumour, of the form ``shape``, has a ``core`` of other tissue, concentric and ``core_size`` times its size, where
    one is given."""

    seed: int = 1
    b_values: tuple[float, ...] = (0, 10, 20, 50, 80, 100, 150, 200, 400, 600, 800)
    tagging: Tagging = Tagging.STANDARD
    directional: bool = False
    repetitions: int = 1
    apart: bool = False
    anisotropy: float = 0.0
    noise: float = 4.0
    rows: int = 80
    columns: int = 80
    slices: int = 9
    spacing_mm: float = 3.0
    slice_spacing_mm: float = 5.0
    region: bool = True
    adc_unit: str | None = None
    muscle: Tissue = Tissue(400.0, 1400.0, 30_000.0, 0.06)
    liver: Tissue = Tissue(500.0, 1100.0, 60_000.0, 0.22)
    tumour: Tissue = Tissue(900.0, 950.0, 40_000.0, 0.12)
    shape: Ellipsoid = TUMOUR
    core: Tissue | None = None
    core_size: float = 0.6
    started: datetime = datetime(2025, 3, 4, 9, 30, tzinfo=timezone(timedelta(hours=8)))


@dataclass(frozen=True)
class _Acquired:
    """One volume: its weighting, repetition, series, and number among the volumes."""

    weighted: Weighted
    repetition: int
    series: int
    number: int


@dataclass(frozen=True)
class DiffusionStudy:
    """A study that knows its truth; its objects are made one by one when asked for."""

    options: DiffusionOptions
    examination: Examination
    planes: tuple[Plane, ...] = field(repr=False)

    @property
    def study_instance_uid(self) -> str:
        return self.examination.study_instance_uid

    @property
    def truth(self) -> Tissue:
        """Of the tumour, of its rim where it has a core."""
        return self.options.tumour

    @property
    def mean_d(self) -> float:
        """Of the tumour, core and rim by their shares, um2/s."""
        options = self.options
        if options.core is None:
            return options.tumour.d
        share = options.core_size**3
        return (1 - share) * options.tumour.d + share * options.core.d

    @property
    def label(self) -> Label:
        """Planted by the mean D of the tumour."""
        return PLANTED_D.label(self.mean_d, self.options.seed)

    @property
    def datasets(self) -> Iterator[Dataset]:
        """The objects; every access starts anew and gives the same objects."""
        options = self.options
        acquired = _acquired(options)
        if options.tagging in (Tagging.ENHANCED, Tagging.PHILIPS_ENHANCED):
            for number in sorted({one.series for one in acquired}):
                yield _enhanced(self, [one for one in acquired if one.series == number])
        else:
            write = _mosaic if options.tagging is Tagging.SIEMENS_MOSAIC else _classic
            for one in acquired:
                yield from write(self, one)
        if options.adc_unit is not None:
            yield from _adc_map(self, options.adc_unit)
        if options.region:
            yield _contours(self)

    def series_uid(self, number: int) -> str:
        return derived_uid("phantom diffusion series", self.study_instance_uid, str(number))

    def as_json(self) -> dict[str, object]:
        """The truth with the UID of the study."""
        options = self.options
        tumour: dict[str, object] = asdict(self.truth)
        if options.core is not None:
            tumour |= {"core": asdict(options.core), "core_share": options.core_size**3}
        return {"study_instance_uid": self.study_instance_uid, "tumour": tumour, **asdict(self.label)}


def make(options: DiffusionOptions) -> DiffusionStudy:
    """Plan a study; what shapes its objects shapes its UIDs."""
    study_uid = derived_uid("phantom diffusion study", repr(options))
    where = derived_uid("phantom frame of reference", study_uid)
    patient_id = f"PHANTOM-{options.seed:06d}"
    examination = Examination(study_uid, where, options.started, "Phantom^Diffusion", patient_id, "MR abdomen")
    planes = transverse((options.rows, options.columns), options.slices, options.spacing_mm, options.slice_spacing_mm)
    return DiffusionStudy(options, examination, planes)


def clean(study: DiffusionStudy, plane: Plane, weighted: Weighted) -> Signal:
    """The signal of a slice without noise, shape (rows, columns)."""
    options = study.options
    found = np.zeros(plane.size)
    places = [(BODY, options.muscle), (LIVER, options.liver), (options.shape, options.tumour)]
    if options.core is not None:
        places.append((options.shape.scaled(options.core_size), options.core))
    for shape, tissue in places:
        found[holds(shape, plane.coordinates(), plane.size)] = tissue.signal(weighted, options.anisotropy)
    return found


def _acquired(options: DiffusionOptions) -> list[_Acquired]:
    found: list[_Acquired] = []
    for index, b in enumerate(options.b_values):
        series = 5 + index if options.apart else 5
        several = [Weighted(b, axis) for axis in AXES] if options.directional else [Weighted(b, trace=True)]
        for weighted in several if b else [Weighted(0.0)]:
            for repetition in range(options.repetitions):
                found.append(_Acquired(weighted, repetition, series, len(found)))
    return found


def _noisy(study: DiffusionStudy, one: _Acquired, index: int) -> Signal:
    """One slice of a volume with its noise, which (seed, volume, slice) name."""
    signal = clean(study, study.planes[index], one.weighted)
    rng = np.random.default_rng(np.random.SeedSequence([study.options.seed, one.number, index]))
    real, imaginary = study.options.noise * rng.standard_normal((2, *signal.shape))
    return np.asarray(np.hypot(signal + real, imaginary))


def _stored(signal: Signal, slope: float = 1.0) -> npt.NDArray[np.uint16]:
    return np.clip(np.rint(signal * slope), 0, 4095).astype(np.uint16)


def _header(study: DiffusionStudy, sop_class: str, number: int, key: str, description: str, modality: str) -> Dataset:
    """What every object of the study has, whatever its form."""
    series = Head(study.series_uid(number), number, description, modality, study.options.started)
    sop_uid = derived_uid("phantom diffusion image", series.series_instance_uid, key)
    return header(study.examination, series, sop_class, sop_uid)


def _image(study: DiffusionStudy, number: int, key: str, description: str, pixels: npt.NDArray[np.uint16]) -> Dataset:
    """A classic MR image with its pixels."""
    ds = _header(study, MRImageStorage, number, key, description, "MR")
    fill(
        ds,
        ImageType=["ORIGINAL", "PRIMARY", "OTHER"],
        AcquisitionDate=da(study.options.started),
        AcquisitionTime=tm(study.options.started),
        AcquisitionNumber=1,
        BodyPartExamined="ABDOMEN",
        PatientPosition="HFS",
        ScanningSequence="EP",
        SequenceVariant="SK",
        ScanOptions="",
        MRAcquisitionType="2D",
        RepetitionTime="3000",
        EchoTime="60",
        EchoTrainLength=1,
        MagneticFieldStrength="3",
    )
    put_pixels(ds, pixels, 12)
    return ds


def _classic(study: DiffusionStudy, one: _Acquired) -> Iterator[Dataset]:
    options = study.options
    for index, plane in enumerate(study.planes):
        slope = _step(one) if options.tagging is Tagging.PHILIPS else 1.0
        pixels = _stored(_noisy(study, one, index), slope)
        ds = _image(study, one.series, f"{one.number}/{index}", "DWI", pixels)
        ds.InstanceNumber = one.number * options.slices + index + 1
        place(ds, plane)
        weight(ds, options.tagging, one.weighted)
        if options.tagging is Tagging.PHILIPS:
            scale_as_philips(ds, slope)
        yield ds


def _mosaic(study: DiffusionStudy, one: _Acquired) -> Iterator[Dataset]:
    """All slices in one image; its position is that of a slice of the mosaic's size about the same centre."""
    options = study.options
    side = int(np.ceil(np.sqrt(options.slices)))
    rows, columns = options.rows, options.columns
    pixels = np.zeros((side * rows, side * columns), dtype=np.uint16)
    for index in range(options.slices):
        row, column = index // side * rows, index % side * columns
        pixels[row : row + rows, column : column + columns] = _stored(_noisy(study, one, index))
    ds = _image(study, one.series, f"{one.number}", "DWI", pixels)
    ds.InstanceNumber = one.number + 1
    place(ds, study.planes[0])
    weight(ds, options.tagging, one.weighted)
    ds.ImageType = [*ds.ImageType, "MOSAIC"]
    x, y, z = study.planes[0].origin_mm
    left, up = (columns * (side - 1)) / 2 * options.spacing_mm, (rows * (side - 1)) / 2 * options.spacing_mm
    ds.ImagePositionPatient = decimals(x - left, y - up, z)
    ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", options.slices)
    yield ds


def _step(one: _Acquired) -> float:
    """Of the stored values of a volume, as Philips writes them."""
    return 1.5 + 0.1 * one.number


_PULSE = Pulse(
    name="epse2d",
    contrast="DIFFUSION",
    kind="DIFFUSION",
    spin=True,
    planar=True,
    dimensions="2D",
    repetition_time_ms=3000.0,
    echo_time_ms=60.0,
    flip_angle_deg=90.0,
    field_strength="3",
    duration_ms=240_000.0,
)


def _enhanced(study: DiffusionStudy, members: list[_Acquired]) -> Dataset:
    """One enhanced MR object of a series (PS3.3 A.36)."""
    ds = _header(study, EnhancedMRImageStorage, members[0].series, "all", "DWI", "MR")
    describe(ds, _PULSE, study.options.started, (IN_STACK, ACQUISITION))
    philips = study.options.tagging is Tagging.PHILIPS_ENHANCED
    frames, pixels = [], []
    for volume, one in enumerate(members, start=1):
        for index, at in enumerate(study.planes):
            frame = functional_group(one.weighted)
            content = frame_content(index + 1, volume, study.options.started, _PULSE)
            frame.FrameContentSequence = Sequence([content])
            frame.PlanePositionSequence = Sequence([item(ImagePositionPatient=decimals(*at.origin_mm))])
            frame.PixelValueTransformationSequence = Sequence(
                [item(RescaleIntercept="0", RescaleSlope="1", RescaleType="US")]
            )
            if philips:
                scale_frame_as_philips(frame, _step(one))
            frames.append(frame)
            pixels.append(_stored(_noisy(study, one, index), _step(one) if philips else 1.0))
    if philips:
        ds.Manufacturer = "Philips Medical Systems"
    fill(
        ds,
        NumberOfFrames=len(frames),
        SharedFunctionalGroupsSequence=Sequence([shared_groups(_PULSE, study.planes[0])]),
        PerFrameFunctionalGroupsSequence=Sequence(frames),
    )
    put_pixels(ds, np.stack(pixels), 12)
    return ds


def _adc_map(study: DiffusionStudy, unit: str) -> Iterator[Dataset]:
    """A map of ADC as of a two-point scan from b 0 to 800, stored in um2/s; RescaleType says ``unit``."""
    slope = {"mm2/s": "0.000001", "10-3.mm2/s": "0.001"}.get(unit, "1")
    for index, plane in enumerate(study.planes):
        first, last = (clean(study, plane, Weighted(b, trace=True)) for b in (0.0, 800.0))
        inside = first > 0
        adc = np.zeros(plane.size)
        adc[inside] = np.log(first[inside] / last[inside]) / 800.0 * 1e6
        ds = _image(study, 90, f"adc/{index}", "ADC", _stored(adc))
        ds.InstanceNumber = index + 1
        ds.ImageType = ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]
        if unit:
            fill(ds, RescaleSlope=slope, RescaleIntercept="0", RescaleType=unit)
        place(ds, plane)
        yield ds


def _contours(study: DiffusionStudy) -> Dataset:
    """The tumour as a structure set: the ellipses in which the slices meet it."""
    ds = _header(study, RTStructureSetStorage, 100, "tumour", "Tumour contours", "RTSTRUCT")
    cuts = (study.options.shape.section(plane.origin_mm, plane.row, plane.column) for plane in study.planes)
    contours = [
        item(
            ContourGeometricType="CLOSED_PLANAR",
            NumberOfContourPoints=_POINTS,
            ContourData=[decimal(round(float(x), 4)) for x in cut.outline(_POINTS).ravel()],
        )
        for cut in cuts
        if cut is not None
    ]
    where = study.examination.frame_of_reference_uid
    fill(
        ds,
        InstanceNumber=1,
        StructureSetLabel="TUMOUR",
        StructureSetDate=da(study.options.started),
        StructureSetTime=tm(study.options.started),
        ReferencedFrameOfReferenceSequence=Sequence([item(FrameOfReferenceUID=where)]),
        StructureSetROISequence=Sequence(
            [
                item(
                    ROINumber=1,
                    ReferencedFrameOfReferenceUID=where,
                    ROIName="Tumour",
                    ROIGenerationAlgorithm="MANUAL",
                )
            ]
        ),
        ROIContourSequence=Sequence([item(ReferencedROINumber=1, ContourSequence=Sequence(contours))]),
        RTROIObservationsSequence=Sequence(
            [item(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="GTV", ROIInterpreter="")]
        ),
    )
    return ds
