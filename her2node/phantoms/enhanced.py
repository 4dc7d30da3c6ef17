"""Enhanced CT Image Storage: all slices of a phase in one multi-frame object (PS3.3 A.38)."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage

from her2node.dicom.codes import Anatomy, Code
from her2node.dicom.uids import derived_uid
from her2node.phantoms.anatomy import Phase
from her2node.phantoms.classic import sampling
from her2node.phantoms.headers import coded, common, da, decimal, decimals, fill, item, tm
from her2node.phantoms.options import Border, PhantomOptions
from her2node.phantoms.rendering import OUTSIDE_HU, RESCALE_INTERCEPT, stored_values
from her2node.phantoms.study import PhantomStudy, PlannedSeries, PlannedSlice

_FRAME_TYPE = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
_SCAN = timedelta(seconds=4)
_IOHEXOL = Code("109219008", "SCT", "Iohexol")
_INTRAVENOUS = Code("47625008", "SCT", "Intravenous route")
_IODINE = Code("44588005", "SCT", "Iodine")
_AGENT_PHASES = {Phase.ARTERIAL: "ARTERIAL", Phase.PORTAL: "PORTAL_VENOUS", Phase.EQUILIBRIUM: "DELAYED"}


def image(study: PhantomStudy, series: PlannedSeries) -> Dataset:
    """The object of one phase. All its pixels are in memory, and twice while it is written."""
    ds = common(study, EnhancedCTImageStorage, series.sop_instance_uid)
    _series_and_acquisition(ds, study, series)
    if series.phase is not Phase.PLAIN:
        _contrast(ds, study)
    _dimensions(ds)
    ds.SharedFunctionalGroupsSequence = Sequence([_shared(study, series)])
    frames = (_frame(series, planned, place) for place, planned in enumerate(series.slices, start=1))
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    _pixels(ds, study, series)
    return ds


def _series_and_acquisition(ds: Dataset, study: PhantomStudy, series: PlannedSeries) -> None:
    fill(
        ds,
        ImageType=_FRAME_TYPE,
        Modality="CT",
        SeriesInstanceUID=series.series_instance_uid,
        SeriesNumber=series.number,
        SeriesDescription=series.description,
        SeriesDate=da(series.acquired),
        SeriesTime=tm(series.acquired),
        ContentDate=da(series.acquired),
        ContentTime=tm(series.acquired),
        AcquisitionDateTime=_dt(series.acquired),
        AcquisitionDuration=_SCAN.total_seconds(),
        AcquisitionNumber=series.number,
        InstanceNumber=1,
        BodyPartExamined="ABDOMEN",
        PatientPosition="HFS",
        ProtocolName="GASTRIC MULTIPHASE",
        ContentQualification="RESEARCH",
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
        MultienergyCTAcquisition="NO",
        PresentationLUTShape="IDENTITY",
        LossyImageCompression="00",
        BurnedInAnnotation="NO",
        AcquisitionContextSequence=Sequence(),
    )
    if study.options.border is Border.PADDED:
        ds.PixelPaddingValue = OUTSIDE_HU - RESCALE_INTERCEPT


def _contrast(ds: Dataset, study: PhantomStudy) -> None:
    """Enhanced Contrast/Bolus module (PS3.3 C.7.6.4b)."""
    given = item(
        ContrastBolusVolume=90,
        ContrastBolusStartTime=tm(study.injected),
        ContrastFlowRate=3,
        ContrastFlowDuration=30,
    )
    (agent,) = coded(_IOHEXOL)
    fill(
        agent,
        ContrastBolusAgentNumber=1,
        ContrastBolusAdministrationRouteSequence=coded(_INTRAVENOUS),
        ContrastBolusIngredientCodeSequence=coded(_IODINE),
        ContrastBolusVolume=90,
        ContrastBolusIngredientConcentration=350.0,
        ContrastBolusIngredientOpaque="YES",
        ContrastAdministrationProfileSequence=Sequence([given]),
    )
    ds.ContrastBolusAgentSequence = Sequence([agent])


def _dimensions(ds: Dataset) -> None:
    organization_uid = derived_uid("phantom dimensions", ds.SOPInstanceUID)
    ds.DimensionOrganizationSequence = Sequence([item(DimensionOrganizationUID=organization_uid)])
    ds.DimensionIndexSequence = Sequence(
        item(
            DimensionOrganizationUID=organization_uid, DimensionIndexPointer=pointer, FunctionalGroupPointer=0x00209111
        )
        for pointer in (0x00209056, 0x00209057)  # StackID, InStackPositionNumber
    )


def _shared(study: PhantomStudy, series: PlannedSeries) -> Dataset:
    """What all frames have in common (PS3.3 Table A.38-2)."""
    options, plane = study.options, series.slices[0].plane
    measures = item(PixelSpacing=decimals(*plane.spacing_mm), SliceThickness=decimal(plane.thickness_mm))
    rescale = item(RescaleIntercept=RESCALE_INTERCEPT, RescaleSlope=1, RescaleType="HU")
    region = item(FrameLaterality="U", AnatomicRegionSequence=coded(Anatomy.STOMACH))
    window = item(WindowCenter=50, WindowWidth=350)
    frame_type = item(
        FrameType=_FRAME_TYPE,
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )
    event = item(IrradiationEventUID=derived_uid("phantom irradiation", series.series_instance_uid))
    shared = item(
        PixelMeasuresSequence=Sequence([measures]),
        FrameAnatomySequence=Sequence([region]),
        FrameVOILUTSequence=Sequence([window]),
        PixelValueTransformationSequence=Sequence([rescale]),
        CTImageFrameTypeSequence=Sequence([frame_type]),
        IrradiationEventIdentificationSequence=Sequence([event]),
        **_scanner(options),
    )
    if series.phase is not Phase.PLAIN:
        usage = item(
            ContrastBolusAgentNumber=1,
            ContrastBolusAgentAdministered="YES",
            ContrastBolusAgentDetected="YES",
            ContrastBolusAgentPhase=_AGENT_PHASES[series.phase],
        )
        shared.ContrastBolusUsageSequence = Sequence([usage])
    return shared


def _scanner(options: PhantomOptions) -> dict[str, Sequence]:
    """How the imaginary scanner was set: the CT macros of PS3.3 C.8.15.3."""
    width = options.spacing_mm[1] * options.columns
    macros = {
        "CTAcquisitionTypeSequence": item(AcquisitionType="SPIRAL", ConstantVolumeFlag="NO", FluoroscopyFlag="NO"),
        "CTAcquisitionDetailsSequence": item(
            RotationDirection="CW",
            RevolutionTime=0.5,
            SingleCollimationWidth=0.6,
            TotalCollimationWidth=38.4,
            TableHeight=150,
            GantryDetectorTilt=0,
            DataCollectionDiameter=500,
        ),
        "CTTableDynamicsSequence": item(TableSpeed=46.0, TableFeedPerRotation=23.0, SpiralPitchFactor=0.6),
        "CTGeometrySequence": item(DistanceSourceToDetector=1085.6, DistanceSourceToDataCollectionCenter=595.0),
        "CTReconstructionSequence": item(
            ReconstructionAlgorithm="FILTER_BACK_PROJ",
            ConvolutionKernel=options.kernel,
            ConvolutionKernelGroup="SOFT_TISSUE",
            ReconstructionDiameter=decimal(width),
            ReconstructionPixelSpacing=[float(value) for value in options.spacing_mm],
            ReconstructionAngle=180.0,
            ImageFilter="NONE",
        ),
        "CTExposureSequence": item(
            ExposureTimeInms=500.0,
            XRayTubeCurrentInmA=220.0,
            ExposureInmAs=110.0,
            ExposureModulationType="NONE",
            CTDIvol=7.4,
            CTDIPhantomTypeCodeSequence=coded(Code("113691", "DCM", "IEC Body Dosimetry Phantom")),
        ),
        "CTXRayDetailsSequence": item(
            KVP=options.kvp,
            FocalSpots=1.2,
            FilterType="FLAT",
            FilterMaterial="ALUMINUM",
            CalciumScoringMassFactorPatient=0.7,
        ),
        "CTPositionSequence": item(
            TablePosition=0.0,
            ReconstructionTargetCenterPatient=[0.0, 0.0, 0.0],
            DataCollectionCenterPatient=[0.0, 0.0, 0.0],
        ),
    }
    return {keyword: Sequence([macro]) for keyword, macro in macros.items()}


def _frame(series: PlannedSeries, planned: PlannedSlice, place: int) -> Dataset:
    """Where and when a frame is."""
    plane = planned.plane
    acquired = series.acquired + _SCAN * (place - 1) / len(series.slices)
    content = item(
        FrameAcquisitionNumber=series.number,
        FrameReferenceDateTime=_dt(acquired),
        FrameAcquisitionDateTime=_dt(acquired),
        FrameAcquisitionDuration=250.0,
        StackID="1",
        InStackPositionNumber=place,
        DimensionIndexValues=[1, place],
    )
    return item(
        FrameContentSequence=Sequence([content]),
        PlanePositionSequence=Sequence([item(ImagePositionPatient=decimals(*plane.origin_mm))]),
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=decimals(*plane.row, *plane.column))]),
    )


def _pixels(ds: Dataset, study: PhantomStudy, series: PlannedSeries) -> None:
    rows, columns = series.slices[0].plane.size
    fill(
        ds,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        NumberOfFrames=len(series.slices),
        Rows=rows,
        Columns=columns,
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=1,
    )
    how, anatomy = sampling(study), study.anatomy_in(series.phase)
    ds.PixelData = b"".join(
        stored_values(anatomy, planned.plane, series.phase, planned.key, how).tobytes() for planned in series.slices
    )
    ds["PixelData"].VR = "OW"


def _dt(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%S.%f%z}"
