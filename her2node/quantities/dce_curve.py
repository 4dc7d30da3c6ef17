"""What a curve of signal tells of itself: height, times and slopes of relative enhancement.

No sequence, no T1, no arterial input: e = S / S0 - 1, S0 the signal before contrast.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from her2node.quantities.kinetics import Floats


def peak_enhancement(times_s: Floats, relative: Floats, arrival_s: float) -> Floats:
    """Peak enhancement, relative to the signal before contrast.

    Formula: max over t after the arrival of the contrast of S(t) / S0 - 1.
    Unit: 1.
    Shapes: times (t,), relative (n, t).
    Source: this node; the semi-quantitative parameters of the review's DCE studies.
    Known deviation: of single voxels too high by noise.
    """
    return _peak(times_s, relative, arrival_s)[0]


def time_to_peak(times_s: Floats, relative: Floats, arrival_s: float) -> Floats:
    """Time to peak.

    Formula: t of the highest sample after the arrival of the contrast, less the arrival.
    Unit: s.
    Shapes: times (t,), relative (n, t).
    Source: DICOM (113069, DCM).
    Known deviation: one of the sampled times.
    """
    return _peak(times_s, relative, arrival_s)[1] - arrival_s


def wash_in(times_s: Floats, relative: Floats, arrival_s: float) -> Floats:
    """Wash-in rate.

    Formula: 60 x peak enhancement / time to peak.
    Unit: /min.
    Shapes: times (t,), relative (n, t).
    Source: this node; the mean slope from arrival to peak.
    Known deviation: vendors take the steepest slope, which is higher.
    """
    peak, at_s = _peak(times_s, relative, arrival_s)
    return _quotient(60 * peak, at_s - arrival_s)


def wash_out(times_s: Floats, relative: Floats, arrival_s: float) -> Floats:
    """Wash-out rate, negative where the signal falls.

    Formula: 60 x (e(last) - e(peak)) / (t(last) - t(peak)), e = S / S0 - 1.
    Unit: /min.
    Shapes: times (t,), relative (n, t).
    Source: this node; the mean slope from peak to the last image.
    Known deviation: depends on how long was watched; not a number where the last image is the peak.
    """
    peak, at_s = _peak(times_s, relative, arrival_s)
    return _quotient(60 * (relative[:, -1] - peak), times_s[-1] - at_s)


def signal_enhancement_ratio(early: Floats, late: Floats) -> Floats:
    """Signal enhancement ratio (SER).

    Formula: (S(early) - S0) / (S(late) - S0), S straight between samples.
    Unit: 1.
    Shapes: early, late (n,), enhancement at the two times.
    Source: Hylton 1999; the times stand in the method.
    Known deviation: not a number where nothing is enhanced at either time.
    """
    return _quotient(np.where(early > 0, early, np.nan), late)


MEASURES: tuple[Callable[..., Floats], ...] = (
    peak_enhancement,
    time_to_peak,
    wash_in,
    wash_out,
    signal_enhancement_ratio,
)
"""Every quantity of a signal's curve."""


def _peak(times_s: Floats, relative: Floats, arrival_s: float) -> tuple[Floats, Floats]:
    """Height and time (n,) of the highest sample after the arrival, not a number where there is none: what is bright
    before contrast is not made so by contrast."""
    after = times_s > arrival_s
    if not after.any():
        return np.full(len(relative), np.nan), np.full(len(relative), np.nan)
    found = relative[:, after]
    height = found.max(axis=1)
    return height, np.where(np.isfinite(height), times_s[after][found.argmax(axis=1)], np.nan)


def _quotient(above: Floats, below: Floats) -> Floats:
    """Not a number where there is nothing positive to divide by."""
    found: Floats = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    return found
