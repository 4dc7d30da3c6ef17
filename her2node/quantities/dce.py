"""DCE-MRI in a region: transfer of contrast by tracer models, initial area under the curve, and the curve's own shape.

``fitted`` prepares an examination and fits every voxel of the body by one model; ``measure`` takes the distribution
over a region, and fits the region's mean curve by every model that is in its regime; ``maps`` gives the voxels. What
the signal alone tells (enhancement, its times and slopes) needs neither TR nor flip angle and comes without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from her2node.dicom.codes import Code, Dce, Derivation, Histogram, Unit
from her2node.errors import NoEnhancement, OutsideRegime, Refused, TooFewVoxels, Undefined
from her2node.quantities import dce_curve, dce_fits, dce_input
from her2node.quantities.dce_fits import MODELS, Fate, Fates, Model, Parameters
from her2node.quantities.dce_input import ArterialInput
from her2node.quantities.dce_signal import FACTORS, DceFactors, Places, Signal, signal_of
from her2node.quantities.histogram import PERCENTS, histogram_of
from her2node.quantities.kinetics import Floats, interpolation
from her2node.quantities.quantity import NotMeasured, Quantity, QuantityMap
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.dce import DceVolume, FlipAngleSeries
from her2node.volumes.volume import Bools
from her2node.volumes.volume import Floats as Voxels

__all__ = ["FACTORS", "DceFactors", "DceFit", "fitted", "maps", "measure"]

EARLY_S, LATE_S, LEAST_LATE_S = 90.0, 360.0, 180.0
"""After the arrival: the times of the signal enhancement ratio, the late one earlier where the images end, but not
before the third."""
AREA_S = 60.0


def ktrans(rate: Floats) -> Floats:
    """Ktrans, the volume transfer constant from plasma to interstitium.

    Formula: 60 x K, of C = K Cp * exp(-kep t) [+ vp Cp]; 2CXM: 60 x F PS / (F + PS); Patlak: 60 x the slope.
    Unit: /min.
    Shapes: rate (n,), 1/s.
    Source: DICOM (126312, DCM); Tofts 1999, Sourbron and Buckley 2013, Patlak 1983.
    Known deviation: Tofts' models take flow as not limiting; Patlak's is low where contrast comes back.
    """
    return np.asarray(60 * rate)


def kep(rate: Floats) -> Floats:
    """kep, the rate constant back to the plasma.

    Formula: 60 x k, k of the exponential; Ktrans / ve.
    Unit: /min.
    Shapes: rate (n,), 1/s.
    Source: DICOM (126313, DCM); Tofts 1999.
    Known deviation: none.
    """
    return np.asarray(60 * rate)


def ve(share: Floats) -> Floats:
    """ve, the volume of the interstitium.

    Formula: Ktrans / kep; 2CXM: the volume of the second compartment.
    Unit: 1.
    Shapes: share (n,).
    Source: DICOM (126314, DCM); Tofts 1999.
    Known deviation: none; a fit with more than 1 is undefined.
    """
    return np.asarray(share)


def vp(share: Floats) -> Floats:
    """vp, the volume of the plasma.

    Formula: the amplitude of Cp itself; 2CXM: the volume of the first compartment; Patlak: the intercept.
    Unit: 1.
    Shapes: share (n,).
    Source: DICOM (126331, DCM); Tofts 1999.
    Known deviation: not negative; a fit with more than 1 is undefined.
    """
    return np.asarray(share)


def plasma_flow(rate: Floats) -> Floats:
    """Plasma flow.

    Formula: 60 x F of the two-compartment exchange model.
    Unit: /min.
    Shapes: rate (n,), 1/s.
    Source: Sourbron and Buckley 2013; ml of plasma to ml of tissue and minute.
    Known deviation: none.
    """
    return np.asarray(60 * rate)


def permeability(rate: Floats) -> Floats:
    """Permeability surface area product.

    Formula: 60 x PS of the two-compartment exchange model.
    Unit: /min.
    Shapes: rate (n,), 1/s.
    Source: Sourbron and Buckley 2013; ml of plasma to ml of tissue and minute.
    Known deviation: none.
    """
    return np.asarray(60 * rate)


def iauc60(curves: Floats, weights: Floats) -> Floats:
    """Initial area under the concentration curve.

    Formula: integral of C from the arrival of the contrast over 60 s, C straight between samples.
    Unit: mmol.s/l.
    Shapes: curves (n, t) in mM, weights (t,) of the integral.
    Source: DICOM (126321, DCM); Evelhoch 1999.
    Known deviation: the arrival is that in the artery, or in the tissue that enhances most, for all voxels.
    """
    return np.asarray(curves @ weights)


def t1(rate: Floats) -> Floats:
    """T1 before contrast.

    Formula: 1000 / R1, R1 by least squares of the spoiled echo's signal over its flip angles.
    Unit: ms.
    Shapes: rate (n,), 1/s.
    Source: DICOM (113063, DCM); Deoni 2003 without its linear form.
    Known deviation: flip angles as prescribed: where B1 is off by x, T1 is off by about 2 x.
    """
    return np.asarray(1000 / rate)


def excluded(fates: Fates) -> float:
    """Voxels of the region without a fit of the model.

    Formula: the number of voxels whose fate is another than fitted; the fates are counted by name.
    Unit: 1.
    Shapes: fates (n,), one a voxel of the region.
    Source: this node.
    Known deviation: none.
    """
    return float(np.count_nonzero(fates != Fate.FITTED))


MEASURES: tuple[Callable[..., Floats | float], ...] = (
    ktrans,
    kep,
    ve,
    vp,
    plasma_flow,
    permeability,
    iauc60,
    t1,
    excluded,
)
"""Every quantity of this method but for those of the signal's curve, which are ``dce_curve``'s."""


@dataclass(frozen=True)
class _Kind:
    """What a fitted parameter is: by which measure, its codes, the width of its bins and the end of its window."""

    of: Callable[[Floats], Floats]
    code: Code
    unit: Code
    bin_width: float = 0.0
    high: float = 0.0


_KINDS = {
    "ktrans": _Kind(ktrans, Dce.KTRANS, Unit.PER_MINUTE, 0.02, 0.5),
    "kep": _Kind(kep, Dce.KEP, Unit.PER_MINUTE, 0.1, 3.0),
    "ve": _Kind(ve, Dce.VE, Unit.ONE, 0.02, 1.0),
    "vp": _Kind(vp, Dce.VP, Unit.ONE, 0.01, 0.3),
    "flow": _Kind(plasma_flow, Dce.PLASMA_FLOW, Unit.PER_MINUTE),
    "exchange": _Kind(permeability, Dce.PERMEABILITY, Unit.PER_MINUTE),
}
"""By the name in ``Parameters``; those of a mean curve alone have no bins."""
_IAUC60_BIN, _IAUC60_HIGH = 1.0, 60.0
MODELLED = (Dce.KTRANS, Dce.KEP, Dce.VE, Dce.VP, Dce.IAUC60)
"""What needs a curve of concentration."""


@dataclass(frozen=True)
class Parameter:
    """One quantity on the grid, NaN where there is none; ``high`` ends the window in which a reader first sees it.
    ``brief``: only its mean is told."""

    code: Code
    unit: Code
    method: Code
    voxels: Voxels = field(repr=False)
    high: float
    bin_width: float
    brief: bool = False


@dataclass(frozen=True)
class DceFit:
    """What an examination gave. ``given`` is None where the signal could not be turned into concentration, for the
    reasons in ``refused``; what the signal itself tells is there nevertheless."""

    signal: Signal
    given: ArterialInput | None
    parameters: tuple[Parameter, ...]
    fates: Fates | None = field(repr=False)
    refused: tuple[tuple[Code, Refused], ...]

    @property
    def words(self) -> tuple[str, ...]:
        """How the examination was turned into numbers, as results print it."""
        return (*self.signal.volume.notes, *self.signal.words, *(self.given.words if self.given else ()))


def fitted(
    volume: DceVolume,
    flip_angles: FlipAngleSeries | Refused | None,
    factors: DceFactors,
    body: Bools,
    artery: Bools | None,
) -> DceFit:
    """Prepare an examination and fit every voxel of ``body``; ``artery`` is where the arterial input is measured, None
    to take a population's. Both (slices, rows, columns). Where flip angles were acquired and cannot be read,
    ``flip_angles`` says why, and no T1 is assumed in their place: the models are refused for that reason.

    Raises TooFewTimePoints, NoBaseline, NoArterialInput, NoEnhancement and EmptyRoi, where nothing can be said at all.
    """
    signal = signal_of(volume, flip_angles, factors, body, artery)
    model = MODELS[factors.model]
    measured_t1 = () if signal.r1 is None else (_t1_map(signal.r1),)
    try:
        given = _input(signal, artery)
    except Refused as error:
        return DceFit(signal, None, measured_t1, None, tuple((code, error) for code in MODELLED))
    reason = model.refusal(signal, given)
    if reason is not None:
        return DceFit(signal, given, measured_t1, None, tuple((code, reason) for code in MODELLED))
    weights, short = _area_weights(signal)
    found = dce_fits.fit_voxels(signal, given, model, weights)
    parameters = tuple(_parameter(name, voxels, model) for name, voxels in found.maps.items())
    found.fates.flags.writeable = False
    return DceFit(signal, given, (*parameters, *measured_t1), found.fates, short)


def _input(signal: Signal, artery: Bools | None) -> ArterialInput:
    if artery is None:
        return dce_input.from_population(signal)
    voxels = signal.volume.voxels[:, artery & signal.volume.valid]
    return dce_input.measured(signal, voxels.mean(axis=1, dtype=np.float64))


def _area_weights(signal: Signal) -> tuple[Floats | None, tuple[tuple[Code, Refused], ...]]:
    """The weights (t,) by which samples give the area from the arrival on, or why there is none."""
    times_s, begin = signal.volume.times_s, signal.arrival_s
    if signal.bolus.watched_s < AREA_S:
        reason = OutsideRegime(f"{signal.bolus.watched_s:.0f} s after the arrival, {AREA_S:g} s needed")
        return None, ((Dce.IAUC60, reason),)
    inside = times_s[(times_s > begin) & (times_s < begin + AREA_S)]
    grid = np.array([begin, *inside, begin + AREA_S])
    return np.asarray(np.trapezoid(interpolation(times_s, grid), grid, axis=1)), ()


def _parameter(name: str, voxels: Voxels, model: Model) -> Parameter:
    if name == "iauc60":
        return _drawn(Dce.IAUC60, Unit.MMOL_S_PER_L, Dce.OF_EACH_VOXEL, voxels, _IAUC60_HIGH, _IAUC60_BIN)
    kind = _KINDS[name]
    return _drawn(kind.code, kind.unit, model.code, kind.of(voxels), kind.high, kind.bin_width)


def _t1_map(r1: Voxels) -> Parameter:
    return replace(_drawn(Dce.T1, Unit.MILLISECOND, Dce.FLIP_ANGLES, t1(r1), 3000.0, 50.0), brief=True)


def _drawn(code: Code, unit: Code, method: Code, values: Floats, high: float, bin_width: float) -> Parameter:
    voxels: Voxels = values.astype(np.float32)
    voxels.flags.writeable = False
    return Parameter(code, unit, method, voxels, high, bin_width)


def maps(fit: DceFit, role: Role | None) -> tuple[QuantityMap, ...]:
    """The parameters voxel by voxel."""
    volume = fit.signal.volume
    return tuple(
        QuantityMap(
            code=parameter.code,
            unit=parameter.unit,
            geometry=volume.geometry,
            voxels=parameter.voxels,
            sources=volume.sources[0],
            series_uids=_uids(fit),
            low=0.0,
            high=parameter.high,
            role=role,
            method=parameter.method,
            parameters=fit.words,
        )
        for parameter in fit.parameters
    )


def _uids(fit: DceFit) -> tuple[str, ...]:
    return tuple(dict.fromkeys(fit.signal.volume.series_uids))


def measure(
    fit: DceFit, roi: Roi, role: Role | None, percents: Sequence[int] = PERCENTS
) -> tuple[Quantity | NotMeasured, ...]:
    """Every quantity in a region laid on the examination's grid, or why it was not measured."""
    region = _Region(fit, roi, role)
    places = np.flatnonzero(roi.mask & fit.signal.body)
    if not len(places):
        nothing = TooFewVoxels("no voxel of the region has an image within the body at every time point")
        return (region.lacks(None, nothing),)
    found: list[Quantity | NotMeasured] = []
    for parameter in fit.parameters:
        found += _distribution(region, parameter, percents)
    if fit.fates is not None:
        found.append(region.told(Dce.EXCLUDED, excluded(fit.fates[roi.mask]), Unit.ONE, None))
    found += [region.lacks(code, reason) for code, reason in fit.refused]
    mean = fit.signal.mean_curve(places)
    if not fit.signal.rising(mean)[0]:
        return (*found, region.lacks(None, NoEnhancement("the mean curve does not rise beyond its noise")))
    return (*found, *_of_models(region, places), *_of_signal(region, mean))


