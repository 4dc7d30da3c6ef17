"""What is measured in a region: one module a method, each quantity with formula, unit and source in its docstring.

``measure(volume, roi, role)`` runs every method. A method imports no other; what several need has its own named module
(``surface``, ``histogram``). Pure: arrays in, numbers with codes out; what cannot be measured is a ``NotMeasured``,
never a NaN.
"""

from __future__ import annotations

from her2node.quantities import attenuation, morphology
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Volume

__all__ = ["measure", "NotMeasured", "Quantity"]


def measure(
    volume: Volume, roi: Roi, role: Role | None, *, core: Roi | None = None
) -> tuple[Quantity | NotMeasured, ...]:
    """Everything that this node measures in a region of a series, in a fixed order.

    ``roi`` must have been laid on ``volume`` (ValueError otherwise: a fault of the caller). ``core``: the part of it
    whose voxels surely hold the region's tissue, where the region was moved; attenuation is then measured in it.
    """
    if roi.mask.shape != volume.voxels.shape:
        raise ValueError(f"the region has shape {roi.mask.shape}, the volume {volume.voxels.shape}")
    return attenuation.measure(volume, core or roi, role) + morphology.measure(volume, roi, role)
