"""CT Image Storage: one object a slice (PS3.3 A.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from her2node.phantoms.anatomy import Phase
from her2node.phantoms.headers import common, copied, da, decimal, decimals, fill, tm
from her2node.phantoms.options import Border
from her2node.phantoms.rendering import OUTSIDE_HU, RESCALE_INTERCEPT, Sampling, Stored, stored_values
from her2node.phantoms.study import PhantomStudy, PlannedSeries, PlannedSlice, file_meta

Values = Callable[[PlannedSlice], Stored]
"""What is stored of a slice."""


def images(study: PhantomStudy, series: PlannedSeries, values: Values | None = None) -> Iterator[Dataset]:
    """The slices of one phase, one by one; with ``values`` these are stored in place of the phase's."""
    template = header(study, series)
    values = values or partial(values_at, study, series)
    for planned in series.slices:
        yield _image(planned, template, values(planned))


def header(study: PhantomStudy, series: PlannedSeries) -> Dataset:
    """All attributes that the slices of a series share."""
    options = study.options
    ds = common(study, CTImageStorage, series.sop_instance_uid)
    fill(
        ds,
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        Modality="CT",
        SeriesInstanceUID=series.series_instance_uid,
        SeriesNumber=series.number,
        SeriesDescription=series.description,
        SeriesDate=da(series.acquired),
        SeriesTime=tm(series.acquired),
        AcquisitionDate=da(series.acquired),
        AcquisitionTime=tm(series.acquired),
        ContentDate=da(series.acquired),
        ContentTime=tm(series.acquired),
        AcquisitionNumber=series.number,
        BodyPartExamined="ABDOMEN",
        PatientPosition="HFS",
        ProtocolName="GASTRIC MULTIPHASE",
        KVP=options.kvp,
        XRayTubeCurrent=220,
        ExposureTime=500,
        Exposure=110,
        FilterType="BODY",
        ConvolutionKernel=options.kernel,
        GantryDetectorTilt=0,
        RotationDirection="CW",
        ReconstructionDiameter=decimal(options.spacing_mm[1] * options.columns),
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=1,
        RescaleIntercept=RESCALE_INTERCEPT,
        RescaleSlope=1,
        RescaleType="HU",
        WindowCenter=50,
        WindowWidth=350,
    )
    if options.border is Border.PADDED:
        ds.PixelPaddingValue = OUTSIDE_HU - RESCALE_INTERCEPT
    if series.phase is not Phase.PLAIN:
        _contrast(ds, study)
    return ds


def _contrast(ds: Dataset, study: PhantomStudy) -> None:
    """Contrast/Bolus module (PS3.3 C.7.6.4)."""
    fill(
        ds,
        ContrastBolusAgent="Iohexol 350",
        ContrastBolusRoute="IV",
        ContrastBolusVolume=90,
        ContrastBolusStartTime=tm(study.injected),
        ContrastBolusTotalDose=90,
        ContrastFlowRate=3,
        ContrastFlowDuration=30,
        ContrastBolusIngredient="IODINE",
        ContrastBolusIngredientConcentration=350,
    )


def values_at(study: PhantomStudy, series: PlannedSeries, planned: PlannedSlice) -> Stored:
    """The stored values of one slice of a phase."""
    anatomy = study.anatomy_in(series.phase)
    return stored_values(anatomy, planned.plane, series.phase, planned.key, sampling(study))


def _image(planned: PlannedSlice, template: Dataset, stored: Stored) -> Dataset:
    plane = planned.plane
    ds = copied(template)
    ds.file_meta = file_meta(CTImageStorage, planned.sop_instance_uid)
    fill(
        ds,
        SOPInstanceUID=planned.sop_instance_uid,
        InstanceNumber=planned.number,
        ImagePositionPatient=decimals(*plane.origin_mm),
        ImageOrientationPatient=decimals(*plane.row, *plane.column),
        SliceLocation=decimal(plane.origin_mm[2]),
        SliceThickness=decimal(plane.thickness_mm),
        PixelSpacing=decimals(*plane.spacing_mm),
        Rows=plane.size[0],
        Columns=plane.size[1],
    )
    ds.PixelData = stored.tobytes()
    return ds


def sampling(study: PhantomStudy) -> Sampling:
    """How this study's voxels are made."""
    options = study.options
    circular = options.border is not Border.NONE
    return Sampling(options.supersampling, options.noise_hu, options.seed, circular)