@dataclass(frozen=True)
class _Region:
    """Whose quantities these are."""

    fit: DceFit
    roi: Roi
    role: Role | None

    def told(self, code: Code, value: float, unit: Code, method: Code | None, modifier: Code | None = None) -> Quantity:
        return Quantity(
            self.roi.tracking_id, self.role, code, value, unit, modifier, method, _uids(self.fit),
            flags=self.flags, parameters=self.fit.words,
        )  # fmt: skip

    def lacks(self, code: Code | None, reason: Refused, method: Code | None = None) -> NotMeasured:
        return NotMeasured(self.roi.tracking_id, self.role, reason, code, _uids(self.fit), method=method)

    @property
    def flags(self) -> tuple[str, ...]:
        """How many voxels of the region have no fit, and why."""
        if self.fit.fates is None:
            return ()
        fates = self.fit.fates[self.roi.mask]
        counted = [(int(np.count_nonzero(fates == fate)), fate.words) for fate in Fate if fate is not Fate.FITTED]
        words = [f"{count} of {len(fates)} voxels {words}" for count, words in counted if count]
        return tuple(words)


def _distribution(region: _Region, parameter: Parameter, percents: Sequence[int]) -> list[Quantity | NotMeasured]:
    """The statistics of a parameter over the region. Its method goes before how a statistic was taken, but for the
    entropy, which says nothing without its bins."""
    inside = parameter.voxels[region.roi.mask]
    if not np.isfinite(inside).any():
        reasons = "; ".join(region.flags) or "no voxel of the region has a value"
        return [region.lacks(parameter.code, Undefined(reasons))]
    found = histogram_of(
        inside, parameter.code, parameter.unit, region.roi.tracking_id, region.role, _uids(region.fit),
        bin_width=parameter.bin_width, percents=percents,
    )  # fmt: skip
    told: list[Quantity | NotMeasured] = []
    for one in found:
        if isinstance(one, Quantity):
            method = one.method if one.modifier == Histogram.ENTROPY else parameter.method
            one = replace(one, method=method, flags=region.flags, parameters=region.fit.words)
        if not parameter.brief or (isinstance(one, Quantity) and one.modifier == Derivation.MEAN):
            told.append(one)
    return told


