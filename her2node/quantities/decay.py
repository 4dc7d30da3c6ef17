"""Fits of diffusion decay, voxels by the thousand: mono-exponential, and bi-exponential (IVIM) in two ways.

Signals have shape (b-values, voxels), b in s/mm2 ascends, so D and D* come in mm2/s. A sample counts when it is above
the noise floor with all at lower b-values of its voxel: magnitude images do not decay beyond the floor, and a fit
through it would read too low a coefficient. NaN stands where a fit has too few samples or says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Signal = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

D_BOUNDS = (0.0, 0.005)
"""mm2/s, as OSIPI's."""
D_STAR_BOUNDS = (0.005, 0.2)
"""mm2/s, as OSIPI's; the published D* of gastric cancer (0.052) lies well within."""
PERFUSION_IS_GONE = 200.0
"""s/mm2: from here on the fast component has decayed (exp(-200 x 0.02) is 2 %)."""
CHUNK = 4096
"""Voxels at once: what a fit of these touches stays in a core's cache."""
_ITERATIONS = 25
_REWEIGHTINGS = 2
_CONVERGED = 1e-4
_TINY = 1e-30

Fit = TypeVar("Fit", "MonoExponential", "BiExponential")


@dataclass(frozen=True)
class MonoExponential:
    """S = S0 exp(-b D): D in mm2/s, S0 in units of the signal, R2 of the signal; each of shape (voxels,)."""

    d: Values
    s0: Values
    r2: Values


@dataclass(frozen=True)
class BiExponential:
    """S = S0 ((1 - f) exp(-b D) + f exp(-b D*)): D, D* in mm2/s; D* is NaN where f is 0, D where f is 1."""

    d: Values
    d_star: Values
    f: Values
    s0: Values
    r2: Values


def counting(signal: Values, floor: float) -> Bools:
    """The samples that count, shape of ``signal``: above ``floor`` with all at lower b-values."""
    return np.logical_and.accumulate(signal > max(floor, 0.0), axis=0)


def log_linear(signal: Signal, b: Values, floor: float = 0.0, *, weighted: bool = True) -> MonoExponential:
    """Least squares of ln S over b; two samples give their quotient.

    ``weighted`` by the square of the signal, for even noise of S makes that of ln S uneven. The signal is taken from
    the fit, first from the unweighted one (Veraart et al. 2013): then the weights do not carry each sample's noise.
    """
    return _in_chunks(lambda part: _log_linear(part, b, floor, _REWEIGHTINGS if weighted else 0), signal)


def two_point(signal: Signal, b: Values, floor: float = 0.0) -> MonoExponential:
    """ln(S1 / S2) / (b2 - b1) of the first and the last of ascending b-values."""
    return log_linear(signal[[0, -1]], b[[0, -1]], floor)


def variable_projection(signal: Signal, b: Values, floor: float = 0.0) -> BiExponential:
    """Bounded least squares of S in all four parameters (Golub and Pereyra 1973).

    For given D and D* the amplitudes follow linearly, not negative; so only D and D* are searched, first on a grid,
    then by damped Gauss-Newton steps within ``D_BOUNDS`` and ``D_STAR_BOUNDS``.
    """
    grid = _Grid.over(b)
    return _in_chunks(lambda part: _projected(part, b, floor, grid), signal)


def segmented(signal: Signal, b: Values, floor: float = 0.0, beyond: float = PERFUSION_IS_GONE) -> BiExponential:
    """D and the intercept S_int from b >= ``beyond`` s/mm2 log-linearly; f = 1 - S_int / S0 with S0 the signal at the
    lowest b-value; then D* by bounded least squares with all others fixed."""
    return _in_chunks(lambda part: _segmented(part, b, floor, beyond), signal)


def _in_chunks(fit: Callable[[Values], Fit], signal: Signal) -> Fit:
    """A fit of all voxels, on two cores: numpy lets go of the interpreter while it calculates."""
    parts = [signal[:, start : start + CHUNK] for start in range(0, signal.shape[1], CHUNK)] or [signal]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda part: fit(np.ascontiguousarray(part, dtype=np.float64)), parts))
    kind = type(found[0])
    return kind(**{name.name: np.concatenate([getattr(one, name.name) for one in found]) for name in fields(kind)})


