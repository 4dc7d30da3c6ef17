"""IBSI 2's phantoms, images and statistics, as its manual describes them: written apart from the product."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
from scipy import ndimage

from her2node.quantities.radiomics.filters import (
    Band,
    Boundary,
    Family,
    Filter,
    Gabor,
    LaplacianOfGaussian,
    Laws,
    Mean,
    NonSeparableWavelet,
    Pooling,
    Riesz,
    SeparableWavelet,
)

VOXEL_TYPES = {2: "u1", 4: "<i2", 16: "<f4"}
SEGMENT = (-1000, 400)
"""Re-segmentation range of both configurations, HU."""


def nifti(path: Path) -> np.ndarray:
    """Voxels of a NIfTI-1 file without scaling, as (slice, row, column)."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    columns, rows, slices = np.frombuffer(raw[42:48], "<i2")
    kind = VOXEL_TYPES[int(np.frombuffer(raw[70:72], "<i2")[0])]
    return np.frombuffer(raw[352:], kind).reshape(slices, rows, columns).astype(np.float64)


def phantom(shared: Path, name: str) -> np.ndarray:
    """A digital phantom: 64^3 voxels of 2 mm."""
    return nifti(shared / f"reference/ibsi2/digital_phantom/nifti/{name}/image/{name}.nii.gz")


def reference_values(shared: Path) -> dict[str, dict[str, tuple[float, float]]]:
    """Consensus value and tolerance by filter id and feature; a row without consensus is left out."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    with (shared / "reference/ibsi2/reference_feature_values/reference_values.csv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter=";"):
            if row["consensus_value"]:
                value = float(row["consensus_value"]), float(row["tolerance"])
                found.setdefault(row["filter_id"], {})[row["feature_tag"]] = value
    return found


Scan = tuple[np.ndarray, tuple[float, float, float], np.ndarray]
"""Voxels, spacing in mm, region after re-segmentation."""


def configuration_a(shared: Path) -> Scan:
    """The CT phantom as it was scanned; filters run in each slice."""
    folder = shared / "reference/ibsi1/ct_phantom/nifti"
    voxels = nifti(folder / "image/phantom.nii.gz")
    region = nifti(folder / "mask/mask.nii.gz") > 0
    return voxels, (3.0, 0.977, 0.977), _segmented(voxels, region)


def configuration_b(shared: Path) -> Scan:
    """At 1 mm by tricubic spline, rounded to whole HU; the region by trilinear interpolation from 0.5 on."""
    voxels, spacing, _ = configuration_a(shared)
    region = nifti(shared / "reference/ibsi1/ct_phantom/nifti/mask/mask.nii.gz")
    fine = np.round(_at_1mm(voxels, spacing, order=3))
    return fine, (1.0, 1.0, 1.0), _segmented(fine, _at_1mm(region, spacing, order=1) >= 0.5)


def _at_1mm(voxels: np.ndarray, spacing: tuple[float, float, float], order: int) -> np.ndarray:
    """On a grid of ceil(extent / 1 mm) voxels whose centre is that of the image (IBSI 1 section 2.4)."""
    shape = [int(np.ceil(n * mm)) for n, mm in zip(voxels.shape, spacing, strict=True)]
    places = [
        (n - 1) / 2 + (np.arange(m) - (m - 1) / 2) / mm for n, m, mm in zip(voxels.shape, shape, spacing, strict=True)
    ]
    return ndimage.map_coordinates(voxels, np.meshgrid(*places, indexing="ij"), order=order, mode="nearest")


def _segmented(voxels: np.ndarray, region: np.ndarray) -> np.ndarray:
    return region & (voxels >= SEGMENT[0]) & (voxels <= SEGMENT[1])


def statistics(x: np.ndarray) -> dict[str, float]:
    """IBSI 1's intensity-based statistics (UHIW)."""
    mean, variance = x.mean(), x.var()
    p10, p25, median, p75, p90 = np.percentile(x, [10, 25, 50, 75, 90])
    robust = x[(x >= p10) & (x <= p90)]
    return {
        "stat_mean": mean,
        "stat_var": variance,
        "stat_skew": ((x - mean) ** 3).mean() / variance**1.5,
        "stat_kurt": ((x - mean) ** 4).mean() / variance**2 - 3,
        "stat_median": median,
        "stat_min": x.min(),
        "stat_p10": p10,
        "stat_p90": p90,
        "stat_max": x.max(),
        "stat_iqr": p75 - p25,
        "stat_range": np.ptp(x),
        "stat_mad": abs(x - mean).mean(),
        "stat_rmad": abs(robust - robust.mean()).mean(),
        "stat_medad": abs(x - median).mean(),
        "stat_cov": np.sqrt(variance) / mean,
        "stat_qcod": (p75 - p25) / (p75 + p25),
        "stat_energy": (x**2).sum(),
        "stat_rms": np.sqrt((x**2).mean()),
    }


ZERO, NEAREST, PERIODIC, MIRROR = Boundary.ZERO, Boundary.NEAREST, Boundary.PERIODIC, Boundary.MIRROR
AVERAGE, MAXIMUM = Pooling.AVERAGE, Pooling.MAXIMUM
DB2, DB3, COIF1, HAAR = Family.DAUBECHIES_2, Family.DAUBECHIES_3, Family.COIFLET_1, Family.HAAR

