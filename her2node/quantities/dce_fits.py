"""Tracer models of DCE curves, voxels by the block, and the fate of each: fitted, or why not.

A fit that cannot be true (nothing taken up, ve or vp above the whole tissue, kep beyond what the sampling tells) is no
value; its fate says so by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial

import numpy as np
import numpy.typing as npt

from her2node.dicom.codes import Code, Dce
from her2node.errors import OutsideRegime, Refused
from her2node.quantities import kinetics, tofts
from her2node.quantities.dce_input import ArterialInput
from her2node.quantities.dce_signal import Places, Signal
from her2node.quantities.kinetics import Floats
from her2node.volumes.volume import Bools
from her2node.volumes.volume import Floats as Voxels

LONGEST_INTERVAL_S = 3.0
"""Between samples while the bolus passes, for a model with flow."""
SHORTEST_WATCH_S = 45.0
"""From the arrival to the last image, for a model with exchange."""
LEAST_BACKFLOW = 0.3
"""kep times the time watched, up to which Patlak's line holds: its Ktrans is low by about half of it."""
LEAST_EXCHANGE = 0.02
"""PS over flow, below which nothing of the curve comes from the interstitium."""
DELAYS_S = np.array([0.0])
"""The input is as late as the tissue already."""


Fates = npt.NDArray[np.int8]


class Fate(IntEnum):
    """What became of a voxel. Others than the first have no value of the model."""

    FITTED = 0
    NO_IMAGE = 1
    NO_RISE = 2
    NO_T1 = 3
    BEYOND_SIGNAL = 4
    NO_TRANSFER = 5
    VE_ABOVE_1 = 6
    VP_ABOVE_1 = 7
    KEP_AT_EDGE = 8
    ONE_COMPARTMENT = 9

    @property
    def words(self) -> str:
        return _FATES[self]


_FATES = {
    Fate.FITTED: "fitted",
    Fate.NO_IMAGE: "outside the body or without image",
    Fate.NO_RISE: "no uptake that could be told from noise",
    Fate.NO_T1: "no T1 from the flip angles",
    Fate.BEYOND_SIGNAL: "signal beyond what the sequence can give",
    Fate.NO_TRANSFER: "Ktrans not positive",
    Fate.VE_ABOVE_1: "ve above 1",
    Fate.VP_ABOVE_1: "vp above 1",
    Fate.KEP_AT_EDGE: "kep faster than can be told",
    Fate.ONE_COMPARTMENT: "one compartment explains the curve, so two cannot be told apart",
}


@dataclass(frozen=True)
class Parameters:
    """What a model gives of curves, each (n,): rates in 1/s, volumes in 1; None where the model has no such thing.
    ``at_edge``: kep is as fast as it can be; ``alone``: the second of two compartments explains nothing."""

    ktrans: Floats
    kep: Floats | None = None
    ve: Floats | None = None
    vp: Floats | None = None
    flow: Floats | None = None
    exchange: Floats | None = None
    at_edge: Bools | None = None
    alone: Bools | None = None

    def fates(self) -> Fates:
        """The fate (n,) of each curve."""
        found = np.full(len(self.ktrans), Fate.FITTED, dtype=np.int8)
        if self.at_edge is not None:
            found[self.at_edge] = Fate.KEP_AT_EDGE
        for volumes, fate in ((self.vp, Fate.VP_ABOVE_1), (self.ve, Fate.VE_ABOVE_1)):
            if volumes is not None:
                found[~(volumes <= 1)] = fate
        found[~(self.ktrans > 0)] = Fate.NO_TRANSFER
        if self.alone is not None:
            found[self.alone] = Fate.ONE_COMPARTMENT
        return found


@dataclass(frozen=True)
class Model:
    """A tracer model: its code for voxels and for a mean curve, how it is fitted, and why it cannot be."""

    code: Code
    of_curve: Code
    run: Callable[[Signal, ArterialInput, Floats], Parameters]
    refusal: Callable[[Signal, ArterialInput], Refused | None]


def _one_compartment(
    fit: Callable[[kinetics.Inflow, Floats], tofts.Transfer], signal: Signal, given: ArterialInput, curves: Floats
) -> Parameters:
    found = fit(given.inflow, curves)
    vp = None if fit is tofts.tofts else found.vp
    return Parameters(found.ktrans, found.kep, found.ktrans / found.kep, vp, at_edge=found.at_edge)


def _line(signal: Signal, given: ArterialInput, curves: Floats) -> Parameters:
    times_s, samples = signal.volume.times_s, given.inflow.arterial[:: given.inflow.every]
    found = kinetics.patlak(times_s, samples, curves, signal.arrival_s)
    return Parameters(found.exchange, vp=np.maximum(found.volume, 0.0))


