"""Diffusion in a region: ADC, and the IVIM parameters D, D* and f where the b-values permit them.

``fitted`` fits every voxel once; ``measure`` takes statistics of a region, ``maps`` gives the fits as maps. What the
b-values do not permit is refused by name.

**ADC first by the unweighted log-linear fit of all samples**: scanners calculate their maps so, and published cut-offs
were read from such maps. On ProstateX-0218 it correlates with the scanner's map by 0.9993 and 0.9998, the weighted fit
by 0.53 and 0.90, for bi-exponential decay and noise weigh on it otherwise. The mean of the weighted fit, and of the
first and last b-value alone, stand beside it, each under its own name.

**Noise floor**: the 95th percentile of the background, that is of what has less than a twentieth of the brightest
signal at the lowest b-value, in the image of the highest. Samples at or below it count in no fit but the unweighted
one, which is flagged where it takes such samples. Where the scanner has blanked the background no floor is known, and
every positive sample counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from her2node.dicom.codes import Code, Derivation, Diffusion, Histogram, Unit
from her2node.errors import BValuesMissing, Refused, TooFewVoxels
from her2node.quantities import decay
from her2node.quantities.histogram import PERCENTS, histogram_of
from her2node.quantities.quantity import NotMeasured, Quantity, QuantityMap
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.diffusion import DiffusionSeries
from her2node.volumes.mr import UNIT_TAGS
from her2node.volumes.volume import Bools, Floats, Geometry, SliceSource, Volume

Values = npt.NDArray[np.float64]

DISC_MM2 = 50.0
"""Of the small regions whose lowest mean is the ADC minimum of radiologists."""
BIN_WIDTHS = {Diffusion.ADC: 50.0, Diffusion.D: 50.0, Diffusion.D_STAR: 1000.0, Diffusion.F: 0.01}
"""Of the entropy of the histogram, um2/s and 1."""
NO_PERFUSION, LOW_FROM, LOW_TO = 10.0, 10.0, 150.0
"""s/mm2: up to the first an image counts as b 0; from the second to the third perfusion decays."""
_BACKGROUND_SHARE = 0.05
_FLOOR_PERCENTILE = 95
_FEWEST_BACKGROUND = 1000
_PER_MM2 = 1e6


def lowest_disc(means: Values) -> float:
    """The lowest mean of a small region: the ADC minimum as radiologists measure it.

    Formula: min over all discs of 50 mm2 (by pixel centres) that lie in one slice wholly within the region and its
    fitted voxels, of the mean within the disc.
    Unit: um2/s.
    Shapes: means (n,), one a disc.
    Source: usage in the review's DWI studies, which place several small regions and report the lowest mean.
    Known deviation: readers place few discs, this takes every place; size and shape are this node's own.
    """
    return float(means.min())


def goodness(r2: Values) -> float:
    """Goodness of fit: the mean coefficient of determination over the fitted voxels of a region.

    Formula: mean over voxels of 1 - sum (S - model)^2 / sum (S - mean S)^2 over the samples that count.
    Unit: 1.
    Shapes: r2 (n,), one a voxel.
    Source: this node (quantities.decay).
    Known deviation: 1 by nature where only two samples count; such voxels say nothing here.
    """
    return float(r2.mean())


def excluded(finite: Bools) -> float:
    """Voxels of the region that have no fit.

    Formula: the number of voxels at the noise floor, without image, or where the fit says nothing.
    Unit: 1.
    Shapes: finite (n,), one a voxel of the region.
    Source: this node.
    Known deviation: none.
    """
    return float(np.count_nonzero(~finite))


MEASURES: tuple[Callable[..., float], ...] = (lowest_disc, goodness, excluded)
"""Every quantity of this method that is no statistic of ``histogram``."""


@dataclass(frozen=True)
class Factors:
    """How diffusion is fitted where there is a choice; printed with every result.

    ``ivim``: all four parameters at once by variable projection, or D first from b-values beyond perfusion, then f and
    D* (segmented). ``perfusion_gone`` s/mm2: from here on perfusion counts as decayed. ``noise_floor`` in units of the
    signal, in place of the background's; None: that of the background, 0: none.
    """

    ivim: Literal["variable-projection", "segmented"] = "variable-projection"
    perfusion_gone: float = decay.PERFUSION_IS_GONE
    noise_floor: float | None = None

    def words(self, floor: float) -> tuple[str, ...]:
        """As a report prints them; ``floor`` is the one that held."""
        source = "of the background" if self.noise_floor is None else "as set"
        return (
            f"IVIM fit {self.ivim}",
            f"perfusion gone from b {self.perfusion_gone:g} s/mm2",
            f"noise floor {floor:.4g} {source}" if floor else "noise floor unknown: every positive sample counts",
        )


FACTORS = Factors()
"""What holds where a site sets nothing."""


@dataclass(frozen=True)
class Parameter:
    """One fitted quantity on the grid of the examination: NaN where there is none. ``high`` ends the window in which a
    reader first sees its map. ``brief``: of this one only the mean is told; ``lowest``: the lowest disc too.
    ``at_floor``: voxels of which the fit took a sample at the noise floor."""

    code: Code
    unit: Code
    method: Code
    voxels: Floats = field(repr=False)
    high: float
    brief: bool = False
    lowest: bool = False
    r2: Floats | None = field(default=None, repr=False)
    at_floor: Bools | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Fitted:
    """What the signal of an examination gave: its parameters, and what its b-values do not permit."""

    geometry: Geometry
    parameters: tuple[Parameter, ...]
    refused: tuple[tuple[Code, Refused], ...]
    series_uids: tuple[str, ...]
    sources: tuple[SliceSource, ...] = field(repr=False)
    floor: float
    words: tuple[str, ...] = ()
    """What the fits were set to, as reports print it."""


def fitted(series: DiffusionSeries, factors: Factors = FACTORS) -> Fitted:
    """Fit every voxel of the body (those above floor and background at the lowest b-value)."""
    floor = (noise_floor(series) if factors.noise_floor is None else factors.noise_floor) or 0.0
    lowest = series.signal[0]
    body = series.valid & (lowest > max(floor, _BACKGROUND_SHARE * _brightest(lowest)))
    signal, b = series.signal[:, body], np.array(series.b_values)
    parameters: list[Parameter] = []
    refused: list[tuple[Code, Refused]] = []
    for found, not_had in (_adc(signal, b, floor, body), _ivim(signal, b, floor, body, factors)):
        parameters += found
        refused += not_had
    return Fitted(
        geometry=series.geometry,
        parameters=tuple(parameters),
        refused=tuple(refused),
        series_uids=tuple(dict.fromkeys(uid for uids in series.series_uids for uid in uids)),
        sources=series.sources[0],
        floor=floor,
        words=(*factors.words(floor), *_combined(series)),
    )


def _combined(series: DiffusionSeries) -> tuple[str, ...]:
    """What the images of each b-value were combined from, as a report prints it."""
    alike: dict[str, list[str]] = defaultdict(list)
    for b, words in zip(series.b_values, series.combined, strict=True):
        alike[words].append(f"{b:g}")
    return tuple(f"b {' '.join(b_values)} s/mm2: {words}" for words, b_values in alike.items())


def noise_floor(series: DiffusionSeries) -> float | None:
    """The signal that noise alone reaches (see above); None where the scanner has blanked the background."""
    lowest, highest = series.signal[0], series.signal[-1]
    background = highest[series.valid & (lowest < _BACKGROUND_SHARE * _brightest(lowest))]
    noise = background[background > 0]
    if len(noise) < max(_FEWEST_BACKGROUND, len(background) / 2):
        return None
    return float(np.percentile(noise, _FLOOR_PERCENTILE))


def ivim_permitted(b: Sequence[float], gone: float = decay.PERFUSION_IS_GONE) -> Refused | None:
    """Why D* and f cannot be had from these b-values (s/mm2), or None: it takes b 0 (or up to 10), two values from 10
    to 150 beside it, and two of at least ``gone``."""
    b_0 = [value for value in b if value <= NO_PERFUSION][:1]
    low = [value for value in b if LOW_FROM <= value <= LOW_TO and value not in b_0]
    high = [value for value in b if value >= gone]
    lacking = [
        words
        for lacks, words in (
            (not b_0, "b 0"),
            (len(low) < 2, f"two b-values from {LOW_FROM:g} to {LOW_TO:g} (there are {len(low)})"),
            (len(high) < 2, f"two of at least {gone:g} (there are {len(high)})"),
        )
        if lacks
    ]
    if not lacking:
        return None
    return BValuesMissing(f"IVIM takes {' and '.join(lacking)}; b {', '.join(f'{v:g}' for v in b)} s/mm2 were acquired")


def measure(
    fit: Fitted, roi: Roi, role: Role | None, percents: Sequence[int] = PERCENTS
) -> tuple[Quantity | NotMeasured, ...]:
    """Every fitted quantity in a region laid on the examination's grid, and a refusal for each that was not fitted."""
    found: list[Quantity | NotMeasured] = []
    for parameter in fit.parameters:
        found += _statistics(parameter, fit.geometry, roi, role, fit.series_uids, percents)
    found = [replace(one, parameters=fit.words) if isinstance(one, Quantity) else one for one in found]
    found += [NotMeasured(roi.tracking_id, role, refused, code, fit.series_uids) for code, refused in fit.refused]
    return tuple(found)


