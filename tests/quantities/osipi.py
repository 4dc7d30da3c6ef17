"""OSIPI's reference curves: a table's rows, whose arrays are blank-separated numbers in a cell."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

csv.field_size_limit(1 << 24)


def rows(shared: Path, table: str) -> list[dict[str, str]]:
    with (shared / "reference" / "osipi-dce-dsc" / table).open(newline="") as file:
        return list(csv.DictReader(file))


def array(cell: str) -> NDArray[np.float64]:
    return np.array(cell.split(), dtype=np.float64)
