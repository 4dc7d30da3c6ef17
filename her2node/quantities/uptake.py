"""FDG uptake in a region of a PET volume: SUV in its kinds, metabolic volume, glycolysis, heterogeneity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from her2node.dicom.codes import Code, Derivation, Unit, Uptake
from her2node.errors import (
    InvalidAttribute,
    MissingAttribute,
    NotCalibrated,
    OutsideProtocol,
    Refused,
    RegionMissing,
    TooFewVoxels,
)
from her2node.quantities.histogram import histogram_of
from her2node.quantities.preparation import GATES, UNKNOWN, Gates, Preparation, flags
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.body import Body
from her2node.volumes.volume import Volume

Values = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

PEAK_ML = 1.0
"""Volume of the sphere of SUVpeak."""
SHARES = ((0.41, Uptake.ABOVE_41), (0.40, Uptake.ABOVE_40))
"""Of SUVmax, as thresholds of metabolic volume: EANM's 41 % (Boellaard 2015), and 40 %."""
FIXED = 2.5
"""SUVbw as a threshold (Park: at least 2.5)."""
STEPS = (0.40, 0.50, 0.60, 0.70, 0.80)
"""Thresholds of the heterogeneity index."""
BIN_SUV = 0.25
"""g/ml, of the bins of which the entropy of SUVbw is calculated."""
LEAST_LIVER = 30
"""Voxels of the liver region of PERCIST."""


def maximum(values: Values) -> float:
    """SUVmax.

    Formula: max x.
    Unit: g/ml{SUVbw}.
    Shapes: values (n,), n >= 1.
    Source: DICOM (126401, DCM) with (56851009, SCT); EANM procedure guideline 2.0 (Boellaard 2015).
    Known deviation: none.
    """
    return float(values.max())


def mean(values: Values) -> float:
    """SUVmean of the whole region.

    Formula: sum x / n.
    Unit: g/ml{SUVbw}.
    Shapes: values (n,), n >= 1.
    Source: DICOM (126401, DCM) with (373098007, SCT).
    Known deviation: of the region as given; that above a threshold stands with its metabolic volume.
    """
    return float(values.mean())


def minimum(values: Values) -> float:
    """SUVmin.

    Formula: min x.
    Unit: g/ml{SUVbw}.
    Shapes: values (n,), n >= 1.
    Source: DICOM (126401, DCM) with (255605001, SCT); one of the three figures of the IBSI-SUV phantoms.
    Known deviation: of the region as given.
    """
    return float(values.min())


def median(values: Values) -> float:
    """Median SUV.

    Formula: the middle value of x, the mean of the two middle ones where n is even.
    Unit: g/ml{SUVbw}.
    Shapes: values (n,), n >= 1.
    Source: DICOM (126401, DCM) with (373099004, SCT); one of the three figures of the IBSI-SUV phantoms.
    Known deviation: of the region as given.
    """
    return float(np.median(values))


