"""PET: stored values become standardised uptake values by body weight (SUVbw, g/ml)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from her2node.dicom.attributes import number
from her2node.dicom.codes import Unit
from her2node.errors import NotCalibrated, OtherKindOfImage
from her2node.selection.pet import SOP_CLASSES
from her2node.selection.study import Series
from her2node.volumes.frames import Frame, frames_of
from her2node.volumes.mr import Scale, scaled
from her2node.volumes.slices import decoded, padding_of
from her2node.volumes.stack import Stack, stack
from her2node.volumes.suv import Normalisation, normalisation
from her2node.volumes.volume import Volume

_HIGHEST_SUV = 1e6
"""g/ml: all of the dose in 0.1 ml of a patient of 100 kg. No scanner resolves less than that."""


@dataclass(frozen=True)
class PetVolume:
    """SUVbw with the way that led to it."""

    volume: Volume
    normalisation: Normalisation


def stack_of(series: Series) -> Stack:
    """The frames in slice order and their grid, from headers alone. Raises what ``normalisation`` and ``stack`` do."""
    others = {i.identity.sop_class_uid for i in series.instances} - SOP_CLASSES
    if others:
        raise OtherKindOfImage(f"SOP class {', '.join(sorted(others))} in a series of modality PT")
    found = stack(frames_of(series))
    normalisation(found.frames)
    return found


def build(series: Series) -> PetVolume:
    """SUVbw of a series, float32. Raises PixelsUnreadable, NotCalibrated for values that no uptake can have, and what
    ``stack_of`` raises."""
    found = stack_of(series)
    by = normalisation(found.frames)
    voxels = np.empty(found.geometry.shape, dtype=np.float32)
    valid = np.ones(found.geometry.shape, dtype=np.bool_)
    for index, frame, stored in decoded(found.frames):
        slope, intercept = _rescale(frame)
        voxels[index] = scaled(stored, Scale(slope * by.factors[index], intercept * by.factors[index]))
        padding = padding_of(frame)
        if padding is not None:
            valid[index] = (stored < padding[0]) | (stored > padding[1])
    if (highest := float(np.abs(voxels).max(where=valid, initial=0))) > _HIGHEST_SUV:
        raise NotCalibrated(f"a voxel with SUVbw {highest:.3g}: more than the whole dose in it")
    voxels.flags.writeable = valid.flags.writeable = False
    sources = tuple(frame.source for frame in found.frames)
    return PetVolume(Volume(found.geometry, voxels, valid, Unit.SUVBW, series.series_instance_uid, sources), by)


def _rescale(frame: Frame) -> tuple[float, float]:
    """Slope and intercept of this very frame: they differ from slice to slice. Raises NotCalibrated."""
    transformation = frame.group("PixelValueTransformationSequence")
    slope, intercept = number(transformation, "RescaleSlope"), number(transformation, "RescaleIntercept")
    if slope is None or not slope > 0:
        raise NotCalibrated(f"RescaleSlope {slope}")
    return slope, intercept or 0.0
