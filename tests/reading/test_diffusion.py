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
from her2node.dicom.codes import Code, Derivation, Diffusion, Unit
from her2node.dicom.codes import Quantity as Concept
from her2node.dicom.uids import derived_uid
from her2node.errors import UnknownUnit
from her2node.models.inputs import Where, gather
from her2node.models.literature.writing import DECLARED
from her2node.models.manifest import QuantityInput
from her2node.models.package import load_packages
from her2node.phantoms.diffusion import TUMOUR, DiffusionOptions, make
from her2node.phantoms.weighting import Tagging
from her2node.quantities.quantity import Quantity
from her2node.reading import Reading, read
from her2node.selection.roles import Role
from her2node.selection.study import Series, Study, open_study

FULL = DiffusionOptions()
FEW = DiffusionOptions(b_values=(0, 50, 800), rows=64, columns=64, spacing_mm=4.0)


def reading_of(
    folder: Path, options: DiffusionOptions, change: Callable[[Dataset], None] | None = None, every_roi: bool = False
) -> Reading:
    paths = phantoms.write(make(options), folder)
    for path in paths if change else ():
        ds = dcmread(path)
        change(ds)
        ds.save_as(path)
    return read(open_study(paths), (), every_roi=every_roi)


def of(reading: Reading, code: Code, modifier: Code | None = Derivation.MEAN, role: Role = Role.DIFFUSION) -> Quantity:
    return next(q for q in reading.quantities if (q.code, q.modifier, q.role) == (code, modifier, role))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    return reading_of(tmp_path_factory.mktemp("full"), FULL)


def test_ivim_of_a_phantom_s_tumour_is_the_truth(full: Reading) -> None:
    truth = FULL.tumour
    assert of(full, Diffusion.D).value == pytest.approx(truth.d, rel=0.01)
    assert of(full, Diffusion.F).value == pytest.approx(truth.f, abs=0.01)
    assert of(full, Diffusion.D_STAR, Derivation.MEDIAN).value == pytest.approx(truth.d_star, rel=0.06)
    assert of(full, Diffusion.F).method == of(full, Diffusion.D_STAR).method == Diffusion.IVIM


OF_ADC = {"he2015-adc": (0, 1000), "ji2017-adc": (0, 50, 800), "wangzheng2019-dce-adc": (0, 50, 800)}
"""Packages that take an ADC, each with b-values that it was made for."""


@pytest.mark.parametrize("name", OF_ADC)
def test_a_package_takes_the_adc_that_stands_first(name: str, tmp_path: Path) -> None:
    reading = reading_of(tmp_path, replace(FEW, b_values=OF_ADC[name]))
    (package,) = load_packages([name]).packages
    taken = tuple(given for given in package.manifest.inputs if getattr(given, "code", None) == Diffusion.ADC)
    where = Where(reading.tumour, {(Role.DIFFUSION, None): reading.measured[0].series_instance_uid})
    (case,) = gather(replace(package.manifest, inputs=taken), reading.quantities, (), where, {}).cases
    first = [of(reading, given.code, given.modifier) for given in taken if isinstance(given, QuantityInput)]
    assert first
    assert [used.method for used in case] == [one.method.meaning for one in first if one.method]
    assert [1000 * used.value for used in case] == pytest.approx([one.value for one in first])


def test_every_package_that_takes_an_adc_is_among_those() -> None:
    packages = load_packages([one.manifest.name for one in DECLARED]).packages
    codes = {p.manifest.name: {getattr(given, "code", None) for given in p.manifest.inputs} for p in packages}
    assert {name for name in codes if Diffusion.ADC in codes[name]} == set(OF_ADC)


def test_adc_lies_above_d_by_the_perfusion_in_it(full: Reading) -> None:
    assert 1.05 < of(full, Diffusion.ADC).value / of(full, Diffusion.D).value < 1.3


def test_the_region_s_size_is_measured_on_the_diffusion_grid(full: Reading) -> None:
    assert of(full, Concept.VOLUME, None).value == pytest.approx(TUMOUR.volume_mm3, rel=0.05)


