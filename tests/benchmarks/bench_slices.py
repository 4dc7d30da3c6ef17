"""How long `her2node measure` takes for a long series with a small tumour, and what memory it needs.

``python -m tests.benchmarks.bench_slices [SLICES ...]`` writes portal CT phantoms of 512 x 512 with a SEG, 300, 1000
and 3000 slices (about 0.5 MB a slice) unless others are named, into a temporary folder, and measures each in a process
of its own. Only the slices near the tumour and the reference vessels are decoded whole, so time is that of reading
headers and of one look at every slice, and memory grows by what a header takes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from her2node import phantoms
from her2node.phantoms import PhantomOptions, Phase, RoiForm

SLICES = (300, 1000, 3000)
SPACING_MM = 0.5


def main() -> None:
    print(f"{'slices':>8}{'seconds':>10}{'processor':>11}{'ms a slice':>12}{'peak MiB':>10}")
    for slices in map(int, sys.argv[1:]) if len(sys.argv) > 1 else SLICES:
        with tempfile.TemporaryDirectory() as folder:
            options = PhantomOptions(
                seed=3, phases=(Phase.PORTAL,), rows=512, columns=512, slices=slices, slice_spacing_mm=SPACING_MM,
                rois=(RoiForm.BINARY,),
            )  # fmt: skip
            phantoms.write(phantoms.make(options), Path(folder))
            print_measured(slices, Path(folder))


def print_measured(slices: int, folder: Path) -> None:
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "her2node", "measure", str(folder), "--json"], stdout=subprocess.DEVNULL
    ) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"measure of {slices} slices ended with {child.returncode}")
    seconds, processor = time.perf_counter() - began, used.ru_utime + used.ru_stime
    print(f"{slices:8}{seconds:10.1f}{processor:11.1f}{1000 * processor / slices:12.2f}{used.ru_maxrss / 1024:10.0f}")


if __name__ == "__main__":
    main()
