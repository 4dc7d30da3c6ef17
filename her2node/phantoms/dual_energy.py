"""A dual-energy CT of the phantom: images at photon energies, an iodine map in any of the units that scanners use.

The iodine of every structure is written down first: its enhancement in one contrast phase over 25 HU per mg/ml, to a
tenth. Images come from it by attenuation alone: mu(E) = (1 + HU of the plain scan / 1000) m_w(E) + c m_i(E) and
HU(E) = 1000 (mu(E) / m_w(E) - 1), with the mass attenuation coefficients m of water and iodine. Nothing here knows how
the node turns two such images back into iodine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from her2node.dicom.codes import Anatomy as AnatomyCode
from her2node.dicom.codes import Code, DualEnergy, Finding, Unit
from her2node.dicom.uids import derived_uid
from her2node.errors import PhantomRefused
from her2node.phantoms import classic, ct, segmentation
from her2node.phantoms.anatomy import Phase, Structure, Tumour
from her2node.phantoms.headers import coded, decimal, decimals, fill, item
from her2node.phantoms.options import Form, PhantomOptions, RoiForm
from her2node.phantoms.planes import Plane, labels
from her2node.phantoms.shapes import Column, Ellipsoid
from her2node.phantoms.study import PhantomStudy, PlannedSeries, file_meta
from her2node.phantoms.truth import IodineTruth

Values = npt.NDArray[np.float64]

HU_PER_MG_PER_ML = 25
"""Of the mixed images, roughly those of 70 keV."""
_COEFFICIENTS: dict[float, tuple[float, float]] = {
    40: (22.095842, 0.26827494),
    50: (12.32351, 0.22693574),
    60: (7.5769999, 0.20587255),
    70: (5.0156067, 0.19285149),
    80: (3.5102868, 0.18365562),
    100: (1.9421651, 0.17072359),
    120: (1.2114325, 0.16135144),
    140: (0.82434233, 0.15382521),
    190: (0.40807668, 0.1393994),
}
"""keV -> mass attenuation of iodine and of water in cm2/g (Elam, Ravel and Sieber 2002, from XrayDB 4.5.8)."""
_WATER_Z, _IODINE_Z, _EXPONENT = 7.42, 53.0, 2.94
_WATER_ELECTRONS, _IODINE_ELECTRONS = 10 / 18.015, 53 / 126.904
"""Moles of electrons in a gram."""


class IodineUnit(StrEnum):
    """How the iodine map says what its values are."""

    MGML = "mgml"
    """RescaleType MGML."""
    REAL_WORLD = "real-world"
    """A Real World Value Mapping in mg/ml; RescaleType says that it says nothing."""
    HUNDRED_UG = "100ug"
    """In 100 ug/ml, said in RescaleType."""
    UNSTATED = "unstated"
    """In 100 ug/ml, and nothing says so."""
    HOUNSFIELD = "hounsfield"
    """RescaleType HU, as where iodine is shown as the attenuation that it adds."""


@dataclass(frozen=True)
class DualEnergyOptions:
    """A classic CT of ``base`` (its last phase gets the dual-energy series, its ROI the tumour), mono-energetic series
    at ``energies`` (keV, of 40, 50, 60, 70, 80, 100, 120, 140, 190), an iodine map in ``unit`` (None: no map), a map of
    the effective atomic number, a region in the aorta. Raises PhantomRefused for what cannot be made.
    """

    base: PhantomOptions = field(default_factory=lambda: PhantomOptions(phases=(Phase.PORTAL,), noise_hu=0))
    energies: tuple[float, ...] = (40, 140)
    unit: IodineUnit | None = IodineUnit.MGML
    effective_z: bool = False
    aorta: bool = True

    def __post_init__(self) -> None:
        unknown = [energy for energy in self.energies if energy not in _COEFFICIENTS]
        if unknown:
            raise PhantomRefused(f"{unknown[0]:g} keV: possible are {', '.join(f'{kev:g}' for kev in _COEFFICIENTS)}")
        if self.base.form is not Form.CLASSIC:
            raise PhantomRefused("dual-energy series are made as classic objects only")
        if self.base.textured:
            raise PhantomRefused("iodine has no texture here")


@dataclass(frozen=True)
class _Kind:
    """A series to be made: how it is named, and its value for a voxel of (plain HU, mg/ml iodine)."""

    name: str
    number: int
    image_type: str
    value: Callable[[Values, Values], Values]
    noise: float
    slope: float
    attributes: dict[str, object]


def make(options: DualEnergyOptions) -> PhantomStudy:
    """Plan the study; its truth has the iodine, its objects are made when they are read."""
    study = ct.make(options.base)
    study = replace(study, truth=replace(study.truth, iodine=truth_of(study)))
    kinds = tuple(_kinds(options))

    def spectral(one: PhantomStudy) -> Iterator[Dataset]:
        for kind in kinds:
            yield from _images(one, kind)

    parts = (*study.parts, spectral)
    return replace(study, parts=(*parts, _aorta) if options.aorta else parts)


def truth_of(study: PhantomStudy) -> IodineTruth:
    """Iodine of the tumour (rim and core by their shares) and of every organ in mg/ml, from the anatomy alone."""
    phase, tumour = study.roi_series.phase, study.anatomy.tumour
    parts = [iodine_of(structure, phase) for structure in tumour.structures]
    share = tumour.core**3 if tumour.core else 0.0
    mean = (1 - share) * parts[0] + share * parts[-1]
    organs = {structure.name: iodine_of(structure, phase) for structure in study.anatomy.organs}
    return IodineTruth(mean, organs["aorta"], mean / organs["aorta"], organs)


def iodine_of(structure: Structure, phase: Phase) -> float:
    """mg/ml, a whole number of tenths."""
    return max(0.0, round((structure.hu.at(phase) - structure.hu.at(Phase.PLAIN)) / HU_PER_MG_PER_ML, 1))


def attenuation(kev: float, plain_hu: Values, iodine: Values) -> Values:
    """HU at a photon energy of what has ``plain_hu`` without and ``iodine`` mg/ml with contrast."""
    of_iodine, of_water = _COEFFICIENTS[kev]
    mu = (1 + plain_hu / 1000) * of_water + iodine / 1000 * of_iodine
    return 1000 * (mu / of_water - 1)


def effective_z(plain_hu: Values, iodine: Values) -> Values:
    """Mayneord's mixture of water and iodine: the power 2.94 of Z, weighted by electrons."""
    grams = iodine / 1000
    share = (
        grams
        * _IODINE_ELECTRONS
        / (np.maximum(1 + plain_hu / 1000, 0.1) * _WATER_ELECTRONS + grams * _IODINE_ELECTRONS)
    )
    return np.asarray((share * _IODINE_Z**_EXPONENT + (1 - share) * _WATER_Z**_EXPONENT) ** (1 / _EXPONENT))


