"""Fits of diffusion decay, voxels by the thousand: mono-exponential, and bi-exponential (IVIM) in two ways.

Signals have shape (b-values, voxels), b in s/mm2 ascends, so D and D* come in mm2/s. A sample counts when it is above
the noise floor with all at lower b-values of its voxel: magnitude images do not decay beyond the floor, and a fit
through it would read too low a coefficient. NaN stands where a fit has too few samples or says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from her2node.quantities import decay_loops

Values = npt.NDArray[np.float64]
Signal = npt.NDArray[np.floating[Any]]

D_BOUNDS = decay_loops.D_BOUNDS
D_STAR_BOUNDS = decay_loops.D_STAR_BOUNDS
PERFUSION_IS_GONE = 200.0
"""s/mm2: from here on the fast component has decayed (exp(-200 x 0.02) is 2 %)."""
CHUNK = 4096
"""Voxels at once: what of them is copied in double precision stays small."""
_REWEIGHTINGS = 2


@dataclass(frozen=True)
class MonoExponential:
    """S = S0 exp(-b D): D in mm2/s, S0 in units of the signal, R2 of the signal; each of shape (voxels,)."""

    d: Values
    s0: Values
    r2: Values


@dataclass(frozen=True)
class BiExponential:
    """S = S0 ((1 - f) exp(-b D) + f exp(-b D*)): D, D* in mm2/s, f of unit 1, S0 in units of the signal, R2 of the
    signal; each of shape (voxels,). D* is NaN where f is 0, D where f is 1, but that ``segmented`` has it from the high
    b-values all the same."""

    d: Values
    d_star: Values
    f: Values
    s0: Values
    r2: Values


def log_linear(signal: Signal, b: Values, floor: float = 0.0, *, weighted: bool = True) -> MonoExponential:
    """Least squares of ln S over b; two samples give their quotient.

    ``weighted`` by the square of the signal, for even noise of S makes that of ln S uneven. The signal is taken from
    the fit, first from the unweighted one (Veraart et al. 2013): then the weights do not carry each sample's noise.
    """
    reweightings = _REWEIGHTINGS if weighted else 0
    return MonoExponential(*_in_chunks(lambda part: decay_loops.log_linear(part, b, floor, reweightings), signal))


def two_point(signal: Signal, b: Values, floor: float = 0.0) -> MonoExponential:
    """ln(S1 / S2) / (b2 - b1) of the first and the last of ascending b-values."""
    return log_linear(signal[[0, -1]], b[[0, -1]], floor)


def variable_projection(signal: Signal, b: Values, floor: float = 0.0) -> BiExponential:
    """Bounded least squares of S in all four parameters (Golub and Pereyra 1973).

    For given D and D* the amplitudes follow linearly, not negative; so only D and D* are searched, first on a grid,
    then by damped Gauss-Newton steps within ``D_BOUNDS`` and ``D_STAR_BOUNDS``.
    """
    grid = _grid(b)
    return BiExponential(*_in_chunks(lambda part: decay_loops.projected(part, b, floor, *grid), signal))


def segmented(signal: Signal, b: Values, floor: float = 0.0, beyond: float = PERFUSION_IS_GONE) -> BiExponential:
    """D and the intercept S_int from b >= ``beyond`` s/mm2 log-linearly; f = 1 - S_int / S0 with S0 the signal at the
    lowest b-value; then D* by bounded least squares with all others fixed. Threshold and
    bounds are OSIPI's."""
    first = int(np.searchsorted(b, beyond))
    fit = decay_loops.segmented
    return BiExponential(*_in_chunks(lambda part: fit(part, b, floor, first, _REWEIGHTINGS), signal))


def _in_chunks(fit: Callable[[Values], Values], signal: Signal) -> Values:
    """A fit of all voxels, (parameters, voxels), on two cores: compiled loops let go of the interpreter."""
    parts = [signal[:, start : start + CHUNK] for start in range(0, signal.shape[1], CHUNK)] or [signal]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda part: fit(np.ascontiguousarray(part, dtype=np.float64)), parts))
    return np.concatenate(found, axis=1)


def _grid(b: Values) -> tuple[Values, Values, Values]:
    """Pairs of D and ln D* to start from, (2, pairs), and for every number of samples an orthonormal basis of what each
    pair can model of the first so many, twice (numbers, b-values, pairs): its slow decay, and its fast one without what
    the slow one models."""
    d, d_star = (axis.ravel() for axis in np.meshgrid(np.linspace(0.0002, 0.004, 8), np.geomspace(0.007, 0.17, 7)))
    first = np.tri(len(b) + 1, len(b), -1)[:, :, None]
    slow, fast = first * np.exp(-np.outer(b, d)), first * np.exp(-np.outer(b, d_star))
    least = np.finfo(np.float64).eps
    slow /= np.maximum(np.linalg.norm(slow, axis=1, keepdims=True), least)
    fast -= (slow * fast).sum(axis=1, keepdims=True) * slow
    fast /= np.maximum(np.linalg.norm(fast, axis=1, keepdims=True), least)
    return np.stack([d, np.log(d_star)]), slow, fast
