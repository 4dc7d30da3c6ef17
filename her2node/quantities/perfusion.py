"""CT perfusion: blood flow, blood volume, transit time, permeability and times of enhancement.

Iodine is proportional to the rise in Hounsfield units over the images before the bolus. What vendors call Tmax and TTP
differs, so three quantities stand apart: peak enhancement (HU), time to peak (s) and Tmax, the time at which the
residue function is highest (s). Every method is used in its regime only; elsewhere it is refused by name. Deviations
of the docstrings are those of ``tests/benchmarks/table_perfusion.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from her2node.dicom.codes import Code, Derivation, Method, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import NoEnhancement, OutsideRegime, Refused, TooFewVoxels
from her2node.quantities import deconvolution, kinetics
from her2node.quantities import perfusion_regimes as regimes
from her2node.quantities.bolus import Bolus
from her2node.quantities.kinetics import Floats, in_blocks
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.selection.roles import Role

LEAST_ENHANCEMENT_HU = 5.0
"""A curve that rises less has no flow, no transit time and no peak that could be told from noise."""
LEAST_ARTERIAL_HU = 50.0
DELAYS_S = np.arange(0.0, 10.5, 1.0)
"""Of the tissue behind the artery, from which the models' fits begin."""
LIKELY_DELAYS_S = np.arange(0.0, 10.1, 0.25)
"""Of the tissues that may have given a curve."""
FEWEST_DEFINED = 0.5
"""Share of the voxels that must have a value for their mean to be given."""
HIGHEST_FLOW, HIGHEST_VOLUME = 1 / 6, 1.0
"""1000 ml/100 ml/min, and all of the tissue: a model that is fitted with more has failed."""


@dataclass(frozen=True)
class Factors:
    """What turns rates into flow per mass of tissue; differs by vendor, so it is set and printed.

    ``haematocrit_factor`` kH = (1 - Hct of large vessels) / (1 - Hct of small ones), 0.733 for 0.45 and 0.25, 1 to
    leave it out. ``haematocrit`` of large vessels turns the PS of whole blood into that of plasma; 0 leaves it out.
    """

    haematocrit_factor: float = 1.0
    density_g_ml: float = 1.05
    haematocrit: float = 0.0
    oscillation_index: float = deconvolution.OSCILLATION_INDEX
    convolution: deconvolution.Convolution = "integral"
    correct_motion: bool = True
    """Whether time points are shifted onto each other before curves are taken."""

    @property
    def words(self) -> tuple[str, ...]:
        """As a report prints them."""
        return (
            f"haematocrit factor kH {self.haematocrit_factor:g}",
            f"tissue density {self.density_g_ml:g} g/ml",
            f"haematocrit for PS {self.haematocrit:g}",
            f"oscillation index {self.oscillation_index:g}",
            f"convolution by {self.convolution}",
        )


FACTORS = Factors()
"""What holds where a site sets nothing."""


def blood_flow(rate: Floats, factors: Factors) -> Floats:
    """Blood flow.

    Formula: 6000 x kH / density x F, F in 1/s: the highest value of the residue function K over what truncation leaves
    of that of an exponential (deconvolution), the sum of the amplitudes (2CXM, 2CUM), or max(dC/dt) / max(Ca) (maximum
    slope).
    Unit: ml/[100]g/min.
    Shapes: rate (n,).
    Source: DICOM (126390, DCM); Ostergaard 1996, Miles 1991, Sourbron and Buckley 2013.
    Known deviation: where it is used, in the median of the table, deconvolution 17 % low to 19 % high, maximum slope up
    to 24 % low (blood leaves the tissue before the artery peaks), 2CUM up to 20 % low, 2CXM 2 %.
    """
    return np.asarray(6000 * factors.haematocrit_factor / factors.density_g_ml * rate)


