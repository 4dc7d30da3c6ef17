"""How a gadolinium agent leaks from blood into tissue, and what a spoiled gradient echo shows of it.

The forward model of the DCE phantom. It solves ve dce/dt = Ktrans (cp - ce) by Runge and Kutta in steps of 20 ms, takes
C = vp cp + ve ce for the tissue, and the signal of the steady state (Ernst) for 1/T1 = 1/T10 + r1 C. It shares nothing
with the methods that are held against it: no convolution, no inversion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from her2node.phantoms.flow import STEP_S, Artery
from her2node.phantoms.shapes import Floats

BLOOD = Artery(peak=6.0, arrival_s=20.0, rise_s=8.0, clearance_s=900.0)
"""Of the agent in whole blood, mmol/l."""


@dataclass(frozen=True)
class Leaky:
    """A tissue of the extended Tofts model; ``vp`` 0 makes it the standard one."""

    ktrans: float
    """1/min."""
    ve: float
    vp: float
    t1_ms: float
    """Without agent."""
    m0: float = 30_000.0
    """Of the signal, in steps of the stored values."""
    delay_s: float = 0.0
    """Behind the artery."""

    @property
    def kep(self) -> float:
        """Ktrans / ve, 1/min."""
        return self.ktrans / self.ve


@dataclass(frozen=True)
class Echo:
    """A spoiled gradient echo."""

    repetition_time_ms: float
    flip_angle_deg: float

    def signal(self, m0: float, t1_ms: float, concentration: Floats, relaxivity: float) -> Floats:
        """M0 sin a (1 - E) / (1 - E cos a), E = exp(-TR / T1), at each concentration (mmol/l)."""
        rate = 1000 / t1_ms + relaxivity * concentration
        left = np.exp(-self.repetition_time_ms / 1000 * rate)
        angle = math.radians(self.flip_angle_deg)
        return np.asarray(m0 * math.sin(angle) * (1 - left) / (1 - left * math.cos(angle)))


def concentration(artery: Artery, tissue: Leaky, haematocrit: float, times_s: tuple[float, ...]) -> Floats:
    """mmol/l in a tissue at ``times_s`` (t,), which ascend from 0 or later; the artery's is that of whole blood."""
    rate = tissue.ktrans / 60 / tissue.ve
    steps = math.ceil(times_s[-1] / STEP_S) + 1
    halves = STEP_S / 2 * np.arange(2 * steps + 1) - tissue.delay_s
    plasma = [artery.at(float(t)) / (1 - haematocrit) for t in halves]
    outside = 0.0
    course = [0.0]
    for step in range(steps):
        begin, middle, end = plasma[2 * step : 2 * step + 3]
        a = rate * (begin - outside)
        b = rate * (middle - outside - STEP_S / 2 * a)
        c = rate * (middle - outside - STEP_S / 2 * b)
        d = rate * (end - outside - STEP_S * c)
        outside += STEP_S / 6 * (a + 2 * b + 2 * c + d)
        course.append(tissue.vp * end + tissue.ve * outside)
    return np.interp(times_s, STEP_S * np.arange(steps + 1), course)


def first_minute(artery: Artery, tissue: Leaky, haematocrit: float) -> float:
    """IAUC60: the area under the tissue's concentration in the 60 s after the agent reaches it, mmol/l s."""
    arrival = artery.arrival_s + tissue.delay_s
    times = tuple(float(t) for t in np.arange(0.0, 60.0 + STEP_S / 2, STEP_S) + arrival)
    return float(np.trapezoid(concentration(artery, tissue, haematocrit, times), times))
