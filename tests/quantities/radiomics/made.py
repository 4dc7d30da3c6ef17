"""Regions to measure, published tables and a plain configuration."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from her2node import rois, volumes
from her2node.quantities.radiomics import Configuration, shipped
from her2node.rois.roi import Roi
from her2node.selection.study import open_study
from her2node.volumes.volume import Volume

DIGITAL = shipped("ibsi-digital")
"""Integers as they are, all six aggregations."""
SPACING = (2.0, 2.0, 2.0)
CUBES = (1.0, 1.0, 1.0)


def asking(*features: str, of: Configuration = DIGITAL) -> Configuration:
    return replace(of, features=features)


@dataclass(frozen=True)
class Row:
    """A line of IBSI's table."""

    tag: str
    family: str
    consensus: str
    reference: str
    tolerance: float

    @property
    def few_teams(self) -> bool:
        return self.consensus == "3-5"

    @property
    def is_diagnostic(self) -> bool:
        return self.family.startswith("Diagnostics")

    def agrees(self, value: float) -> bool:
        """IBSI's rule: the value to three significant digits; a diagnostic to the digits that are printed."""
        _, _, decimals = self.reference.partition(".")
        rounded = round(value, len(decimals)) if self.is_diagnostic else float(f"{value:.3g}")
        return abs(rounded - float(self.reference)) <= self.tolerance + 1e-9 * abs(float(self.reference))


@cache
def rows(shared: Path, dataset: str) -> list[Row]:
    """Every value that IBSI standardised, of ``digital_phantom`` or ``config_A`` to ``config_E``."""
    path = shared / f"reference/ibsi1/reference_values/ibsi_1_reference_values_{dataset}.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [
            Row(r["tag"], r["family"], r["consensus"], r["reference value"], float(r["tolerance"] or 0))
            for r in csv.DictReader(file)
            if r["reference value"]
        ]


@cache
def ct_phantom(shared: Path) -> tuple[Volume, Roi]:
    """The CT phantom from its DICOM images and RTSTRUCT, by the node's own volumes and regions."""
    folder = shared / "reference/ibsi1/ct_phantom/dicom"
    volume = volumes.build(open_study((folder / "image").iterdir()).series[0])
    (region,) = rois.given(open_study((folder / "mask").iterdir()))
    return volume, rois.lay(region, volume)


@cache
def real_ct(shared: Path, folder: str) -> Volume:
    files = sorted((shared / "data" / folder).glob("*.dcm"))
    return volumes.build(open_study(files).series[0])


def ellipsoid(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    centre: tuple[float, float, float],
    radii_mm: tuple[float, float, float],
) -> np.ndarray:
    """Voxels within an ellipsoid around ``centre`` (slice, row, column)."""
    axes = [((np.arange(n) - c) * s / r) ** 2 for n, c, s, r in zip(shape, centre, spacing_mm, radii_mm, strict=True)]
    return axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] <= 1
