"""What reports show of a region on a series."""

from __future__ import annotations

import numpy as np

from her2node.reading.reading import LaidRoi
from her2node.rois.roi import Roi
from her2node.volumes.volume import Volume


def with_key_slice(roi: Roi, volume: Volume) -> LaidRoi:
    """The region with the slice in which it is largest."""
    key = int(np.argmax(np.count_nonzero(roi.mask, axis=(1, 2))))
    image = np.where(volume.valid[key], volume.voxels[key], np.float32(np.nan)).astype(np.float32)
    image.flags.writeable = False
    return LaidRoi(volume.series_instance_uid, roi, key, image)
