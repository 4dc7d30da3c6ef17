"""How far a series reaches along its normal, from headers."""

from __future__ import annotations

from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, numbers
from her2node.selection.study import Series

Vector = tuple[float, float, float]


def extent_of(series: Series) -> tuple[float, float] | None:
    """Lowest and highest position (mm) of the slice centres along the slices' normal; None where headers tell none.

    The normal is turned so that its largest component is positive: phases of one scan, read head first or feet first,
    have comparable extents.
    """
    planes = [plane for instance in series.instances for plane in _planes(instance.header)]
    along = _along(planes)
    return (min(along), max(along)) if along else None


def along_normal(header: Dataset) -> list[float]:
    """Positions (mm) along the normal of the image, or of every frame of an enhanced object, turned as in
    ``extent_of``; empty where the header tells none."""
    return _along(_planes(header))


def _along(planes: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> list[float]:
    if not planes:
        return []
    normal = _normal(planes[0][0])
    return [sum(n * p for n, p in zip(normal, position, strict=True)) for _, position in planes]


def _planes(header: Dataset) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """(ImageOrientationPatient, ImagePositionPatient) of the image, or of every frame of an enhanced object."""
    shared = next(iter(items(header, "SharedFunctionalGroupsSequence")), Dataset())
    frames = items(header, "PerFrameFunctionalGroupsSequence") or (header,)
    found: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
    for frame in frames:
        orientation = _six(_macro(frame, shared, "PlaneOrientationSequence"))
        position = numbers(_macro(frame, shared, "PlanePositionSequence"), "ImagePositionPatient")
        if orientation and len(position) == 3:
            found.append((orientation, position))
    return found


def _macro(frame: Dataset, shared: Dataset, sequence: str) -> Dataset:
    """The functional group of this frame, else the shared one, else the frame itself (a single-frame object)."""
    found = items(frame, sequence) or items(shared, sequence)
    return found[0] if found else frame


def _six(ds: Dataset) -> tuple[float, ...]:
    orientation = numbers(ds, "ImageOrientationPatient")
    return orientation if len(orientation) == 6 else ()


def _normal(orientation: tuple[float, ...]) -> Vector:
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    sign = 1.0 if max(normal, key=abs) >= 0 else -1.0
    return sign * normal[0], sign * normal[1], sign * normal[2]
