"""Diffusion images as scanners wrote them. Every folder of headers must give its b-values; none may be refused."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from her2node.reading import read
from her2node.selection import select
from her2node.selection.mr import b_values_of_map
from her2node.selection.roles import Role
from her2node.selection.study import Series, open_study
from her2node.volumes.diffusion import b_values_of, build
from her2node.volumes.mr import build_adc

pytestmark = pytest.mark.truth

VENDORS = {
    "ge_pioneer_b0_1000": ((0.0, 1000.0), "geometric mean of 6 directions"),
    "headers_only_ge_mr750_b0_1000": ((0.0, 1000.0), "one direction"),
    "headers_only_philips_enhanced_b0_1300": ((0.0, 1300.0), "geometric mean of 3 directions"),
    "headers_only_philips_ingenia_b0_1000": ((0.0, 1000.0), "geometric mean of 3 directions"),
    "philips_achieva_private_b0_1000": ((0.0, 1000.0), "trace image"),
    "siemens_mosaic_b0_800": ((0.0, 800.0), "one direction"),
}


def files_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "SOURCE.txt")


def by_role(folder: Path, role: Role) -> list[Series]:
    study = open_study(files_of(folder))
    found = [a.series_instance_uid for a in select(study, (), {}).assignments if a.role is role and not a.ignored]
    return [series for series in study.series if series.series_instance_uid in found]


@pytest.mark.parametrize("folder", VENDORS)
def test_a_vendor_s_series_gives_its_b_values_and_signal(shared: Path, folder: str) -> None:
    b_values, combined = VENDORS[folder]
    (series,) = by_role(shared / "data" / "mr-dwi-vendors" / folder, Role.DIFFUSION)
    assert b_values_of(series) == b_values
    found = build([series])
    assert found.b_values == b_values
    assert found.combined == ("b 0 image", combined)
    assert found.signal.min() >= 0


def test_every_folder_is_among_those_tested(shared: Path) -> None:
    folders = {folder.name for folder in (shared / "data" / "mr-dwi-vendors").iterdir() if folder.is_dir()}
    assert folders == {*VENDORS, "siemens_xa30_enhanced"}


def test_xa30_s_enhanced_objects_are_told_apart_as_directions_trace_and_map(shared: Path) -> None:
    folder = shared / "data" / "mr-dwi-vendors" / "siemens_xa30_enhanced"
    directions, trace = by_role(folder, Role.DIFFUSION)
    assert (b_values_of(directions), b_values_of(trace)) == ((0.0, 2500.0), (2500.0,))
    assert build([directions]).geometry.shape == build([trace]).geometry.shape == (39, 72, 72)
    assert [series.description for series in by_role(folder, Role.ADC_MAP)] == ["DWI_dir80_PA_ADC"]


OF_EVERY_SERIES = {
    **{folder: {Role.DIFFUSION: [b_values]} for folder, (b_values, _) in VENDORS.items()},
    "siemens_xa30_enhanced": {Role.DIFFUSION: [(0.0, 2500.0), (2500.0,)], Role.ADC_MAP: [(0.0, 2500.0)]},
}
"""The b-values of the series of each role; of a map those of its source images."""


@pytest.mark.parametrize("folder", OF_EVERY_SERIES)
def test_every_series_of_the_vendors_yields_its_b_values_and_none_is_refused(shared: Path, folder: str) -> None:
    """No region is given, which alone is told; of every series something is made."""
    study = open_study(files_of(shared / "data" / "mr-dwi-vendors" / folder))
    reading = read(study, ())
    assert [(r.refused.reason, r.role, r.series_uids) for r in reading.not_measured] == [("no-roi", None, ())]
    found: dict[Role, list[tuple[float, ...]]] = defaultdict(list)
    for series, assigned in zip(study.series, reading.assignments, strict=True):
        assert assigned.role in (Role.DIFFUSION, Role.ADC_MAP)
        is_map = assigned.role is Role.ADC_MAP
        found[assigned.role].append(b_values_of_map(series, study) if is_map else b_values_of(series))
        assert (build_adc(series) if is_map else build([series]).volume(0)).voxels.max() > 0
    assert {role: sorted(b_values) for role, b_values in found.items()} == OF_EVERY_SERIES[folder]


def test_a_philips_signal_is_what_is_stored_over_its_private_slope(shared: Path) -> None:
    """(2005,100E) is 0.00142 there; RescaleSlope, 2.568, is for display."""
    (series,) = by_role(shared / "data" / "mr-dwi-vendors" / "philips_achieva_private_b0_1000", Role.DIFFUSION)
    found = build([series])
    for index, source in enumerate(found.sources[0]):
        path = next(i.path for i in series.instances if i.identity.sop_instance_uid == source.sop_instance_uid)
        np.testing.assert_allclose(found.signal[0, index], dcmread(path).pixel_array / 0.0014201075537130237, rtol=1e-5)


def test_a_mosaic_s_slices_lie_where_the_same_slices_lie_as_single_images(shared: Path) -> None:
    """Mosaic and multi-b series are of one patient and one slice planning (PROSTATEx, TCIA, CC BY 3.0): the first
    slices begin at one corner, and each slice looks most like the one at its place."""
    data = shared / "data"
    (mosaic,) = by_role(data / "mr-dwi-vendors" / "siemens_mosaic_b0_800", Role.DIFFUSION)
    (single,) = by_role(data / "mr-prostatex0218-dwi-dce" / "s08_dwi_b0_100_400_800", Role.DIFFUSION)
    tiles, slices = build([mosaic]), build([single])
    assert tiles.geometry.shape[0] == slices.geometry.shape[0] == 20
    assert tiles.geometry.origin_mm == pytest.approx(slices.geometry.origin_mm, abs=0.01)
    np.testing.assert_allclose(tiles.geometry.directions, slices.geometry.directions, atol=1e-6)
    rows, columns = np.indices((100, 120))
    at = slices.geometry.to_index(tiles.geometry.to_patient(np.stack([np.zeros_like(rows), rows, columns], -1)))
    nearest = np.rint(at).astype(int)
    inside = (nearest[..., 1] < 130) & (nearest[..., 2] < 160)
    likeness = np.array([
        [
            np.corrcoef(
                tiles.signal[0, i, :100, :120][inside], slices.signal[0, j][nearest[..., 1], nearest[..., 2]][inside]
            )[0, 1]
            for j in range(2, 18)
        ]
        for i in range(2, 18)
    ])  # fmt: skip
    assert np.count_nonzero(likeness.argmax(axis=1) == np.arange(16)) >= 14


@pytest.mark.parametrize(
    ("folder", "b_values"),
    [
        ("s08_dwi_b0_100_400_800", (0.0, 100.0, 400.0, 800.0)),
        ("s17_dwi_b100", (100.0,)),
        ("s18_dwi_b500", (500.0,)),
        ("s19_dwi_b1400", (1400.0,)),
    ],
)
def test_prostatex_0218_gives_its_b_values(shared: Path, folder: str, b_values: tuple[float, ...]) -> None:
    (series,) = by_role(shared / "data" / "mr-prostatex0218-dwi-dce" / folder, Role.DIFFUSION)
    assert b_values_of(series) == b_values


def test_what_prostatex_0218_s_scanner_calculated_is_no_signal(shared: Path) -> None:
    data = shared / "data" / "mr-prostatex0218-dwi-dce"
    for folder in ("s09_vendor_adc", "s21_vendor_adc_highb"):
        assert len(by_role(data / folder, Role.ADC_MAP)) == 1
    for folder in ("s10_vendor_calc_b1600", "s23_vibe_fa02", "s027_twist"):
        assert not by_role(data / folder, Role.DIFFUSION)
        assert not by_role(data / folder, Role.ADC_MAP)
