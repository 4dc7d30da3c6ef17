"""The tumour as a network draws it, where no reader has drawn it.

The first segmenter draws whose series are there and which is meant for them. Its channels are put on the grid of the
first one by geometry and turned as the network wants them; the mask lies on that series and goes to the others as a
given region does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from her2node.dicom.codes import Finding
from her2node.dicom.uids import derived_uid
from her2node.errors import DemonstrationOnly, ModalityAbsent, NoRoi, NoTumourFound, OutsideIntendedUse, RoleMissing
from her2node.models import applicability
from her2node.models.manifest import Segmenter
from her2node.models.package import Package
from her2node.models.predicting import need_modalities, required_series
from her2node.models.prediction import Level, Segmented
from her2node.models.segmenter.ensemble import Ensemble
from her2node.models.segmenter.turning import turn_to
from her2node.rois import GivenRoi, RoiOrigin
from her2node.rois.drawn import DrawnMask
from her2node.selection.choice import Selection
from her2node.selection.study import Series, Study
from her2node.volumes import build, stack_of
from her2node.volumes.ct import LOWEST_HU
from her2node.volumes.regrid import resampled
from her2node.volumes.volume import Bools, Floats, Geometry, Volume, same_grid

_ABSENT = (DemonstrationOnly, ModalityAbsent, OutsideIntendedUse, RoleMissing)
"""A segmenter that is not meant for the study: the next one may be."""


@dataclass(frozen=True)
class Drawing:
    """The tumour's region and the package that drew it."""

    region: GivenRoi
    by: Segmented


def draw(
    segmenters: Sequence[Package],
    study: Study,
    selection: Selection,
    *,
    demonstration: bool,
    batch: int,
    seconds: float,
) -> Drawing:
    """The tumour as the first segmenter draws it whose series are there and which is meant for them.

    Raises NoRoi, saying why, where none is for this study; NoTumourFound where its mask is empty; RoleAmbiguous,
    TooLarge, TooSlow, EmptyRoi, PackageRefused, MixedOrientations and what ``volumes.build`` raises.
    """
    absent = []
    for package in segmenters:
        try:
            return _drawn(package, study, selection, demonstration=demonstration, batch=batch, seconds=seconds)
        except _ABSENT as error:
            absent.append(f"{package.manifest.name} cannot draw it: {error}")
    raise NoRoi("; ".join(("no SEG and no RTSTRUCT of others", *absent)))


def _drawn(
    package: Package, study: Study, selection: Selection, *, demonstration: bool, batch: int, seconds: float
) -> Drawing:
    manifest, ensemble = package.manifest, package.ensemble
    assert isinstance(manifest, Segmenter)
    assert ensemble is not None
    if manifest.level is Level.SYNTHETIC_DEMO and not demonstration:
        raise DemonstrationOnly(f"{manifest.name}@{manifest.version}")
    need_modalities(manifest, study)
    series_of = required_series(package, study, selection)
    flags = applicability.judge(manifest, series_of)
    first = next(iter(series_of.values()))
    geometry, mask = _mask(ensemble, list(series_of.values()), batch, seconds)
    if not mask.any():
        raise NoTumourFound(f"{manifest.name}@{manifest.version} on series {first.series_instance_uid}")
    mask.flags.writeable = False
    region = GivenRoi(
        instance=first.instances[0],
        number=ensemble.label,
        label="Tumour",
        origin=RoiOrigin.MODEL,
        frame_of_reference_uid=geometry.frame_of_reference_uid,
        tracking_uid=derived_uid("drawn", first.series_instance_uid, package.sha256),
        tracking_id=f"Tumour, drawn by {manifest.name} {manifest.version}",
        drawn_on=(first.series_instance_uid,),
        category=Finding.ABNORMAL_STRUCTURE,
        type=Finding.PRIMARY_NEOPLASM,
        drawn=DrawnMask(mask, geometry),
    )
    return Drawing(region, Segmented(package.ref, flags, manifest.cautions))


def _mask(ensemble: Ensemble, series: Sequence[Series], batch: int, seconds: float) -> tuple[Geometry, Bools]:
    """The tumour on the grid of the first series; of what was read only the channels stay while the network runs."""
    geometry = stack_of(series[0]).geometry
    turn = turn_to(ensemble.stated.orientation, geometry.directions)
    channels = np.empty((len(series), *(geometry.shape[axis] for axis in turn.order)), dtype=np.float32)
    for place, one in enumerate(series):
        channels[place] = turn.turned(_on(build(one), geometry))
    found = ensemble.tumour(channels, turn.spacing(geometry.spacing_mm), batch, seconds)
    return geometry, np.ascontiguousarray(turn.back(found))


def _on(volume: Volume, geometry: Geometry) -> Floats:
    """A volume's voxels on a grid, with air where there is no image."""
    values = np.where(volume.valid, volume.voxels, np.float32(LOWEST_HU))
    if same_grid(volume.geometry, geometry):
        return values
    (found,) = resampled([values], volume.geometry, geometry)
    found[np.isnan(found)] = LOWEST_HU
    return np.asarray(found)
