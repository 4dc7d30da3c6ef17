"""A perfusion scan from DICOM to flow: what the phantom was made of comes out, in every layout."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.dicom.codes import Code, Method
from her2node.dicom.codes import Quantity as Concept
from her2node.dicom.uids import derived_uid
from her2node.models.package import load_packages
from her2node.phantoms.flow import Tissue
from her2node.phantoms.perfusion import Layout, PerfusionOptions, PerfusionStudy, make
from her2node.quantities.perfusion import Factors
from her2node.reading import Methods, Reading, read
from her2node.selection.roles import Role
from her2node.selection.study import open_study

EVERY_TWO = tuple(float(t) for t in range(0, 60, 2))
SMALL = PerfusionOptions(
    seed=3,
    times_s=EVERY_TWO,
    rows=96,
    columns=96,
    slices=8,
    slice_spacing_mm=6.0,
    noise_hu=0.0,
    step_hu=0.1,
    tumour=Tissue(90, 0.1, 20, 0.2, 2.0),
)
PER_VOLUME = Factors(density_g_ml=1.0)


def reading_of(folder: Path, study: PerfusionStudy, factors: Factors = PER_VOLUME) -> Reading:
    packages = load_packages(["lee2017-portal-liver"]).packages
    return read(open_study(phantoms.write(study, folder)), packages, methods=Methods(perfusion=factors))


def values(reading: Reading, method: Code) -> dict[Code, float]:
    return {one.code: one.value for one in reading.quantities if one.method == method}


def reasons(reading: Reading) -> set[str]:
    return {one.refused.reason for one in reading.not_measured}


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    return reading_of(tmp_path_factory.mktemp("still"), make(SMALL))


def test_from_dicom_at_one_second_the_model_finds_all_four_within_five_per_cent(tmp_path: Path) -> None:
    options = replace(SMALL, times_s=tuple(float(t) for t in range(61)))
    found = values(reading_of(tmp_path, make(options)), Method.EXCHANGE)
    truth = options.tumour
    assert found[Concept.BLOOD_FLOW] == pytest.approx(truth.flow, rel=0.05)
    assert found[Concept.BLOOD_VOLUME] == pytest.approx(100 * truth.volume, rel=0.05)
    assert found[Concept.MEAN_TRANSIT_TIME] == pytest.approx(truth.transit_s, rel=0.05)
    assert found[Concept.PERMEABILITY] == pytest.approx(truth.exchange, rel=0.05)


def test_every_quantity_has_role_series_and_what_it_was_set_to(still: Reading) -> None:
    assert {one.role for one in still.quantities} == {Role.PERFUSION}
    assert {one.roi for one in still.quantities} == {still.tumour}
    (series,) = (s for s in still.study.series if s.modality == "CT")
    assert {one.series_uids for one in still.quantities} == {(series.series_instance_uid,)}
    printed = next(one.parameters for one in still.quantities if one.code == Concept.BLOOD_FLOW)
    assert any(words.startswith("tissue density 1 ") for words in printed)
    assert any(words.startswith("arterial input found") for words in printed)


def test_seven_maps_lie_on_the_images_of_one_time_point(still: Reading) -> None:
    assert len(still.maps) == 7
    (measured,) = still.measured
    for one in still.maps:
        assert one.voxels.shape == measured.geometry.shape
        assert one.sources == measured.sources


def test_in_a_tumour_that_leaks_only_the_maps_of_deconvolution_are_open_and_they_are_wholly(still: Reading) -> None:
    (laid,) = still.rois
    filled = {(one.method, one.code): float(np.isfinite(one.voxels[laid.roi.mask]).mean()) for one in still.maps}
    deconvolved = {key for key in filled if key[0] == Method.DECONVOLUTION_MAP}
    assert len(deconvolved) == 4
    assert {filled[key] for key in deconvolved} == {0.0}
    assert {filled[key] for key in filled.keys() - deconvolved} == {1.0}


def test_a_tumour_that_leaks_is_measured_by_the_model_that_knows_of_leakage_and_by_no_other(still: Reading) -> None:
    flows = {one.method for one in still.quantities if one.code == Concept.BLOOD_FLOW}
    assert Method.EXCHANGE in flows
    assert not flows & {Method.DECONVOLUTION, Method.MAXIMUM_SLOPE}
    assert any("in tissue with such a curve it is right in" in one.refused.detail for one in still.not_measured)


@pytest.mark.parametrize("layout", [Layout.SERIES_A_POINT, Layout.ENHANCED])
def test_the_layout_plays_no_part(tmp_path: Path, still: Reading, layout: Layout) -> None:
    found = reading_of(tmp_path, make(replace(SMALL, layout=layout)))
    assert [one.value for one in found.quantities] == pytest.approx([one.value for one in still.quantities])
    if layout is Layout.SERIES_A_POINT:
        assert len(found.measured) == len(EVERY_TWO)
        assert found.measured[0].series_instance_uid == found.quantities[0].series_uids[0]


def halves(ds: Dataset) -> list[Dataset]:
    """The later half of the time points in a series of its own."""
    if int(ds.AcquisitionNumber) > len(EVERY_TWO) // 2:
        ds.SeriesInstanceUID, ds.SeriesNumber = derived_uid("test half", ds.SeriesInstanceUID), 77
    return [ds]


def untagged(ds: Dataset) -> list[Dataset]:
    """Nothing but the time of acquisition tells time points apart."""
    for keyword in ("TemporalPositionIdentifier", "NumberOfTemporalPositions", "AcquisitionNumber"):
        delattr(ds, keyword)
    return [ds]


def object_a_point(ds: Dataset) -> list[Dataset]:
    """An enhanced object of each time point, all in one series."""
    frames, size, count = ds.PerFrameFunctionalGroupsSequence, 2 * ds.Rows * ds.Columns, SMALL.slices
    made = []
    for begin in range(0, len(frames), count):
        part = deepcopy(ds)
        part.PerFrameFunctionalGroupsSequence = frames[begin : begin + count]
        part.NumberOfFrames = count
        part.PixelData = ds.PixelData[begin * size : (begin + count) * size]
        part.SOPInstanceUID = part.file_meta.MediaStorageSOPInstanceUID = derived_uid("test point", str(begin))
        part.InstanceNumber = begin // count + 1
        made.append(part)
    return made


@pytest.mark.parametrize(
    ("layout", "packed"),
    [(Layout.ONE_SERIES, halves), (Layout.ONE_SERIES, untagged), (Layout.ENHANCED, object_a_point)],
)
def test_how_a_scan_is_packed_plays_no_part(
    tmp_path: Path, still: Reading, layout: Layout, packed: Callable[[Dataset], list[Dataset]]
) -> None:
    paths = []
    for path in phantoms.write(make(replace(SMALL, layout=layout)), tmp_path):
        ds = dcmread(path)
        if ds.Modality != "CT":
            paths.append(path)
            continue
        for number, part in enumerate(packed(ds)):
            paths.append(path.with_name(f"{path.stem}-{number}.dcm"))
            part.save_as(paths[-1], enforce_file_format=True)
    found = read(open_study(paths), (), methods=Methods(perfusion=PER_VOLUME))
    assert [one.value for one in found.quantities] == pytest.approx([one.value for one in still.quantities])
    for one in found.measured:
        series = found.study.series_of(one.series_instance_uid)
        assert series is not None
        held = {instance.identity.sop_instance_uid for instance in series.instances}
        assert {source.sop_instance_uid for source in one.sources} <= held


def test_a_shuttle_gives_the_flow_too(tmp_path: Path) -> None:
    found = reading_of(tmp_path, make(replace(SMALL, layout=Layout.SHUTTLE)))
    assert values(found, Method.EXCHANGE)[Concept.BLOOD_FLOW] == pytest.approx(90, rel=0.1)
    printed = next(one.parameters for one in found.quantities if one.code == Concept.BLOOD_FLOW)
    assert any("cubic splines" in words for words in printed)


def test_a_patient_who_breathes_is_followed_and_the_shift_is_told(tmp_path: Path, still: Reading) -> None:
    shifts = tuple((float(2 * np.sin(k)), 0.0, float(4 * np.sin(1.3 * k))) for k in range(len(EVERY_TWO)))
    moving = make(replace(SMALL, shifts_mm=shifts, slices=12, slice_spacing_mm=4.0))
    found = reading_of(tmp_path / "a", moving)
    left = reading_of(tmp_path / "b", moving, replace(PER_VOLUME, correct_motion=False))
    largest_mm = _farthest_from_the_time_point_in_the_middle(shifts)
    assert values(found, Method.TRANSLATION)[Concept.LARGEST_SHIFT] == pytest.approx(largest_mm, abs=0.5)
    for quantity in (Concept.BLOOD_FLOW, Concept.PERMEABILITY):
        wanted = values(still, Method.EXCHANGE)[quantity]
        assert values(found, Method.EXCHANGE)[quantity] == pytest.approx(wanted, rel=0.01)
        assert quantity not in values(left, Method.EXCHANGE)
        assert "outside-regime" in {one.refused.reason for one in left.not_measured if one.code == quantity}
    assert not any(one.flags for one in found.quantities)


def _farthest_from_the_time_point_in_the_middle(shifts_mm: tuple[tuple[float, float, float], ...]) -> float:
    """MOTION-MAX: the longest shift against the time point that lies nearest to the median of all."""
    moved = np.array(shifts_mm)
    middle = moved[np.linalg.norm(moved - np.median(moved, axis=0), axis=1).argmin()]
    return float(np.linalg.norm(moved - middle, axis=1).max())


def labelled(label: str) -> Callable[[PerfusionStudy], PerfusionStudy]:
    """The study with the phantom's region once more, under another label and shape of an aorta."""

    def change(study: PerfusionStudy) -> PerfusionStudy:
        aorta = next(s for s in study.anatomy.structures if s.name == "aorta")
        low, high = aorta.shape.bounds_mm
        tumour = study.anatomy.tumour.shape
        centre = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, tumour.centre_mm[2])
        shape = replace(tumour, centre_mm=centre, semi_axes_mm=(6.0, 6.0, 12.0))
        other = replace(study.anatomy, tumour=replace(study.anatomy.tumour, shape=shape))

        def region(of: object) -> object:
            (ds,) = study.parts[1](replace(study, anatomy=other))
            yield renamed(ds)

        def renamed(ds: Dataset) -> Dataset:
            ds.SpecificCharacterSet = "ISO_IR 192"
            ds.SeriesInstanceUID = derived_uid("test series", label)
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = derived_uid("test", label)
            ds.SeriesNumber = 301
            segment = ds.SegmentSequence[0]
            segment.SegmentLabel = segment.TrackingID = label
            segment.TrackingUID = derived_uid("test tracking", label)
            kind = segment.SegmentedPropertyTypeCodeSequence[0]
            kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning = "85756007", "SCT", "Tissue"
            return ds

        return replace(study, parts=(*study.parts, region))

    return change


