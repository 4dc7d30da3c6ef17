"""Deconvolution without a model of the tissue: the residue function of a curve, given the artery's.

Shared mathematics, without modality or unit: times in seconds, curves in the unit of the artery, which cancels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import fft

from her2node.quantities.kinetics import Bools, Floats, convolved, delayed
from her2node.quantities.truncation import truncated


@dataclass(frozen=True)
class Deconvolution:
    """A scaled residue function K(t) = F R(t), summarised, each (n,).

    ``peak`` max K (1/s) and ``area`` its integral (1) as they come out; ``flow`` (1/s) and ``volume`` (1) with what
    the truncation took away given back; ``peak_s`` when K is highest (s; negative where tissue leads the artery);
    ``threshold`` the truncation of each curve; ``resolved`` whether its transit is long enough to be told, else
    ``flow`` is a lower bound; ``tail`` the mean of K from 0.4 to 0.6 of the recording's length, as a share of its peak:
    what leaks or passes slowly is still there.
    """

    peak: Floats
    area: Floats
    flow: Floats
    volume: Floats
    peak_s: Floats
    threshold: Floats
    resolved: Bools
    tail: Floats


Convolution = Literal["integral", "sum"]
"""How an artery and a residue function K make a curve: ``integral`` of both, straight between samples, as tissue does;
``sum`` C_i = h sum_j Ca_j K_(i - j) over samples, as tables of made curves and other programs go. Of a transit T at
steps h the sum is the higher by about h / 2T, so what was made by one must be read by the same."""

THRESHOLDS = np.geomspace(0.95, 0.005, 80)
"""Truncations that are tried, as a share of the largest singular value, from the smoothest on."""
OSCILLATION_INDEX = 0.035
"""The roughest residue function that is believed, as Wu 2003 found it best."""
_TRANSITS_S = np.geomspace(0.25, 250.0, 61)
_PARTS = (0.0, 0.5)
"""Of a step, by which a tissue may lie behind the samples of the artery; for a sum there is nothing between samples."""
_DULLEST = 0.4
"""A transit is resolved where peak / area falls by this share of 1 % or more when it is 1 % longer."""


@dataclass(frozen=True)
class Deconvolver:
    """Block-circulant singular value decomposition of one arterial curve at even steps, one inverse a threshold.

    A circulant matrix is diagonal in Fourier space, so its singular values are |FFT(arterial)|, and an inverse that
    keeps those above a threshold is a filter: ``filters`` (levels, t + 1), complex, each with all that the one before
    passed. So a lower threshold adds a few waves to a residue function and leaves the rest. By ``integral`` both the
    arterial and the residue curve are straight between samples, which weights three neighbours by 1, 4, 1 (Ostergaard
    1996); by ``sum`` no neighbour has weight (Wu 2003).

    Truncation flattens the peak of K, the more the shorter the transit, and an early last image cuts its tail. Both are
    known: ``peaks`` and ``areas`` (levels, transits) are what each inverse finds of an exponential residue function of
    flow 1. The transit is the one whose peak / area is that of the curve; flow and volume follow from it.
    """

    step_s: float
    filters: npt.NDArray[np.complex128]
    thresholds: Floats
    peaks: Floats
    areas: Floats
    precision: type[np.floating] = np.float64

    @classmethod
    def of(
        cls, arterial: Floats, step_s: float, thresholds: Floats = THRESHOLDS, convolution: Convolution = "integral"
    ) -> Deconvolver:
        """For an arterial curve (t,) sampled every ``step_s``; zeros are added up to 2 t, so that nothing wraps."""
        count = len(arterial)
        spectrum = step_s * np.fft.rfft(arterial, 2 * count)
        if convolution == "integral":
            spectrum *= (2 + np.cos(np.pi * np.arange(count + 1) / count)) / 3
        size = np.abs(spectrum) / np.abs(spectrum).max()
        passed = [size >= threshold for threshold in thresholds]
        new = [place for place, now in enumerate(passed) if not place or (now != passed[place - 1]).any()]
        filters = [np.divide(1.0, spectrum, out=np.zeros_like(spectrum), where=passed[place]) for place in new]
        known = np.fft.rfft(_of_flow_one(arterial, step_s, convolution), 2 * count)
        peaks, areas = np.empty((2, len(new), len(_TRANSITS_S)))
        for level, each in enumerate(filters):
            found = np.fft.irfft(known * each, 2 * count)
            peaks[level], areas[level] = found.max(axis=2).mean(axis=0), step_s * found.sum(axis=2).mean(axis=0)
        return cls(step_s, np.array(filters), thresholds[new], peaks, areas)

    def single(self) -> Deconvolver:
        """The same for curves in single precision, at twice the speed."""
        return replace(self, precision=np.float32)

    @cached_property
    def _waves(self) -> tuple[npt.NDArray[np.intp], Floats, npt.NDArray[np.int64]]:
        """Frequencies in the order in which they are passed; a cosine and a falling sine of each in time (waves, 2 t);
        up to which wave each level goes."""
        length = 2 * (self.filters.shape[1] - 1)
        passed = self.filters != 0
        last = np.flatnonzero(passed[-1])
        order = last[np.argsort(passed.argmax(axis=0)[last], kind="stable")]
        angle = 2 * np.pi / length * np.outer(order, np.arange(length))
        twice = np.where((order == 0) | (order == length // 2), 1.0, 2.0)[:, np.newaxis] / length
        waves = np.stack([twice * np.cos(angle), -twice * np.sin(angle)], axis=1).reshape(-1, length)
        return order, waves.astype(self.precision), 2 * np.count_nonzero(passed, axis=1)

    def __call__(self, curves: Floats, index: float = OSCILLATION_INDEX) -> Deconvolution:
        """Deconvolve ``curves`` (n, t): of each the lowest threshold, coming from the highest, up to which the
        residue function's oscillation index stays under ``index``."""
        order, waves, ends = self._waves
        spectra = fft.rfft(curves.astype(self.precision, copy=False), 2 * curves.shape[1], axis=1)[:, order]
        spectra *= self.filters[-1, order].astype(spectra.dtype)
        amplitudes = np.ascontiguousarray(spectra).view(self.precision)
        residues, level = truncated(amplitudes, waves, ends, index)
        return self._summary(residues, level)

    def _summary(self, residues: Floats, level: npt.NDArray[np.int64]) -> Deconvolution:
        length = residues.shape[1]
        top = residues.argmax(axis=1)
        rows = np.arange(len(residues))
        before, peak, after = (residues[rows, (top + shift) % length] for shift in (-1, 0, 1))
        bend = before - 2 * peak + after
        shift = np.divide(0.5 * (before - after), bend, out=np.zeros_like(peak), where=bend < 0)
        place = np.where(top > length // 2, top - length, top) + shift
        area = residues.sum(axis=1) * self.step_s
        flow, volume, resolved = self._restored(peak, area, level)
        tail = residues[:, length // 5 : 3 * length // 10].mean(axis=1)
        share = np.divide(tail, peak, out=np.zeros_like(peak), where=peak > 0)
        return Deconvolution(peak, area, flow, volume, place * self.step_s, self.thresholds[level], resolved, share)

    def _restored(self, peak: Floats, area: Floats, level: npt.NDArray[np.int64]) -> tuple[Floats, Floats, Bools]:
        """Flow, volume and whether they are resolved; as they were found where not."""
        flow, volume, resolved = peak.copy(), area.copy(), np.zeros(len(peak), dtype=np.bool_)
        known = np.log(self.peaks / self.areas)
        wanted = np.log(np.divide(peak, area, out=np.full_like(peak, np.inf), where=(area > 0) & (peak > 0)))
        for number in np.unique(level):
            band = _steepest(known[number])
            first, last = known[number][band][[0, -1]]
            those = np.flatnonzero((level == number) & (wanted < first) & (wanted > last))
            at = -wanted[those], -known[number][band]
            flow[those] /= np.interp(*at, self.peaks[number][band])
            volume[those] *= np.interp(*at, (_TRANSITS_S / self.areas[number])[band])
            resolved[those] = True
        return flow, volume, resolved


def _of_flow_one(arterial: Floats, step_s: float, convolution: Convolution) -> Floats:
    """Curves (parts, transits, t) of exponential residue functions, later by parts of a step."""
    times_s = step_s * np.arange(len(arterial))
    if convolution == "sum":
        exponentials = np.exp(-times_s / _TRANSITS_S[:, np.newaxis])
        return step_s * np.array([[np.convolve(arterial, one)[: len(arterial)] for one in exponentials]])
    late = [delayed(times_s, arterial, np.array(part * step_s)) for part in _PARTS]
    return np.stack([convolved(times_s, one, 1 / _TRANSITS_S) for one in late])


def _steepest(known: Floats) -> slice:
    """Over which transits log(peak / area) (transits,) falls steadily enough: the longest such stretch."""
    steep = np.diff(known) <= -_DULLEST * np.diff(np.log(_TRANSITS_S))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], steep, [False]]).astype(np.int8)))
    longest = int(np.argmax(edges[1::2] - edges[::2])) if len(edges) else 0
    return slice(int(edges[2 * longest]), int(edges[2 * longest + 1]) + 1) if len(edges) else slice(0, 1)


def oscillation(residues: Floats) -> Floats:
    """Oscillation index (n,) of residue functions (n, l): sum |second difference| / (l max), infinite without a peak.

    Wu 2003 (Magn Reson Med 50:164), equation 10.
    """
    rough = np.abs(np.diff(residues, n=2, axis=1)).sum(axis=1)
    top = residues.max(axis=1)
    found: Floats = np.divide(rough, residues.shape[1] * top, out=np.full_like(top, np.inf), where=top > 0)
    return found