def _log_linear(signal: Values, b: Values, floor: float, reweightings: int) -> MonoExponential:
    counts = counting(signal, floor)
    logs = np.log(np.where(counts, signal, 1.0))
    fit = _line(logs, counts.astype(np.float64), b)
    for _ in range(reweightings):
        fitted = fit.intercept + fit.slope * b[:, None]
        highest = np.where(counts, fitted, -np.inf).max(axis=0)
        with np.errstate(invalid="ignore"):
            weights = np.where(counts, np.exp(2 * (fitted - highest)), 0.0)
        fit = _line(logs, weights, b)
    enough = np.count_nonzero(counts, axis=0) >= 2
    with np.errstate(over="ignore"):
        s0 = np.exp(fit.intercept)
        r2 = _r2(signal, np.exp(np.minimum(fit.intercept + fit.slope * b[:, None], 300.0)), counts)
    return MonoExponential(*(np.where(enough, values, np.nan) for values in (-fit.slope, s0, r2)))


_SAME = 1e-6
"""Samples that differ by less of their mean are the same."""


@dataclass(frozen=True)
class _Line:
    """ln S = intercept + slope b, each (voxels,)."""

    intercept: Values
    slope: Values


def _line(logs: Values, weights: Values, b: Values) -> _Line:
    total = np.maximum(weights.sum(axis=0), _TINY)
    middle = (weights * b[:, None]).sum(axis=0) / total
    mean = _dot(weights, logs) / total
    offset = b[:, None] - middle
    slope = _dot(weights * offset, logs - mean) / np.maximum(_dot(weights * offset, offset), _TINY)
    return _Line(mean - slope * middle, slope)


def _r2(signal: Values, model: Values, counts: Bools) -> Values:
    """1 - sum of squared residuals / sum of squares about the mean, over the samples that count; not a number where
    these do not differ, for then there is nothing to explain."""
    number = np.maximum(counts.sum(axis=0), 1)
    mean = np.where(counts, signal, 0.0).sum(axis=0) / number
    about = (np.where(counts, signal - mean, 0.0) ** 2).sum(axis=0)
    left = (np.where(counts, signal - model, 0.0) ** 2).sum(axis=0)
    differ = about > number * (_SAME * mean) ** 2
    return np.asarray(np.where(differ, 1 - left / np.maximum(about, _TINY), np.nan))


@dataclass(frozen=True)
class _Grid:
    """Pairs (D, D*) to start from, and an orthonormal basis of what each pair can model, shape (pairs, b-values)."""

    d: Values
    d_star: Values
    first: Values
    second: Values

    @classmethod
    def over(cls, b: Values) -> _Grid:
        slow = np.linspace(0.0002, 0.004, 8)
        fast = np.geomspace(0.007, 0.17, 7)
        d, d_star = (axis.ravel() for axis in np.meshgrid(slow, fast, indexing="ij"))
        first = np.exp(-np.outer(d, b))
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        second = np.exp(-np.outer(d_star, b))
        second -= (second * first).sum(axis=1, keepdims=True) * first
        second /= np.maximum(np.linalg.norm(second, axis=1, keepdims=True), _TINY)
        return cls(d, d_star, first, second)

    def nearest(self, signal: Values) -> tuple[Values, Values]:
        """The pair that models the most of each voxel."""
        explained = (signal.T @ self.first.T) ** 2
        # Where the fast part would be negative the slow one stands alone.
        explained += np.maximum(signal.T @ self.second.T, 0.0) ** 2
        best = explained.argmax(axis=1)
        return self.d[best], self.d_star[best]


