"""Whether frames form one stack: parallel, aligned, evenly spaced, none missing, none twice.

Everything here is decided from headers. The spacing along the slices comes from the positions alone: SliceThickness
is the extent of the beam and SpacingBetweenSlices is often wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from her2node.dicom.attributes import text
from her2node.errors import (
    DuplicateSlices,
    GantryTilt,
    InvalidAttribute,
    MissingSlices,
    MixedOrientations,
    NoFrameOfReference,
    SingleSlice,
    UnevenSpacing,
)
from her2node.volumes.frames import Frame, Plane, plane_of, thickness_mm
from her2node.volumes.volume import Geometry

MAXIMUM_VOXELS = 2**30
"""Voxels of one stack, 4 GiB as float32: a claim of more is refused before anything is allocated."""
SAME_DIRECTION = 1e-4
"""Difference in any direction cosine up to which two frames are parallel: 0.006 degrees, the rounding of headers."""
SAME_SPACING = 1e-3
"""Relative difference up to which two pixel spacings are equal."""
SAME_PLACE_MM = 0.01
"""Distance along the normal up to which two frames lie at one place."""
PLACE_TOLERANCE_MM = 0.05
"""Rounding of positions to a tenth of a millimetre, which some scanners do, must not make a stack uneven ..."""
PLACE_TOLERANCE = 0.01
"""... and a hundredth of the spacing on top of it."""
SHIFT_TOLERANCE = 0.25
"""Shift in plane over the whole stack that is let pass, in pixels: less than what laying a region can resolve."""

Vectors = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stack:
    """Frames in the order of their slices, ascending along the slice direction, and the grid that they lie on."""

    geometry: Geometry
    frames: tuple[Frame, ...] = field(repr=False)


def stack(frames: Sequence[Frame], *, nameless: bool = False) -> Stack:
    """Order frames and find their grid.

    A single frame takes SliceThickness for its extent along the slice direction. With ``nameless`` frames may all go
    without FrameOfReferenceUID, as those of one series still lie in one frame of reference (PS3.3 A.1.4); no region can
    be laid on them then. Raises NoFrameOfReference,
    MixedOrientations, DuplicateSlices, GantryTilt, UnevenSpacing, MissingSlices, SingleSlice, MissingAttribute,
    InvalidAttribute.
    """
    frame_of_reference_uid = _frame_of_reference(frames, nameless)
    planes = [plane_of(frame) for frame in frames]
    _need_alike(planes)
    first = planes[0]
    shape = (len(planes), first.rows, first.columns)
    if np.prod(shape, dtype=object) > MAXIMUM_VOXELS:
        raise InvalidAttribute(f"{shape[0]} frames of {shape[1]} x {shape[2]} are more voxels than this node takes")
    normal = np.cross(first.along_row, first.along_column)
    positions = np.array([plane.position_mm for plane in planes])
    order = np.argsort(positions @ normal, kind="stable")
    spacing = _spacing(positions[order], normal, first) if len(planes) > 1 else _extent(frames[0])
    geometry = Geometry(
        shape=shape,
        spacing_mm=(spacing, *first.spacing_mm),
        origin_mm=planes[order[0]].position_mm,
        directions=(_triple(normal), first.along_column, first.along_row),
        frame_of_reference_uid=frame_of_reference_uid,
    )
    return Stack(geometry, tuple(frames[i] for i in order))


def _frame_of_reference(frames: Sequence[Frame], nameless: bool) -> str:
    found = sorted({text(frame.header, "FrameOfReferenceUID") for frame in frames})
    if "" in found and not (nameless and len(found) == 1):
        raise NoFrameOfReference("FrameOfReferenceUID is absent or empty")
    if len(found) > 1:
        raise MixedOrientations(f"{len(found)} frames of reference: {', '.join(found[:3])}")
    return found[0]


def _need_alike(planes: Sequence[Plane]) -> None:
    sizes = sorted({(plane.rows, plane.columns) for plane in planes})
    if len(sizes) > 1:
        raise MixedOrientations("sizes " + ", ".join(f"{rows} x {columns}" for rows, columns in sizes[:4]))
    directions = np.array([(*plane.along_row, *plane.along_column) for plane in planes])
    if np.abs(directions - directions[0]).max() > SAME_DIRECTION:
        other = directions[np.abs(directions - directions[0]).max(axis=1).argmax()]
        raise MixedOrientations(f"orientations {directions[0].round(4).tolist()} and {other.round(4).tolist()}")
    spacings = np.array([plane.spacing_mm for plane in planes])
    if np.abs(spacings / spacings[0] - 1).max() > SAME_SPACING:
        raise MixedOrientations(f"pixel spacings from {spacings.min(axis=0)} to {spacings.max(axis=0)} mm")


def _spacing(positions: Vectors, normal: Vectors, plane: Plane) -> float:
    """The distance between slices at ``positions`` (n, 3), which ascend along ``normal``."""
    along = positions @ normal
    gaps = np.diff(along)
    if gaps.min() < SAME_PLACE_MM:
        places = 1 + int((gaps >= SAME_PLACE_MM).sum())
        raise DuplicateSlices(f"{len(along)} images at {places} places; several phases in one series?")
    _need_aligned(positions, along, normal, plane)
    return _even(along, gaps)


def _need_aligned(positions: Vectors, along: Vectors, normal: Vectors, plane: Plane) -> None:
    """Every slice must lie straight above the first, within a fraction of a pixel."""
    offset = positions - positions[0]
    shift = offset - np.outer(along - along[0], normal)
    allowed = SHIFT_TOLERANCE * min(plane.spacing_mm)
    if np.linalg.norm(shift, axis=1).max() <= allowed:
        return
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(shift[-1]), along[-1] - along[0])))
    sheared = np.outer((along - along[0]) / (along[-1] - along[0]), shift[-1])
    if np.linalg.norm(shift - sheared, axis=1).max() <= max(allowed, 0.05 * np.linalg.norm(shift[-1])):
        raise GantryTilt(f"{tilt:.2f} degrees between the stack and the normal of its slices")
    raise UnevenSpacing(f"slices are shifted against each other in plane by up to {np.abs(shift).max():.2f} mm")


def _even(along: Vectors, gaps: Vectors) -> float:
    smallest = float(gaps.min())
    typical = float(np.median(gaps[gaps < 1.5 * smallest]))
    steps = np.rint((along - along[0]) / typical)
    fitted = float((along[-1] - along[0]) / steps[-1])
    tolerance = PLACE_TOLERANCE_MM + PLACE_TOLERANCE * fitted
    if np.abs(along - along[0] - steps * fitted).max() > tolerance or np.diff(steps).min() < 1:
        raise UnevenSpacing(f"gaps from {smallest:.3f} to {gaps.max():.3f} mm")
    expected = int(steps[-1]) + 1
    if expected != len(along):
        where = along[int(np.diff(steps).argmax())]
        raise MissingSlices(
            f"{expected - len(along)} of {expected}, {fitted:.3f} mm apart, one gap above {where:.2f} mm"
        )
    return round(fitted, 6)


def _extent(frame: Frame) -> float:
    found = thickness_mm(frame)
    if found is None:
        raise SingleSlice("and SliceThickness is absent")
    return found


def _triple(vector: Vectors) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in vector)
    return x, y, z