def _kinds(options: DualEnergyOptions) -> Iterator[_Kind]:
    noise = options.base.noise_hu
    for number, kev in enumerate(options.energies):
        energy = item(MonoenergeticEnergyEquivalent=float(kev))
        yield _Kind(
            f"{kev:g} keV", 50 + number, "VMI", partial(attenuation, kev), noise, 0.1,
            {"RescaleType": "HU", "MultienergyCTCharacteristicsSequence": Sequence([energy])},
        )  # fmt: skip
    if options.unit is not None:
        yield _iodine_map(options.unit, noise / HU_PER_MG_PER_ML)
    if options.effective_z:
        yield _Kind("Effective Z", 61, "EFF_ATOMIC_NUM", effective_z, 0.0, 0.01, {"RescaleType": "Z_EFF"})


def _iodine_map(unit: IodineUnit, noise: float) -> _Kind:
    """Values are in mg/ml or in 100 ug/ml, which are ten times as many; stored in hundredths."""
    times = 10 if unit in (IodineUnit.HUNDRED_UG, IodineUnit.UNSTATED) else 1
    attributes: dict[IodineUnit, dict[str, object]] = {
        IodineUnit.MGML: {"RescaleType": "MGML"},
        IodineUnit.REAL_WORLD: {
            "RescaleType": "US",
            "RescaleSlope": 1,
            "RealWorldValueMappingSequence": Sequence([_mapping(0.01)]),
        },
        IodineUnit.HUNDRED_UG: {"RescaleType": "100ug/cm3"},
        IodineUnit.UNSTATED: {},
        IodineUnit.HOUNSFIELD: {"RescaleType": "HU"},
    }
    return _Kind(
        "Iodine map", 60, "MAT_SPECIFIC", lambda _, iodine: times * iodine, times * noise, 0.01, attributes[unit]
    )


def _mapping(slope: float) -> Dataset:
    return item(
        LUTExplanation="Iodine",
        LUTLabel="IODINE",
        RealWorldValueFirstValueMapped=-32768,
        RealWorldValueLastValueMapped=32767,
        RealWorldValueIntercept=0.0,
        RealWorldValueSlope=slope,
        MeasurementUnitsCodeSequence=coded(Unit.MG_PER_ML),
        QuantityDefinitionSequence=Sequence(
            [
                item(
                    ValueType="CODE",
                    ConceptNameCodeSequence=coded(Code("246205007", "SCT", "Quantity")),
                    ConceptCodeSequence=coded(DualEnergy.IODINE),
                )
            ]
        ),
    )


