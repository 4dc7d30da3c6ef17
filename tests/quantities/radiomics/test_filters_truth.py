"""The filters against IBSI 2's consensus: 33 response maps and 323 features of filtered images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from her2node.errors import Refused
from her2node.quantities.radiomics import features_of_response
from her2node.quantities.radiomics.configuration import Configuration, parse
from her2node.quantities.radiomics.filters import respond
from tests.quantities import made
from tests.quantities.radiomics import ibsi2
from tests.quantities.radiomics.ibsi2 import Scan

WHOLE = ("1_a_1", "2_a", "2_b", "5_a_1", "6_a_1", "7_a_1")
SAMPLED = tuple(name for name in ibsi2.MAPS if name not in WHOLE)
SPACING = (2.0, 2.0, 2.0)
OF_RANGE = 0.01
"""IBSI 2's tolerance for a voxel of a response map."""


def response_map(shared: Path, name: str) -> np.ndarray:
    phantom, filter_ = ibsi2.MAPS[name]
    return filter_.apply(ibsi2.phantom(shared, phantom), SPACING)


@pytest.mark.truth
@pytest.mark.parametrize("name", WHOLE)
def test_every_voxel_of_a_response_map_is_ibsi_s(name: str, shared: Path) -> None:
    reference = ibsi2.nifti(shared / f"reference/ibsi2/response_maps/{name}-ValidCRM.nii")
    error = np.abs(response_map(shared, name) - reference).max() / np.ptp(reference)
    print(f"{name}: largest difference {error:.4%} of the range")
    assert error <= OF_RANGE


@pytest.mark.truth
@pytest.mark.parametrize("name", SAMPLED)
def test_the_sampled_voxels_of_the_other_response_maps_are_ibsi_s(name: str, shared: Path) -> None:
    rows = [row for row in made.table("ibsi2_maps.csv") if row["map"] == name]
    places = tuple(np.array([int(row[axis]) for row in rows]) for axis in ("slice", "row", "column"))
    reference = np.array([float(row["value"]) for row in rows])
    error = np.abs(response_map(shared, name)[places] - reference).max() / float(rows[0]["range"])
    print(f"{name}: largest difference {error:.4%} of the range at {len(rows)} voxels")
    assert len(rows) >= 100
    assert error <= OF_RANGE


def test_all_maps_and_features_of_the_consensus_are_tested(shared: Path) -> None:
    assert len(WHOLE) + len(SAMPLED) == 33
    assert set(SAMPLED) == {row["map"] for row in made.table("ibsi2_maps.csv")}
    references = ibsi2.reference_values(shared)
    assert set(references) == set(ibsi2.FEATURES)
    assert sum(len(features) for features in references.values()) == 323


@pytest.fixture(scope="module")
def scans(shared: Path) -> dict[str, Scan]:
    return {"A": ibsi2.configuration_a(shared), "B": ibsi2.configuration_b(shared)}


@pytest.mark.truth
@pytest.mark.parametrize("name", ibsi2.FEATURES)
def test_every_feature_of_the_filtered_ct_phantom_is_within_ibsi_s_tolerance(
    name: str, shared: Path, scans: dict[str, Scan]
) -> None:
    voxels, spacing, mask = scans[name[-1]]
    filter_ = ibsi2.FEATURES[name]
    response = voxels if filter_ is None else respond(filter_, voxels, spacing, mask)
    found = ibsi2.statistics(response[mask])
    missed = {
        feature: f"{found[feature]:.5g} instead of {value:.5g} +- {tolerance:.5g}"
        for feature, (value, tolerance) in ibsi2.reference_values(shared)[name].items()
        if abs(found[feature] - value) > tolerance
    }
    assert not missed


OF_FILE = {
    "2.B": 'kind = "mean"\nsupport = 5\ndimensions = 3\nboundary = "mirror"',
    "3.A": 'kind = "laplacian-of-gaussian"\nsigma_mm = 1.5\ndimensions = 2\nboundary = "mirror"',
    "3.B": 'kind = "laplacian-of-gaussian"\nsigma_mm = 1.5\ndimensions = 3\nboundary = "mirror"',
    "4.B": 'kind = "laws"\nkernels = "L5E5E5"\nboundary = "mirror"\npooling = "maximum"\nenergy_distance = 7',
    "6.B": 'kind = "separable-wavelet"\nfamily = "daubechies-3"\nsubband = "LLH"\nlevel = 1\nboundary = "mirror"\n'
    'pooling = "average"',
    "8.B": 'kind = "non-separable-wavelet"\nfamily = "simoncelli"\nlevel = 1\ndimensions = 3',
}
"""A filter of each family as a configuration file says it, by IBSI 2's id."""


def of_file(name: str) -> Configuration:
    """IBSI 2's configurations A and B with one filter."""
    fine = """
[interpolation]
in_plane_mm = 1.0
slice_mm = 1.0
method = "cubic-spline"
round_intensities = true
mask_threshold = 0.5
"""
    return parse(
        f"""
name = "ibsi2-{name}"
title = "IBSI 2 {name}"
{fine if name.endswith("B") else ""}
[resegmentation]
lowest = -1000
highest = 400
[discretisation]
method = "fixed-bin-size"
size = 25
[texture]
aggregations = ["3D_comb"]
[[filters]]
name = "{name}"
{OF_FILE[name]}
""",
        name,
    )


@pytest.mark.truth
@pytest.mark.parametrize("name", OF_FILE)
def test_a_filter_of_a_configuration_file_gives_ibsi_s_features_from_the_scan_on(name: str, shared: Path) -> None:
    """Interpolation, re-segmentation and filter by the file alone, around the region alone."""
    configuration = of_file(name)
    voxels, spacing, _ = ibsi2.configuration_a(shared)
    region = ibsi2.nifti(shared / "reference/ibsi1/ct_phantom/nifti/mask/mask.nii.gz") > 0
    (filtered,) = configuration.filters
    assert filtered.filter == ibsi2.FEATURES[name]
    found = features_of_response(voxels, region, spacing, configuration, filtered)
    references = ibsi2.reference_values(shared)[name]
    missed = {
        tag: f"{found[tag]} instead of {value:.5g} +- {tolerance:.5g}"
        for tag, (value, tolerance) in references.items()
        if isinstance(found[tag], Refused) or abs(found[tag] - value) > tolerance
    }
    assert not missed
    assert len(references) >= 17