def blood_volume(share: Floats, factors: Factors) -> Floats:
    """Blood volume.

    Formula: 100 x kH x v, v the area of K over what the watch leaves of that of an exponential (deconvolution), F x T_B
    (2CXM, 2CUM), or Patlak's intercept.
    Unit: ml/[100]ml.
    Shapes: share (n,).
    Source: DICOM (126391, DCM); Patlak 1983, Sourbron and Buckley 2013.
    Known deviation: the area of K holds what leaked into the tissue too; the models keep the two apart. Where used, in
    the median of the table: deconvolution 16 % low to 24 % high, Patlak 12 % low to 29 % high, 2CUM up to 16 % high,
    2CXM 2 %.
    """
    return np.asarray(100 * factors.haematocrit_factor * share)


def mean_transit_time(share: Floats, rate: Floats) -> Floats:
    """Mean transit time by the central volume theorem.

    Formula: v / F.
    Unit: s.
    Shapes: share (n,), rate (n,).
    Source: DICOM (113052, DCM); Meier and Zierler 1954.
    Known deviation: of v and F; where used, in the median of the table, deconvolution 22 % low to 18 % high, 2CUM up
    to 31 % high, 2CXM 3 %. Not a number where F is not positive or the transit too short for the samples.
    """
    return np.divide(share, rate, out=np.full_like(share, np.nan), where=rate > 0)


def permeability(exchange: Floats, factors: Factors) -> Floats:
    """Permeability surface area product.

    Formula: 6000 x (1 - Hct) / density x PS, PS in 1/s: Patlak's slope or the exchange of 2CXM and 2CUM.
    Unit: ml/[100]g/min.
    Shapes: exchange (n,).
    Source: Patlak 1983, Sourbron and Buckley 2013; DICOM has no code.
    Known deviation: of whole blood while Hct is 0, the default; Patlak's slope is the extraction flow F PS / (F + PS),
    below PS where flow limits. Where used, in the median of the table: 2CUM up to 27 % low, 2CXM 4 %; a maximum of 2
    ml/[100]g/min is allowed to all. The map by Patlak is not held to this and is about half in leaking tumours.
    """
    return np.asarray(6000 * (1 - factors.haematocrit) / factors.density_g_ml * exchange)


def peak_enhancement(times_s: Floats, curves: Floats, arrival_s: float) -> Floats:
    """Peak enhancement.

    Formula: max over t after the arrival of the bolus in the artery of C(t), C the attenuation over the mean of the
    images before the bolus.
    Unit: [hnsf'U].
    Shapes: times (t,), curves (n, t).
    Source: quantities of CT perfusion after Miles 1991; the review's TTP.
    Known deviation: of single voxels too high by noise.
    """
    return np.asarray(curves[:, _first(times_s, arrival_s) :].max(axis=1))


def time_to_peak(times_s: Floats, curves: Floats, arrival_s: float, since_s: float) -> Floats:
    """Time to peak.

    Formula: t of the highest sample of C after the arrival of the bolus in the artery, less that (or less the first
    image).
    Unit: s.
    Shapes: times (t,), curves (n, t).
    Source: DICOM (113069, DCM); the review's Tmax.
    Known deviation: one of the sampled times.
    """
    first = _first(times_s, arrival_s)
    return np.asarray(times_s[first:][curves[:, first:].argmax(axis=1)] - since_s)


def _first(times_s: Floats, arrival_s: float) -> int:
    """The first sample after the arrival of the bolus."""
    return int(np.searchsorted(times_s, arrival_s, side="right"))


def tmax(found: deconvolution.Deconvolution) -> Floats:
    """Tmax of the residue function.

    Formula: argmax over t of K(t), refined by a parabola through three samples.
    Unit: s.
    Shapes: found holds (n,).
    Source: DICOM (113084, DCM); block-circulant deconvolution, Wu 2003.
    Known deviation: half a sample to one transit late where the residue function is smoothed; used where it is 3 s at
    most.
    """
    return found.peak_s


MEASURES: tuple[Callable[..., Floats], ...] = (
    blood_flow,
    blood_volume,
    mean_transit_time,
    permeability,
    peak_enhancement,
    time_to_peak,
    tmax,
)
"""Every quantity of this method."""