@dataclass(frozen=True)
class _Model:
    """Two decays with the amplitudes that fit best, and what is left: (b-values, voxels), amplitudes (voxels,)."""

    slow: Values
    fast: Values
    a: Values
    c: Values
    left: Values
    cost: Values

    def bettered(self, other: _Model, better: Bools) -> _Model:
        """This model with the voxels of ``other`` where that is better."""
        return _Model(*(np.where(better, getattr(other, f.name), getattr(self, f.name)) for f in fields(self)))

    def of(self, some: Bools) -> _Model:
        """The model of some of its voxels."""
        return _Model(*(getattr(self, f.name)[..., some] for f in fields(self)))


def _projected(signal: Values, b: Values, floor: float, grid: _Grid) -> BiExponential:
    counts = counting(signal, floor)
    fits = np.count_nonzero(counts, axis=0) >= 4
    scale = np.maximum(signal.max(axis=0, initial=0.0), _TINY)
    weights = counts.astype(np.float64)
    y = signal / scale * weights
    d, d_star = grid.nearest(y)
    d, d_star, model = _gauss_newton(y, weights, b, d, d_star)
    s0 = model.a + model.c
    good = fits & (s0 > 0)
    f = model.c / np.where(good, s0, 1.0)
    r2 = _r2(signal, (model.a * model.slow + model.c * model.fast) * scale, counts)
    return BiExponential(
        d=np.where(good & (model.a > 0), d, np.nan),
        d_star=np.where(good & (model.c > 0), d_star, np.nan),
        f=np.where(good, f, np.nan),
        s0=np.where(good, s0 * scale, np.nan),
        r2=np.where(good, r2, np.nan),
    )


def _solved(y: Values, weights: Values, b: Values, d: Values, d_star: Values) -> _Model:
    """The amplitudes a, c >= 0 of the two decays by least squares."""
    slow, fast = weights * _decayed(b, d), weights * _decayed(b, d_star)
    ss, ff, sf = _dot(slow, slow), _dot(fast, fast), _dot(slow, fast)
    ys, yf = _dot(y, slow), _dot(y, fast)
    determinant = np.maximum(ss * ff - sf * sf, _TINY)
    a, c = (ff * ys - sf * yf) / determinant, (ss * yf - sf * ys) / determinant
    alone_a, alone_c = np.maximum(ys, 0) / np.maximum(ss, _TINY), np.maximum(yf, 0) / np.maximum(ff, _TINY)
    a, c = np.where(c < 0, alone_a, np.where(a < 0, 0.0, a)), np.where(c < 0, 0.0, np.where(a < 0, alone_c, c))
    left = y - a * slow - c * fast
    return _Model(slow, fast, a, c, left, _dot(left, left))


def _decayed(b: Values, d: Values) -> Signal:
    """exp(-b d), shape (b-values, voxels). In single precision, where it is vectorised on every processor: its error of
    1e-7 is far below that of any signal, and the sums that follow are in double precision."""
    return np.asarray(np.exp(np.multiply.outer(-b, d).astype(np.float32)))


def _gauss_newton(y: Values, weights: Values, b: Values, d: Values, d_star: Values) -> tuple[Values, Values, _Model]:
    """Damped steps in D and ln D* on the projected residual (Kaufman 1975), each kept only where it betters the fit.

    Voxels whose step has become small are not stepped again.
    """
    log_star, damping = np.log(d_star), np.full(d.shape, 1e-3)
    active = np.arange(len(d))
    model = _solved(y, weights, b, d, d_star)
    for _ in range(_ITERATIONS):
        step_d, step_star = _step(model, b, np.exp(log_star[active]), damping[active])
        new_d = np.clip(d[active] + step_d, *D_BOUNDS)
        new_star = np.clip(log_star[active] + np.clip(step_star, -1.0, 1.0), *np.log(D_STAR_BOUNDS))
        tried = _solved(y[:, active], weights[:, active], b, new_d, np.exp(new_star))
        better = tried.cost < model.cost
        moved = np.abs(new_d - d[active]) / 1e-3 + np.abs(new_star - log_star[active])
        damping[active] = np.where(better, damping[active] * 0.2, damping[active] * 8)
        kept = active[better]
        d[kept], log_star[kept] = new_d[better], new_star[better]
        going = (moved > _CONVERGED) & (damping[active] < 1e5)
        model = model.bettered(tried, better).of(going)
        active = active[going]
        if not len(active):
            break
    return d, np.exp(log_star), _solved(y, weights, b, d, np.exp(log_star))


