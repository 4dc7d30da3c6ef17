from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2node.errors import RoleAmbiguous, RoleMissing
from her2node.selection import select
from her2node.selection.roles import Role
from her2node.selection.study import Study, group
from tests.selection.headers import instance


def portals(**of_series: dict[str, Any]) -> Study:
    """A study of portal series, by UID suffix, each with its own attributes (``images``: how many)."""
    made = []
    for name, attributes in of_series.items():
        images = attributes.pop("images", 2)
        uid = f"1.2.3.{name.removeprefix('s')}"
        made += [instance(uid, n + 1, SeriesDescription="portal", **attributes) for n in range(images)]
    return group(made)


def test_one_series_stands_for_its_role() -> None:
    study = portals(s1={})
    assert select(study, (), {}).series_uid_of(Role.PORTAL) == "1.2.3.1"


def test_a_role_that_nobody_plays_is_missing_by_name() -> None:
    with pytest.raises(RoleMissing, match="portal"):
        select(group([instance("1.2")]), (), {}).series_uid_of(Role.PORTAL)


def test_a_missing_role_names_the_series_whose_phase_is_open_and_the_remedy() -> None:
    study = group([instance("1.2", ContrastBolusAgent="Iohexol")])
    with pytest.raises(RoleMissing, match=r"the phase of 1\.2 is not known") as caught:
        select(study, (), {}).series_uid_of(Role.PORTAL)
    assert "role:1.2=portal" in caught.value.remedy


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"SliceThickness": 1}, {"SliceThickness": 5}),
        ({"SliceThickness": 5}, {}),
        ({"images": 3}, {"images": 2}),
        ({"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B70f", "SliceThickness": 1}),
        ({"ConvolutionKernel": "STANDARD"}, {"ConvolutionKernel": "LUNG", "images": 9}),
        ({"ConvolutionKernel": ["Br40d", "3"]}, {"ConvolutionKernel": ["Bl57d", "3"]}),
        ({}, {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"], "SliceThickness": 1}),
        ({}, {"ImageType": ["ORIGINAL", "PRIMARY", "OTHER"], "SliceThickness": 1}),
    ],
)
def test_among_several_the_better_one_is_chosen_and_the_evidence_says_so(
    better: dict[str, Any], worse: dict[str, Any]
) -> None:
    for study in (portals(s1=dict(better), s2=dict(worse)), portals(s2=dict(worse), s1=dict(better))):
        selection = select(study, (), {})
        assert selection.series_uid_of(Role.PORTAL) == "1.2.3.1"
        assert "chosen among 2 series" in selection.of("1.2.3.1").evidence[-1]
        assert "1.2.3.1 was chosen" in selection.of("1.2.3.2").evidence[-1]


def test_two_series_alike_are_ambiguous_until_one_is_entered() -> None:
    study = portals(s1={}, s2={})
    with pytest.raises(RoleAmbiguous, match=r"1\.2\.3\.1, 1\.2\.3\.2") as caught:
        select(study, (), {}).series_uid_of(Role.PORTAL)
    assert "role:1.2.3.1=portal" in caught.value.remedy
    assert select(study, (), {"1.2.3.2": Role.PORTAL}).series_uid_of(Role.PORTAL) == "1.2.3.2"
    assert select(study, (), {"1.2.3.2": None}).series_uid_of(Role.PORTAL) == "1.2.3.1"


@given(st.permutations([("1", 5.0, 3), ("2", 1.0, 4), ("3", 1.0, 2), ("4", 3.0, 9)]))
def test_the_choice_does_not_depend_on_the_order_of_arrival(order: list[tuple[str, float, int]]) -> None:
    study = portals(**{f"s{name}": {"SliceThickness": thick, "images": count} for name, thick, count in order})
    assert select(study, (), {}).series_uid_of(Role.PORTAL) == "1.2.3.2"


def test_series_of_no_phase_are_not_chosen_among() -> None:
    study = group([instance("1.2", ContrastBolusAgent="Iohexol"), instance("1.3", ContrastBolusAgent="Iohexol")])
    assert not select(study, (), {}).chosen
    assert not select(study, (), {}).ambiguous
