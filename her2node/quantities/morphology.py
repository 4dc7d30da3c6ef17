"""Size of a region: volume and diameters, from the mask alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from her2node.dicom.codes import Code, Method, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import Refused, RoiCutOff, SingleSlice
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.quantities.surface import Bools, Floats, Mesh, cropped, farthest, hull, mesh_of, outline
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Volume


def voxel_volume(mask: Bools, spacing_mm: tuple[float, float, float]) -> float:
    """Volume by the sum of voxels.

    Formula: n x spacing(slice) x spacing(row) x spacing(column), n voxels of the region.
    Unit: mm3.
    Shapes: mask (slices, rows, columns).
    Source: DICOM (126030, DCM); IBSI YEKZ.
    Known deviation: none; every voxel of the region counts, with or without image.
    """
    return float(np.count_nonzero(mask) * np.prod(spacing_mm))


def mesh_volume(mesh: Mesh) -> float:
    """Volume within the surface mesh.

    Formula: |sum over triangles (a, b, c) of a . (b x c)| / 6.
    Unit: mm3.
    Shapes: vertices (n, 3), faces (m, 3).
    Source: IBSI RNU0, mesh by marching cubes at 0.5 (Lewiner's variant).
    Known deviation: 556.3 mm3 on the IBSI digital phantom, reference 556 (tolerance 4).
    """
    return mesh.volume_mm3


def maximum_diameter(mesh: Mesh) -> float:
    """Maximum 3-D diameter.

    Formula: max |v - w| over vertices v, w of the surface mesh, found among the corners of its convex hull.
    Unit: mm.
    Shapes: vertices (n, 3).
    Source: IBSI L0JK.
    Known deviation: 13.11 mm on the IBSI digital phantom, reference 13.1 (tolerance 0.1).
    """
    return farthest(hull(mesh.vertices_mm))[2]


Ends = tuple[tuple[float, float], tuple[float, float]]
"""Where a line begins and ends in its slice: (row, column) each, in voxels, whole numbers at the voxels' centres."""


@dataclass(frozen=True)
class Axes:
    """Longest diameter in a slice and its longest perpendicular, mm; in which slice, and where both lie there."""

    long_mm: float
    short_mm: float
    slice_index: int
    long_ends: Ends
    short_ends: Ends


def long_axis(axes: Axes) -> float:
    """Long axis: the longest diameter within a slice.

    Formula: max |p - q| over points p, q of the outline of one connected part in one slice (8 neighbours), the
    largest of all parts and slices; the outline passes half-way between voxel centres inside and outside.
    Unit: mm.
    Shapes: mask (slices, rows, columns), spacing (3,).
    Source: RECIST 1.1 (Eisenhauer 2009), longest diameter in the plane of acquisition; DICOM (103339001, SCT).
    Known deviation: the line may leave a part that is not convex, as a reader's caliper may; slices are those of the
    series, axial or not.
    """
    return axes.long_mm


def short_axis(axes: Axes) -> float:
    """Short axis: the longest diameter perpendicular to the long axis, in the same slice and part.

    Formula: max over t of the width at t, across the direction of the long axis, of the outline's convex hull.
    Unit: mm.
    Shapes: mask (slices, rows, columns), spacing (3,).
    Source: RECIST 1.1 (Eisenhauer 2009), short axis; DICOM (103340004, SCT).
    Known deviation: of the convex hull, so a notch in the outline does not shorten it.
    """
    return axes.short_mm


def thickness(mask: Bools, spacing_mm: tuple[float, float, float]) -> float:
    """Greatest thickness of a lesion of a wall, across it whichever way the wall runs.

    Formula: 2 max d - h, d the distance from a voxel centre inside to the nearest outside, on a grid of about 1 mm or
    finer whose shortest step is h: the diameter of the largest sphere in the region, the maximum of local thickness.
    Unit: mm.
    Shapes: mask (slices, rows, columns), spacing (3,).
    Source: local thickness, Hildebrand and Ruegsegger 1997 (its maximum); DICOM (81827009, SCT).
    Known deviation: within a voxel of the true thickness; a lesion thicker than it is wide gives its width.
    """
    padded = np.pad(mask, 1)
    steps = tuple(max(round(spacing / 1.0), 1) for spacing in spacing_mm)
    fine = _smoothly_finer(padded, spacing_mm, steps)
    sampling = [spacing / step for spacing, step in zip(spacing_mm, steps, strict=True)]
    inside = ndimage.distance_transform_edt(fine, sampling=sampling)
    return float(2 * inside.max() - min(sampling))


def _smoothly_finer(mask: Bools, spacing_mm: tuple[float, float, float], steps: tuple[int, ...]) -> Bools:
    """The mask on a finer grid, its border interpolated between slices by distance."""
    if max(steps) == 1:
        return mask
    signed = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    signed -= ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    return np.asarray(ndimage.zoom(signed, steps, order=1, grid_mode=True, mode="nearest") > 0)


MEASURES: tuple[Callable[..., float], ...] = (
    voxel_volume,
    mesh_volume,
    maximum_diameter,
    thickness,
    long_axis,
    short_axis,
)
"""Every quantity of this method."""


def axes_of(mask: Bools, spacing_mm: tuple[float, float, float]) -> Axes:
    """Long and short axis of a mask of shape (slices, rows, columns) with at least one True voxel."""
    candidates = (_axes(part, spacing_mm[1:]) for part in _parts(mask))
    return max(candidates, key=lambda axes: (axes.long_mm, axes.short_mm))


@dataclass(frozen=True)
class _Part:
    """A connected part of one slice, in the smallest box around it; the box begins at ``corner`` (row, column)."""

    mask: Bools
    slice_index: int
    corner: tuple[int, int]


def _parts(mask: Bools) -> Iterator[_Part]:
    """The connected parts of each slice."""
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        labels, count = ndimage.label(mask[index], structure=np.ones((3, 3)))
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels, count), start=1):
            yield _Part(labels[rows, columns] == number, int(index), (rows.start, columns.start))


