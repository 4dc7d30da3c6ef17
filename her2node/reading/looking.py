"""Looking at every CT series before its role is known: organs and vessels on a coarse volume, and what they testify.

Of dual-energy series, images of about 70 keV show vessels as 120 kVp do: the aorta that iodine is compared with is
found there, and where iodine is as bright as at 120 kVp too they testify to their phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from her2node.dicom.attributes import items, number
from her2node.errors import Refused
from her2node.rois.landmarks import Landmarks, find
from her2node.selection.assignment import CT_CLASSES
from her2node.selection.choice import PHASES, select
from her2node.selection.content import Enhancement, Judgement, judge
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from her2node.selection.spectral import energy_of, spectral
from her2node.selection.study import Series, Study
from her2node.selection.witnesses import SILENT
from her2node.volumes import preview

_OPEN = (*PHASES, Role.CONTRAST_UNSPECIFIED, None)
"""Roles that images may bear out, refute or name. A perfusion scan or an iodine map is no contrast phase."""
_LIKE_120_KVP = (60.0, 80.0)
"""keV."""
_AS_BRIGHT = (65.0, 75.0)
"""keV at which iodine is as bright as at 120 kVp, within a fifth."""


def looked_at(study: Study, rules: Sequence[SiteRule], entered: Mapping[str, Role | None]) -> dict[str, Landmarks]:
    """The landmarks of every CT series that may play a contrast phase and forms a stack, by its UID."""
    by_headers = select(study, rules, entered)
    found: dict[str, Landmarks] = {}
    for series in study.series:
        classes = {instance.identity.sop_class_uid for instance in series.instances}
        assignment = by_headers.of(series.series_instance_uid)
        if not classes <= CT_CLASSES or assignment.ignored or not _is_open(assignment.role, series):
            continue
        try:
            found[series.series_instance_uid] = find(preview(series))
        except Refused:  # said again, with its reason, when the series is measured
            continue
    return found


def _is_open(role: Role | None, series: Series) -> bool:
    """Whether a series may play a contrast phase, or shows the aorta as those do."""
    return _within(_LIKE_120_KVP, series) if role is Role.MONOENERGETIC else role in _OPEN


def _within(kev: tuple[float, float], series: Series) -> bool:
    """Whether the photon energy of mono-energetic images is told and lies between two."""
    try:
        return kev[0] <= energy_of(series) <= kev[1]
    except Refused:
        return False


def testimony(series: Series, landmarks: Landmarks) -> Judgement:
    """What the images of a series say of its phase; nothing where they show iodine brighter or darker than 120 kVp, or
    show something else than attenuation, whatever role a reader or a rule gives them."""
    dual = spectral(series)
    if dual is not None and not (dual.role is Role.MONOENERGETIC and _within(_AS_BRIGHT, series)):
        return Judgement(SILENT, {})
    seen = Enhancement(
        aorta=landmarks.aorta,
        ceiling=landmarks.ceiling,
        liver=landmarks.liver,
        spleen=landmarks.spleen,
        cortex=landmarks.cortex,
        medulla=landmarks.medulla,
        portal_vein=landmarks.portal_vein,
        kvp=120.0 if dual is not None else _kvp(series),
    )
    return judge(seen)


def _kvp(series: Series) -> float | None:
    direct = number(series.first, "KVP")
    if direct:
        return direct
    shared = items(series.first, "SharedFunctionalGroupsSequence")
    details = (item for group in shared for item in items(group, "CTXRayDetailsSequence"))
    return next((found for item in details if (found := number(item, "KVP"))), None)