def measure_vendor_map(
    volume: Volume,
    roi: Roi,
    role: Role | None,
    b_values: Sequence[float] = (),
    percents: Sequence[int] = PERCENTS,
) -> tuple[Quantity | NotMeasured, ...]:
    """A region on an ADC map that the scanner calculated from images of ``b_values`` (none: nobody says), in um2/s.

    Of a map in arbitrary units, whose header names none, the mean alone is told, unconverted and with a flag that says
    so; no unit of diffusion can be had from it, so it reaches no package.
    """
    voxels = np.where(volume.valid, volume.voxels, np.float32(np.nan))
    unitless = volume.unit == Unit.ARBITRARY
    parameter = Parameter(
        Diffusion.ADC, volume.unit, Diffusion.VENDOR, voxels, 3000.0, brief=unitless, lowest=not unitless
    )
    flags = (f"not converted: the map names no unit in any of {UNIT_TAGS}",) if unitless else ()
    listed = ", ".join(f"{b:g}" for b in b_values)
    words = (f"from images of b {listed} s/mm2" if b_values else "from images of b-values that are not told",)
    return tuple(
        replace(one, flags=(*flags, *one.flags), parameters=words) if isinstance(one, Quantity) else one
        for one in _statistics(parameter, volume.geometry, roi, role, (volume.series_instance_uid,), percents)
    )