def _step(model: _Model, b: Values, d_star: Values, damping: Values) -> tuple[Values, Values]:
    """The Levenberg-Marquardt step in D and ln D*, from the derivatives outside of what the amplitudes can model."""
    column = b[:, None]
    by_d = _outside(-model.a * column * model.slow, model)
    by_star = _outside(-model.c * d_star * column * model.fast, model)
    dd, ss, ds = _dot(by_d, by_d), _dot(by_star, by_star), _dot(by_d, by_star)
    rd, rs = _dot(by_d, model.left), _dot(by_star, model.left)
    dd, ss = dd * (1 + damping) + _TINY, ss * (1 + damping) + _TINY
    determinant = np.maximum(dd * ss - ds * ds, _TINY)
    return (ss * rd - ds * rs) / determinant, (dd * rs - ds * rd) / determinant


def _outside(values: Values, model: _Model) -> Values:
    """``values`` without their projection on the decays that have an amplitude."""
    slow, fast = model.slow, model.fast * (model.c > 0)
    ss, ff, sf = _dot(slow, slow), _dot(fast, fast) + _TINY, _dot(slow, fast)
    vs, vf = _dot(values, slow), _dot(values, fast)
    determinant = np.maximum(ss * ff - sf * sf, _TINY)
    return np.asarray(values - (ff * vs - sf * vf) / determinant * slow - (ss * vf - sf * vs) / determinant * fast)


def _dot(x: Values, y: Values) -> Values:
    """The sum over b-values of each voxel's products."""
    return np.asarray(np.einsum("bn,bn->n", x, y))


def _segmented(signal: Values, b: Values, floor: float, beyond: float) -> BiExponential:
    counts = counting(signal, floor)
    high = b >= beyond
    tissue = _log_linear(np.where(counts, signal, 0.0)[high], b[high], floor, _REWEIGHTINGS)
    s0 = signal[0]
    d = np.clip(tissue.d, *D_BOUNDS)
    good = counts[0] & np.isfinite(tissue.d) & (s0 > 0)
    f = np.clip(1 - tissue.s0 / np.where(good, s0, 1.0), 0.0, 1.0)
    weights = counts.astype(np.float64)
    fast = (signal - s0 * (1 - f) * np.exp(-b[:, None] * d)) * weights
    star = _fast_alone(fast / np.where(good, s0, 1.0), weights, b, f)
    model = s0 * ((1 - f) * np.exp(-b[:, None] * d) + f * np.exp(-b[:, None] * star))
    named = {"d": d, "f": f, "s0": s0, "r2": _r2(signal, model, counts)}
    found = {name: np.where(good, values, np.nan) for name, values in named.items()}
    return BiExponential(d_star=np.where(good & (f > 0), star, np.nan), **found)


def _fast_alone(left: Values, weights: Values, b: Values, f: Values) -> Values:
    """D* of f exp(-b D*) by least squares within ``D_STAR_BOUNDS``: the best of a grid, then golden sections."""

    def cost(log_star: Values) -> Values:
        return np.asarray(((left - weights * f * np.exp(-b[:, None] * np.exp(log_star))) ** 2).sum(axis=0))

    grid = np.log(np.geomspace(*D_STAR_BOUNDS, 24))
    costs = np.stack([cost(np.full(left.shape[1], point)) for point in grid])
    best = np.where(np.isnan(costs).any(axis=0), 0, costs.argmin(axis=0))
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
    for _ in range(28):
        third = (high - low) * 0.381966
        lower = cost(low + third) < cost(high - third)
        low, high = np.where(lower, low, low + third), np.where(lower, high - third, high)
    return np.asarray(np.exp((low + high) / 2))
