from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.phantoms.diffusion import DiffusionOptions, make
from her2node.phantoms.weighting import Tagging
from her2node.selection import Assignment, SiteRule, select
from her2node.selection.mr import b_values_of_map
from her2node.selection.roles import Role
from her2node.selection.study import group, open_study

SMALL = DiffusionOptions(b_values=(0, 50, 800), rows=24, columns=24, slices=3, spacing_mm=10.0, region=False)


def assigned(
    folder: Path, options: DiffusionOptions, change: Callable[[Dataset], None] = lambda ds: None
) -> tuple[Assignment, ...]:
    for path in phantoms.write(make(options), folder):
        ds = dcmread(path)
        change(ds)
        ds.save_as(path)
    return select(open_study(sorted(folder.rglob("*.dcm"))), (), {}).assignments


@pytest.mark.parametrize("tagging", list(Tagging))
def test_a_series_with_b_values_is_diffusion_by_the_tag_that_states_them(tagging: Tagging, tmp_path: Path) -> None:
    (found,) = assigned(tmp_path, replace(SMALL, tagging=tagging))
    assert found.role is Role.DIFFUSION
    assert re.search(r"50, 800 s/mm2 by .*\([0-9A-F]{4},[0-9A-F]{4}\)", found.evidence[0])


def test_an_adc_map_of_the_scanner_is_kept_apart_from_signal(tmp_path: Path) -> None:
    signal, adc = assigned(tmp_path, replace(SMALL, adc_unit="mm2/s"))
    assert (signal.role, adc.role) == (Role.DIFFUSION, Role.ADC_MAP)


def referred(ds: Dataset, frames: list[int]) -> Dataset:
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    if frames:
        source.ReferencedFrameNumber = frames
    return source


@pytest.mark.parametrize("beside", ["nothing", "evidence"])
def test_the_b_values_of_a_map_are_those_of_the_frames_that_it_names(beside: str, tmp_path: Path) -> None:
    options = replace(SMALL, tagging=Tagging.ENHANCED, adc_unit="mm2/s")
    signal, adc = open_study(phantoms.write(make(options), tmp_path)).series
    (source,) = (one.header for one in signal.instances)
    b_values = [frame.MRDiffusionSequence[0].DiffusionBValue for frame in source.PerFrameFunctionalGroupsSequence]
    assert set(b_values) == {0, 50, 800}
    for named in ([50.0, 800.0], [800.0], []):
        frames = [number for number, b in enumerate(b_values, start=1) if b in named]
        for one in adc.instances:
            one.header.SourceImageSequence = [referred(source, frames)]
            if beside == "evidence":
                one.header.SourceImageEvidenceSequence = [evidence := Dataset()]
                evidence.ReferencedSeriesSequence = [series := Dataset()]
                series.ReferencedSOPSequence = [referred(source, [])]
        found = b_values_of_map(adc, group((*signal.instances, *adc.instances)))
        assert found == tuple(named or (0.0, 50.0, 800.0))


def test_a_series_of_b_0_alone_is_diffusion_where_something_says_so(tmp_path: Path) -> None:
    """Philips and GE give every MR image a private b-value of 0."""
    philips = replace(SMALL, b_values=(0,), tagging=Tagging.PHILIPS)

    def renamed(ds: Dataset) -> None:
        ds.SeriesDescription = "T2 TSE"

    (meant,) = assigned(tmp_path / "dwi", philips)
    (other,) = assigned(tmp_path / "t2", philips, renamed)
    assert (meant.role, meant.ignored) == (Role.DIFFUSION, False)
    assert (other.role, other.ignored) == (None, True)


def test_a_series_named_diffusion_without_b_values_keeps_its_role_and_says_what_is_missing(tmp_path: Path) -> None:
    def stripped(ds: Dataset) -> None:
        del ds.DiffusionBValue
        del ds.DiffusionDirectionality

    (found,) = assigned(tmp_path, SMALL, stripped)
    assert found.role is Role.DIFFUSION
    assert "no place states a b-value" in found.evidence[0]


def test_a_series_with_a_wrong_b_value_keeps_its_role_and_says_what_is_wrong(tmp_path: Path) -> None:
    def wrong(ds: Dataset) -> None:
        ds.DiffusionBValue = -3.0

    (found,) = assigned(tmp_path, SMALL, wrong)
    assert found.role is Role.DIFFUSION
    assert "DiffusionBValue (0018,9087) holds -3" in found.evidence[0]


def test_calculated_images_and_localizers_are_kept_out(tmp_path: Path) -> None:
    for kinds in (["DERIVED", "PRIMARY", "DIFFUSION", "FA"], ["ORIGINAL", "PRIMARY", "LOCALIZER"]):

        def typed(ds: Dataset, kinds: list[str] = kinds) -> None:
            ds.ImageType = kinds

        (found,) = assigned(tmp_path / kinds[-1], SMALL, typed)
        assert (found.role, found.ignored) == (None, True)


def test_other_mr_images_are_kept_out(tmp_path: Path) -> None:
    def t1(ds: Dataset) -> None:
        del ds.DiffusionBValue
        del ds.DiffusionDirectionality
        ds.SeriesDescription = "T1 VIBE"

    (found,) = assigned(tmp_path, SMALL, t1)
    assert (found.role, found.ignored) == (None, True)
    assert found.evidence == ("MR images that are neither diffusion-weighted nor dynamic",)


def test_a_site_rule_goes_before_what_the_headers_tell(tmp_path: Path) -> None:
    study = open_study(phantoms.write(make(SMALL), tmp_path))
    rule = SiteRule.of("ignore", {"SeriesDescription": "dwi"})
    (found,) = select(study, (rule,), {}).assignments
    assert found.ignored
