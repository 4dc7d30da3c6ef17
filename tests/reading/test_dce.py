"""A dynamic MR from DICOM to transfer of contrast: what the phantom was made of comes out, and what cannot is said."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node.dicom.codes import Code, Dce, Derivation, percentile_modifier
from her2node.dicom.codes import Quantity as Concept
from her2node.dicom.uids import derived_uid
from her2node.phantoms.dce import DceOptions, Layout
from her2node.phantoms.leakage import Echo, Leaky, concentration, first_minute
from her2node.phantoms.options import RoiForm
from her2node.quantities.dce import DceFactors
from her2node.quantities.quantity import Quantity
from her2node.reading import Methods, Reading, read
from her2node.selection.roles import Role
from her2node.selection.study import open_study
from her2node.service.workshop import methods_of
from her2node.settings import Settings
from tests.reading import qiba
from tests.volumes.dce_made import Change, Studies, lacking, of_angles, of_dynamic, timeless

FACTORS = DceFactors(haematocrit=0.42, blood_t1_s=1.66, relaxivity=4.5)
"""Those of the phantom."""
SMALL = DceOptions(
    times_s=tuple(float(t) for t in range(0, 100, 4)), rows=32, columns=32, slices=4, spacing_mm=7.0, noise=0.0,
    haematocrit=0.42,
)  # fmt: skip
TRUTH = SMALL.tumour


class Reader:
    """Reads the study of some options with the factors of the phantom."""

    def __init__(self, made: Studies) -> None:
        self._made = made

    def __call__(self, options: DceOptions = SMALL, change: Change | None = None, **methods: Any) -> Reading:
        return read(self._made(options, change), (), methods=Methods(**{"dce": FACTORS} | methods))


def found(reading: Reading, code: Code, modifier: Code | None = Derivation.MEAN) -> list[Quantity]:
    return [q for q in reading.quantities if (q.code, q.modifier) == (code, modifier)]


def value(reading: Reading, code: Code, modifier: Code | None = Derivation.MEAN) -> float:
    return found(reading, code, modifier)[0].value


def refused(reading: Reading, code: Code | None) -> list[str]:
    return [str(one.refused) for one in reading.not_measured if one.code == code and one.role is Role.DCE]


def printed(reading: Reading) -> str:
    return "; ".join(found(reading, Dce.PEAK_ENHANCEMENT, None)[0].parameters)


@pytest.fixture(scope="module")
def reading_of(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(Studies(tmp_path_factory.mktemp("dce")))


@pytest.fixture(scope="module")
def plain(reading_of: Reader) -> Reading:
    return reading_of(SMALL)


# --- truth out ---------------------------------------------------------------------------------------------------


def test_what_the_tumour_is_made_of_comes_out(plain: Reading) -> None:
    assert value(plain, Dce.KTRANS) == pytest.approx(TRUTH.ktrans, rel=0.02)
    assert value(plain, Dce.KEP) == pytest.approx(TRUTH.kep, rel=0.02)
    assert value(plain, Dce.VE) == pytest.approx(TRUTH.ve, rel=0.02)
    assert value(plain, Dce.VP) == pytest.approx(TRUTH.vp, abs=0.003)
    assert value(plain, Dce.T1) == pytest.approx(TRUTH.t1_ms, rel=0.005)


def test_a_patient_like_the_phantom_s_is_read_as_he_is_by_the_factors_that_a_site_sets_nothing_of(
    reading_of: Reader,
) -> None:
    """Noise and all, at 3 s between images: neither this sampling nor the default factors bend anything."""
    options = DceOptions(rows=32, columns=32, slices=4, spacing_mm=7.0)
    reading, truth = reading_of(options, dce=DceFactors()), options.tumour
    area = first_minute(options.artery, truth, options.haematocrit)
    for code, true in ((Dce.KTRANS, truth.ktrans), (Dce.KEP, truth.kep), (Dce.VE, truth.ve), (Dce.IAUC60, area)):
        assert value(reading, code) == pytest.approx(true, rel=0.01)
    assert value(reading, Dce.VP) == pytest.approx(truth.vp, rel=0.02)


@pytest.mark.parametrize("interval_s", [2.0, 4.0, 6.0])
def test_longer_intervals_between_images_cost_little(interval_s: float, reading_of: Reader) -> None:
    """Up to 4 s cubic splines tell the bolus, which takes 8 s to its peak; beyond, its peak and with it vp is not."""
    options = replace(SMALL, times_s=tuple(np.arange(0.0, 180.0, interval_s)))
    reading = reading_of(options)
    least, of_vp = (0.01, 0.01) if interval_s <= 4 else (0.03, 0.1)
    assert value(reading, Dce.KTRANS) == pytest.approx(TRUTH.ktrans, rel=least)
    assert value(reading, Dce.VE) == pytest.approx(TRUTH.ve, rel=least)
    assert value(reading, Dce.VP) == pytest.approx(TRUTH.vp, rel=of_vp)


def test_a_haematocrit_or_relaxivity_that_is_not_the_patient_s_moves_what_theory_says(
    plain: Reading, reading_of: Reader
) -> None:
    """Ktrans, ve and vp go with 1 - haematocrit, the area with 1 / r1."""
    paler = reading_of(SMALL, dce=replace(FACTORS, haematocrit=0.3))
    stronger = reading_of(SMALL, dce=replace(FACTORS, relaxivity=5.0))
    for code in (Dce.KTRANS, Dce.VE, Dce.VP):
        assert value(paler, code) / value(plain, code) == pytest.approx(0.7 / 0.58, rel=1e-4)
    assert value(paler, Dce.KEP) == pytest.approx(value(plain, Dce.KEP), rel=1e-4)
    assert value(stronger, Dce.IAUC60) / value(plain, Dce.IAUC60) == pytest.approx(4.5 / 5.0, rel=1e-4)


@pytest.mark.parametrize("layout", [layout for layout in Layout if layout is not Layout.ONE_SERIES])
def test_the_layout_of_the_images_changes_no_value(layout: Layout, plain: Reading, reading_of: Reader) -> None:
    other = reading_of(replace(SMALL, layout=layout))
    for code in (Dce.KTRANS, Dce.KEP, Dce.VE, Dce.VP, Dce.T1, Dce.IAUC60):
        assert value(other, code) == pytest.approx(value(plain, code), rel=1e-9)


def test_outlines_and_segments_measure_alike(plain: Reading, reading_of: Reader) -> None:
    other = reading_of(replace(SMALL, rois=(RoiForm.CONTOURS,)))
    assert value(other, Dce.KTRANS) == pytest.approx(value(plain, Dce.KTRANS), rel=0.005)


def test_the_distribution_of_ktrans_kep_and_ve_is_told(plain: Reading) -> None:
    """The eighteen features of the review's study 28."""
    for code in (Dce.KTRANS, Dce.KEP, Dce.VE):
        for modifier in (Derivation.MEAN, Derivation.MEDIAN, *map(percentile_modifier, (10, 25, 75, 90))):
            assert len(found(plain, code, modifier)) == 1