def peak(voxels: npt.NDArray[np.float32], mask: Bools, spacing_mm: tuple[float, float, float]) -> float:
    """SUVpeak.

    Formula: the highest mean over the voxels whose centres lie within a sphere of 1 ml (radius 6.2 mm) around a voxel
    of the region; the sphere may reach beyond the region.
    Unit: g/ml{SUVbw}.
    Shapes: voxels and mask (slices, rows, columns), spacing (3,) mm.
    Source: PERCIST 1.0 (Wahl 2009); IBSI 0F91; DICOM (126031, DCM).
    Known deviation: voxels belong to the sphere or not, none in part; beyond the image its edge goes on.
    """
    ball = _ball(spacing_mm)
    reach = [size // 2 for size in ball.shape]
    box = tuple(
        slice(max(int(found[0]) - margin, 0), int(found[-1]) + margin + 1)
        for found, margin in zip(map(np.unique, np.nonzero(mask)), reach, strict=True)
    )
    means = ndimage.correlate(voxels[box].astype(np.float64), ball / ball.sum(), mode="nearest")
    return float(means[mask[box]].max())


def metabolic_volume(values: Values, threshold: float, voxel_ml: float) -> float:
    """Metabolic volume (MTV).

    Formula: number of voxels with x >= threshold, times the volume of a voxel.
    Unit: ml.
    Shapes: values (n,) of the region.
    Source: DICOM (126032, DCM); thresholds: 41 % of SUVmax (Boellaard 2015), 40 %, SUV 2.5 (Park), PERCIST (Wahl 2009).
    Known deviation: searched within the given region only; parts that hang together are not asked for.
    """
    return float(np.count_nonzero(values >= threshold) * voxel_ml)


def glycolysis(values: Values, threshold: float, voxel_ml: float) -> float:
    """Total lesion glycolysis (TLG).

    Formula: mean of x over the voxels with x >= threshold, times their volume.
    Unit: g.
    Shapes: values (n,) of the region.
    Source: DICOM (126033, DCM); Larson 1999.
    Known deviation: with SUVbw; others take SUVlbm.
    """
    return float(values[values >= threshold].sum() * voxel_ml)


def heterogeneity(values: Values, voxel_ml: float) -> float:
    """Heterogeneity index: how fast the metabolic volume falls with its threshold.

    Formula: |slope| of the least squares line of the volume on thresholds of 40, 50, 60, 70 and 80 % of SUVmax.
    Unit: ml/%.
    Shapes: values (n,) of the region.
    Source: the cohort of 2022 (n = 45) whose cut-off is HI 3.71; its step and unit are not known.
    Known deviation: therefore not to be compared with that cut-off before both are known.
    """
    volumes = [metabolic_volume(values, share * maximum(values), voxel_ml) for share in STEPS]
    return float(abs(np.polyfit([100 * share for share in STEPS], volumes, 1)[0]))


def percist_threshold(liver: Values) -> float:
    """The threshold of PERCIST for a lesion: 1.5 x SULmean + 2 SD of the liver.

    Formula: 1.5 mean(x) + 2 sd(x), sd with divisor n - 1, x of a region in the right lobe of the liver.
    Unit: g/ml{SUVlbm(Janma)}.
    Shapes: liver (n,), n >= 30, SUVlbm.
    Source: PERCIST 1.0 (Wahl 2009), by a sphere of 3 cm.
    Known deviation: of the region that is given, whatever its form; lean body mass by Janmahasatian.
    """
    return float(1.5 * liver.mean() + 2 * liver.std(ddof=1))


MEASURES: tuple[Callable[..., float], ...] = (
    maximum,
    mean,
    minimum,
    median,
    peak,
    metabolic_volume,
    glycolysis,
    heterogeneity,
    percist_threshold,
)
"""Every quantity of this method."""


@dataclass(frozen=True)
class Circumstances:
    """What uptake is judged by besides the voxels: the patient's body and preparation, between which limits that may
    be, the liver's SUVbw, and in words the rules by which the voxels became SUVbw and what is doubtful of the tracer.
    """

    body: Body
    preparation: Preparation = UNKNOWN
    gates: Gates = GATES
    liver: Values | None = field(default=None, repr=False)
    rules: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Kind:
    """SUV by another mass than body weight: that mass over the weight, its codes and unit."""

    code: Code
    unit: Code
    method: Code
    per_weight: Callable[[Body], float]


_KINDS = (
    _Kind(
        Uptake.SUVLBM_JANMAHASATIAN,
        Unit.SUVLBM_JANMAHASATIAN,
        Uptake.BY_LEAN_JANMAHASATIAN,
        lambda body: body.lean_janmahasatian_kg / body.weight_kg,
    ),
    _Kind(
        Uptake.SUVLBM_JAMES128,
        Unit.SUVLBM_JAMES128,
        Uptake.BY_LEAN_JAMES128,
        lambda body: body.lean_james_kg / body.weight_kg,
    ),
    _Kind(
        Uptake.SUVBSA,
        Unit.SUVBSA,
        Uptake.BY_SURFACE,
        lambda body: body.surface_cm2 / (1000 * body.weight_kg),
    ),
)


def measure(volume: Volume, roi: Roi, role: Role | None, around: Circumstances) -> tuple[Quantity | NotMeasured, ...]:
    """Uptake in a region of a PET volume in SUVbw, flagged where the patient's preparation forbids to compare it.

    A kind of SUV whose mass the header does not give, and PERCIST without it, without a liver or outside the gates, are
    NotMeasured by name; another unit than SUVbw gives one NotMeasured with NotCalibrated, strict gates that are not met
    one with OutsideProtocol beside glucose and time. Of another tracer than FDG uptake and time are given alone.
    """
    preparation = around.preparation
    told = _Telling.of(volume, roi, role, around)
    if volume.unit != Unit.SUVBW:
        return (
            told.not_measured(NotCalibrated(f"uptake needs SUVbw, the volume is in {volume.unit.value}"), Uptake.SUVBW),
        )
    values = _values(volume, roi)
    if not values.max(initial=0.0) > 0:
        return (told.not_measured(TooFewVoxels("no voxel of the region shows uptake"), Uptake.SUVBW),)
    if told.fdg and (shut := around.gates.refusal(preparation)):
        return (told.not_measured(shut, None), *_prepared(told, preparation))
    highest = peak(volume.voxels, roi.mask, volume.geometry.spacing_mm)
    return (
        *_suv(told, values, highest),
        *(item for kind in _KINDS for item in _of_kind(told, kind, values, highest, around.body)),
        *_volumes(told, values, volume.geometry.voxel_volume_mm3 / 1000, around),
        *_prepared(told, preparation),
    )


def histogram(
    volume: Volume, roi: Roi, role: Role | None, around: Circumstances, percents: Sequence[int]
) -> tuple[Quantity | NotMeasured, ...]:
    """What a histogram tells of SUVbw in a region beyond ``measure``: standard deviation, the percentiles wanted,
    skewness, kurtosis and entropy. Nothing where ``measure`` says why there is no uptake."""
    told = _Telling.of(volume, roi, role, around)
    values = _values(volume, roi)
    shut = told.fdg and around.gates.refusal(around.preparation)
    if volume.unit != Unit.SUVBW or shut or not values.max(initial=0.0) > 0:
        return ()
    found = histogram_of(
        values, Uptake.SUVBW, Unit.SUVBW, roi.tracking_id, role, told.series_uids, bin_width=BIN_SUV, percents=percents
    )
    parameters = (*told.rules, Uptake.BY_WEIGHT.meaning)  # one method a value: that of the statistic
    return tuple(
        replace(one, flags=told.flags, parameters=parameters) if isinstance(one, Quantity) else one
        for one in found
        if one.modifier not in _IN_MEASURE
    )


_IN_MEASURE = (Derivation.MAXIMUM, Derivation.MEAN, Derivation.MINIMUM, Derivation.MEDIAN)


def _values(volume: Volume, roi: Roi) -> Values:
    return volume.voxels[roi.mask & volume.valid].astype(np.float64)


@dataclass(frozen=True)
class _Telling:
    """Where a value belongs."""

    roi: Roi
    role: Role | None
    series_uids: tuple[str, ...]
    rules: tuple[str, ...]
    flags: tuple[str, ...]

    @classmethod
    def of(cls, volume: Volume, roi: Roi, role: Role | None, around: Circumstances) -> _Telling:
        """Gates and preparation are about FDG alone."""
        rules, doubts = around.rules, around.doubts
        if role is not Role.PET_OTHER_TRACER:
            rules = (*rules, *around.gates.words())
            doubts = (*doubts, *flags(around.preparation, around.gates))
        return cls(roi, role, (volume.series_instance_uid,), rules, doubts)

    @property
    def fdg(self) -> bool:
        return self.role is not Role.PET_OTHER_TRACER

    def quantity(
        self, code: Code, value: float, unit: Code, modifier: Code | None = None, method: Code | None = None
    ) -> Quantity:
        where = (self.roi.tracking_id, self.role)
        return Quantity(
            *where, code, value, unit, modifier, method, self.series_uids, flags=self.flags, parameters=self.rules
        )

    def plain(self, code: Code, value: float, unit: Code) -> Quantity:
        """A value that is no uptake: neither the rules of uptake nor its flags are about it."""
        return Quantity(self.roi.tracking_id, self.role, code, value, unit, series_uids=self.series_uids)

    def not_measured(self, refused: Refused, code: Code | None, method: Code | None = None) -> NotMeasured:
        return NotMeasured(self.roi.tracking_id, self.role, refused, code, self.series_uids, method=method)


def _suv(told: _Telling, values: Values, highest: float) -> list[Quantity]:
    by, unit = Uptake.BY_WEIGHT, Unit.SUVBW
    return [
        told.quantity(Uptake.SUVBW, maximum(values), unit, Derivation.MAXIMUM, by),
        told.quantity(Uptake.SUVBW, mean(values), unit, Derivation.MEAN, by),
        told.quantity(Uptake.SUVBW, minimum(values), unit, Derivation.MINIMUM, by),
        told.quantity(Uptake.SUVBW, median(values), unit, Derivation.MEDIAN, by),
        told.quantity(Uptake.SUVBW, highest, unit, Uptake.PEAK, by),
    ]


def _of_kind(told: _Telling, kind: _Kind, values: Values, highest: float, body: Body) -> list[Quantity | NotMeasured]:
    try:
        factor = kind.per_weight(body)
    except (MissingAttribute, InvalidAttribute) as error:
        return [told.not_measured(error, kind.code)]
    found = ((maximum(values), Derivation.MAXIMUM), (mean(values), Derivation.MEAN), (highest, Uptake.PEAK))
    return [told.quantity(kind.code, factor * value, kind.unit, how, kind.method) for value, how in found]


def _volumes(told: _Telling, values: Values, voxel_ml: float, around: Circumstances) -> list[Quantity | NotMeasured]:
    if not told.fdg:
        error = OutsideProtocol("the tracer is no FDG, for which the thresholds of metabolic volume are made")
        return [told.not_measured(error, code) for code in (Uptake.MTV, Uptake.TLG, Uptake.HETEROGENEITY)]
    found: list[Quantity | NotMeasured] = []
    for share, method in SHARES:
        found += _above(told, method, values, share * maximum(values), voxel_ml)
    found += _above(told, Uptake.ABOVE_FIXED, values, FIXED, voxel_ml)
    try:
        found += _above(told, Uptake.ABOVE_PERCIST, values, _percist(around), voxel_ml)
    except Refused as error:
        found += [told.not_measured(error, code, Uptake.ABOVE_PERCIST) for code in (Uptake.MTV, Uptake.TLG)]
    slope = heterogeneity(values, voxel_ml)
    return [*found, told.quantity(Uptake.HETEROGENEITY, slope, Unit.ML_PER_PERCENT, method=Uptake.SLOPE)]


def _above(told: _Telling, method: Code, values: Values, threshold: float, voxel_ml: float) -> list[Quantity]:
    return [
        told.quantity(Uptake.MTV, metabolic_volume(values, threshold, voxel_ml), Unit.ML, method=method),
        told.quantity(Uptake.TLG, glycolysis(values, threshold, voxel_ml), Unit.GRAM, method=method),
    ]


def _percist(around: Circumstances) -> float:
    """The threshold of PERCIST in SUVbw. Raises MissingAttribute, RegionMissing, TooFewVoxels, OutsideProtocol."""
    lean = around.body.lean_janmahasatian_kg / around.body.weight_kg
    if outside := around.gates.outside(around.preparation):
        raise OutsideProtocol("; ".join(outside))
    if around.liver is None:
        raise RegionMissing("liver: PERCIST compares with it", remedy="give a region labelled 'liver' of 3 cm")
    if len(around.liver) < LEAST_LIVER:
        raise TooFewVoxels(f"the liver region has {len(around.liver)} voxels, {LEAST_LIVER} needed")
    return percist_threshold(around.liver * lean) / lean


def _prepared(told: _Telling, preparation: Preparation) -> list[Quantity | NotMeasured]:
    """Time since injection and blood glucose, or why they are not known."""
    reads: tuple[tuple[Code, Code, Callable[[], float]], ...] = (
        (Uptake.UPTAKE_TIME, Unit.MINUTE, lambda: preparation.uptake_min),
        (Uptake.GLUCOSE, Unit.MG_PER_DL, lambda: preparation.glucose),
    )
    found: list[Quantity | NotMeasured] = []
    for code, unit, read in reads if told.fdg else reads[:1]:
        try:
            found.append(told.plain(code, read(), unit))
        except Refused as error:
            found.append(told.not_measured(error, code))
    return found


def _ball(spacing_mm: tuple[float, float, float]) -> Bools:
    """Which voxels around one belong to a sphere of ``PEAK_ML`` around its centre; odd in every direction."""
    radius = (3 * 1000 * PEAK_ML / (4 * np.pi)) ** (1 / 3)
    reach = [int(radius / step) for step in spacing_mm]
    along = np.meshgrid(
        *(np.arange(-n, n + 1) * step for n, step in zip(reach, spacing_mm, strict=True)), indexing="ij"
    )
    return np.asarray(sum(axis**2 for axis in along) <= radius**2)
