"""CT: stored values become Hounsfield units.

HU = stored x RescaleSlope + RescaleIntercept, each frame with its own pair (PS3.3 C.7.6.16.2.9 and C.11.1). Where the
object has no image, ``valid`` is False: at PixelPaddingValue (up to PixelPaddingRangeLimit), and below -1024 HU. The
latter is a general rule of this node: vacuum is -1000 HU and scanners clip at -1024 or mark what lies outside the
field of view with -2000, -2048 or -3024, not always with a padding value, so nothing below -1024 HU is tissue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from her2node.dicom.attributes import items, number, text
from her2node.dicom.codes import Unit
from her2node.errors import Localizer, NotCalibrated, OtherKindOfImage
from her2node.selection.study import Series
from her2node.volumes.dynamic import Dynamic, DynamicStack, dynamic_stack, on_common_times
from her2node.volumes.frames import Frame, frames_of, need_grey
from her2node.volumes.pixels import Stored
from her2node.volumes.slices import decoded, padding_of
from her2node.volumes.stack import Stack, stack
from her2node.volumes.volume import Bools, Floats, Volume

SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
        "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
        "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
    }
)
LOWEST_HU = -1024.0
"""Below this there is no image (see above)."""
_SCOUTS = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM"})


@dataclass(frozen=True)
class Rescale:
    """HU = stored x slope + intercept."""

    slope: float
    intercept: float


def stack_of(series: Series) -> Stack:
    """The frames in slice order and their grid, from headers alone; see ``volumes.stack_of`` for what is raised."""
    found = grid_of(series)
    for frame in found.frames:
        rescale_of(frame)
    return found


def grid_of(series: Series) -> Stack:
    """``stack_of`` whatever the stored values mean."""
    found = stack(_measurable(series))
    for frame in found.frames:
        need_grey(frame)
    return found


def build(series: Series, wanted: Bools | None = None) -> Volume:
    """Voxels in Hounsfield units, float32, decoded slice by slice into the one array that is kept.

    ``wanted`` (slices,): which slices are decoded, None for all. The others are without image, and take no memory: they
    are pages of zeros that nobody has touched. Raises PixelsUnreadable and whatever ``stack_of`` raises.
    """
    found = stack_of(series)
    voxels = np.zeros(found.geometry.shape, dtype=np.float32)
    valid = np.zeros(found.geometry.shape, dtype=np.bool_)
    places = np.arange(len(found.frames)) if wanted is None else np.flatnonzero(wanted)
    for index, frame, stored in decoded([found.frames[place] for place in places]):
        calibrate(stored, frame, voxels[places[index]], valid[places[index]])
    voxels.flags.writeable = valid.flags.writeable = False
    return Volume(
        geometry=found.geometry,
        voxels=voxels,
        valid=valid,
        unit=Unit.HU,
        series_instance_uid=series.series_instance_uid,
        sources=tuple(frame.source for frame in found.frames),
    )


def dynamic_stack_of(series: Sequence[Series]) -> DynamicStack:
    """The frames of one or several series by time point and slice, from headers alone; see ``dynamic.dynamic_stack``
    for what is raised beside OtherKindOfImage, Localizer and NotCalibrated."""
    frames = tuple(frame for one in series for frame in _measurable(one))
    found = dynamic_stack(frames)
    for frame in frames:
        rescale_of(frame)
        need_grey(frame)
    return found


def build_dynamic(series: Sequence[Series]) -> Dynamic:
    """Voxels in Hounsfield units over time. Raises PixelsUnreadable and whatever ``dynamic_stack_of`` raises."""
    found = dynamic_stack_of(series)
    slices, rows, columns = found.geometry.shape
    voxels = np.empty((len(found.frames), slices, rows, columns), dtype=np.float32)
    valid = np.ones(found.geometry.shape, dtype=np.bool_)
    seen = np.empty((rows, columns), dtype=np.bool_)
    for index, frame, stored in decoded([frame for point in found.frames for frame in point]):
        when, where = divmod(index, slices)
        calibrate(stored, frame, voxels[when, where], seen)
        valid[where] &= seen
    resampled = on_common_times(found, voxels)
    valid.flags.writeable = False
    return Dynamic(
        geometry=found.geometry,
        times_s=found.times_s,
        voxels=voxels,
        valid=valid,
        unit=Unit.HU,
        sources=tuple(tuple(frame.source for frame in point) for point in found.frames),
        series_uids=found.series_uids,
        series_of=tuple(point[0].instance.identity.series_instance_uid for point in found.frames),
        clock=found.clock,
        resampled=resampled,
    )


def rescale_of(frame: Frame) -> Rescale:
    """Slope and intercept to HU. An absent RescaleType means HU (PS3.3 C.8.2.1.1.2), but not for multi-energy images.

    Raises NotCalibrated.
    """
    transformation = frame.group("PixelValueTransformationSequence")
    slope, intercept = number(transformation, "RescaleSlope"), number(transformation, "RescaleIntercept")
    kind = text(transformation, "RescaleType").upper()
    if items(frame.header, "ModalityLUTSequence"):
        raise NotCalibrated("a modality lookup table stands in place of RescaleSlope and RescaleIntercept")
    if slope is None or intercept is None or not 0 < abs(slope) < 1e4 or not abs(intercept) < 1e6:
        raise NotCalibrated(f"RescaleSlope {slope}, RescaleIntercept {intercept}")
    if kind not in ("", "HU"):
        raise NotCalibrated(f"RescaleType is {kind}, not HU")
    if not kind and text(frame.header, "MultienergyCTAcquisition").upper() == "YES":
        raise NotCalibrated("RescaleType is absent in a multi-energy image")
    return Rescale(slope, intercept)


def _measurable(series: Series) -> tuple[Frame, ...]:
    """The frames of a series of CT images."""
    others = {i.identity.sop_class_uid for i in series.instances} - SOP_CLASSES
    if others:
        raise OtherKindOfImage(f"SOP class {', '.join(sorted(others))} in a series of modality CT")
    frames = frames_of(series)
    _need_no_scout(frames)
    return frames


def _need_no_scout(frames: tuple[Frame, ...]) -> None:
    scouts = sum(bool(_SCOUTS.intersection(frame.image_type("CTImageFrameTypeSequence"))) for frame in frames)
    if scouts:
        raise Localizer(f"{scouts} of {len(frames)} images")


def calibrate(stored: Stored, frame: Frame, voxels: Floats, valid: Bools) -> None:
    """Fill one slice of ``voxels`` and ``valid``, both of the shape of ``stored``."""
    rescale = rescale_of(frame)
    scaled = np.multiply(stored, rescale.slope, dtype=np.float64)
    scaled += rescale.intercept
    voxels[...] = scaled
    np.greater_equal(voxels, LOWEST_HU, out=valid)
    padding = padding_of(frame)
    if padding is not None:
        low, high = padding
        valid &= (stored < low) | (stored > high)
