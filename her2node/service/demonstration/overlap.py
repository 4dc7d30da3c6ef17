"""How far a region that the node drew itself covers the tumour of the phantom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node.phantoms.rendering import mask
from her2node.phantoms.study import PhantomStudy
from her2node.service.demonstration.comparison import Comparison

DICE = 0.85
"""What the network of the demonstration is held to in the median of phantoms that it has not seen."""


def compare_drawn(segmentation: Path | None, study: PhantomStudy) -> Comparison:
    """The Dice coefficient 2 |A and B| / (|A| + |B|) of a binary SEG on the study's outlined series and the voxels
    whose centres lie in the tumour; None where no SEG came."""
    value = None if segmentation is None else _dice(dcmread(segmentation), study)
    return Comparison("Dice of the drawn region", value, 1.0, "1", 1 - DICE)


def _dice(ds: Dataset, study: PhantomStudy) -> float:
    frames = np.atleast_3d(ds.pixel_array).reshape(-1, ds.Rows, ds.Columns) > 0
    drawn = {_image(group): frame for group, frame in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True)}
    both = either = 0
    for planned in study.roi_series.slices:
        truth = mask(study.anatomy.tumour.shape, planned.plane)
        found = drawn.get(planned.sop_instance_uid, np.zeros_like(truth))
        both += int((truth & found).sum())
        either += int(truth.sum() + found.sum())
    return 2 * both / either


def _image(frame: Dataset) -> str:
    """The SOP Instance UID of the image that a frame lies on."""
    (derivation,) = frame.DerivationImageSequence
    return str(derivation.SourceImageSequence[0].ReferencedSOPInstanceUID)
