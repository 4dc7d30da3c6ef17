"""CT perfusion voxel by voxel: the quantities of ``perfusion`` as maps, some thousand voxels at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from her2node.dicom.codes import Code, Method, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import Refused
from her2node.quantities import kinetics, perfusion
from her2node.quantities import perfusion_regimes as regimes
from her2node.quantities.bolus import Bolus
from her2node.quantities.kinetics import Floats
from her2node.quantities.quantity import NotMeasured, QuantityMap
from her2node.selection.roles import Role
from her2node.volumes.volume import Bools, Geometry, SliceSource
from her2node.volumes.volume import Floats as Voxels

VOXELS_AT_ONCE = 8192


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
    ``perfusion.LEAST_ENHANCEMENT_HU`` has neither times nor transit. A method outside its regime is a NotMeasured.
    """
    groups = (
        _Group(_DECONVOLVED, _Deconvolved(bolus, factors), regimes.sampled_first_pass(bolus)),
        _Group(_ENHANCED, _Enhanced(bolus), None),
        _Group(_LINED, _Lined(bolus, factors), regimes.passed(bolus)),
    )
    running = [group for group in groups if group.refused is None]
    planes = {kind: np.full(mask.shape, np.nan, dtype=np.float32) for group in running for kind in group.kinds}
    for places, curves in _curves(voxels, mask):
        enhancement = perfusion.Curves.of(bolus, curves).enhancement
        for group in running:
            for kind, values in zip(group.kinds, group.way(enhancement), strict=True):
                planes[kind].reshape(-1)[places] = values
    parameters = (*factors.words, *words)
    return tuple(
        NotMeasured("", Role.PERFUSION, group.refused, kind.code, grid.series_uids)
        if group.refused is not None
        else _map(kind, planes[kind], grid, parameters)
        for group in groups
        for kind in group.kinds
    )


@dataclass(frozen=True)
class _Group:
    """Maps that are calculated together, how, and why not."""

    kinds: tuple[_Kind, ...]
    way: Callable[[Floats], Sequence[Floats]]
    refused: Refused | None


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


def _curves(voxels: Voxels, mask: Bools) -> Iterator[tuple[np.ndarray[tuple[int], np.dtype[np.intp]], Voxels]]:
    """(places in the flat image, curves (n, t)), so many at a time."""
    flat = voxels.reshape(len(voxels), -1)
    places = np.flatnonzero(mask)
    for begin in range(0, len(places), VOXELS_AT_ONCE):
        some = places[begin : begin + VOXELS_AT_ONCE]
        yield some, np.ascontiguousarray(flat[:, some].T)


def _rising(enhancement: Floats) -> Bools:
    return perfusion.peak_enhancement(enhancement) >= perfusion.LEAST_ENHANCEMENT_HU


class _Deconvolved:
    def __init__(self, bolus: Bolus, factors: perfusion.Factors) -> None:
        self._deconvolver = perfusion.deconvolver_of(bolus, np.float32)
        self._step_s = bolus.step_s
        self._bolus, self._factors = bolus, factors

    def __call__(self, enhancement: Floats) -> Sequence[Floats]:
        steady = kinetics.even(self._bolus.times_s, enhancement, self._step_s)[1]
        found = self._deconvolver(steady, self._factors.oscillation_index)
        rising = _rising(enhancement) & (found.peak > 0)
        transit = perfusion.mean_transit_time(found.area, found.peak)
        return (
            perfusion.blood_flow(found.peak, self._factors),
            perfusion.blood_volume(found.area, self._factors),
            np.where(rising, transit, np.nan),
            np.where(rising, perfusion.tmax(found), np.nan),
        )


class _Enhanced:
    def __init__(self, bolus: Bolus) -> None:
        self._bolus = bolus

    def __call__(self, enhancement: Floats) -> Sequence[Floats]:
        peak_s = perfusion.time_to_peak(self._bolus.times_s, enhancement, self._bolus.arrival_s)
        return perfusion.peak_enhancement(enhancement), np.where(_rising(enhancement), peak_s, np.nan)


class _Lined:
    def __init__(self, bolus: Bolus, factors: perfusion.Factors) -> None:
        self._bolus, self._factors = bolus, factors

    def __call__(self, enhancement: Floats) -> Sequence[Floats]:
        bolus = self._bolus
        found = kinetics.patlak(bolus.times_s, bolus.arterial, enhancement, bolus.passed_s or np.inf)
        return (perfusion.permeability(found.exchange, self._factors),)
