"""Shapes to Hounsfield units on a plane: materials at voxel centres (or their average), noise, field of view.

Every slice is made for itself from (seed, phase, slice key), so slices can be made in any order, one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from her2node.phantoms.anatomy import AIR, Anatomy, Phase
from her2node.phantoms.planes import Plane, holds, labels
from her2node.phantoms.shapes import Bools, Ellipsoid

Stored = npt.NDArray[np.int16]
Hounsfield = npt.NDArray[np.float32]

RESCALE_INTERCEPT = -1024
OUTSIDE_HU = -3024
LOWEST_HU, HIGHEST_HU = -1024, 3071


@dataclass(frozen=True)
class Sampling:
    """How voxels are made from shapes: ``supersampling``³ points each, then noise of ``noise_hu``."""

    supersampling: int
    noise_hu: float
    seed: int
    circular: bool


def stored_values(anatomy: Anatomy, plane: Plane, phase: Phase, key: int, sampling: Sampling) -> Stored:
    """The slice as stored values (HU = value + RESCALE_INTERCEPT), shape ``plane.size``.

    ``key`` names the slice's noise: the same key gives the same noise.
    """
    return stored_phases(anatomy, plane, (phase,), key, sampling)[phase]


def stored_phases(
    anatomy: Anatomy, plane: Plane, phases: Sequence[Phase], key: int, sampling: Sampling
) -> dict[Phase, Stored]:
    """``stored_values`` of several phases, which share the work of finding what lies where."""
    clean = attenuations(anatomy, plane, phases, sampling.supersampling)
    return {phase: _stored(hu, phase, key, sampling) for phase, hu in clean.items()}


def attenuations(
    anatomy: Anatomy, plane: Plane, phases: Sequence[Phase], supersampling: int = 1
) -> dict[Phase, Hounsfield]:
    """Noise-free Hounsfield units in each phase, float32, shape ``plane.size``."""
    structures = anatomy.structures
    tables = {
        phase: np.array([AIR.at(phase), *(structure.hu.at(phase) for structure in structures)], dtype=np.float32)
        for phase in phases
    }
    totals = {phase: np.zeros(plane.size, dtype=np.float32) for phase in phases}
    for offset in subvoxels(supersampling):
        found = labels(structures, plane.coordinates(offset), plane.size)
        about = _texture(anatomy, plane, found == len(structures), offset)
        for phase, table in tables.items():
            totals[phase] += table[found] + about
    return {phase: total / np.float32(supersampling**3) for phase, total in totals.items()}


def _texture(
    anatomy: Anatomy, plane: Plane, inside: Bools, offset: tuple[float, float, float]
) -> Hounsfield | np.float32:
    """By how much the tumour's attenuation differs from its mean, where it lies ``inside`` the image."""
    texture = anatomy.tumour.texture
    if texture is None or not inside.any():
        return np.float32(0)
    places = zip(plane.coordinates(offset), anatomy.tumour.shape.centre_mm, strict=True)
    x, y, z = (np.broadcast_to(along, plane.size)[inside] - centre for along, centre in places)
    found = np.zeros(plane.size, dtype=np.float32)
    found[inside] = texture.at(x, y, z)
    return found


def _stored(hu: Hounsfield, phase: Phase, key: int, sampling: Sampling) -> Stored:
    if sampling.noise_hu:
        rng = np.random.default_rng(np.random.SeedSequence([sampling.seed, 3, list(Phase).index(phase), key]))
        hu += np.float32(sampling.noise_hu) * rng.standard_normal(hu.shape, dtype=np.float32)
    np.clip(np.rint(hu, out=hu), LOWEST_HU, HIGHEST_HU, out=hu)
    if sampling.circular:
        hu[outside(hu.shape)] = OUTSIDE_HU
    return np.asarray(hu - RESCALE_INTERCEPT, dtype=np.int16)


def mask(shape: Ellipsoid, plane: Plane) -> Bools:
    """Which voxel centres lie in the shape; shape ``plane.size``."""
    return holds(shape, plane.coordinates(), plane.size)


def occupancy(shape: Ellipsoid, plane: Plane, supersampling: int = 4) -> Hounsfield:
    """The share of each voxel that the shape fills, in [0, 1]; shape ``plane.size``."""
    total = np.zeros(plane.size, dtype=np.float32)
    for offset in subvoxels(supersampling):
        total += holds(shape, plane.coordinates(offset), plane.size)
    return total / np.float32(supersampling**3)


def outside(size: tuple[int, int]) -> Bools:
    """Voxels beyond the circle that touches the edges of the image."""
    row = (np.arange(size[0])[:, None] + 0.5) / size[0] - 0.5
    column = (np.arange(size[1])[None, :] + 0.5) / size[1] - 0.5
    return np.asarray(row**2 + column**2 > 0.25)


def subvoxels(count: int) -> Iterator[tuple[float, float, float]]:
    """``count``³ evenly spaced places in a voxel, as offsets from its centre in (row, column, slice)."""
    steps = [(number + 0.5) / count - 0.5 for number in range(count)]
    return ((row, column, depth) for row in steps for column in steps for depth in steps)
