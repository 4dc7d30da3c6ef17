"""Volumes and regions from arrays, and the published tables."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from her2node.dicom.codes import Code, Unit
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois.roi import Roi, RoiOrigin
from her2node.volumes.volume import Geometry, SliceSource, Volume

REFERENCE = Path(__file__).parents[1] / "reference"


def volume(
    voxels: np.ndarray,
    *,
    spacing: tuple[float, float, float] = (2.0, 2.0, 2.0),
    valid: np.ndarray | None = None,
    unit: Code = Unit.HU,
) -> Volume:
    geometry = Geometry(voxels.shape, spacing, (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "1.2.3")
    return Volume(
        geometry=geometry,
        voxels=voxels.astype(np.float32),
        valid=np.ones(voxels.shape, np.bool_) if valid is None else valid,
        unit=unit,
        series_instance_uid="1.2.4",
        sources=tuple(SliceSource("1.2.5", f"1.2.6.{i}") for i in range(len(voxels))),
    )


def roi(mask: np.ndarray, of: Volume, *, cut_off: bool = False) -> Roi:
    return Roi(
        mask=mask,
        geometry=of.geometry,
        label="Tumour",
        tracking_uid="1.2.7",
        tracking_id="T",
        origin=RoiOrigin.SEGMENTATION,
        source_sop_class_uid="1.2.8",
        source_sop_instance_uid="1.2.9",
        source_number=1,
        cut_off=cut_off,
    )


def named(found: tuple[Quantity | NotMeasured, ...]) -> dict[str, float]:
    """Values by what they are called: the modifier where there is one, else the concept."""
    return {(q.modifier or q.code).meaning: q.value for q in found if isinstance(q, Quantity)}


def table(name: str) -> list[dict[str, str]]:
    with (REFERENCE / name).open(newline="") as file:
        return list(csv.DictReader(file))


def ibsi(dataset: str) -> dict[str, tuple[float, float]]:
    """Reference value and tolerance by IBSI's tag."""
    rows = (row for row in table("ibsi1.csv") if row["dataset"] == dataset)
    return {row["tag"]: (float(row["reference"]), float(row["tolerance"])) for row in rows}


def agrees(value: float, reference: tuple[float, float]) -> bool:
    """IBSI's rule: three significant digits, then within the tolerance (by the last digit's arithmetic)."""
    rounded = float(f"{value:.3g}")
    return abs(rounded - reference[0]) <= reference[1] + 1e-9 * abs(reference[0])


def digital_phantom() -> tuple[np.ndarray, np.ndarray]:
    """Values and region of IBSI's digital phantom, (4, 4, 5)."""
    rows = table("ibsi1_digital_phantom.csv")
    shape = tuple(1 + max(int(row[axis]) for row in rows) for axis in ("slice", "row", "column"))
    values, mask = np.zeros(shape), np.zeros(shape, np.bool_)
    for row in rows:
        at = int(row["slice"]), int(row["row"]), int(row["column"])
        values[at], mask[at] = float(row["value"]), row["inside"] == "1"
    return values, mask