def test_the_region_is_shown_on_the_highest_b_value(full: Reading) -> None:
    (laid,), (measured,) = full.rois, full.measured
    shown = {source.sop_instance_uid for source in measured.sources}
    headers = [i.header for i in full.study.instances if i.identity.sop_instance_uid in shown]
    assert {header.DiffusionBValue for header in headers} == {800}
    assert laid.series_instance_uid == measured.series_instance_uid
    assert np.nanmax(laid.key_image) < FULL.tumour.s0


def test_a_study_of_mr_gets_maps_with_a_source_image_for_each_slice(full: Reading) -> None:
    assert [m.code for m in full.maps] == [Diffusion.ADC, Diffusion.D, Diffusion.D_STAR, Diffusion.F]
    for one in full.maps:
        assert len(one.sources) == one.geometry.shape[0] == FULL.slices
        assert one.series_uids[0] == full.measured[0].series_instance_uid


def test_maps_are_made_without_a_region_too(tmp_path: Path) -> None:
    reading = reading_of(tmp_path, replace(FEW, region=False))
    assert [m.code for m in reading.maps] == [Diffusion.ADC]
    assert not reading.quantities


@pytest.mark.parametrize("tagging", [Tagging.ENHANCED, Tagging.SIEMENS_MOSAIC, Tagging.PHILIPS])
def test_the_form_of_the_objects_changes_no_value(tagging: Tagging, tmp_path: Path) -> None:
    plain, other = (reading_of(tmp_path / t, replace(FEW, tagging=t, noise=0.0)) for t in (Tagging.STANDARD, tagging))
    assert of(other, Diffusion.ADC).value == pytest.approx(of(plain, Diffusion.ADC).value, rel=2e-3)
    assert of(other, Concept.VOLUME, None).value == of(plain, Concept.VOLUME, None).value


def test_series_of_one_b_value_each_are_one_examination(tmp_path: Path) -> None:
    apart, together = (reading_of(tmp_path / str(a), replace(FEW, apart=a, noise=0.0)) for a in (True, False))
    adc = of(apart, Diffusion.ADC)
    assert adc.value == pytest.approx(of(together, Diffusion.ADC).value, rel=1e-6)
    assert adc.series_uids == tuple(s.series_instance_uid for s in apart.study.series if s.modality == "MR")
    assert len(apart.measured) == 1


def repeated(folder: Path, b_values: tuple[float, ...], again: tuple[float, ...]) -> Study:
    """Series of one b-value each, then those of ``again`` once more, where the signal of b above 0 is lower."""
    paths = list(phantoms.write(make(replace(FEW, apart=True, noise=0.0, b_values=b_values)), folder))
    for path in tuple(paths):
        ds = dcmread(path)
        if ds.Modality != "MR" or ds.DiffusionBValue not in again:
            continue
        ds.SeriesInstanceUID, ds.SeriesNumber = derived_uid("again", ds.SeriesInstanceUID), ds.SeriesNumber + 50
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = derived_uid("again", ds.SOPInstanceUID)
        if ds.DiffusionBValue:
            ds.PixelData = (ds.pixel_array * 0.6).astype(ds.pixel_array.dtype).tobytes()
        paths.append(folder / f"again-{path.name}")
        ds.save_as(paths[-1])
    return open_study(paths)


def test_an_examination_that_is_repeated_is_two_and_packages_are_told_so(tmp_path: Path) -> None:
    study = repeated(tmp_path, (0, 400, 800), again=(0, 400, 800))
    (package,) = load_packages(["ji2017-adc"]).packages
    reading = read(study, (package,))
    means = [q for q in reading.quantities if (q.code, q.modifier) == (Diffusion.ADC, Derivation.MEAN)]
    first, second = (q for q in means if q.method == Diffusion.unweighted([0, 400, 800]))
    assert second.value - first.value == pytest.approx(-1e6 * np.log(0.6) * 400 / 320000, rel=0.02)
    assert len(set(first.series_uids) | set(second.series_uids)) == 6
    (answer,) = reading.not_predicted
    assert answer.refused.reason == "role-ambiguous"