def test_every_quantity_has_role_region_and_what_it_was_set_to(plain: Reading) -> None:
    assert {q.role for q in plain.quantities} == {Role.DCE}
    assert {q.roi for q in plain.quantities} == {plain.tumour}
    for words in (
        "arterial input given: Aorta",
        "25 time points by AcquisitionDate and AcquisitionTime",
        "contrast agent Gadobutrol, volume 7.5 ml",
        "begun 5.0 s after the first time point",
        "T1 by flip angles 2, 5, 10, 15",
        "relaxivity 4.5",
        "haematocrit 0.42",
    ):
        assert words in printed(plain)


def test_the_size_of_the_region_is_measured_on_the_dynamic_grid(plain: Reading) -> None:
    assert len(found(plain, Concept.VOLUME, None)) == 1


def test_maps_lie_on_the_images_of_one_time_point(plain: Reading) -> None:
    assert {Dce.KTRANS, Dce.KEP, Dce.VE, Dce.VP, Dce.T1} <= {one.code for one in plain.maps}
    (roi,) = (one.roi for one in plain.rois)
    for one in plain.maps:
        assert one.voxels.shape == (4, 32, 32)
        assert len(set(one.sources)) == 4
        assert one.series_uids[0] in {measured.series_instance_uid for measured in plain.measured}
    ktrans = next(one for one in plain.maps if one.code == Dce.KTRANS)
    assert np.nanmean(ktrans.voxels[roi.mask]) == pytest.approx(value(plain, Dce.KTRANS))


