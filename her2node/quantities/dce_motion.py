"""A DCE examination whose time points lie on each other.

Contrast makes tissue brighter and hardly ever darker, so values are cut off at a share of the tissue's signal before
contrast: what lies above looks the same with contrast or without, and the edges to gas, lung and cortical bone stay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from her2node.errors import NoBaseline
from her2node.quantities import motion
from her2node.quantities.motion import Motion
from her2node.volumes.dce import DceVolume
from her2node.volumes.volume import Bools

EDGE = 0.5
"""Share of the median signal of the body in the first image at which values are cut off."""
OUTLIER = 0.2
"""Share of that edge from which on a difference weighs less; about what CT's 30 HU are of its window."""


def steadied(volume: DceVolume, body: Bools) -> tuple[DceVolume, Motion]:
    """The examination with its time points shifted back, and by how much they had moved; the voxels are a copy.

    Translations only. Raises NoBaseline where there is no signal in ``body`` (slices, rows, columns) to begin with.
    """
    inside = volume.voxels[0][body & volume.valid]
    edge = EDGE * float(np.median(inside)) if len(inside) else 0.0
    if not edge > 0:
        raise NoBaseline("there is no signal in the body in the first image")
    spacing_mm = volume.geometry.spacing_mm
    moved = motion.estimate(volume.voxels, spacing_mm, (0.0, edge), OUTLIER * edge)
    voxels = volume.voxels.copy()
    valid = motion.undo(voxels, volume.valid, spacing_mm, moved)
    voxels.flags.writeable = False
    words = f"time points shifted by up to {moved.largest_mm:.1f} mm"
    return replace(volume, voxels=voxels, valid=valid, notes=(*volume.notes, words)), moved
