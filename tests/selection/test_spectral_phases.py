"""The contrast phase of dual-energy series, by what is told of their acquisition."""

from __future__ import annotations

from typing import Any

import pytest

from her2node.selection import select, witnesses
from her2node.selection.assignment import Assignment
from her2node.selection.content import Judgement
from her2node.selection.roles import Role
from tests.selection.headers import instance, study

SCAN = {"FrameOfReferenceUID": "1.9", "AcquisitionDate": "20240314", "AcquisitionTime": "100000"}
IODINE = {"SeriesDescription": "Iodine map", "RescaleType": "MGML", **SCAN}
SEVENTY = {"SeriesDescription": "70 keV", **SCAN}


def saying(role: Role) -> Judgement:
    return Judgement(witnesses.Testimony(frozenset({role}), True, f"images: {role}"), {role: 0.95})


def found(images: dict[str, Judgement] | None = None, **series: dict[str, Any]) -> dict[str, Assignment]:
    """Assignments by name; a series' UID is 1.2.3. and its place."""
    uids = {name: f"1.2.3.{place}" for place, name in enumerate(series, start=1)}
    whole = study(*(instance(uids[name], **attributes) for name, attributes in series.items()))
    heard = {uids[name]: judgement for name, judgement in (images or {}).items()}
    selection = select(whole, (), {}, heard)
    return {name: selection.of(uid) for name, uid in uids.items()}


def test_iodine_takes_the_phase_of_the_classic_images_of_its_acquisition() -> None:
    told = found(classic={"SeriesDescription": "Arterial", **SCAN}, iodine=IODINE)
    assert told["iodine"].phase is Role.ARTERIAL
    assert told["iodine"].evidence[-1] == "phase: arterial, as series 1.2.3.1 of the same acquisition"


def test_iodine_takes_the_phase_to_which_images_of_70_kev_testify() -> None:
    told = found({"mono": saying(Role.PORTAL)}, mono=SEVENTY, iodine=IODINE)
    assert (told["mono"].phase, told["iodine"].phase) == (Role.PORTAL, Role.PORTAL)
    assert told["mono"].role is Role.MONOENERGETIC
    assert "phase: portal, by the images alone" in told["mono"].evidence


def test_without_images_or_companions_the_phase_is_not_told() -> None:
    assert found(iodine=IODINE)["iodine"].phase is None
    silent = found({"mono": Judgement(witnesses.SILENT, {})}, mono=SEVENTY)
    assert silent["mono"].phase is None


@pytest.mark.parametrize(
    "other",
    [
        {"FrameOfReferenceUID": "1.8"},
        {"FrameOfReferenceUID": ""},
        {"AcquisitionTime": "100030"},
        {"AcquisitionTime": ""},
        {"AcquisitionDate": "20240315"},
    ],
)
def test_another_acquisition_tells_nothing(other: dict[str, str]) -> None:
    assert found(classic={"SeriesDescription": "Arterial", **SCAN, **other}, iodine=IODINE)["iodine"].phase is None


def test_headers_and_images_that_disagree_leave_the_phase_untold() -> None:
    named = {**SEVENTY, "SeriesDescription": "Portal venous 70 keV"}
    told = found({"mono": saying(Role.ARTERIAL)}, mono=named)
    assert (told["mono"].role, told["mono"].phase) == (Role.MONOENERGETIC, None)
    assert told["mono"].evidence[-1] == "the headers name the phase portal, but the images speak for arterial"
    assert found({"mono": saying(Role.PORTAL)}, mono=named)["mono"].phase is Role.PORTAL


def test_images_are_not_believed_against_tags_that_deny_contrast() -> None:
    denied = {**SEVENTY, "SeriesDescription": "unenhanced 70 keV"}
    assert found({"mono": saying(Role.ARTERIAL)}, mono=denied)["mono"].phase is None


def test_series_of_one_acquisition_that_disagree_leave_the_phase_untold() -> None:
    portal = {**IODINE, "SeriesDescription": "Portal iodine map"}
    told = found(classic={"SeriesDescription": "Arterial", **SCAN}, iodine=portal)
    assert told["iodine"].phase is None
    assert "series of the same acquisition are in the phase arterial" in told["iodine"].evidence[-1]
    assert told["classic"].role is Role.ARTERIAL


