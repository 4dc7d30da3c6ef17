"""Images of many time points become one time series, however they lie in series and objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node.errors import IncompleteTimePoints, MixedOrientations, NoTimes, Refused, TooFewTimePoints
from her2node.phantoms import write
from her2node.phantoms.perfusion import Layout, PerfusionOptions, make
from her2node.selection.study import Series, open_study
from her2node.volumes import Dynamic, build_dynamic, dynamic_stack_of
from her2node.volumes.dynamic import dynamic_stack
from her2node.volumes.frames import frames_of

TIMES = (0.0, 2.0, 4.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0)
SMALL = PerfusionOptions(times_s=TIMES, rows=64, columns=64, slices=4, slice_spacing_mm=8.0, noise_hu=0.0, rois=())


def series_of(
    folder: Path, options: PerfusionOptions = SMALL, edit: Callable[[Dataset], Dataset | None] | None = None
) -> tuple[Series, ...]:
    """The phantom's series; an edit that gives None leaves the object out."""
    paths = write(make(options), folder)
    if edit is not None:
        from pydicom import dcmread

        for path in paths:
            ds = edit(dcmread(path))
            path.unlink() if ds is None else ds.save_as(path, enforce_file_format=True)
    return open_study([path for path in paths if path.exists()]).series


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Dynamic:
    return build_dynamic(series_of(tmp_path_factory.mktemp("plain")))


def test_time_and_place_are_told_apart(plain: Dynamic) -> None:
    assert plain.voxels.shape == (9, 4, 64, 64)
    assert plain.times_s == pytest.approx(TIMES)
    assert plain.clock == "AcquisitionDate and AcquisitionTime"
    assert not plain.resampled
    assert len({source for point in plain.sources for source in point}) == 36
    heights = plain.geometry.to_patient([[k, 0, 0] for k in range(4)])[:, 2]
    assert (np.diff(heights) > 0).all()


@pytest.mark.parametrize("layout", [Layout.SERIES_A_POINT, Layout.ENHANCED])
def test_every_layout_gives_the_same_voxels(tmp_path: Path, plain: Dynamic, layout: Layout) -> None:
    found = build_dynamic(series_of(tmp_path, replace(SMALL, layout=layout)))
    assert found.times_s == pytest.approx(TIMES)
    assert (found.voxels == plain.voxels).all()
    assert found.is_series_a_point == (layout is Layout.SERIES_A_POINT)
    assert found.geometry.shape == plain.geometry.shape


def test_a_shuttle_is_brought_to_common_times_and_says_so(tmp_path: Path) -> None:
    """Both halves of the table then show the aorta as it was at the common times, half-way between their own."""
    times = tuple(float(t) for t in range(30))
    found = build_dynamic(series_of(tmp_path, replace(SMALL, layout=Layout.SHUTTLE, times_s=times)))
    assert found.resampled
    assert found.times_s == pytest.approx(np.array(times) + 0.25)
    expected = [SMALL.artery.at(t) for t in found.times_s]
    for voxels in (found.voxels[:, 0], found.voxels[:, -1]):
        curves = voxels.reshape(30, -1)
        aorta = curves[:, int((curves.max(axis=0) - curves[0]).argmax())]
        assert np.abs(aorta - aorta[0] - expected).max() < 2


def without_times(ds: Dataset) -> Dataset:
    for keyword in ("AcquisitionTime", "AcquisitionDate", "ContentTime", "ContentDate", "TemporalPositionIdentifier"):
        if keyword in ds:
            delattr(ds, keyword)
    return ds


def test_without_any_time_the_series_is_refused_unless_an_interval_is_given(tmp_path: Path) -> None:
    (series,) = series_of(tmp_path, edit=without_times)
    with pytest.raises(NoTimes):
        dynamic_stack_of([series])
    found = dynamic_stack(frames_of(series), interval_s=1.5)
    assert found.times_s == pytest.approx(1.5 * np.arange(9))
    assert found.clock == "AcquisitionNumber and a given interval"


def test_temporal_positions_with_a_resolution_are_a_clock(tmp_path: Path) -> None:
    def positions(ds: Dataset) -> Dataset:
        number = ds.TemporalPositionIdentifier
        ds = without_times(ds)
        ds.TemporalPositionIdentifier, ds.TemporalResolution = number, 2500
        return ds

    found = dynamic_stack_of(series_of(tmp_path, edit=positions))
    assert found.times_s == pytest.approx(2.5 * np.arange(9))


def one_missing(ds: Dataset) -> Dataset | None:
    return None if ds.InstanceNumber == 18 else ds


def two_missing(ds: Dataset) -> Dataset | None:
    """One image of each place, never of one time point."""
    number = ds.InstanceNumber - 1
    return None if number // 4 == 2 * (number % 4) else ds


def turned(ds: Dataset) -> Dataset:
    if ds.InstanceNumber == 18:
        ds.ImageOrientationPatient = [0, 1, 0, 1, 0, 0]
    return ds


def other_place(ds: Dataset) -> Dataset:
    if ds.AcquisitionNumber == 5:
        ds.ImagePositionPatient = [float(ds.ImagePositionPatient[0]) + 20, *ds.ImagePositionPatient[1:]]
    return ds


@pytest.mark.parametrize(
    ("edit", "refusal"),
    [
        (one_missing, IncompleteTimePoints),
        (two_missing, IncompleteTimePoints),
        (turned, MixedOrientations),
        (other_place, MixedOrientations),
    ],
)
def test_what_is_no_time_series_is_refused_by_name(
    tmp_path: Path, edit: Callable[[Dataset], Dataset | None], refusal: type[Refused]
) -> None:
    with pytest.raises(refusal):
        dynamic_stack_of(series_of(tmp_path, edit=edit))


def test_two_time_points_are_no_time_series(tmp_path: Path) -> None:
    with pytest.raises(TooFewTimePoints):
        dynamic_stack_of(series_of(tmp_path, replace(SMALL, times_s=(0.0, 30.0))))


def test_a_voxel_without_image_at_one_time_is_valid_at_none(tmp_path: Path) -> None:
    def padded(ds: Dataset) -> Dataset:
        ds.add_new("PixelPaddingValue", "SS", -2000)
        if ds.InstanceNumber == 1:
            pixels = np.frombuffer(ds.PixelData, dtype=np.int16).reshape(64, 64).copy()
            pixels[10, 20] = -2000
            ds.PixelData = pixels.tobytes()
        return ds

    found = build_dynamic(series_of(tmp_path, edit=padded))
    assert np.argwhere(~found.valid).tolist() == [[0, 10, 20]]
