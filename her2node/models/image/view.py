"""A crop of one series about a region, by geometry, and the crops of several phases as what a network takes.

Attenuation is interpolated linearly between voxel centres, as SimpleITK and TorchIO do it unless told otherwise. Where
the tissue lies elsewhere in a phase, the crop follows it, so that one place in the crop is one tissue in all channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from her2node.errors import EmptyRoi
from her2node.models.image.stated import CropStated
from her2node.rois.moving import displaced
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.regrid import resampled
from her2node.volumes.volume import Bools, Floats, Geometry, SliceSource, Volume

PATIENT_AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""A step in slice, row and column of a crop: to the head, the back, the left (LPS)."""
Triple = tuple[float, float, float]
Places = npt.NDArray[np.float64]
"""(n, 3) in mm, LPS."""


@dataclass(frozen=True)
class View:
    """One series about a region.

    - ``roi``: the region's tracking id; ``crop``: what was asked for.
    - ``geometry``: the crop's grid, where the region lies on the series that it was first laid on.
    - ``hu``: float32, of the crop's size, NaN where there is no image; ``mask``: the region on the same grid.
    - ``reaches_mm``: how far the region reaches from the crop's centre along slices, rows and columns.
    - ``sources``: for each slice of the crop the image of the series that lies nearest.
    - ``followed``: how the tissue was followed to this series, in words; ``unsure``: what a reader must know of that.
    """

    roi: str
    crop: CropStated
    role: Role
    series_uid: str
    geometry: Geometry
    hu: Floats = field(repr=False)
    mask: Bools = field(repr=False)
    reaches_mm: Triple
    cut_off: bool
    sources: tuple[SliceSource, ...] = field(repr=False)
    followed: str = ""
    unsure: tuple[str, ...] = ()


def _centred(crop: CropStated, centres: Places, frame_of_reference_uid: str) -> Geometry:
    """The crop's grid: its middle is the centroid of the region's voxel centres, its axes are the patient's."""
    middle = centres.mean(axis=0)
    half = (np.array(crop.size) - 1) / 2 * crop.spacing_mm
    z, y, x = half.tolist()
    origin = middle - (x, y, z)
    return Geometry(crop.size, crop.spacing_mm, _triple(origin), PATIENT_AXES, frame_of_reference_uid)


def view(crop: CropStated, roi: Roi, volume: Volume, role: Role, by_mm: Triple = (0.0, 0.0, 0.0)) -> View:
    """The crop of ``volume`` about a region, whose tissue lies ``by_mm`` away there; ``roi`` as it was first laid.

    The mask is empty where no voxel centre of the crop lies in the region. Raises MixedOrientations in another frame
    of reference.
    """
    centres = _centres(roi)
    grid = _centred(crop, centres, roi.geometry.frame_of_reference_uid)
    there = replace(grid, origin_mm=_triple(np.add(grid.origin_mm, by_mm)))
    hu = _sampled(volume, there)
    hu.flags.writeable = False
    return View(
        roi.tracking_id,
        crop,
        role,
        volume.series_instance_uid,
        grid,
        hu,
        _mask(roi, grid),
        _reaches(centres, roi.geometry, grid),
        roi.cut_off,
        _nearest(volume, there),
    )


def stacked(views: Sequence[View]) -> Floats:
    """What the network takes, (channels, slices, rows, columns), of one view a channel; the last is the region's mask
    where the crop has one."""
    crop = views[0].crop
    channels = [
        channel.told(np.where(np.isnan(one.hu), np.float32(crop.outside_hu), one.hu))
        for one, channel in zip(views, crop.channels, strict=True)
    ]
    masks = [views[0].mask] if crop.mask else []
    return np.stack([*channels, *masks]).astype(np.float32)


def seen(views: Sequence[View]) -> Bools:
    """Where the crop has an image in every phase."""
    return np.asarray(np.isfinite([one.hu for one in views]).all(axis=0))


def _centres(roi: Roi) -> Places:
    """The centre of every voxel of the region, (n, 3) in mm."""
    first = [side.start for side in roi.box]
    return roi.geometry.to_patient(np.argwhere(roi.mask[roi.box]) + first)


def _mask(roi: Roi, grid: Geometry) -> Bools:
    try:
        return displaced(roi, grid, (0.0, 0.0, 0.0)).mask
    except EmptyRoi:
        return np.zeros(grid.shape, dtype=np.bool_)


def _reaches(centres: Places, own: Geometry, grid: Geometry) -> Triple:
    """To the farthest face of a voxel of the region along each axis of the grid."""
    middle = (np.array(grid.shape) - 1) / 2
    apart = np.abs(grid.to_index(centres) - middle).max(axis=0) * grid.spacing_mm
    half = np.abs(np.array(grid.directions) @ np.array(own.directions).T) @ own.spacing_mm / 2
    return _triple(apart + half)


def _sampled(volume: Volume, grid: Geometry) -> Floats:
    """The voxels of a grid; only the part of the volume about it is touched. NaN where there is no image."""
    ends = np.array([(s, r, c) for s in (0, grid.shape[0] - 1) for r in (0, grid.shape[1] - 1) for c in (0, grid.shape[2] - 1)])  # fmt: skip  # noqa: E501
    index = volume.geometry.to_index(grid.to_patient(ends))
    low = np.clip(np.floor(index.min(axis=0)) - 1, 0, volume.geometry.shape).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 2, 0, volume.geometry.shape).astype(int)
    if (low >= high).any():
        return np.full(grid.shape, np.nan, dtype=np.float32)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    s, r, c = (high - low).tolist()
    part = replace(volume.geometry, shape=(s, r, c), origin_mm=_triple(volume.geometry.to_patient(low)))
    values = np.where(volume.valid[box], volume.voxels[box], np.float32(np.nan))
    (found,) = resampled([values], part, grid)
    return np.asarray(found)


def _nearest(volume: Volume, grid: Geometry) -> tuple[SliceSource, ...]:
    """For each slice of the grid the volume's slice nearest to its middle."""
    _, rows, columns = grid.shape
    middles = [(index, (rows - 1) / 2, (columns - 1) / 2) for index in range(grid.shape[0])]
    along = volume.geometry.to_index(grid.to_patient(middles))[:, 0]
    places = np.clip(np.rint(along), 0, volume.geometry.shape[0] - 1).astype(int)
    return tuple(volume.sources[place] for place in places)


def _triple(values: npt.ArrayLike) -> Triple:
    x, y, z = np.asarray(values, dtype=np.float64).tolist()
    return x, y, z