def _exchange(signal: Signal, given: ArterialInput, curves: Floats) -> Parameters:
    """Ktrans = F PS / (F + PS) (Sourbron and Buckley 2013)."""
    samples = given.inflow.arterial[:: given.inflow.every]
    found = kinetics.two_compartment_exchange(signal.volume.times_s, samples, curves, DELAYS_S)
    flow, exchange = found.flow, found.exchange
    with np.errstate(divide="ignore", invalid="ignore"):
        ktrans = flow * exchange / (flow + exchange)
        kep = ktrans / found.interstitium
    alone = (flow > 0) & ~(exchange > LEAST_EXCHANGE * flow)
    return Parameters(ktrans, kep, found.interstitium, found.volume, flow, exchange, alone=alone)


def _always(signal: Signal, given: ArterialInput) -> Refused | None:
    return None


def _sampled(signal: Signal, given: ArterialInput) -> Refused | None:
    """Why flow cannot be told."""
    bolus = signal.bolus
    if not given.measured:
        return OutsideRegime("flow takes an arterial input measured in the images")
    if bolus.interval_s > LONGEST_INTERVAL_S * 1.01:
        return OutsideRegime(
            f"{bolus.interval_s:.1f} s between samples during the bolus, {LONGEST_INTERVAL_S:g} s at most"
        )
    if bolus.watched_s < SHORTEST_WATCH_S:
        return OutsideRegime(f"{bolus.watched_s:.0f} s after the arrival, {SHORTEST_WATCH_S:g} s needed")
    return None


MODELS = {
    "tofts": Model(Dce.TOFTS, Dce.TOFTS_CURVE, partial(_one_compartment, tofts.tofts), _always),
    "extended-tofts": Model(
        Dce.EXTENDED_TOFTS, Dce.EXTENDED_TOFTS_CURVE, partial(_one_compartment, tofts.extended_tofts), _always
    ),
    "patlak": Model(Dce.PATLAK, Dce.PATLAK_CURVE, _line, _always),
    "2cxm": Model(Dce.EXCHANGE, Dce.EXCHANGE_CURVE, _exchange, _sampled),
}
"""By the name that settings know."""


def backflow(signal: Signal, transfer: Parameters) -> Refused | None:
    """Why Patlak's line does not hold for a curve of which the extended model gave ``transfer``."""
    kep = float(transfer.kep[0]) if transfer.kep is not None else 0.0
    returned = kep * signal.bolus.watched_s
    if returned > LEAST_BACKFLOW:
        return OutsideRegime(
            f"contrast comes back while it is watched: kep times that time is {returned:.2g}, "
            f"{LEAST_BACKFLOW:g} at most"
        )
    return None


@dataclass(frozen=True)
class Uptake:
    """Concentration curves (k, t) of those of n voxels that have one, which these are (n,), and the fates (n,)."""

    curves: Floats
    has: Bools
    fates: Fates


def uptake(signal: Signal, places: Places) -> Uptake:
    """The concentration curves at places, and why some have none."""
    curves, rates = signal.curves(places), signal.rates(places)
    fates = np.full(len(places), Fate.FITTED, dtype=np.int8)
    found = signal.concentration(curves, rates)
    fates[~np.isfinite(found).all(axis=1)] = Fate.BEYOND_SIGNAL
    fates[~np.isfinite(rates)] = Fate.NO_T1
    fates[~signal.rising(curves)] = Fate.NO_RISE
    fates[~signal.body.reshape(-1)[places]] = Fate.NO_IMAGE
    has = fates == Fate.FITTED
    return Uptake(found[has], has, fates)


@dataclass(frozen=True)
class VoxelFits:
    """Maps (slices, rows, columns) by the name that ``Parameters`` has for each, NaN where there is no value, and
    fates; ``iauc60`` too, in mM s, where ``weights`` were given for it."""

    maps: dict[str, Voxels] = field(repr=False)
    fates: Fates = field(repr=False)


def fit_voxels(signal: Signal, given: ArterialInput, model: Model, weights: Floats | None) -> VoxelFits:
    """Fit the body block by block. ``weights`` (t,) give the initial area under a curve."""
    shape = signal.body.shape
    maps: dict[str, Voxels] = {}
    fates = np.full(shape, Fate.NO_IMAGE, dtype=np.int8)

    def put(name: str, places: Places, values: Floats) -> None:
        plane = maps.setdefault(name, np.full(shape, np.nan, dtype=np.float32))
        plane.reshape(-1)[places] = values

    for places in signal.blocks():
        taken = uptake(signal, places)
        with_curve = places[taken.has]
        fates.reshape(-1)[places] = taken.fates
        found = model.run(signal, given, taken.curves)
        fates.reshape(-1)[with_curve] = found.fates()
        good = found.fates() == Fate.FITTED
        for name, values in (("ktrans", found.ktrans), ("kep", found.kep), ("ve", found.ve), ("vp", found.vp)):
            if values is not None:
                put(name, with_curve[good], values[good])
        if weights is not None:
            put("iauc60", with_curve, taken.curves @ weights)
    return VoxelFits(maps, fates)
