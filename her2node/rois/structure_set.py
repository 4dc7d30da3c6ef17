"""RTSTRUCT: planar contours (PS3.3 C.8.8.5 and C.8.8.6) to voxels.

Only closed planar contours enclose anything; several on one plane combine by even-odd, which makes holes of inner
ones. A contour drawn on the very series it is laid on fills its own slice; on another series it reaches half the
distance between contour planes to either side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from skimage.measure import points_in_poly

from her2node.dicom.attributes import integer, items, number, text
from her2node.errors import Refused, RoiUnreadable
from her2node.rois.given import GivenRoi, code_of, created_at, derived_tracking_uid, reach_mm
from her2node.rois.polygons import inside
from her2node.rois.roi import Laid, RoiOrigin
from her2node.rois.slabs import SAME_PLANE_MM, Slabs, slabs
from her2node.selection.study import Instance
from her2node.volumes.volume import Geometry, Volume

SOP_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.481.3"})
ENCLOSING = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})

Points = npt.NDArray[np.float64]


def regions(instance: Instance) -> Iterator[GivenRoi]:
    """Every region of a structure set. One without contours is left out: planning systems write empty ones."""
    header = instance.header
    described = items(header, "StructureSetROISequence")
    if not described:
        yield _region(instance, Dataset(), 0, RoiUnreadable("StructureSetROISequence is absent or empty"))
    drawn = {integer(item, "ReferencedROINumber") for item in items(header, "ROIContourSequence") if _contours(item)}
    for item in described:
        roi_number = integer(item, "ROINumber")
        if roi_number is None:
            yield _region(instance, item, 0, RoiUnreadable(f"{text(item, 'ROIName')!r} has no ROINumber"))
        elif roi_number in drawn:
            yield _region(instance, item, roi_number, None)


def laid(region: GivenRoi, volume: Volume) -> Laid:
    """The mask of a region on the grid of a volume. Raises RoiUnreadable."""
    geometry = volume.geometry
    contours, slab_mm = _corners(region)
    indices = [geometry.to_index(contour) for contour in contours]
    _need_in_slices(region, indices, geometry)
    spacing = geometry.spacing_mm[0]
    along = np.array([index[:, 0].mean() * spacing for index in indices])
    planes, owner = slabs(along, stated_mm=None, alone_mm=slab_mm or spacing, most_mm=reach_mm(region, volume))
    of_slice = planes.nearest(np.arange(geometry.shape[0]) * spacing)
    mask = np.zeros(geometry.shape, dtype=np.bool_)
    for plane in np.unique(of_slice[of_slice >= 0]):
        polygons = [indices[i][:, 1:] for i in np.flatnonzero(owner == plane)]
        mask[of_slice == plane] = inside(polygons, geometry.shape[1:])
    return Laid(mask, _cut_off(np.concatenate(indices), geometry))


def shape_of(region: GivenRoi, volume: Volume) -> Contours:
    """A region in its own frame of reference. Raises RoiUnreadable, also where contours are not parallel."""
    contours, slab_mm = _corners(region)
    normal = _normal(max(contours, key=len))
    across_mm = max(float(np.ptp(contour @ normal)) for contour in contours)
    if not np.isfinite(normal).all() or across_mm > SAME_PLANE_MM:
        raise RoiUnreadable(f"contours of {region.label!r} lie in no parallel planes")
    along = np.array([float((contour @ normal).mean()) for contour in contours])
    alone_mm = slab_mm or volume.geometry.spacing_mm[0]
    planes, owner = slabs(along, stated_mm=None, alone_mm=alone_mm, most_mm=reach_mm(region, volume))
    return Contours(tuple(contours), normal, planes, owner)


@dataclass(frozen=True)
class Contours:
    """Closed contours in parallel planes, mm, and the slab that each fills."""

    corners: tuple[Points, ...] = field(repr=False)
    normal: Points
    slabs: Slabs
    owner: npt.NDArray[np.intp] = field(repr=False)

    def contains(self, points: Points) -> npt.NDArray[np.bool_]:
        """Which places (n, 3) lie inside an odd number of the contours of their slab."""
        across = np.linalg.svd(self.normal[np.newaxis])[2][1:]
        slab = self.slabs.nearest(points @ self.normal)
        held = np.zeros(len(points), dtype=np.bool_)
        for owner, contour in zip(self.owner, self.corners, strict=True):
            polygon = contour @ across.T
            here = np.flatnonzero(slab == owner)
            flat = points[here] @ across.T
            near = ((flat >= polygon.min(axis=0)) & (flat <= polygon.max(axis=0))).all(axis=1)
            held[here[near]] ^= points_in_poly(flat[near], polygon)  # type: ignore[no-untyped-call]
        return held

    def reach(self) -> Points:
        """Every corner, half a slab above and below, (n, 3)."""
        corners, half = np.concatenate(self.corners), self.slabs.spacing_mm / 2 * self.normal
        return np.concatenate([corners - half, corners + half])

    def parts(self) -> Points:
        """Every corner, (n, 3)."""
        return np.concatenate(self.corners)


def _normal(contour: Points) -> Points:
    """The unit normal of a closed contour (Newell); NaN where it encloses nothing."""
    offset = contour - contour.mean(axis=0)
    found = np.cross(offset, np.roll(offset, -1, axis=0)).sum(axis=0)
    length = np.linalg.norm(found)
    return np.asarray(found / length if length > 0 else np.full(3, np.nan))


def _region(instance: Instance, item: Dataset, roi_number: int, flaw: Refused | None) -> GivenRoi:
    header = instance.header
    label = text(item, "ROIName") or f"Region {roi_number}"
    observation = next(
        (o for o in items(header, "RTROIObservationsSequence") if integer(o, "ReferencedROINumber") == roi_number),
        Dataset(),
    )
    return GivenRoi(
        instance=instance,
        number=roi_number,
        label=label,
        origin=RoiOrigin.STRUCTURE_SET,
        frame_of_reference_uid=_frame_of_reference(header, item),
        tracking_uid=derived_tracking_uid(instance, roi_number),
        tracking_id=label,
        created=created_at(
            header, ("StructureSetDate", "StructureSetTime"), ("InstanceCreationDate", "InstanceCreationTime")
        ),
        drawn_on=_drawn_on(header),
        type=code_of(observation, "RTROIIdentificationCodeSequence"),
        flaw=flaw,
    )


def _frame_of_reference(header: Dataset, item: Dataset) -> str:
    """The region's own, else the only one that the object names."""
    named = {text(f, "FrameOfReferenceUID") for f in items(header, "ReferencedFrameOfReferenceSequence")} - {""}
    return text(item, "ReferencedFrameOfReferenceUID") or (named.pop() if len(named) == 1 else "")


