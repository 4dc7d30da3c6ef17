"""The artery from which the contrast comes, found in a time series: the aorta where nobody drew it.

A rule and its evidence, without a network: of what rises high and early, the compact part near the midline that rises
most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from her2node.errors import NoArterialInput
from her2node.volumes.volume import Bools, Geometry
from her2node.volumes.volume import Floats as Voxels

HIGH = 0.5
"""Share of the highest rise in the body from which on a voxel may be artery."""
BRIGHTEST = 0.8
"""Share of the highest rise from which on voxels tell when the bolus comes, in the median."""
EARLY_S = 4.0
"""So much before or after them an arterial voxel may reach half its rise."""
AREA_MM2 = (40.0, 1200.0)
"""Of its section with a slice, on average."""
MIDLINE_MM = 50.0
ROUND = 0.5
"""Share of the circle around a section that it must fill, on average."""
FEWEST_VOXELS = 5


@dataclass(frozen=True)
class Artery:
    """A mask (slices, rows, columns) and why it is one."""

    mask: Bools = field(repr=False)
    words: str


@dataclass(frozen=True)
class _Candidate:
    mask: Bools = field(repr=False)
    rise: float
    area_mm2: float
    round: float
    midline_mm: float
    centre_mm: npt.NDArray[np.float64]

    @property
    def fits(self) -> bool:
        return AREA_MM2[0] <= self.area_mm2 <= AREA_MM2[1] and self.round >= ROUND and self.midline_mm <= MIDLINE_MM


def find(
    times_s: npt.NDArray[np.float64], voxels: Voxels, body: Bools, geometry: Geometry, least: float, floor: float
) -> Artery:  # fmt: skip
    """The aorta in ``voxels`` (t, slices, rows, columns) within ``body`` (slices, rows, columns).

    What rises by less than ``least`` is no artery. Values below ``floor`` are raised to it, so that gas or fat that
    moves away does not look like contrast that comes. Raises NoArterialInput.
    """
    if not body.any():
        raise NoArterialInput("there is no body in the image")
    rise, half_s = _rises(times_s, voxels, floor)
    highest = float(np.percentile(rise[body], 99.9))
    if highest < least:
        raise NoArterialInput(f"nothing rises by more than {highest:.0f}, {least:.0f} needed")
    high = body & (rise >= max(HIGH * highest, least))
    brightest_s = float(np.median(half_s[high & (rise >= BRIGHTEST * highest)]))
    found = list(_candidates(high & (np.abs(half_s - brightest_s) <= EARLY_S), rise, body, geometry))
    fitting = [candidate for candidate in found if candidate.fits]
    if not fitting:
        raise NoArterialInput(f"none of {len(found)} early regions is compact and near the midline")
    best = max(fitting, key=lambda candidate: candidate.rise)
    x, y, z = best.centre_mm
    words = (
        f"arterial input found at ({x:.0f}, {y:.0f}, {z:.0f}) mm: rises by {best.rise:.0f}, section "
        f"{best.area_mm2:.0f} mm2, {best.midline_mm:.0f} mm from the midline, best of {len(fitting)}"
    )
    return Artery(_core(best.mask), words)


def _rises(times_s: npt.NDArray[np.float64], voxels: Voxels, floor: float) -> tuple[Voxels, Voxels]:
    """The rise of each voxel over its first two samples, and when it first has half of it, slice by slice."""
    rise = np.empty(voxels.shape[1:], dtype=np.float32)
    half_s = np.empty(voxels.shape[1:], dtype=np.float32)
    for place in range(voxels.shape[1]):
        values = np.maximum(voxels[:, place], np.float32(floor))
        base = values[:2].mean(axis=0)
        rise[place] = values.max(axis=0) - base
        half_s[place] = times_s[(values >= base + 0.5 * rise[place]).argmax(axis=0)]
    return rise, half_s


def _candidates(mask: Bools, rise: Voxels, body: Bools, geometry: Geometry) -> Iterator[_Candidate]:
    """The connected parts of a mask. Islands and threads of noise are opened away first."""
    labels, count = ndimage.label(ndimage.binary_opening(mask, np.ones((1, 2, 2))))
    middle = geometry.to_patient(np.argwhere(body).mean(axis=0))
    pixel_mm2 = geometry.spacing_mm[1] * geometry.spacing_mm[2]
    for number, box in enumerate(ndimage.find_objects(labels, count), start=1):
        part = labels[box] == number
        areas = part.sum(axis=(1, 2))
        areas = areas[areas > 0]
        if areas.sum() < FEWEST_VOXELS:
            continue
        whole = np.zeros_like(mask)
        whole[box] = part
        centre = geometry.to_patient(np.argwhere(whole).mean(axis=0))
        yield _Candidate(
            whole, float(rise[whole].mean()), float(areas.mean() * pixel_mm2), _roundness(part, geometry),
            float(abs(centre[0] - middle[0])), centre,
        )  # fmt: skip


def _roundness(part: Bools, geometry: Geometry) -> float:
    """Mean over the slices of area / area of the circle over the longer side of the section's box."""
    shares = []
    for section in part:
        if not section.any():
            continue
        rows, columns = np.flatnonzero(section.any(axis=1)), np.flatnonzero(section.any(axis=0))
        sides = (
            (rows[-1] - rows[0] + 1) * geometry.spacing_mm[1],
            (columns[-1] - columns[0] + 1) * geometry.spacing_mm[2],
        )
        area = section.sum() * geometry.spacing_mm[1] * geometry.spacing_mm[2]
        shares.append(area / (np.pi / 4 * max(sides) ** 2))
    return float(np.mean(shares))


def _core(mask: Bools) -> Bools:
    """Without the rim within each slice, which shares voxels with its surroundings, where enough is left."""
    inner = ndimage.binary_erosion(mask, np.ones((1, 3, 3)))
    return np.asarray(inner if np.count_nonzero(inner) >= FEWEST_VOXELS else mask)
