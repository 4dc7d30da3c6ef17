"""Whether estimates hold when the tumour is drawn a voxel otherwise.

Only series of roles that packages measured are measured again, and all other regions at once, so that every volume is
made and every fit done one more time, not once a region; the region as it was drawn goes first, for the others move
with its tissue. Nothing of it but the figures is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from her2node.dicom.uids import derived_uid
from her2node.errors import Refused
from her2node.models.package import Package
from her2node.models.predicting import Conditions, Findings, predict
from her2node.models.prediction import NotPredicted, Observation, Prediction, Stability
from her2node.reading.reading import Found, Scene, joined
from her2node.rois import GivenRoi
from her2node.rois.varied import VARIATIONS, Variation
from her2node.selection.choice import PHASES
from her2node.selection.roles import Role

Course = Callable[[Scene], Found]
Answered = Prediction | Observation | NotPredicted


def with_stability(
    answers: Sequence[tuple[Package, Answered]],
    tumour: GivenRoi,
    scene: Scene,
    courses: Sequence[Course],
    findings: Findings,
    conditions: Conditions,
) -> list[tuple[Package, Answered]]:
    """The same answers; predictions that rest on what was measured in ``tumour`` with their stability."""
    used = {uid for _, said in answers for uid in _series_of(said)}
    if not used:
        return list(answers)
    others = {variation: _drawn(tumour, variation) for variation in VARIATIONS}
    again = _narrowed(scene, (tumour, *others.values()), used | set(tumour.drawn_on))
    found = joined([course(again) for course in courses])
    seen = replace(findings, quantities=found.quantities, not_measured=found.not_measured, views=found.views)
    return [
        (package, replace(said, stability=_stability(package, said, others, seen, conditions)))
        if isinstance(said, Prediction) and _series_of(said)
        else (package, said)
        for package, said in answers
    ]


def _series_of(said: Answered) -> set[str]:
    """The series that a prediction rests on."""
    return set(said.series_uids) if isinstance(said, Prediction) else set()


def _drawn(region: GivenRoi, variation: Variation) -> GivenRoi:
    return replace(
        region,
        variation=variation,
        varied_from=region.tracking_uid,
        tracking_uid=derived_uid("variation", region.tracking_uid, variation.name),
        tracking_id=f"{region.tracking_id} {variation.name}",
    )


def _narrowed(scene: Scene, regions: tuple[GivenRoi, ...], used: set[str]) -> Scene:
    """The scene of these regions on the series that were used, on all that play a role with them (an examination may
    be several series), and on those that such roles rest on: regions follow the tissue from one contrast phase to the
    other, and flip angles give T1 to dynamic MR."""
    assignments = scene.selection.assignments
    roles = {a.role for a in assignments if a.series_instance_uid in used and a.role is not None}
    if roles.intersection(PHASES):
        roles.update(PHASES)
    if Role.DCE in roles:
        roles.add(Role.FLIP_ANGLES)
    kept = tuple(a for a in assignments if a.series_instance_uid in used or a.role in roles)
    selection = replace(scene.selection, assignments=kept)
    return replace(scene, selection=selection, regions=regions, maps=False)


def _stability(
    package: Package,
    said: Prediction,
    others: Mapping[Variation, GivenRoi],
    seen: Findings,
    conditions: Conditions,
) -> Stability:
    held, change, moved = 0, 0.0, []
    for variation, region in others.items():
        try:
            other = predict(package, replace(seen, tumour=region.tracking_id), conditions)
        except Refused as error:
            moved.append(f"{variation.name} ({error.reason})")
            continue
        assert isinstance(other, Prediction)
        pairs = list(zip(said.answers, other.answers, strict=True))
        change = max(change, *(abs(one.probability - two.probability) for one, two in pairs))
        if all(one.category is two.category for one, two in pairs):
            held += 1
        else:
            moved.append(variation.name)
    return Stability(len(others), held, change, tuple(moved))
