"""Which regions and which series a report shows, and the outline of a region on its slice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import measure

from her2node.reading import LaidRoi, Measured, Reading
from her2node.selection.roles import Role

_IMPORTANCE = (
    Role.PORTAL,
    Role.ARTERIAL,
    Role.EQUILIBRIUM,
    Role.CONTRAST_UNSPECIFIED,
    Role.PLAIN,
    Role.PERFUSION,
    Role.DCE,
    None,
)
_FEWEST_POINTS = 8
"""Viewers take an outline of four or five points for a rectangle."""

Points = npt.NDArray[np.float64]


def most_important(reading: Reading) -> str | None:
    """UID of the series that the report shows and segments: one with the tumour before one with any region before any
    other, and among those portal first. None when no series was measured."""
    with_tumour = {laid.series_instance_uid for laid in reading.rois if laid.roi.tracking_id == reading.tumour}
    with_any = {laid.series_instance_uid for laid in reading.rois}
    ranked = sorted(
        reading.measured,
        key=lambda measured: (
            measured.series_instance_uid not in with_tumour,
            measured.series_instance_uid not in with_any,
            _IMPORTANCE.index(measured.role) if measured.role in _IMPORTANCE else len(_IMPORTANCE),
        ),
    )
    return ranked[0].series_instance_uid if ranked else None


def shown(reading: Reading) -> tuple[LaidRoi, ...]:
    """The regions on the most important series, the tumour first."""
    uid = most_important(reading)
    found = [laid for laid in reading.rois if laid.series_instance_uid == uid]
    return tuple(sorted(found, key=lambda laid: laid.roi.tracking_id != reading.tumour))


def measured_series(reading: Reading, uid: str) -> Measured | None:
    """The measured series with this UID."""
    return next((measured for measured in reading.measured if measured.series_instance_uid == uid), None)


def outlines(mask: npt.NDArray[np.bool_]) -> tuple[Points, ...]:
    """The outer outlines of a mask of shape (rows, columns), one a connected part, the largest part first.

    Each is a closed polygon of shape (points, 2), float64, (column, row) in pixels as DICOM counts them in SCOORD:
    (0, 0) is the outer corner of the first pixel and (0.5, 0.5) its centre (PS3.3 C.18.6). Holes are left out.
    """
    labels, count = ndimage.label(mask)  # neighbours share an edge
    parts = [labels == number for number in range(1, count + 1)]
    parts.sort(key=lambda part: -int(np.count_nonzero(part)))
    return tuple(_outline(ndimage.binary_fill_holes(part)) for part in parts)


def _outline(part: npt.NDArray[np.bool_]) -> Points:
    """Marching squares at one half, around a part without holes."""
    padded = np.pad(part, 1).astype(np.float64)
    contours: list[Points] = measure.find_contours(padded, 0.5, fully_connected="low")  # type: ignore[no-untyped-call]
    contour = max(contours, key=len)
    points = contour[:, ::-1] - 1 + 0.5  # (row, column) -> (column, row), padding off, centres at one half
    while len(points) < _FEWEST_POINTS:
        points = np.array(list(_halved(points)))
    return np.asarray(points, dtype=np.float64)


def _halved(points: Points) -> Iterator[Points]:
    for one, next_one in pairwise(points):
        yield one
        yield (one + next_one) / 2
    yield points[-1]
