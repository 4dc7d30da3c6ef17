"""Voxels against the truth that was written down before them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from her2node.phantoms import Border, PhantomOptions, PhantomStudy, Phase, RoiForm, ct
from her2node.phantoms.rendering import mask

FINE = {"rows": 384, "columns": 384, "slice_spacing_mm": 2.5, "slices": 36, "rois": ()}


def _tumour_voxels(study: PhantomStudy) -> tuple[dict[Phase, np.ndarray], float]:
    """Hounsfield units of the tumour's voxels in each phase as the objects hold them, and the voxel volume in mm³."""
    found: dict[Phase, list[np.ndarray]] = {series.phase: [] for series in study.series}
    plan = ((series.phase, planned) for series in study.series for planned in series.slices)
    for (phase, planned), ds in zip(plan, study.datasets, strict=True):
        inside = mask(study.anatomy.tumour.shape, planned.plane)
        pixels = np.frombuffer(ds.PixelData, dtype="<i2").reshape(ds.Rows, ds.Columns)
        found[phase].append(pixels[inside] * float(ds.RescaleSlope) + float(ds.RescaleIntercept))
    voxel_mm3 = math.prod(study.options.spacing_mm) * study.options.slice_spacing_mm
    return {phase: np.concatenate(values) for phase, values in found.items()}, voxel_mm3


def _homogeneous_seeds(count: int) -> list[int]:
    plans = (ct.make(PhantomOptions(seed=seed)) for seed in range(100))
    return [plan.options.seed for plan in plans if not plan.anatomy.tumour.core][:count]


@pytest.mark.parametrize("seed", _homogeneous_seeds(3))
def test_means_of_each_phase_are_within_three_standard_errors_and_volume_within_one_percent(seed: int) -> None:
    study = ct.make(PhantomOptions(seed=seed, **FINE))
    assert study.covers_tumour
    voxels, voxel_mm3 = _tumour_voxels(study)
    for phase, hu in voxels.items():
        standard_error = hu.std(ddof=1) / math.sqrt(hu.size)
        assert abs(hu.mean() - study.truth.tumour.hu[phase]) < 3 * standard_error
        assert hu.size * voxel_mm3 == pytest.approx(study.truth.tumour.volume_mm3, rel=0.01)


def test_without_noise_a_homogeneous_tumour_has_exactly_its_attenuation() -> None:
    (seed,) = _homogeneous_seeds(1)
    options = PhantomOptions(seed=seed, noise_hu=0, phases=(Phase.PORTAL,), rois=(), rows=128, columns=128, slices=20)
    study = ct.make(options)
    hu = _tumour_voxels(study)[0][Phase.PORTAL]
    assert set(hu) == {study.truth.tumour.hu[Phase.PORTAL]}


def test_a_necrotic_core_lowers_the_mean_as_the_truth_says() -> None:
    seed = next(seed for seed in range(100) if ct.make(PhantomOptions(seed=seed)).anatomy.tumour.core > 0.5)
    study = ct.make(PhantomOptions(seed=seed, noise_hu=0, phases=(Phase.PORTAL,), **FINE))
    hu = _tumour_voxels(study)[0][Phase.PORTAL]
    rim = study.anatomy.tumour.hu.portal
    assert study.truth.tumour.hu[Phase.PORTAL] < rim - 1
    assert hu.mean() == pytest.approx(study.truth.tumour.hu[Phase.PORTAL], abs=0.01 * rim)


def _volume_errors(seeds: range, **grid: object) -> list[float]:
    errors = []
    for seed in seeds:
        study = ct.make(PhantomOptions(seed=seed, **grid))
        shape = study.anatomy.tumour.shape
        voxels = sum(int(mask(shape, planned.plane).sum()) for planned in study.roi_series.slices)
        volume = voxels * math.prod(study.options.spacing_mm) * study.options.slice_spacing_mm
        errors.append(volume / shape.volume_mm3 - 1)
    return errors


def test_the_voxel_volume_of_every_patient_is_within_one_percent_on_a_fine_grid() -> None:
    errors = _volume_errors(range(60), rows=384, columns=384, pixel_spacing_mm=(1.0, 1.0), slices=40)
    assert max(map(abs, errors)) < 0.01


def test_the_error_of_coarse_grids_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for rows, spacing_mm in ((256, 5.0), (128, 5.0), (64, 10.0)):
        errors = _volume_errors(range(30), rows=rows, columns=rows, slice_spacing_mm=spacing_mm, slices=20)
        with capsys.disabled():
            print(f"\nvolume at {380 / rows:.2f} mm, {spacing_mm} mm slices: largest error {max(map(abs, errors)):.1%}")
        assert max(map(abs, errors)) < 0.25