def test_a_phase_that_a_companion_lost_to_its_images_is_not_passed_on() -> None:
    named = {**SEVENTY, "SeriesDescription": "Portal venous 70 keV"}
    told = found({"mono": saying(Role.ARTERIAL)}, mono=named, iodine=IODINE)
    assert told["iodine"].phase is None


DELAYED = {"ContrastBolusAgent": "Iomeron", "ContrastBolusAgentPhase": "DELAYED"}


def test_images_do_not_speak_for_tags_that_contradict_each_other() -> None:
    named = {**SEVENTY, "SeriesDescription": "Portal venous 70 keV", **DELAYED}
    told = found({"mono": saying(Role.ARTERIAL)}, mono=named, iodine=IODINE)
    assert (told["mono"].phase, told["iodine"].phase) == (None, None)


def test_a_phase_that_images_have_taken_away_is_not_given_back_by_classic_images() -> None:
    named = {**SEVENTY, "SeriesDescription": "Portal venous 70 keV"}
    classic = {"SeriesDescription": "Portal venous", **SCAN}
    told = found({"mono": saying(Role.ARTERIAL)}, classic=classic, mono=named, iodine=IODINE)
    assert (told["mono"].phase, told["iodine"].phase) == (None, None)
    assert told["classic"].role is Role.PORTAL
    assert told["iodine"].evidence[-1] == (
        "phase: not told, for what is said of series 1.2.3.2 of the same acquisition disagrees"
    )
    own = {**IODINE, "SeriesDescription": "Portal iodine map"}
    assert found({"mono": saying(Role.ARTERIAL)}, mono=named, iodine=own)["iodine"].phase is None


@pytest.mark.parametrize(
    "own",
    [
        {"SeriesDescription": "unenhanced 70 keV"},
        {"SeriesDescription": "70 keV", "ContrastBolusAgent": "none"},
        {"SeriesDescription": "Portal venous 70 keV", **DELAYED},
        {"SeriesDescription": "Iodine map portal", "RescaleType": "MGML", **DELAYED},
    ],
)
def test_classic_images_give_no_phase_to_a_series_whose_tags_deny_contrast_or_disagree(own: dict[str, str]) -> None:
    told = found(classic={"SeriesDescription": "Arterial", **SCAN}, dual={**SCAN, **own})
    assert told["dual"].phase is None


def test_classic_images_give_no_phase_to_a_series_whose_images_show_no_contrast() -> None:
    plain = Judgement(witnesses.Testimony(frozenset({Role.PLAIN}), False, "images: no contrast"), {Role.PLAIN: 1.0})
    told = found({"mono": plain}, classic={"SeriesDescription": "Arterial", **SCAN}, mono=SEVENTY)
    assert told["mono"].phase is None


CLEARED = {**SCAN, "AcquisitionTime": "000000"}


def test_where_the_times_of_a_study_are_cleared_every_series_keeps_the_phase_that_it_names() -> None:
    told = found(
        arterial={"SeriesDescription": "Arterial", **CLEARED},
        portal={"SeriesDescription": "Portal venous", **CLEARED},
        early={**IODINE, "SeriesDescription": "Iodine map arterial", **CLEARED},
        late={**IODINE, "SeriesDescription": "Iodine map portal", **CLEARED},
        unnamed={**IODINE, **CLEARED},
    )
    assert [told[name].phase for name in ("early", "late", "unnamed")] == [Role.ARTERIAL, Role.PORTAL, None]


def test_a_plain_scan_at_the_time_of_another_phase_shows_that_times_are_cleared_too() -> None:
    told = found(
        plain={"SeriesDescription": "Plain", **CLEARED},
        portal={"SeriesDescription": "Portal venous", **CLEARED},
        iodine={**IODINE, "SeriesDescription": "Iodine map arterial", **CLEARED},
    )
    assert told["iodine"].phase is Role.ARTERIAL
