"""How fast radiomics is: the node's engine beside PyRadiomics' C engine and z-rad, on the same voxels in one run.

``python -m tests.benchmarks.bench_radiomics [--rounds N] [--pyradiomics PYTHON] [--no-zrad]``. The engines measure an
ellipsoid of 21,000 voxels of textured noise at 1 mm: ours every feature of IBSI 1 with texture merged in space, z-rad
the same, PyRadiomics its default 107. PyRadiomics 3.0.1 builds by hand only (setuptools, wheel and numpy first, then
``pip install --no-build-isolation --no-deps pyradiomics==3.0.1`` with SimpleITK, pywavelets, pykwalify, six); name the
Python that has it. Then ours grows to 5 million voxels. Warm runs are timed; compiling is told apart.
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
from collections.abc import Callable
from dataclasses import replace
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
import json, logging, statistics, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np, SimpleITK as sitk
from radiomics import featureextractor
logging.getLogger("radiomics").setLevel(logging.ERROR)
stored = np.load(sys.argv[1])
image, mask = (sitk.GetImageFromArray(stored[name]) for name in ("voxels", "mask"))
extractor = featureextractor.RadiomicsFeatureExtractor(binWidth=25)
spent = []
for _ in range(int(sys.argv[2]) + 1):
    began = time.perf_counter()
    found = extractor.execute(image, mask)
    spent.append(time.perf_counter() - began)
print(json.dumps({"seconds": spent[1:], "features": sum(name.startswith("original_") for name in found)}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pyradiomics", default=None, help="the Python that has PyRadiomics")
    parser.add_argument("--no-zrad", action="store_true")
    options = parser.parse_args()
    print_compiling()
    voxels, mask = textured(COMPARED)
    ours = timed(lambda: radiomics.features(voxels, mask, made.CUBES, CONFIGURATION), options.rounds)
    count = len(radiomics.features(voxels, mask, made.CUBES, CONFIGURATION))
    print(f"\n{np.count_nonzero(mask)} voxels, one thread: seconds, median of {options.rounds} (lowest - highest)")
    print_line("her2node", count, ours, ours)
    if options.pyradiomics:
        told = by_pyradiomics(options.pyradiomics, voxels, mask, options.rounds)
        print_line("PyRadiomics", told["features"], told["seconds"], ours)
    if not options.no_zrad:
        theirs = timed(lambda: zrad.features(voxels, mask, made.CUBES, CONFIGURATION), max(options.rounds // 2, 1))
        print_line("z-rad", len(zrad.features(voxels, mask, made.CUBES, CONFIGURATION)), theirs, ours)
    print_growth(options.rounds)


def textured(voxels: int) -> tuple[np.ndarray, np.ndarray]:
    """An ellipsoid of about so many voxels, within an image of smoothed noise like a tumour's."""
    radius = (voxels * 3 / (4 * np.pi)) ** (1 / 3)
    radii = (radius * 0.9, radius, radius / 0.9)
    shape = tuple(int(2 * r) + 17 for r in radii)
    centre = tuple((n - 1) / 2 for n in shape)
    mask = made.ellipsoid(shape, made.CUBES, centre, radii)
    image = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=shape).astype(np.float32), 1.0)
    return np.rint(60 + 40 * image / image.std()).astype(np.float32), mask


def timed(run: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each round after a first that is not counted."""
    run()
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        spent.append(time.perf_counter() - began)
    return spent


def by_pyradiomics(python: str, voxels: np.ndarray, mask: np.ndarray, rounds: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "region.npz"
        np.savez(path, voxels=voxels, mask=mask.astype(np.uint8))
        command = [python, "-c", PYRADIOMICS, str(path), str(rounds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def print_line(name: str, count: int, spent: list[float], ours: list[float]) -> None:
    ratio = statistics.median(spent) / statistics.median(ours)
    print(
        f"{name:12}{count:5} features {statistics.median(spent):9.3f} s ({min(spent):.3f} - {max(spent):.3f})"
        f"  {ratio:7.2f} x ours"
    )


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


def print_growth(rounds: int) -> None:
    print(f"\n{'voxels':>10}{'seconds':>10}{'us a voxel':>12}{'peak MB':>9}")
    for size in SIZES:
        voxels, mask = textured(size)
        spent = timed(lambda v=voxels, m=mask: radiomics.features(v, m, made.CUBES, CONFIGURATION), min(rounds, 3))
        count, seconds = int(np.count_nonzero(mask)), statistics.median(spent)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{count:10}{seconds:10.3f}{seconds / count * 1e6:12.2f}{peak:9.0f}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