def test_maps_are_made_without_a_region_too(reading_of: Reader) -> None:
    reading = reading_of(replace(SMALL, rois=()))
    assert Dce.KTRANS in {one.code for one in reading.maps}
    assert not reading.quantities


def test_the_images_that_were_used_are_told_with_their_roles(plain: Reading) -> None:
    assert [one.role for one in plain.measured] == [Role.DCE] + [Role.FLIP_ANGLES] * 4


def test_each_series_that_is_a_time_point_is_told_with_its_own_images(reading_of: Reader) -> None:
    reading = reading_of(replace(SMALL, layout=Layout.SERIES_A_POINT))
    dynamics = [one for one in reading.measured if one.role is Role.DCE]
    assert len(dynamics) == 25
    assert len({source for one in dynamics for source in one.sources}) == 100
    assert reading.rois[0].series_instance_uid in {one.series_instance_uid for one in dynamics}
    assert len(found(reading, Dce.KTRANS)[0].series_uids) == 25


def test_the_region_is_shown_on_a_time_point_with_contrast(plain: Reading) -> None:
    (laid,) = plain.rois
    first = plain.study.series_of(laid.series_instance_uid)
    assert first is not None
    before = dcmread(first.instances[laid.key_slice].path).pixel_array
    inside = laid.roi.mask[laid.key_slice]
    assert laid.key_image[inside].mean() > 1.5 * before[inside].mean()


def test_the_same_study_gives_the_same_numbers(plain: Reading, reading_of: Reader) -> None:
    assert reading_of(SMALL).quantities == plain.quantities


# --- few phases --------------------------------------------------------------------------------------------------


def test_few_phases_tell_enhancement_and_no_model_is_fitted(reading_of: Reader) -> None:
    """As of an abdomen before contrast, and in its arterial, portal and late phases."""
    options = replace(SMALL, times_s=(0.0, 40.0, 80.0, 240.0))
    reading = reading_of(options)
    agent = concentration(options.artery, TRUTH, options.haematocrit, options.times_s)
    signal = Echo(options.repetition_time_ms, options.flip_angle_deg).signal(TRUTH.m0, TRUTH.t1_ms, agent, 4.5)
    above = signal / signal[0] - 1
    peak = int(above.argmax())
    expected = {
        Dce.PEAK_ENHANCEMENT: above[peak],
        Dce.TIME_TO_PEAK: options.times_s[peak],
        Dce.WASH_IN: 60 * above[peak] / options.times_s[peak],
        Dce.WASH_OUT: 60 * (above[-1] - above[peak]) / (options.times_s[-1] - options.times_s[peak]),
        Dce.SER: above[1] / above[-1],
    }
    for code, of_truth in expected.items():
        (one,) = found(reading, code, None)
        assert one.value == pytest.approx(of_truth, rel=0.01)
        assert "4 phases at 0, 40, 80, 240 s, the first taken for the one before contrast" in "; ".join(one.parameters)
        assert not one.flags
    assert found(reading, Dce.SER, None)[0].method == Dce.ratio_of_phases(40, 240)
    for code in (Dce.KTRANS, Dce.KEP, Dce.VE, Dce.VP, Dce.IAUC60):
        assert not found(reading, code)
        assert "4, 8 needed" in refused(reading, code)[0]
    assert not reading.maps
    assert not refused(reading, None)


def test_phases_of_which_the_first_has_contrast_by_the_header_are_refused(reading_of: Reader) -> None:
    """An injection 35 s before the first image."""
    reading = reading_of(replace(SMALL, times_s=(40.0, 80.0, 120.0, 240.0)))
    assert not found(reading, Dce.PEAK_ENHANCEMENT, None)
    assert any("the injection began 35 s before the first of 4 phases" in words for words in refused(reading, None))


