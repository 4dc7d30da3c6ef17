"""Tracer kinetics: what perfusion and dynamic contrast methods share. Times and curves in, parameters out.

``times_s`` (t,) ascend and need not be even; ``arterial`` (t,) and ``curves`` (n, t) hold the enhancement over baseline
in one unit, which cancels. Between samples an arterial curve is taken as straight, and convolutions are exact for that.
The models draw it through its samples by a cubic spline first, at steps of half a second at most, so that a coarsely
sampled bolus keeps its height. Rates are per second, volumes are fractions. Every fit runs over all curves at once.
Pure: no modality, no units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
_T = TypeVar("_T", bound=np.generic)

VOXELS_AT_ONCE = 4096

_STEPS = 100
"""Of Levenberg and Marquardt; fits settle in 10 to 20."""
_SETTLED = 1e-7
"""A fit ends when a step gains less of its squares, ..."""
_EXACT = 2e-5
"""... when what is left is less than this share of the curve, ..."""
_STUCK = 1e10
"""... or when no step helps with so much damping."""
_RATES = np.geomspace(2e-4, 2.0, 33)
"""Per second: the dictionary in which a fit begins, mean times from half a second to more than an hour."""
_ALIKE = 2e-4
"""Fits of a curve whose errors differ by less than this share of it are alike: no artery is known better."""
_KNOWN = 0.01
"""A curve is not known better than to this share of it when one asks what may have given it."""
_FLATTEST = 1e-12
_ALL = np.array([True, True, True, True, True])
"""What is free in a fit: two weights, two rates, the delay."""
_TRAPPED = np.array([True, True, True, False, True])
_ALONE = np.array([True, False, True, False, True])


def integrated(times_s: Floats, curves: Floats) -> Floats:
    """Integral from the first sample by trapezoids, the shape of ``curves`` (..., t)."""
    steps = 0.5 * (curves[..., 1:] + curves[..., :-1]) * np.diff(times_s)
    return np.concatenate([np.zeros_like(curves[..., :1]), np.cumsum(steps, axis=-1)], axis=-1)


def convolved(times_s: Floats, arterial: Floats, rates: Floats) -> Floats:
    """Convolution of ``arterial`` (..., t) with exp(-rate t), ``rates`` (...): shape (..., t).

    B(t + h) = e^-kh B(t) + h [a(t) (E1 - E2) + a(t + h) E2] with x = k h, E1 = (1 - e^-x) / x and
    E2 = (x - 1 + e^-x) / x^2, exact where ``arterial`` is straight between samples. A rate of 0 gives the integral.
    """
    steps = np.diff(times_s)
    if np.ptp(steps) < 1e-9 * steps[0]:
        steps = steps[:1]
    x = rates[..., np.newaxis] * steps
    decay = np.exp(-x)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(x > 1e-4, -np.expm1(-x) / x, 1 - x / 2 + x * x / 6)
        second = np.where(x > 1e-3, (x + np.expm1(-x)) / (x * x), 0.5 - x / 6 + x * x / 24)
    inflow = arterial[..., :-1] * (steps * (first - second)) + arterial[..., 1:] * (steps * second)
    return _accumulated(decay, inflow)


def _accumulated(decay: Floats, inflow: Floats) -> Floats:
    """B(0) = 0, B(k + 1) = decay(k) B(k) + inflow(k), for ``inflow`` (..., t - 1) and ``decay`` the same or (..., 1).

    By doubling the reach of what is kept, in as many passes as t has bits.
    """
    found = np.zeros((*inflow.shape[:-1], inflow.shape[-1] + 1))
    found[..., 1:] = inflow
    sums, kept, even = found[..., 1:], decay, decay.shape[-1] == 1
    reach = 1
    while reach < sums.shape[-1]:
        sums[..., reach:] += (kept if even else kept[..., reach:]) * sums[..., :-reach]
        kept = kept * kept if even else np.concatenate([kept[..., :reach], kept[..., reach:] * kept[..., :-reach]], -1)
        reach *= 2
    return found


def delayed(times_s: Floats, arterial: Floats, delays_s: Floats) -> Floats:
    """``arterial`` (t,) later by ``delays_s`` (...): shape (..., t), straight between samples, level at both ends."""
    wanted = times_s - np.asarray(delays_s)[..., np.newaxis]
    return np.interp(wanted, times_s, arterial)


def in_blocks(rows: npt.NDArray[_T], size: int = VOXELS_AT_ONCE) -> Iterator[npt.NDArray[_T]]:
    """So many rows at a time: curves of a whole region may be more than memory holds."""
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def even(times_s: Floats, curves: Floats, step_s: float) -> tuple[Floats, Floats]:
    """Times at even steps over the span of ``times_s``, and ``curves`` (..., t) there, straight between samples."""
    count = int(np.floor((times_s[-1] - times_s[0]) / step_s + 1e-6)) + 1
    steady = times_s[0] + step_s * np.arange(count)
    if len(steady) == len(times_s) and np.allclose(steady, times_s, atol=1e-3 * step_s):
        return times_s, curves
    return steady, curves @ interpolation(times_s, steady).astype(curves.dtype)


def interpolation(times_s: Floats, wanted_s: Floats) -> Floats:
    """The matrix (t, w) of straight interpolation from samples at ``times_s`` to ``wanted_s``."""
    return np.stack([np.interp(wanted_s, times_s, unit) for unit in np.eye(len(times_s))])


def noise(times_s: Floats, curves: Floats) -> Floats:
    """Standard deviation (n,) of the noise of curves (n, t), by how far samples lie from the line between their
    neighbours (median of the absolute); it holds the bend of the curve too."""
    share = (times_s[1:-1] - times_s[:-2]) / (times_s[2:] - times_s[:-2])
    apart = curves[:, 1:-1] - (1 - share) * curves[:, :-2] - share * curves[:, 2:]
    return np.asarray(1.4826 * np.median(np.abs(apart) / np.sqrt(1 + share**2 + (1 - share) ** 2), axis=1))


# --- compartment models ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exchange:
    """Two compartments, plasma and interstitium, each (n,): ``flow`` 1/s, ``volume`` of the first, ``exchange`` PS 1/s,
    ``interstitium`` its volume (NaN where nothing comes back), ``delay_s``, and ``error``, the root mean square of what
    is left, in the unit of the curves."""

    flow: Floats
    volume: Floats
    exchange: Floats
    interstitium: Floats
    delay_s: Floats
    error: Floats


def two_compartment_exchange(times_s: Floats, arterial: Floats, curves: Floats, delays_s: Floats) -> Exchange:
    """Fit C = F [(1 - E) exp(-K+ t) + E exp(-K- t)] * Ca, delayed within the range of ``delays_s`` (d,), to each curve.

    Sourbron and Buckley 2013 (NMR Biomed 26:1004): the two amplitudes are found for every pair of a dictionary of
    rates and delays, then all five parameters by Levenberg and Marquardt; amplitudes are not negative. Where one
    exponential does as well by Akaike's criterion, or the faster of two is over within half a sample, nothing is
    exchanged: E and PS are 0, for any exchange could be read of two that cannot be told apart.
    """
    two = _refined(times_s, arterial, curves, delays_s, _best_pair, _ALL)
    one = _refined(times_s, arterial, curves, delays_s, _best_alone, _ALONE)
    worth = np.exp(2 * (_ALL.sum() - _ALONE.sum()) / len(times_s))
    as_good = one.squares <= worth * two.squares + _ALIKE**2 * np.square(curves).mean(axis=1)
    return _exchange(_chosen(as_good | (two.rates[:, 0] > 2 / np.diff(times_s).min()), one, two))


def two_compartment_uptake(times_s: Floats, arterial: Floats, curves: Floats, delays_s: Floats) -> Exchange:
    """As ``two_compartment_exchange`` with K- = 0: what leaves the plasma does not come back while it is watched."""
    return _exchange(_refined(times_s, arterial, curves, delays_s, _best_trapped, _TRAPPED))


def likely_exchanges(
    times_s: Floats, arterial: Floats, curve: Floats, noise: float, delays_s: Floats, count: int
) -> tuple[Exchange, Floats]:
    """``count`` tissues that may have given a curve (t,), as often as they are likely, and their curves (count, t).

    Of every pair of the dictionary's rates and every delay the best weights, likely by exp(-sum of squares / 2 s^2),
    with s the noise, or what the best of them leaves where that is more. Drawn at even steps of the cumulated
    likelihood, so the same curve gives the same tissues.
    """
    bolus = Inflow.of(times_s, arterial)
    found = [_weighed(bolus.later(float(delay)), curve[np.newaxis], _FINE_RATES, _FINE_PAIRS) for delay in delays_s]
    one, two, left = (np.array([each[part][0] for each in found]) for part in range(3))
    flows = one > 0
    left = np.where(flows | ~flows.any(), left, np.inf).ravel()
    spread = max(noise**2, float(left.min()), _KNOWN**2 * float(np.square(curve).mean()))
    likely = np.cumsum(np.exp(-0.5 * len(times_s) * (left - left.min()) / spread))
    drawn = np.searchsorted(likely, likely[-1] * (np.arange(count) + 0.5) / count)
    delay, pair = np.unravel_index(drawn, one.shape)
    weights = np.stack([one[delay, pair], two[delay, pair]], axis=1)
    tissues = _Pairs(weights, _FINE_RATES[_FINE_PAIRS[pair]], delays_s[delay], left[drawn])
    curves = (weights[:, :, np.newaxis] * bolus.through(tissues.rates, tissues.delays_s)).sum(axis=1)
    return _exchange(tissues), curves


@dataclass(frozen=True)
class _Pairs:
    """Two exponentials a curve, the first the faster: weights and rates (n, 2), delays (n,), squared error (n,)."""

    weights: Floats
    rates: Floats
    delays_s: Floats
    squares: Floats


def _exchange(found: _Pairs) -> Exchange:
    """What weights w and rates k mean: F = sum w, 1/T_B = sum w k / F, 1/T_e = k1 k2 T_B, 1/T_p = k1 + k2 - 1/T_e."""
    fast, slow = found.rates.T
    flow = found.weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        through = (found.weights * found.rates).sum(axis=1) / flow
        back = fast * slow / through
        volume = flow / through
        exchange = np.maximum(volume * (fast + slow - back) - flow, 0.0)
        interstitium = np.where(back > 0, exchange / back, np.nan)
    return Exchange(flow, volume, exchange, interstitium, found.delays_s, np.sqrt(found.squares))


FINEST_S = 0.5
"""Steps at which a model follows the arterial curve, at most."""


@dataclass(frozen=True)
class Inflow:
    """An arterial curve (f,) at fine steps ``times_s`` (f,): the first and every ``every``-th of them is a sample."""

    times_s: Floats
    arterial: Floats
    every: int

    @classmethod
    def of(cls, times_s: Floats, arterial: Floats, finest_s: float = FINEST_S) -> Inflow:
        every = max(1, int(np.ceil(np.diff(times_s).max() / finest_s - 1e-6)))
        if every == 1:
            return cls(times_s, arterial, 1)
        parts = np.arange(every) / every
        fine = np.append((times_s[:-1, np.newaxis] + np.diff(times_s)[:, np.newaxis] * parts).ravel(), times_s[-1])
        return cls(fine, CubicSpline(times_s, arterial)(fine), every)

    def later(self, delay_s: float) -> Inflow:
        return replace(self, arterial=delayed(self.times_s, self.arterial, np.array(delay_s)))

    def through(self, rates: Floats, delays_s: Floats | None = None) -> Floats:
        """Convolutions with exponentials of ``rates`` (n, k) at the samples: (n, k, t); each row with its delay."""
        arterial = self.arterial if delays_s is None else delayed(self.times_s, self.arterial, delays_s)[:, np.newaxis]
        return convolved(self.times_s, arterial, rates)[..., :: self.every]


_Start = Callable[[Inflow, Floats], _Pairs]


def _refined(times_s: Floats, arterial: Floats, curves: Floats, delays_s: Floats, start: _Start, free: Bools) -> _Pairs:
    """The best start over all delays, then the least squares around it."""
    best: _Pairs | None = None
    bolus = Inflow.of(times_s, arterial)
    for delay in delays_s:
        found = start(bolus.later(float(delay)), curves)
        found = replace(found, delays_s=np.full(len(curves), float(delay)))
        best = found if best is None else _better(best, found)
    if best is None:
        raise ValueError("no delay to try")
    return _least_squares(bolus, curves, best, (float(delays_s.min()), float(delays_s.max())), free)


def _better(one: _Pairs, other: _Pairs) -> _Pairs:
    """Curve by curve the one of smaller error."""
    return _chosen(one.squares <= other.squares, one, other)


def _chosen(first: Bools, one: _Pairs, other: _Pairs) -> _Pairs:
    """Curve by curve the one or the other."""
    both = first[:, np.newaxis]
    return _Pairs(
        np.where(both, one.weights, other.weights),
        np.where(both, one.rates, other.rates),
        np.where(first, one.delays_s, other.delays_s),
        np.where(first, one.squares, other.squares),
    )


_PAIRS = np.array(list(combinations(range(len(_RATES)), 2)))[:, ::-1]
"""Of the dictionary, the faster first."""
_FINE_RATES = np.geomspace(1e-3, 1.0, 49)
_FINE_PAIRS = np.array([(i, j) for i in range(49) for j in range(0, i - 3, 1)])
"""For one curve; the faster first, and by half as fast again or more: of closer ones any exchange could be read."""


def _best_pair(bolus: Inflow, curves: Floats) -> _Pairs:
    return _projected(bolus, curves, _RATES, _PAIRS)


def _best_alone(bolus: Inflow, curves: Floats) -> _Pairs:
    atoms = bolus.through(_RATES)
    weights = np.maximum(curves @ atoms.T, 0) / np.square(atoms).sum(axis=1)
    left = np.square(curves[:, np.newaxis] - weights[:, :, np.newaxis] * atoms).mean(axis=2)
    best = left.argmin(axis=1)
    rows = np.arange(len(curves))
    found = np.stack([weights[rows, best], np.zeros(len(curves))], axis=1)
    return _Pairs(found, _RATES[best][:, np.newaxis].repeat(2, axis=1), np.zeros(len(curves)), left[rows, best])


def _best_trapped(bolus: Inflow, curves: Floats) -> _Pairs:
    rates = np.array([0.0, *_RATES])
    pairs = np.stack([np.arange(1, len(rates)), np.zeros(len(_RATES), dtype=np.int64)], axis=1)
    return _projected(bolus, curves, rates, pairs)


def _projected(bolus: Inflow, curves: Floats, rates: Floats, pairs: npt.NDArray[np.int64]) -> _Pairs:
    """Of ``pairs`` (p, 2) of ``rates`` the one whose best weights, not negative, leave the least of each curve."""
    one, two, left = _weighed(bolus, curves, rates, pairs)
    best = left.argmin(axis=1)
    rows = np.arange(len(curves))
    weights = np.stack([one[rows, best], two[rows, best]], axis=1)
    return _Pairs(weights, rates[pairs[best]], np.zeros(len(curves)), left[rows, best])


def _weighed(
    bolus: Inflow, curves: Floats, rates: Floats, pairs: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, Floats]:
    """The best weights of every pair, not negative, and the mean squares that they leave: each (n, p)."""
    atoms = bolus.through(rates)
    gram, seen = atoms @ atoms.T, curves @ atoms.T
    first, second = pairs.T
    one, two, gain = amplitudes(
        seen[:, first], seen[:, second], gram[first, first], gram[first, second], gram[second, second]
    )
    total = (curves * curves).sum(axis=1, keepdims=True)
    return one, two, np.maximum(total - gain, 0.0) / curves.shape[1]


def amplitudes(u: Floats, v: Floats, a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
    """The amplitudes of two curves, not negative, that leave the least of a third, and the squares they explain.

    ``u`` and ``v`` are the products of the third with the first and the second, ``a`` and ``c`` the squares of these,
    ``b`` their product; all of shapes that broadcast.
    """
    determinant = np.maximum(a * c - b * b, _FLATTEST * a * c)
    one, two = (c * u - b * v) / determinant, (a * v - b * u) / determinant
    alone = (np.maximum(u, 0) / a, np.maximum(v, 0) / c)
    only_one = (one < 0) | (two < 0)
    first_wins = alone[0] * u >= alone[1] * v
    one = np.where(only_one, np.where(first_wins, alone[0], 0.0), one)
    two = np.where(only_one, np.where(first_wins, 0.0, alone[1]), two)
    return one, two, one * (2 * u - a * one - 2 * b * two) + two * (2 * v - c * two)


def _model(bolus: Inflow, theta: Floats) -> Floats:
    """Curves (n, t) of parameters (n, 5): two weights, two logarithms of rates, delay. exp(-inf) is a rate of 0."""
    both = bolus.through(np.exp(theta[:, 2:4]), theta[:, 4])
    return np.asarray((theta[:, :2, np.newaxis] * both).sum(axis=1))


def _least_squares(bolus: Inflow, curves: Floats, start: _Pairs, delays_s: tuple[float, float], free: Bools) -> _Pairs:
    """Levenberg and Marquardt over all curves at once; a step that does not help a curve is not taken for it."""
    with np.errstate(divide="ignore"):
        theta = np.column_stack([start.weights, np.log(start.rates), start.delays_s])
    free = free & ([True] * 4 + [delays_s[1] > delays_s[0]])
    squares = np.square(curves - _model(bolus, theta)).mean(axis=1)
    damping, exact = np.full(len(curves), 1e-3), _EXACT**2 * np.square(curves).mean(axis=1)
    going = np.arange(len(curves))
    for _ in range(_STEPS):
        now, aim = theta[going], curves[going]
        tried = _next(bolus, now, aim, damping[going], free, delays_s)
        tried_squares = np.square(aim - _model(bolus, tried)).mean(axis=1)
        gain = squares[going] - tried_squares
        good = gain > 0
        settled = (
            (good & (gain < _SETTLED * squares[going])) | (damping[going] > _STUCK) | (tried_squares < exact[going])
        )
        theta[going] = np.where(good[:, np.newaxis], tried, now)
        squares[going] = np.where(good, tried_squares, squares[going])
        damping[going] *= np.where(good, 0.2, 4.0)
        going = going[~settled]
        if not len(going):
            break
    weights, rates = theta[:, :2], np.exp(theta[:, 2:4])
    order = np.argsort(-rates, axis=1)
    sort = (np.take_along_axis(weights, order, axis=1), np.take_along_axis(rates, order, axis=1))
    return _Pairs(*sort, theta[:, 4], squares)


def _next(
    bolus: Inflow,
    theta: Floats,
    curves: Floats,
    damping: Floats,
    free: Bools,
    delays_s: tuple[float, float],
) -> Floats:
    """The parameters (n, 5) one step on. A delay that would leave its range from the edge stays there."""
    left = curves - _model(bolus, theta)
    slopes = _slopes(bolus, theta, free)
    step = _step(slopes, left, damping)
    if free[4]:
        delay, on = theta[:, 4], step[:, -1]
        stuck = ((delay <= delays_s[0]) & (on < 0)) | ((delay >= delays_s[1]) & (on > 0))
        slopes[stuck, :, -1] = 0.0
        step[stuck] = _step(slopes[stuck], left[stuck], damping[stuck])
    tried = theta.copy()
    tried[:, free] += step
    return _bounded(tried, theta, delays_s)


def _slopes(bolus: Inflow, theta: Floats, free: Bools) -> Floats:
    """Derivatives (n, t, p) by the free parameters: weights exactly, the others by differences to both sides."""
    found = []
    for place in np.flatnonzero(free):
        step = 1.0 if place < 2 else 1e-4 if place < 4 else 1e-2 * float(np.diff(bolus.times_s).min())
        up, down = theta.copy(), theta.copy()
        if place < 2:
            up[:, :2], up[:, place] = 0.0, 1.0
            found.append(_model(bolus, up))
            continue
        up[:, place] += step
        down[:, place] -= step
        found.append((_model(bolus, up) - _model(bolus, down)) / (2 * step))
    return np.stack(found, axis=2)


def _step(slopes: Floats, left: Floats, damping: Floats) -> Floats:
    normal = np.einsum("ntp,ntq->npq", slopes, slopes)
    size = np.einsum("npp->np", normal)
    scale = size + 1e-12 * size.max(axis=1, keepdims=True) + 1e-300
    normal += (damping[:, np.newaxis] * scale)[:, :, np.newaxis] * np.eye(slopes.shape[2])
    pull = np.einsum("ntp,nt->np", slopes, left)
    norm = np.sqrt(scale)
    even_normal = normal / (norm[:, :, np.newaxis] * norm[:, np.newaxis, :])
    return np.asarray(np.linalg.solve(even_normal, (pull / norm)[:, :, np.newaxis])[:, :, 0] / norm)


def _bounded(tried: Floats, before: Floats, delays_s: tuple[float, float]) -> Floats:
    """Weights stay above a tenth of what they were, rates move by at most a factor of e and stay possible."""
    tried[:, :2] = np.maximum(tried[:, :2], 0.1 * before[:, :2])
    finite = np.isfinite(before[:, 2:4])
    moved = np.clip(tried[:, 2:4], np.where(finite, before[:, 2:4] - 1, -np.inf), before[:, 2:4] + 1)
    tried[:, 2:4] = np.where(finite, np.clip(moved, np.log(1e-7), np.log(20.0)), before[:, 2:4])
    tried[:, 4] = np.clip(tried[:, 4], *delays_s)
    return tried


@dataclass(frozen=True)
class Uptake:
    """Patlak's line, each (n,): ``exchange`` PS (1/s), ``volume``, and the root mean square of what is left."""

    exchange: Floats
    volume: Floats
    error: Floats


def patlak(times_s: Floats, arterial: Floats, curves: Floats, begin_s: float) -> Uptake:
    """Least squares of C = PS integral(Ca) + v Ca over the samples from ``begin_s`` on.

    Patlak 1983 (J Cereb Blood Flow Metab 3:1), not divided by Ca: so every sample weighs alike.
    """
    used = times_s >= begin_s
    terms = np.stack([integrated(times_s, arterial)[used], arterial[used]]).astype(curves.dtype)
    found = curves[:, used] @ np.linalg.pinv(terms.astype(np.float64)).astype(curves.dtype)
    left = curves[:, used] - found @ terms
    return Uptake(found[:, 0], found[:, 1], np.sqrt((left * left).mean(axis=1)))
