"""Filters from the tables of a configuration file."""

from __future__ import annotations

import tomllib

import pytest

from her2node.errors import AnisotropicVoxels, SettingsRefused
from her2node.quantities.radiomics.filters import (
    Band,
    Boundary,
    Family,
    Filter,
    Gabor,
    LaplacianOfGaussian,
    Laws,
    Mean,
    NonSeparableWavelet,
    Pooling,
    Riesz,
    SeparableWavelet,
    filter_from,
)
from tests.quantities.radiomics.test_filters import NOISE

WRITTEN = """
[[filters]]
kind = "mean"
support = 5
dimensions = 2
boundary = "nearest"

[[filters]]
kind = "laplacian-of-gaussian"
sigma_mm = 3
dimensions = 3
boundary = "mirror"

[[filters]]
kind = "laws"
kernels = "L5E5E5"
boundary = "mirror"
pooling = "maximum"
energy_distance = 7

[[filters]]
kind = "gabor"
sigma_mm = 5.0
wavelength_mm = 2.0
aspect = 1.5
boundary = "mirror"
rotation_step_deg = 22.5
orthogonal_planes = true

[[filters]]
kind = "separable-wavelet"
family = "daubechies-3"
subband = "LLH"
level = 1
boundary = "periodic"
pooling = "average"

[[filters]]
kind = "non-separable-wavelet"
family = "simoncelli"
level = 2
dimensions = 3

[[filters]]
kind = "riesz"
order = [0, 2, 0]
[filters.of]
kind = "non-separable-wavelet"
family = "shannon"
level = 1
dimensions = 3
"""
MEANT: list[Filter] = [
    Mean(5, 2, Boundary.NEAREST),
    LaplacianOfGaussian(3.0, 3, Boundary.MIRROR),
    Laws("L5E5E5", Boundary.MIRROR, Pooling.MAXIMUM, energy_distance=7),
    Gabor(5.0, 2.0, 1.5, Boundary.MIRROR, rotation_step_deg=22.5, orthogonal_planes=True),
    SeparableWavelet(Family.DAUBECHIES_3, "LLH", 1, Boundary.PERIODIC, Pooling.AVERAGE),
    NonSeparableWavelet(Band.SIMONCELLI, 2, 3),
    Riesz((0, 2, 0), NonSeparableWavelet(Band.SHANNON, 1, 3)),
]
MEAN = {"kind": "mean", "support": 5, "dimensions": 2, "boundary": "zero"}
LOG = {"kind": "laplacian-of-gaussian", "sigma_mm": 3.0, "dimensions": 3, "boundary": "zero"}
LAWS = {"kind": "laws", "kernels": "L5E5", "boundary": "zero"}
GABOR = {"kind": "gabor", "sigma_mm": 5.0, "wavelength_mm": 2.0, "aspect": 1.5, "boundary": "zero"}
WAVELET = {"kind": "separable-wavelet", "family": "haar", "subband": "LH", "level": 1, "boundary": "zero"}
SIMONCELLI = {"kind": "non-separable-wavelet", "family": "simoncelli", "level": 1, "dimensions": 2}
RIESZ = {"kind": "riesz", "order": [1, 0], "of": SIMONCELLI}


