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


_DECAYS = ((0.37433458, 0.11269570), (0.33116958, 1.17469342), (10.06124186, 16.01995709))
"""mM, 1/min."""
_ALPHA, _BETA_MIN, _TAU_MIN = 5.26698964, 0.0320788389, 0.1285558460


def georgiou(times_s: Floats) -> Floats:
    """Georgiou 2019 (Magn Reson Med 81:2052), equation 1: three exponentials times a bolus that comes round again.

    sum A exp(-m t) x sum over j of a gamma variate of (t - j tau) with exponent (j + 1) alpha + j and scale beta, t in
    min. The paper prints its parameters to two or three digits (0.37, 0.11; 0.33, 1.17; 10.06, 16.02; 5.26, 0.032,
    0.129); those here have the digits with which the authors' own table of the curve was made, recovered from its first
    18 seconds, which they give to 1e-8. Beyond, the table lies lower by up to 9e-5 of each later round (5e-5 mM).
    """
    t = np.asarray(times_s) / 60
    rounds = max(0, int(np.max(t, initial=0.0) / _TAU_MIN)) + 1
    bolus = np.zeros_like(t)
    for number in range(rounds):
        since = t - number * _TAU_MIN
        power = (number + 1) * _ALPHA + number
        logs = np.log(np.where(since > 0, since, 1.0) / _BETA_MIN)
        variate = np.exp(power * logs - since / _BETA_MIN - gammaln(power + 1)) / _BETA_MIN
        bolus += np.where(since > 0, variate, 0.0)
    return bolus * sum(height * np.exp(-rate * t) for height, rate in _DECAYS)


INPUTS: dict[str, tuple[Callable[[Floats], Floats], str]] = {
    "parker": (parker, "Parker 2006"),
    "georgiou": (georgiou, "Georgiou 2019"),
}
"""By the name that settings know."""
