"""PyRadiomics 3.0.1's own figures of two regions that any machine makes alike, and how the table of them is made.

``python -m tests.quantities.radiomics.pyradiomics PYTHON`` writes ``tests/reference/pyradiomics.csv``, PYTHON having
PyRadiomics (it builds by hand only: ``tests.benchmarks.bench_radiomics``). Tests need the table alone.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from her2node.quantities import radiomics
from her2node.quantities.radiomics.configuration import Configuration, Resegmentation
from her2node.quantities.radiomics.discretisation import FixedBinSize
from her2node.quantities.radiomics.texture import Aggregation
from tests.quantities import made as arrays
from tests.quantities.radiomics import made

TABLE = Path(__file__).resolve().parents[2] / "reference" / "pyradiomics.csv"
_PROGRAM = """
import csv, logging, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, SimpleITK as sitk
from radiomics import featureextractor
logging.getLogger("radiomics").setLevel(logging.ERROR)
stored = np.load(sys.argv[1])
image, mask = (sitk.GetImageFromArray(stored[name]) for name in ("voxels", "mask"))
for one in (image, mask):
    one.SetSpacing([float(side) for side in stored["spacing_mm"][::-1]])
found = featureextractor.RadiomicsFeatureExtractor(binWidth=float(sys.argv[2])).execute(image, mask)
writer = csv.writer(sys.stdout, lineterminator="\\n")
for name, value in found.items():
    if name.startswith("original_"):
        writer.writerow([sys.argv[3], name, repr(float(value))])
"""


@dataclass(frozen=True)
class Case:
    """A region, and how its intensities are binned: bins of ``size`` from ``start`` on, a multiple of it."""

    voxels: np.ndarray
    mask: np.ndarray
    spacing_mm: tuple[float, float, float]
    size: float
    start: float

    @property
    def configuration(self) -> Configuration:
        return replace(
            made.DIGITAL,
            resegmentation=Resegmentation(lowest=self.start),
            discretisation=FixedBinSize(self.size),
            aggregations=(Aggregation.VOLUME_AVERAGED,),
        )

    def features(self) -> dict[str, float]:
        found = radiomics.features(self.voxels, self.mask, self.spacing_mm, self.configuration)
        return {tag: value for tag, value in found.items() if isinstance(value, float)}


def cases() -> dict[str, Case]:
    digital = arrays.digital_phantom()
    shape, spacing = (12, 22, 20), (3.0, 1.25, 1.5)
    z, y, x = np.indices(shape)
    remainders = ((37 * z + 7 * y * y + 3 * x * z + x * y) % 211 - 60).astype(np.float64)
    mask = made.ellipsoid(shape, spacing, (5.5, 10.5, 9.5), (13.0, 11.0, 9.0))
    start = 25.0 * np.floor(remainders[mask].min() / 25)
    return {
        "digital": Case(*digital, made.SPACING, 1.0, 1.0),
        "remainders": Case(remainders, mask, spacing, 25.0, float(start)),
    }


def table() -> dict[str, dict[str, float]]:
    """Figure by name by case."""
    found: dict[str, dict[str, float]] = {}
    with TABLE.open(newline="") as file:
        for case, name, value in csv.reader(file):
            found.setdefault(case, {})[name] = float(value)
    return found


def main(python: str) -> None:
    with tempfile.TemporaryDirectory() as folder, TABLE.open("w") as file:
        for name, case in cases().items():
            stored = Path(folder) / f"{name}.npz"
            np.savez(stored, voxels=case.voxels, mask=case.mask.astype(np.uint8), spacing_mm=case.spacing_mm)
            command = [python, "-c", _PROGRAM, str(stored), str(case.size), name]
            file.write(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main(sys.argv[1])
