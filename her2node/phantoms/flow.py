"""How contrast flows: an arterial curve in closed form, and tissue as two compartments in differential equations.

The forward model of the perfusion phantom. It solves vp dcp/dt = F (ca - cp) - PS (cp - ce), ve dce/dt = PS (cp - ce)
by Runge and Kutta in steps of 20 ms, and shares nothing with the methods that are held against it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STEP_S = 0.02


@dataclass(frozen=True)
class Artery:
    """Contrast in the aorta, in HU over plain (or mmol/l): a gamma variate of height ``peak`` that begins at
    ``arrival_s`` and is highest ``rise_s`` later, a second lower and wider pass of it, and a slow decline of what stays
    in the blood."""

    peak: float = 300.0
    arrival_s: float = 6.0
    rise_s: float = 8.0
    sharpness: float = 3.0
    again: float = 0.18
    again_after_s: float = 18.0
    staying: float = 0.15
    clearance_s: float = 600.0

    def at(self, t: float) -> float:
        """HU over plain (or mmol/l) at ``t`` seconds."""
        since = t - self.arrival_s
        if since <= 0:
            return 0.0
        first = _gamma(since / self.rise_s, self.sharpness)
        second = self.again * _gamma((since - self.again_after_s) / (2 * self.rise_s), self.sharpness)
        stays = self.staying * (1 - math.exp(-since / 20)) * math.exp(-since / self.clearance_s)
        return self.peak * (first + second + stays)


def _gamma(u: float, sharpness: float) -> float:
    return 0.0 if u <= 0 else float((u * math.exp(1 - u)) ** sharpness)


@dataclass(frozen=True)
class Tissue:
    """Flow and exchange per 100 ml of tissue and minute, volumes as shares; ``delay_s`` behind the aorta."""

    flow: float
    """Plasma flow F, ml/100 ml/min, of the arterial fluid that ``Artery`` describes."""
    volume: float
    """Of the vascular compartment, vp."""
    exchange: float = 0.0
    """PS, ml/100 ml/min."""
    interstitium: float = 0.2
    """ve; plays no part without exchange."""
    delay_s: float = 0.0

    @property
    def transit_s(self) -> float:
        """vp / F."""
        return 6000 * self.volume / self.flow


def uptake(artery: Artery, tissue: Tissue, times_s: tuple[float, ...]) -> Floats:
    """HU over plain of a tissue at ``times_s`` (t,), which ascend from 0 or later."""
    flow, exchange = tissue.flow / 6000, tissue.exchange / 6000
    steps = math.ceil(times_s[-1] / STEP_S) + 1
    ca = [artery.at(STEP_S * half / 2 - tissue.delay_s) for half in range(2 * steps + 1)]

    def rate(inflow: float, cp: float, ce: float) -> tuple[float, float]:
        across = exchange * (cp - ce)
        return (flow * (inflow - cp) - across) / tissue.volume, across / tissue.interstitium

    cp = ce = 0.0
    course = [0.0]
    for step in range(steps):
        begin, middle, end = ca[2 * step : 2 * step + 3]
        a, b = rate(begin, cp, ce)
        c, d = rate(middle, cp + STEP_S / 2 * a, ce + STEP_S / 2 * b)
        e, f = rate(middle, cp + STEP_S / 2 * c, ce + STEP_S / 2 * d)
        g, h = rate(end, cp + STEP_S * e, ce + STEP_S * f)
        cp += STEP_S / 6 * (a + 2 * c + 2 * e + g)
        ce += STEP_S / 6 * (b + 2 * d + 2 * f + h)
        course.append(tissue.volume * cp + tissue.interstitium * ce)
    return np.interp(times_s, STEP_S * np.arange(steps + 1), course)
