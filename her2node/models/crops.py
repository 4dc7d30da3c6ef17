"""From the views of a study to the crop that an image package looks at, with everything a reader must know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from her2node.errors import EmptyRoi, MixedOrientations, OutsideIntendedUse, QuantityMissing, Refused
from her2node.models.image.stated import CropStated
from her2node.models.image.view import View, seen, stacked
from her2node.models.inputs import Where
from her2node.models.manifest import Image
from her2node.models.prediction import Flag
from her2node.quantities.quantity import NotMeasured
from her2node.selection.roles import Role
from her2node.volumes.volume import Bools, Floats

_AXES = ("head to foot", "front to back", "left to right")


@dataclass(frozen=True)
class Crop:
    """What the network takes, where that has an image in every phase, and whence it comes."""

    values: Floats = field(repr=False)
    seen: Bools = field(repr=False)
    views: tuple[View, ...]
    flags: tuple[Flag, ...]
    remarks: tuple[str, ...]


def gather(manifest: Image, views: Sequence[View], not_measured: Sequence[NotMeasured], where: Where) -> Crop:
    """The crop of the tumour in the package's phases.

    Raises why a phase could not be looked at; EmptyRoi where the network is told the region and no voxel of the crop
    lies in it; MixedOrientations where phases lie in several frames of reference;
    OutsideIntendedUse for a region that the crop does not hold with its margin, and for a crop that reaches too far out
    of the images.
    """
    crop = manifest.crop
    chosen = tuple(_wanted(crop, role, views, not_measured, where) for role in crop.roles)
    frames = {view.geometry.frame_of_reference_uid for view in chosen}
    if len(frames) > 1:
        raise MixedOrientations(f"the phases lie in {len(frames)} frames of reference: no crop is the same in all")
    _need_room(crop, chosen[0])
    if crop.mask and not chosen[0].mask.any():
        raise EmptyRoi("no voxel of the package's crop lies in it")
    where_seen = seen(chosen)
    return Crop(stacked(chosen), where_seen, chosen, tuple(_flags(crop, chosen, where_seen)), _remarks(chosen))


def _wanted(
    crop: CropStated, role: Role, views: Sequence[View], not_measured: Sequence[NotMeasured], where: Where
) -> View:
    """The view of the tumour on the series chosen for a role, else why there is none."""
    series_uid = where.series_uids[role, None]
    for view in views:
        if (view.roi, view.crop, view.series_uid) == (where.tumour, crop, series_uid):
            return view
    raise next(_reasons(role, not_measured, where), QuantityMissing(f"the {role} series was not looked at"))


def _reasons(role: Role, not_measured: Sequence[NotMeasured], where: Where) -> Iterator[Refused]:
    """Why the region, or the whole series, could not be looked at."""
    for refusal in not_measured:
        here = not refusal.series_uids or where.series_uids[role, None] in refusal.series_uids
        if refusal.role is role and refusal.code is None and refusal.roi in (where.tumour, "") and here:
            yield refusal.refused


def _need_room(crop: CropStated, view: View) -> None:
    for axis, reach, count, step in zip(_AXES, view.reaches_mm, crop.size, crop.spacing_mm, strict=True):
        room = count * step / 2 - crop.margin_mm
        if reach > room:
            raise OutsideIntendedUse(
                f"the region reaches {reach:.0f} mm from its centroid {axis}; the package's crop of "
                f"{count * step:.0f} mm has room for {room:.0f} mm"
            )


def _flags(crop: CropStated, views: Sequence[View], where_seen: Bools) -> Iterator[Flag]:
    share = float(np.mean(where_seen))
    if share < crop.least_seen:
        raise OutsideIntendedUse(
            f"{100 * share:.0f} % of the crop have an image in every phase, {100 * crop.least_seen:.0f} % are needed"
        )
    if share < 1:
        said = f"{100 * (1 - share):.1f} % of the crop have no image in some phase: {crop.outside_hu:g} HU stand there"
        yield Flag("crop-outside", said)
    if any(view.cut_off for view in views):
        yield Flag("region-cut-off", "part of the region lies outside the series: its centroid is not the tumour's")
    yield from (Flag("phase-displacement", f"{view.role}: {said}") for view in views for said in view.unsure)


def _remarks(views: Sequence[View]) -> tuple[str, ...]:
    crop, at = views[0].crop, views[0].geometry
    middle = at.to_patient((np.array(at.shape) - 1) / 2)
    size = " x ".join(map(str, crop.size))
    spacing = " x ".join(f"{step:g}" for step in crop.spacing_mm)
    phases = "; ".join(f"{view.role}: {view.followed}" for view in views if view.followed)
    place = ", ".join(f"{value:.1f}" for value in middle)
    return (
        f"Looked at a crop of {size} voxels of {spacing} mm (slices, rows, columns along the patient's axes) about the "
        f"region's centroid ({place}) mm{', with the region as a channel' if crop.mask else ''}. {phases}".rstrip(),
    )
