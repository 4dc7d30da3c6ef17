"""Round things that run from slice to slice: vessels that cross the planes of a stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

LEVELS_HU = (30.0, 45.0, 60.0, *(80.0 * 1.09**step for step in range(24)))
"""Middles of the bands in which discs are looked for: blood without contrast, then 80 to 580 HU, each 9 % above the
one before."""
SMALLEST_MM2, LARGEST_MM2 = 60.0, 900.0
"""A disc of 9 to 34 mm, blurred borders left out: the calibre of a grown-up's aorta or vena cava."""
STEP_MM = 9.0
"""How far a vessel may lie from where it was one slice before ..."""
STEP_HU = 0.15
"""... and by how much of its enhancement over 40 HU its attenuation may differ."""

_REST_OF_SQUARE = tuple((row, column) for row in range(3) for column in range(3) if row or column)
_CROSS = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True)
class Disc:
    """A round, even patch on one slice: row and column of its middle, its area and mean, blurred rim included."""

    slice: int
    row: float
    column: float
    area_mm2: float
    hu: float


@dataclass(frozen=True)
class Track:
    """Discs of consecutive slices that continue each other."""

    discs: tuple[Disc, ...]

    @property
    def hu(self) -> float:
        """Median attenuation of its discs."""
        return float(np.median([disc.hu for disc in self.discs]))

    @property
    def column(self) -> float:
        return float(np.median([disc.column for disc in self.discs]))

    @property
    def row(self) -> float:
        return float(np.median([disc.row for disc in self.discs]))

    @property
    def radius_mm(self) -> float:
        """Of the disc of median area."""
        return float(np.sqrt(np.median([disc.area_mm2 for disc in self.discs]) / np.pi))


def tracks(smooth: Floats, pixel_mm: tuple[float, float]) -> list[Track]:
    """Every vessel-like track of a stack of shape (slices, rows, columns), longest first.

    Discs are linked to the nearest fitting one of the next slice; of rivals for a disc the nearer wins.
    """
    open_tracks: list[list[Disc]] = []
    closed: list[list[Disc]] = []
    for index, image in enumerate(smooth):
        found = _distinct(list(_discs(index, image, pixel_mm)), pixel_mm)
        links = _links(open_tracks, found, pixel_mm)
        taken = set(links.values())
        closed += [track for number, track in enumerate(open_tracks) if number not in links]
        for number, disc in links.items():
            open_tracks[number].append(found[disc])
        open_tracks = [track for number, track in enumerate(open_tracks) if number in links]
        open_tracks += [[disc] for number, disc in enumerate(found) if number not in taken]
    return sorted((Track(tuple(track)) for track in closed + open_tracks), key=lambda track: -len(track.discs))


def _discs(index: int, image: Floats, pixel_mm: tuple[float, float]) -> Iterator[Disc]:
    """Connected patches within a band of attenuation that are round, of a vessel's size, and stand alone."""
    area = pixel_mm[0] * pixel_mm[1]
    fine = max(pixel_mm) < 3.0
    for level in LEVELS_HU:
        half = max(18.0, 0.12 * level)
        band = np.abs(image - level) <= half
        if band.sum() * area < SMALLEST_MM2:
            continue
        opened = _opened(band) if fine else band
        labels, _ = ndimage.label(opened)
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            part = labels[box] == number
            if not SMALLEST_MM2 <= part.sum() * area <= LARGEST_MM2 or not _round(part, pixel_mm):
                continue
            if _alone(part, box, band, pixel_mm):
                rows, columns = np.nonzero(part)
                hu = float(image[box][part].mean())
                yield Disc(index, rows.mean() + box[0].start, columns.mean() + box[1].start, part.sum() * area, hu)


def _opened(band: Bools) -> Bools:
    """The union of the squares of 3 x 3 that lie wholly in a mask (a morphological opening), by shifted views."""
    inner = band[:-2, :-2].copy()
    for row, column in _REST_OF_SQUARE:
        inner &= band[row : band.shape[0] - 2 + row, column : band.shape[1] - 2 + column]
    found = np.zeros_like(band)
    for row, column in ((0, 0), *_REST_OF_SQUARE):
        found[row : band.shape[0] - 2 + row, column : band.shape[1] - 2 + column] |= inner
    return found


def _round(part: Bools, pixel_mm: tuple[float, float]) -> bool:
    """Whether a patch is about as wide as high and fills its box as a disc does (0.785)."""
    height, width = part.shape[0] * pixel_mm[0], part.shape[1] * pixel_mm[1]
    return max(height, width) <= 1.6 * min(height, width) and bool(part.mean() >= 0.62)


def _alone(part: Bools, box: tuple[slice, slice], band: Bools, pixel_mm: tuple[float, float]) -> bool:
    """Whether what lies around a patch, up to 4.5 mm, is mostly of other attenuation: a piece of an organ is not."""
    steps = max(round(4.5 / max(pixel_mm)), 2)
    around = tuple(slice(max(side.start - steps, 0), side.stop + steps) for side in box)
    grown = np.zeros(band.shape, dtype=np.bool_)
    grown[box] = part
    near = grown[around]
    ring = ndimage.binary_dilation(near, _CROSS, steps) & ~ndimage.binary_dilation(near, _CROSS)
    return bool(band[around][ring].mean() <= 0.35) if ring.any() else False


def _distinct(discs: Sequence[Disc], pixel_mm: tuple[float, float]) -> list[Disc]:
    """Of discs at one place, which neighbouring bands give, the largest."""
    kept: list[Disc] = []
    for disc in sorted(discs, key=lambda disc: -disc.area_mm2):
        if all(_apart(disc, other, pixel_mm) > 6.0 for other in kept):
            kept.append(disc)
    return kept


def _links(
    open_tracks: Sequence[Sequence[Disc]], found: Sequence[Disc], pixel_mm: tuple[float, float]
) -> dict[int, int]:
    """Track number -> disc number, nearest pairs first."""
    pairs = [
        (distance, track, number)
        for track, discs in enumerate(open_tracks)
        for number, disc in enumerate(found)
        if (distance := _apart(discs[-1], disc, pixel_mm)) <= STEP_MM
        and abs(disc.hu - discs[-1].hu) <= max(20.0, STEP_HU * (discs[-1].hu - 40.0))
    ]
    links: dict[int, int] = {}
    for _, track, number in sorted(pairs):
        if track not in links and number not in links.values():
            links[track] = number
    return links


def _apart(one: Disc, other: Disc, pixel_mm: tuple[float, float]) -> float:
    return float(np.hypot((one.row - other.row) * pixel_mm[0], (one.column - other.column) * pixel_mm[1]))
