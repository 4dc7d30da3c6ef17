"""Fits of diffusion decay, a voxel at a time, compiled to machine code at their first call.

Every fit takes ``signal`` (b-values, voxels) and ``b`` (b-values,) in s/mm2, ascending, and gives one row a parameter,
NaN where a voxel has no fit. The samples that count are a voxel's first: those above the noise floor with all before.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from her2node.quantities.compiling import compiled

Values = npt.NDArray[np.float64]

D_BOUNDS = (0.0, 0.005)
"""mm2/s, as OSIPI's."""
D_STAR_BOUNDS = (0.005, 0.2)
"""mm2/s, as OSIPI's; the published D* of gastric cancer (0.052) lies well within."""
_LOG_STAR_BOUNDS = (float(np.log(D_STAR_BOUNDS[0])), float(np.log(D_STAR_BOUNDS[1])))
_ITERATIONS = 25
_CONVERGED = 1e-4
_TINY = 1e-30
_SAME = 1e-6
"""Samples that differ by less of their mean are the same."""
_GOLDEN = 0.3819660112501051
_COARSE, _SECTIONS = 24, 28
"""Points of the grid for D* alone, and golden sections from there."""


@compiled
def log_linear(signal: Values, b: Values, floor: float, reweightings: int) -> Values:
    """(3, voxels): D, S0, R2 of S = S0 exp(-b D)."""
    found = np.full((3, signal.shape[1]), np.nan)
    for voxel in range(signal.shape[1]):
        y = _counting(signal[:, voxel], floor)
        if len(y) < 2:
            continue
        intercept, slope = _line(y, b, reweightings)
        model = np.empty(len(y))
        for i in range(len(y)):
            model[i] = np.exp(min(intercept + slope * b[i], 300.0))
        found[0, voxel], found[1, voxel] = -slope, np.exp(intercept) * signal[0, voxel]
        found[2, voxel] = _r2(y, model)
    return found


@compiled
def projected(signal: Values, b: Values, floor: float, pairs: Values, first: Values, second: Values) -> Values:
    """(5, voxels): D, D*, f, S0, R2 from the best of ``pairs`` (2, pairs) of D and ln D* on; ``first`` and ``second``
    (numbers, b-values, pairs): an orthonormal basis of what each pair can model of so many samples."""
    found = np.full((5, signal.shape[1]), np.nan)
    for voxel in range(signal.shape[1]):
        y = _counting(signal[:, voxel], floor)
        if len(y) < 4:
            continue
        start = _nearest(y, first[len(y)], second[len(y)])
        d, d_star, a, c = _gauss_newton(y, b, pairs[0, start], pairs[1, start])
        if a + c > 0:
            _tell(found[:, voxel], y, b, signal[0, voxel], d, d_star, a, c)
    return found


@compiled
def segmented(signal: Values, b: Values, floor: float, beyond: int, reweightings: int) -> Values:
    """(5, voxels): D, D*, f, S0, R2; D from the samples from ``beyond`` on, D* with all others fixed."""
    found = np.full((5, signal.shape[1]), np.nan)
    for voxel in range(signal.shape[1]):
        y = _counting(signal[:, voxel], floor)
        if len(y) - beyond < 2:
            continue
        intercept, slope = _line(y[beyond:], b[beyond:], reweightings)
        d = min(max(-slope, D_BOUNDS[0]), D_BOUNDS[1])
        f = min(max(1 - np.exp(intercept), 0.0), 1.0)
        d_star = _fast_alone(y, b, d, f)
        _tell(found[:, voxel], y, b, signal[0, voxel], d, d_star, 1 - f, f)
        found[0, voxel] = d  # which the high b-values tell even where the fast part explains the lowest
    return found


@compiled
def _counting(signal: Values, floor: float) -> Values:
    """The samples that count, as shares of the first."""
    count = 0
    while count < len(signal) and signal[count] > max(floor, 0.0):
        count += 1
    shares = np.empty(count)
    for i in range(count):
        shares[i] = signal[i] / signal[0]
    return shares


