from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    MRImageStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from her2node.selection import SiteRule, assign
from her2node.selection.roles import Role
from her2node.selection.study import open_study
from tests.selection.headers import series

AGENT = {"ContrastBolusAgent": "Iohexol 350"}


@pytest.mark.parametrize(
    ("description", "role"),
    [
        ("Abdomen plain", Role.PLAIN),
        ("Abdomen without contrast 5.0", Role.PLAIN),
        ("ABD W/O 3mm", Role.PLAIN),
        ("Abdomen nativ", Role.PLAIN),
        ("Abd C-", Role.PLAIN),
        ("non-contrast enhanced", Role.PLAIN),
        ("上腹部平扫 5.0", Role.PLAIN),
        ("Abdomen arterial 1.0 B30f", Role.ARTERIAL),
        ("ART_1.0_Br40", Role.ARTERIAL),
        ("late arterial phase", Role.ARTERIAL),
        ("arterielle Phase", Role.ARTERIAL),
        ("动脉期 1.5mm", Role.ARTERIAL),
        ("增强art期", Role.ARTERIAL),
        ("portal venous", Role.PORTAL),
        ("Abdomen PV 3.0", Role.PORTAL),
        ("venöse Phase", Role.PORTAL),
        ("portalvenös 2.0", Role.PORTAL),
        ("门脉期", Role.PORTAL),
        ("静脉期", Role.PORTAL),
        ("門靜脈期", Role.PORTAL),
        ("Abdomen delayed 3min", Role.EQUILIBRIUM),
        ("Equilibrium phase", Role.EQUILIBRIUM),
        ("Spätphase", Role.EQUILIBRIUM),
        ("平衡期", Role.EQUILIBRIUM),
        ("延迟期", Role.EQUILIBRIUM),
    ],
)
def test_the_series_description_names_the_phase_in_three_languages(description: str, role: Role) -> None:
    found = assign(series(description), (), {})
    assert found.role is role
    assert description in found.evidence[0]


@pytest.mark.parametrize(
    "description", ["", "Abdomen 5.0", "start of scan", "C-Spine 2.0", "Partition", "CT CAP", "Seven"]
)
def test_a_description_that_names_no_phase_gives_no_role(description: str) -> None:
    assert assign(series(description), (), {}).role is None


def test_absence_of_a_contrast_tag_is_no_evidence_of_a_plain_scan() -> None:
    found = assign(series("Abdomen", ContrastBolusAgent=""), (), {})
    assert (found.role, found.ignored) == (None, False)


@pytest.mark.parametrize("agent", ["NONE", "no", "Without contrast", "无"])
def test_an_agent_that_says_none_is_evidence_of_a_plain_scan(agent: str) -> None:
    assert assign(series("Abdomen", ContrastBolusAgent=agent), (), {}).role is Role.PLAIN


def test_contrast_without_a_phase_is_contrast_unspecified() -> None:
    found = assign(series("CT CH/AB/PEL", **AGENT), (), {})
    assert found.role is Role.CONTRAST_UNSPECIFIED
    assert found.evidence[-1] == "contrast was given, but nothing tells the phase"


def test_contrast_by_mouth_alone_is_no_contrast_phase() -> None:
    assert assign(series("Abdomen", ContrastBolusRoute="ORAL", **AGENT), (), {}).role is None


@pytest.mark.parametrize(
    ("delay", "role"),
    [
        (25, Role.ARTERIAL),
        (40, Role.ARTERIAL),
        (60, Role.PORTAL),
        (80, Role.PORTAL),
        (120, Role.EQUILIBRIUM),
        (180, Role.EQUILIBRIUM),
    ],
)
def test_the_time_since_the_bolus_names_the_phase(delay: int, role: Role) -> None:
    timed = {"ContrastBolusStartTime": "100000", "AcquisitionTime": f"10{delay // 60:02d}{delay % 60:02d}.5"[:6]}
    assert assign(series("Abdomen", **AGENT, **timed), (), {}).role is role


@pytest.mark.parametrize("delay", [50, 100, 300])
def test_between_the_windows_the_time_is_silent(delay: int) -> None:
    timed = {"ContrastBolusStartTime": "100000", "AcquisitionTime": f"10{delay // 60:02d}{delay % 60:02d}"}
    assert assign(series("Abdomen", **AGENT, **timed), (), {}).role is Role.CONTRAST_UNSPECIFIED
    assert assign(series("Abdomen portal", **AGENT, **timed), (), {}).role is Role.PORTAL


