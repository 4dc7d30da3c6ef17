from __future__ import annotations

from typing import Any

import pytest

from her2node.selection.arrangement import arranged, split
from her2node.selection.study import Instance, group
from tests.selection.headers import instance


def phases(count: int, **each: list[Any]) -> list[Instance]:
    """``count`` stacks of 5 slices in one series, one after the other; ``each``: values by stack."""
    made = []
    for stack in range(count):
        attributes = {keyword: values[stack] for keyword, values in each.items()}
        for slice_ in range(5):
            position = [0, 0, 5.0 * slice_]
            made.append(instance("1.2.3.1", 1 + 5 * stack + slice_, ImagePositionPatient=position, **attributes))
    return made


@pytest.mark.parametrize(
    "each",
    [
        {"AcquisitionNumber": [1, 2, 3]},
        {"TemporalPositionIdentifier": [1, 2, 3]},
        {"AcquisitionTime": ["100000", "100030", "100110"]},
        {"ConvolutionKernel": ["B30f", "B50f", "B70f"]},
        {},
    ],
)
def test_phases_in_one_series_are_taken_apart(each: dict[str, list[Any]]) -> None:
    parts = split(group(phases(3, **each)).series[0])
    assert [[i.header.InstanceNumber for i in part.instances] for part in parts] == [
        list(range(1, 6)), list(range(6, 11)), list(range(11, 16)),
    ]  # fmt: skip
    assert len({part.series_instance_uid for part in parts}) == 3


def test_the_same_series_gives_the_same_parts() -> None:
    one, again = (arranged(group(phases(2, AcquisitionNumber=[1, 2]))) for _ in range(2))
    assert [s.series_instance_uid for s in one.series] == [s.series_instance_uid for s in again.series]


def test_a_duplicated_slice_is_no_second_phase() -> None:
    once = phases(1)
    twice = [*once, instance("1.2.3.1", 9, ImagePositionPatient=[0, 0, 10.0])]
    assert len(split(group(twice).series[0])) == 1


def test_many_time_points_are_left_to_the_dynamic_methods() -> None:
    assert len(split(group(phases(8, AcquisitionNumber=list(range(8)))).series[0])) == 1


def test_a_series_that_a_reader_named_stays_as_it_came() -> None:
    assert len(arranged(group(phases(2, AcquisitionNumber=[1, 2])), keep=("1.2.3.1",)).series) == 1


def halves(gap: float = 5.0, **other: Any) -> list[Instance]:
    """Two series of 4 slices, the second beginning ``gap`` mm above the first's end."""
    first = [instance("1.2.3.1", n, ImagePositionPatient=[0, 0, 5.0 * n], AcquisitionTime="100000") for n in range(4)]
    attributes = {"AcquisitionTime": "100004", **other}
    second = [instance("1.2.3.2", n, ImagePositionPatient=[0, 0, 15.0 + gap + 5.0 * n], **attributes) for n in range(4)]
    return first + second


def test_one_phase_over_two_series_is_put_together() -> None:
    (whole,) = arranged(group(halves())).series
    assert len(whole.instances) == 8


@pytest.mark.parametrize(
    "apart",
    [
        {"gap": 10.0},
        {"gap": -15.0},
        {"AcquisitionTime": "101500"},
        {"ConvolutionKernel": "B70f"},
        {"SeriesDescription": "other"},
        {"ContrastBolusAgent": "Iohexol"},
        {"FrameOfReferenceUID": "1.9"},
    ],
)
def test_what_does_not_continue_a_series_stays_apart(apart: dict[str, Any]) -> None:
    assert len(arranged(group(halves(**apart))).series) == 2