@dataclass(frozen=True)
class Curves:
    """Curves (n, t) in HU over the same time as a bolus, and the enhancement over their own baselines."""

    bolus: Bolus
    enhancement: Floats = field(repr=False)

    @classmethod
    def of(cls, bolus: Bolus, hu: Floats) -> Curves:
        return cls(bolus, hu - hu[:, : bolus.baseline].mean(axis=1, keepdims=True))

    @cached_property
    def peaks(self) -> Floats:
        """Peak enhancement of each, (n,)."""
        return peak_enhancement(self.bolus.times_s, self.enhancement, self.bolus.arrival_s)


_Values = tuple[tuple[Code, Code, Floats], ...]


@dataclass(frozen=True)
class Way:
    """One method: what it gives of curves, its names for a mean curve and for voxels, and why it cannot run."""

    run: Callable[[Curves, Factors], _Values]
    codes: tuple[Code, ...]
    curve: Code
    voxels: Code | None
    refusal: Callable[[Bolus], Refused | None]


def deconvolve(curves: Curves, factors: Factors) -> _Values:
    """BF, BV, MTT and Tmax by block-circulant singular value decomposition."""
    found = curves.bolus.deconvolver(factors.convolution)(_steady(curves), factors.oscillation_index)
    flow = np.where(found.resolved, found.flow, np.nan)
    return (
        (Concept.BLOOD_FLOW, Unit.FLOW, blood_flow(flow, factors)),
        (Concept.BLOOD_VOLUME, Unit.VOLUME_SHARE, blood_volume(found.volume, factors)),
        (Concept.MEAN_TRANSIT_TIME, Unit.SECOND, mean_transit_time(found.volume, flow)),
        (Concept.TMAX, Unit.SECOND, tmax(found)),
    )


def _steady(curves: Curves) -> Floats:
    return kinetics.even(curves.bolus.times_s, curves.enhancement, curves.bolus.step_s)[1]


def slope(curves: Curves, factors: Factors) -> _Values:
    """BF by the maximum slope."""
    steepest = np.gradient(curves.enhancement, curves.bolus.times_s, axis=1).max(axis=1)
    return ((Concept.BLOOD_FLOW, Unit.FLOW, blood_flow(steepest / curves.bolus.peak, factors)),)


def line(curves: Curves, factors: Factors) -> _Values:
    """PS and BV by Patlak's line."""
    bolus = curves.bolus
    found = kinetics.patlak(bolus.times_s, bolus.arterial, curves.enhancement, bolus.passed_s or np.inf)
    return (
        (Concept.PERMEABILITY, Unit.FLOW, permeability(found.exchange, factors)),
        (Concept.BLOOD_VOLUME, Unit.VOLUME_SHARE, blood_volume(found.volume, factors)),
    )


def model(fit: Callable[..., kinetics.Exchange], curves: Curves, factors: Factors) -> _Values:
    """BF, BV, MTT and PS by a compartment model."""
    return _of_exchange(fit(curves.bolus.times_s, curves.bolus.arterial, curves.enhancement, DELAYS_S), factors)


def _of_exchange(found: kinetics.Exchange, factors: Factors) -> _Values:
    possible = (found.flow <= HIGHEST_FLOW) & (found.volume <= HIGHEST_VOLUME) & (found.exchange <= HIGHEST_FLOW)
    flow, volume, exchange = (np.where(possible, a, np.nan) for a in (found.flow, found.volume, found.exchange))
    return (
        (Concept.BLOOD_FLOW, Unit.FLOW, blood_flow(flow, factors)),
        (Concept.BLOOD_VOLUME, Unit.VOLUME_SHARE, blood_volume(volume, factors)),
        (Concept.MEAN_TRANSIT_TIME, Unit.SECOND, mean_transit_time(volume, flow)),
        (Concept.PERMEABILITY, Unit.FLOW, permeability(exchange, factors)),
    )


def enhance(curves: Curves, factors: Factors) -> _Values:
    """Peak enhancement and time to peak."""
    arrival_s = curves.bolus.arrival_s
    return (
        (Concept.PEAK_ENHANCEMENT, Unit.HU, curves.peaks),
        (
            Concept.TIME_TO_PEAK,
            Unit.SECOND,
            time_to_peak(curves.bolus.times_s, curves.enhancement, arrival_s, arrival_s),
        ),
    )