def test_phases_of_an_injection_that_no_header_tells_are_flagged(reading_of: Reader) -> None:
    options = replace(SMALL, times_s=(0.0, 40.0, 80.0, 240.0))
    reading = reading_of(options, of_dynamic(lacking("ContrastBolusStartTime")))
    for code in (Dce.PEAK_ENHANCEMENT, Dce.TIME_TO_PEAK, Dce.WASH_IN, Dce.WASH_OUT, Dce.SER):
        (one,) = found(reading, code, None)
        assert any("the first image may have it already" in flag for flag in one.flags)


def test_phases_that_do_not_rise_have_no_enhancement(reading_of: Reader) -> None:
    still = Leaky(1e-6, 0.3, 0.0, 1200.0)
    reading = reading_of(replace(SMALL, times_s=(0.0, 40.0, 80.0, 240.0), tumour=still))
    assert not found(reading, Dce.PEAK_ENHANCEMENT, None)
    assert any("less than 10% above" in words for words in refused(reading, None))


def test_what_is_left_of_eight_images_whose_first_was_not_steady_is_no_handful_of_phases(reading_of: Reader) -> None:
    def unsteady(ds: Dataset) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = (1.4 if ds.TemporalPositionIdentifier == 1 else 1), 0

    options = replace(SMALL, times_s=(0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 40.0, 60.0), aorta=False)
    assert found(reading_of(options), Dce.PEAK_ENHANCEMENT, None)
    reading = reading_of(options, of_dynamic(unsteady))
    assert {one.code for one in reading.quantities}.isdisjoint((Dce.PEAK_ENHANCEMENT, Dce.TIME_TO_PEAK, Dce.SER))
    (why,) = refused(reading, None)
    assert "7, 8 needed; first image left out" in why


# --- arterial input ----------------------------------------------------------------------------------------------


def test_without_an_artery_a_population_s_is_taken_and_said(reading_of: Reader) -> None:
    reading = reading_of(replace(SMALL, aorta=False))
    assert "population arterial input Parker" in printed(reading)
    assert 0.3 < value(reading, Dce.KTRANS) / TRUTH.ktrans < 3


def test_an_artery_whose_curve_is_none_of_blood_is_passed_over_and_named(reading_of: Reader) -> None:
    def renamed(ds: Dataset) -> None:
        for segment in ds.get("SegmentSequence", ()):
            segment.TrackingID = segment.SegmentLabel = {"Tumour": "AIF", "Aorta": "Spleen"}[segment.SegmentLabel]
            del segment.SegmentedPropertyTypeCodeSequence, segment.SegmentedPropertyCategoryCodeSequence

    def weak(ds: Dataset) -> None:
        renamed(ds)
        if ds.Modality == "MR" and ds.SeriesDescription == "DCE dynamic":
            ds.RepetitionTime = "90"

    reading = reading_of(SMALL, weak)
    assert "given artery AIF not used" in "; ".join(reading.maps[0].parameters)


# --- T1 ----------------------------------------------------------------------------------------------------------


def test_without_flip_angles_a_t1_is_assumed_and_said(reading_of: Reader) -> None:
    known = replace(FACTORS, t1_s=1.2)
    reading = reading_of(replace(SMALL, flip_angles_deg=()), dce=known)
    assert "T1 of tissue 1.2 s assumed" in printed(reading)
    assert value(reading, Dce.KTRANS) == pytest.approx(TRUTH.ktrans, rel=0.03)
    assert not found(reading, Dce.T1)


def test_flip_angles_in_another_frame_of_reference_lie_idle_and_the_report_says_why(reading_of: Reader) -> None:
    def elsewhere(ds: Dataset) -> None:
        ds.FrameOfReferenceUID = derived_uid("elsewhere")

    reading = reading_of(SMALL, of_angles(elsewhere))
    (why,) = refused(reading, Dce.T1)
    assert "frames of reference" in why
    assert "flip angles not used" in printed(reading)
    assert "T1 of tissue 1 s assumed" in printed(reading)


