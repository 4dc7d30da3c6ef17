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
    """Names, r1 at 1.5 T and at 3 T in plasma of 37 C, /s/mM, and who measured it."""

    names: tuple[str, ...]
    at_1_5_t: float
    at_3_t: float
    source: str


_SZOMOLANYI = "Szomolanyi 2019, human plasma"
_ROHRER = "Rohrer 2005, plasma"
_AGENTS = (
    _Agent(("gadobutrol", "gadovist", "gadavist"), 4.78, 4.97, _SZOMOLANYI),
    _Agent(("gadoteridol", "prohance"), 3.80, 3.28, _SZOMOLANYI),
    _Agent(("gadoterate", "gadoteric", "dotarem", "clariscan", "gd-dota"), 3.32, 3.00, _SZOMOLANYI),
    _Agent(("gadobenate", "gadobenic", "multihance", "gd-bopta"), 6.3, 5.5, _ROHRER),
    _Agent(("gadodiamide", "omniscan", "dtpa-bma"), 4.3, 4.0, _ROHRER),
    _Agent(("gadoversetamide", "optimark"), 4.7, 4.5, _ROHRER),
    _Agent(("gadoxet", "primovist", "eovist", "eob-dtpa"), 6.9, 6.2, _ROHRER),
    _Agent(("gadopentet", "magnevist", "gd-dtpa"), 4.1, 3.7, _ROHRER),
)
"""The first whose name stands in the text is meant: EOB-DTPA and DTPA-BMA go before DTPA."""
RELAXIVITY = 4.5
"""/s/mM: what is taken where agent or field is not known (the value of QIBA's reference objects)."""
FIELDS_T = ((1.0, 2.2), (2.2, 4.0))
"""What counts as 1.5 T and as 3 T."""
_BLOOD_T1_S = ((1.44, "1.5 T, Stanisz 2005"), (1.65, "3 T, Alsop 2015"))


def relaxivity_of(agent: str, field_t: float | None) -> Told:
    """r1 of an agent by the text that names it and the field; ``RELAXIVITY`` where either is not known."""
    known = next((one for one in _AGENTS if any(name in agent.lower() for name in one.names)), None)
    place = _field(field_t)
    if known is None or place is None:
        lacks = "the agent is not told or not known" if known is None else "the field is neither 1.5 T nor 3 T"
        return Told(RELAXIVITY, f"relaxivity {RELAXIVITY:g} /s/mM assumed: {lacks}")
    value = (known.at_1_5_t, known.at_3_t)[place]
    return Told(value, f"relaxivity {value:g} /s/mM of {known.names[0]} at {('1.5', '3')[place]} T ({known.source})")


def blood_t1_of(field_t: float | None) -> Told:
    """T1 of blood before contrast by field; that at 1.5 T where the field is not known, and said so."""
    place = _field(field_t)
    value, source = _BLOOD_T1_S[place or 0]
    assumed = "" if place is not None else ", assumed: the field is neither 1.5 T nor 3 T"
    return Told(value, f"T1 of blood {value:g} s ({source}{assumed})")


def _field(field_t: float | None) -> int | None:
    return next((place for place, (low, high) in enumerate(FIELDS_T) if field_t and low <= field_t < high), None)
