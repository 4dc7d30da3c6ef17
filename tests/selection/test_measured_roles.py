"""Roles other than the contrast phases: all their series are measured, one is chosen for packages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.errors import RoleAmbiguous, RoleMissing
from her2node.selection import select
from her2node.selection.roles import Role
from her2node.selection.study import Instance, Study, group
from tests.selection.headers import instance

MR, PT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.128"


def weighted(series_uid: str, *b_values: float, slices: int = 3, **attributes: Any) -> list[Instance]:
    said = {"FrameOfReferenceUID": "1.2.9", "EchoTime": 70, "SeriesDescription": "DWI"} | attributes
    return [
        instance(
            series_uid,
            n * slices + at + 1,
            MR,
            Modality="MR",
            DiffusionBValue=float(b),
            ImagePositionPatient=[0, 0, 5.0 * at],
            **said,
        )
        for n, b in enumerate(b_values)
        for at in range(slices)
    ]


def uptake(series_uid: str, images: int = 3, **attributes: Any) -> list[Instance]:
    said = {"Modality": "PT", "CorrectedImage": ["ATTN", "DECY"], "ImageType": ["ORIGINAL", "PRIMARY"]} | attributes
    return [instance(series_uid, n + 1, PT, **said) for n in range(images)]


def iodine(series_uid: str, description: str) -> Instance:
    return instance(series_uid, SeriesDescription=f"{description} iodine map", RescaleType="MGML")


def test_a_role_of_one_series_is_played_by_it() -> None:
    study = group([*weighted("1.2.1", 0, 800), *uptake("1.2.2"), iodine("1.2.3", "portal venous")])
    selection = select(study, (), {})
    assert selection.chosen == {Role.DIFFUSION: "1.2.1", Role.PET: "1.2.2", Role.IODINE: "1.2.3"}
    assert selection.series_uid_of(Role.IODINE, Role.PORTAL) == "1.2.3"


def test_the_examination_of_the_most_b_values_is_chosen() -> None:
    study = group([*weighted("1.2.1", 0, 800), *weighted("1.2.2", 0, 50, 400, 800), *weighted("1.2.3", 0, 1000)])
    assert select(study, (), {}).series_uid_of(Role.DIFFUSION) == "1.2.2"


def test_series_of_one_b_value_each_are_one_examination_and_the_first_stands_for_it() -> None:
    apart = [*weighted("1.2.1", 0), *weighted("1.2.2", 400), *weighted("1.2.3", 800)]
    assert select(group(apart), (), {}).series_uid_of(Role.DIFFUSION) == "1.2.1"
    other_echo = weighted("1.2.3", 800, EchoTime=90)
    with pytest.raises(RoleAmbiguous, match=r"1\.2\.1, 1\.2\.2"):
        select(group([*weighted("1.2.1", 0, EchoTime=80), *weighted("1.2.2", 400), *other_echo]), (), {}).series_uid_of(
            Role.DIFFUSION
        )


def test_of_two_pet_series_the_one_of_more_images_is_chosen_and_two_alike_are_ambiguous_for_packages_alone() -> None:
    assert select(group([*uptake("1.2.1", 3), *uptake("1.2.2", 5)]), (), {}).series_uid_of(Role.PET) == "1.2.2"
    alike = group([*uptake("1.2.1"), *uptake("1.2.2")])
    with pytest.raises(RoleAmbiguous, match=r"1\.2\.1, 1\.2\.2 are alike for pet") as caught:
        select(alike, (), {}).series_uid_of(Role.PET)
    assert "role:1.2.1=pet" in caught.value.remedy
    assert select(alike, (), {"1.2.2": None}).series_uid_of(Role.PET) == "1.2.1"
    assert select(alike, (), {"1.2.2": Role.PET}).series_uid_of(Role.PET) == "1.2.2"


def test_iodine_maps_of_several_phases_are_told_apart_by_the_phase_that_is_asked_for() -> None:
    selection = select(group([iodine("1.2.1", "arterial"), iodine("1.2.2", "portal venous")]), (), {})
    assert selection.series_uid_of(Role.IODINE, Role.ARTERIAL) == "1.2.1"
    assert selection.series_uid_of(Role.IODINE, Role.PORTAL) == "1.2.2"
    with pytest.raises(RoleAmbiguous, match="several phases: arterial, portal"):
        selection.series_uid_of(Role.IODINE)
    with pytest.raises(RoleMissing, match="iodine in the equilibrium phase"):
        selection.series_uid_of(Role.IODINE, Role.EQUILIBRIUM)


def test_the_open_phase_of_a_ct_series_does_not_explain_a_missing_pet() -> None:
    study = group([instance("1.2", ContrastBolusAgent="Iohexol")])
    with pytest.raises(RoleMissing) as caught:
        select(study, (), {}).series_uid_of(Role.PET)
    assert (str(caught.value).endswith("no series plays the role pet"), caught.value.remedy) == (True, "")


def test_a_series_that_is_kept_out_is_not_chosen() -> None:
    study = group([*uptake("1.2.1", CorrectedImage=["DECY"]), *uptake("1.2.2")])
    assert select(study, (), {}).series_uid_of(Role.PET) == "1.2.2"


@given(st.permutations([("1", (0, 800)), ("2", (0, 50, 800)), ("3", (0, 400))]))
def test_the_choice_among_examinations_does_not_depend_on_the_order_of_arrival(
    order: list[tuple[str, tuple[float, ...]]],
) -> None:
    study: Study = group([one for name, b_values in order for one in weighted(f"1.2.{name}", *b_values)])
    assert select(study, (), {}).series_uid_of(Role.DIFFUSION) == "1.2.2"
