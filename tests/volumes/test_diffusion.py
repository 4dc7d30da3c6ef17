from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from her2node import phantoms
from her2node.dicom.codes import Unit
from her2node.errors import (
    InvalidAttribute,
    MissingAttribute,
    MissingSlices,
    MixedOrientations,
    NotCalibrated,
)
from her2node.phantoms.diffusion import DiffusionOptions, DiffusionStudy, clean, make
from her2node.phantoms.weighting import Tagging, Weighted
from her2node.selection.roles import Role
from her2node.selection.study import Series, open_study
from her2node.volumes import stack_of
from her2node.volumes.diffusion import DiffusionSeries, b_values_of, build
from her2node.volumes.mr import build_adc

SMALL = DiffusionOptions(b_values=(0, 50, 400, 800), rows=48, columns=40, slices=5, spacing_mm=6.0, region=False)


def opened(folder: Path, options: DiffusionOptions, change: Callable[[Dataset], None] | None = None) -> list[Series]:
    paths = phantoms.write(make(options), folder)
    for path in paths if change else ():
        ds = dcmread(path)
        change(ds)
        ds.save_as(path)
    return list(open_study(paths).series)


def off(found: DiffusionSeries, study: DiffusionStudy) -> float:
    """The greatest distance of the signal from the truth."""
    truth = [[clean(study, at, Weighted(b, trace=True)) for at in study.planes] for b in found.b_values]
    return float(np.abs(found.signal - truth).max())


@pytest.mark.parametrize("tagging", list(Tagging))
def test_every_vendor_s_series_gives_its_b_values_signal_and_place(tagging: Tagging, tmp_path: Path) -> None:
    options = replace(SMALL, tagging=tagging, noise=0.0)
    study = make(options)
    (series,) = opened(tmp_path, options)
    assert b_values_of(series) == options.b_values
    found = build([series])
    assert found.b_values == options.b_values
    assert off(found, study) <= 0.5
    assert found.geometry.shape == (5, 48, 40)
    assert found.geometry.origin_mm == pytest.approx(study.planes[0].origin_mm)
    assert found.geometry.spacing_mm == pytest.approx((5.0, 6.0, 6.0))
    assert found.geometry == stack_of(series, Role.DIFFUSION).geometry


@pytest.mark.parametrize("tagging", list(Tagging))
def test_directions_are_combined_by_their_geometric_mean_after_repetitions_are_averaged(
    tagging: Tagging, tmp_path: Path
) -> None:
    tissue = replace(SMALL.muscle, f=0.0)
    options = replace(
        SMALL, tagging=tagging, directional=True, repetitions=2, anisotropy=0.4, noise=0.0,
        muscle=tissue, liver=tissue, tumour=replace(tissue, s0=900.0),
    )  # fmt: skip
    (series,) = opened(tmp_path, options)
    found = build([series])
    assert found.combined[0] == "b 0 image, 2 repetitions averaged"
    assert found.combined[1:] == ("geometric mean of 3 directions, 2 repetitions averaged",) * 3
    assert off(found, make(options)) <= 1.0


def test_a_trace_image_is_taken_as_it_is_and_directional_images_beside_it_are_left_out(tmp_path: Path) -> None:
    trace, apart = replace(SMALL, seed=1), replace(SMALL, seed=1, directional=True, anisotropy=0.5)
    (of_trace,) = opened(tmp_path / "trace", trace)
    (of_directions,) = opened(tmp_path / "directions", apart)
    weighted = [i for i in of_directions.instances if i.header.DiffusionDirectionality == "DIRECTIONAL"]
    both = replace(of_trace, instances=(*of_trace.instances, *weighted))
    found = build([both])
    assert found.combined == ("b 0 image", "trace image", "trace image", "trace image")
    np.testing.assert_array_equal(found.signal, build([of_trace]).signal)


def test_repetitions_are_averaged_so_that_noise_shrinks(tmp_path: Path) -> None:
    spread = []
    for repetitions in (1, 9):
        options = replace(SMALL, repetitions=repetitions, noise=20.0)
        found = build(opened(tmp_path / str(repetitions), options))
        truth = clean(make(options), make(options).planes[0], Weighted(0.0))
        spread.append((found.signal[0] - truth)[2, 28:36, 16:24].std())
    assert spread[1] == pytest.approx(spread[0] / 3, rel=0.25)


def test_series_of_one_b_value_each_are_one_stack_together(tmp_path: Path) -> None:
    series = opened(tmp_path, replace(SMALL, apart=True))
    assert [b_values_of(one) for one in series] == [(0.0,), (50.0,), (400.0,), (800.0,)]
    found = build(series)
    assert found.b_values == (0.0, 50.0, 400.0, 800.0)
    assert found.series_uids == tuple((one.series_instance_uid,) for one in series)
    assert all(len(sources) == 5 for sources in found.sources)


def test_the_sources_of_a_slice_are_the_images_at_its_place(tmp_path: Path) -> None:
    (series,) = opened(tmp_path, SMALL)
    found = build([series])
    by_uid = {i.identity.sop_instance_uid: i.header for i in series.instances}
    for b, sources in zip(found.b_values, found.sources, strict=True):
        for index, source in enumerate(sources):
            header = by_uid[source.sop_instance_uid]
            assert header.DiffusionBValue == b
            assert header.ImagePositionPatient[2] == pytest.approx(found.geometry.origin_mm[2] + 5 * index)