@pytest.mark.parametrize(
    ("keyword", "wrong"),
    [("FlipAngle", None), ("FlipAngle", "0"), ("RepetitionTime", None), ("RepetitionTime", "0.005")],
)
def test_flip_angles_whose_sequence_is_not_told_are_no_reason_to_assume_a_t1(
    keyword: str, wrong: str | None, reading_of: Reader
) -> None:
    def change(ds: Dataset) -> None:
        if keyword == "RepetitionTime" or ds.FlipAngle == 5:
            delattr(ds, keyword) if wrong is None else setattr(ds, keyword, wrong)

    reading = reading_of(SMALL, of_angles(change))
    assert not found(reading, Dce.KTRANS)
    assert all(keyword in why for why in refused(reading, Dce.KTRANS))
    assert f"T1 of tissue not known: {refused(reading, Dce.KTRANS)[0]}" in printed(reading)
    assert value(reading, Dce.PEAK_ENHANCEMENT, None) > 1


# --- headers that lack what is needed ----------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", ["FlipAngle", "RepetitionTime"])
def test_without_flip_angle_or_repetition_time_models_are_refused_by_its_name_and_signal_is_told(
    keyword: str, reading_of: Reader
) -> None:
    reading = reading_of(SMALL, of_dynamic(lacking(keyword)))
    assert not found(reading, Dce.KTRANS)
    assert refused(reading, Dce.KTRANS)
    assert all(keyword in why for why in refused(reading, Dce.KTRANS))
    assert value(reading, Dce.PEAK_ENHANCEMENT, None) > 1


@pytest.mark.parametrize(("keyword", "wrong"), [("FlipAngle", "0"), ("FlipAngle", "180"), ("RepetitionTime", "0.005")])
def test_a_sequence_that_cannot_be_is_refused_by_its_keyword(keyword: str, wrong: str, reading_of: Reader) -> None:
    reading = reading_of(SMALL, of_dynamic(lambda ds: setattr(ds, keyword, wrong)))
    assert not reading.quantities
    (why,) = refused(reading, None)
    assert f"{keyword} holds" in why


def test_images_without_times_are_refused_until_an_interval_is_declared(plain: Reading, reading_of: Reader) -> None:
    without = reading_of(SMALL, of_dynamic(timeless))
    assert not without.quantities
    assert [one.refused.reason for one in without.not_measured if one.role is Role.DCE] == ["no-times"]
    declared = reading_of(SMALL, of_dynamic(timeless), interval_s=4.0)
    assert value(declared, Dce.KTRANS) == pytest.approx(value(plain, Dce.KTRANS), rel=1e-6)
    assert "InstanceNumber and a given interval" in printed(declared)


def test_a_field_in_gauss_is_converted_and_printed(plain: Reading, reading_of: Reader) -> None:
    reading = reading_of(replace(SMALL, gauss=True))
    assert "MagneticFieldStrength 30000 is taken for gauss: 3 T" in printed(reading)
    assert value(reading, Dce.KTRANS) == pytest.approx(value(plain, Dce.KTRANS))


def test_a_region_in_another_frame_of_reference_is_refused(reading_of: Reader) -> None:
    def moved(ds: Dataset) -> None:
        if ds.Modality == "MR":
            ds.FrameOfReferenceUID = derived_uid("another")

    reading = reading_of(SMALL, moved)
    assert not reading.quantities
    assert [one.refused.reason for one in reading.not_measured if one.roi] == ["other-frame-of-reference"]


# --- motion ------------------------------------------------------------------------------------------------------


def test_breathing_is_undone_and_its_extent_told(reading_of: Reader) -> None:
    shifts = tuple((0.0, 14.0 if when % 3 == 2 else 0.0, 0.0) for when in range(25))
    moving = replace(SMALL, shifts_mm=shifts)
    corrected = reading_of(moving)
    left = reading_of(moving, dce=replace(FACTORS, correct_motion=False))
    assert value(corrected, Concept.LARGEST_SHIFT, None) == pytest.approx(14, abs=1)
    assert abs(value(corrected, Dce.KTRANS) / TRUTH.ktrans - 1) < 0.1
    assert abs(value(corrected, Dce.KTRANS) / TRUTH.ktrans - 1) < abs(value(left, Dce.KTRANS) / TRUTH.ktrans - 1)
    assert not found(left, Concept.LARGEST_SHIFT, None)


