"""The unit of a vendor's ADC map: by what the header states, never by how large its values are."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from her2node.dicom.codes import Code, Unit
from her2node.errors import NotCalibrated, UnknownUnit
from her2node.volumes.mr import build_adc
from tests.rois.made import code
from tests.volumes import made

MR = "1.2.840.10008.5.1.4.1.1.4"
STORED = np.full((3, 4, 5), 1200, dtype="<i2")


def adc_map(
    folder: Path, stored: np.ndarray, change: Callable[[Dataset], object], unit: Code = Unit.UM2_PER_S
) -> float:
    """The one value of the map, which is in ``unit``."""

    def as_map(_: int, ds: Dataset) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MR
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.Modality, ds.ImageType = "MR", ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]
        del ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType
        change(ds)

    volume = build_adc(made.classic(folder, stored, change=as_map))
    assert volume.unit == unit
    (value,) = np.unique(volume.voxels)
    return float(value)


def mapping(unit: str, slope: float) -> Dataset:
    item = Dataset()
    item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, 0.0
    item.MeasurementUnitsCodeSequence = [code(unit, "UCUM", unit)]
    return item


@pytest.mark.parametrize(
    ("keyword", "said", "stored"),
    [
        ("RescaleType", "10-6 mm2/s", 1200),
        ("RescaleType", "um2/s", 1200),
        ("SeriesDescription", "ADC (10^-6 mm²/s)", 1200),
        ("SeriesDescription", "dADC 1e-6 mm^2/s", 1200),
        ("ImageComments", "ADC in 10**-6 mm2/s", 1200),
        ("ImageComments", "values are μm²/s", 1200),
        ("DerivationDescription", "ADC, x10E-6 mm2/s", 1200),
        ("SeriesDescription", "ADC 1e-06 mm2/s", 1200),
        ("SeriesDescription", "ADC 10^-6mm2/sec", 1200),
        ("SeriesDescription", "ADC 10⁻⁶ mm²/sec", 1200),
        ("ImageComments", "10^(-6) mm^2/s", 1200),
        ("ImageComments", "[um2/ms]", 1),
        ("DerivationDescription", "10^-3mm2/s", 1),
    ],
)
def test_a_unit_that_the_header_spells_is_read(tmp_path: Path, keyword: str, said: str, stored: int) -> None:
    found = adc_map(tmp_path, np.full_like(STORED, stored), lambda ds: setattr(ds, keyword, said))
    assert found == pytest.approx(1200 if stored == 1200 else 1000)


@pytest.mark.parametrize(
    ("unit", "slope"), [("um2/s", 1.0), ("10-6.mm2/s", 1.0), ("mm2/s", 1e-6), ("10-3.mm2/s", 1e-3)]
)
def test_a_real_world_value_mapping_gives_value_and_unit(tmp_path: Path, unit: str, slope: float) -> None:
    def mapped(ds: Dataset) -> None:
        ds.RealWorldValueMappingSequence = [mapping("1", 7.0), mapping(unit, slope)]

    assert adc_map(tmp_path, STORED, mapped) == pytest.approx(1200)


@pytest.mark.parametrize("said", ["", "ADC", "10^-6 mm/s", "um2/sample", "b 0 800 s/mm2 S2", "b 50, 800 s/mm2/S2"])
@pytest.mark.parametrize("stored", [1, 1200])
def test_a_map_that_names_no_unit_is_left_as_it_is_stored(tmp_path: Path, said: str, stored: int) -> None:
    def unsaid(ds: Dataset) -> None:
        ds.SeriesDescription, ds.RescaleType, ds.RescaleSlope, ds.RescaleIntercept = said, "US", 2, 0

    assert adc_map(tmp_path, np.full_like(STORED, stored), unsaid, Unit.ARBITRARY) == 2 * stored


@pytest.mark.parametrize(
    "said", ["ADC (mm2/s)", "mm^2/s", "10^-5 mm2/s", "10^-9 m2/s", "10⁻⁵ mm²/sec", "1.0E-6 mm**2/s", "mm2 s-1"]
)
@pytest.mark.parametrize("keyword", ["RescaleType", "SeriesDescription", "ImageComments"])
def test_a_unit_that_is_named_and_not_known_is_refused_in_its_own_words(
    tmp_path: Path, keyword: str, said: str
) -> None:
    with pytest.raises(UnknownUnit, match=re.escape(f"{keyword} {said!r}")):
        adc_map(tmp_path, STORED, lambda ds: setattr(ds, keyword, said))


def test_a_rescale_type_of_another_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownUnit, match="RescaleType 'HU'"):
        adc_map(tmp_path, STORED, lambda ds: setattr(ds, "RescaleType", "HU"))


def test_a_real_world_value_mapping_to_a_unit_that_is_not_known_is_refused_where_nothing_else_tells(
    tmp_path: Path,
) -> None:
    def mapped(ds: Dataset) -> None:
        ds.RealWorldValueMappingSequence = [mapping("1", 7.0), mapping("10*-9.m2/s", 1.0)]

    with pytest.raises(UnknownUnit, match="m2/s"):
        adc_map(tmp_path, STORED, mapped)
    told = adc_map(tmp_path, STORED, lambda ds: (mapped(ds), setattr(ds, "RescaleType", "10-6 mm2/s")))
    assert told == pytest.approx(1200)


@pytest.mark.parametrize("unit", ["1", "[arb'U]", ""])
def test_a_real_world_value_mapping_without_a_unit_names_none(tmp_path: Path, unit: str) -> None:
    def mapped(ds: Dataset) -> None:
        ds.RealWorldValueMappingSequence = [mapping(unit, 7.0)]
        ds.RescaleType = "normalized"

    assert adc_map(tmp_path, STORED, mapped, Unit.ARBITRARY) == 1200


def test_a_map_of_which_some_images_name_a_unit_is_refused(tmp_path: Path) -> None:
    def first_alone(ds: Dataset) -> None:
        ds.RescaleType = "10-6 mm2/s" if ds.InstanceNumber == 1 else "US"

    with pytest.raises(NotCalibrated, match="others do not"):
        adc_map(tmp_path, STORED, first_alone)


def test_two_units_in_one_header_are_refused(tmp_path: Path) -> None:
    def torn(ds: Dataset) -> None:
        ds.RescaleType, ds.ImageComments = "10-6 mm2/s", "10-3 mm2/s"

    with pytest.raises(NotCalibrated, match=r"two units: RescaleType .* ImageComments"):
        adc_map(tmp_path, STORED, torn)


@pytest.mark.parametrize(("said", "stored"), [("10-3 mm2/s", 1200), ("10-6 mm2/s", 1)])
def test_a_unit_that_cannot_be_that_of_the_values_is_refused(tmp_path: Path, said: str, stored: int) -> None:
    with pytest.raises(NotCalibrated, match="median of"):
        adc_map(tmp_path, np.full_like(STORED, stored), lambda ds: setattr(ds, "RescaleType", said))
