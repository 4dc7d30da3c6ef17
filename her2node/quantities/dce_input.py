"""Plasma concentration over time, measured in an artery or taken from a population, and when it reaches the tissue."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from her2node.errors import NoArterialInput, NoEnhancement
from her2node.quantities import kinetics, population, tofts
from her2node.quantities.dce_signal import Sequence, Signal
from her2node.quantities.kinetics import Floats

PLAUSIBLE_MM = (0.3, 50.0)
"""Highest concentration in the plasma of an artery: below there is no bolus, above the signal is not that of blood."""
SAMPLE = 100
"""Voxels, evenly taken from those that take up contrast, by which the delay is found."""
DELAYS_S = np.arange(0.0, 10.5, 0.5)
"""Of the tissue behind a measured artery."""
EARLIEST_S, DELAY_STEP_S = -20.0, 0.5
"""A population's bolus may come so long before the tissue visibly rises."""
FINEST_S = 0.25
"""Steps at which a population's curve is followed, at most."""


@dataclass(frozen=True)
class ArterialInput:
    """``inflow`` holds the plasma concentration in mM, as late as it reaches the tissue; ``delay_s`` of it behind the
    artery, or the time of the bolus where it is a population's (``measured`` False)."""

    inflow: kinetics.Inflow = field(repr=False)
    measured: bool
    delay_s: float
    words: tuple[str, ...]


def measured(signal: Signal, curve: Floats) -> ArterialInput:
    """From the signal (t,) of an artery: C of blood by its own T1, over 1 - haematocrit.

    Raises NoArterialInput where the concentration is none that blood can have, and what stands in place of a sequence.
    """
    sequence = signal.sequence
    if not isinstance(sequence, Sequence):
        raise sequence
    blood = signal.concentration(curve[np.newaxis], np.array([1 / sequence.blood_t1_s]))[0]
    if not np.isfinite(blood).all():
        raise NoArterialInput("the signal of the artery is higher than the sequence can give")
    plasma = blood / (1 - signal.factors.haematocrit)
    low, high = PLAUSIBLE_MM
    if not low <= plasma.max() <= high:
        raise NoArterialInput(f"plasma in the artery reaches {plasma.max():.3g} mM, {low:g} to {high:g} expected")
    inflow = kinetics.Inflow.of(signal.volume.times_s, plasma)
    words = f"arterial input measured, plasma reaches {plasma.max():.1f} mM"
    return _behind(ArterialInput(inflow, True, 0.0, (words,)), signal)


def from_population(signal: Signal) -> ArterialInput:
    """The function that the settings name, when its bolus explains most of the uptake."""
    function, source = population.INPUTS[signal.factors.population_aif]
    times_s = signal.volume.times_s
    grid = kinetics.Inflow.of(times_s, np.zeros_like(times_s), FINEST_S)
    blood = function(grid.times_s - (signal.arrival_s + EARLIEST_S))
    early = replace(grid, arterial=blood / (1 - signal.factors.haematocrit))
    delay = tofts.best_delay(early, _sample(signal), np.arange(0.0, -EARLIEST_S + DELAY_STEP_S, DELAY_STEP_S))
    when_s = signal.arrival_s + EARLIEST_S + delay
    words = f"population arterial input {source} for 0.1 mmol/kg whatever was given, its bolus at {when_s:.1f} s"
    blood = function(grid.times_s - when_s)
    inflow = replace(grid, arterial=blood / (1 - signal.factors.haematocrit))
    return ArterialInput(inflow, False, when_s, (words,))


def _behind(found: ArterialInput, signal: Signal) -> ArterialInput:
    """The input as late as it explains most of the uptake."""
    delay = tofts.best_delay(found.inflow, _sample(signal), DELAYS_S)
    words = (*found.words, f"tissue {delay:g} s behind the artery")
    return replace(found, inflow=found.inflow.later(delay), delay_s=delay, words=words)


def _sample(signal: Signal) -> Floats:
    """Concentrations (n, t) of some voxels that take up contrast. Raises NoEnhancement."""
    places = np.flatnonzero(signal.body)
    some = places[:: max(1, len(places) // (4 * SAMPLE))]
    curves = signal.curves(some)
    found = signal.concentration(curves, signal.rates(some))
    found = found[signal.rising(curves) & np.isfinite(found).all(axis=1)]
    if not len(found):
        raise NoEnhancement("no voxel of the body takes up contrast that could be told from noise")
    return found[:: max(1, len(found) // SAMPLE)]