def maps(fit: Fitted, role: Role | None) -> tuple[QuantityMap, ...]:
    """The fits voxel by voxel; of an ADC that was had in two ways only the first."""
    shown = {parameter.code: parameter for parameter in reversed(fit.parameters)}
    return tuple(
        QuantityMap(
            code=parameter.code,
            unit=parameter.unit,
            geometry=fit.geometry,
            voxels=parameter.voxels,
            sources=fit.sources,
            series_uids=fit.series_uids,
            low=0.0,
            high=parameter.high,
            role=role,
            method=parameter.method,
            parameters=fit.words,
        )
        for parameter in fit.parameters
        if shown[parameter.code] is parameter
    )


def _brightest(image: Floats) -> float:
    return float(np.percentile(image, 99))


Part = tuple[list[Parameter], list[tuple[Code, Refused]]]


def _adc(signal: Floats, b: Values, floor: float, body: Bools) -> Part:
    if len(b) < 2:
        return [], [(Diffusion.ADC, BValuesMissing(f"ADC takes two b-values; b {b[0]:g} s/mm2 alone was acquired"))]
    ends = decay.two_point(signal, b, floor)
    of_ends = Parameter(
        Diffusion.ADC,
        Unit.UM2_PER_S,
        Diffusion.two_point([b[0], b[-1]]),
        _on_grid(ends.d, body, _PER_MM2),
        3000.0,
        brief=len(b) > 2,
        lowest=True,
    )
    if len(b) == 2:
        return [of_ends], []
    as_scanners, guarded = decay.log_linear(signal, b, weighted=False), decay.log_linear(signal, b, floor)
    first = Parameter(
        Diffusion.ADC,
        Unit.UM2_PER_S,
        Diffusion.unweighted(b.tolist()),
        _on_grid(as_scanners.d, body, _PER_MM2),
        3000.0,
        lowest=True,
        r2=_on_grid(as_scanners.r2, body),
        at_floor=_any_at_floor(signal, floor, body),
    )
    weighted = replace(
        of_ends, method=Diffusion.log_linear(b.tolist()), voxels=_on_grid(guarded.d, body, _PER_MM2), lowest=False
    )
    return [first, weighted, of_ends], []