def _images(study: PhantomStudy, kind: _Kind) -> Iterator[Dataset]:
    source = study.roi_series
    said = str(kind.attributes.get("RescaleType"))
    uid = derived_uid("phantom dual energy", source.series_instance_uid, kind.name, said)
    series = replace(
        source, series_instance_uid=uid, number=kind.number, description=f"{source.description} {kind.name}"
    )
    for planned in source.slices:
        image = replace(planned, sop_instance_uid=derived_uid("phantom image", uid, str(planned.number)))
        yield _image(study, replace(series, slices=(image,)), kind)


def _image(study: PhantomStudy, series: PlannedSeries, kind: _Kind) -> Dataset:
    (planned,) = series.slices
    plane = planned.plane
    ds = classic.header(study, series)
    ds.file_meta = file_meta(ds.SOPClassUID, planned.sop_instance_uid)
    del ds.RescaleType
    fill(
        ds,
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL", kind.image_type],
        SOPInstanceUID=planned.sop_instance_uid,
        InstanceNumber=planned.number,
        ImagePositionPatient=decimals(*plane.origin_mm),
        ImageOrientationPatient=decimals(*plane.row, *plane.column),
        SliceLocation=decimal(plane.origin_mm[2]),
        SliceThickness=decimal(plane.thickness_mm),
        PixelSpacing=decimals(*plane.spacing_mm),
        Rows=plane.size[0],
        Columns=plane.size[1],
        RescaleSlope=decimal(kind.slope),
        RescaleIntercept=0,
    )
    fill(ds, **kind.attributes)
    ds.PixelData = _stored(study, plane, kind, planned.key, series.phase).tobytes()
    return ds


def _stored(study: PhantomStudy, plane: Plane, kind: _Kind, key: int, phase: Phase) -> npt.NDArray[np.int16]:
    """Materials at the voxel centres, their value, noise, and the nearest stored value."""
    structures = study.anatomy.structures
    plain = np.array([-1000.0, *(structure.hu.at(Phase.PLAIN) for structure in structures)])
    iodine = np.array([0.0, *(iodine_of(structure, phase) for structure in structures)])
    values = kind.value(plain, iodine)[labels(structures, plane.coordinates(), plane.size)]
    if kind.noise:
        rng = np.random.default_rng(np.random.SeedSequence([study.options.seed, 5, kind.number, key]))
        values = values + kind.noise * rng.standard_normal(values.shape)
    return np.clip(np.rint(values / kind.slope), -32768, 32767).astype(np.int16)


def _aorta(study: PhantomStudy) -> Iterator[Dataset]:
    """A region well within the aorta, at the height of the tumour, as a SEG of its own."""
    (column,) = (structure.shape for structure in study.anatomy.organ("aorta"))
    if not isinstance(column, Column):
        raise PhantomRefused("the aorta of this anatomy is no column")
    radius = 0.7 * min(column.semi_axes_mm)
    height = study.anatomy.tumour.shape.centre_mm[2]
    lumen = Ellipsoid((*column.centre_mm, height), (radius, radius, 15.0))
    of_aorta = replace(study.anatomy, tumour=Tumour("aorta", lumen, study.anatomy.tumour.hu))
    ds = segmentation.segmentation(replace(study, anatomy=of_aorta), RoiForm.BINARY)
    uid = derived_uid("phantom aorta", study.roi_series.series_instance_uid)
    sop_instance_uid = derived_uid("phantom aorta object", uid)
    fill(
        ds,
        SeriesInstanceUID=uid,
        SOPInstanceUID=sop_instance_uid,
        SeriesNumber=105,
        SeriesDescription="Aorta segmentation",
        ContentLabel="AORTA",
        ContentDescription="Lumen of the aorta of the phantom",
    )
    ds.file_meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    fill(
        ds.SegmentSequence[0],
        SegmentLabel="Aorta",
        TrackingID="Aorta 1",
        TrackingUID=derived_uid("phantom aorta tracking", study.study_instance_uid),
        SegmentedPropertyCategoryCodeSequence=coded(Finding.TISSUE),
        SegmentedPropertyTypeCodeSequence=coded(AnatomyCode.AORTA),
    )
    del ds.SegmentSequence[0].AnatomicRegionSequence
    yield ds
