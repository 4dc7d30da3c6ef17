"""Arterial inputs of populations: the contrast in whole blood after an injection, as functions of time.

For patients in whose images no artery can be measured. Times (t,) in seconds after the bolus arrives, concentrations
in mM of whole blood; nothing before the arrival. Both hold for the dose that their subjects had (0.1 mmol/kg).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Floats = npt.NDArray[np.floating[Any]]


def parker(times_s: Floats) -> Floats:
    """Parker 2006 (Magn Reson Med 56:993), table 1: two Gaussians and an exponential that a sigmoid switches on.

    sum A / (sigma sqrt(2 pi)) exp(-(t - T)^2 / (2 sigma^2)) + alpha exp(-beta t) / (1 + exp(-s (t - tau))), t in min.
    """
    t = np.asarray(times_s) / 60
    found = 1.050 * np.exp(-0.1685 * t) / (1 + np.exp(np.clip(-38.078 * (t - 0.483), -700, 700)))
    for area, centre, width in ((0.809, 0.17046, 0.0563), (0.330, 0.365, 0.132)):
        found = found + area / (width * np.sqrt(2 * np.pi)) * np.exp(-((t - centre) ** 2) / (2 * width**2))
    return np.where(t >= 0, found, 0.0)


_DECAYS = ((0.3743345795, 0.1126957003), (0.3311695827, 1.1746934152), (10.0612418649, 16.0199570891))
"""mM, 1/min."""
_ALPHA, _BETA_MIN, _TAU_MIN = 5.26698964042, 0.0320788389173, 0.128555846008
_LACKING = (
    0, 0, 541, 1434, 2698, 2211, 2187, 2523, 3149, 4017, 5091, 6343, 7753, 9302, -7, 1133, 2418, 3833
)  # fmt: skip
"""Of each round of the bolus, in parts of 1e8: what the authors' table has less of it than their equation."""


def georgiou(times_s: Floats) -> Floats:
    """Georgiou 2019 (Magn Reson Med 81:1955, doi 10.1002/mrm.27524), equation 1 as the authors' table has it.

    sum A exp(-m t) x sum over j of a gamma variate of (t - j tau) with exponent (j + 1) alpha + j and scale beta, t in
    min. The paper prints its parameters to two or three digits (0.37, 0.11; 0.33, 1.17; 10.06, 16.02; 5.26, 0.032,
    0.129); those here have the digits with which the authors' own table of the curve was made (5 min, one value in
    0.1 s), recovered from it. By them the table is the equation to 1e-9 mM while the first two rounds of the bolus are
    under way; each later round it has lower by a share that is constant over time, 9.3e-5 at most, as a gamma function
    that is inexact for large arguments would make it. Why is not known. ``_LACKING`` has these shares, so that the
    curve is the published one; rounds after the last of them, which no table tells, are whole.
    """
    t = np.asarray(times_s) / 60
    rounds = max(0, int(np.max(t, initial=0.0) / _TAU_MIN)) + 1
    bolus = np.zeros_like(t)
    for number in range(rounds):
        share = 1 - 1e-8 * _LACKING[number] if number < len(_LACKING) else 1.0
        bolus += share * _round(number, t)
    return bolus * sum(height * np.exp(-rate * t) for height, rate in _DECAYS)


def _round(number: int, t: Floats) -> Floats:
    """The gamma variate (1/min) of the bolus when it comes round for the ``number``-th time, t in min."""
    since = t - number * _TAU_MIN
    power = (number + 1) * _ALPHA + number
    logs = np.log(np.where(since > 0, since, 1.0) / _BETA_MIN)
    variate = np.exp(power * logs - since / _BETA_MIN - gammaln(power + 1)) / _BETA_MIN
    return np.where(since > 0, variate, 0.0)


INPUTS: dict[str, tuple[Callable[[Floats], Floats], str]] = {
    "parker": (parker, "Parker 2006"),
    "georgiou": (georgiou, "Georgiou 2019"),
}
"""By the name that settings know."""
