"""How long perfusion maps take and what memory they need, and how both grow.

``python -m tests.benchmarks.bench_perfusion`` makes a 4-D scan of 512 x 512 x 16 x 40 in memory, then times what the
node does with it: motion, arterial input, body, and the seven maps BF, BV, MTT, Tmax, time to peak, peak enhancement
and PS over the body. The goal is 40 s and 2 GiB of resident memory at the peak. Parts of the slices show the growth.
Beside the wall clock stands processor time (user and system), which other work on the machine moves less.
Each size runs in a process of its own, so that the peak is that of this size.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from dataclasses import dataclass

import numpy as np

from her2node.phantoms.flow import Artery, Tissue, uptake
from her2node.quantities import arterial, motion, perfusion
from her2node.quantities.bolus import bolus_of
from her2node.quantities.perfusion_maps import Grid, maps
from her2node.volumes.volume import Geometry

ROWS = COLUMNS = 512
POINTS, INTERVAL_S = 40, 1.5
SLICES = (4, 8, 16)
GOAL_S, GOAL_MIB = 40.0, 2048


@dataclass(frozen=True)
class Run:
    slices: int
    voxels: int
    motion_s: float
    input_s: float
    maps_s: float
    maps_processor_s: float
    processor_s: float
    peak_mib: int


def scan(slices: int) -> tuple[np.ndarray, np.ndarray]:
    """Times, and voxels (t, slices, rows, columns): an elliptic body of many tissues, an aorta, and noise of 10 HU."""
    rng = np.random.default_rng(1)
    times = tuple(INTERVAL_S * point for point in range(POINTS))
    artery = Artery()
    tissues = [Tissue(flow, 0.001 * flow, 0.25 * flow, 0.2, 2.0) for flow in (8, 30, 60, 90, 120, 200)]
    rises = np.array([uptake(artery, tissue, times) for tissue in tissues], dtype=np.float32)
    row, column = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32)
    body = ((row - 256) / 170) ** 2 + ((column - 256) / 220) ** 2 <= 1
    kind = ((row // 24 + column // 24) % len(tissues)).astype(int)
    aorta = (row - 330) ** 2 + (column - 262) ** 2 <= 14**2
    voxels = np.empty((POINTS, slices, ROWS, COLUMNS), dtype=np.float32)
    for point, when in enumerate(times):
        image = np.where(body, 40 + rises[kind, point], np.float32(-1000))
        image[aorta] = 40 + artery.at(when)
        voxels[point] = image
        for plane in voxels[point]:
            plane += 10 * rng.standard_normal(plane.shape, dtype=np.float32)
    return np.array(times), voxels


def measured(slices: int) -> Run:
    times, voxels = scan(slices)
    geometry = Geometry(
        (slices, ROWS, COLUMNS), (5.0, 0.75, 0.75), (-192.0, -192.0, 0.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "1.2.3"
    )
    valid = np.ones(geometry.shape, dtype=np.bool_)
    begin, before = time.perf_counter(), time.process_time()
    moved = motion.estimate(voxels, geometry.spacing_mm, (-150.0, 20.0))
    valid = motion.undo(voxels, valid, geometry.spacing_mm, moved)
    still = time.perf_counter()
    body = valid & (voxels[moved.reference] > -300)
    artery = arterial.find(times, voxels, body, geometry, perfusion.LEAST_ARTERIAL_HU, 20.0)
    bolus = bolus_of(times, voxels[:, artery.mask].mean(axis=1, dtype=np.float64), perfusion.LEAST_ARTERIAL_HU)
    found, processor = time.perf_counter(), time.process_time()
    made = maps(bolus, voxels, body, Grid(geometry, (), ()), perfusion.FACTORS)
    done, end = time.perf_counter(), time.process_time()
    if len(made) != 7 or any(not hasattr(one, "voxels") for one in made):
        raise RuntimeError(f"not all maps were made: {made}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return Run(slices, int(body.sum()), still - begin, found - still, done - found, end - processor, end - before, peak)


def main() -> None:
    print(__doc__)
    print(
        f"{'slices':>8}{'body voxels':>14}{'motion s':>10}{'input s':>10}{'maps s':>10}{'all s':>10}"
        f"{'maps cpu s':>12}{'all cpu s':>11}{'cpu us/voxel':>14}{'MiB':>8}"
    )
    for slices in SLICES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            run = pool.apply(measured, (slices,))
        whole = run.motion_s + run.input_s + run.maps_s
        each = 1e6 * run.processor_s / run.voxels
        print(
            f"{run.slices:8}{run.voxels:14}{run.motion_s:10.2f}{run.input_s:10.2f}{run.maps_s:10.2f}{whole:10.2f}"
            f"{run.maps_processor_s:12.2f}{run.processor_s:11.2f}{each:14.2f}{run.peak_mib:8}"
        )
    print(f"goal for 16 slices: maps under {GOAL_S:g} s, peak under {GOAL_MIB} MiB")


if __name__ == "__main__":
    main()