# --- data of others ----------------------------------------------------------------------------------------------

QIBA = """
[dce]
model = "tofts"
t1_s = 1.0
blood_t1_s = 1.44
relaxivity = 4.5
haematocrit = 0.45
"""


@pytest.mark.truth
def test_qiba_s_reference_object_gives_ktrans_within_0_2_and_ve_within_0_3_per_cent(
    shared: Path, tmp_path: Path
) -> None:
    """From the files as they come, big endian and ordered by InstanceNumber, by the settings of a site."""
    files = qiba.study(shared / "reference" / "qiba-dce-v6" / "QIBA_v06_Tofts_dicom.tar.gz", tmp_path)
    settings = Settings(**tomllib.loads(QIBA))
    reading = read(open_study(files), (), methods=methods_of(settings))
    ktrans, ve = (next(m for m in reading.maps if m.code == code).voxels[0] for code in (Dce.KTRANS, Dce.VE))
    assert "TriggerTime, 0 in the first image" in "; ".join(reading.maps[0].parameters)
    assert "arterial input given: AIF" in reading.maps[0].parameters
    for (true_ktrans, true_ve), patch in qiba.patches():
        assert ktrans[patch] == pytest.approx(np.full((10, 10), true_ktrans), rel=0.002)
        assert ve[patch] == pytest.approx(np.full((10, 10), true_ve), rel=0.003)


@pytest.mark.truth
@pytest.mark.soak
def test_by_the_default_model_of_maps_qiba_s_regions_still_have_the_standard_model_s_values_by_name(
    shared: Path, tmp_path: Path
) -> None:
    """Its tissues have no plasma; the extended model finds a little of it, and less than 1 % of Ktrans goes astray."""
    files = qiba.study(shared / "reference" / "qiba-dce-v6" / "QIBA_v06_Tofts_dicom.tar.gz", tmp_path)
    methods = methods_of(Settings(**tomllib.loads(QIBA)))
    methods = replace(methods, dce=replace(methods.dce, model=DceFactors().model))
    reading = read(open_study(files), (), methods=methods, every_roi=True)
    regions = {one.roi.label: one.roi.tracking_id for one in reading.rois}

    def of(label: str, code: Code, method: Code) -> float:
        wanted = (regions[label], code, method)
        return next(q.value for q in reading.quantities if (q.roi, q.code, q.method) == wanted)

    for (true_ktrans, true_ve), _ in qiba.patches():
        label = qiba.name(true_ktrans, true_ve)
        assert of(label, Dce.KTRANS, Dce.TOFTS_CURVE) == pytest.approx(true_ktrans, rel=0.002)
        assert of(label, Dce.VE, Dce.TOFTS_CURVE) == pytest.approx(true_ve, rel=0.003)
        assert of(label, Dce.KTRANS, Dce.EXTENDED_TOFTS_CURVE) == pytest.approx(true_ktrans, rel=0.01)
        assert of(label, Dce.VE, Dce.EXTENDED_TOFTS_CURVE) == pytest.approx(true_ve, rel=0.003)


def test_seventy_series_of_a_scanner_give_t1_and_maps_of_the_prostate(shared: Path) -> None:
    folder = shared / "data" / "mr-prostatex0218-dwi-dce"
    study = open_study(sorted(folder.glob("*twist/*.dcm")) + sorted(folder.glob("*vibe*/*.dcm")))
    reading = read(study, ())
    found = {one.code: one for one in reading.maps}
    assert {Dce.KTRANS, Dce.KEP, Dce.VE, Dce.VP, Dce.T1, Dce.IAUC60} <= set(found)
    assert len(found[Dce.KTRANS].series_uids) == 70
    middle = (slice(None), slice(60, 100), slice(60, 100))
    t1 = found[Dce.T1].voxels[middle]
    assert np.isfinite(t1).mean() > 0.9
    assert 700 < np.nanmedian(t1) < 2500
    ktrans = found[Dce.KTRANS].voxels[middle]
    assert np.isfinite(ktrans).mean() > 0.5
    assert 0.01 < np.nanmedian(ktrans) < 1.0
    assert "contrast agent not stated in the header" in found[Dce.KTRANS].parameters