def test_the_extent_of_the_voxels_is_the_diameter_within_one_voxel() -> None:
    study = ct.make(PhantomOptions(seed=1, **FINE))
    shape = study.anatomy.tumour.shape
    direction = np.asarray(shape.axes[int(np.argmax(shape.semi_axes_mm))])
    along = []
    for planned in study.roi_series.slices:
        inside = mask(shape, planned.plane)
        x, y, z = (np.broadcast_to(values, inside.shape)[inside] for values in planned.plane.coordinates())
        along.append(x * direction[0] + y * direction[1] + z * direction[2])
    extent = np.ptp(np.concatenate(along))
    voxel = math.hypot(*study.options.spacing_mm, study.options.slice_spacing_mm)
    assert study.truth.tumour.diameter_mm - voxel <= extent <= study.truth.tumour.diameter_mm


def test_the_transverse_axes_are_those_of_the_largest_slice() -> None:
    study = ct.make(PhantomOptions(seed=2, **{**FINE, "slice_spacing_mm": 0.5, "slices": 160}))
    shape = study.anatomy.tumour.shape
    longest = 0.0
    for planned in study.roi_series.slices:
        cut = shape.section(planned.plane.origin_mm, planned.plane.row, planned.plane.column)
        if cut is not None:
            outline = cut.outline(360)
            apart = np.linalg.norm(outline[:180] - outline[180:], axis=1)
            longest = max(longest, float(apart.max()))
    assert study.truth.tumour.long_axis_mm == pytest.approx(longest, rel=1e-3)
    assert study.truth.tumour.short_axis_mm <= study.truth.tumour.long_axis_mm <= study.truth.tumour.diameter_mm


def test_organs_have_the_attenuation_that_the_truth_names() -> None:
    study = ct.make(PhantomOptions(seed=4, phases=(Phase.ARTERIAL,), **FINE))
    named = {organ.name: organ.hu[Phase.ARTERIAL] for organ in study.truth.organs}
    sums: dict[str, list[np.ndarray]] = {"aorta": [], "liver": []}
    for planned, ds in zip(study.series[0].slices, study.datasets, strict=True):
        pixels = np.frombuffer(ds.PixelData, dtype="<i2").reshape(ds.Rows, ds.Columns) - 1024.0
        x, y, z = planned.plane.coordinates()
        painted_over = [s for s in study.anatomy.structures if s.name not in sums]
        for name, found in sums.items():
            (organ,) = study.anatomy.organ(name)
            inside = np.broadcast_to(organ.shape.contains(x, y, z), pixels.shape).copy()
            for other in painted_over[8:]:
                inside &= ~np.broadcast_to(other.shape.contains(x, y, z), pixels.shape)
            found.append(pixels[inside])
    for name, found in sums.items():
        values = np.concatenate(found)
        assert abs(values.mean() - named[name]) < 3 * values.std() / math.sqrt(values.size), name


def test_partial_volume_blurs_the_border_and_keeps_the_integral() -> None:
    grid = {"rows": 64, "columns": 64, "slices": 12, "slice_spacing_mm": 5.0, "noise_hu": 0.0, "rois": ()}
    sums = []
    for supersampling in (1, 3):
        study = ct.make(PhantomOptions(seed=3, phases=(Phase.PORTAL,), supersampling=supersampling, **grid))
        pixels = np.concatenate([np.frombuffer(ds.PixelData, dtype="<i2") for ds in study.datasets])
        sums.append((len(np.unique(pixels)), pixels.astype(float).mean()))
    (sharp_values, sharp_mean), (soft_values, soft_mean) = sums
    assert soft_values > 10 * sharp_values
    assert soft_mean == pytest.approx(sharp_mean, abs=6)


def test_the_border_is_padding_and_declared_when_asked_for() -> None:
    for border in Border:
        options = PhantomOptions(seed=1, phases=(Phase.PLAIN,), rows=96, columns=128, slices=1, rois=(), border=border)
        ds = next(ct.make(options).datasets)
        corner = np.frombuffer(ds.PixelData, dtype="<i2")[0] + ds.RescaleIntercept
        assert (corner == -3024) == (border is not Border.NONE)
        assert ("PixelPaddingValue" in ds) == (border is Border.PADDED)
        if border is Border.PADDED:
            assert ds.PixelPaddingValue + ds.RescaleIntercept == -3024


def test_a_study_of_few_slices_says_that_it_does_not_cover_the_tumour() -> None:
    assert not ct.make(PhantomOptions(seed=1, slices=3)).covers_tumour


def test_the_truth_is_known_before_any_object_is_made() -> None:
    study = ct.make(PhantomOptions(seed=6, rows=1024, columns=1024, slices=600, rois=(RoiForm.BINARY,)))
    assert study.truth.tumour.volume_mm3 > 0
    assert len(study.series) == 4