def _of_models(region: _Region, places: Places) -> Iterator[Quantity | NotMeasured]:
    """The region's mean concentration curve by every model."""
    fit = region.fit
    if fit.given is None:
        return
    mean = fit.signal.mean_concentration(places)
    if mean is None:
        yield region.lacks(Dce.KTRANS, Undefined("no voxel of the region has a concentration at every time point"))
        return
    extended = MODELS["extended-tofts"].run(fit.signal, fit.given, mean)
    for name, model in MODELS.items():
        reason = model.refusal(fit.signal, fit.given)
        if name == "patlak":
            reason = dce_fits.backflow(fit.signal, extended)
        found = model.run(fit.signal, fit.given, mean) if reason is None else None
        yield from _of_model(region, model, found, reason)


def _of_model(
    region: _Region, model: Model, found: Parameters | None, reason: Refused | None
) -> Iterator[Quantity | NotMeasured]:
    if found is not None and (fate := Fate(found.fates()[0])) is not Fate.FITTED:
        reason = Undefined(fate.words)
    if found is None or reason is not None:
        words = reason.detail if reason is not None else ""
        named = type(reason or Undefined())(f"{model.of_curve.meaning}: {words}")
        yield region.lacks(Dce.KTRANS, named, model.of_curve)
        return
    for name, kind in _KINDS.items():
        values: Floats | None = getattr(found, name)
        if values is not None:
            yield region.told(kind.code, float(kind.of(values)[0]), kind.unit, model.of_curve)


