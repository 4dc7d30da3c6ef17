"""The node's segmenter beside nnU-Net's own predictor on the CPU: time and peak memory, same network, image, threads.

By hand, in the environment that ``bash tests/parity/run`` makes (torch, nnunetv2):
``.venv-parity/bin/python -m tests.benchmarks.bench_segmenter [--threads 2] [--rounds 3]``. Each runs in a process of
its own, by turns; a network of nnU-Net's usual width with random weights, no mirror images, the whole way from an array
in HU to labels at the image's spacing, sessions and modules already there. Printed: seconds of the wall and of all CPUs
(which say more on a busy machine), patches a second, what the process held at most (VmHWM) and what of it was there
before; the medians' ratio; the load of the machine. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

SPACING_MM, WANTED_MM = (2.0, 1.0, 1.0), 1.5
SHAPE = (56, 200, 200)
PATCH = (64, 96, 96)
FEATURES = [32, 64, 128, 256]
SEED = 4


def memory(field: str) -> int:
    """Bytes of VmHWM (most so far) or VmRSS (now), proc(5)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _timed(act: Callable[[], object]) -> None:
    """Run once and print what it took, as the parent reads it."""
    before, began, worked = memory("VmRSS"), time.perf_counter(), time.process_time()
    labels = np.asarray(act())
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    share = float((labels > 0).mean())
    print(json.dumps({"seconds": seconds, "cpu": cpu, "most": memory("VmHWM"), "before": before, "share": share}))


def image() -> np.ndarray:
    """Smooth structures in HU."""
    noise = np.random.default_rng(SEED).normal(size=SHAPE).astype(np.float32)
    smooth = gaussian_filter(noise, 3)
    return np.asarray(60 + 60 * smooth / smooth.std(), dtype=np.float32)


def make(folder: Path) -> None:
    """The network as both read it: torch's weights, ONNX, plans."""
    import torch

    from tests.parity import nnunet

    said = nnunet.plans_of({"spacing": [WANTED_MM] * 3, "patch": list(PATCH), "turn": [0, 1, 2]})
    architecture = said["configurations"]["parity"]["architecture"]["arch_kwargs"]
    stages = len(FEATURES)
    architecture |= {
        "n_stages": stages,
        "features_per_stage": FEATURES,
        "kernel_sizes": [[3] * 3] * stages,
        "strides": [[1] * 3, *[[2] * 3] * (stages - 1)],
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
    }
    torch.manual_seed(SEED)
    network, *_ = nnunet.network_of(said)
    torch.save(network.state_dict(), folder / "weights.pt")
    (folder / "fold-0.onnx").write_bytes(nnunet.exported(network, list(PATCH)))
    (folder / "plans.json").write_text(json.dumps(said))
    (folder / "dataset.json").write_text(json.dumps(nnunet.DATASET))
    np.save(folder / "image.npy", image())


def node(folder: Path, threads: int) -> None:
    from her2node.models.segmenter.plans import parse
    from her2node.models.segmenter.segmenting import segmented
    from her2node.models.session import Engine, Network

    plans = parse((folder / "plans.json").read_bytes(), (folder / "dataset.json").read_bytes(), "parity")
    session = Network((folder / "fold-0.onnx").read_bytes(), Engine(threads=threads))
    channels = np.load(folder / "image.npy")[None]
    _timed(lambda: segmented(channels, SPACING_MM, plans, [session]))


def theirs(folder: Path, threads: int) -> None:
    import torch

    from tests.parity import nnunet

    torch.set_num_threads(threads)
    network, manager, configuration = nnunet.network_of(json.loads((folder / "plans.json").read_text()))
    weights = torch.load(folder / "weights.pt", weights_only=True)
    predictor = nnunet.predictor_of(network, manager, configuration, weights, None)
    channels = np.load(folder / "image.npy")[None]
    about = {"spacing": list(SPACING_MM)}
    _timed(lambda: predictor.predict_single_npy_array(channels, about, None, None, False))


def _run(what: str, folder: Path, threads: int) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-m", __spec__.name, what, str(folder), "--threads", str(threads)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1])) if what != "make" else {}


def patches() -> int:
    """How many patches lie on the image at the network's spacing."""
    sizes = [max(p, round(n * s / WANTED_MM)) for n, s, p in zip(SHAPE, SPACING_MM, PATCH, strict=True)]
    return math.prod(math.ceil((size - patch) / (patch / 2)) + 1 for size, patch in zip(sizes, PATCH, strict=True))


def compare(threads: int, rounds: int) -> None:
    print(
        f"{SHAPE} at {SPACING_MM} mm, {patches()} patches of {PATCH}, {threads} threads, load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'':8} {'seconds':>8} {'of CPU':>7} {'patches/s':>10} {'most GiB':>9} {'before':>7} {'labelled':>9}")
    found: dict[str, list[dict[str, float]]] = {"node": [], "nnU-Net": []}
    with tempfile.TemporaryDirectory() as place:
        _run("make", Path(place), threads)
        for _ in range(rounds):
            for name, of in found.items():
                one = _run("node" if name == "node" else "theirs", Path(place), threads)
                of.append(one)
                sizes = f"{one['most'] / 2**30:9.2f} {one['before'] / 2**30:7.2f} {one['share']:9.4f}"
                print(
                    f"{name:8} {one['seconds']:8.1f} {one['cpu']:7.1f} {patches() / one['seconds']:10.3f} {sizes}",
                    flush=True,
                )
    ours, their = (
        {key: statistics.median(one[key] for one in of) for key in ("seconds", "cpu", "most", "before")}
        for of in found.values()
    )
    ratio = {key: ours[key] / their[key] for key in ours}
    more = (ours["most"] - ours["before"]) / (their["most"] - their["before"])
    print(f"node / nnU-Net: time {ratio['seconds']:.2f}, of CPU {ratio['cpu']:.2f}, memory {ratio['most']:.2f}")
    print(f"memory beyond what was there before {more:.2f}; load {os.getloadavg()[0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_segmenter", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["compare", "make", "node", "theirs"], default="compare")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    match given.what:
        case "make":
            make(given.folder)
        case "node":
            node(given.folder, given.threads)
        case "theirs":
            theirs(given.folder, given.threads)
        case _:
            compare(given.threads, given.rounds)


if __name__ == "__main__":
    main()
