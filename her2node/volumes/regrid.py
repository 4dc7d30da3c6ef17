"""Voxels of one grid on another, by geometry alone: between them linearly, NaN beyond."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from her2node.errors import MixedOrientations
from her2node.volumes.volume import Floats, Geometry

BORDER = 0.5
"""A voxel reaches half a spacing beyond its centre; what lies farther out has no value."""


def resampled(volumes: Sequence[Floats], geometry: Geometry, onto: Geometry) -> Floats:
    """``volumes``, each of ``geometry.shape`` with NaN where there is no image, at the voxel centres of ``onto``.

    float32, shape (n, *onto.shape), a slice at a time. Raises MixedOrientations for another frame of reference: nothing
    then says how the two lie to each other.
    """
    if geometry.frame_of_reference_uid != onto.frame_of_reference_uid or not onto.frame_of_reference_uid:
        raise MixedOrientations(
            f"frames of reference {geometry.frame_of_reference_uid or 'unnamed'} and "
            f"{onto.frame_of_reference_uid or 'unnamed'}"
        )
    slices, rows, columns = onto.shape
    found = np.empty((len(volumes), *onto.shape), dtype=np.float32)
    last = np.array(geometry.shape) - 1
    within = np.indices((rows, columns)).reshape(2, -1).T
    for place in range(slices):
        index = geometry.to_index(onto.to_patient(np.column_stack([np.full(len(within), place), within])))
        beyond = ((index < -BORDER) | (index > last + BORDER)).any(axis=1)
        at = np.clip(index, 0, last).T
        for voxels, target in zip(volumes, found, strict=True):
            values = ndimage.map_coordinates(voxels, at, order=1, mode="nearest")
            values[beyond] = np.nan
            target[place] = values.reshape(rows, columns)
    return found
