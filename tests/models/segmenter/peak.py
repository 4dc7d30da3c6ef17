"""A process of its own that runs a segmenter over an image and tells the most memory that it held.

``python -m tests.models.segmenter.peak FOLDER PUBLIC_KEY IMAGE.npy SPACING MASK.npy``; ``told`` starts it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from her2node.models.package import load, shipped_trust
from her2node.models.segmenter.turning import turn_to

UPRIGHT = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Directions of the axes of an image that was taken with the patient supine, from foot to head."""


def told(folder: Path, key: Path, image: Path, spacing_mm: Sequence[float], mask: Path, seconds: float) -> int:
    """Bytes that the process held at most (VmHWM of proc(5), which begins anew with the program)."""
    arguments = [str(folder), str(key), str(image), json.dumps(list(spacing_mm)), str(mask)]
    done = subprocess.run(
        [sys.executable, "-m", __name__, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def _main(folder: Path, key: Path, image: Path, spacing_mm: Sequence[float], mask: Path) -> None:
    ensemble = load(folder, shipped_trust([key])).ensemble
    assert ensemble is not None
    turn = turn_to(ensemble.stated.orientation, UPRIGHT)
    channels = np.ascontiguousarray(turn.turned(np.load(image)))[None]
    found = ensemble.tumour(channels, turn.spacing(spacing_mm))
    np.save(mask, turn.back(found))
    (most,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    print(int(most) * 1024)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4]), Path(sys.argv[5]))