def test_a_scan_before_the_bolus_is_plain_though_the_examination_had_contrast() -> None:
    timed = {"ContrastBolusStartTime": "100000", "AcquisitionTime": "095500"}
    assert assign(series("Abdomen", **AGENT, **timed), (), {}).role is Role.PLAIN


def test_a_bolus_before_midnight_and_a_scan_after_it_are_seconds_apart() -> None:
    timed = {"ContrastBolusStartTime": "235930", "AcquisitionTime": "000040"}
    assert assign(series("Abdomen", **AGENT, **timed), (), {}).role is Role.PORTAL


def test_witnesses_that_disagree_leave_the_phase_open_and_are_all_named() -> None:
    timed = {"ContrastBolusStartTime": "100000", "AcquisitionTime": "100030"}
    found = assign(series("Abdomen portal", **AGENT, **timed), (), {})
    assert found.role is Role.CONTRAST_UNSPECIFIED
    assert found.evidence == (
        "SeriesDescription 'Abdomen portal'",
        "ContrastBolusAgent 'Iohexol 350'",
        "acquired 30 s after the start of the bolus",
        "the tags name several phases: arterial, portal",
    )


def test_a_plain_description_with_a_contrast_agent_is_not_believed() -> None:
    found = assign(series("Abdomen plain", **AGENT), (), {})
    assert found.role is Role.CONTRAST_UNSPECIFIED
    assert "speak of contrast" in found.evidence[-1]


def test_a_phase_with_an_agent_that_says_none_is_not_believed() -> None:
    assert assign(series("portal", ContrastBolusAgent="none"), (), {}).role is Role.CONTRAST_UNSPECIFIED


@pytest.mark.parametrize("description", ["arterial portal", "动静脉期", "delayed venous"])
def test_a_description_of_two_phases_leaves_the_phase_open(description: str) -> None:
    assert assign(series(description, **AGENT), (), {}).role is Role.CONTRAST_UNSPECIFIED


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]},
        {"ImageType": ["DERIVED", "PRIMARY", "REFORMATTED"]},
        {"sop_class_uid": SecondaryCaptureImageStorage},
        {"Modality": "SR", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.67"},
    ],
)
def test_localizers_derived_images_and_reports_are_kept_out(attributes: dict[str, Any]) -> None:
    found = assign(series("portal", **attributes), (), {})
    assert (found.role, found.ignored) == (None, True)
    assert found.evidence


@pytest.mark.parametrize(
    "description", ["Scout", "Topogram 0.6", "Dose Report", "Arterial MIP", "定位像", "Bolus tracking"]
)
def test_a_description_of_something_that_is_no_scan_keeps_a_series_out(description: str) -> None:
    assert assign(series(description), (), {}).ignored


def test_an_image_that_a_dual_source_scanner_mixed_is_a_scan() -> None:
    assert assign(series("portal", ImageType=["DERIVED", "PRIMARY", "AXIAL", "DUAL"]), (), {}).role is Role.PORTAL


@pytest.mark.parametrize("sop_class_uid", [SegmentationStorage, RTStructureSetStorage])
def test_segmentations_and_structure_sets_are_regions(sop_class_uid: str) -> None:
    assert assign(series("", sop_class_uid=sop_class_uid), (), {}).role is Role.ROI


def test_a_site_rule_goes_before_the_witnesses() -> None:
    rule = SiteRule.of("arterial", {"SeriesDescription": "^ABD P", "KVP": "120"})
    found = assign(series("Abd Portal", KVP="120"), (rule,), {})
    assert found.role is Role.ARTERIAL
    assert found.evidence == ("site rule SeriesDescription ~ /^ABD P/ and KVP ~ /120/ -> arterial",)


def test_every_pattern_of_a_site_rule_must_be_found() -> None:
    rule = SiteRule.of("arterial", {"SeriesDescription": "Portal", "KVP": "100"})
    assert assign(series("Portal", KVP="120"), (rule,), {}).role is Role.PORTAL


def test_a_site_rule_may_keep_a_series_out_and_the_first_that_matches_decides() -> None:
    rules = (SiteRule.of("ignore", {"SeriesDescription": "thick"}), SiteRule.of("portal", {"SeriesDescription": "."}))
    assert assign(series("thick portal"), rules, {}).ignored
    assert assign(series("whatever"), rules, {}).role is Role.PORTAL