MAPS: dict[str, tuple[str, Filter]] = {
    "1_a_1": ("checkerboard", Mean(15, 3, ZERO)),
    "1_a_2": ("checkerboard", Mean(15, 3, NEAREST)),
    "1_a_3": ("checkerboard", Mean(15, 3, PERIODIC)),
    "1_a_4": ("checkerboard", Mean(15, 3, MIRROR)),
    "1_b_1": ("impulse", Mean(15, 2, ZERO)),
    "2_a": ("impulse", LaplacianOfGaussian(3.0, 3, ZERO)),
    "2_b": ("checkerboard", LaplacianOfGaussian(5.0, 3, MIRROR)),
    "2_c": ("checkerboard", LaplacianOfGaussian(5.0, 2, MIRROR)),
    "3_a_1": ("impulse", Laws("E5L5S5", ZERO)),
    "3_a_2": ("impulse", Laws("E5L5S5", ZERO, MAXIMUM)),
    "3_a_3": ("impulse", Laws("E5L5S5", ZERO, MAXIMUM, energy_distance=7)),
    "3_b_1": ("checkerboard", Laws("E3W5R5", MIRROR)),
    "3_b_2": ("checkerboard", Laws("E3W5R5", MIRROR, MAXIMUM)),
    "3_b_3": ("checkerboard", Laws("E3W5R5", MIRROR, MAXIMUM, energy_distance=7)),
    "3_c_1": ("checkerboard", Laws("L5S5", MIRROR)),
    "3_c_2": ("checkerboard", Laws("L5S5", MIRROR, MAXIMUM)),
    "3_c_3": ("checkerboard", Laws("L5S5", MIRROR, MAXIMUM, energy_distance=7)),
    "4_a_1": ("impulse", Gabor(10.0, 4.0, 0.5, ZERO, theta_deg=60.0)),
    "4_a_2": ("impulse", Gabor(10.0, 4.0, 0.5, ZERO, rotation_step_deg=45.0, orthogonal_planes=True)),
    "4_b_1": ("sphere", Gabor(20.0, 8.0, 2.5, MIRROR, theta_deg=225.0)),
    "4_b_2": ("sphere", Gabor(20.0, 8.0, 2.5, MIRROR, rotation_step_deg=22.5, orthogonal_planes=True)),
    "5_a_1": ("impulse", SeparableWavelet(DB2, "LHL", 1, ZERO)),
    "5_a_2": ("impulse", SeparableWavelet(DB2, "LHL", 1, ZERO, AVERAGE)),
    "6_a_1": ("sphere", SeparableWavelet(COIF1, "HHL", 1, PERIODIC)),
    "6_a_2": ("sphere", SeparableWavelet(COIF1, "HHL", 1, PERIODIC, AVERAGE)),
    "7_a_1": ("checkerboard", SeparableWavelet(HAAR, "LLL", 2, MIRROR, AVERAGE)),
    "7_a_2": ("checkerboard", SeparableWavelet(HAAR, "HHH", 2, MIRROR, AVERAGE)),
    "8_a_1": ("checkerboard", NonSeparableWavelet(Band.SIMONCELLI, 1, 3)),
    "8_a_2": ("checkerboard", NonSeparableWavelet(Band.SIMONCELLI, 2, 3)),
    "8_a_3": ("checkerboard", NonSeparableWavelet(Band.SIMONCELLI, 3, 3)),
    "9_a": ("impulse", Riesz((1, 0, 0), LaplacianOfGaussian(3.0, 3, ZERO))),
    "9_b_1": ("sphere", Riesz((0, 2, 0), LaplacianOfGaussian(3.0, 3, ZERO))),
    "10_b_1": ("pattern_1", Riesz((0, 2, 0), NonSeparableWavelet(Band.SIMONCELLI, 1, 3))),
}
"""Phase 1: phantom and filter of every map on which IBSI reached consensus."""

FEATURES: dict[str, Filter | None] = {
    "1.A": None,
    "1.B": None,
    "2.A": Mean(5, 2, MIRROR),
    "2.B": Mean(5, 3, MIRROR),
    "3.A": LaplacianOfGaussian(1.5, 2, MIRROR),
    "3.B": LaplacianOfGaussian(1.5, 3, MIRROR),
    "4.A": Laws("L5E5", MIRROR, MAXIMUM, energy_distance=7),
    "4.B": Laws("L5E5E5", MIRROR, MAXIMUM, energy_distance=7),
    "5.A": Gabor(5.0, 2.0, 1.5, MIRROR, rotation_step_deg=22.5),
    "5.B": Gabor(5.0, 2.0, 1.5, MIRROR, rotation_step_deg=22.5, orthogonal_planes=True),
    "6.A": SeparableWavelet(DB3, "LH", 1, MIRROR, AVERAGE),
    "6.B": SeparableWavelet(DB3, "LLH", 1, MIRROR, AVERAGE),
    "7.A": SeparableWavelet(DB3, "HH", 2, MIRROR, AVERAGE),
    "7.B": SeparableWavelet(DB3, "HHH", 2, MIRROR, AVERAGE),
    "8.A": NonSeparableWavelet(Band.SIMONCELLI, 1, 2),
    "8.B": NonSeparableWavelet(Band.SIMONCELLI, 1, 3),
    "9.A": NonSeparableWavelet(Band.SIMONCELLI, 2, 2),
    "9.B": NonSeparableWavelet(Band.SIMONCELLI, 2, 3),
}
"""Phase 2: the filter of each id; A in slices of the scan, B in space at 1 mm."""
