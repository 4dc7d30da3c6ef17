"""The forward model against what can be said in closed form, and what each layout tells of time."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.errors import PhantomRefused
from her2node.phantoms import RoiForm, dce, dce_options, dce_scan, leakage
from her2node.phantoms.dce import BLOOD_T1_MS, TUMOUR, DceOptions, Layout
from her2node.phantoms.flow import Artery
from her2node.phantoms.leakage import BLOOD, Echo, Leaky, concentration, first_minute
from tests.reports.gates import dciodvfy

HAEMATOCRIT = 0.42
TIMES = tuple(np.arange(0.0, 120.0, 0.1))
TISSUE = Leaky(0.2, 0.3, 0.05, 1200.0)
SMALL = DceOptions(times_s=(0.0, 30.0, 37.5, 90.0), rows=48, columns=48, slices=6, spacing_mm=5.0, noise=0.0)


def plasma(times: tuple[float, ...]) -> np.ndarray:
    return np.array([BLOOD.at(t) for t in times]) / (1 - HAEMATOCRIT)


def test_the_rate_of_change_obeys_the_equation_of_tofts() -> None:
    course = concentration(BLOOD, TISSUE, HAEMATOCRIT, TIMES)
    cp = plasma(TIMES)
    outside = (course - TISSUE.vp * cp) / TISSUE.ve
    slope = np.gradient(outside, TIMES)
    assert slope[5:-5] == pytest.approx(TISSUE.kep / 60 * (cp - outside)[5:-5], abs=2e-4)


def test_what_cannot_come_back_is_the_area_of_the_plasma_times_ktrans() -> None:
    course = concentration(BLOOD, replace(TISSUE, ve=1e6), HAEMATOCRIT, TIMES)
    expected = TISSUE.vp * plasma(TIMES)[-1] + TISSUE.ktrans / 60 * np.trapezoid(plasma(TIMES), TIMES)
    assert course[-1] == pytest.approx(expected, rel=1e-4)


def test_all_that_leaks_out_comes_back_and_the_area_is_that_of_both_spaces() -> None:
    times = tuple(float(t) for t in range(900))
    passing = replace(BLOOD, again=0.0, staying=0.0)
    course = concentration(passing, TISSUE, HAEMATOCRIT, times)
    inflow = np.trapezoid([passing.at(t) for t in times], times) / (1 - HAEMATOCRIT)
    assert np.trapezoid(course, times) / inflow == pytest.approx(TISSUE.ve + TISSUE.vp, rel=1e-3)


def test_a_delay_moves_the_curve() -> None:
    late = concentration(BLOOD, replace(TISSUE, delay_s=4.0), HAEMATOCRIT, TIMES)
    assert late[40:] == pytest.approx(concentration(BLOOD, TISSUE, HAEMATOCRIT, TIMES)[:-40], abs=1e-6)
    assert first_minute(BLOOD, TISSUE, HAEMATOCRIT) == pytest.approx(
        first_minute(BLOOD, replace(TISSUE, delay_s=4.0), HAEMATOCRIT), rel=1e-6
    )


def test_the_signal_is_highest_at_the_ernst_angle() -> None:
    angles = np.arange(1.0, 40.0, 0.01)
    signal = [float(Echo(5.0, a).signal(1.0, 1000.0, np.zeros(1), 4.5)[0]) for a in angles]
    assert math.cos(math.radians(angles[int(np.argmax(signal))])) == pytest.approx(math.exp(-5 / 1000), abs=1e-5)


def test_two_flip_angles_lie_on_the_line_whose_slope_is_the_relaxation() -> None:
    low, high = ((float(Echo(5.0, a).signal(800.0, 1200.0, np.zeros(1), 4.5)[0]), math.radians(a)) for a in (3, 15))
    rise = high[0] / math.sin(high[1]) - low[0] / math.sin(low[1])
    run = high[0] / math.tan(high[1]) - low[0] / math.tan(low[1])
    assert rise / run == pytest.approx(math.exp(-5 / 1200))


def test_agent_shortens_t1_by_its_relaxivity() -> None:
    echo = Echo(5.0, 15.0)
    (with_agent,) = echo.signal(1.0, 1000.0, np.array([2.0]), 4.5)
    (without,) = echo.signal(1.0, 1 / (1 / 1000 + 4.5 * 2 / 1000), np.zeros(1), 4.5)
    assert with_agent == pytest.approx(without)


def test_the_forward_model_shares_nothing_with_what_is_held_against_it() -> None:
    for module in (leakage, dce, dce_options, dce_scan):
        tree = ast.parse(Path(module.__file__).read_text())
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any("quantities" in name or "volumes" in name for name in imported)


def images(options: DceOptions) -> Iterator[Dataset]:
    return (ds for ds in dce.make(options).datasets if ds.Modality == "MR")


def dynamic(options: DceOptions) -> list[Dataset]:
    return [ds for ds in images(options) if ds.SeriesDescription == "DCE dynamic"]


def seconds(clock: str) -> float:
    return 3600 * int(clock[:2]) + 60 * int(clock[2:4]) + float(clock[4:])


def told(layout: Layout, keyword: str) -> list[float]:
    """The times of the first slice over the time points by one attribute."""
    found = dynamic(replace(SMALL, layout=layout))[:: SMALL.slices]
    values = [ds[keyword].value for ds in found]
    times = [float(v) / 1000 if keyword == "TriggerTime" else seconds(v) for v in values]
    return [time - times[0] for time in times]


@pytest.mark.parametrize(
    ("layout", "keyword"),
    [
        (Layout.ONE_SERIES, "AcquisitionTime"),
        (Layout.SERIES_A_POINT, "AcquisitionTime"),
        (Layout.CONTENT_TIME, "ContentTime"),
        (Layout.TRIGGER_TIME, "TriggerTime"),
    ],
)
def test_each_layout_tells_the_times_by_its_attribute(layout: Layout, keyword: str) -> None:
    assert told(layout, keyword) == pytest.approx(SMALL.times_s)


@pytest.mark.parametrize(
    ("layout", "silent"),
    [
        (Layout.CONTENT_TIME, ("AcquisitionTime", "AcquisitionNumber", "SeriesTime")),
        (Layout.TRIGGER_TIME, ("AcquisitionTime", "AcquisitionNumber", "SeriesTime", "ContentTime")),
    ],
)
def test_the_other_clocks_of_these_layouts_stand_still(layout: Layout, silent: tuple[str, ...]) -> None:
    found = dynamic(replace(SMALL, layout=layout))
    for keyword in silent:
        assert len({str(ds[keyword].value) for ds in found}) == 1
    assert ("TemporalPositionIdentifier" in found[0]) == (layout is Layout.TRIGGER_TIME)


def test_a_series_a_point_is_as_many_series_as_times() -> None:
    found = dynamic(replace(SMALL, layout=Layout.SERIES_A_POINT))
    assert len({ds.SeriesInstanceUID for ds in found}) == len(SMALL.times_s)


def test_an_enhanced_object_holds_all_frames_with_their_times() -> None:
    (ds,) = dynamic(replace(SMALL, layout=Layout.ENHANCED))
    contents = [frame.FrameContentSequence[0] for frame in ds.PerFrameFunctionalGroupsSequence]
    assert len(contents) == len(SMALL.times_s) * SMALL.slices
    times = [seconds(one.FrameAcquisitionDateTime[8:21]) for one in contents[:: SMALL.slices]]
    assert [time - times[0] for time in times] == pytest.approx(SMALL.times_s)
    assert [one.TemporalPositionIndex for one in contents[:: SMALL.slices]] == [1, 2, 3, 4]


def test_every_layout_holds_the_same_voxels() -> None:
    whole = {layout: np.stack([ds.pixel_array for ds in dynamic(replace(SMALL, layout=layout))]) for layout in Layout}
    shape = (len(SMALL.times_s) * SMALL.slices, SMALL.rows, SMALL.columns)
    first = whole[Layout.ONE_SERIES].reshape(shape)
    assert all((other.reshape(shape) == first).all() for other in whole.values())


def test_the_voxels_of_the_tumour_show_its_relaxation_before_and_its_agent_after() -> None:
    angles = {
        float(ds.FlipAngle): ds for ds in images(SMALL) if "VFA" in ds.SeriesDescription and ds.InstanceNumber == 3
    }
    column, row = (round(c / SMALL.spacing_mm + (SMALL.rows - 1) / 2) for c in TUMOUR.centre_mm[:2])
    for angle, ds in angles.items():
        (expected,) = Echo(5.0, angle).signal(30_000.0, 1200.0, np.zeros(1), 4.5)
        assert ds.pixel_array[row, column] == pytest.approx(expected, abs=0.5)
    assert sorted(angles) == sorted(SMALL.flip_angles_deg)
    agent = concentration(SMALL.artery, SMALL.tumour, SMALL.haematocrit, SMALL.times_s)
    expected_course = Echo(5.0, 15.0).signal(30_000.0, 1200.0, agent, 4.5)
    course = [ds.pixel_array[row, column] for ds in dynamic(SMALL)[2 :: SMALL.slices]]
    assert course == pytest.approx(expected_course, abs=0.5)


def test_a_core_is_of_other_tissue_and_its_share_is_written_down() -> None:
    cold = Leaky(0.02, 0.1, 0.0, 1500.0)
    study = dce.make(replace(SMALL, core=cold, core_size=0.5))
    tumour = study.as_json()["tumour"]
    assert isinstance(tumour, dict)
    assert tumour["core_share"] == 0.125
    assert tumour["core"]["ktrans"] == 0.02


def test_field_strength_can_be_given_in_gauss() -> None:
    assert {float(ds.MagneticFieldStrength) for ds in images(SMALL)} == {3.0}
    assert {float(ds.MagneticFieldStrength) for ds in images(replace(SMALL, gauss=True))} == {30_000.0}


def test_philips_steps_differ_between_series_and_give_the_same_signal() -> None:
    plain, scaled = (list(images(replace(SMALL, philips_scale=on))) for on in (False, True))
    slopes = [ds[0x2005, 0x100E].value for ds in scaled]
    assert len({round(slope, 6) for slope in slopes}) == 1 + len(SMALL.flip_angles_deg)
    for one, other, slope in zip(plain, scaled, slopes, strict=True):
        assert other.pixel_array / slope == pytest.approx(one.pixel_array, abs=1.2)


def test_a_patient_who_moves_takes_the_tumour_with_him() -> None:
    moved = replace(SMALL, shifts_mm=((0.0, 0.0, 0.0), (5.0, 0.0, 0.0), (5.0, 10.0, 0.0), (0.0, 0.0, 0.0)))
    still, found = (np.stack([ds.pixel_array for ds in dynamic(options)]) for options in (SMALL, moved))
    third = slice(2 * SMALL.slices, 3 * SMALL.slices)
    assert (np.roll(still[third], (2, 1), axis=(1, 2)) == found[third]).all()
    assert (still[-SMALL.slices :] == found[-SMALL.slices :]).all()


@pytest.mark.parametrize("layout", [Layout.ONE_SERIES, Layout.ENHANCED])
def test_regions_name_the_images_of_the_first_time_point(layout: Layout) -> None:
    options = replace(SMALL, layout=layout, rois=(RoiForm.BINARY, RoiForm.CONTOURS))
    objects = list(dce.make(options).datasets)
    first = {ds.SOPInstanceUID for ds in objects if ds.get("SeriesDescription") == "DCE dynamic"}
    segmented, drawn = objects[-2:]
    groups = segmented.PerFrameFunctionalGroupsSequence
    named = {g.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for g in groups}
    assert named <= first
    assert [segment.SegmentLabel for segment in segmented.SegmentSequence] == ["Tumour", "Aorta"]
    contours = drawn.ROIContourSequence[0].ContourSequence
    assert {c.ContourImageSequence[0].ReferencedSOPInstanceUID for c in contours} <= first
    assert ("ReferencedFrameNumber" in contours[0].ContourImageSequence[0]) == (layout is Layout.ENHANCED)


def test_classic_objects_and_regions_are_valid(tmp_path: Path) -> None:
    paths = phantoms.write(
        dce.make(replace(SMALL, rois=(RoiForm.BINARY, RoiForm.CONTOURS), flip_angles_deg=(5.0,))), tmp_path
    )
    for path in (paths[0], paths[10], paths[-2], paths[-1]):
        errors, _ = dciodvfy(path)
        assert errors == []


def test_an_enhanced_object_is_whole(tmp_path: Path) -> None:
    enhanced = replace(SMALL, layout=Layout.ENHANCED, flip_angles_deg=(), rois=())
    (path,) = (path for path in phantoms.write(dce.make(enhanced), tmp_path) if path.suffix == ".dcm")
    assert dciodvfy(path) == ([], [])


def test_the_same_options_give_the_same_objects_and_others_other_uids() -> None:
    one, other = (list(dce.make(SMALL).datasets) for _ in range(2))
    assert one == other
    assert len({ds.SOPInstanceUID for ds in one}) == len(one)
    assert dce.make(replace(SMALL, noise=1.0)).study_instance_uid != dce.make(SMALL).study_instance_uid


def test_the_truth_is_written_with_the_study(tmp_path: Path) -> None:
    phantoms.write(dce.make(replace(SMALL, times_s=(0.0, 1.0))), tmp_path)
    written = json.loads((tmp_path / "truth.json").read_text())
    tumour = written["tumour"]
    assert tumour["kep"] == pytest.approx(tumour["ktrans"] / tumour["ve"])
    assert tumour["t1_ms"] == 1200.0
    assert tumour["volume_mm3"] == pytest.approx(4 / 3 * math.pi * 26 * 20 * 16)
    assert written["blood_t1_ms"] == BLOOD_T1_MS
    assert Artery(**written["artery"]) == SMALL.artery


@pytest.mark.parametrize(
    "options",
    [
        {"times_s": (0.0,)},
        {"times_s": (2.0, 1.0)},
        {"shifts_mm": ((0.0, 0.0, 0.0),)},
        {"core_size": 1.0},
        {"rois": (RoiForm.LABELMAP,)},
    ],
    ids=str,
)
def test_what_cannot_be_made_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(PhantomRefused):
        DceOptions(**options)  # type: ignore[arg-type]
