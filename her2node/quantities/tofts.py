"""Tofts' models of many curves at once: one rate is searched for, the amplitudes follow linearly (variable projection).

C = Ktrans Cp * exp(-kep t) + vp Cp, with vp = 0 in the standard model (Tofts 1999, J Magn Reson Imaging 10:223). The
convolutions are had once for a dictionary of rates, with their derivatives, so that for every rate between them the
products with a curve are cubic polynomials (Hermite) and no curve is convolved again. Rates are per second, as all of
``kinetics``; amplitudes are not negative. Blocks of curves bound the memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from her2node.quantities.kinetics import Bools, Floats, Inflow, amplitudes

RATES = (2e-5, 2.0)
"""Per second, of kep: what is slower does not come back within hours, what is faster follows the plasma."""
CURVES_AT_ONCE = 4096
_STEP = 0.05
"""Of the logarithm of the rate: the polynomials are then exact to 1e-7."""
_COARSE = 4
"""Every so many steps a first rate is tried; the best lies in one of the intervals around the best of these."""
_SECTIONS = 30
"""Golden sections of two coarse steps: to 2e-7 of the rate."""
CHANCE = 10.0
"""Chi-squares by which one delay must beat another to be told from it."""
_GOLDEN = 0.3819660112501051
_NUDGE = 1e-4


@dataclass(frozen=True)
class Transfer:
    """What was fitted, each (n,): ``ktrans`` and ``kep`` 1/s, ``vp`` 1, and ``error``, the root mean square of what is
    left, in the unit of the curves."""

    ktrans: Floats
    kep: Floats
    vp: Floats
    error: Floats

    @property
    def at_edge(self) -> Bools:
        """Where kep is as fast as can be: the curve follows the plasma."""
        return np.asarray(self.kep > RATES[1] * np.exp(-_STEP))


def tofts(inflow: Inflow, curves: Floats) -> Transfer:
    """The standard model of ``curves`` (n, t), sampled where ``inflow`` is."""
    return _fitted(_Atoms.of(inflow, plasma=False), curves)


def extended_tofts(inflow: Inflow, curves: Floats) -> Transfer:
    """The extended model, with the plasma's own volume, of ``curves`` (n, t)."""
    return _fitted(_Atoms.of(inflow, plasma=True), curves)


def best_delay(inflow: Inflow, curves: Floats, delays_s: Floats) -> float:
    """The least delay of ``inflow``, of ``delays_s`` (d,) from the shortest on, with which the extended model explains
    all ``curves`` (n, t) together as well as with any: whose squares are no higher than chance tells apart.

    A delayed input gives a delayed convolution, so the dictionary is made once.
    """
    every = _Atoms.of(replace(inflow, every=1), plasma=True)
    samples = inflow.times_s[:: inflow.every]
    squares = np.array([
        np.square(_fitted(every.later(inflow.times_s, samples - delay), curves).error).sum() for delay in delays_s
    ])  # fmt: skip
    same = squares <= squares.min() * (1 + CHANCE / curves.size)
    return float(delays_s[int(np.argmax(same))])


@dataclass(frozen=True)
class _Atoms:
    """Convolutions (k, t) at the logarithms (k,) of the rates, their ``slopes`` by the logarithm, and the plasma (t,),
    nought where the model has none."""

    logs: Floats
    shapes: Floats
    slopes: Floats
    plasma: Floats
    plasma_square: float

    @classmethod
    def of(cls, inflow: Inflow, *, plasma: bool) -> _Atoms:
        logs = np.arange(np.log(RATES[0]), np.log(RATES[1]) + _STEP, _STEP)
        shapes = inflow.through(np.exp(logs))
        slopes = (inflow.through(np.exp(logs + _NUDGE)) - inflow.through(np.exp(logs - _NUDGE))) / (2 * _NUDGE)
        samples = inflow.arterial[:: inflow.every] * plasma
        return cls(logs, shapes, slopes, samples, float(samples @ samples) if plasma else 1.0)

    def later(self, times_s: Floats, at_s: Floats) -> _Atoms:
        """Those of these atoms, which lie at ``times_s`` (f,), at other times (t,), nought before."""
        place = np.clip(np.searchsorted(times_s, at_s, side="right") - 1, 0, len(times_s) - 2)
        share = np.clip((at_s - times_s[place]) / (times_s[place + 1] - times_s[place]), 0.0, 1.0)

        def drawn(one: Floats) -> Floats:
            return np.asarray(one[..., place] * (1 - share) + one[..., place + 1] * share)

        plasma = drawn(self.plasma)
        return _Atoms(self.logs, drawn(self.shapes), drawn(self.slopes), plasma, float(plasma @ plasma))


