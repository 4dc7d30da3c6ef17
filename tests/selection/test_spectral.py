"""Dual-energy series are told from classic ones, and from each other, by their headers."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from her2node.errors import InvalidAttribute, MissingAttribute, RoleAmbiguous, RoleMissing
from her2node.selection import assign, select
from her2node.selection.roles import Role
from her2node.selection.spectral import energy_of
from her2node.selection.study import Study, group
from tests.selection import headers


def role_of(description: str = "", kinds: tuple[str, ...] = (), **attributes: Any) -> tuple[Role | None, bool]:
    if kinds:
        attributes["ImageType"] = ["ORIGINAL", "PRIMARY", "AXIAL", *kinds]
    found = assign(headers.series(description, **attributes), (), {})
    return found.role, found.ignored


def characteristics(kev: float) -> list[Dataset]:
    item = Dataset()
    item.MonoenergeticEnergyEquivalent = kev
    return [item]


@pytest.mark.parametrize(
    ("description", "kinds", "attributes"),
    [
        ("Iodine map portal", ("MAT_SPECIFIC",), {"RescaleType": "MGML"}),
        ("Iodine(Water) 100ug/cm3", (), {}),
        ("Iodine_no_Water", (), {}),
        ("Iodine Density[mg/ml]", (), {}),
        ("门脉期 碘图", (), {}),
        ("碘密度图", (), {"RescaleType": "10^-2 MGML"}),
        ("", ("IODINE",), {}),
        ("", ("MD_IODINE",), {"RescaleType": "100ug/cm3"}),
    ],
)
def test_iodine_maps_of_all_makers_are_known(description: str, kinds: tuple[str, ...], attributes: dict) -> None:
    assert role_of(description, kinds, **attributes) == (Role.IODINE, False)


@pytest.mark.parametrize(
    ("description", "kinds"),
    [
        ("Abdomen portal 70 keV", ()),
        ("MonoE 40keV", ()),
        ("Mono-energetic Plus 55 keV", ()),
        ("单能量 60keV 门脉期", ()),
        ("", ("VMI",)),
        ("Monochromatic", ()),
    ],
)
def test_mono_energetic_images_are_known(description: str, kinds: tuple[str, ...]) -> None:
    assert role_of(description, kinds) == (Role.MONOENERGETIC, False)


@pytest.mark.parametrize(
    ("description", "kinds", "attributes"),
    [
        ("Z Effective", (), {"RescaleType": "Z_EFF"}), ("Zeff portal", (), {}), ("有效原子序数", (), {}),
        ("", ("EFF_ATOMIC_NUM",), {}),
    ],
)  # fmt: skip
def test_maps_of_the_atomic_number_are_known(description: str, kinds: tuple[str, ...], attributes: dict) -> None:
    assert role_of(description, kinds, **attributes) == (Role.EFFECTIVE_Z, False)


@pytest.mark.parametrize(
    ("description", "kinds", "attributes"),
    [
        ("Abdomen VNC", (), {}), ("Virtual Non Contrast", (), {}), ("VUE portal", (), {}), ("虚拟平扫", (), {}),
        ("Portal", ("MAT_REMOVED",), {}), ("Portal", ("MAT_MODIFIED",), {}), ("Portal", ("ELECTRON_DENSITY",), {}),
        ("Water(Iodine)", (), {}), ("Calcium map", ("MAT_SPECIFIC",), {"RescaleType": "MGML"}),
        ("Uric acid", (), {"RescaleType": "MGML"}), ("Fat fraction", (), {"RescaleType": "PCT"}),
    ],
)  # fmt: skip
def test_what_is_no_plain_scan_and_no_iodine_is_kept_out(
    description: str, kinds: tuple[str, ...], attributes: dict
) -> None:
    assert role_of(description, kinds, **attributes) == (None, True)


def test_witnesses_that_name_different_images_are_believed_neither() -> None:
    found = assign(headers.series("Iodine map", ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "VMI"]), (), {})
    assert (found.role, found.ignored) == (None, True)
    assert "the tags name different dual-energy images" in found.evidence


@pytest.mark.parametrize(
    ("description", "attributes", "role"),
    [
        ("Abdomen Portal venous phase", {"RescaleType": "HU"}, Role.PORTAL),
        ("Abdomen Portal", {"MultienergyCTAcquisition": "YES", "RescaleType": "HU"}, Role.PORTAL),
        (
            "DE_Abdomen_Arterial M_0.5",
            {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 SPI DUAL"]},
            Role.ARTERIAL,
        ),
        ("Arterial iodine contrast 90 ml", {}, Role.ARTERIAL),
        ("Monitoring", {}, None),
        ("Abdomen mono", {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "MONOCHROME"]}, None),
        ("Abdomen native", {}, Role.PLAIN),
        ("non-contrast", {}, Role.PLAIN),
        ("VNCX", {}, None),
    ],
)
def test_classic_phases_stay_as_they_are(description: str, attributes: dict, role: Role | None) -> None:
    assert role_of(description, **attributes)[0] is role


def test_a_dual_energy_series_keeps_its_phase_and_stands_for_no_classic_one() -> None:
    instances = [
        headers.instance("1.2.3.4", SeriesDescription="Portal venous 70 keV"),
        headers.instance("1.2.3.5", SeriesDescription="Portal venous iodine map", RescaleType="MGML"),
        headers.instance("1.2.3.6", SeriesDescription="Portal venous"),
    ]
    selection = select(headers.study(*instances), (), {})
    assert dict(selection.chosen) == {Role.PORTAL: "1.2.3.6", Role.IODINE: "1.2.3.5"}
    assert [selection.of(f"1.2.3.{n}").phase for n in (4, 5, 6)] == [Role.PORTAL, Role.PORTAL, None]
    assert selection.of("1.2.3.5").evidence[-1] == "phase: portal"


def test_the_role_of_a_dual_energy_series_can_be_entered() -> None:
    found = assign(headers.series("whatever"), (), {"1.2.3.4": Role.IODINE})
    assert found.role is Role.IODINE


def test_the_energy_is_that_of_the_tag_or_of_the_description() -> None:
    assert energy_of(headers.series("VMI", MultienergyCTCharacteristicsSequence=characteristics(67.5))) == 67.5
    assert energy_of(headers.series("Abdomen 70keV")) == 70
    assert energy_of(headers.series("Abdomen 70 keV", MultienergyCTCharacteristicsSequence=characteristics(70))) == 70


def test_an_energy_that_is_not_told_or_told_twice_is_refused() -> None:
    with pytest.raises(MissingAttribute, match="MonoenergeticEnergyEquivalent"):
        energy_of(headers.series("VMI"))
    with pytest.raises(InvalidAttribute, match="40 keV"):
        energy_of(headers.series("Abdomen 40 keV", MultienergyCTCharacteristicsSequence=characteristics(70)))


def maps(*phases: str) -> Study:
    """One iodine map a phase."""
    described = enumerate(phases, start=1)
    return group([headers.instance(f"1.2.{n}", SeriesDescription=f"Iodine map {phase}") for n, phase in described])


def test_a_map_of_iodine_is_asked_for_by_its_phase() -> None:
    selection = select(maps("arterial", "portal"), (), {})
    assert selection.series_uid_of(Role.IODINE, Role.PORTAL) == "1.2.2"
    with pytest.raises(RoleAmbiguous, match="iodine of several phases"):
        selection.series_uid_of(Role.IODINE)
    assert select(maps("portal"), (), {}).series_uid_of(Role.IODINE) == "1.2.1"


def test_a_map_of_another_phase_is_missing_by_name() -> None:
    with pytest.raises(RoleMissing, match=r"iodine in the portal phase \(phases: arterial, not told\)"):
        select(maps("arterial", ""), (), {}).series_uid_of(Role.IODINE, Role.PORTAL)
    with pytest.raises(RoleMissing, match="no series plays the role iodine"):
        select(group([headers.instance("1.2")]), (), {}).series_uid_of(Role.IODINE, Role.PORTAL)
