"""A dynamic contrast-enhanced MR of the abdomen with a gastric tumour, with flip angles for T1, in the layouts that
scanners write.

``make(DceOptions(...))`` plans a study whose Ktrans, kep, ve, vp and T1 are written down before a voxel is made. Noise
is that of magnitude images (Rice).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage

from her2node.dicom.codes import Anatomy, Code, Finding
from her2node.dicom.uids import derived_uid
from her2node.phantoms import outlines
from her2node.phantoms.dce_options import BLOOD_T1_MS, LUMEN, TISSUE, TUMOUR, DceOptions, Layout
from her2node.phantoms.dce_scan import Scan
from her2node.phantoms.enhanced_mr import IN_STACK, TEMPORAL, Pulse, describe, frame_content, shared_groups
from her2node.phantoms.examination import Examination, Head, header, place, put_pixels
from her2node.phantoms.headers import coded, copied, da, decimal, decimals, fill, item, tm
from her2node.phantoms.leakage import Leaky, first_minute
from her2node.phantoms.options import RoiForm
from her2node.phantoms.outlines import Drawn, Ground, Outlined
from her2node.phantoms.planes import Plane, transverse
from her2node.phantoms.planted import PLANTED_KTRANS, Label
from her2node.phantoms.shapes import Floats
from her2node.phantoms.study import file_meta
from her2node.phantoms.weighting import scale_as_philips

__all__ = ["DceOptions", "DceStudy", "Layout", "make", "TISSUE", "TUMOUR", "BLOOD_T1_MS"]

_GADOBUTROL = Code("407976008", "SCT", "Gadobutrol")
_INTRAVENOUS = Code("47625008", "SCT", "Intravenous route")
_GADOLINIUM = Code("58281002", "SCT", "Gadolinium")


@dataclass(frozen=True)
class DceStudy:
    """A study that knows its truth; its objects are made one by one when asked for."""

    options: DceOptions
    examination: Examination
    planes: tuple[Plane, ...] = field(repr=False)

    @property
    def study_instance_uid(self) -> str:
        return self.examination.study_instance_uid

    @property
    def datasets(self) -> Iterator[Dataset]:
        """The objects; every access starts anew and gives the same objects."""
        scan = Scan(self.options, self.planes)
        for number, angle in enumerate(self.options.flip_angles_deg):
            yield from _flip_angle(self, scan, number, angle)
        if self.options.layout is Layout.ENHANCED:
            yield _enhanced(self, scan)
        else:
            yield from _dynamic(self, scan)
        for form in self.options.rois:
            make_regions = outlines.structure_set if form is RoiForm.CONTOURS else outlines.segmentation
            yield make_regions(_ground(self), _regions(self.options))

    def dynamic(self, when: int) -> Head:
        """The series that time point ``when`` lies in."""
        layout = self.options.layout
        index = when if layout is Layout.SERIES_A_POINT else 0
        uid = derived_uid("phantom dce series", self.study_instance_uid, str(index))
        return Head(uid, 20 + index, "DCE dynamic", "MR", self.injected + self._since(index))

    @property
    def injected(self) -> datetime:
        """When the first time point began."""
        return self.examination.started + timedelta(minutes=8)

    def at(self, when: int) -> datetime:
        """When time point ``when`` was acquired."""
        return self.injected + self._since(when)

    def _since(self, when: int) -> timedelta:
        return timedelta(seconds=self.options.times_s[when] - self.options.times_s[0])

    @property
    def mean_ktrans(self) -> float:
        """Of the tumour, core and rim by their shares, 1/min."""
        options = self.options
        share = 0.0 if options.core is None else options.core_size**3
        core = options.core or options.tumour
        return (1 - share) * options.tumour.ktrans + share * core.ktrans

    @property
    def label(self) -> Label:
        """Planted by the mean Ktrans of the tumour."""
        return PLANTED_KTRANS.label(self.mean_ktrans, self.options.seed)

    def as_json(self) -> dict[str, object]:
        """The truth with the UID of the study."""
        options = self.options
        tumour: dict[str, object] = {**_figures(options, options.tumour), "volume_mm3": TUMOUR.volume_mm3}
        if options.core is not None:
            tumour |= {"core": _figures(options, options.core), "core_share": options.core_size**3}
        return {
            "study_instance_uid": self.study_instance_uid,
            "tumour": tumour,
            "tissues": {name: _figures(options, getattr(options, name)) for name in ("liver", "spleen", "muscle")},
            "artery": asdict(options.artery),
            "blood_t1_ms": BLOOD_T1_MS,
            "haematocrit": options.haematocrit,
            "relaxivity": options.relaxivity,
            "times_s": options.times_s,
            **asdict(self.label),
        }


def _figures(options: DceOptions, tissue: Leaky) -> dict[str, float]:
    area = first_minute(options.artery, tissue, options.haematocrit)
    return {
        "ktrans": tissue.ktrans, "kep": tissue.kep, "ve": tissue.ve, "vp": tissue.vp, "t1_ms": tissue.t1_ms,
        "iauc60_mmol_s_per_l": area,
    }  # fmt: skip


def make(options: DceOptions) -> DceStudy:
    """Plan a study; what shapes its objects shapes its UIDs."""
    study_uid = derived_uid("phantom dce study", repr(options))
    where = derived_uid("phantom frame of reference", study_uid)
    patient_id = f"PHANTOM-{options.seed:06d}"
    examination = Examination(study_uid, where, options.started, "Phantom^Dynamic", patient_id, "MR abdomen dynamic")
    size = (options.rows, options.columns)
    return DceStudy(
        options, examination, transverse(size, options.slices, options.spacing_mm, options.slice_spacing_mm)
    )


# --- objects -------------------------------------------------------------------------------------------------


def _stored(signal: Floats, slope: float = 1.0) -> npt.NDArray[np.uint16]:
    return np.clip(np.rint(signal * slope), 0, 65535).astype(np.uint16)


def _image_uid(series_uid: str, key: str) -> str:
    return derived_uid("phantom dce image", series_uid, key)


def _image(template: Dataset, plane: Plane, uid: str, number: int) -> Dataset:
    """A classic image, still without pixels."""
    ds = copied(template)
    ds.file_meta = file_meta(MRImageStorage, uid)
    fill(ds, SOPInstanceUID=uid, InstanceNumber=number)
    place(ds, plane)
    return ds


def _template(study: DceStudy, series: Head, angle: float) -> Dataset:
    """What the classic images of a series share: MR Image module (PS3.3 C.8.3.1) and all around it."""
    options = study.options
    ds = header(study.examination, series, MRImageStorage, series.series_instance_uid)
    fill(
        ds,
        ImageType=["ORIGINAL", "PRIMARY", "OTHER"],
        BodyPartExamined="ABDOMEN",
        PatientPosition="HFS",
        ScanningSequence="GR",
        SequenceVariant="SP",
        ScanOptions="",
        MRAcquisitionType="3D",
        RepetitionTime=decimal(options.repetition_time_ms),
        EchoTime=decimal(options.echo_time_ms),
        EchoTrainLength=1,
        FlipAngle=decimal(angle),
        MagneticFieldStrength=_field(options),
    )
    return ds


def _field(options: DceOptions) -> str:
    return decimal(options.field_strength_t * (10_000 if options.gauss else 1))


def _given(study: DceStudy) -> dict[str, object]:
    """The injection: the agent comes into the vein 15 s before it arrives in the aorta."""
    options = study.options
    began = study.injected + timedelta(seconds=options.artery.arrival_s - options.times_s[0] - 15)
    return {
        "ContrastBolusVolume": "7.5",
        "ContrastBolusStartTime": f"{began:%H%M%S.%f}",
        "ContrastFlowRate": "2",
        "ContrastFlowDuration": "3.75",
    }


def _contrast(ds: Dataset, study: DceStudy) -> None:
    """Contrast/Bolus module (PS3.3 C.7.6.4)."""
    fill(
        ds,
        ContrastBolusAgent="Gadobutrol",
        ContrastBolusRoute="IV",
        ContrastBolusTotalDose="7.5",
        ContrastBolusIngredient="GADOLINIUM",
        ContrastBolusIngredientConcentration="604.72",
        **_given(study),
    )


def _enhanced_contrast(study: DceStudy) -> Dataset:
    """An item of the Enhanced Contrast/Bolus module (PS3.3 C.7.6.4b)."""
    (agent,) = coded(_GADOBUTROL)
    fill(
        agent,
        ContrastBolusAgentNumber=1,
        ContrastBolusAdministrationRouteSequence=coded(_INTRAVENOUS),
        ContrastBolusIngredientCodeSequence=coded(_GADOLINIUM),
        ContrastBolusVolume="7.5",
        ContrastBolusIngredientConcentration=604.72,
        ContrastAdministrationProfileSequence=Sequence([item(**_given(study))]),
    )
    return agent


def _put(ds: Dataset, study: DceStudy, signal: Floats, slope: float) -> None:
    put_pixels(ds, _stored(signal, slope if study.options.philips_scale else 1.0))
    if study.options.philips_scale:
        ds.Manufacturer = "Philips Medical Systems"
        scale_as_philips(ds, slope)


def _flip_angle(study: DceStudy, scan: Scan, number: int, angle: float) -> Iterator[Dataset]:
    """A series at one flip angle, before the agent."""
    uid = derived_uid("phantom dce flip angle", study.study_instance_uid, repr(angle))
    began = study.examination.started + timedelta(seconds=40 * number)
    series = Head(uid, 10 + number, f"VFA {angle:g} deg", "MR", began)
    signal = scan.before(angle)
    template = _template(study, series, angle)
    fill(template, AcquisitionDate=da(began), AcquisitionTime=tm(began), AcquisitionNumber=1)
    for where, plane in enumerate(study.planes):
        ds = _image(template, plane, _image_uid(uid, str(where)), where + 1)
        _put(ds, study, scan.image(signal, where, (2, number)), 1.2 + 0.2 * number)
        yield ds


def _dynamic(study: DceStudy, scan: Scan) -> Iterator[Dataset]:
    for when in range(len(study.options.times_s)):
        series = study.dynamic(when)
        template = _template(study, series, study.options.flip_angle_deg)
        _contrast(template, study)
        _time(template, study, when)
        for where, plane in enumerate(study.planes):
            uid = _image_uid(series.series_instance_uid, f"{when}/{where}")
            ds = _image(template, plane, uid, when * study.options.slices + where + 1)
            _put(ds, study, scan.at(when, where), 0.8)
            yield ds


def _time(ds: Dataset, study: DceStudy, when: int) -> None:
    """When the image was acquired, in the attributes of the layout."""
    layout, began, now = study.options.layout, study.injected, study.at(when)
    tells = layout in (Layout.ONE_SERIES, Layout.SERIES_A_POINT)
    acquired = now if tells else began
    content = now if tells or layout is Layout.CONTENT_TIME else began
    fill(
        ds,
        AcquisitionDate=da(acquired),
        AcquisitionTime=f"{acquired:%H%M%S.%f}",
        AcquisitionNumber=when + 1 if tells else 1,
        ContentDate=da(content),
        ContentTime=f"{content:%H%M%S.%f}",
    )
    if layout in (Layout.ONE_SERIES, Layout.TRIGGER_TIME):
        fill(ds, TemporalPositionIdentifier=when + 1, NumberOfTemporalPositions=len(study.options.times_s))
    if layout is Layout.TRIGGER_TIME:
        ds.TriggerTime = decimal(1000 * (now - began).total_seconds())


def _enhanced(study: DceStudy, scan: Scan) -> Dataset:
    """Enhanced MR Image Storage (PS3.3 A.36)."""
    series, pulse = study.dynamic(0), _pulse(study.options)
    uid = _image_uid(series.series_instance_uid, "all")
    ds = header(study.examination, series, EnhancedMRImageStorage, uid)
    describe(ds, pulse, study.injected, (IN_STACK, TEMPORAL))
    points = [(when, where) for when in range(len(study.options.times_s)) for where in range(study.options.slices)]
    shared = shared_groups(pulse, study.planes[0])
    shared.PixelValueTransformationSequence = Sequence([item(RescaleIntercept="0", RescaleSlope="1", RescaleType="US")])
    usage = item(
        ContrastBolusAgentNumber=1,
        ContrastBolusAgentAdministered="YES",
        ContrastBolusAgentDetected="YES",
        ContrastBolusAgentPhase="DYNAMIC",
    )
    shared.ContrastBolusUsageSequence = Sequence([usage])
    fill(
        ds,
        NumberOfFrames=len(points),
        ContrastBolusAgentSequence=Sequence([_enhanced_contrast(study)]),
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence(_frame(study, pulse, when, where) for when, where in points),
    )
    put_pixels(ds, np.stack([_stored(scan.at(when, where)) for when, where in points]))
    return ds


def _pulse(options: DceOptions) -> Pulse:
    return Pulse(
        name="spoiled3d",
        contrast="T1",
        kind="DYNAMIC",
        spin=False,
        planar=False,
        dimensions="3D",
        repetition_time_ms=options.repetition_time_ms,
        echo_time_ms=options.echo_time_ms,
        flip_angle_deg=options.flip_angle_deg,
        field_strength=_field(options),
        duration_ms=1000 * (options.times_s[-1] - options.times_s[0]),
    )


def _frame(study: DceStudy, pulse: Pulse, when: int, where: int) -> Dataset:
    content = frame_content(where + 1, when + 1, study.at(when), pulse)
    content.TemporalPositionIndex = when + 1
    position = item(ImagePositionPatient=decimals(*study.planes[where].origin_mm))
    return item(FrameContentSequence=Sequence([content]), PlanePositionSequence=Sequence([position]))


# --- regions -------------------------------------------------------------------------------------------------


def _regions(options: DceOptions) -> list[Outlined]:
    tumour = Outlined("Tumour", TUMOUR, Finding.PRIMARY_NEOPLASM)
    aorta = Outlined("Aorta", LUMEN, Anatomy.AORTA, Finding.TISSUE, "ORGAN")
    return [tumour, aorta] if options.aorta else [tumour]


def _ground(study: DceStudy) -> Ground:
    """The first time point."""
    series = study.dynamic(0)
    uid = series.series_instance_uid
    if study.options.layout is Layout.ENHANCED:
        whole = _image_uid(uid, "all")
        images = [Drawn(at, EnhancedMRImageStorage, whole, frame) for frame, at in enumerate(study.planes, start=1)]
    else:
        images = [Drawn(at, MRImageStorage, _image_uid(uid, f"0/{where}")) for where, at in enumerate(study.planes)]
    return Ground(study.examination, uid, tuple(images), study.at(len(study.options.times_s) - 1))