def _fitted(atoms: _Atoms, curves: Floats) -> Transfer:
    parts = [_Search.of(atoms, curves[at : at + CURVES_AT_ONCE]) for at in range(0, len(curves), CURVES_AT_ONCE)]
    found = [part.best() for part in parts] or [_Search.of(atoms, curves).best()]
    return Transfer(*(np.concatenate([getattr(one, name) for one in found]) for name in Transfer.__annotations__))


@dataclass(frozen=True)
class _Search:
    """Products of a block of curves with the atoms, value and slope (n, k), with the plasma (n,), and of the atoms with
    themselves (k,)."""

    atoms: _Atoms
    seen: tuple[Floats, Floats]
    plasma: Floats
    square: tuple[Floats, Floats]
    overlap: tuple[Floats, Floats]
    total: Floats

    @classmethod
    def of(cls, atoms: _Atoms, curves: Floats) -> _Search:
        shapes, slopes = atoms.shapes, atoms.slopes
        return cls(
            atoms,
            (curves @ shapes.T, curves @ slopes.T),
            curves @ atoms.plasma,
            (np.einsum("kt,kt->k", shapes, shapes), 2 * np.einsum("kt,kt->k", shapes, slopes)),
            (shapes @ atoms.plasma, slopes @ atoms.plasma),
            np.einsum("nt,nt->n", curves, curves) / curves.shape[1],
        )

    def best(self) -> Transfer:
        """Golden sections around the best of every ``_COARSE``-th rate."""
        tried = slice(None, None, _COARSE)
        plasma = self.plasma[:, np.newaxis]
        square, overlap = self.square[0][tried], self.overlap[0][tried]
        gains = amplitudes(self.seen[0][:, tried], plasma, square, overlap, np.asarray(self.atoms.plasma_square))[2]
        middle = _COARSE * gains.argmax(axis=1)
        last = len(self.atoms.logs) - 1
        low, high = np.maximum(middle - _COARSE, 0.0), np.minimum(middle + _COARSE, float(last))
        for _ in range(_SECTIONS):
            third = _GOLDEN * (high - low)
            rises = self._at(low + third)[2] < self._at(high - third)[2]
            low, high = np.where(rises, low + third, low), np.where(rises, high, high - third)
        place = (low + high) / 2
        ktrans, vp, gain = self._at(place)
        left = np.sqrt(np.maximum(self.total - gain / self.atoms.shapes.shape[1], 0.0))
        return Transfer(ktrans, np.exp(self.atoms.logs[0] + _STEP * place), vp, left)

    def _at(self, place: Floats) -> tuple[Floats, Floats, Floats]:
        """The amplitudes and what they explain at fractional places (n,) among the rates."""
        before = np.minimum(place.astype(np.int64), len(self.atoms.logs) - 2)
        share = place - before
        weights = _hermite(share)
        rows = np.arange(len(place))
        values, slopes = self.seen
        return amplitudes(
            _between(values[rows, before], slopes[rows, before], values[rows, before + 1], slopes[rows, before + 1],
                     weights),
            self.plasma,
            _along(self.square, before, weights),
            _along(self.overlap, before, weights),
            np.asarray(self.atoms.plasma_square),
        )  # fmt: skip


_Weights = tuple[Floats, Floats, Floats, Floats]


def _hermite(share: Floats) -> _Weights:
    """The weights of value and slope before and of value and slope after."""
    rest = 1 - share
    return (
        (1 + 2 * share) * rest * rest,
        _STEP * share * rest * rest,
        share * share * (3 - 2 * share),
        -_STEP * share * share * rest,
    )


def _between(value: Floats, slope: Floats, next_value: Floats, next_slope: Floats, weights: _Weights) -> Floats:
    return np.asarray(value * weights[0] + slope * weights[1] + next_value * weights[2] + next_slope * weights[3])


def _along(known: tuple[Floats, Floats], before: npt.NDArray[np.int64], weights: _Weights) -> Floats:
    values, slopes = known
    return _between(values[before], slopes[before], values[before + 1], slopes[before + 1], weights)
