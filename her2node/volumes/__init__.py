"""Frames become calibrated voxels with their place in the patient.

``build(series)`` gives the voxels, ``preview(series)`` coarse ones to find organs in, and ``stack_of(series)`` judges
from the headers alone whether they could. What does not form one evenly spaced, right-angled, calibrated stack is
refused by name, never bent into shape. Knows series and pixels; knows nothing of roles, regions or quantities.
"""

from __future__ import annotations

from her2node.errors import OtherKindOfImage
from her2node.selection.study import Series
from her2node.volumes import coarse, ct
from her2node.volumes.stack import Stack
from her2node.volumes.volume import Geometry, SliceSource, Volume

__all__ = ["build", "preview", "stack_of", "Geometry", "SliceSource", "Stack", "Volume"]


def build(series: Series) -> Volume:
    """The calibrated voxels of a series.

    Raises OtherKindOfImage where no method of this node measures such images, PixelsUnreadable, and whatever
    ``stack_of`` raises.
    """
    _need_ct(series)
    return ct.build(series)


def preview(series: Series) -> Volume:
    """A coarse volume of a series, made of some of its slices. Raises what ``build`` raises."""
    _need_ct(series)
    return coarse.preview(series)


def stack_of(series: Series) -> Stack:
    """Judge a series from its headers, without any pixel: its frames in slice order and their grid.

    Raises OtherKindOfImage, Localizer, NoFrameOfReference, MissingAttribute, InvalidAttribute, MixedOrientations,
    DuplicateSlices, GantryTilt, UnevenSpacing, MissingSlices, SingleSlice, NotCalibrated.
    """
    _need_ct(series)
    return ct.stack_of(series)


def _need_ct(series: Series) -> None:
    if series.modality != "CT":
        raise OtherKindOfImage(f"modality {series.modality or 'not stated'}")
