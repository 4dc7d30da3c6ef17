"""A dynamic MR becomes one signal over time, whatever way its scanner wrote it, and says how its clock was read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.dicom.uids import derived_uid
from her2node.errors import (
    IncompleteTimePoints,
    InvalidAttribute,
    MissingAttribute,
    MixedOrientations,
    NoTimes,
    OtherKindOfImage,
    RoleMissing,
)
from her2node.phantoms.dce import DceOptions, Layout, make
from her2node.selection.study import Series, Study, open_study
from her2node.volumes.dce import DceVolume, FlipAngleSeries, build, dynamic_stack_of, flip_angles
from tests.volumes.dce_made import Change, Studies, lacking, of_angles, of_dynamic, timeless

TIMES = (0.0, 3.0, 6.0, 10.0, 15.0, 21.0, 28.0, 36.0, 45.0)
EVEN = tuple(4.0 * n for n in range(9))
SMALL = DceOptions(times_s=TIMES, rows=24, columns=24, slices=3, spacing_mm=10.0, noise=0.0, rois=())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Studies:
    return Studies(tmp_path_factory.mktemp("dce"))


def dynamic(study: Study) -> tuple[Series, ...]:
    return tuple(series for series in study.series if series.description == "DCE dynamic")


def angles(study: Study) -> tuple[Series, ...]:
    return tuple(series for series in study.series if series.description.startswith("VFA"))


def built(members: tuple[Series, ...], interval_s: float | None = None) -> DceVolume:
    return build(dynamic_stack_of(members, interval_s))


@pytest.fixture(scope="module")
def plain(made: Studies) -> Study:
    return made(SMALL)


@pytest.fixture(scope="module")
def volume(plain: Study) -> DceVolume:
    return built(dynamic(plain))


@pytest.fixture(scope="module")
def slab(plain: Study, volume: DceVolume) -> FlipAngleSeries:
    return flip_angles(angles(plain), dynamic_stack_of(dynamic(plain)))


def test_signal_time_and_sequence_come_from_the_images(volume: DceVolume) -> None:
    assert volume.voxels.shape == (9, 3, 24, 24)
    assert volume.times_s == pytest.approx(TIMES)
    assert volume.clock == "AcquisitionDate and AcquisitionTime"
    sequence = volume.repetition_time_ms, volume.echo_time_ms, volume.flip_angle_deg, volume.field_strength_t
    assert sequence == (5.0, 1.8, 15.0, 3.0)
    assert volume.valid.all()
    assert len({source for point in volume.sources for source in point}) == 27


@pytest.mark.parametrize(
    ("layout", "clock"),
    [
        (Layout.SERIES_A_POINT, "AcquisitionDate and AcquisitionTime"),
        (Layout.CONTENT_TIME, "ContentDate and ContentTime"),
        (Layout.TRIGGER_TIME, "TriggerTime"),
        (Layout.ENHANCED, "FrameReferenceDateTime"),
    ],
)
def test_every_layout_gives_the_same_signal_at_the_same_times(
    layout: Layout, clock: str, volume: DceVolume, made: Studies
) -> None:
    found = built(dynamic(made(replace(SMALL, layout=layout))))
    assert found.clock == clock
    assert found.times_s == pytest.approx(TIMES)
    assert (found.voxels == volume.voxels).all()
    assert (found.repetition_time_ms, found.echo_time_ms, found.flip_angle_deg) == (5.0, 1.8, 15.0)
    assert len(found.series_uids) == (9 if layout is Layout.SERIES_A_POINT else 1)


def test_signal_in_steps_of_each_series_own_is_brought_to_one_scale(
    volume: DceVolume, slab: FlipAngleSeries, made: Studies
) -> None:
    study = made(replace(SMALL, philips_scale=True))
    found = built(dynamic(study))
    assert np.abs(found.voxels - volume.voxels).max() <= 1.2
    several = flip_angles(angles(study), dynamic_stack_of(dynamic(study)))
    assert np.abs(several.voxels - slab.voxels).max() <= 1


def test_content_time_is_named_for_what_it_may_be(made: Studies) -> None:
    found = built(dynamic(made(replace(SMALL, layout=Layout.CONTENT_TIME))))
    assert "ContentTime may be that of the reconstruction" in found.notes


def test_images_ordered_by_number_alone_take_a_declared_interval(volume: DceVolume, made: Studies) -> None:
    members = dynamic(made(SMALL, of_dynamic(timeless)))
    with pytest.raises(NoTimes):
        built(members)
    found = built(members, interval_s=4.0)
    assert found.times_s == pytest.approx(EVEN)
    assert found.clock == "InstanceNumber and a given interval"
    assert (found.voxels == volume.voxels).all()


def test_a_stated_temporal_resolution_is_such_an_interval(made: Studies) -> None:
    def change(ds: Dataset) -> None:
        timeless(ds)
        ds.TemporalResolution = "4000"

    found = built(dynamic(made(SMALL, of_dynamic(change))))
    assert (found.clock, found.times_s[1]) == ("InstanceNumber and TemporalResolution", 4.0)


def test_time_points_told_apart_by_acquisition_number_are_ordered_by_it(volume: DceVolume, made: Studies) -> None:
    def change(ds: Dataset) -> None:
        number = ds.AcquisitionNumber
        timeless(ds)
        ds.AcquisitionNumber, ds.InstanceNumber = number, 1

    found = built(dynamic(made(SMALL, of_dynamic(change))), interval_s=4.0)
    assert found.clock == "AcquisitionNumber and a given interval"
    assert (found.voxels == volume.voxels).all()


def test_a_declared_interval_is_believed_before_a_content_time_and_not_before_an_acquisition_time(
    made: Studies,
) -> None:
    written = made(replace(SMALL, layout=Layout.CONTENT_TIME))
    assert built(dynamic(written), interval_s=4.0).times_s == pytest.approx(EVEN)
    assert built(dynamic(made(SMALL)), interval_s=4.0).times_s == pytest.approx(TIMES)


def test_a_gap_in_the_numbers_that_alone_order_images_is_refused(made: Studies) -> None:
    def change(ds: Dataset) -> None:
        number = ds.AcquisitionNumber
        timeless(ds)
        ds.InstanceNumber = number if number < 4 else number + 1

    with pytest.raises(IncompleteTimePoints, match="only InstanceNumber orders"):
        built(dynamic(made(SMALL, of_dynamic(change))), interval_s=4.0)


@pytest.mark.parametrize("first", [True, False])
def test_a_trigger_time_left_out_is_0_in_the_first_image_and_unknown_in_any_other(first: bool, made: Studies) -> None:
    def change(ds: Dataset) -> None:
        ds.ContentTime = ds.AcquisitionTime
        if ds.TriggerTime == (0 if first else 12_000):
            del ds.TriggerTime

    members = dynamic(made(replace(SMALL, times_s=EVEN, layout=Layout.TRIGGER_TIME), of_dynamic(change)))
    if not first:
        with pytest.raises(NoTimes):
            dynamic_stack_of(members)
        return
    found = dynamic_stack_of(members)
    assert found.times_s == pytest.approx(EVEN)
    assert found.clock == "TriggerTime, 0 in the first image, which states none"


def test_a_field_strength_in_gauss_is_converted_and_told(made: Studies) -> None:
    found = built(dynamic(made(replace(SMALL, gauss=True))))
    assert found.field_strength_t == pytest.approx(3.0)
    assert any("30000 is taken for gauss" in note for note in found.notes)


@pytest.mark.parametrize("layout", [Layout.ONE_SERIES, Layout.ENHANCED])
def test_the_agent_its_dose_and_its_timing_are_read_and_told(layout: Layout, made: Studies) -> None:
    contrast = built(dynamic(made(replace(SMALL, layout=layout)))).contrast
    assert (contrast.agent, contrast.volume_ml, contrast.flow_ml_s) == ("Gadobutrol", 7.5, 2.0)
    assert contrast.start_s == pytest.approx(5.0)
    assert contrast.concentration_mg_ml == pytest.approx(604.72)
    (words,) = contrast.words
    assert words.startswith("contrast agent Gadobutrol, volume 7.5 ml")
    assert words.endswith("begun 5.0 s after the first time point")


def test_a_start_of_the_bolus_hours_away_is_not_believed(made: Studies) -> None:
    def change(ds: Dataset) -> None:
        ds.ContrastBolusStartTime = "031500"

    found = built(dynamic(made(SMALL, of_dynamic(change))))
    assert found.contrast.start_s is None
    assert any(note.startswith("ContrastBolusStartTime lies more than an hour") for note in found.notes)


def test_a_header_without_agent_says_so(made: Studies) -> None:
    def change(ds: Dataset) -> None:
        lacking(*ds.dir("Contrast"))(ds)

    assert "contrast agent not stated in the header" in built(dynamic(made(SMALL, of_dynamic(change)))).notes


@pytest.mark.parametrize("keyword", ["RepetitionTime", "EchoTime", "FlipAngle", "MagneticFieldStrength"])
def test_what_no_image_states_is_none_and_no_default(keyword: str, made: Studies) -> None:
    found = built(dynamic(made(SMALL, of_dynamic(lacking(keyword)))))
    values = {
        "RepetitionTime": found.repetition_time_ms,
        "EchoTime": found.echo_time_ms,
        "FlipAngle": found.flip_angle_deg,
        "MagneticFieldStrength": found.field_strength_t,
    }
    assert [name for name, value in values.items() if value is None] == [keyword]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("FlipAngle", "0"),
        ("FlipAngle", "700"),
        ("FlipAngle", "-12"),
        ("RepetitionTime", "0.005"),
        ("RepetitionTime", "0"),
        ("EchoTime", "0"),
        ("MagneticFieldStrength", "900000000"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_by_its_keyword(keyword: str, value: str, made: Studies) -> None:
    members = dynamic(made(SMALL, of_dynamic(lambda ds: setattr(ds, keyword, value))))
    with pytest.raises(InvalidAttribute, match=keyword):
        built(members)


@pytest.mark.parametrize("keyword", ["FlipAngle", "RepetitionTime"])
def test_a_value_that_changes_between_time_points_is_refused_and_one_that_some_lack(
    keyword: str, made: Studies
) -> None:
    def other(ds: Dataset) -> None:
        if ds.AcquisitionNumber == 5:
            setattr(ds, keyword, "17")

    def lacking(ds: Dataset) -> None:
        if ds.AcquisitionNumber == 5:
            delattr(ds, keyword)

    with pytest.raises(InvalidAttribute, match=f"{keyword} goes from"):
        built(dynamic(made(SMALL, of_dynamic(other))))
    with pytest.raises(MissingAttribute, match=f"{keyword} of 3 of 27 images"):
        built(dynamic(made(SMALL, of_dynamic(lacking))))


def test_a_series_of_calculated_images_is_no_signal(made: Studies) -> None:
    def change(ds: Dataset) -> None:
        ds.ImageType = ["DERIVED", "SECONDARY", "MIP"]

    with pytest.raises(OtherKindOfImage):
        built(dynamic(made(SMALL, of_dynamic(change))))


# --- flip angles -------------------------------------------------------------------------------------------------


def test_the_slab_of_each_flip_angle_lies_on_the_grid_of_the_time_series(slab: FlipAngleSeries) -> None:
    assert slab.flip_angles_deg == (2.0, 5.0, 10.0, 15.0)
    assert slab.repetition_time_ms == 5.0
    assert slab.voxels.shape == (4, 3, 24, 24)
    assert slab.notes == ()
    assert np.isfinite(slab.voxels).all()


def test_the_highest_flip_angle_before_contrast_is_the_first_time_point(
    slab: FlipAngleSeries, volume: DceVolume
) -> None:
    assert np.abs(slab.voxels[-1] - volume.voxels[0]).max() <= 1


def test_images_of_one_flip_angle_are_averaged(plain: Study, slab: FlipAngleSeries, volume: DceVolume) -> None:
    (low, *_, high) = angles(plain)
    again = replace(high, series_instance_uid="1.2.3.4")
    found = flip_angles((low, high, again), dynamic_stack_of(dynamic(plain)))
    assert found.flip_angles_deg == (2.0, 15.0)
    assert (found.voxels == slab.voxels[[0, -1]]).all()


def test_a_slab_on_another_grid_is_brought_over_by_geometry(tmp_path: Path) -> None:
    """Half a voxel across, a linear signal is half-way between its neighbours; beyond the slab there is none."""

    paths = phantoms.write(make(SMALL), tmp_path)
    for path in paths:
        ds = dcmread(path)
        if ds.SeriesDescription.startswith("VFA"):
            x, y, z = ds.ImagePositionPatient
            ds.ImagePositionPatient = [float(x) - 5, y, float(z) + 5]
            ds.PixelData = np.tile(100 * np.arange(24, dtype="<u2"), (24, 1)).tobytes()
            ds.save_as(path)
    study = open_study(paths)
    found = flip_angles(angles(study), dynamic_stack_of(dynamic(study)))
    assert any("another grid" in note for note in found.notes)
    assert np.isnan(found.voxels[:, 0]).all()
    expected = 100 * np.minimum(np.arange(24) + 0.5, 23)
    assert found.voxels[0, 1, 3] == pytest.approx(expected)


def test_a_slab_in_another_frame_of_reference_is_refused(made: Studies) -> None:
    def change(ds: Dataset) -> None:
        ds.FrameOfReferenceUID = derived_uid("elsewhere")
        ds.PixelSpacing = [9, 9]

    study = made(SMALL, of_angles(change))
    with pytest.raises(MixedOrientations, match="frames of reference"):
        flip_angles(angles(study), dynamic_stack_of(dynamic(study)))


def test_flip_angles_acquired_after_contrast_are_no_witness_of_t1_before_it(made: Studies) -> None:
    def change(ds: Dataset) -> None:
        if ds.FlipAngle > 2:
            ds.AcquisitionTime = "235900"

    study = made(SMALL, of_angles(change))
    with pytest.raises(RoleMissing, match=r"two flip angles before contrast; .*acquired after contrast may have come"):
        flip_angles(angles(study), dynamic_stack_of(dynamic(study)))


CLOCKLESS = lacking("AcquisitionTime", "AcquisitionDateTime")


def slab_of_study(study: Study) -> FlipAngleSeries:
    return flip_angles(angles(study), dynamic_stack_of(dynamic(study), 4.0))


def test_flip_angles_without_a_clock_are_left_out_beside_an_examination_that_has_one(made: Studies) -> None:
    with pytest.raises(
        RoleMissing, match=r"no clock tells that flip angles of series \d+ were .* so they are left out"
    ):
        slab_of_study(made(SMALL, of_angles(CLOCKLESS)))


@pytest.mark.parametrize("change", [CLOCKLESS, of_dynamic(timeless)], ids=["neither has a clock", "they alone have"])
def test_flip_angles_beside_an_examination_without_a_clock_are_believed_and_that_is_said(
    change: Change, slab: FlipAngleSeries, made: Studies
) -> None:
    found = slab_of_study(made(SMALL, change))
    assert (found.voxels == slab.voxels).all()
    assert len(found.notes) == 4
    for note in found.notes:
        assert note.startswith("no clock tells that flip angles of series")
        assert note.endswith("were acquired before contrast")


def in_zone(offset: str) -> Change:
    """The frames of an enhanced examination state the same hour in another zone."""

    def change(ds: Dataset) -> None:
        for item in ds.PerFrameFunctionalGroupsSequence:
            content = item.FrameContentSequence[0]
            for keyword in ("FrameAcquisitionDateTime", "FrameReferenceDateTime"):
                content[keyword].value = f"{str(content[keyword].value)[:-5]}{offset}"

    return of_dynamic(change)


@pytest.mark.parametrize("offset", ["+0900", "-0900"])
def test_flip_angles_that_state_no_zone_are_compared_by_the_clock_on_the_wall(offset: str, made: Studies) -> None:
    def change(ds: Dataset) -> None:
        in_zone(offset)(ds)
        of_angles(lacking("TimezoneOffsetFromUTC"))(ds)

    found = slab_of_study(made(replace(SMALL, layout=Layout.ENHANCED), change))
    assert len(found.flip_angles_deg) == 4
    assert found.notes == ()


def test_flip_angles_that_state_another_zone_are_compared_as_moments(made: Studies) -> None:
    """They were acquired eight minutes before at +0800: the same hours at +0900 are over by then, at +0700 to come."""
    options = replace(SMALL, layout=Layout.ENHANCED)
    assert slab_of_study(made(options, in_zone("+0700"))).notes == ()
    with pytest.raises(RoleMissing, match="acquired after contrast"):
        slab_of_study(made(options, in_zone("+0900")))


@pytest.mark.parametrize(
    ("keyword", "value", "error"),
    [
        ("FlipAngle", None, MissingAttribute),
        ("FlipAngle", "0", InvalidAttribute),
        ("RepetitionTime", None, MissingAttribute),
        ("RepetitionTime", "0.004", InvalidAttribute),
    ],
)
def test_a_slab_whose_sequence_is_not_told_is_refused_by_keyword(
    keyword: str, value: str | None, error: type[Exception], made: Studies
) -> None:
    def change(ds: Dataset) -> None:
        delattr(ds, keyword) if value is None else setattr(ds, keyword, value)

    study = made(SMALL, of_angles(change))
    with pytest.raises(error, match=keyword):
        flip_angles(angles(study), dynamic_stack_of(dynamic(study)))


# --- data of others ----------------------------------------------------------------------------------------------


@pytest.mark.truth
def test_seventy_series_of_a_scanner_are_one_time_series_with_four_flip_angles(shared: Path) -> None:
    folder = shared / "data" / "mr-prostatex0218-dwi-dce"
    study = open_study(sorted(folder.glob("*twist/*.dcm")) + sorted(folder.glob("*vibe*/*.dcm")))
    members = tuple(series for series in study.series if series.description.startswith("Twist"))
    found = built(members)
    assert found.voxels.shape == (70, 5, 160, 160)
    assert np.diff(found.times_s)[1:] == pytest.approx(4.2325, abs=0.01)
    assert (found.repetition_time_ms, found.flip_angle_deg) == (3.85, 12.0)
    assert found.series_uids == tuple(series.series_instance_uid for series in members)
    others = tuple(series for series in study.series if series not in members)
    slab = flip_angles(others, dynamic_stack_of(members))
    assert slab.flip_angles_deg == (2.0, 5.0, 10.0, 20.0)
    assert slab.notes == ()
