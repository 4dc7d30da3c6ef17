from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from her2node.dicom.magnet import field_strength_t
from her2node.errors import InvalidAttribute


def header(strength: object) -> Dataset:
    ds = Dataset()
    ds.MagneticFieldStrength = strength
    return ds


@pytest.mark.parametrize("tesla", [0.064, 0.35, 1.5, 3, 7, 11.7])
def test_a_strength_in_tesla_is_taken_as_it_is(tesla: float) -> None:
    assert field_strength_t(header(tesla)) == (tesla, ())


@pytest.mark.parametrize(("gauss", "tesla"), [(1500, 0.15), (3500, 0.35), (15000, 1.5), (30000, 3.0)])
def test_a_strength_in_gauss_is_converted_and_told(gauss: float, tesla: float) -> None:
    found, (note,) = field_strength_t(header(gauss))
    assert found == pytest.approx(tesla)
    assert f"{gauss} is taken for gauss" in note


@pytest.mark.parametrize("strength", [None, 0])
def test_no_strength_is_none(strength: object) -> None:
    assert field_strength_t(header(strength)) == (None, ())


@pytest.mark.parametrize("strength", [-1.5, 30, 0.0001, 1e7])
def test_what_is_a_strength_in_no_unit_is_refused_by_its_keyword(strength: float) -> None:
    with pytest.raises(InvalidAttribute, match="MagneticFieldStrength"):
        field_strength_t(header(strength))
