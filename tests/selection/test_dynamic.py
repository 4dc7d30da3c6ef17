from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from her2node import phantoms
from her2node.errors import RoleAmbiguous
from her2node.phantoms import PhantomOptions
from her2node.phantoms.perfusion import Layout, PerfusionOptions, make
from her2node.selection import select
from her2node.selection.dynamic import scans, time_points
from her2node.selection.roles import Role
from her2node.selection.rules import SiteRule
from her2node.selection.study import Study, open_study

TIMES = tuple(float(t) for t in range(0, 36, 4))
SMALL = PerfusionOptions(times_s=TIMES, rows=64, columns=64, slices=4, slice_spacing_mm=8.0, noise_hu=0.0, rois=())


def study_of(folder: Path, options: PerfusionOptions) -> Study:
    return open_study(phantoms.write(make(options), folder))


@pytest.mark.parametrize("layout", list(Layout))
def test_many_time_points_at_the_same_places_are_perfusion_in_every_layout(tmp_path: Path, layout: Layout) -> None:
    study = study_of(tmp_path, replace(SMALL, layout=layout))
    found = select(study, (), {})
    assert {assignment.role for assignment in found.assignments} == {Role.PERFUSION}
    assert all("9 time points at 4 places" in assignment.evidence[0] for assignment in found.assignments)
    (scan,) = scans(study.series)
    assert found.series_uid_of(Role.PERFUSION) == scan[0].series_instance_uid
    assert time_points(scan).count == 9


@pytest.mark.parametrize("layout", [Layout.ONE_SERIES, Layout.SERIES_A_POINT])
def test_a_handful_of_time_points_are_phases(tmp_path: Path, layout: Layout) -> None:
    few = replace(SMALL, layout=layout, times_s=TIMES[:6])
    assert Role.PERFUSION not in {a.role for a in select(study_of(tmp_path, few), (), {}).assignments}


def test_time_points_within_a_heart_beat_are_no_perfusion(tmp_path: Path) -> None:
    beat = replace(SMALL, times_s=tuple(0.1 * k for k in range(10)))
    assert Role.PERFUSION not in {a.role for a in select(study_of(tmp_path, beat), (), {}).assignments}


def test_one_place_over_time_is_the_watch_for_the_bolus(tmp_path: Path) -> None:
    watch = replace(SMALL, slices=1)
    assert Role.PERFUSION not in {a.role for a in select(study_of(tmp_path, watch), (), {}).assignments}


def test_four_phases_with_two_kernels_are_no_perfusion(tmp_path: Path) -> None:
    soft = PhantomOptions(rows=64, columns=64, slices=4, slice_spacing_mm=8.0, rois=())
    paths = [
        path
        for kernel in ("B30f", "B70f")
        for path in phantoms.write(phantoms.ct.make(replace(soft, kernel=kernel)), tmp_path / kernel)
    ]
    assert Role.PERFUSION not in {a.role for a in select(open_study(paths), (), {}).assignments}


def test_what_a_reader_or_a_site_rule_says_goes_before(tmp_path: Path) -> None:
    study = study_of(tmp_path, SMALL)
    uid = study.series[0].series_instance_uid
    assert select(study, (), {uid: Role.ARTERIAL}).of(uid).role is Role.ARTERIAL
    assert select(study, [SiteRule.of("ignore", {"SeriesDescription": "perfusion"})], {}).of(uid).ignored


def test_two_scans_are_ambiguous(tmp_path: Path) -> None:
    paths = phantoms.write(make(SMALL), tmp_path / "a")
    paths += phantoms.write(make(replace(SMALL, slice_spacing_mm=6.0)), tmp_path / "b")
    found = select(open_study(paths), (), {})
    with pytest.raises(RoleAmbiguous, match="2 perfusion scans"):
        found.series_uid_of(Role.PERFUSION)