@compiled
def _line(y: Values, b: Values, reweightings: int) -> tuple[float, float]:
    """Intercept and slope of ln S over b by least squares; then weighted by the square of what the fit before found."""
    count = len(y)
    logs, weights = np.empty(count), np.ones(count)
    for i in range(count):
        logs[i] = np.log(y[i])
    intercept = slope = 0.0
    for weighting in range(1 + reweightings):
        if weighting:
            highest = intercept + slope * (b[0] if slope < 0 else b[count - 1])
            for i in range(count):
                weights[i] = np.exp(2 * (intercept + slope * b[i] - highest))
        total = middle = mean = across = along = 0.0
        for i in range(count):
            total += weights[i]
            middle += weights[i] * b[i]
            mean += weights[i] * logs[i]
        middle /= total
        mean /= total
        for i in range(count):
            offset = b[i] - middle
            across += weights[i] * offset * (logs[i] - mean)
            along += weights[i] * offset * offset
        slope = across / max(along, _TINY)
        intercept = mean - slope * middle
    return intercept, slope


@compiled
def _r2(y: Values, model: Values) -> float:
    """1 - sum of squared residuals / sum of squares about the mean; not a number where the samples do not differ, for
    then there is nothing to explain."""
    mean = about = left = 0.0
    for i in range(len(y)):
        mean += y[i] / len(y)
    for i in range(len(y)):
        about += (y[i] - mean) ** 2
        left += (y[i] - model[i]) ** 2
    return float(1 - left / about if about > len(y) * (_SAME * mean) ** 2 else np.nan)


@compiled
def _tell(found: Values, y: Values, b: Values, scale: float, d: float, d_star: float, a: float, c: float) -> None:
    """Write D, D*, f, S0, R2 of a exp(-b D) + c exp(-b D*): each decay only where it has an amplitude."""
    model = np.empty(len(y))
    for i in range(len(y)):
        model[i] = a * np.exp(-b[i] * d) + c * np.exp(-b[i] * d_star)
    found[0] = d if a > 0 else np.nan
    found[1] = d_star if c > 0 else np.nan
    found[2], found[3], found[4] = c / (a + c), (a + c) * scale, _r2(y, model)


@compiled
def _nearest(y: Values, first: Values, second: Values) -> int:
    """The pair that models the most of a voxel."""
    pairs = first.shape[1]
    slow, fast = np.zeros(pairs), np.zeros(pairs)
    for i in range(len(y)):
        for pair in range(pairs):
            slow[pair] += y[i] * first[i, pair]
            fast[pair] += y[i] * second[i, pair]
    best, most = 0, -1.0
    for pair in range(pairs):
        # Where the fast part would be negative the slow one stands alone.
        explained = slow[pair] ** 2 + max(fast[pair], 0.0) ** 2
        if explained > most:
            best, most = pair, explained
    return best


@compiled
def _gauss_newton(y: Values, b: Values, d: float, log_star: float) -> tuple[float, float, float, float]:
    """D, D* and their amplitudes by damped steps in D and ln D* on the projected residual (Kaufman 1975), each kept
    only where it betters the fit, until they are small."""
    slow, fast = np.empty(len(y)), np.empty(len(y))
    a, c, cost = _amplitudes(y, b, d, np.exp(log_star), slow, fast)
    normal = _normal(y, b, np.exp(log_star), slow, fast, a, c)
    damping = 1e-3
    for _ in range(_ITERATIONS):
        step_d, step_star = _step(normal, damping)
        new_d = min(max(d + step_d, D_BOUNDS[0]), D_BOUNDS[1])
        new_star = min(max(log_star + min(max(step_star, -1.0), 1.0), _LOG_STAR_BOUNDS[0]), _LOG_STAR_BOUNDS[1])
        moved = abs(new_d - d) / 1e-3 + abs(new_star - log_star)
        new_a, new_c, new_cost = _amplitudes(y, b, new_d, np.exp(new_star), slow, fast)
        if new_cost < cost:
            d, log_star, a, c, cost = new_d, new_star, new_a, new_c, new_cost
            normal = _normal(y, b, np.exp(log_star), slow, fast, a, c)
            damping *= 0.2
        else:
            damping *= 8
        if not (moved > _CONVERGED and damping < 1e5):
            break
    return d, float(np.exp(log_star)), a, c


