"""DCE maps beside a fit of each voxel by itself, and a whole examination: ``python -m tests.benchmarks.bench_dce``.

Printed: microseconds a voxel of the extended Tofts model by this node and by ``scipy.optimize.curve_fit`` on each voxel
(bounded, the same curves, the same input and steps, its convolution by a digital filter in C) in the same run, their
errors against the truth, how time grows with the number of voxels, and seconds and memory of an examination of
256 x 256 x 40 voxels at 60 times. Times are of the wall, which grow on a busy machine, and of the processors. Nothing
is asserted.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.optimize import curve_fit

from her2node.quantities import dce, kinetics, population, tofts
from her2node.volumes.dce import Contrast, DceVolume, FlipAngleSeries
from her2node.volumes.volume import Geometry, SliceSource
from tests.benchmarks.spent import spent

Values = npt.NDArray[np.float64]

TIMES = np.arange(0.0, 240.0, 4.0)
ARRIVAL_S, HAEMATOCRIT = 30.0, 0.45
NOISE_MM = 0.02
SHAPE = (40, 256, 256)
MANY = 50_000
"""Voxels at once, which is how the fit is used."""
KINDS = 64
"""Different tissues in the examination; noise makes every voxel its own."""


@dataclass(frozen=True)
class Truth:
    """Ktrans 1/min, ve and vp, each (n,)."""

    ktrans: Values
    ve: Values
    vp: Values

    def curves(self, noise: float, seed: int = 7) -> Values:
        """Concentration (n, t) in mM, by sums over a grid of 0.1 s."""
        fine = np.arange(0, TIMES[-1] + 0.1, 0.1)
        plasma = population.parker(fine - ARRIVAL_S) / (1 - HAEMATOCRIT)
        size = 2 * len(fine)
        inflow = np.fft.rfft(plasma, size)
        found = np.empty((len(self.ktrans), len(TIMES)))
        for at in range(0, len(found), 1000):
            some = slice(at, at + 1000)
            kernel = np.exp(-(self.ktrans[some] / self.ve[some] / 60)[:, None] * fine)
            stored = np.fft.irfft(np.fft.rfft(kernel, size) * inflow, size)[:, : len(fine)] * 0.1 - 0.05 * plasma
            whole = self.ktrans[some, None] / 60 * stored + self.vp[some, None] * plasma
            found[some] = whole[:, np.searchsorted(fine, TIMES - 0.01)]
        return found + noise * np.random.default_rng(seed).standard_normal(found.shape)


def truth(voxels: int) -> Truth:
    rng = np.random.default_rng(11)
    return Truth(rng.uniform(0.05, 0.4, voxels), rng.uniform(0.1, 0.6, voxels), rng.uniform(0.0, 0.08, voxels))


def inflow() -> kinetics.Inflow:
    grid = kinetics.Inflow.of(TIMES, np.zeros_like(TIMES))
    plasma = population.parker(grid.times_s - ARRIVAL_S) / (1 - HAEMATOCRIT)
    return kinetics.Inflow(grid.times_s, plasma, grid.every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=300, help="that curve_fit fits")
    parser.add_argument("--whole", action="store_true", help="only the examination (used by the run itself)")
    options = parser.parse_args()
    if options.whole:
        whole()
        return
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {len(TIMES)} times, noise {NOISE_MM:g} mM")
    beside_scipy(options.voxels)
    growth()
    subprocess.run([sys.executable, "-m", "tests.benchmarks.bench_dce", "--whole"], check=True)


def beside_scipy(voxels: int) -> None:
    known, given = truth(voxels), inflow()
    curves = known.curves(NOISE_MM)
    plasma = given.arterial[:: given.every]

    def model(times: Values, ktrans: float, kep: float, vp: float) -> Values:
        return np.asarray(ktrans * given.through(np.array([kep]))[0] + vp * plasma)

    def one_by_one() -> Values:
        start, bounds = (0.002, 0.01, 0.02), ((0, 1e-5, 0), (0.1, 2.0, 1.0))
        return np.array([curve_fit(model, TIMES, curve, p0=start, bounds=bounds)[0] for curve in curves])

    theirs, their_time = spent(one_by_one)
    many = truth(MANY)
    many_curves = many.curves(NOISE_MM)
    ours, our_time = spent(lambda: tofts.extended_tofts(given, many_curves))
    same, same_time = spent(lambda: tofts.extended_tofts(given, curves))
    columns = "".join(f"{name:>9}" for name in ("Ktrans", "ve", "vp"))
    print(f"{'':28}{'us/voxel':>10}{'processor':>10}{columns}   (median error: Ktrans, ve relative, vp absolute)")
    report("curve_fit, voxel by voxel", their_time.a_voxel(voxels), known, theirs[:, 0], theirs[:, 1], theirs[:, 2])
    report("this node, the same", same_time.a_voxel(voxels), known, same.ktrans, same.kep, same.vp)
    report(f"this node, {MANY}", our_time.a_voxel(MANY), many, ours.ktrans, ours.kep, ours.vp)
    print(their_time.ratio_to(voxels, our_time, MANY))


def report(name: str, times: str, known: Truth, ktrans: Values, kep: Values, vp: Values) -> None:
    errors = (np.abs(60 * ktrans / known.ktrans - 1), np.abs(ktrans / kep / known.ve - 1), np.abs(vp - known.vp))
    print(f"{name:28}{times}" + "".join(f"{float(np.nanmedian(error)):9.4f}" for error in errors))


def growth() -> None:
    """Time for ever more voxels."""
    given, curves = inflow(), truth(200_000).curves(NOISE_MM)
    for voxels in (25_000, 50_000, 100_000, 200_000):
        _, took = spent(partial(tofts.extended_tofts, given, curves[:voxels]))
        print(f"{voxels:8} voxels {took.wall:7.2f} s  {took.a_voxel(voxels)} us/voxel")


def whole() -> None:
    """An examination whose body fills what a body does of its field of view: T1 by four flip angles, then the maps."""
    row, column = np.ogrid[-1:1:256j, -1:1:256j]
    body = np.broadcast_to((row / 0.65) ** 2 + (column / 0.9) ** 2 <= 1, SHAPE)
    kind = (np.arange(256)[:, None] // 8 + 8 * (np.arange(256)[None] // 8)) % KINDS
    contrast = truth(KINDS).curves(0.0)
    rng = np.random.default_rng(3)
    rates = 1 / 1.0 + 4.5 * contrast
    signal = np.empty((len(TIMES), *SHAPE), dtype=np.float32)
    for place in range(len(TIMES)):
        signal[place] = np.where(body, _echo(rates[:, place], 20.0)[kind], 0)
        signal[place] += 0.5 * rng.standard_normal(SHAPE, dtype=np.float32)
    angles = (2.0, 5.0, 10.0, 20.0)
    at_angles = np.stack([np.full(SHAPE, _echo(np.ones(1), angle)[0], dtype=np.float32) for angle in angles])
    at_angles += 0.2 * rng.standard_normal(at_angles.shape, dtype=np.float32)
    volume = DceVolume(
        signal, np.ones(SHAPE, dtype=np.bool_), TIMES,
        Geometry(SHAPE, (4.0, 1.5, 1.5), (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "1.2"), ("1.2.3",),
        ((SliceSource("1.2.4", "1.2.5"),) * SHAPE[0],) * len(TIMES), "AcquisitionTime", 5.0, 2.0, 20.0, 1.5, Contrast(),
    )  # fmt: skip
    series = FlipAngleSeries(at_angles, angles, 5.0, ("1.2.6",))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    fit, took = spent(lambda: dce.fitted(volume, series, dce.FACTORS, np.asarray(body), None))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    fitted = int(np.isfinite(fit.parameters[0].voxels).sum())
    print(f"{' x '.join(map(str, SHAPE))} x {len(TIMES)} times, {int(body.sum())} voxels of the body, {fitted} fitted")
    print(
        f"{took.wall:.1f} s, {took.processor:.1f} s of processor time; peak {peak:.2f} GiB, {before:.2f} before the fit"
    )


def _echo(rates: Values, flip_deg: float) -> Values:
    left, angle = np.exp(-0.005 * rates), np.radians(flip_deg)
    return np.asarray(1000 * np.sin(angle) * (1 - left) / (1 - np.cos(angle) * left))


if __name__ == "__main__":
    main()