def _axes(part: _Part, spacing_mm: tuple[float, float]) -> Axes:
    corners = hull(outline(part.mask, spacing_mm))
    first, second, length = farthest(corners)
    direction = (corners[second] - corners[first]) / length
    normal = np.array([-direction[1], direction[0]])
    width, place, lower, upper = _widest(corners @ direction, corners @ normal)
    short = place * direction + np.array([[lower], [upper]]) * normal
    ends = (_ends(line, part.corner, spacing_mm) for line in (corners[[first, second]], short))
    return Axes(length, width, part.slice_index, *ends)


def _ends(line_mm: Floats, corner: tuple[int, int], spacing_mm: tuple[float, float]) -> Ends:
    """A line (2, 2) in mm from a part's corner as places in its slice."""
    (row, column), (other_row, other_column) = (line_mm / spacing_mm + corner).tolist()
    return (row, column), (other_row, other_column)


def _widest(along: Floats, across: Floats) -> tuple[float, float, float, float]:
    """The greatest width in ``across`` of a convex polygon at any place ``along``: it is reached at a corner.

    Returns that width, the place along, and the lower and upper end across.
    """
    last, end = int(along.argmax()), int(along.argmin())
    side = (across - across[end]) * (along[last] - along[end]) - (along - along[end]) * (across[last] - across[end])
    upper, lower = _chain(along, across, side >= -1e-9)(along), _chain(along, across, side <= 1e-9)(along)
    widest = int((upper - lower).argmax())
    return float(upper[widest] - lower[widest]), float(along[widest]), float(lower[widest]), float(upper[widest])


def _chain(along: Floats, across: Floats, chosen: Bools) -> Callable[[Floats], Floats]:
    """One side of a convex polygon as a function of the place along it."""
    order = np.argsort(along[chosen], kind="stable")
    places, heights = along[chosen][order], across[chosen][order]
    return lambda at: np.interp(at, places, heights)


def measure(volume: Volume, roi: Roi, role: Role | None, *, wall: bool = True) -> tuple[Quantity | NotMeasured, ...]:
    """Size of a region laid on a volume; without ``wall`` no thickness, for images that resolve no gastric wall (PET).

    A region that is cut off by the ends of the series has no size here (RoiCutOff); one in a series of a single slice
    has axes but neither volume nor 3-D diameter (SingleSlice).
    """
    mask, spacing_mm = cropped(roi.mask), volume.geometry.spacing_mm
    cut_off = RoiCutOff(roi.label) if roi.cut_off else None
    single = SingleSlice(volume.series_instance_uid) if volume.geometry.shape[0] == 1 else None
    found = [*_in_space(mask, spacing_mm, cut_off or single, wall), *_in_slice(mask, spacing_mm, cut_off)]
    series_uids = (volume.series_instance_uid,)
    return tuple(
        NotMeasured(roi.tracking_id, role, value, code, series_uids)
        if isinstance(value, Refused)
        else Quantity(roi.tracking_id, role, code, value, unit, method=method, series_uids=series_uids)
        for code, value, unit, method in found
    )


_Found = tuple[Code, float | Refused, Code, Code]


def _in_space(mask: Bools, spacing_mm: tuple[float, float, float], refused: Refused | None, wall: bool) -> list[_Found]:
    mesh = refused or mesh_of(mask, spacing_mm)
    if isinstance(mesh, Refused):
        size: list[float | Refused] = [mesh, mesh, mesh]
    else:
        size = [voxel_volume(mask, spacing_mm), mesh_volume(mesh), maximum_diameter(mesh)]
    found: list[_Found] = [
        (Concept.VOLUME, size[0], Unit.MM3, Method.VOXEL_SUM),
        (Concept.MESH_VOLUME, size[1], Unit.MM3, Method.MESH),
        (Concept.DIAMETER_3D, size[2], Unit.MM, Method.MESH),
    ]
    if wall:
        across = mesh if isinstance(mesh, Refused) else thickness(mask, spacing_mm)
        found.append((Concept.DIAMETER, across, Unit.MM, Method.LOCAL_THICKNESS))
    return found


def _in_slice(mask: Bools, spacing_mm: tuple[float, float, float], refused: Refused | None) -> list[_Found]:
    axes = refused or axes_of(mask, spacing_mm)
    lengths = (axes, axes) if isinstance(axes, Refused) else (long_axis(axes), short_axis(axes))
    return [
        (Concept.LONG_AXIS, lengths[0], Unit.MM, Method.IN_SLICE),
        (Concept.SHORT_AXIS, lengths[1], Unit.MM, Method.IN_SLICE),
    ]