def _any_at_floor(signal: Floats, floor: float, body: Bools) -> Bools | None:
    """Where a sample is at or below the noise floor; None where no floor is known."""
    if not floor:
        return None
    found = np.zeros(body.shape, dtype=np.bool_)
    found[body] = (signal <= floor).any(axis=0)
    return found


def _ivim(signal: Floats, b: Values, floor: float, body: Bools, factors: Factors) -> Part:
    """D, D*, f; D alone from the b-values beyond perfusion where they permit no more."""
    lacking = ivim_permitted(b.tolist(), factors.perfusion_gone)
    if lacking is None:
        segmented = factors.ivim == "segmented"
        fit = (
            decay.segmented(signal, b, floor, factors.perfusion_gone)
            if segmented
            else decay.variable_projection(signal, b, floor)
        )
        method = Diffusion.IVIM_SEGMENTED if segmented else Diffusion.IVIM
        return [
            Parameter(
                Diffusion.D, Unit.UM2_PER_S, method, _on_grid(fit.d, body, _PER_MM2), 3000.0,
                r2=_on_grid(fit.r2, body),
            ),
            Parameter(
                Diffusion.D_STAR, Unit.UM2_PER_S, method, _on_grid(fit.d_star, body, _PER_MM2), 100_000.0
            ),
            Parameter(Diffusion.F, Unit.ONE, method, _on_grid(fit.f, body), 0.5),
        ], []  # fmt: skip
    refused = [(Diffusion.D_STAR, lacking), (Diffusion.F, lacking)]
    high = b >= factors.perfusion_gone
    if np.count_nonzero(high) < 2 or high.all():
        return [], [(Diffusion.D, lacking), *refused]
    tissue = decay.log_linear(signal[high], b[high], floor)
    voxels = _on_grid(tissue.d, body, _PER_MM2)
    return [Parameter(Diffusion.D, Unit.UM2_PER_S, Diffusion.tissue(b[high].tolist()), voxels, 3000.0)], refused


def _on_grid(values: Values, body: Bools, factor: float = 1.0) -> Floats:
    voxels = np.full(body.shape, np.nan, dtype=np.float32)
    voxels[body] = values * factor
    voxels.flags.writeable = False
    return voxels