def without_b(ds: Dataset) -> None:
    if ds.InstanceNumber == 7:
        del ds.DiffusionBValue
        del ds.DiffusionDirectionality


def test_a_missing_b_value_is_refused_by_the_names_of_all_its_places(tmp_path: Path) -> None:
    (series,) = opened(tmp_path, SMALL, without_b)
    with pytest.raises(MissingAttribute, match=r"1 of 20 images, in none of .*\(0018,9087\), .*\(2001,1003\)"):
        b_values_of(series)


def wrong_b(ds: Dataset) -> None:
    ds.DiffusionBValue = -1.0


def test_a_wrong_b_value_is_refused_by_name(tmp_path: Path) -> None:
    (series,) = opened(tmp_path, SMALL, wrong_b)
    with pytest.raises(InvalidAttribute, match=r"DiffusionBValue \(0018,9087\) holds -1"):
        b_values_of(series)


def test_a_missing_image_of_one_b_value_is_refused(tmp_path: Path) -> None:
    (series,) = opened(tmp_path, replace(SMALL, repetitions=2))
    with pytest.raises(MissingSlices, match="b 800 has from 1 to 2 images at one place"):
        build([replace(series, instances=series.instances[:-1])])


def test_b_values_on_different_grids_are_refused(tmp_path: Path) -> None:
    def moved(ds: Dataset) -> None:
        if ds.DiffusionBValue == 800:
            ds.ImagePositionPatient[0] += 1.0

    (series,) = opened(tmp_path, SMALL, moved)
    with pytest.raises(MixedOrientations, match="b 800 lie on another grid than those of b 0"):
        build([series])


def test_a_series_that_names_no_frame_of_reference_still_has_signal(tmp_path: Path) -> None:
    def nameless(ds: Dataset) -> None:
        del ds.FrameOfReferenceUID

    (series,) = opened(tmp_path, SMALL, nameless)
    assert build([series]).geometry.frame_of_reference_uid == ""


def test_effective_b_values_that_scatter_are_one_nominal_one(tmp_path: Path) -> None:
    def scattered(ds: Dataset) -> None:
        if ds.DiffusionBValue == 800:
            ds.DiffusionBValue = 797.0 + ds.InstanceNumber % 3 * 3

    (series,) = opened(tmp_path, SMALL, scattered)
    assert b_values_of(series) == (0.0, 50.0, 400.0, 800.0)


def test_a_colour_image_is_refused(tmp_path: Path) -> None:
    def coloured(ds: Dataset) -> None:
        ds.PhotometricInterpretation = "RGB"

    (series,) = opened(tmp_path, SMALL, coloured)
    with pytest.raises(NotCalibrated, match="colour"):
        build([series])


def mosaic(folder: Path, change: Callable[[Dataset], None]) -> Series:
    (series,) = opened(folder, replace(SMALL, tagging=Tagging.SIEMENS_MOSAIC), change)
    return series


def uncounted(ds: Dataset) -> None:
    del ds[0x0019, 0x100A]


def test_a_mosaic_that_no_longer_tells_its_number_of_slices_is_counted_by_what_is_filled(tmp_path: Path) -> None:
    def change(ds: Dataset) -> None:
        uncounted(ds)
        ds.AcquisitionMatrix = [0, 40, 48, 0]
        ds.AcquisitionMatrix = [40, 0, 0, 40]

    assert build([mosaic(tmp_path, change)]).geometry.shape == (5, 48, 40)


def test_a_mosaic_of_which_nothing_tells_the_number_of_slices_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MissingAttribute, match=r"NumberOfImagesInMosaic \(0019,100A\)"):
        build([mosaic(tmp_path, uncounted)])


def test_a_mosaic_whose_tiles_do_not_fit_is_refused(tmp_path: Path) -> None:
    def change(ds: Dataset) -> None:
        ds[0x0019, 0x100A].value = 17

    with pytest.raises(InvalidAttribute, match="17 tiles do not fit a mosaic of 144 x 120"):
        build([mosaic(tmp_path, change)])


@pytest.mark.parametrize("unit", ["mm2/s", "10-3.mm2/s", "um2/s", "10^-6 mm2/s"])
def test_a_scanner_s_adc_map_is_converted_by_the_unit_that_it_names(unit: str, tmp_path: Path) -> None:
    options = replace(SMALL, adc_unit=unit, muscle=replace(SMALL.muscle, f=0.0))
    series = opened(tmp_path, options)[-1]
    assert build_adc(series).voxels[2, 35, 20] == pytest.approx(1400.0, abs=1)


def test_a_scanner_s_adc_map_without_a_unit_stays_as_it_is_stored(tmp_path: Path) -> None:
    options = replace(SMALL, adc_unit="", muscle=replace(SMALL.muscle, f=0.0))
    volume = build_adc(opened(tmp_path, options)[-1])
    assert volume.unit == Unit.ARBITRARY
    assert volume.voxels[2, 35, 20] == pytest.approx(1400.0, abs=1)
