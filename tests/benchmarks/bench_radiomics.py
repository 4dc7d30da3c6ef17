"""How fast radiomics is: the node's engine beside PyRadiomics' C engine and z-rad, on the same voxels in one run.

``python -m tests.benchmarks.bench_radiomics [--rounds N] [--pyradiomics PYTHON] [--no-zrad] [--largest VOXELS]``. All
engines measure an ellipsoid of 21,000 voxels of textured noise at 1 mm: ours every feature of IBSI 1 with texture
merged in space, z-rad the same, PyRadiomics its default 107. They take turns; ratios are those of processor time (user
and system), which other work on the machine moves less than the wall clock. PyRadiomics 3.0.1 builds by hand only, in
an environment of its own (``"numpy<2"``, setuptools<70, wheel, cython<3.1 and versioneer first, then ``pip install
--no-build-isolation --no-deps pyradiomics==3.0.1`` with SimpleITK, PyWavelets, pykwalify, six); name the Python that
has it. Then ours grows to 5 million voxels, or to ``--largest``. Warm runs are timed; compiling is told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sized
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from her2node.quantities import radiomics
from her2node.quantities.radiomics.texture import Aggregation
from tests.quantities.radiomics import made, zrad

SIZES = (2_600, 21_000, 165_000, 1_300_000, 5_000_000)
COMPARED = 21_000
CONFIGURATION = replace(radiomics.shipped("ibsi-c"), interpolation=None, aggregations=(Aggregation.VOLUME_MERGED,))
PYRADIOMICS = """
import json, logging, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, SimpleITK as sitk
from radiomics import featureextractor
logging.getLogger("radiomics").setLevel(logging.ERROR)
stored = np.load(sys.argv[1])
image, mask = (sitk.GetImageFromArray(stored[name]) for name in ("voxels", "mask"))
extractor = featureextractor.RadiomicsFeatureExtractor(binWidth=25)
extractor.execute(image, mask)
wall, processor = time.perf_counter(), time.process_time()
found = extractor.execute(image, mask)
spent = time.perf_counter() - wall, time.process_time() - processor
print(json.dumps([*spent, sum(name.startswith("original_") for name in found)]))
"""


@dataclass(frozen=True)
class Spent:
    """Seconds of one run, and how many features it gave."""

    wall: float
    processor: float
    features: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pyradiomics", default=None, help="the Python that has PyRadiomics")
    parser.add_argument("--no-zrad", action="store_true")
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    options = parser.parse_args()
    print_compiling()
    voxels, mask = textured(COMPARED)
    runs = {"her2node": lambda: once(lambda: radiomics.features(voxels, mask, made.CUBES, CONFIGURATION))}
    if options.pyradiomics:
        runs["PyRadiomics"] = lambda: by_pyradiomics(options.pyradiomics, voxels, mask)
    if not options.no_zrad:
        runs["z-rad"] = lambda: once(lambda: zrad.features(voxels, mask, made.CUBES, CONFIGURATION))
    for run in runs.values():
        run()
    rounds = [{name: run() for name, run in runs.items()} for _ in range(options.rounds)]
    print(f"\n{np.count_nonzero(mask)} voxels, one thread: seconds, median of {options.rounds} (lowest - highest)")
    for name in runs:
        print_line(name, [one[name] for one in rounds], [one["her2node"] for one in rounds])
    print_growth(options.rounds, options.largest)


def textured(voxels: int) -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid of about so many voxels, within an image of smoothed noise like a tumour's."""
    radius = (voxels * 3 / (4 * np.pi)) ** (1 / 3)
    radii = (radius * 0.9, radius, radius / 0.9)
    shape = tuple(int(2 * r) + 17 for r in radii)
    centre = tuple((n - 1) / 2 for n in shape)
    mask = made.ellipsoid(shape, made.CUBES, centre, radii)
    image = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=shape).astype(np.float32), 1.0)
    return np.rint(60 + 40 * image / image.std()).astype(np.float32), mask


def once(run: Callable[[], Sized]) -> Spent:
    wall, processor = time.perf_counter(), time.process_time()
    found = run()
    return Spent(time.perf_counter() - wall, time.process_time() - processor, len(found))


def by_pyradiomics(python: str, voxels: np.ndarray, mask: np.ndarray) -> Spent:
    """The second run of a process, as the first loads what it needs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "region.npz"
        np.savez(path, voxels=voxels, mask=mask.astype(np.uint8))
        done = subprocess.run([python, "-c", PYRADIOMICS, str(path)], capture_output=True, text=True, check=True)
    return Spent(*json.loads(done.stdout.splitlines()[-1]))


def print_line(name: str, spent: list[Spent], ours: list[Spent]) -> None:
    told = [f"{name:12}{spent[0].features:5} features"]
    for clock in ("processor", "wall"):
        seconds = [getattr(one, clock) for one in spent]
        told.append(f"{clock} {statistics.median(seconds):7.3f} ({min(seconds):.3f} - {max(seconds):.3f})")
    ratio = statistics.median(one.processor / own.processor for one, own in zip(spent, ours, strict=True))
    print("  ".join(told) + f"  {ratio:6.2f} x ours")


def print_compiling() -> None:
    """The first features of a process: without a cache, which compiles, and with one."""
    code = (
        "import time; from tests.quantities.radiomics import made; from her2node.quantities import radiomics;"
        "import numpy as np; began = time.perf_counter();"
        "radiomics.features(np.arange(1., 65).reshape(4, 4, 4), np.ones((4, 4, 4), bool), made.CUBES, made.DIGITAL);"
        "print(time.perf_counter() - began)"
    )
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        first, second = (
            float(subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)) for _ in range(2)
        )
    print(f"first features of a process: {first:.1f} s with compiling, {second:.2f} s with the cache")


def print_growth(rounds: int, largest: int) -> None:
    print(f"\n{'voxels':>10}{'processor s':>13}{'wall s':>9}{'us a voxel':>12}{'peak MB':>9}")
    for size in (size for size in SIZES if size <= largest):
        voxels, mask = textured(size)
        spent = [
            once(lambda v=voxels, m=mask: radiomics.features(v, m, made.CUBES, CONFIGURATION))
            for _ in range(1 + min(rounds, 3))
        ][1:]
        count = int(np.count_nonzero(mask))
        processor, wall = (statistics.median(getattr(one, of) for one in spent) for of in ("processor", "wall"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{count:10}{processor:13.3f}{wall:9.3f}{processor / count * 1e6:12.2f}{peak:9.0f}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