def _since_first_image(curves: Curves, factors: Factors) -> _Values:
    bolus = curves.bolus
    absolute = time_to_peak(bolus.times_s, curves.enhancement, bolus.arrival_s, float(bolus.times_s[0]))
    return ((Concept.TIME_TO_PEAK, Unit.SECOND, absolute),)


_FLOWS = (Concept.BLOOD_FLOW, Concept.BLOOD_VOLUME, Concept.MEAN_TRANSIT_TIME)
WAYS = (
    Way(
        deconvolve, (*_FLOWS, Concept.TMAX), Method.DECONVOLUTION, Method.DECONVOLUTION_VOXELS,
        regimes.sampled_first_pass,
    ),
    Way(
        slope, _FLOWS[:1], Method.MAXIMUM_SLOPE, Method.MAXIMUM_SLOPE_VOXELS,
        regimes.sampled,
    ),
    Way(
        line, (Concept.PERMEABILITY, Concept.BLOOD_VOLUME), Method.PATLAK, Method.PATLAK_VOXELS, regimes.passed
    ),
    Way(
        partial(model, kinetics.two_compartment_exchange), (*_FLOWS, Concept.PERMEABILITY),
        Method.EXCHANGE, Method.EXCHANGE_VOXELS, partial(regimes.watched, "2CXM"),
    ),
    Way(
        partial(model, kinetics.two_compartment_uptake), (*_FLOWS, Concept.PERMEABILITY),
        Method.UPTAKE, Method.UPTAKE_VOXELS, partial(regimes.watched, "2CUM"),
    ),
    Way(
        enhance, (Concept.PEAK_ENHANCEMENT, Concept.TIME_TO_PEAK), Method.OF_CURVE, Method.OF_VOXELS, regimes.always
    ),
    Way(_since_first_image, (Concept.TIME_TO_PEAK,), Method.ABSOLUTE_TIME, None, regimes.always),
)  # fmt: skip


@dataclass(frozen=True)
class Region:
    """Where curves come from: the region's tracking id, the role, the series, and what one must know of the curves."""

    roi: str
    role: Role | None
    series_uids: tuple[str, ...]
    flags: tuple[str, ...] = ()


def measure(
    bolus: Bolus, hu: Floats, region: Region, factors: Factors, words: tuple[str, ...] = ()
) -> tuple[Quantity | NotMeasured, ...]:
    """Every perfusion quantity of a region, by every method that is in its regime.

    ``hu`` (n, t): the region's voxels with image at all times, in Hounsfield units. Each method is run on the mean
    curve, and on every voxel with the mean of the finite values; the method code says which. Whether a method is good
    for the tissue is judged by the mean curve. ``words`` are added to the parameters that are printed.
    """
    parameters = (*factors.words, *words)
    refused = _too_little(bolus, hu)
    if refused is not None:
        codes = dict.fromkeys(code for way in WAYS for code in way.codes)
        return tuple(NotMeasured(region.roi, region.role, refused, code, region.series_uids) for code in codes)
    mean = Curves.of(bolus, hu.mean(axis=0, keepdims=True))
    of_mean, of_voxels = regimes.contrast_to_noise(bolus, hu)
    likely = Likely.of(mean, of_mean, factors)
    found: list[Quantity | NotMeasured] = []
    for way in WAYS:
        reasons = unfit(way, bolus, of_mean, likely, factors)
        found += _judged(way, way.curve, None, reasons, partial(way.run, mean, factors), region, parameters)
        if way.voxels is not None:
            noisy = regimes.too_noisy(way.curve, of_voxels)
            refusals = (
                dict.fromkeys(way.codes, noisy) if noisy is not None and len(reasons) < len(way.codes) else reasons
            )
            run = partial(_by_voxel, way, bolus, hu, factors)
            found += _judged(way, way.voxels, Derivation.MEAN, refusals, run, region, parameters)
    return tuple(found)


def unfit(way: Way, bolus: Bolus, cnr: float, likely: Likely, factors: Factors) -> dict[Code, Refused]:
    """Of each quantity that a method would give of a mean curve, why it is not used here."""
    reason = way.refusal(bolus) or regimes.too_noisy(way.curve, cnr)
    return dict.fromkeys(way.codes, reason) if reason is not None else likely.refusals(way, factors)