def test_a_configuration_file_gives_the_filters_that_it_writes() -> None:
    assert [filter_from(table) for table in tomllib.loads(WRITTEN)["filters"]] == MEANT


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "kind None is none of mean, laplacian-of-gaussian, laws"),
        ({**MEAN, "kind": "median"}, "kind 'median' is none of"),
        ({**MEAN, "suport": 5, "width": 3}, "mean: unknown suport, width"),
        ({"kind": "mean", "support": 5}, "mean: missing dimensions, boundary"),
        ({**MEAN, "support": 5.0}, "mean: support must be int, not 5.0"),
        ({**MEAN, "support": True}, "mean: support must be int, not True"),
        ({**MEAN, "support": 4}, "mean: support must be odd, not 4"),
        ({**MEAN, "dimensions": 4}, "mean: dimensions must be 2 or 3, not 4"),
        ({**MEAN, "boundary": "wrap"}, "mean: boundary 'wrap' is none of zero, nearest, periodic, mirror"),
        ({**LOG, "sigma_mm": "3"}, "laplacian-of-gaussian: sigma_mm must be float, not '3'"),
        ({**LOG, "sigma_mm": 0}, "laplacian-of-gaussian: sigma_mm must be above 0, not 0"),
        ({**LOG, "cutoff": -1.0}, "laplacian-of-gaussian: cutoff must be above 0, not -1.0"),
        ({**LOG, "dimensions": 1}, "laplacian-of-gaussian: dimensions must be 2 or 3, not 1"),
        ({**LAWS, "kernels": "L5"}, "laws: no two or three Laws kernels: 'L5'"),
        ({**LAWS, "kernels": "L5X5"}, "laws: no two or three Laws kernels: 'L5X5'"),
        ({**LAWS, "kernels": "L5E5E"}, "laws: no two or three Laws kernels: 'L5E5E'"),
        ({**LAWS, "energy_distance": 0}, "laws: energy_distance must be at least 1, not 0"),
        ({**LAWS, "pooling": "minimum"}, "laws: pooling 'minimum' is none of average, maximum"),
        ({**GABOR, "aspect": 0.0}, "gabor: aspect must be above 0, not 0.0"),
        ({**GABOR, "rotation_step_deg": 50.0}, "gabor: rotation_step_deg must divide 360, 50.0 does not"),
        ({**GABOR, "orthogonal_planes": 1}, "gabor: orthogonal_planes must be bool, not 1"),
        ({**WAVELET, "subband": "LX"}, "separable-wavelet: subband must be two or three of L and H, not 'LX'"),
        ({**WAVELET, "level": 0}, "separable-wavelet: level must be at least 1, not 0"),
        ({**SIMONCELLI, "family": "haar"}, "non-separable-wavelet: family 'haar' is none of simoncelli, shannon"),
        ({**SIMONCELLI, "level": 0}, "non-separable-wavelet: level must be at least 1, not 0"),
        ({**SIMONCELLI, "dimensions": 0}, "non-separable-wavelet: dimensions must be 2 or 3, not 0"),
        ({**RIESZ, "order": 1}, "riesz: order must be a list of whole numbers, not 1"),
        ({**RIESZ, "order": [1, 0, 0]}, "riesz: order must be 2 numbers, not all 0, not \\[1, 0, 0\\]"),
        ({**RIESZ, "order": [0, 0]}, "riesz: order must be 2 numbers, not all 0"),
        ({**RIESZ, "of": "simoncelli"}, "riesz: of must be a table, not 'simoncelli'"),
        ({**RIESZ, "of": LAWS}, "riesz: of must be laplacian-of-gaussian or non-separable-wavelet, not laws"),
    ],
)
def test_a_table_that_says_something_else_is_refused_by_the_name_of_the_key(
    table: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsRefused, match=said):
        filter_from(table)


@pytest.mark.parametrize(
    "filter_",
    [
        LaplacianOfGaussian(3.0, 3, Boundary.MIRROR),
        Gabor(5.0, 2.0, 1.5, Boundary.MIRROR, orthogonal_planes=True),
        Riesz((1, 0, 0), LaplacianOfGaussian(3.0, 3, Boundary.MIRROR)),
    ],
)
def test_a_filter_with_one_size_in_mm_refuses_voxels_that_are_not_cubes(filter_: Filter) -> None:
    with pytest.raises(AnisotropicVoxels, match="interpolate first"):
        filter_.apply(NOISE, (3.0, 1.0, 1.0))


@pytest.mark.parametrize(
    "filter_", [LaplacianOfGaussian(3.0, 2, Boundary.MIRROR), Gabor(5.0, 2.0, 1.5, Boundary.MIRROR)]
)
def test_a_filter_in_slices_does_not_mind_how_far_apart_they_are(filter_: Filter) -> None:
    assert (filter_.apply(NOISE, (3.0, 1.0, 1.0)) == filter_.apply(NOISE, (1.0, 1.0, 1.0))).all()
