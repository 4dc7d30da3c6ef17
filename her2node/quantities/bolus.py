"""The bolus in the artery: when it comes, how high it is, when its first pass is over. From one curve alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from her2node.errors import NoArterialInput, NoBaseline, TooFewTimePoints
from her2node.quantities.deconvolution import Convolution, Deconvolver
from her2node.quantities.kinetics import Floats, even

FEWEST_TIME_POINTS = 8
"""Below this there is a handful of phases, not a curve."""
ARRIVED = 0.1
"""Share of the peak at which the bolus has come."""
PASSED = 1 / 3
"""Share of the peak below which the first pass is over, unless the curve rises again before."""


@dataclass(frozen=True)
class Bolus:
    """The arterial curve and its times.

    ``arterial`` (t,) is the enhancement over the mean of the first ``baseline`` samples. ``arrival_s`` is when it
    crosses a tenth of its peak, ``passed_s`` when the first pass is over: the first lowest sample after the peak, or
    the first below a third of it; None when it is not over at the last image.
    """

    times_s: Floats = field(repr=False)
    arterial: Floats = field(repr=False)
    baseline: int
    arrival_s: float
    peak: float
    peak_s: float
    passed_s: float | None
    _inverses: dict[Convolution, Deconvolver] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def interval_s(self) -> float:
        """The longest interval between samples from the arrival to the end of the first pass."""
        end = self.passed_s if self.passed_s is not None else float(self.times_s[-1])
        gaps = np.diff(self.times_s)
        during = (self.times_s[1:] > self.arrival_s) & (self.times_s[:-1] < end)
        return float(gaps[during].max()) if during.any() else float(gaps.max())

    @property
    def step_s(self) -> float:
        """Even steps for deconvolution: the median interval where all are alike, else the shortest, half a second at
        least."""
        gaps = np.diff(self.times_s)
        typical = float(np.median(gaps))
        return typical if np.abs(gaps - typical).max() < 0.02 * typical else max(float(gaps.min()), 0.5)

    def deconvolver(self, convolution: Convolution) -> Deconvolver:
        """The inverse of the arterial curve on even steps, made once."""
        if convolution not in self._inverses:
            steady = even(self.times_s, self.arterial, self.step_s)[1]
            self._inverses[convolution] = Deconvolver.of(steady, self.step_s, convolution=convolution)
        return self._inverses[convolution]

    @property
    def watched_s(self) -> float:
        """Seconds from the arrival to the last image."""
        return float(self.times_s[-1] - self.arrival_s)


def bolus_of(times_s: Floats, curve: Floats, least: float) -> Bolus:
    """Find the bolus in a curve (t,) that rises by at least ``least`` in its own unit.

    Raises TooFewTimePoints, NoBaseline (the curve is high from the first sample), NoArterialInput (it does not rise).
    """
    if len(times_s) < FEWEST_TIME_POINTS:
        raise TooFewTimePoints(f"{len(times_s)}, {FEWEST_TIME_POINTS} needed")
    if not np.isfinite(curve).all():
        raise NoArterialInput("the arterial region has no image at some time points")
    top = int(curve.argmax())
    if top == 0 and curve[0] - curve.min() >= least:
        raise NoBaseline("contrast is highest in the first image")
    before = _baseline(curve, top)
    base = float(curve[:before].mean())
    arterial = curve - base
    peak = float(arterial[top])
    if peak < least:
        raise NoArterialInput(f"the highest rise is {peak:.3g}, {least:g} needed")
    if arterial[0] > ARRIVED * peak:
        raise NoBaseline("the first image has contrast already")
    return Bolus(
        times_s, arterial, before, _arrival(times_s, arterial, top), peak, float(times_s[top]),
        _passed(times_s, arterial, top),
    )  # fmt: skip


def _baseline(curve: Floats, top: int) -> int:
    """How many samples lie before the bolus: those before the last one under a tenth of the rise, one at least."""
    count = 1
    for _ in range(3):
        base = curve[:count].mean()
        low = np.flatnonzero(curve[: top + 1] < base + ARRIVED * (curve[top] - base))
        count = max(1, int(low[-1]) if len(low) else 1)
    return count


def _arrival(times_s: Floats, arterial: Floats, top: int) -> float:
    level = ARRIVED * arterial[top]
    last = int(np.flatnonzero(arterial[:top] < level)[-1])
    share = (level - arterial[last]) / (arterial[last + 1] - arterial[last])
    return float(times_s[last] + share * (times_s[last + 1] - times_s[last]))


def _passed(times_s: Floats, arterial: Floats, top: int) -> float | None:
    for place in range(top + 1, len(arterial) - 1):
        rises = arterial[place + 1] > arterial[place] and arterial[place] < 0.7 * arterial[top]
        if arterial[place] < PASSED * arterial[top] or rises:
            return float(times_s[place])
    return None
