"""Dynamic MR is told from all that looks like it, in however many series it came, with the flip angles beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from her2node import phantoms
from her2node.phantoms.dce import DceOptions, Layout, make
from her2node.selection.choice import Selection, select
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from her2node.selection.study import Instance, group, open_study
from tests.selection.headers import instance

SPOILED = {
    "Modality": "MR",
    "FrameOfReferenceUID": "1.2.9",
    "ImageType": ["ORIGINAL", "PRIMARY", "M"],
    "ScanningSequence": "GR",
    "SequenceVariant": ["SP", "OSP"],
    "SequenceName": "fl3d1",
    "RepetitionTime": 4.0,
    "EchoTime": 1.5,
    "FlipAngle": 12.0,
    "Rows": 64,
    "Columns": 64,
}


def image(series: str, number: int, place: int = 0, seconds: float | None = None, **attributes: Any) -> Instance:
    told = {} if seconds is None else {"AcquisitionTime": f"10{int(seconds) // 60:02d}{seconds % 60:09.6f}"}
    position = {"ImagePositionPatient": [0, 0, 5.0 * place]}
    return instance(f"1.2.3.{series}", number, MRImageStorage, **SPOILED | position | told | attributes)


def scan(points: int = 10, places: int = 2, step: float = 4.0, series: str = "1", **attributes: Any) -> list[Instance]:
    """One series of several time points."""
    return [
        image(series, 1 + when * places + place, place, when * step, **attributes)
        for when in range(points)
        for place in range(places)
    ]


def one_each(points: int = 10, places: int = 2, step: float = 4.0, **attributes: Any) -> list[Instance]:
    """A series a time point, each described anew."""
    return [
        image(f"{20 + when}", 1 + place, place, when * step, SeriesDescription=f"dyn TT={when}", **attributes)
        for when in range(points)
        for place in range(places)
    ]


def slab(series: str, angle: float | None, **attributes: Any) -> list[Instance]:
    told = {} if angle is None else {"FlipAngle": angle}
    images = [image(series, 1 + place, place, 0.0, **told | attributes) for place in range(2)]
    for one in images if angle is None else ():
        del one.header.FlipAngle
    return images


def roles(*instances: Instance, **entered: Role | None) -> list[Role | None]:
    return [found.role for found in chosen(*instances, **entered).assignments]


def chosen(*instances: Instance, **entered: Role | None) -> Selection:
    named = {f"1.2.3.{series.lstrip('s')}": role for series, role in entered.items()}
    return select(group(instances), (), named)


def test_a_series_of_many_time_points_is_dynamic() -> None:
    (found,) = chosen(*scan()).assignments
    assert (found.role, found.ignored) == (Role.DCE, False)
    assert found.evidence == ("10 time points at 2 places within 36 s",)


def test_a_single_slice_over_time_is_dynamic() -> None:
    assert roles(*scan(places=1)) == [Role.DCE]


def test_series_that_are_a_time_point_each_are_dynamic_together_and_the_first_stands_for_them() -> None:
    selection = chosen(*one_each())
    assert {found.role for found in selection.assignments} == {Role.DCE}
    assert selection.assignments[0].evidence == ("one of 10 series that are 10 time points at 2 places within 36 s",)
    assert selection.chosen[Role.DCE] == "1.2.3.20"


def test_images_that_only_a_number_tells_apart_are_dynamic_still() -> None:
    """Their times are looked for later, and missed by name."""
    assert roles(*(image("1", n, seconds=0.0) for n in range(1, 13))) == [Role.DCE]
    assert roles(*(image("1", n) for n in range(1, 13))) == [Role.DCE]


@pytest.mark.parametrize(
    "other",
    [
        {"ScanningSequence": ["EP", "GR"]},
        {"ScanningSequence": "SE"},
        {"SequenceVariant": "SS"},
        {"EchoTime": 30.0},
        {"ImageType": ["DERIVED", "PRIMARY", "M", "SUB"]},
        {"ImageType": ["DERIVED", "SECONDARY", "MIP"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    ],
)
def test_other_images_over_time_are_not(other: dict[str, Any]) -> None:
    assert roles(*scan(**other)) == [None]


def test_a_cine_that_goes_around_the_heart_at_each_place_anew_is_not() -> None:
    images = [
        image("1", 1 + 20 * place + beat, place, 30.0 * place, TriggerTime=40.0 * beat)
        for place in range(6)
        for beat in range(20)
    ]
    assert roles(*images) == [None]


def test_a_few_time_points_are_dynamic_only_where_something_says_so() -> None:
    assert roles(*scan(points=5, step=20.0)) == [None]
    assert roles(*scan(points=5, step=20.0, SeriesDescription="LAVA dynamic")) == [Role.DCE]
    assert roles(*scan(points=5, step=20.0, ContrastBolusAgent="Gadobutrol")) == [Role.DCE]
    assert roles(*scan(points=3, step=20.0, SeriesDescription="LAVA dynamic")) == [None]


def test_series_of_unlike_sequences_are_no_time_points_of_each_other() -> None:
    images = [one for n in range(10) for one in slab(f"{20 + n}", 12.0, RepetitionTime=4.0 + n)]
    assert set(roles(*images)) == {None}


def test_a_flip_angle_for_t1_like_that_of_the_time_points_is_none_of_them() -> None:
    early = slab("15", 12.0)
    for one in early:
        one.header.AcquisitionTime = "095200"
    selection = chosen(*early, *slab("16", 3.0), *one_each())
    found = [one.role for one in selection.assignments]
    assert found == [Role.FLIP_ANGLES, Role.FLIP_ANGLES] + [Role.DCE] * 10


@pytest.mark.parametrize("after", [3, 6, 7])
def test_of_a_handful_of_phases_the_one_before_contrast_stays_however_early_it_was(after: int) -> None:
    early = slab("15", 12.0)
    for one in early:
        one.header.AcquisitionTime = "095200"
    phases = one_each(points=after, step=30.0, ContrastBolusAgent="Gadobutrol")
    assert roles(*early, *phases) == [Role.DCE] * (after + 1)


def test_a_late_time_point_after_a_pause_is_one_of_them() -> None:
    late = slab("90", 12.0)
    for one in late:
        one.header.AcquisitionTime = "100600"
    assert roles(*one_each(), *late) == [Role.DCE] * 11


def test_series_acquired_at_one_time_are_no_time_points_of_each_other() -> None:
    assert set(roles(*one_each(step=0.0))) == {None}


def test_series_of_several_flip_angles_beside_a_dynamic_one_are_for_t1() -> None:
    selection = chosen(*scan(series="9"), *slab("1", 2.0), *slab("2", 10.0))
    assert [found.role for found in selection.assignments] == [Role.FLIP_ANGLES, Role.FLIP_ANGLES, Role.DCE]
    assert selection.assignments[0].evidence == ("flip angle 2 of 2, 10 degrees, for T1",)


def test_a_series_that_should_be_of_the_set_but_states_no_angle_belongs_to_it() -> None:
    """It is refused by name when T1 is calculated, not left out unsaid."""
    found = roles(*scan(series="9"), *slab("1", 2.0), *slab("2", 10.0), *slab("3", None))
    assert found == [Role.FLIP_ANGLES] * 3 + [Role.DCE]


def test_one_flip_angle_beside_a_dynamic_series_is_nothing() -> None:
    assert roles(*scan(series="9"), *slab("1", 2.0)) == [None, Role.DCE]


def test_flip_angles_without_a_dynamic_series_are_nothing() -> None:
    assert roles(*slab("1", 2.0), *slab("2", 10.0)) == [None, None]


def test_several_dynamic_examinations_are_ambiguous_for_a_package() -> None:
    images = scan(series="1") + scan(series="2", ImageType=["DERIVED", "PRIMARY", "DIXON", "FAT"])
    selection = chosen(*images)
    assert Role.DCE not in selection.chosen
    assert "2 dce scans" in str(selection.ambiguous[Role.DCE])


def test_what_a_reader_entered_stands() -> None:
    assert roles(*scan(), s1=None) == [None]
    assert roles(*scan(points=3), s1=Role.DCE) == [Role.DCE]
    found = roles(*one_each(), s20=None)
    assert found == [None] + [Role.DCE] * 9


def test_what_a_rule_of_the_site_keeps_out_is_no_time_point() -> None:
    rule = SiteRule.of("ignore", {"SeriesDescription": "TT=0"})
    assignments = select(group(one_each()), (rule,), {}).assignments
    assert [found.role for found in assignments] == [None] + [Role.DCE] * 9


@pytest.mark.parametrize("layout", list(Layout))
def test_every_layout_of_the_phantom_is_recognised(layout: Layout, tmp_path: Path) -> None:
    times = tuple(float(t) for t in range(0, 40, 4))
    options = DceOptions(times_s=times, rows=16, columns=16, slices=2, noise=0.0, rois=(), layout=layout)
    study = open_study(phantoms.write(make(options), tmp_path))
    found = {a.role for a in select(study, (), {}).assignments}
    assert found == {Role.DCE, Role.FLIP_ANGLES}


@pytest.mark.truth
def test_seventy_series_of_a_scanner_are_one_examination_and_its_four_flip_angles_are_for_t1(shared: Path) -> None:
    folder = shared / "data" / "mr-prostatex0218-dwi-dce"
    study = open_study(sorted(path for path in folder.rglob("*.dcm")), met=True)
    selection = select(study, (), {})
    counted = [found.role for found in selection.assignments]
    assert (counted.count(Role.DCE), counted.count(Role.FLIP_ANGLES)) == (70, 4)
    assert "70 time points at 5 places within 297 s" in selection.of(selection.chosen[Role.DCE]).evidence[0]
    assert counted.count(Role.DIFFUSION) == 4


def test_a_header_without_places_is_not_dynamic() -> None:
    images = scan()
    for one in images:
        header: Dataset = one.header
        del header.ImagePositionPatient
    assert roles(*images) == [None]
