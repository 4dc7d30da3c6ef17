"""Diffusion-weighted MR: which series are one examination, its fits, and the ADC maps of scanners beside it.

A series of several b-values is an examination of its own. Series of one b-value each are one examination where they lie
on one grid in one frame of reference and have one echo time; where a b-value comes again, as after motion, the next
begins (``mr.parted``). Of several examinations that with the most b-values comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from her2node.dicom.diffusion import same_shell
from her2node.errors import BValuesMissing, MixedOrientations, Refused
from her2node.quantities import diffusion, morphology
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.reading.laid import elsewhere, near, on_each
from her2node.reading.reading import Found, Measured, Scene, joined, sorted_out, unread
from her2node.rois import GivenRoi
from her2node.rois.roi import Roi
from her2node.selection.mr import b_values_of_map, parted
from her2node.selection.roles import Role
from her2node.selection.study import Series
from her2node.volumes.diffusion import build, echo_time_of, shells_of
from her2node.volumes.mr import build_adc
from her2node.volumes.volume import Geometry, same_grid


@dataclass(frozen=True)
class _Member:
    """A series as far as its headers tell whether it belongs to an examination."""

    series: Series
    b_values: tuple[float, ...]
    geometry: Geometry
    echo_time_ms: float | None

    def belongs_with(self, other: _Member) -> bool:
        if self.echo_time_ms != other.echo_time_ms or not same_grid(self.geometry, other.geometry):
            return False
        return len(self.b_values) == len(other.b_values) == 1 and bool(self.geometry.frame_of_reference_uid)


def read_diffusion(scene: Scene) -> Found:
    """Every region on every examination, then on every ADC map of a scanner; and the maps of the fits."""
    members: list[_Member] = []
    refused: list[Found] = []
    for series in scene.players(Role.DIFFUSION):
        try:
            members.append(_member(series))
        except Refused as error:
            refused.append(unread(Role.DIFFUSION, error, (series.series_instance_uid,)))
    examinations = _examinations(members)
    parts = [_examination(found, examinations, scene) for found in examinations]
    parts += [_vendor_map(series, scene) for series in scene.players(Role.ADC_MAP)]
    return joined([*parts, *refused])


def _member(series: Series) -> _Member:
    shells = shells_of((series,))
    b_values = tuple(shell.b for shell in shells)
    return _Member(series, b_values, shells[0].first.geometry, echo_time_of(series))


def _examinations(members: Sequence[_Member]) -> list[list[_Member]]:
    alike: list[list[_Member]] = []
    for member in members:
        mine = next((others for others in alike if member.belongs_with(others[0])), None)
        if mine is None:
            alike.append([member])
        else:
            mine.append(member)
    of_series = {member.series.series_instance_uid: member for member in members}
    found = [
        [of_series[series.series_instance_uid] for series in part]
        for others in alike
        for part in parted([member.series for member in others])
    ]
    return sorted(found, key=lambda group: -len(_b_values(group)))


def _b_values(group: Sequence[_Member]) -> set[float]:
    return {b for member in group for b in member.b_values}


def _examination(members: Sequence[_Member], all_of_them: list[list[_Member]], scene: Scene) -> Found:
    uids = tuple(member.series.series_instance_uid for member in members)
    if len(_b_values(members)) < 2:
        if _is_told_elsewhere(members[0], all_of_them):
            return Found()
        return unread(Role.DIFFUSION, _why_alone(members, all_of_them), uids)
    try:
        series = build([member.series for member in members])
    except Refused as error:
        return unread(Role.DIFFUSION, error, uids)
    fit = diffusion.fitted(series, scene.methods.diffusion)
    volume = series.volume(-1)  # lesions stand out where diffusion weights most

    def of_region(_: GivenRoi, roi: Roi) -> tuple[Quantity | NotMeasured, ...]:
        told = diffusion.measure(fit, roi, Role.DIFFUSION, scene.methods.percents)
        return *told, *morphology.measure(volume, roi, Role.DIFFUSION)

    measured = Measured(
        volume.series_instance_uid, Role.DIFFUSION, volume.geometry, volume.unit, volume.sources
    )  # fmt: skip
    maps = diffusion.maps(fit, Role.DIFFUSION) if scene.maps else ()
    found = on_each(scene.regions, volume, Role.DIFFUSION, fit.series_uids, of_region)
    return replace(found, measured=(measured,), maps=maps)


def _is_told_elsewhere(member: _Member, all_of_them: list[list[_Member]]) -> bool:
    """Whether a series of one b-value, as the trace images of a scanner, shows what a series of several on its grid
    shows already: then there is nothing to refuse."""
    (b,) = member.b_values
    return any(
        len(group[0].b_values) > 1
        and group[0].echo_time_ms == member.echo_time_ms
        and same_grid(group[0].geometry, member.geometry)
        and any(same_shell(b, other) for other in _b_values(group))
        for group in all_of_them
    )


def _why_alone(members: Sequence[_Member], all_of_them: list[list[_Member]]) -> Refused:
    """Why there is one b-value: no other was acquired, or what was acquired lies elsewhere."""
    (b,) = _b_values(members)
    for group in all_of_them:
        for other in group if group is not members and members[0].belongs_with(group[0]) else ():
            if same_shell(b, other.b_values[0]):
                return BValuesMissing(
                    f"b {b:g} of series {members[0].series.number} repeats that of series {other.series.number}, and "
                    "no other b-value goes with it; repetitions in several series are not averaged, for patients move"
                )
    others = [
        member for group in all_of_them for member in group if member not in members and len(member.b_values) == 1
    ]
    if not others:
        return BValuesMissing(f"diffusion takes two b-values; b {b:g} s/mm2 alone was acquired")
    named = ", ".join(f"b {other.b_values[0]:g} of series {other.series.number}" for other in others)
    return MixedOrientations(
        f"b {b:g} of series {members[0].series.number} is on another grid, in another frame of reference or of another "
        f"echo time than {named}, so they are no one examination"
    )


def _vendor_map(series: Series, scene: Scene) -> Found:
    uid, regions = series.series_instance_uid, scene.regions
    try:
        volume = build_adc(series)
    except Refused as error:
        return unread(Role.ADC_MAP, error, (uid,))
    here = near(regions, volume.geometry)
    others = (elsewhere(region, Role.ADC_MAP, uid, volume.geometry) for region in regions if region not in here)
    measured = Measured(uid, Role.ADC_MAP, volume.geometry, volume.unit, volume.sources)
    b_values = b_values_of_map(series, scene.study)

    def of_region(_: GivenRoi, roi: Roi) -> tuple[Quantity | NotMeasured, ...]:
        return diffusion.measure_vendor_map(volume, roi, Role.ADC_MAP, b_values, scene.methods.percents)

    return joined([sorted_out(others, (measured,)), on_each(here, volume, Role.ADC_MAP, (uid,), of_region)])