@pytest.mark.parametrize("label", ["Aorta", "AIF", "腹主动脉"])
def test_a_given_artery_goes_before_the_found_one_and_is_no_tumour(tmp_path: Path, still: Reading, label: str) -> None:
    found = reading_of(tmp_path, labelled(label)(make(SMALL)))
    assert found.tumour == still.tumour
    printed = next(one.parameters for one in found.quantities if one.code == Concept.BLOOD_FLOW)
    assert f"arterial input given: {label}" in printed
    wanted = values(still, Method.EXCHANGE)[Concept.BLOOD_FLOW]
    assert values(found, Method.EXCHANGE)[Concept.BLOOD_FLOW] == pytest.approx(wanted, rel=0.05)


def test_without_a_region_there_are_maps_and_no_quantity(tmp_path: Path) -> None:
    found = reading_of(tmp_path, make(replace(SMALL, rois=())))
    assert len(found.maps) == 7
    assert not found.quantities
    assert "no-roi" in reasons(found)


def test_a_scan_without_contrast_has_no_arterial_input(tmp_path: Path) -> None:
    dry = replace(SMALL, artery=replace(SMALL.artery, peak=1.0))
    found = reading_of(tmp_path, make(dry))
    assert "no-arterial-input" in reasons(found)
    assert not found.quantities


def test_one_image_missing_is_refused_by_name(tmp_path: Path) -> None:
    paths = phantoms.write(make(SMALL), tmp_path)
    found = read(open_study([path for path in paths if path.name != "00020.dcm"]), ())
    assert "incomplete-time-points" in reasons(found)
    assert not found.quantities