def test_a_b_value_alone_that_is_repeated_is_not_averaged_and_named(tmp_path: Path) -> None:
    once, twice = (read(repeated(tmp_path / str(len(b)), (0, 1000), again=b), ()) for b in ((), (1000,)))
    assert of(twice, Diffusion.ADC).value == of(once, Diffusion.ADC).value
    assert len([q for q in twice.quantities if (q.code, q.modifier) == (Diffusion.ADC, Derivation.MEAN)]) == 1
    assert "b 1000 of series 56 repeats that of series 6" in refused(twice)[-1]


def test_directions_in_series_of_their_own_are_one_examination_that_names_them_all(tmp_path: Path) -> None:
    options = replace(FEW, directional=True, noise=0.0, b_values=(0, 800))
    paths = phantoms.write(make(options), tmp_path)
    for path in paths:
        ds = dcmread(path)
        if ds.Modality == "MR":
            said = ds.get("DiffusionGradientOrientation")
            ds.SeriesInstanceUID = derived_uid("direction", str(ds.DiffusionBValue), str(said))
            ds.save_as(path)
    adc = of(read(open_study(paths), ()), Diffusion.ADC)
    assert len(adc.series_uids) == 4
    assert "b 800 s/mm2: geometric mean of 3 directions" in adc.parameters


def test_repetitions_in_one_series_are_averaged_and_said(tmp_path: Path) -> None:
    adc = of(reading_of(tmp_path, replace(FEW, repetitions=2)), Diffusion.ADC)
    assert "b 50 800 s/mm2: trace image, 2 repetitions averaged" in adc.parameters


def refused(reading: Reading) -> list[str]:
    return [str(r.refused) for r in reading.not_measured if r.role is Role.DIFFUSION]


def test_b_values_in_different_frames_of_reference_are_refused(tmp_path: Path) -> None:
    def moved(ds: Dataset) -> None:
        if ds.get("DiffusionBValue"):
            ds.FrameOfReferenceUID = derived_uid("another")

    reading = reading_of(tmp_path, replace(FEW, apart=True, b_values=(0, 800)), moved)
    assert not reading.quantities
    assert "b 0 of series 5 is on another grid, in another frame of reference" in refused(reading)[0]


def test_b_values_of_different_echo_times_are_refused(tmp_path: Path) -> None:
    def longer(ds: Dataset) -> None:
        if ds.get("DiffusionBValue"):
            ds.EchoTime = "80"

    reading = reading_of(tmp_path, replace(FEW, apart=True, b_values=(0, 800)), longer)
    assert not reading.quantities
    assert "of another echo time" in refused(reading)[0]


def test_a_lone_b_value_is_refused_by_name(tmp_path: Path) -> None:
    reading = reading_of(tmp_path, replace(FEW, b_values=(800,)))
    assert refused(reading) == [
        "The b-values that were acquired do not permit this quantity: diffusion takes two b-values; b 800 s/mm2 alone "
        "was acquired"
    ]


def test_a_scanner_s_trace_of_an_examination_that_is_there_is_no_lone_b_value(tmp_path: Path) -> None:
    paths = list(phantoms.write(make(replace(FEW, b_values=(0, 800))), tmp_path))
    for path in tuple(paths):
        ds = dcmread(path)
        if ds.get("DiffusionBValue") == 800:
            ds.SeriesInstanceUID, ds.SeriesNumber = derived_uid("trace"), 12
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = derived_uid("trace", ds.SOPInstanceUID)
            ds.ImageType = ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"]
            paths.append(tmp_path / f"trace-{path.name}")
            ds.save_as(paths[-1])
    reading = read(open_study(paths), ())
    assert not [words for words in refused(reading) if "alone" in words]
    assert len(reading.measured) == 1


def test_a_missing_b_value_is_refused_by_name(tmp_path: Path) -> None:
    def stripped(ds: Dataset) -> None:
        if ds.get("DiffusionBValue") == 800:
            del ds.DiffusionBValue
            del ds.DiffusionDirectionality

    reading = reading_of(tmp_path, FEW, stripped)
    assert not reading.quantities
    assert "the b-value of 9 of 27 images, in none of DiffusionBValue (0018,9087)" in refused(reading)[0]


def test_ivim_that_few_b_values_do_not_permit_is_refused_and_adc_given(tmp_path: Path) -> None:
    reading = reading_of(tmp_path, FEW)
    assert of(reading, Diffusion.ADC).value > 0
    told = {r.code for r in reading.not_measured}
    assert {Diffusion.D, Diffusion.D_STAR, Diffusion.F} <= told


