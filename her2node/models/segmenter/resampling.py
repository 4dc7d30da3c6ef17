"""From an image's grid to a network's, and the network's answer back.

Images go by splines (order 3), answers linearly, both with voxel edges on voxel edges; where one spacing is more than
three times the others, its axis is taken apart and goes by the nearest slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from skimage.transform import resize

from her2node.models.segmenter.plans import Resampling
from her2node.volumes.volume import Floats

ANISOTROPIC = 3.0
"""Ratio of the largest to the smallest spacing above which slices are resampled on their own."""


def new_shape(shape: Sequence[int], spacing_mm: Sequence[float], wanted_mm: Sequence[float]) -> tuple[int, ...]:
    """Voxels along each axis at another spacing: round(n spacing / wanted), at least 1."""
    sizes = zip(spacing_mm, wanted_mm, shape, strict=True)
    return tuple(max(1, round(old / new * count)) for old, new, count in sizes)


def axis_apart(always: bool | None, spacing_mm: Sequence[float], wanted_mm: Sequence[float]) -> int | None:
    """The axis across which nothing is interpolated with its neighbours, or None. ``always`` None: by the spacings."""
    if always is False:
        return None
    for spacings in (spacing_mm,) if always else (spacing_mm, wanted_mm):
        if always or max(spacings) / min(spacings) > ANISOTROPIC:
            coarsest = [axis for axis, spacing in enumerate(spacings) if spacing == max(spacings)]
            return coarsest[0] if len(coarsest) == 1 else None
    return None


def resampled(image: Floats, shape: tuple[int, ...], how: Resampling, apart: int | None) -> Floats:
    """One channel, shape (z, y, x), on a grid of ``shape`` that covers the same box. Float32."""
    if image.shape == shape:
        return image
    if apart is None:
        return _resized(image, shape, how.order)
    in_plane = tuple(size for axis, size in enumerate(shape) if axis != apart)
    slices = [_resized(plane, in_plane, how.order) for plane in np.moveaxis(image, apart, 0)]
    planes = np.stack(slices, axis=apart)
    if planes.shape[apart] == shape[apart]:
        return planes
    if how.order_across == 0:
        return planes.take(positions(planes.shape[apart], shape[apart]).nearest, axis=apart)
    places: list[npt.NDArray[np.float64]] = [np.arange(size, dtype=np.float64) for size in shape]
    places[apart] = positions(planes.shape[apart], shape[apart]).places
    grid = np.meshgrid(*places, indexing="ij")
    return np.asarray(map_coordinates(planes, grid, order=how.order_across, mode="nearest"), dtype=np.float32)


def _resized(image: Floats, shape: tuple[int, ...], order: int) -> Floats:
    """Splines are calculated in double precision whatever the image is in; in single it takes less memory."""
    found = resize(image, shape, order, mode="edge", anti_aliasing=False)  # type: ignore[no-untyped-call]
    return np.asarray(found, dtype=np.float32)


@dataclass(frozen=True)
class Positions:
    """Where the voxels of one axis lie on another grid of the same extent, in voxels of that grid, within it."""

    places: npt.NDArray[np.float64]

    @property
    def lower(self) -> npt.NDArray[np.intp]:
        return np.floor(self.places).astype(np.intp)

    @property
    def upper(self) -> npt.NDArray[np.intp]:
        return np.ceil(self.places).astype(np.intp)

    @property
    def nearest(self) -> npt.NDArray[np.intp]:
        return np.floor(self.places + 0.5).astype(np.intp)

    @property
    def span(self) -> tuple[int, int]:
        """The first of the voxels that they lie between, and the last + 1."""
        return int(self.lower[0]), int(self.upper[-1]) + 1

    def part(self, first: int, last: int) -> Positions:
        """Those of the voxels ``first`` to ``last`` - 1."""
        return Positions(self.places[first:last])


def positions(count: int, wanted: int) -> Positions:
    """The ``wanted`` voxels of an axis on a grid of ``count``: (i + 1/2) count / wanted - 1/2, held within it."""
    return Positions(np.clip((np.arange(wanted) + 0.5) * (count / wanted) - 0.5, 0, count - 1))


def interpolated(values: Floats, axis: int, at: Positions, first: int, *, nearest: bool) -> Floats:
    """``values`` at ``at`` along one axis, linearly or of the nearest; ``values`` begins at place ``first``."""
    if nearest:
        return values.take(at.nearest - first, axis=axis)
    if np.array_equal(at.places, np.arange(len(at.places)) + first) and len(at.places) == values.shape[axis]:
        return values
    weight = (at.places - at.lower).astype(np.float32)
    weight = weight.reshape([-1 if place == axis else 1 for place in range(values.ndim)])
    found = values.take(at.lower - first, axis=axis)
    found += weight * (values.take(at.upper - first, axis=axis) - found)
    return found