def _drawn_on(header: Dataset) -> tuple[str, ...]:
    found = (
        text(series, "SeriesInstanceUID")
        for frame in items(header, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
    )
    return tuple(dict.fromkeys(uid for uid in found if uid))


def _contours(item: Dataset) -> tuple[Dataset, ...]:
    return items(item, "ContourSequence")


def _corners(region: GivenRoi) -> tuple[list[Points], float | None]:
    """The corners of each contour in mm (n, 3), and the thickness that a lone contour states."""
    contours = [
        contour
        for item in items(region.instance.header, "ROIContourSequence")
        if integer(item, "ReferencedROINumber") == region.number
        for contour in _contours(item)
    ]
    others = {text(contour, "ContourGeometricType") for contour in contours} - ENCLOSING
    if others or not contours:
        raise RoiUnreadable(f"{region.label!r} has contours of type {', '.join(sorted(others)) or 'none'}")
    return [_points(contour, region) for contour in contours], number(contours[0], "ContourSlabThickness")


def _points(contour: Dataset, region: GivenRoi) -> Points:
    try:
        values = np.fromiter(map(float, _coordinates(contour)), dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise RoiUnreadable(f"ContourData of {region.label!r} holds what is no number") from error
    if not len(values) or len(values) % 3 or not np.abs(values).max() <= 1e6:
        raise RoiUnreadable(f"ContourData of {region.label!r} is no list of points in a patient")
    return values.reshape(-1, 3)


def _coordinates(contour: Dataset) -> Iterable[Any]:
    """The numbers as they stand in the file where nobody decoded them yet: structure sets hold them by the million."""
    element = contour.get_item("ContourData")
    if element is None or not element.value:
        return ()
    return element.value.split(b"\\") if isinstance(element.value, bytes) else element.value


def _need_in_slices(region: GivenRoi, indices: list[Points], geometry: Geometry) -> None:
    """Contours must lie in planes parallel to the slices; across them they would enclose no voxel centre surely."""
    across_mm = max(float(np.ptp(index[:, 0])) for index in indices) * geometry.spacing_mm[0]
    if across_mm > max(SAME_PLANE_MM, 0.05 * geometry.spacing_mm[0]):
        raise RoiUnreadable(f"contours of {region.label!r} lie across the slices of the series, by {across_mm:.1f} mm")


def _cut_off(indices: Points, geometry: Geometry) -> bool:
    """Whether any corner lies beyond the outer faces of the grid."""
    beyond = (indices < -0.501) | (indices > np.array(geometry.shape) - 0.499)
    return bool(beyond.any())
