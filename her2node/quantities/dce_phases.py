"""Contrast-enhanced MR of a handful of phases: what signals before, early and late after contrast tell.

Of too few images for a curve the arrival of the contrast is not known, so no model is fitted and nothing is counted
from it. The first image is taken for the one before contrast, and the time of the others is counted from it; it is
refused where the header says that contrast had been given by then, and flagged where no header says when.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from her2node.dicom.codes import Code, Dce, Unit
from her2node.errors import NoBaseline, NoEnhancement, TooFewVoxels, Undefined
from her2node.quantities import dce_curve
from her2node.quantities.kinetics import Floats
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.dce import DceVolume

MEASURES: tuple[Callable[..., Floats], ...] = ()
"""Every quantity is one of ``dce_curve``."""
LEAST_RISE = 0.1
"""Share of the signal before contrast by which the mean of the phases after it must lie above."""
LONGEST_SINCE_S = 10.0
"""From the start of the injection to an image before contrast: to the abdomen it takes longer."""
_UNTOLD = "no header tells when contrast was given: the first image may have it already"


def measure(volume: DceVolume, roi: Roi, role: Role | None) -> tuple[Quantity | NotMeasured, ...]:
    """The mean curve's enhancement in a region laid on the grid of the phases, its peak, its slopes and its ratio of
    the first phase after contrast over the last (Hylton 1999), or why they are not had."""
    uids = tuple(dict.fromkeys(volume.series_uids))
    inside = roi.mask & volume.valid
    if not inside.any():
        nothing = TooFewVoxels("no voxel of the region has an image in every phase")
        return (NotMeasured(roi.tracking_id, role, nothing, series_uids=uids),)
    begun_s = volume.contrast.start_s
    if begun_s is not None and begun_s < -LONGEST_SINCE_S:
        late = NoBaseline(f"the injection began {-begun_s:.0f} s before the first of {len(volume.times_s)} phases")
        return (NotMeasured(roi.tracking_id, role, late, series_uids=uids),)
    flags = (_UNTOLD,) if begun_s is None else ()
    signal = volume.voxels[:, inside].mean(axis=1, dtype=np.float64)
    if not (signal[0] > 0 and signal[1:].mean() / signal[0] - 1 >= LEAST_RISE):
        flat = NoEnhancement(f"the phases after the first lie less than {LEAST_RISE:.0%} above it")
        return (NotMeasured(roi.tracking_id, role, flat, series_uids=uids),)
    words = (*volume.notes, _words(volume.times_s))
    times_s, relative = volume.times_s, signal[np.newaxis] / signal[0] - 1
    of = times_s, relative, float(times_s[0])
    ratio = dce_curve.signal_enhancement_ratio(relative[:, 1], relative[:, -1])
    of_ratio = Dce.ratio_of_phases(times_s[1], times_s[-1])

    def told(code: Code, unit: Code, method: Code, found: Floats, why: str) -> Quantity | NotMeasured:
        if np.isfinite(found[0]):
            value = float(found[0])
            return Quantity(roi.tracking_id, role, code, value, unit, None, method, uids, flags=flags, parameters=words)
        return NotMeasured(roi.tracking_id, role, Undefined(why), code, uids, method=method)

    first, last = "no phase after the first", "the last phase is the peak"
    return (
        told(Dce.PEAK_ENHANCEMENT, Unit.ONE, Dce.OF_PHASES, dce_curve.peak_enhancement(*of), first),
        told(Dce.TIME_TO_PEAK, Unit.SECOND, Dce.OF_PHASES, dce_curve.time_to_peak(*of), first),
        told(Dce.WASH_IN, Unit.PER_MINUTE, Dce.OF_PHASES, dce_curve.wash_in(*of), first),
        told(Dce.WASH_OUT, Unit.PER_MINUTE, Dce.OF_PHASES, dce_curve.wash_out(*of), last),
        told(Dce.SER, Unit.ONE, of_ratio, ratio, "nothing is enhanced in the first phase or the last"),
    )


def _words(times_s: Floats) -> str:
    at = ", ".join(f"{time:.0f}" for time in times_s)
    return f"{len(times_s)} phases at {at} s, the first taken for the one before contrast, times counted from it"
