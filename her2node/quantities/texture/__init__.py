"""Texture in the manner of the program MaZda, as study 20 measured it on the plain phase: 279 features of one slice.

MaZda measures in a 2-D region: here the slice where the region is largest. Grey levels are made between mean - 3 SD and
mean + 3 SD of the region: 4 bits for the gradient, 6 for run lengths and co-occurrence, 8 for the wavelets, none for
the autoregressive model; the histogram is that of the attenuation. Features keep MaZda's names; every method code says
MaZda-like, for MaZda's own results were not at hand to compare with. Pixels are taken as squares, as MaZda takes them.
"""

from __future__ import annotations

from collections.abc import Iterator

from her2node.dicom.codes import Code, Texture, Unit
from her2node.errors import NotCalibrated, Refused, RoleMissing
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.quantities.texture import autoregression, cooccurrence, gradient, grey_values, haar, runs
from her2node.quantities.texture.slice_levels import Plane, largest, levels_of, normalised
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Volume

MEASURES = (
    *grey_values.MEASURES,
    *gradient.MEASURES,
    *runs.MEASURES,
    *cooccurrence.MEASURES,
    *autoregression.MEASURES,
    *haar.MEASURES,
)
"""Every quantity of this method."""

_OF_LEVELS = (gradient, runs, cooccurrence, haar)

_Found = tuple[dict[str, float | Refused], Code]
"""Features by MaZda's names and how they were made."""


def measure(volume: Volume, roi: Roi, role: Role | None) -> tuple[Quantity | NotMeasured, ...]:
    """MaZda-like texture of a region of a plain CT.

    A feature that is not defined for the region is a NotMeasured with TooFewVoxels or Undefined; a series in another
    role gives one NotMeasured with RoleMissing, a volume in another unit than HU one with NotCalibrated, a region
    without a voxel that has an image one with TooFewVoxels.
    """
    series_uids = (volume.series_instance_uid,)
    plane = _refusal(volume, role) or largest(volume.voxels, roi.mask & volume.valid)
    if isinstance(plane, Refused):
        return (NotMeasured(roi.tracking_id, role, plane, None, series_uids),)
    return tuple(
        NotMeasured(roi.tracking_id, role, value, Texture.feature(name), series_uids, method=method)
        if isinstance(value, Refused)
        else Quantity(
            roi.tracking_id, role, Texture.feature(name), value, _unit(name), method=method, series_uids=series_uids
        )
        for features, method in _classes(plane)
        for name, value in features.items()
    )


def _refusal(volume: Volume, role: Role | None) -> Refused | None:
    if role is not Role.PLAIN:
        return RoleMissing("MaZda-like texture is that of the plain phase")
    if volume.unit != Unit.HU:
        return NotCalibrated(f"texture needs HU, the volume is in {volume.unit.value}")
    return None


def _classes(plane: Plane) -> Iterator[_Found]:
    yield grey_values.features(plane.values), Texture.LIKE
    normal = normalised(plane)
    for module in _OF_LEVELS:
        method = Texture.levels(module.BITS)
        if isinstance(normal, Refused):
            yield dict.fromkeys(module.NAMES, normal), method
        else:
            yield module.features(levels_of(normal, module.BITS)), method
    if isinstance(normal, Refused):
        yield dict.fromkeys(autoregression.NAMES, normal), Texture.NORMALIZED
    else:
        yield autoregression.features(normal), Texture.NORMALIZED


def _unit(name: str) -> Code:
    if name == "Variance":
        return Unit.HU2
    return Unit.HU if name == "Mean" or name.startswith("Perc.") else Unit.ONE