def _of_signal(region: _Region, mean: Floats) -> Iterator[Quantity | NotMeasured]:
    """What the region's mean signal (1, t) tells of itself."""
    signal = region.fit.signal
    times_s, relative = signal.volume.times_s, signal.relative(mean)
    of = times_s, relative, signal.arrival_s
    for code, unit, values, why in (
        (Dce.PEAK_ENHANCEMENT, Unit.ONE, dce_curve.peak_enhancement(*of), "there is no signal before contrast"),
        (Dce.TIME_TO_PEAK, Unit.SECOND, dce_curve.time_to_peak(*of), "no peak after the arrival"),
        (Dce.WASH_IN, Unit.PER_MINUTE, dce_curve.wash_in(*of), "no peak after the arrival"),
        (Dce.WASH_OUT, Unit.PER_MINUTE, dce_curve.wash_out(*of), "the last image is the peak"),
    ):
        yield _if_finite(region, code, unit, Dce.OF_CURVE, values, why)
    late_s = min(LATE_S, signal.bolus.watched_s)
    if late_s < LEAST_LATE_S:
        reason = OutsideRegime(f"{late_s:.0f} s after the arrival, {LEAST_LATE_S:g} s needed")
        yield region.lacks(Dce.SER, reason)
        return
    at = [np.array([np.interp(signal.arrival_s + since, times_s, relative[0])]) for since in (EARLY_S, late_s)]
    ratio, method = dce_curve.signal_enhancement_ratio(*at), Dce.ratio_at(EARLY_S, late_s)
    yield _if_finite(region, Dce.SER, Unit.ONE, method, ratio, "nothing is enhanced at the early time or the late")


def _if_finite(
    region: _Region, code: Code, unit: Code, method: Code, values: Floats, why: str
) -> Quantity | NotMeasured:
    if np.isfinite(values[0]):
        return region.told(code, float(values[0]), unit, method)
    return region.lacks(code, Undefined(why))
