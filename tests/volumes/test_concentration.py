"""Iodine maps and their units: stated, stated twice, in other units, not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node.dicom.codes import Unit
from her2node.errors import NotCalibrated, Refused, UnknownUnit
from her2node.selection.roles import Role
from her2node.volumes import build, build_effective_z, build_iodine, stack_of
from her2node.volumes.concentration import factor_of
from tests.volumes import made

STORED = np.arange(2 * 3 * 4, dtype="<i2").reshape(2, 3, 4) * 10


def mapping(unit: str, slope: float = 0.01, intercept: float = 0.0) -> Dataset:
    item, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = unit, "UCUM", unit
    item.MeasurementUnitsCodeSequence = [code]
    item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
    return item


def rescaled(kind: str | None, slope: float = 0.01, *mappings: Dataset) -> made.Change:
    """A classic object with this RescaleType and these real world value mappings."""

    def change(_: int, ds: Dataset) -> None:
        ds.RescaleSlope, ds.RescaleIntercept = slope, 0
        if kind is None:
            del ds.RescaleType
        else:
            ds.RescaleType = kind
        if mappings:
            ds.RealWorldValueMappingSequence = list(mappings)

    return change


@pytest.mark.parametrize(
    ("words", "factor"),
    [
        ("MGML", 1.0), ("mg/ml", 1.0), ("mg/mL", 1.0), ("mg/cm3", 1.0), ("mg/cc", 1.0),
        ("100ug/cm3", 0.1), ("100 \u00b5g/cm\u00b3", 0.1), ("[100]ug/ml", 0.1), ("10*2.ug/ml", 0.1),
        ("10^-1 MGML", 0.1), ("10^-2 MGML", 0.01), ("ug/ml", 0.001),
    ],
)  # fmt: skip
def test_a_concentration_is_known_in_the_words_of_the_standard_and_of_scanners(words: str, factor: float) -> None:
    assert factor_of(words, Role.IODINE) == pytest.approx(factor, rel=1e-15)


@pytest.mark.parametrize("words", ["PCT", "ED", "g", "100", "mg", "Z_EFF", "ml/mg"])
def test_a_unit_that_is_no_concentration_is_refused_by_name(words: str) -> None:
    with pytest.raises(UnknownUnit, match=words):
        factor_of(words, Role.IODINE)


@pytest.mark.parametrize("words", ["HU", "HU_MOD", "[hnsf'U]"])
def test_hounsfield_units_are_no_concentration(words: str) -> None:
    with pytest.raises(NotCalibrated, match=r"HU|hnsf"):
        factor_of(words, Role.IODINE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rescaled("MGML"), "MGML"),
        (rescaled("100ug/cm3", 0.1), "100ug/cm3"),
        (rescaled("10^-2 MGML", 1), "10^-2 MGML"),
        (rescaled("US", 1, mapping("mg/ml")), "mg/ml"),
        (rescaled("HU", 1, mapping("[hnsf'U]", 1.0, -1024), mapping("mg/cm3")), "mg/cm3"),
        (rescaled("MGML", 0.01, mapping("ug/ml", 10.0)), "ug/ml"),
    ],
)
def test_however_it_is_stated_iodine_comes_in_mg_per_ml(tmp_path: Path, change: made.Change, words: str) -> None:
    volume, stated = build_iodine(made.classic(tmp_path, STORED, change=change))
    assert volume.unit == Unit.MG_PER_ML
    assert volume.voxels == pytest.approx(STORED * 0.01, rel=1e-6)
    assert stated.words == words
    assert volume.valid.all()


def test_an_enhanced_multi_energy_object_states_its_unit_in_functional_groups(tmp_path: Path) -> None:
    def by_rescale_type(_: int, ds: Dataset) -> None:
        item = ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
        item.RescaleSlope, item.RescaleIntercept, item.RescaleType = 0.01, 0, "MGML"

    def by_mapping(_: int, ds: Dataset) -> None:
        item = ds.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
        item.RescaleSlope, item.RescaleIntercept, item.RescaleType = 1, 0, "US"
        for frame in ds.PerFrameFunctionalGroupsSequence:
            frame.RealWorldValueMappingSequence = [mapping("mg/ml")]

    for change in (by_rescale_type, by_mapping):
        volume, _ = build_iodine(made.enhanced(tmp_path, STORED, order=(1, 0), change=change))
        assert volume.voxels == pytest.approx(STORED * 0.01, rel=1e-6)


def test_where_no_unit_is_stated_nothing_is_converted_and_it_says_so(tmp_path: Path) -> None:
    for kind in (None, "US"):
        volume, stated = build_iodine(made.classic(tmp_path, STORED, change=rescaled(kind)))
        assert (stated.words, stated.factor) == ("", 1.0)
        assert volume.voxels == pytest.approx(STORED * 0.01, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (rescaled("HU"), NotCalibrated),
        (rescaled("PCT"), UnknownUnit),
        (rescaled("US", 1, mapping("%")), UnknownUnit),
        (rescaled("US", 1, mapping("")), NotCalibrated),
        (rescaled("US", 1, mapping("[hnsf'U]")), NotCalibrated),
        (rescaled("MGML", 0.01, mapping("mg/ml", 0.1)), NotCalibrated),
        (rescaled("100ug/cm3", 0.01, mapping("mg/ml", 0.01)), NotCalibrated),
    ],
)
def test_wrong_units_and_statements_that_differ_are_refused(
    tmp_path: Path, change: made.Change, error: type[Refused]
) -> None:
    series = made.classic(tmp_path, STORED, change=change)
    with pytest.raises(error):
        build_iodine(series)
    with pytest.raises(error):
        stack_of(series, Role.IODINE)


def test_images_of_one_series_in_two_units_are_refused(tmp_path: Path) -> None:
    def change(index: int, ds: Dataset) -> None:
        rescaled("MGML" if index else "100ug/cm3")(index, ds)

    with pytest.raises(NotCalibrated, match="differ from image to image"):
        build_iodine(made.classic(tmp_path, STORED, change=change))


def test_an_iodine_map_is_never_taken_for_hounsfield_units(tmp_path: Path) -> None:
    with pytest.raises(NotCalibrated, match="MGML"):
        build(made.classic(tmp_path, STORED, change=rescaled("MGML")))


def test_padding_is_no_iodine(tmp_path: Path) -> None:
    def change(index: int, ds: Dataset) -> None:
        rescaled("MGML")(index, ds)
        ds.PixelPaddingValue = 0

    volume, _ = build_iodine(made.classic(tmp_path, STORED, change=change))
    assert np.array_equal(volume.valid, STORED != 0)


def test_an_atomic_number_must_say_that_it_is_one(tmp_path: Path) -> None:
    volume, _ = build_effective_z(made.classic(tmp_path, STORED, change=rescaled("Z_EFF")))
    assert volume.unit == Unit.ONE
    assert volume.voxels == pytest.approx(STORED * 0.01, rel=1e-6)
    for kind in (None, "US", "HU", "MGML"):
        with pytest.raises((NotCalibrated, UnknownUnit)):
            build_effective_z(made.classic(tmp_path, STORED, change=rescaled(kind)))
