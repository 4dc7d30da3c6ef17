"""What every Enhanced MR Image Storage object needs whatever it shows (PS3.3 A.36): modules and functional groups.

Values are those of an imaginary scanner; what a phantom shows and when is its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from her2node.dicom.codes import Anatomy
from her2node.dicom.uids import derived_uid
from her2node.phantoms.headers import coded, decimal, decimals, fill, item
from her2node.phantoms.planes import Plane

IN_STACK, TEMPORAL, ACQUISITION = 0x00209057, 0x00209128, 0x00209156
"""InStackPositionNumber, TemporalPositionIndex, FrameAcquisitionNumber, of FrameContentSequence."""
_FRAME_CONTENT = 0x00209111
_OFF = dict.fromkeys(("MultiPlanarExcitation", "PhaseContrast", "TimeOfFlightContrast", "SaturationRecovery"), "NO")


@dataclass(frozen=True)
class Pulse:
    """A pulse sequence as attributes tell it: ``contrast`` is AcquisitionContrast, ``kind`` the third value of
    ImageType, ``spin`` whether the echo is a spin echo, ``planar`` whether it is read as a plane."""

    name: str
    contrast: str
    kind: str
    spin: bool
    planar: bool
    dimensions: str
    repetition_time_ms: float
    echo_time_ms: float
    flip_angle_deg: float
    field_strength: str
    duration_ms: float

    @property
    def image_type(self) -> list[str]:
        return ["ORIGINAL", "PRIMARY", self.kind, "NONE"]

    @property
    def described(self) -> dict[str, str]:
        """The common and the MR image description macros (PS3.3 C.8.16.2, C.8.13.3.1), of an image or a frame."""
        return {
            "PixelPresentation": "MONOCHROME",
            "VolumetricProperties": "VOLUME",
            "VolumeBasedCalculationTechnique": "NONE",
            "ComplexImageComponent": "MAGNITUDE",
            "AcquisitionContrast": self.contrast,
        }


def describe(ds: Dataset, pulse: Pulse, began: datetime, pointers: Iterable[int]) -> None:
    """Fill the modules at the top of an object; its frames are told apart by ``pointers`` into FrameContentSequence."""
    organization_uid = derived_uid("phantom dimensions", ds.SOPInstanceUID)
    fill(
        ds,
        ImageType=pulse.image_type,
        InstanceNumber=1,
        BodyPartExamined="ABDOMEN",
        PatientPosition="HFS",
        AcquisitionDateTime=dt(began),
        AcquisitionDuration=pulse.duration_ms / 1000,
        ContentQualification="RESEARCH",
        ResonantNucleus="1H",
        KSpaceFiltering="NONE",
        MagneticFieldStrength=pulse.field_strength,
        ApplicableSafetyStandardAgency="IEC",
        BurnedInAnnotation="NO",
        LossyImageCompression="00",
        PresentationLUTShape="IDENTITY",
        AcquisitionContextSequence=Sequence(),
        DimensionOrganizationSequence=Sequence([item(DimensionOrganizationUID=organization_uid)]),
        DimensionIndexSequence=Sequence(
            item(
                DimensionOrganizationUID=organization_uid,
                DimensionIndexPointer=pointer,
                FunctionalGroupPointer=_FRAME_CONTENT,
            )
            for pointer in pointers
        ),
        **pulse.described,
        **_sequence(pulse),
    )


def _sequence(pulse: Pulse) -> dict[str, str | int]:
    """MR Pulse Sequence module (PS3.3 C.8.13.4)."""
    return {
        "PulseSequenceName": pulse.name,
        "MRAcquisitionType": pulse.dimensions,
        "EchoPulseSequence": "SPIN" if pulse.spin else "GRADIENT",
        **({"MultipleSpinEcho": "NO"} if pulse.spin else {}),
        "SteadyStatePulseSequence": "NONE",
        "EchoPlanarPulseSequence": "YES" if pulse.planar else "NO",
        "SpectrallySelectedSuppression": "FAT",
        "OversamplingPhase": "NONE",
        "GeometryOfKSpaceTraversal": "RECTILINEAR",
        "SegmentedKSpaceTraversal": "SINGLE" if pulse.planar else "FULL",
        "RectilinearPhaseEncodeReordering": "LINEAR",
        "NumberOfKSpaceTrajectories": 1,
        **({"CoverageOfKSpace": "FULL"} if pulse.dimensions == "3D" else {}),
        **_OFF,
    }


def shared_groups(pulse: Pulse, plane: Plane) -> Dataset:
    """The functional groups that all frames have in common."""
    groups = {
        "PixelMeasuresSequence": item(
            PixelSpacing=decimals(*plane.spacing_mm), SliceThickness=decimal(plane.thickness_mm)
        ),
        "PlaneOrientationSequence": item(ImageOrientationPatient=decimals(*plane.row, *plane.column)),
        "FrameAnatomySequence": item(FrameLaterality="U", AnatomicRegionSequence=coded(Anatomy.STOMACH)),
        "MRImageFrameTypeSequence": item(FrameType=pulse.image_type, **pulse.described),
        "MRTimingAndRelatedParametersSequence": _timing(pulse),
        "MRFOVGeometrySequence": _field_of_view(plane),
        "MREchoSequence": item(EffectiveEchoTime=float(pulse.echo_time_ms)),
        "MRModifierSequence": _modifier(pulse),
        "MRImagingModifierSequence": _imaging(pulse),
        "MRReceiveCoilSequence": item(
            ReceiveCoilName="BODY ARRAY",
            ReceiveCoilManufacturerName="",
            ReceiveCoilType="BODY",
            QuadratureReceiveCoil="YES",
        ),
        "MRTransmitCoilSequence": item(
            TransmitCoilName="BODY", TransmitCoilManufacturerName="", TransmitCoilType="BODY"
        ),
        "MRAveragesSequence": item(NumberOfAverages="1"),
    }
    return item(**{keyword: Sequence([group]) for keyword, group in groups.items()})


def _timing(pulse: Pulse) -> Dataset:
    """MR Timing and Related Parameters macro (PS3.3 C.8.13.5.2)."""
    return item(
        RepetitionTime=decimal(pulse.repetition_time_ms),
        FlipAngle=decimal(pulse.flip_angle_deg),
        EchoTrainLength=1,
        RFEchoTrainLength=int(pulse.spin),
        GradientEchoTrainLength=int(pulse.planar or not pulse.spin),
        SpecificAbsorptionRateSequence=Sequence(
            [item(SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY", SpecificAbsorptionRateValue=0.5)]
        ),
        GradientOutputType="DB_DT",
        GradientOutput=20.0,
        OperatingModeSequence=Sequence(
            item(OperatingModeType=kind, OperatingMode="IEC_NORMAL") for kind in ("STATIC FIELD", "RF", "GRADIENT")
        ),
    )


def _field_of_view(plane: Plane) -> Dataset:
    """MR FOV/Geometry macro (PS3.3 C.8.13.5.3)."""
    rows, columns = plane.size
    return item(
        InPlanePhaseEncodingDirection="ROW",
        MRAcquisitionFrequencyEncodingSteps=columns,
        MRAcquisitionPhaseEncodingStepsInPlane=rows,
        PercentSampling="100",
        PercentPhaseFieldOfView="100",
    )


def _modifier(pulse: Pulse) -> Dataset:
    """MR Modifier macro (PS3.3 C.8.13.5.5)."""
    return item(
        InversionRecovery="NO",
        FlowCompensation="NONE",
        Spoiling="NONE" if pulse.spin else "RF_AND_GRADIENT",
        T2Preparation="NO",
        SpectrallySelectedExcitation="NONE",
        SpatialPresaturation="NONE",
        PartialFourier="NO",
        ParallelAcquisition="NO",
    )


def _imaging(pulse: Pulse) -> Dataset:
    """MR Imaging Modifier macro (PS3.3 C.8.13.5.6)."""
    return item(
        MagnetizationTransfer="NONE",
        BloodSignalNulling="NO",
        Tagging="NONE",
        TransmitterFrequency=123.25,
        PixelBandwidth="1500" if pulse.planar else "500",
    )


def frame_content(place: int, volume: int, at: datetime, pulse: Pulse) -> Dataset:
    """FrameContentSequence of the frame of slice ``place`` and volume ``volume``, both from 1."""
    return item(
        FrameAcquisitionNumber=volume,
        FrameReferenceDateTime=dt(at),
        FrameAcquisitionDateTime=dt(at),
        FrameAcquisitionDuration=float(pulse.repetition_time_ms),
        StackID="1",
        InStackPositionNumber=place,
        DimensionIndexValues=[place, volume],
    )


def dt(moment: datetime) -> str:
    """A date and time with its zone (VR DT)."""
    return f"{moment:%Y%m%d%H%M%S.%f%z}"
