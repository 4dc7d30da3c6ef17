from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.selection import assign, witnesses
from her2node.selection.assignment import confirmed
from her2node.selection.content import Enhancement, Judgement, judge
from her2node.selection.roles import Role
from her2node.selection.witnesses import SILENT
from tests.selection.headers import series

PLAIN = Enhancement(aorta=41, ceiling=62, liver=57, spleen=48, kvp=120)
ARTERIAL = Enhancement(300, 90, 72, 112, 150, 65, None, 120)
PORTAL = Enhancement(155, 118, 112, 120, 190, 152, 170, 120)
EQUILIBRIUM = Enhancement(113, 114, 95, 96, 170, 167, 117, 120)
TEXTBOOK = {
    Role.PLAIN: PLAIN,
    Role.ARTERIAL: ARTERIAL,
    Role.PORTAL: PORTAL,
    Role.EQUILIBRIUM: EQUILIBRIUM,
}


@pytest.mark.parametrize("role", TEXTBOOK)
def test_the_figures_of_a_textbook_are_recognised_and_said(role: Role) -> None:
    found = judge(TEXTBOOK[role])
    assert found.testimony.phases == {role}
    assert f"aorta {TEXTBOOK[role].aorta:.0f} HU" in found.testimony.words


def test_nothing_seen_is_silence() -> None:
    assert judge(Enhancement()).testimony == SILENT


def test_a_bright_aorta_alone_is_not_enough() -> None:
    assert not judge(Enhancement(aorta=150, kvp=120)).testimony.phases


def test_a_weak_bolus_leaves_portal_and_equilibrium_untold() -> None:
    weak = Enhancement(aorta=85, ceiling=84, liver=80, spleen=77, kvp=120)
    assert judge(weak).testimony.phases == frozenset()
    assert judge(weak).testimony.contrast is True


def test_a_tube_voltage_that_nobody_tells_is_refused_where_it_matters() -> None:
    low = Enhancement(aorta=162, liver=120, spleen=128, kvp=80)
    assert judge(low).testimony.phases == {Role.EQUILIBRIUM}
    assert Role.PORTAL not in judge(replace(low, kvp=None)).testimony.phases


@given(st.floats(0.85, 1.15), st.sampled_from([Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM]))
def test_a_dose_of_contrast_turns_no_phase_into_another(dose: float, role: Role) -> None:
    seen = TEXTBOOK[role]
    bases = {"aorta": 40, "liver": 58, "spleen": 48, "cortex": 32, "medulla": 32, "portal_vein": 40}
    other = {k: b + dose * (v - b) for k, b in bases.items() if (v := getattr(seen, k)) is not None}
    assert judge(replace(seen, **other)).testimony.phases <= {role}


def heard(*roles: Role) -> Judgement:
    return Judgement(witnesses.Testimony(frozenset(roles), True, "images"), dict.fromkeys(roles, 1.0))


def test_a_phase_that_nobody_names_is_the_images_word() -> None:
    one = series("Abdomen", ContrastBolusAgent="Iohexol")
    assert confirmed(assign(one, (), {}), one, heard(Role.PORTAL)).role is Role.PORTAL


def test_images_against_the_contrast_tags_are_not_believed() -> None:
    one = series("Abdomen", ContrastBolusAgent="none")
    open_ = replace(assign(one, (), {}), role=None)
    assert confirmed(open_, one, heard(Role.PORTAL)).role is Role.CONTRAST_UNSPECIFIED


def test_headers_that_disagree_stay_refused_whatever_the_images_say() -> None:
    one = series("arterial portal venous")
    assert confirmed(assign(one, (), {}), one, heard(Role.PORTAL)).role is Role.CONTRAST_UNSPECIFIED


def test_one_header_alone_is_not_believed_where_the_images_cannot_tell() -> None:
    one = series("portal venous")
    assert confirmed(assign(one, (), {}), one, Judgement(SILENT, {})).role is Role.CONTRAST_UNSPECIFIED
    timed = series("portal venous", ContrastBolusStartTime="100000", AcquisitionTime="100110")
    assert confirmed(assign(timed, (), {}), timed, Judgement(SILENT, {})).role is Role.PORTAL


def test_what_a_reader_entered_stands_and_the_images_are_cited() -> None:
    one = series("Abdomen")
    found = confirmed(assign(one, (), {"1.2.3.4": Role.PLAIN}), one, heard(Role.PORTAL))
    assert (found.role, found.evidence) == (Role.PLAIN, ("entered by a reader", "images"))
