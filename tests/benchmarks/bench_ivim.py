"""IVIM beside dipy's trust-region fit, and a whole examination: ``python -m tests.benchmarks.bench_ivim``.

Needs dipy (``pip install dipy``), which nothing else does. Printed: microseconds a voxel of both on the same signals in
the same run, of the wall and of the processors, their errors against the truth that the signals were made from, how
time grows with the number of voxels, and seconds and memory of an examination of 256 x 256 x 40 voxels at 11 b-values.
Warm runs are timed; compiling is told apart. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from her2node.quantities import decay, diffusion
from her2node.volumes.diffusion import DiffusionSeries
from her2node.volumes.volume import Geometry, SliceSource
from tests.benchmarks.spent import spent

B = np.array([0, 10, 20, 50, 80, 100, 150, 200, 400, 600, 800.0])
SNR = 50.0
MANY = 50_000
"""Voxels at once, which is how the fit is used."""
SHAPE = (40, 256, 256)
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    d: Values
    d_star: Values
    f: Values

    def signal(self, seed: int = 7) -> Values:
        """Magnitude images of S0 1000 at ``SNR``, shape (b-values, voxels)."""
        column = B[:, None]
        clean = 1000 * ((1 - self.f) * np.exp(-column * self.d) + self.f * np.exp(-column * self.d_star))
        noise = np.random.default_rng(seed).standard_normal((2, *clean.shape)) * 1000 / SNR
        return np.asarray(np.hypot(clean + noise[0], noise[1]))


def truth(voxels: int) -> Truth:
    rng = np.random.default_rng(11)
    return Truth(rng.uniform(0.0005, 0.002, voxels), rng.uniform(0.01, 0.1, voxels), rng.uniform(0.05, 0.4, voxels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=400, help="that dipy fits")
    parser.add_argument("--whole", action="store_true", help="only the examination (used by the run itself)")
    options = parser.parse_args()
    if options.whole:
        whole()
        return
    compiling()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, SNR {SNR:g}, b {B.astype(int).tolist()}")
    beside_dipy(options.voxels)
    growth()
    subprocess.run([sys.executable, "-m", "tests.benchmarks.bench_ivim", "--whole"], check=True)


def compiling() -> None:
    """The first examination of a process, of four voxels: without a cache, which compiles, and with one."""
    code = (
        "import numpy as np; from her2node.quantities import decay; from tests.benchmarks.bench_ivim import B, truth;"
        "from tests.benchmarks.spent import spent; signal = truth(4).signal();"
        "print(spent(lambda: (decay.log_linear(signal, B), decay.variable_projection(signal, B)))[1].words)"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        for how in ("with compiling", "with the cache"):
            words = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip()
            print(f"first maps of a process {how}: {words}")


def beside_dipy(voxels: int) -> None:
    """The same signals to both; ours also as one call of many voxels, which is how it is used."""
    from dipy.core.gradients import gradient_table
    from dipy.reconst.ivim import IvimModel

    known = truth(voxels)
    signal = known.signal()
    table = gradient_table(B, bvecs=np.tile([1.0, 0.0, 0.0], (len(B), 1)) * (B > 0)[:, None], b0_threshold=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, their_time = spent(lambda: IvimModel(table, fit_method="trr").fit(signal.T))
    many = truth(MANY)
    signals = many.signal()
    for fit in (decay.variable_projection, decay.segmented):
        fit(signal, B)
    ours, our_time = spent(lambda: decay.variable_projection(signals, B))
    same, same_time = spent(lambda: decay.variable_projection(signal, B))
    _, segmented_time = spent(lambda: decay.segmented(signals, B))
    columns = "".join(f"{name:>9}" for name in ("D", "D*", "f"))
    print(f"{'':28}{'us/voxel':>10}{'processor':>10}{columns}   (median error: D, D* relative, f absolute)")
    report("dipy trust region", their_time.a_voxel(voxels), known, theirs.D, theirs.D_star, theirs.perfusion_fraction)
    report("variable projection, same", same_time.a_voxel(voxels), known, same.d, same.d_star, same.f)
    report(f"variable projection, {MANY}", our_time.a_voxel(MANY), many, ours.d, ours.d_star, ours.f)
    print(f"{f'segmented, {MANY}':28}{segmented_time.a_voxel(MANY)}")
    print(their_time.ratio_to(voxels, our_time, MANY))


def report(name: str, times: str, known: Truth, d: Values, d_star: Values, f: Values) -> None:
    errors = (np.abs(d / known.d - 1), np.abs(d_star / known.d_star - 1), np.abs(f - known.f))
    print(f"{name:28}{times}" + "".join(f"{float(np.nanmedian(error)):9.4f}" for error in errors))


def growth() -> None:
    """Time for ever more voxels."""
    for voxels in (25_000, 50_000, 100_000, 200_000, 400_000):
        signal = truth(voxels).signal()
        _, took = spent(partial(decay.variable_projection, signal, B))
        print(f"{voxels:8} voxels {took.wall:7.2f} s  {took.a_voxel(voxels)} us/voxel")


def whole() -> None:
    """An examination whose body fills what a body does of its field of view: ADC in three ways, D, D*, f, all maps."""
    row, column = np.ogrid[-1:1:256j, -1:1:256j]
    body = np.broadcast_to((row / 0.65) ** 2 + (column / 0.9) ** 2 <= 1, SHAPE)
    known = truth(int(body.sum()))
    signal = np.empty((len(B), *SHAPE), dtype=np.float32)
    rng = np.random.default_rng(3)
    for index, b in enumerate(B):
        clean = np.zeros(SHAPE, dtype=np.float32)
        clean[body] = 1000 * ((1 - known.f) * np.exp(-b * known.d) + known.f * np.exp(-b * known.d_star))
        real, imaginary = (rng.standard_normal(SHAPE, dtype=np.float32) * np.float32(1000 / SNR) for _ in range(2))
        signal[index] = np.hypot(clean + real, imaginary)
    series = DiffusionSeries(
        b_values=tuple(B.tolist()),
        signal=signal,
        valid=np.ones(SHAPE, dtype=np.bool_),
        geometry=Geometry(SHAPE, (5.0, 1.5, 1.5), (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "1.2"),
        combined=("trace image",) * len(B),
        series_uids=(("1.2.3",),) * len(B),
        sources=((SliceSource("1.2.4", "1.2.5"),) * SHAPE[0],) * len(B),
    )
    decay.log_linear(signal[:, 0, 0], B)
    decay.variable_projection(signal[:, 0, 0], B)
    fit, took = spent(lambda: diffusion.fitted(series))
    fitted = int(np.isfinite(fit.parameters[0].voxels).sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{' x '.join(map(str, SHAPE))} x {len(B)} b, {fitted} voxels of the body")
    print(f"{took.words}, peak {peak:.2f} GiB")


if __name__ == "__main__":
    main()
