"""A 4-D CT perfusion study of the abdomen with a gastric tumour, in every layout that scanners write.

``make(PerfusionOptions(...))`` plans a study whose flows are written down before a voxel is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cached_property, partial

import numpy as np
from pydicom.dataset import Dataset

from her2node.dicom.uids import derived_uid
from her2node.errors import PhantomRefused
from her2node.phantoms import classic, ct, enhanced
from her2node.phantoms.anatomy import AIR, Anatomy, Phase, Structure
from her2node.phantoms.flow import Artery, Floats, Tissue, uptake
from her2node.phantoms.headers import da, fill, item
from her2node.phantoms.options import Form, PhantomOptions, RoiForm
from her2node.phantoms.planes import Labels, Plane, labels
from her2node.phantoms.planted import PLANTED_VOLUME
from her2node.phantoms.rendering import HIGHEST_HU, LOWEST_HU, RESCALE_INTERCEPT, Stored
from her2node.phantoms.shapes import Point, point
from her2node.phantoms.study import PhantomStudy, PlannedSeries, PlannedSlice


class Layout(StrEnum):
    """How the time points lie in series and objects."""

    ONE_SERIES = "one-series"
    """One series of classic objects with temporal tags."""
    SERIES_A_POINT = "series-a-point"
    """A series a time point."""
    ENHANCED = "enhanced"
    """One enhanced object with a frame a slice and time point."""
    SHUTTLE = "shuttle"
    """One series; the table toggles between a lower and an upper half, each with times of its own."""


_TISSUES = {
    "gastric wall": Tissue(45, 0.05, 15, 0.2, 1.0),
    "liver": Tissue(80, 0.2, 30, 0.15, 7.0),
    "spleen": Tissue(120, 0.2, 20, 0.1, 1.0),
    "kidney": Tissue(250, 0.3, 60, 0.15, 1.0),
    "vena cava": Tissue(400, 0.9, 0, 0.1, 12.0),
    "portal vein": Tissue(500, 0.9, 0, 0.1, 9.0),
    "abdominal wall": Tissue(8, 0.02, 4, 0.1, 3.0),
    "paraspinal muscle": Tissue(8, 0.02, 4, 0.1, 3.0),
}


TUMOUR = Tissue(60, 0.06, 15, 0.2, 2.0)
"""An arterial tumour two seconds behind the aorta."""


@dataclass(frozen=True)
class PerfusionOptions:
    """A study of ``slices`` x ``times_s``. ``shifts_mm`` is where the whole patient has moved to at each time point (x,
    y, z; empty: he lies still). ``step_hu`` is the rescale slope: what a stored value counts. Raises PhantomRefused.
    """

    seed: int = 0
    times_s: tuple[float, ...] = tuple(float(t) for t in range(0, 60, 2))
    rows: int = 128
    columns: int = 128
    slices: int = 8
    slice_spacing_mm: float = 5.0
    noise_hu: float = 10.0
    step_hu: float = 1.0
    layout: Layout = Layout.ONE_SERIES
    rois: tuple[RoiForm, ...] = (RoiForm.BINARY,)
    tumour: Tissue = TUMOUR
    artery: Artery = field(default_factory=Artery)
    shifts_mm: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        if len(self.times_s) < 2 or self.times_s[0] < 0 or np.diff(self.times_s).min() <= 0:
            raise PhantomRefused("times must ascend from 0 or later, and be two at least")
        if self.shifts_mm and len(self.shifts_mm) != len(self.times_s):
            raise PhantomRefused("there must be one shift a time point")
        if self.layout is Layout.SHUTTLE and self.slices < 4:
            raise PhantomRefused("a shuttle needs four slices or more")


@dataclass(frozen=True)
class PerfusionStudy(PhantomStudy):
    """A study that knows its flows."""

    flow: PerfusionOptions = field(default_factory=PerfusionOptions)

    def as_json(self) -> dict[str, object]:
        """The truth with what flows where."""
        flow = asdict(self.flow)
        known = {"times_s": flow["times_s"], "artery": flow["artery"], "tumour": flow["tumour"]}
        return {**super().as_json(), "perfusion": {**known, "tumour_transit_s": self.flow.tumour.transit_s}}


def make(options: PerfusionOptions) -> PerfusionStudy:
    """Plan a study; objects are made when ``datasets`` is read. Raises PhantomRefused."""
    base = ct.make(
        PhantomOptions(
            seed=options.seed,
            phases=(Phase.ARTERIAL,),
            rows=options.rows,
            columns=options.columns,
            slices=options.slices,
            slice_spacing_mm=options.slice_spacing_mm,
            form=Form.ENHANCED if options.layout is Layout.ENHANCED else Form.CLASSIC,
            rois=options.rois,
        )
    )
    anatomy = replace(base.anatomy, tumour=replace(base.anatomy.tumour, core=0.0))
    series = _in_time(base.series[0], options)
    _, regions = base.parts
    label = PLANTED_VOLUME.label(options.tumour.volume, options.seed)
    shared = {name: getattr(base, name) for name in ("options", "study_instance_uid", "injected")}
    return PerfusionStudy(
        **shared,
        truth=replace(base.truth, her2_probability=label.her2_probability, her2_positive=label.her2_positive),
        anatomy=anatomy,
        frame_of_reference_uid=base.frame_of_reference_uid,
        series=series,
        parts=(_images, regions),
        flow=options,
    )


def _in_time(one: PlannedSeries, options: PerfusionOptions) -> tuple[PlannedSeries, ...]:
    """The slices of one series over all times, in one series or a series a time point; ``key`` counts them all."""
    uid = derived_uid("phantom perfusion", one.series_instance_uid, repr(options))
    planes = [planned.plane for planned in one.slices]
    planned = [
        PlannedSlice(plane, key + 1, key, derived_uid("perfusion image", uid, str(key)))
        for key, plane in enumerate(planes * len(options.times_s))
    ]
    whole = replace(
        one,
        series_instance_uid=uid,
        sop_instance_uid=derived_uid("perfusion image", uid, "all"),
        description="Perfusion",
        slices=tuple(planned),
    )
    if options.layout is not Layout.SERIES_A_POINT:
        return (whole,)
    count = len(one.slices)
    return tuple(
        replace(
            whole,
            series_instance_uid=derived_uid("perfusion time point", uid, str(point)),
            number=whole.number + point,
            acquired=whole.acquired + timedelta(seconds=options.times_s[point]),
            slices=tuple(planned[point * count : (point + 1) * count]),
        )
        for point in range(len(options.times_s))
    )


@dataclass(frozen=True)
class _Scan:
    """Voxels of any slice at any time."""

    options: PerfusionOptions
    anatomy: Anatomy
    planes: tuple[Plane, ...]

    @cached_property
    def rises(self) -> Floats:
        """HU of air and each structure at each time and of each half of the table: (halves, materials, times)."""
        return np.stack([self._materials(half) for half in range(2 if self._toggles else 1)])

    @property
    def _toggles(self) -> bool:
        return self.options.layout is Layout.SHUTTLE

    @cached_property
    def still(self) -> tuple[Labels, ...]:
        """What lies where while nothing moves."""
        return tuple(self._labels(plane) for plane in self.planes)

    def seconds(self, key: int) -> float:
        """When slice ``key`` is acquired: the upper half of a shuttle half an interval after the lower."""
        return self._times(self._half(key))[key // len(self.planes)]

    def stored(self, planned: PlannedSlice) -> Stored:
        """The slice as stored values."""
        when, where = divmod(planned.key, len(self.planes))
        found = self.still[where] if not self.options.shifts_mm else self._moved(where, self.options.shifts_mm[when])
        hu = self.rises[self._half(planned.key)][:, when][found]
        if self.options.noise_hu:
            rng = np.random.default_rng(np.random.SeedSequence([self.options.seed, 5, planned.key]))
            hu = hu + self.options.noise_hu * rng.standard_normal(hu.shape)
        hu = np.clip(hu, LOWEST_HU, HIGHEST_HU)
        return np.asarray(np.rint((hu - RESCALE_INTERCEPT) / self.options.step_hu), dtype=np.int16)

    def _half(self, key: int) -> int:
        return int(self._toggles and key % len(self.planes) >= len(self.planes) // 2)

    def _times(self, half: int) -> tuple[float, ...]:
        late = half * float(np.diff(self.options.times_s).min()) / 2
        return tuple(time + late for time in self.options.times_s)

    def _materials(self, half: int) -> Floats:
        times = self._times(half)
        rows = [np.full(len(times), float(AIR.plain))]
        rows += [structure.hu.plain + self._rise(structure, times) for structure in self.anatomy.structures]
        return np.stack(rows)

    def _rise(self, structure: Structure, times: tuple[float, ...]) -> Floats:
        options = self.options
        if structure.name == "aorta":
            return np.array([options.artery.at(time) for time in times])
        tissue = options.tumour if structure.name == "tumour" else _TISSUES.get(structure.name)
        return np.zeros(len(times)) if tissue is None else uptake(options.artery, tissue, times)

    def _labels(self, plane: Plane) -> Labels:
        return labels(self.anatomy.structures, plane.coordinates(), plane.size)

    def _moved(self, where: int, shift_mm: Point) -> Labels:
        plane = self.planes[where]
        return self._labels(replace(plane, origin_mm=point(np.asarray(plane.origin_mm) - np.asarray(shift_mm))))


def _images(study: PhantomStudy) -> Iterator[Dataset]:
    if not isinstance(study, PerfusionStudy):
        raise TypeError("no perfusion study")
    planes = tuple(planned.plane for planned in study.series[0].slices[: study.flow.slices])
    scan = _Scan(study.flow, study.anatomy, planes)
    for series in study.series:
        if study.flow.layout is Layout.ENHANCED:
            yield _enhanced(study, series, scan)
        else:
            images = classic.images(study, series, scan.stored)
            yield from map(partial(_timed, study, series, scan), images, series.slices)


def _timed(
    study: PerfusionStudy, series: PlannedSeries, scan: _Scan, ds: Dataset, planned: PlannedSlice
) -> Dataset:  # fmt: skip
    """When the image was acquired, in every attribute that can say so."""
    began = study.series[0].acquired
    acquired = began + timedelta(seconds=scan.seconds(planned.key))
    when = planned.key // study.flow.slices + 1
    fill(
        ds,
        AcquisitionDate=da(acquired),
        AcquisitionTime=f"{acquired:%H%M%S.%f}",
        ContentDate=da(acquired),
        ContentTime=f"{acquired:%H%M%S.%f}",
        AcquisitionNumber=when,
        RescaleSlope=study.flow.step_hu,
    )
    if study.flow.layout is not Layout.SERIES_A_POINT:
        fill(ds, TemporalPositionIdentifier=when, NumberOfTemporalPositions=len(study.flow.times_s))
    return ds


def _enhanced(study: PerfusionStudy, series: PlannedSeries, scan: _Scan) -> Dataset:
    ds = enhanced.image(study, series, scan.stored)
    ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleSlope = study.flow.step_hu
    organization = ds.DimensionOrganizationSequence[0].DimensionOrganizationUID
    pointer = item(
        DimensionOrganizationUID=organization, DimensionIndexPointer=0x00209128, FunctionalGroupPointer=0x00209111
    )
    ds.DimensionIndexSequence.append(pointer)  # TemporalPositionIndex
    _time_frames(study, series, scan, ds.PerFrameFunctionalGroupsSequence)
    return ds


def _time_frames(study: PerfusionStudy, series: PlannedSeries, scan: _Scan, frames: Sequence[Dataset]) -> None:
    for planned, frame in zip(series.slices, frames, strict=True):
        when, where = divmod(planned.key, study.flow.slices)
        moment = series.acquired + timedelta(seconds=scan.seconds(planned.key))
        fill(
            frame.FrameContentSequence[0],
            FrameAcquisitionNumber=when + 1,
            FrameReferenceDateTime=f"{moment:%Y%m%d%H%M%S.%f%z}",
            FrameAcquisitionDateTime=f"{moment:%Y%m%d%H%M%S.%f%z}",
            TemporalPositionIndex=when + 1,
            InStackPositionNumber=where + 1,
            DimensionIndexValues=[1, where + 1, when + 1],
        )
