"""Enhancement of a region from phase to phase: differences, ratios to the aorta, and the pattern over time.

Attenuations of one region in several phases go in. Where breathing displaced the tissue, they are means over the
region moved with it and narrowed by a voxel, and the method's code says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from her2node.dicom.codes import Code, Method, Pattern, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.errors import Refused, WeakReference
from her2node.quantities.quantity import Evaluation, NotMeasured, Quantity
from her2node.selection.roles import Role

TOLERANCE_HU = 5.0
"""Changes up to this count as none in the pattern."""
LEAST_AORTA_HU = 30.0
"""Attenuation, and enhancement, of the aorta below which a ratio to it says more about noise than about the lesion."""


@dataclass(frozen=True)
class PhaseMeans:
    """One phase: its series, the mean attenuation (HU) of the region, of the aorta and of the main portal vein (None:
    no reference region), and whether the reference regions were given."""

    series_uid: str
    lesion: float
    aorta: float | None = None
    portal_vein: float | None = None
    aorta_given: bool = False
    portal_vein_given: bool = False


def enhancement(phase: float, plain: float) -> float:
    """Enhancement over plain: CTA, CTP and CTE in the arterial, portal and equilibrium phase.

    Formula: HU_phase - HU_plain, means over the same tissue.
    Unit: [hnsf'U].
    Shapes: two means.
    Source: DICOM (442707000, SCT); the review's CTA, CTP and CTE.
    Known deviation: where breathing displaced the region, over the region narrowed by a voxel.
    """
    return phase - plain


def portal_minus_arterial(portal: float, arterial: float) -> float:
    """CTP-A, portal minus arterial attenuation.

    Formula: HU_portal - HU_arterial, means over the same tissue.
    Unit: [hnsf'U].
    Shapes: two means.
    Source: the review's wording (CTP - CTA); the paper's own formula was not found.
    Known deviation: as of enhancement.
    """
    return portal - arterial


def raw_ratio(lesion: float, aorta: float) -> float:
    """Corrected attenuation, form (a): the lesion over the aorta of the same phase.

    Formula: HU_lesion / HU_aorta.
    Unit: 1.
    Shapes: two means, the aorta at 30 HU or more.
    Source: quantities 1.2 (a), after Wang 2020 (doi 10.2147/CMAR.S230138), whose formula was not found.
    Known deviation: none from this node's own definition.
    """
    return lesion / aorta


def enhancement_ratio(lesion: float, lesion_plain: float, aorta: float, aorta_plain: float) -> float:
    """Corrected attenuation, form (b): enhancement of the lesion over that of the aorta.

    Formula: (HU_lesion - HU_lesion,plain) / (HU_aorta - HU_aorta,plain).
    Unit: 1.
    Shapes: four means, the aorta enhanced by 30 HU or more.
    Source: quantities 1.2 (b).
    Known deviation: none from this node's own definition.
    """
    return (lesion - lesion_plain) / (aorta - aorta_plain)


def across_scans(lesion: float, portal_vein: float, reference: float) -> float:
    """Attenuation as it would be in a scan whose main portal vein has the reference attenuation.

    Formula: HU_lesion - (-3.5 + 0.4 (HU_vein - HU_reference)).
    Unit: [hnsf'U].
    Shapes: three means, all of the portal phase.
    Source: Seo 2025 (211 patients, r 0.86, residual 1.6 +- 8.7 HU), printed coefficients.
    Known deviation: none.
    """
    return lesion - (-3.5 + 0.4 * (portal_vein - reference))


MEASURES: tuple[Callable[..., float], ...] = (
    enhancement,
    portal_minus_arterial,
    raw_ratio,
    enhancement_ratio,
    across_scans,
)
"""Every quantity of this method."""


def pattern(arterial: float, portal: float, equilibrium: float) -> Code:
    """The enhancement pattern, this node's own operational definition (the papers print none).

    Wash-out: equilibrium below portal by more than 5 HU. Else persistent or progressive: arterial below portal. Else
    the peak lies in the arterial phase and is kept.
    """
    if equilibrium < portal - TOLERANCE_HU:
        return Pattern.WASH_OUT
    return Pattern.PERSISTENT if arterial < portal else Pattern.EARLY_PEAK


def measure(
    roi: str, phases: Mapping[Role, PhaseMeans], *, narrowed: bool, reference_vein_hu: float | None = None
) -> tuple[Quantity | NotMeasured | Evaluation, ...]:
    """Everything that phases tell together of the region ``roi``. What lacks its phase is not asked for.

    ``narrowed``: whether the means are over a moved and narrowed region. ``reference_vein_hu``: also the attenuation
    corrected to that of a portal vein. A ratio whose aorta is too dark is a NotMeasured with WeakReference.
    """
    found: list[Quantity | NotMeasured | Evaluation] = []
    plain = phases.get(Role.PLAIN)
    for role, means in phases.items():
        if plain is not None and role is not Role.PLAIN:
            found.append(_over_plain(roi, role, means, plain, narrowed=narrowed))
        found += _references(roi, role, means)
        found += _to_aorta(roi, role, means, plain)
    arterial, portal, late = (phases.get(role) for role in (Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM))
    if arterial and portal:
        found.append(_over_arterial(roi, portal, arterial, narrowed=narrowed))
    if arterial and portal and late:
        seen = pattern(arterial.lesion, portal.lesion, late.lesion)
        uids = (portal.series_uid, arterial.series_uid, late.series_uid)
        found.append(Evaluation(roi, Pattern.CONCEPT, seen, uids))
    if portal and portal.portal_vein is not None and reference_vein_hu is not None:
        value = across_scans(portal.lesion, portal.portal_vein, reference_vein_hu)
        found.append(_quantity(roi, Role.PORTAL, Concept.ATTENUATION, value, Method.ACROSS_SCANS, portal.series_uid))
    return tuple(found)


def _over_plain(roi: str, role: Role, means: PhaseMeans, plain: PhaseMeans, *, narrowed: bool) -> Quantity:
    value = enhancement(means.lesion, plain.lesion)
    method = Method.MINUS_PLAIN_NARROWED if narrowed else Method.MINUS_PLAIN
    return _quantity(roi, role, Concept.ATTENUATION_DIFFERENCE, value, method, means.series_uid, plain.series_uid)


def _over_arterial(roi: str, portal: PhaseMeans, arterial: PhaseMeans, *, narrowed: bool) -> Quantity:
    value = portal_minus_arterial(portal.lesion, arterial.lesion)
    method = Method.NARROWED if narrowed else Method.SAME_REGION
    uids = (portal.series_uid, arterial.series_uid)
    return _quantity(roi, Role.PORTAL, Concept.PORTAL_MINUS_ARTERIAL, value, method, *uids)


def _quantity(roi: str, role: Role, code: Code, hu: float, method: Code, *series_uids: str) -> Quantity:
    return Quantity(roi, role, code, hu, Unit.HU, method=method, series_uids=series_uids)


def _references(roi: str, role: Role, means: PhaseMeans) -> list[Quantity]:
    """The reference vessels' own attenuation, so that a reader can judge them."""
    told = (
        (Concept.AORTA_ATTENUATION, means.aorta, means.aorta_given),
        (Concept.PORTAL_VEIN_ATTENUATION, means.portal_vein, means.portal_vein_given),
    )
    return [
        _quantity(roi, role, code, hu, Method.GIVEN_VESSEL if given else Method.FOUND_VESSEL, means.series_uid)
        for code, hu, given in told
        if hu is not None
    ]


def _to_aorta(roi: str, role: Role, means: PhaseMeans, plain: PhaseMeans | None) -> list[Quantity | NotMeasured]:
    """Both forms of the corrected attenuation. A plain scan's raw ratio is defined too, and no paper's."""
    if means.aorta is None or role is Role.PLAIN:
        return []
    uids: tuple[str, ...] = (means.series_uid,)
    found = [_ratio(roi, role, Concept.TO_AORTA_RAW, uids, means.aorta, lambda aorta: raw_ratio(means.lesion, aorta))]
    if plain is not None and plain.aorta is not None:
        before = plain.aorta

        def of_enhancement(rise: float) -> float:
            return enhancement_ratio(means.lesion, plain.lesion, before + rise, before)

        uids = (means.series_uid, plain.series_uid)
        found.append(_ratio(roi, role, Concept.TO_AORTA_ENHANCEMENT, uids, means.aorta - before, of_enhancement))
    return found


def _ratio(
    roi: str, role: Role, code: Code, uids: tuple[str, ...], divisor: float, of: Callable[[float], float]
) -> Quantity | NotMeasured:
    if divisor < LEAST_AORTA_HU:
        refused: Refused = WeakReference(f"{divisor:.0f} HU, {LEAST_AORTA_HU:.0f} needed")
        return NotMeasured(roi, role, refused, code, uids)
    return Quantity(roi, role, code, of(divisor), Unit.ONE, series_uids=uids)
