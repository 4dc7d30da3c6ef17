"""Frames become calibrated voxels with their place in the patient.

``build(series)`` gives the voxels, ``preview(series)`` coarse ones to find organs in, and ``stack_of(series)`` judges
from the headers alone whether they could; ``build_dynamic`` and ``dynamic_stack_of`` do so for time series, which one
or many series hold. What does not form one evenly spaced, right-angled, calibrated stack is refused by name, never bent
into shape. Knows series and pixels; knows nothing of roles, regions or quantities.
"""

from __future__ import annotations

from collections.abc import Sequence

from her2node.errors import OtherKindOfImage
from her2node.selection.roles import Role
from her2node.selection.study import Series
from her2node.volumes import coarse, concentration, ct, dce, diffusion, mr, pet
from her2node.volumes.concentration import Stated, build_effective_z, build_iodine
from her2node.volumes.dynamic import Dynamic, DynamicStack
from her2node.volumes.stack import Stack
from her2node.volumes.volume import Bools, Geometry, SliceSource, Volume

__all__ = [
    "build",
    "build_dynamic",
    "build_effective_z",
    "build_iodine",
    "dynamic_stack_of",
    "preview",
    "stack_of",
    "Dynamic",
    "DynamicStack",
    "Geometry",
    "SliceSource",
    "Stack",
    "Stated",
    "Volume",
]


def build(series: Series, wanted: Bools | None = None) -> Volume:
    """The calibrated voxels of a series; with ``wanted`` (slices,) those slices alone, the others without image.

    Raises OtherKindOfImage where no method of this node measures such images, PixelsUnreadable, and whatever
    ``stack_of`` raises.
    """
    _need_ct(series)
    return ct.build(series, wanted)


def preview(series: Series) -> Volume:
    """A coarse volume of a series, made of some of its slices. Raises what ``build`` raises."""
    _need_ct(series)
    return coarse.preview(series)


def stack_of(series: Series, role: Role | None = None) -> Stack:
    """Judge a series from its headers, without any pixel: its frames in slice order and their grid.

    ``role`` tells what the values must be: iodine, an effective atomic number, diffusion coefficients, signal, uptake,
    else Hounsfield units. Of a diffusion series the grid is that of its lowest b-value, of a dynamic one its first time
    point, of one of several flip angles its lowest.

    Raises OtherKindOfImage, Localizer, NoFrameOfReference, MissingAttribute, InvalidAttribute, MixedOrientations,
    DuplicateSlices, GantryTilt, UnevenSpacing, MissingSlices, SingleSlice, NotCalibrated, UnknownUnit.
    """
    if role is Role.DIFFUSION:
        return diffusion.shells_of((series,))[0].first
    if role is Role.ADC_MAP:
        return mr.adc_stack_of(series)
    if role is Role.DCE:
        found = dce.dynamic_stack_of((series,))
        return Stack(found.geometry, found.frames[0])
    if role is Role.FLIP_ANGLES:
        return next(iter(dce.slab_of((series,)).values()))[0]
    if role in (Role.PET, Role.PET_OTHER_TRACER):
        return pet.stack_of(series)
    _need_ct(series)
    if role in (Role.IODINE, Role.EFFECTIVE_Z):
        return concentration.stack_of(series, role)
    return ct.stack_of(series)


def build_dynamic(series: Sequence[Series]) -> Dynamic:
    """The calibrated voxels of a time series that one or several series hold.

    Raises OtherKindOfImage, PixelsUnreadable, and whatever ``dynamic_stack_of`` raises.
    """
    _need_all_ct(series)
    return ct.build_dynamic(series)


def dynamic_stack_of(series: Sequence[Series]) -> DynamicStack:
    """Judge a time series from its headers: its frames by time point and slice, their grid and their times.

    Raises TooFewTimePoints, IncompleteTimePoints, NoTimes and whatever ``stack_of`` raises.
    """
    _need_all_ct(series)
    return ct.dynamic_stack_of(series)


def _need_all_ct(series: Sequence[Series]) -> None:
    for one in series:
        _need_ct(one)


def _need_ct(series: Series) -> None:
    if series.modality != "CT":
        raise OtherKindOfImage(f"modality {series.modality or 'not stated'}")
