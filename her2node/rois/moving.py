"""Regions laid again: on another grid of the same frame of reference, displaced with the tissue, or narrowed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from her2node.errors import EmptyRoi
from her2node.rois.landmarks import Tube
from her2node.rois.roi import Roi
from her2node.volumes.volume import Bools, Geometry


def displaced(roi: Roi, geometry: Geometry, by_mm: tuple[float, float, float]) -> Roi:
    """The region displaced by ``by_mm`` (patient system) on another grid: a voxel belongs to it when its centre, moved
    back, lies in a voxel of the region. Raises EmptyRoi."""
    mask = np.zeros(geometry.shape, dtype=np.bool_)
    low, high = _reach(roi, geometry, by_mm)
    if all(a < b for a, b in zip(low, high, strict=True)):
        index = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
        at = np.floor(roi.geometry.to_index(geometry.to_patient(index) - np.asarray(by_mm)) + 0.5 + 1e-6).astype(int)
        inside = ((at >= 0) & (at < np.asarray(roi.mask.shape))).all(axis=-1)
        held = np.zeros(inside.shape, dtype=np.bool_)
        held[inside] = roi.mask[tuple(at[inside].T)]
        mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = held
    if not mask.any():
        raise EmptyRoi(f"{roi.label!r}, displaced by {np.linalg.norm(by_mm):.1f} mm")
    mask.flags.writeable = False
    cut_off = roi.cut_off or bool(mask[[0, -1]].any())
    return replace(roi, mask=mask, geometry=geometry, cut_off=cut_off)


def _reach(roi: Roi, geometry: Geometry, by_mm: tuple[float, float, float]) -> tuple[list[int], list[int]]:
    corners = np.array(np.meshgrid(*((side.start - 1, side.stop) for side in roi.box))).reshape(3, -1).T
    index = geometry.to_index(roi.geometry.to_patient(corners) + np.asarray(by_mm))
    low = np.clip(np.floor(index.min(axis=0)), 0, geometry.shape).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 1, 0, geometry.shape).astype(int)
    return low.tolist(), high.tolist()


def narrowed(mask: Bools) -> Bools:
    """The mask without its outermost voxels, so that a displacement wrong by less takes in no neighbour."""
    found = np.zeros(mask.shape, dtype=np.bool_)  # pages that nobody touches take no memory, unlike those of zeros_like
    ends = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if ends[0].size:  # only around the region: a grid may hold thousands of slices
        box = tuple(slice(max(int(end[0]) - 1, 0), int(end[-1]) + 2) for end in ends)
        found[box] = ndimage.binary_erosion(mask[box])
    return found


def tube_mask(tube: Tube, geometry: Geometry) -> Bools:
    """The voxels whose centres lie within the tube's radius of its line, or, of a single point, of that point."""
    mask = np.zeros(geometry.shape, dtype=np.bool_)
    for place in _along(tube, min(geometry.spacing_mm)):
        centre = geometry.to_index(place)
        reach = tube.radius_mm / np.asarray(geometry.spacing_mm)
        low = np.clip(np.ceil(centre - reach), 0, geometry.shape).astype(int)
        high = np.clip(np.floor(centre + reach) + 1, 0, geometry.shape).astype(int)
        axes = [
            ((np.arange(a, b) - c) * step) ** 2
            for a, b, c, step in zip(low, high, centre, geometry.spacing_mm, strict=True)
        ]
        near = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] <= tube.radius_mm**2
        mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] |= near
    return mask


def _along(tube: Tube, step_mm: float) -> npt.NDArray[np.float64]:
    """Points on the line, not farther apart than ``step_mm``."""
    line = np.asarray(tube.line_mm)
    if len(line) == 1:
        return line
    gaps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(gaps)])
    at = np.linspace(0.0, along[-1], int(along[-1] / step_mm) + 2)
    return np.stack([np.interp(at, along, line[:, axis]) for axis in range(3)], axis=1)
