"""Start and inference of every package that ships: ``python -m tests.benchmarks.bench_packages [--rounds 200]``.

Printed for each package that predicts: milliseconds to load it (hashes, manifest, session, worked cases), to start its
session alone, and microseconds for one answer; beside the last two what a plain ``onnxruntime.InferenceSession`` with
its own defaults takes on the same bytes in the same run, and the ratio. Medians of the wall: on a busy machine all of
them grow. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from her2node.models.manifest import Scalar
from her2node.models.package import MODEL, OUTPUT, Package, load, package_folders, shipped_trust
from her2node.models.session import Session
from her2node.models.trust import Trust


def median_s(act: Callable[[], object], rounds: int) -> float:
    """Seconds of the wall, the median of so many rounds after one that does not count."""
    act()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


@dataclass(frozen=True)
class Timed:
    """Milliseconds to load, to start and to start a stock session; microseconds for an answer here and there."""

    load_ms: float
    start_ms: float
    stock_start_ms: float
    answer_us: float
    stock_answer_us: float

    def __str__(self) -> str:
        starts = f"{self.start_ms:9.2f} {self.stock_start_ms:7.2f} {self.start_ms / self.stock_start_ms:6.2f}"
        answers = f"{self.answer_us:10.1f} {self.stock_answer_us:7.1f} {self.answer_us / self.stock_answer_us:6.2f}"
        return f"{self.load_ms:8.1f} {starts} {answers}"


def timed(folder: Path, package: Package, trust: Trust, rounds: int) -> Timed:
    """Of one package, each input 1, which every graph takes."""
    model, few = (folder / MODEL).read_bytes(), max(3, rounds // 20)
    case = {given.name: 1.0 for given in package.manifest.inputs}
    vectors = {name: np.array([value]) for name, value in case.items()}
    stock = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return Timed(
        1e3 * median_s(lambda: load(folder, trust), few),
        1e3 * median_s(lambda: Session(model), few),
        1e3 * median_s(lambda: onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]), few),
        1e6 * median_s(lambda: package.probabilities([case]), rounds),
        1e6 * median_s(lambda: stock.run([OUTPUT], vectors), rounds),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds, trust = parser.parse_args().rounds, shipped_trust()
    heads = f"{'load ms':>8} {'start ms':>9} {'stock':>7} {'ratio':>6} {'answer us':>10} {'stock':>7} {'ratio':>6}"
    print(f"{'package':34} {heads}")
    for folder in package_folders(()):
        package = load(folder, trust)
        if isinstance(package.manifest, Scalar):
            print(f"{folder.name:34} {timed(folder, package, trust, rounds)}")


if __name__ == "__main__":
    main()
