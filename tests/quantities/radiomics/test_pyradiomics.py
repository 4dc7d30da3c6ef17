"""The features that PyRadiomics names too are its own to the sixth digit, or differ by what ``names`` says."""

from __future__ import annotations

import numpy as np
import pytest

from her2node.quantities.radiomics import names
from tests.quantities.radiomics import pyradiomics

DEFINED_OTHERWISE = {"stat_kurt", "morph_pca_maj_axis", "morph_pca_min_axis", "morph_pca_least_axis"}
NOT_BY_DEFAULT = {"morph_comp_1", "morph_comp_2", "morph_sph_dispr"}
"""PyRadiomics does not calculate these unless it is told to."""


@pytest.mark.parametrize("name", pyradiomics.cases())
def test_every_common_feature_is_that_of_pyradiomics(name: str) -> None:
    theirs, ours = pyradiomics.table()[name], pyradiomics.cases()[name].features()
    common = {tag: of for tag, of in names.pyradiomics().items() if tag in ours and of in theirs}
    assert len(common) == 102
    assert names.pyradiomics().keys() - common.keys() == NOT_BY_DEFAULT
    same = common.keys() - DEFINED_OTHERWISE
    assert {tag: ours[tag] for tag in same} == pytest.approx({tag: theirs[common[tag]] for tag in same}, rel=1e-6)


@pytest.mark.parametrize("name", pyradiomics.cases())
def test_kurtosis_and_axes_differ_by_what_is_said(name: str) -> None:
    case = pyradiomics.cases()[name]
    theirs, ours, called = pyradiomics.table()[name], case.features(), names.pyradiomics()
    assert theirs[called["stat_kurt"]] - ours["stat_kurt"] == pytest.approx(3)
    count = int(np.count_nonzero(case.mask))
    for tag in DEFINED_OTHERWISE - {"stat_kurt"}:
        assert ours[tag] / theirs[called[tag]] == pytest.approx(np.sqrt(count / (count - 1)))
