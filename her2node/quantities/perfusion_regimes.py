"""When a method of CT perfusion may be used: limits of the scan, of its noise, and of the tissue itself.

The first come from the times and the bolus, the second from the curves. Whether a method is good for the tissue is
asked of the method: on curves of tissues that may have given this region's curve, whose parameters are known, it has to
find them. These tissues exchange between two compartments. So 2CXM, tried on curves of its own model, is refused where
noise and times do not let it find the parameters, but never because real tissue is of another kind; no method is asked
that. Pure: each gives a refusal or None.
"""

from __future__ import annotations

import numpy as np

from her2node.dicom.codes import Code, Method
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import OutsideRegime, Refused
from her2node.quantities.bolus import Bolus
from her2node.quantities.kinetics import Floats, noise

LONGEST_INTERVAL_S = 3.0
"""Between samples while the bolus passes; Patlak's line alone does not need the passage."""
MOST_STEPS = 2000
"""Of deconvolution, whose waves take memory by their square: 130 MB at so many."""
SHORTEST_WATCH_S = {"2CXM": 45.0, "2CUM": 25.0}
"""From the arrival of the bolus to the last image."""
LONGEST_WATCH_OF_UPTAKE_S = 75.0
FEWEST_AFTER_PASSAGE, SHORTEST_AFTER_PASSAGE_S = 5, 30.0
"""Patlak: samples, and the span of them, after the first pass in the artery."""
LEAST_CNR = {
    Method.DECONVOLUTION: 5.0,
    Method.MAXIMUM_SLOPE: 20.0,
    Method.PATLAK: 5.0,
    Method.EXCHANGE: 20.0,
    Method.UPTAKE: 10.0,
    Method.OF_CURVE: 10.0,
    Method.ABSOLUTE_TIME: 10.0,
}
"""Rise of the mean curve over the noise of the curves, of the mean curve or of single voxels, that a method needs: at
less its spread or, of maxima, its bias is larger than a third. Bias and spread stand in the table that
``tests/benchmarks/table_perfusion.py`` prints."""
HIGHEST_TAIL = 0.2
"""Of a residue function, as a share of its peak (``deconvolution.Deconvolution.tail``), in maps. Of 240 tissues of flow
10 to 150, volume 2 to 12 % and PS 0 to 30 those below it had BF within 20 and BV within 12 % (10th to 90th percentile,
contrast to noise 5 and up), those above were up to 64 % too low and threefold too high."""
LIKELY_TISSUES = 32
"""That a method is tried on."""
HIGHEST_ERROR, RIGHT_IN = 0.25, 0.5
"""A method is good for a tissue where it is wrong by no more than this share of the truth, in so many of them: in half,
for then the median error is no larger, though some tissues with such a curve are missed by more."""
SMALLEST_ERROR = {Concept.PERMEABILITY: 2.0, Concept.TMAX: 3.0}
"""ml/[100]g/min and s: so much is never held against it."""


def always(bolus: Bolus) -> Refused | None:
    """No limit."""
    return None


def sampled(bolus: Bolus) -> Refused | None:
    """Why the passage of the bolus was not sampled well enough, or None."""
    if bolus.interval_s > LONGEST_INTERVAL_S * 1.01:
        return OutsideRegime(
            f"{bolus.interval_s:.1f} s between samples during the bolus, {LONGEST_INTERVAL_S:g} s at most"
        )
    return None


def sampled_first_pass(bolus: Bolus) -> Refused | None:
    """As ``sampled``, and the first pass has to be over at the last image, within so many even steps."""
    if bolus.passed_s is None:
        return OutsideRegime("the last image comes before the first pass in the artery is over")
    steps = float(bolus.times_s[-1] - bolus.times_s[0]) / bolus.step_s
    if steps > MOST_STEPS:
        return OutsideRegime(f"{steps:.0f} even steps of {bolus.step_s:g} s for deconvolution, {MOST_STEPS} at most")
    return sampled(bolus)


def passed(bolus: Bolus) -> Refused | None:
    """Why Patlak's line cannot be drawn, or None."""
    after = bolus.times_s[bolus.times_s >= (np.inf if bolus.passed_s is None else bolus.passed_s)]
    if len(after) < FEWEST_AFTER_PASSAGE or after[-1] - after[0] < SHORTEST_AFTER_PASSAGE_S:
        span = after[-1] - after[0] if len(after) else 0.0
        return OutsideRegime(
            f"{len(after)} samples over {span:.0f} s after the first pass, "
            f"{FEWEST_AFTER_PASSAGE} over {SHORTEST_AFTER_PASSAGE_S:g} s needed"
        )
    return None


def watched(name: str, bolus: Bolus) -> Refused | None:
    """Why a compartment model cannot be told from the curve, or None."""
    if bolus.watched_s < SHORTEST_WATCH_S[name]:
        return OutsideRegime(
            f"{bolus.watched_s:.0f} s from the arrival of the bolus, {SHORTEST_WATCH_S[name]:g} s needed"
        )
    if name == "2CUM" and bolus.watched_s > LONGEST_WATCH_OF_UPTAKE_S:
        return OutsideRegime(
            f"{bolus.watched_s:.0f} s from the arrival of the bolus, in more than {LONGEST_WATCH_OF_UPTAKE_S:g} s "
            "contrast comes back from the tissue"
        )
    return sampled(bolus)


def contrast_to_noise(bolus: Bolus, hu: Floats) -> tuple[float, float]:
    """Rise of the mean curve over its noise, and over that of single voxels in the median.

    Noise is taken from how far samples lie from the line between their neighbours (median of the absolute). As that
    holds the bend of the curve too, the noise of the mean is at most that of the voxels / sqrt(n / 4): neighbours share
    noise, so four voxels count as one.
    """
    mean = hu.mean(axis=0, keepdims=True)
    rise = float(mean.max() - mean[0, : bolus.baseline].mean())
    of_mean, of_voxels = float(noise(bolus.times_s, mean)[0]), float(np.median(noise(bolus.times_s, hu)))
    of_mean = min(of_mean, 2 * of_voxels / np.sqrt(len(hu)))
    least = 1e-6 * abs(rise)
    return rise / max(of_mean, least), rise / max(of_voxels, least)


def too_noisy(method: Code, cnr: float) -> Refused | None:
    """Why curves of this contrast to noise are not good enough for a method, given for its mean curve, or None."""
    least = LEAST_CNR[method]
    if cnr < least:
        return OutsideRegime(f"the curve rises by {cnr:.1f} times its noise, {least:g} needed")
    return None


def too_far(code: Code, found: Floats, truth: Floats) -> Refused | None:
    """Why a method is not good for tissues like this: what it finds of a quantity in each (n,) is too seldom right."""
    allowed = np.maximum(HIGHEST_ERROR * truth, SMALLEST_ERROR.get(code, 0.0))
    known = np.isfinite(found)
    wrong = np.where(known, found - truth, np.inf)
    right = np.abs(wrong) <= allowed
    if right.mean() >= RIGHT_IN:
        return None
    usual = f"{np.median(found[known]):.3g}" if known.any() else "no value"
    return OutsideRegime(
        f"in tissue with such a curve it is right in {100 * right.mean():.0f} %, {100 * RIGHT_IN:.0f} % needed "
        f"(finds {usual} where {np.median(truth):.3g} is true)"
    )