def _statistics(
    parameter: Parameter,
    geometry: Geometry,
    roi: Roi,
    role: Role | None,
    series_uids: tuple[str, ...],
    percents: Sequence[int],
) -> list[Quantity | NotMeasured]:
    inside = parameter.voxels[roi.mask]
    finite = np.isfinite(inside)

    def told(value: float, modifier: Code | None, code: Code = parameter.code, unit: Code = Unit.ONE) -> Quantity:
        return Quantity(roi.tracking_id, role, code, value, unit, modifier, parameter.method, series_uids)

    def lacks(words: str, modifier: Code | None = None) -> NotMeasured:
        where = (roi.tracking_id, role, TooFewVoxels(words), parameter.code, series_uids)
        return NotMeasured(*where, modifier=modifier, method=parameter.method)

    if not finite.any():
        return [lacks(f"no voxel of the region has a fit of {parameter.code.meaning}")]
    found = _histogram(parameter, inside, roi, role, series_uids, percents)
    if parameter.at_floor is not None and (low := int(np.count_nonzero(parameter.at_floor[roi.mask] & finite))):
        found = _flagged(found, low, int(np.count_nonzero(finite)))

    def lowest() -> Quantity | NotMeasured:
        discs = _disc_means(parameter.voxels, roi.mask, geometry)
        if not len(discs):
            return lacks(f"no disc of {DISC_MM2:g} mm2 fits into the region", Diffusion.LOWEST_DISC)
        return told(lowest_disc(discs), Diffusion.LOWEST_DISC, unit=parameter.unit)

    if parameter.brief:
        found = [one for one in found if isinstance(one, Quantity) and one.modifier == Derivation.MEAN]
    if parameter.lowest:
        found.append(lowest())
    if parameter.r2 is not None:
        r2 = parameter.r2[roi.mask][finite].astype(np.float64)
        explained = r2[np.isfinite(r2)]
        if len(explained):
            found.append(told(goodness(explained), Derivation.MEAN, Diffusion.R2))
    if not (parameter.brief or finite.all()):
        found.append(told(excluded(finite), None, Diffusion.EXCLUDED))
    return found


def _flagged(found: list[Quantity | NotMeasured], low: int, voxels: int) -> list[Quantity | NotMeasured]:
    """The mean with a flag on the voxels of which a sample is at the noise floor."""
    flag = f"in {low} of {voxels} voxels a sample is at the noise floor: there this fit reads low, the weighted one not"
    return [
        replace(one, flags=(*one.flags, flag)) if isinstance(one, Quantity) and one.modifier == Derivation.MEAN else one
        for one in found
    ]


def _histogram(
    parameter: Parameter,
    inside: Floats,
    roi: Roi,
    role: Role | None,
    series_uids: tuple[str, ...],
    percents: Sequence[int],
) -> list[Quantity | NotMeasured]:
    """The statistics of ``histogram``. How a coefficient was fitted goes before how its statistic was taken, but for
    the entropy, which says nothing without its bins."""
    bins = BIN_WIDTHS[parameter.code]
    found = histogram_of(
        inside, parameter.code, parameter.unit, roi.tracking_id, role, series_uids, bin_width=bins, percents=percents
    )  # fmt: skip
    return [
        replace(one, method=parameter.method)
        if isinstance(one, Quantity) and one.modifier != Histogram.ENTROPY
        else one
        for one in found
    ]


def _disc_means(voxels: Floats, mask: Bools, geometry: Geometry) -> Values:
    """The mean of every disc that lies wholly in the region and its values, (n,)."""
    disc = _disc(geometry.spacing_mm[1], geometry.spacing_mm[2])
    found = [np.empty(0)]
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        inside = mask[index] & np.isfinite(voxels[index])
        window = ndimage.find_objects(inside.astype(np.uint8))
        if not window or window[0] is None:
            continue
        part = inside[window[0]]
        whole = ndimage.binary_erosion(part, structure=disc)
        sums = ndimage.convolve(
            np.where(part, voxels[index][window[0]], 0).astype(np.float64), disc.astype(np.float64), mode="constant"
        )
        found.append(sums[whole] / disc.sum())
    return np.concatenate(found)


def _disc(down_mm: float, across_mm: float) -> Bools:
    """The pixels whose centres lie in a disc of ``DISC_MM2`` about the middle one."""
    radius = float(np.sqrt(DISC_MM2 / np.pi))
    rows, columns = int(radius / down_mm), int(radius / across_mm)
    row, column = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    return np.asarray((row * down_mm) ** 2 + (column * across_mm) ** 2 <= radius**2)
