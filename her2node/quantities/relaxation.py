"""Signal, relaxation and contrast: the spoiled gradient echo turned around.

S = M0 sin(a) (1 - E1) / (1 - cos(a) E1), E1 = exp(-TR R1), at echo times so short that T2* does not show; contrast
adds r1 C to R1. Rates are per second, times in seconds, angles in degrees, concentrations in mM. NaN stands where a
signal permits no answer. What differs by agent or by field has its source beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

R1_RANGE = (0.05, 100.0)
"""Per second: T1 from 10 ms to 20 s. A fit that ends there says nothing."""
_TRIED = np.geomspace(*R1_RANGE, 40)
_SECTIONS = 36
"""Golden sections of two of these steps: to 1e-8 of the rate."""
_GOLDEN = 0.3819660112501051


def spoiled_echo(r1: Floats, flip_deg: Floats | float, repetition_s: float) -> Floats:
    """The signal for M0 = 1, of the shape that rates (1/s) and flip angles give together."""
    angle = np.radians(flip_deg)
    left = np.exp(-repetition_s * r1)
    return np.asarray(np.sin(angle) * (1 - left) / (1 - np.cos(angle) * left))


@dataclass(frozen=True)
class Relaxation:
    """R1 (1/s) and M0 (in units of the signal), each (n,)."""

    r1: Floats
    m0: Floats


def by_flip_angles(signal: Floats, flip_deg: Floats, repetition_s: float) -> Relaxation:
    """Least squares of signals (angles, n) at ``flip_deg`` (angles,), or (angles, n) where the field is uneven.

    M0 follows linearly from R1, which is found on a grid and by golden sections around its best place; no weights and
    no linearisation, whose noise is biased (Deoni 2003, Magn Reson Med 49:515 gives the linear form).
    """
    angles = np.asarray(flip_deg, dtype=np.float64)
    angles = angles[:, np.newaxis] if angles.ndim == 1 else angles

    def explained(r1: Floats) -> tuple[Floats, Floats]:
        model = spoiled_echo(r1, angles, repetition_s)
        seen, square = (signal * model).sum(axis=0), (model * model).sum(axis=0)
        return np.maximum(seen, 0.0) / square, np.maximum(seen, 0.0) * seen / square

    tried = np.stack([explained(np.full(signal.shape[1], rate))[1] for rate in _TRIED])
    best = np.where(np.isnan(tried).any(axis=0), 0, tried.argmax(axis=0))
    low = np.log(_TRIED[np.maximum(best - 1, 0)])
    high = np.log(_TRIED[np.minimum(best + 1, len(_TRIED) - 1)])
    for _ in range(_SECTIONS):
        third = _GOLDEN * (high - low)
        rises = explained(np.exp(low + third))[1] < explained(np.exp(high - third))[1]
        low, high = np.where(rises, low + third, low), np.where(rises, high, high - third)
    r1 = np.exp((low + high) / 2)
    m0 = explained(r1)[0]
    good = (m0 > 0) & (r1 > R1_RANGE[0] * 1.001) & (r1 < R1_RANGE[1] / 1.001)
    return Relaxation(np.where(good, r1, np.nan), np.where(good, m0, np.nan))


def concentration(
    signal: Floats, before: Floats, r1_before: Floats, flip_deg: float, repetition_s: float, relaxivity: float
) -> Floats:
    """Contrast (n, t) from signals (n, t), their means ``before`` contrast (n,) and R1 then (n,), exactly.

    With K = M0 sin(a), had from the signal before: E1 = (K - S) / (K - S cos a), C = (-ln(E1) / TR - R1) / r1. A signal
    beyond K cannot be had by any relaxation: NaN.
    """
    cosine = np.cos(np.radians(flip_deg))
    left = np.exp(-repetition_s * r1_before)
    most = (before * (1 - cosine * left) / (1 - left))[:, np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        now = (most - signal) / (most - signal * cosine)
        rates = -np.log(np.where((signal < most) & (now > 0), now, np.nan)) / repetition_s
    return np.asarray((rates - np.asarray(r1_before)[:, np.newaxis]) / relaxivity)


# --- what differs by agent and field ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A value and where it comes from."""

    value: float
    words: str