def test_a_site_rule_may_name_a_derived_series_but_never_a_localizer() -> None:
    rule = SiteRule.of("portal", {"SeriesDescription": "ABD"})
    assert assign(series("ABD", ImageType=["DERIVED", "SECONDARY", "MPR"]), (rule,), {}).role is Role.PORTAL
    assert assign(series("ABD", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), (rule,), {}).ignored


def test_a_site_rule_without_patterns_is_refused() -> None:
    with pytest.raises(ValueError, match="every series"):
        SiteRule.of("portal", {})


def test_what_was_entered_goes_before_everything() -> None:
    rule = SiteRule.of("arterial", {"SeriesDescription": "."})
    assert assign(series("plain", uid="1.2"), (rule,), {"1.2": Role.PORTAL}).role is Role.PORTAL
    assert assign(series("plain", uid="1.2"), (rule,), {"1.2": None}).ignored


@pytest.mark.parametrize(
    ("term", "role"),
    [
        ("PRE_CONTRAST", Role.PLAIN),
        ("ARTERIAL", Role.ARTERIAL),
        ("PORTAL_VENOUS", Role.PORTAL),
        ("VENOUS", Role.PORTAL),
        ("DELAYED", Role.EQUILIBRIUM),
        ("POST_CONTRAST", Role.CONTRAST_UNSPECIFIED),
        ("DYNAMIC", Role.CONTRAST_UNSPECIFIED),
    ],
)
def test_the_phase_of_the_agent_names_the_phase(term: str, role: Role) -> None:
    usage, group = Dataset(), Dataset()
    usage.ContrastBolusAgentAdministered, usage.ContrastBolusAgentPhase = "YES", term
    group.ContrastBolusUsageSequence = [usage]
    said = {"sop_class_uid": EnhancedCTImageStorage, "SharedFunctionalGroupsSequence": [group]}
    found = assign(series("Abdomen", **said), (), {})
    assert found.role is role
    assert f"ContrastBolusAgentPhase {term}" in found.evidence


def test_an_enhanced_object_testifies_from_its_functional_groups() -> None:
    usage, frame, group, agent, profile = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
    usage.ContrastBolusAgentAdministered = "YES"
    frame.FrameAcquisitionDateTime = "20240101100110.5"
    group.ContrastBolusUsageSequence = [usage]
    group.FrameContentSequence = [frame]
    profile.ContrastBolusStartTime = "100000"
    agent.CodeMeaning = "Iohexol"
    agent.ContrastAdministrationProfileSequence = [profile]
    enhanced = {
        "sop_class_uid": EnhancedCTImageStorage,
        "ContrastBolusAgentSequence": [agent],
        "PerFrameFunctionalGroupsSequence": [group],
    }
    found = assign(series("Abdomen", **enhanced), (), {})
    assert found.role is Role.PORTAL
    usage.ContrastBolusAgentPhase = "DELAYED"
    assert "the tags name several phases: equilibrium, portal" in assign(series("Abdomen", **enhanced), (), {}).evidence
    del usage.ContrastBolusAgentPhase
    usage.ContrastBolusAgentAdministered = "NO"
    profile.ContrastBolusStartTime = None
    assert assign(series("Abdomen", **enhanced), (), {}).role is Role.PLAIN


@pytest.mark.truth
def test_real_series_get_the_role_that_their_tags_allow(shared: Path) -> None:
    arterial = open_study(sorted((shared / "data/ct-abdomen-arterial-kits00072").glob("*.dcm")))
    assert assign(arterial.series[0], (), {}).role is Role.ARTERIAL
    portal = open_study(sorted((shared / "data/ct-abdomen-portal-crlm1004").glob("*.dcm")))
    assert assign(portal.series[0], (), {}).role is Role.CONTRAST_UNSPECIFIED
    rule = SiteRule.of("portal", {"SeriesDescription": "^CT CH/AB/PEL$"})
    assert assign(portal.series[0], (rule,), {}).role is Role.PORTAL


@pytest.mark.parametrize("kinds", [["DERIVED", "SECONDARY", "MPR"], ["DERIVED", "SECONDARY", "MIP"]])
def test_a_reformat_of_an_iodine_map_is_kept_out(kinds: list[str]) -> None:
    found = assign(series("Iodine map", ImageType=kinds, RescaleType="MGML"), (), {})
    assert found.ignored
    assert found.role is None


def test_a_rule_for_a_phase_does_not_reach_magnetic_resonance() -> None:
    rule = SiteRule.of("portal", {"SeriesDescription": "portal"})
    found = assign(series("t1 vibe portal", sop_class_uid=MRImageStorage, Modality="MR"), (rule,), {})
    assert found.role is not Role.PORTAL
