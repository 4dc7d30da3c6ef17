"""A coarse volume of a CT series: some of its slices, their pixels averaged; enough to find organs, and quick to make.

Only the slices that are kept are decoded.
"""

from __future__ import annotations

import numpy as np

from her2node.dicom.codes import Unit
from her2node.selection.study import Series
from her2node.volumes import ct
from her2node.volumes.slices import decoded
from her2node.volumes.volume import Bools, Floats, Geometry, Volume

SLICE_MM = 5.0
"""Slices are left out up to about this distance."""
PIXEL_MM = 1.7
"""Pixels are averaged in squares up to about this size."""


def preview(series: Series) -> Volume:
    """The series at about ``SLICE_MM`` x ``PIXEL_MM`` x ``PIXEL_MM``: every n-th slice, the mean of m x m pixels.

    A coarse voxel is valid when all its pixels are; its value is -1024 HU otherwise. Raises what ``volumes.build``
    raises.
    """
    found = ct.stack_of(series)
    geometry = found.geometry
    step = max(int(SLICE_MM / geometry.spacing_mm[0] + 0.25), 1)
    kept = range((geometry.shape[0] - 1) % step // 2, geometry.shape[0], step)
    down, across = (max(int(PIXEL_MM / spacing), 1) for spacing in geometry.spacing_mm[1:])
    coarse = _coarse(geometry, kept, (down, across))
    voxels = np.empty(coarse.shape, dtype=np.float32)
    valid = np.empty(coarse.shape, dtype=np.bool_)
    image = np.empty(geometry.shape[1:], dtype=np.float32)
    inside = np.empty(geometry.shape[1:], dtype=np.bool_)
    thinned = tuple(found.frames[index] for index in kept)
    for index, frame, stored in decoded(thinned):
        ct.calibrate(stored, frame, image, inside)
        voxels[index], valid[index] = _binned(image, inside, coarse.shape[1:], (down, across))
    voxels.flags.writeable = valid.flags.writeable = False
    sources = tuple(frame.source for frame in thinned)
    return Volume(coarse, voxels, valid, Unit.HU, series.series_instance_uid, sources)


def _coarse(geometry: Geometry, kept: range, squares: tuple[int, int]) -> Geometry:
    down, across = squares
    slice_mm, row_mm, column_mm = geometry.spacing_mm
    first = geometry.to_patient((kept.start, (down - 1) / 2, (across - 1) / 2))
    return Geometry(
        shape=(len(kept), geometry.shape[1] // down, geometry.shape[2] // across),
        spacing_mm=(slice_mm * kept.step, row_mm * down, column_mm * across),
        origin_mm=(float(first[0]), float(first[1]), float(first[2])),
        directions=geometry.directions,
        frame_of_reference_uid=geometry.frame_of_reference_uid,
    )


def _binned(image: Floats, inside: Bools, shape: tuple[int, int], squares: tuple[int, int]) -> tuple[Floats, Bools]:
    """The means of squares, and which of them hold image only."""
    (rows, columns), (down, across) = shape, squares
    means, whole = np.zeros(shape, dtype=np.float32), np.ones(shape, dtype=np.bool_)
    for row in range(down):
        for column in range(across):
            one = slice(row, rows * down, down), slice(column, columns * across, across)
            means += image[one]
            whole &= inside[one]
    means /= down * across
    return np.where(whole, means, np.float32(ct.LOWEST_HU)), whole