@dataclass(frozen=True)
class _Agent:
    """Names, and r1 at 1.5 T and at 3 T, /s/mM."""

    names: tuple[str, ...]
    at_1_5_t: float
    at_3_t: float


_AGENTS = (
    _Agent(("gadobutrol", "gadovist", "gadavist"), 4.6, 4.5),
    _Agent(("gadoteridol", "prohance"), 4.4, 3.5),
    _Agent(("gadoterate", "gadoteric", "dotarem", "clariscan", "gd-dota"), 3.9, 3.4),
    _Agent(("gadobenate", "gadobenic", "multihance", "gd-bopta"), 6.2, 5.4),
    _Agent(("gadodiamide", "omniscan", "dtpa-bma"), 4.5, 3.9),
    _Agent(("gadoversetamide", "optimark", "dtpa-bmea"), 4.4, 4.2),
    _Agent(("gadoxet", "primovist", "eovist", "eob-dtpa"), 7.2, 5.5),
    _Agent(("gadopentet", "magnevist", "gd-dtpa"), 4.3, 3.8),
)
"""r1 in human whole blood of 37 C, all of one study: Shen 2015 (Invest Radiol 50:330-338). Others differ: in plasma
they have 4.78 and 4.97 +- 0.59 for gadobutrol, 3.80 and 3.28 for gadoteridol, 3.32 and 3.00 for gadoterate, and in
blood at 3 T 3.47, 2.61 and 2.72 (Szomolanyi 2019, doi 10.1097/RLI.0000000000000577). The first whose name stands in the
text is meant: DTPA-BMEA, EOB-DTPA and DTPA-BMA go before DTPA."""
_RELAXIVITY_SOURCE = "Shen 2015, human blood"
RELAXIVITY = 4.5
"""/s/mM: what is taken where agent or field is not known (the value of QIBA's reference objects)."""
FIELDS_T = ((1.0, 2.2), (2.2, 4.0))
"""What counts as 1.5 T and as 3 T."""
_BLOOD_T1_S = ((1.44, "1.5 T, Stanisz 2005"), (1.66, "3 T, Lu 2004"))
"""At 1.5 T that of human blood in vitro, which QIBA's reference object has too (Stanisz 2005, doi 10.1002/mrm.20605);
at 3 T that of arterial blood of haematocrit 0.42, 1664 ms (Lu 2004, doi 10.1002/mrm.20178). In vivo others have 1.58
and 1.66 s (Sharma 2006, doi 10.1002/jmri.20504), and 1.84 s in the carotid artery at 3 T (Li 2017, PMC5250597)."""


def relaxivity_of(agent: str, field_t: float | None) -> Told:
    """r1 of an agent by the text that names it and the field; ``RELAXIVITY`` where either is not known."""
    known = next((one for one in _AGENTS if any(name in agent.lower() for name in one.names)), None)
    place = _field(field_t)
    if known is None or place is None:
        lacks = "the agent is not told or not known" if known is None else "the field is neither 1.5 T nor 3 T"
        return Told(RELAXIVITY, f"relaxivity {RELAXIVITY:g} /s/mM assumed: {lacks}")
    value = (known.at_1_5_t, known.at_3_t)[place]
    return Told(
        value, f"relaxivity {value:g} /s/mM of {known.names[0]} at {('1.5', '3')[place]} T ({_RELAXIVITY_SOURCE})"
    )


def blood_t1_of(field_t: float | None) -> Told:
    """T1 of blood before contrast by field; that at 1.5 T where the field is not known, and said so."""
    place = _field(field_t)
    value, source = _BLOOD_T1_S[place or 0]
    assumed = "" if place is not None else ", assumed: the field is neither 1.5 T nor 3 T"
    return Told(value, f"T1 of blood {value:g} s ({source}{assumed})")


def _field(field_t: float | None) -> int | None:
    return next((place for place, (low, high) in enumerate(FIELDS_T) if field_t and low <= field_t < high), None)