@compiled
def _amplitudes(
    y: Values, b: Values, d: float, d_star: float, slow: Values, fast: Values
) -> tuple[float, float, float]:
    """The amplitudes a, c >= 0 of the two decays, written to ``slow`` and ``fast``, by least squares, and what is left
    (sum of squares)."""
    ss = ff = sf = ys = yf = cost = 0.0
    for i in range(len(y)):
        slow[i], fast[i] = np.exp(-b[i] * d), np.exp(-b[i] * d_star)
        ss += slow[i] * slow[i]
        ff += fast[i] * fast[i]
        sf += slow[i] * fast[i]
        ys += y[i] * slow[i]
        yf += y[i] * fast[i]
    a, c = _solved(ss, ff, sf, ys, yf)
    if c < 0:
        a, c = max(ys, 0.0) / max(ss, _TINY), 0.0
    elif a < 0:
        a, c = 0.0, max(yf, 0.0) / max(ff, _TINY)
    for i in range(len(y)):
        cost += (y[i] - a * slow[i] - c * fast[i]) ** 2
    return a, c, cost


@compiled
def _solved(xx: float, yy: float, xy: float, vx: float, vy: float) -> tuple[float, float]:
    """The p, q of xx p + xy q = vx and xy p + yy q = vy."""
    determinant = max(xx * yy - xy * xy, _TINY)
    return (yy * vx - xy * vy) / determinant, (xx * vy - xy * vx) / determinant


Normal = tuple[float, float, float, float, float]
"""Sums of squares and products of the derivatives by D and ln D*, and of each with what is left: dd, ss, ds, rd, rs."""


@compiled
def _normal(y: Values, b: Values, d_star: float, slow: Values, fast: Values, a: float, c: float) -> Normal:
    """From the derivatives outside of what the decays that have an amplitude can model."""
    share = 1.0 if c > 0 else 0.0
    ss, ff, sf = 0.0, _TINY, 0.0
    d_s = d_f = star_s = star_f = 0.0
    for i in range(len(y)):
        s, f = slow[i], fast[i] * share
        by_d, by_star = -a * b[i] * s, -c * d_star * b[i] * f
        ss += s * s
        ff += f * f
        sf += s * f
        d_s += by_d * s
        d_f += by_d * f
        star_s += by_star * s
        star_f += by_star * f
    d_a, d_c = _solved(ss, ff, sf, d_s, d_f)
    star_a, star_c = _solved(ss, ff, sf, star_s, star_f)
    dd = stars = ds = rd = rs = 0.0
    for i in range(len(y)):
        s, f = slow[i], fast[i] * share
        by_d = -a * b[i] * s - d_a * s - d_c * f
        by_star = -c * d_star * b[i] * f - star_a * s - star_c * f
        left = y[i] - a * s - c * f
        dd += by_d * by_d
        stars += by_star * by_star
        ds += by_d * by_star
        rd += by_d * left
        rs += by_star * left
    return dd, stars, ds, rd, rs


@compiled
def _step(normal: Normal, damping: float) -> tuple[float, float]:
    """The Levenberg-Marquardt step in D and ln D*."""
    dd, ss, ds, rd, rs = normal
    return _solved(dd * (1 + damping) + _TINY, ss * (1 + damping) + _TINY, ds, rd, rs)


@compiled
def _fast_alone(y: Values, b: Values, d: float, f: float) -> float:
    """D* of f exp(-b D*) by least squares within ``D_STAR_BOUNDS``: the best of a grid, then golden sections."""
    left = np.empty(len(y))
    for i in range(len(y)):
        left[i] = y[i] - (1 - f) * np.exp(-b[i] * d)
    width = (_LOG_STAR_BOUNDS[1] - _LOG_STAR_BOUNDS[0]) / (_COARSE - 1)
    best, least = 0, np.inf
    for point in range(_COARSE):
        cost = _cost(left, b, f, _LOG_STAR_BOUNDS[0] + point * width)
        if cost < least:
            best, least = point, cost
    low = _LOG_STAR_BOUNDS[0] + max(best - 1, 0) * width
    high = _LOG_STAR_BOUNDS[0] + min(best + 1, _COARSE - 1) * width
    for _ in range(_SECTIONS):
        third = (high - low) * _GOLDEN
        if _cost(left, b, f, low + third) < _cost(left, b, f, high - third):
            high -= third
        else:
            low += third
    return float(np.exp((low + high) / 2))


@compiled
def _cost(left: Values, b: Values, f: float, log_star: float) -> float:
    """The sum of squares that f exp(-b D*) leaves of ``left``."""
    cost, d_star = 0.0, np.exp(log_star)
    for i in range(len(left)):
        cost += (left[i] - f * np.exp(-b[i] * d_star)) ** 2
    return cost
