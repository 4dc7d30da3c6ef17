"""CT: stored values become Hounsfield units.

HU = stored x RescaleSlope + RescaleIntercept, each frame with its own pair (PS3.3 C.7.6.16.2.9 and C.11.1). Where the
object has no image, ``valid`` is False: at PixelPaddingValue (up to PixelPaddingRangeLimit), and below -1024 HU. The
latter is a general rule of this node: vacuum is -1000 HU and scanners clip at -1024 or mark what lies outside the
field of view with -2000, -2048 or -3024, not always with a padding value, so nothing below -1024 HU is tissue.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from her2node.dicom.attributes import integer, items, number, text
from her2node.dicom.codes import Unit
from her2node.errors import Localizer, NotCalibrated, OtherKindOfImage
from her2node.selection.study import Instance, Series
from her2node.volumes.frames import Frame, frames_of
from her2node.volumes.pixels import Stored, stored_frames
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
    others = {i.identity.sop_class_uid for i in series.instances} - SOP_CLASSES
    if others:
        raise OtherKindOfImage(f"SOP class {', '.join(sorted(others))} in a series of modality CT")
    frames = frames_of(series)
    _need_no_scout(frames)
    found = stack(frames)
    for frame in found.frames:
        rescale_of(frame)
        _need_grey(frame)
    return found


def build(series: Series) -> Volume:
    """Voxels in Hounsfield units, float32, decoded slice by slice into the one array that is kept.

    Raises PixelsUnreadable and whatever ``stack_of`` raises.
    """
    found = stack_of(series)
    voxels = np.empty(found.geometry.shape, dtype=np.float32)
    valid = np.empty(found.geometry.shape, dtype=np.bool_)
    for index, frame, stored in decoded(found):
        calibrate(stored, frame, voxels[index], valid[index])
    voxels.flags.writeable = valid.flags.writeable = False
    return Volume(
        geometry=found.geometry,
        voxels=voxels,
        valid=valid,
        unit=Unit.HU,
        series_instance_uid=series.series_instance_uid,
        sources=tuple(frame.source for frame in found.frames),
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


def _need_grey(frame: Frame) -> None:
    samples = integer(frame.header, "SamplesPerPixel")
    if samples not in (1, None) or not text(frame.header, "PhotometricInterpretation").startswith("MONOCHROME"):
        raise NotCalibrated("a colour image")


def _need_no_scout(frames: tuple[Frame, ...]) -> None:
    scouts = sum(bool(_SCOUTS.intersection(frame.image_type("CTImageFrameTypeSequence"))) for frame in frames)
    if scouts:
        raise Localizer(f"{scouts} of {len(frames)} images")


def decoded(found: Stack) -> Iterator[tuple[int, Frame, Stored]]:
    """(slice index, frame, stored values), object by object, each object's frames in the order they are stored."""
    by_object: dict[str, list[tuple[int, Frame]]] = defaultdict(list)
    for index, frame in enumerate(found.frames):
        by_object[frame.instance.identity.sop_instance_uid].append((index, frame))
    for members in by_object.values():
        members.sort(key=lambda member: member[1].number or 1)
        instance: Instance = members[0][1].instance
        wanted = [(frame.number or 1) - 1 for _, frame in members]
        images = stored_frames(instance.path, instance.header, wanted)
        for (index, frame), stored in zip(members, images, strict=True):
            yield index, frame, stored


def calibrate(stored: Stored, frame: Frame, voxels: Floats, valid: Bools) -> None:
    """Fill one slice of ``voxels`` and ``valid``, both of the shape of ``stored``."""
    rescale = rescale_of(frame)
    scaled = np.multiply(stored, rescale.slope, dtype=np.float64)
    scaled += rescale.intercept
    voxels[...] = scaled
    np.greater_equal(voxels, LOWEST_HU, out=valid)
    padding = _padding(frame)
    if padding is not None:
        low, high = padding
        valid &= (stored < low) | (stored > high)


def _padding(frame: Frame) -> tuple[int, int] | None:
    """The stored values, both inclusive, that mean 'no image here' (PS3.3 C.7.5.1.1.2)."""
    value = integer(frame.header, "PixelPaddingValue")
    if value is None:
        return None
    limit = integer(frame.header, "PixelPaddingRangeLimit")
    ends = [_as_stored(end, frame) for end in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def _as_stored(value: int, frame: Frame) -> int:
    """A padding value in the range of the stored values: some write it unsigned beside signed pixels."""
    bits = integer(frame.header, "BitsAllocated") or 16
    if integer(frame.header, "PixelRepresentation") == 1 and value >= 1 << (bits - 1):
        return value - (1 << bits)
    return value