def _judged(
    way: Way,
    method: Code,
    modifier: Code | None,
    refusals: dict[Code, Refused],
    run: Callable[[], _Values],
    region: Region,
    parameters: tuple[str, ...],
) -> list[Quantity | NotMeasured]:
    """The values of one method, or for each of them why it is not used here."""
    values = run() if set(refusals) < set(way.codes) else ()
    found: list[Quantity | NotMeasured] = [
        _quantity(one, method, modifier, region, parameters) for one in values if one[0] not in refusals
    ]
    for code, reason in refusals.items():
        named = type(reason)(f"{method.meaning}: {reason.detail}", remedy=reason.remedy)
        where = (region.roi, region.role, named, code, region.series_uids)
        found.append(NotMeasured(*where, modifier=modifier, method=method))
    return found


@dataclass(frozen=True)
class Likely:
    """Tissues that may have given the mean curve of a region: their curves with its noise, and what is true of them."""

    curves: Curves
    truth: dict[Code, Floats] = field(repr=False)

    @classmethod
    def of(cls, mean: Curves, cnr: float, factors: Factors) -> Likely:
        bolus, curve = mean.bolus, mean.enhancement[0]
        noise = float(curve.max()) / cnr
        tissues, curves = kinetics.likely_exchanges(
            bolus.times_s, bolus.arterial, curve, noise, LIKELY_DELAYS_S, regimes.LIKELY_TISSUES
        )
        truth = {code: values for code, _, values in _of_exchange(tissues, factors)}
        noisy = curves + noise * np.random.default_rng(0).standard_normal(curves.shape)
        return cls(Curves(bolus, noisy), {**truth, Concept.TMAX: tissues.delay_s})

    def refusals(self, way: Way, factors: Factors) -> dict[Code, Refused]:
        """Of each quantity that a method finds wrongly in these tissues, why it is not used."""
        if not set(way.codes) <= set(self.truth):
            return {}
        found = (
            (code, regimes.too_far(code, values, self.truth[code])) for code, _, values in way.run(self.curves, factors)
        )
        return {code: refused for code, refused in found if refused is not None}


def _too_little(bolus: Bolus, hu: Floats) -> Refused | None:
    if not len(hu):
        return TooFewVoxels("no voxel of the region has an image at every time point")
    rise = float(Curves.of(bolus, hu.mean(axis=0, keepdims=True)).peaks[0])
    if rise < LEAST_ENHANCEMENT_HU:
        return NoEnhancement(f"the mean curve rises by {rise:.1f} HU, {LEAST_ENHANCEMENT_HU:g} HU needed")
    return None


def _quantity(
    one: tuple[Code, Code, Floats], method: Code, modifier: Code | None, region: Region, parameters: tuple[str, ...]
) -> Quantity | NotMeasured:
    code, unit, values = one
    finite = values[np.isfinite(values)]
    if len(finite) < FEWEST_DEFINED * len(values) or not len(finite):
        reason = OutsideRegime(f"{method.meaning}: {len(finite)} of {len(values)} curves give a possible value")
        where = (region.roi, region.role, reason, code, region.series_uids)
        return NotMeasured(*where, modifier=modifier, method=method)
    return Quantity(
        region.roi, region.role, code, float(finite.mean()), unit, modifier, method, region.series_uids,
        parameters=parameters, flags=region.flags,
    )  # fmt: skip


def _by_voxel(way: Way, bolus: Bolus, hu: Floats, factors: Factors) -> _Values:
    """The values of every voxel, (n,) each; voxels that rise too little have none."""
    parts = [way.run(Curves.of(bolus, some), factors) for some in in_blocks(_rising(bolus, hu))]
    if not parts:
        return tuple((code, Unit.ONE, np.empty(0)) for code in way.codes)
    return tuple(
        (code, unit, np.concatenate([part[place][2] for part in parts]))
        for place, (code, unit, _) in enumerate(parts[0])
    )


def _rising(bolus: Bolus, hu: Floats) -> Floats:
    return hu[Curves.of(bolus, hu).peaks >= LEAST_ENHANCEMENT_HU]