def test_a_scanner_s_adc_map_is_measured_under_a_role_of_its_own(tmp_path: Path) -> None:
    muscle = replace(FEW.tumour, f=0.0)
    reading = reading_of(tmp_path, replace(FEW, adc_unit="10-3.mm2/s", tumour=muscle))
    vendor = of(reading, Diffusion.ADC, role=Role.ADC_MAP)
    assert vendor.value == pytest.approx(950, abs=1)
    assert vendor.method == Diffusion.VENDOR


def outlined_twice(ds: Dataset) -> None:
    if ds.Modality == "RTSTRUCT":
        for keyword, number in (
            ("StructureSetROISequence", "ROINumber"),
            ("ROIContourSequence", "ReferencedROINumber"),
            ("RTROIObservationsSequence", "ReferencedROINumber"),
        ):
            again = deepcopy(ds[keyword].value[0])
            setattr(again, number, 99)
            ds[keyword].value.append(again)
        ds.StructureSetROISequence[-1].ROIName = "Spleen"


def test_the_sources_of_a_scanner_s_adc_map_are_looked_for_once_for_all_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def b_values_of_map(series: Series, study: Study) -> tuple[float, ...]:
        looked.append(series.series_instance_uid)
        return 50.0, 800.0

    monkeypatch.setattr("her2node.reading.diffusion.b_values_of_map", b_values_of_map)
    reading = reading_of(tmp_path, replace(FEW, adc_unit="mm2/s"), outlined_twice, every_roi=True)
    of_map = [q for q in reading.quantities if (q.role, q.code) == (Role.ADC_MAP, Diffusion.ADC)]
    assert len({q.roi for q in of_map}) == 2
    assert {q.parameters for q in of_map} == {("from images of b 50, 800 s/mm2",)}
    assert len(looked) == 1


def test_a_scanner_s_adc_map_without_unit_is_told_unconverted_and_the_signal_measured(tmp_path: Path) -> None:
    reading = reading_of(tmp_path, replace(FEW, adc_unit="", tumour=replace(FEW.tumour, f=0.0)))
    assert of(reading, Diffusion.ADC).value > 0
    assert not [r for r in reading.not_measured if r.role is Role.ADC_MAP]
    (vendor,) = [q for q in reading.quantities if (q.role, q.code) == (Role.ADC_MAP, Diffusion.ADC)]
    assert (vendor.unit, vendor.modifier) == (Unit.ARBITRARY, Derivation.MEAN)
    assert vendor.value == pytest.approx(950, abs=1)
    assert any("names no unit in any of RealWorldValueMappingSequence (0040,9096)" in flag for flag in vendor.flags)


def test_no_package_can_take_a_map_without_unit_for_diffusion(tmp_path: Path) -> None:
    reading = reading_of(tmp_path, replace(FEW, adc_unit=""))
    (vendor,) = [q for q in reading.quantities if (q.role, q.code) == (Role.ADC_MAP, Diffusion.ADC)]
    given = QuantityInput("quantity", "adc", "ADC", Role.ADC_MAP, Diffusion.ADC, "10-3.mm2/s", Derivation.MEAN)
    (package,) = load_packages(["ji2017-adc"]).packages
    where = Where(reading.tumour, {(Role.ADC_MAP, None): vendor.series_uids[0]})
    with pytest.raises(UnknownUnit, match=r"cannot be had from '\[arb'U\]'"):
        gather(replace(package.manifest, inputs=(given,)), reading.quantities, (), where, {})


def test_a_region_in_another_frame_of_reference_is_refused(tmp_path: Path) -> None:
    def moved(ds: Dataset) -> None:
        if ds.Modality == "MR":
            ds.FrameOfReferenceUID = derived_uid("another")

    reading = reading_of(tmp_path, FEW, moved)
    assert not reading.rois
    assert [r.refused.reason for r in reading.not_measured if r.roi] == ["other-frame-of-reference"]


def test_the_same_study_gives_the_same_numbers(tmp_path: Path) -> None:
    one, other = (reading_of(tmp_path / name, FEW) for name in "ab")
    assert one.quantities == other.quantities
