"""What image packages look at on one series, and the map of what their answers rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from her2node.dicom.codes import Saliency, Unit
from her2node.errors import Refused
from her2node.models import crops
from her2node.models.image.stated import CropStated
from her2node.models.image.view import View, view
from her2node.models.manifest import Image
from her2node.models.package import Package
from her2node.models.predicting import Findings, prior_shift, standing
from her2node.models.prediction import Prediction
from her2node.quantities.displacement import Displacement, length
from her2node.quantities.quantity import NotMeasured, QuantityMap
from her2node.reading.comparing import doubts
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Volume

STILL: tuple[float, float, float] = (0.0, 0.0, 0.0)


def views_of(
    wanted: Sequence[CropStated],
    roi: Roi,
    volume: Volume,
    role: Role | None,
    found: Displacement | Refused | None,
    *,
    moved: bool,
) -> tuple[View, ...]:
    """The crops of a series about a region, as it was first laid; ``found``: how its tissue is displaced here, None on
    the series that it was first laid on."""
    by_mm = found.by_mm if moved and isinstance(found, Displacement) else STILL
    followed, unsure = followed_by(found, moved=moved)
    return tuple(
        replace(view(crop, roi, volume, role, by_mm), followed=followed, unsure=unsure)
        for crop in wanted
        if role in crop.roles
    )


def followed_by(found: Displacement | Refused | None, *, moved: bool) -> tuple[str, tuple[str, ...]]:
    """How the tissue was followed, and what is unsure of it."""
    if found is None:
        return "as the region was drawn", ()
    if isinstance(found, Refused):
        return "taken as it lies", (f"the tissue could not be followed, the crop is taken as it lies ({found})",)
    how = f"followed by {length(found):.1f} mm" if moved else f"not displaced ({length(found):.1f} mm)"
    return how, tuple(f"the displacement: {doubt}" for doubt in doubts(found))


def saliency_of(
    package: Package, said: Prediction, findings: Findings, batch: int, seconds: float
) -> QuantityMap | NotMeasured | None:
    """The map of an image package's answer, why there is none, or None of a package that makes none."""
    manifest, classifier = package.manifest, package.classifier
    if not isinstance(manifest, Image) or classifier is None or manifest.crop.saliency is None:
        return None
    try:
        where = standing(package, findings).where
        crop = crops.gather(manifest, findings.views, findings.not_measured, where)
        voxels = classifier.saliency(crop.values, prior_shift(manifest, said.prior), batch, seconds)
    except Refused as error:
        return NotMeasured(said.roi or "", None, error, Saliency.CHANGE, said.looked_at, method=Saliency.OCCLUSION)
    voxels[~crop.seen] = np.nan
    voxels.flags.writeable = False
    first = crop.views[0]
    largest = float(np.nanmax(np.abs(voxels), initial=1e-6))
    return QuantityMap(
        code=Saliency.CHANGE,
        unit=Unit.ONE,
        geometry=first.geometry,
        voxels=voxels,
        sources=first.sources,
        series_uids=said.looked_at,
        low=-largest,
        high=largest,
        method=Saliency.OCCLUSION,
        parameters=_parameters(package, manifest.crop),
        of=f"{package.manifest.name} {package.manifest.version}",
        own_grid=True,
    )


def _parameters(package: Package, crop: CropStated) -> tuple[str, ...]:
    assert crop.saliency is not None
    block, step = (" x ".join(map(str, size)) for size in (crop.saliency.block, crop.saliency.step))
    baseline = ", ".join(f"{channel.role} {channel.mean_hu:g} HU" for channel in crop.channels)
    return (
        "positive where the probability falls when this place is hidden",
        f"blocks of {block} voxels at every {step}, hidden by {baseline}",
        f"package sha256 {package.sha256}",
    )
