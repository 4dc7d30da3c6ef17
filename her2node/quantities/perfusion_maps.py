"""CT perfusion voxel by voxel: the quantities of ``perfusion`` as maps, some thousand voxels at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from her2node.dicom.codes import Code, Histogram, Method, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import Refused
from her2node.quantities import kinetics, perfusion
from her2node.quantities import perfusion_regimes as regimes
from her2node.quantities.bolus import Bolus
from her2node.quantities.deconvolution import Deconvolver
from her2node.quantities.histogram import histogram_of
from her2node.quantities.kinetics import Floats, in_blocks
from her2node.quantities.quantity import NotMeasured, Quantity, QuantityMap
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Bools, Geometry, SliceSource
from her2node.volumes.volume import Floats as Voxels

VOXELS_AT_ONCE = 8192
AROUND = (1, 5, 5)
"""Voxels over which it is judged whether deconvolution is in its regime, lest noise decides."""
_BELOW = "slope of Patlak's line: below PS where flow limits it or contrast comes back, in leaking tumours by half"

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Grid:
    """Where the maps lie: the grid, one source a slice, and the series."""

    geometry: Geometry
    sources: tuple[SliceSource, ...]
    series_uids: tuple[str, ...]


@dataclass(frozen=True)
class _Kind:
    code: Code
    unit: Code
    method: Code
    low: float
    high: float


_DECONVOLVED = (
    _Kind(Concept.BLOOD_FLOW, Unit.FLOW, Method.DECONVOLUTION_MAP, 0, 150),
    _Kind(Concept.BLOOD_VOLUME, Unit.VOLUME_SHARE, Method.DECONVOLUTION_MAP, 0, 30),
    _Kind(Concept.MEAN_TRANSIT_TIME, Unit.SECOND, Method.DECONVOLUTION_MAP, 0, 30),
    _Kind(Concept.TMAX, Unit.SECOND, Method.DECONVOLUTION_MAP, 0, 20),
)
_ENHANCED = (
    _Kind(Concept.PEAK_ENHANCEMENT, Unit.HU, Method.OF_EACH_VOXEL, 0, 150),
    _Kind(Concept.TIME_TO_PEAK, Unit.SECOND, Method.OF_EACH_VOXEL, 0, 40),
)
_LINED = (_Kind(Concept.PERMEABILITY, Unit.FLOW, Method.PATLAK_MAP, 0, 60),)


def maps(
    bolus: Bolus, voxels: Voxels, mask: Bools, grid: Grid, factors: perfusion.Factors, words: tuple[str, ...] = ()
) -> tuple[QuantityMap | NotMeasured, ...]:
    """BF, BV, MTT and Tmax by deconvolution, peak enhancement, time to peak and PS by Patlak's line, within ``mask``.

    ``voxels`` (t, slices, rows, columns) in HU on the times of ``bolus``. A voxel that rises by less than
    ``perfusion.LEAST_ENHANCEMENT_HU`` has neither times nor transit, and one that deconvolution is no good for has
    nothing by it. A method whose regime the whole scan is outside of is a NotMeasured.
    """
    deconvolved = _Deconvolved(bolus, factors, mask.shape)
    groups = (
        _Group(_DECONVOLVED, deconvolved, regimes.sampled_first_pass(bolus)),
        _Group(_ENHANCED, _Enhanced(bolus), None),
        _Group(_LINED, _Lined(bolus, factors), regimes.passed(bolus), (_BELOW,)),
    )
    running = [group for group in groups if group.refused is None]
    planes = {kind: np.full(mask.shape, np.nan, dtype=np.float32) for group in running for kind in group.kinds}
    for places, curves in _curves(voxels, mask):
        over_baseline = perfusion.Curves.of(bolus, curves)
        for group in running:
            for kind, values in zip(group.kinds, group.way(places, over_baseline), strict=True):
                planes[kind].reshape(-1)[places] = values
    parameters = (*factors.words, *words)
    said = {kind: deconvolved.limit(kind, planes[kind]) for kind in _DECONVOLVED if kind in planes}
    return tuple(
        NotMeasured("", Role.PERFUSION, group.refused, kind.code, grid.series_uids)
        if group.refused is not None
        else _map(kind, planes[kind], grid, (*parameters, *said.get(kind, group.words)))
        for group in groups
        for kind in group.kinds
    )


def of_maps(
    drawn: Sequence[QuantityMap | NotMeasured], roi: Roi, percents: Sequence[int]
) -> Iterator[Quantity | NotMeasured]:
    """The distribution of every map's values over a region on its grid; voxels that a map leaves open do not count.

    A value bears the method of its map, the entropy that of its bins: a hundredth of the map's window wide.
    """
    for one in drawn:
        if not isinstance(one, QuantityMap):
            continue
        found = histogram_of(
            one.voxels[roi.mask], one.code, one.unit, roi.tracking_id, one.role, one.series_uids,
            bin_width=(one.high - one.low) / 100, percents=percents,
        )  # fmt: skip
        for value in found:
            method = value.method if value.modifier == Histogram.ENTROPY else one.method
            if isinstance(value, Quantity):
                value = replace(value, parameters=one.parameters)
            yield replace(value, method=method)


@dataclass(frozen=True)
class _Group:
    """Maps that are calculated together, how, and why not."""

    kinds: tuple[_Kind, ...]
    way: Callable[[Places, perfusion.Curves], Sequence[Floats]]
    refused: Refused | None
    words: tuple[str, ...] = ()


def _map(kind: _Kind, values: Voxels, grid: Grid, parameters: tuple[str, ...]) -> QuantityMap:
    values.flags.writeable = False
    return QuantityMap(
        code=kind.code,
        unit=kind.unit,
        geometry=grid.geometry,
        voxels=values,
        sources=grid.sources,
        series_uids=grid.series_uids,
        low=kind.low,
        high=kind.high,
        role=Role.PERFUSION,
        method=kind.method,
        parameters=parameters,
    )


def _curves(voxels: Voxels, mask: Bools) -> Iterator[tuple[Places, Voxels]]:
    """(places in the flat image, curves (n, t)), so many at a time."""
    flat = voxels.reshape(len(voxels), -1)
    for some in in_blocks(np.flatnonzero(mask), VOXELS_AT_ONCE):
        yield some, np.ascontiguousarray(flat[:, some].T)


def _rising(curves: perfusion.Curves) -> Bools:
    return curves.peaks >= perfusion.LEAST_ENHANCEMENT_HU


class _Deconvolved:
    """Deconvolution, and what tells of each voxel that rises whether it is in its regime."""

    def __init__(self, bolus: Bolus, factors: perfusion.Factors, shape: tuple[int, ...]) -> None:
        self._bolus, self._factors = bolus, factors
        self._rising, self._tail, self._resolved = (np.zeros(shape, dtype=np.float32) for _ in range(3))

    @cached_property
    def _deconvolver(self) -> Deconvolver:
        """Made only where the scan is in its regime."""
        return self._bolus.deconvolver(self._factors.convolution).single()

    def __call__(self, places: Places, curves: perfusion.Curves) -> Sequence[Floats]:
        steady = kinetics.even(self._bolus.times_s, curves.enhancement, self._bolus.step_s)[1]
        found = self._deconvolver(steady, self._factors.oscillation_index)
        rising = _rising(curves) & (found.peak > 0)
        self._rising.reshape(-1)[places] = rising
        self._tail.reshape(-1)[places] = np.where(rising, np.clip(found.tail, -1, 1), 0.0)
        self._resolved.reshape(-1)[places] = rising & found.resolved
        transit = perfusion.mean_transit_time(found.volume, found.flow)
        return (
            perfusion.blood_flow(found.flow, self._factors),
            perfusion.blood_volume(found.volume, self._factors),
            np.where(rising, transit, np.nan),
            np.where(rising, perfusion.tmax(found), np.nan),
        )

    def limit(self, kind: _Kind, values: Voxels) -> tuple[str, ...]:
        """Leave open what lies outside the regime, and say how much that is. What does not rise stays: it is no flow.

        A residue function that does not come down holds leakage or more than was watched, and of a transit that is not
        resolved the volume alone is known.
        """
        tail, resolved = self._local
        outside = tail > regimes.HIGHEST_TAIL
        if kind.code != Concept.BLOOD_VOLUME:
            outside |= resolved < 0.5
        outside &= self._rising > 0
        values[outside] = np.nan
        share = int(np.count_nonzero(outside)) / max(1, int(np.count_nonzero(self._rising)))
        return (f"left open outside the regime of deconvolution: {100 * share:.0f} % of what takes up contrast",)

    @cached_property
    def _local(self) -> tuple[Voxels, Voxels]:
        """Tail, and share of what is resolved, in the mean of the rising voxels around each."""
        rising = np.maximum(ndimage.uniform_filter(self._rising, AROUND), 1e-3)
        tail, resolved = (ndimage.uniform_filter(each, AROUND) / rising for each in (self._tail, self._resolved))
        return tail, resolved


class _Enhanced:
    def __init__(self, bolus: Bolus) -> None:
        self._bolus = bolus

    def __call__(self, places: Places, curves: perfusion.Curves) -> Sequence[Floats]:
        arrival_s = self._bolus.arrival_s
        peak_s = perfusion.time_to_peak(self._bolus.times_s, curves.enhancement, arrival_s, arrival_s)
        return curves.peaks, np.where(_rising(curves), peak_s, np.nan)


class _Lined:
    def __init__(self, bolus: Bolus, factors: perfusion.Factors) -> None:
        self._bolus, self._factors = bolus, factors

    def __call__(self, places: Places, curves: perfusion.Curves) -> Sequence[Floats]:
        bolus = self._bolus
        found = kinetics.patlak(bolus.times_s, bolus.arterial, curves.enhancement, bolus.passed_s or np.inf)
        return (perfusion.permeability(found.exchange, self._factors),)
