from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from her2node.dicom.diffusion import Content, Weighting, content_of, encoding_of
from her2node.errors import InvalidAttribute
from her2node.phantoms.weighting import Tagging, Weighted, functional_group, weight

CLASSIC = [tagging for tagging in Tagging if tagging not in (Tagging.ENHANCED, Tagging.PHILIPS_ENHANCED)]
NO_B0 = [tagging for tagging in CLASSIC if tagging not in (Tagging.CANON, Tagging.TOSHIBA)]


def tagged(tagging: Tagging, weighted: Weighted) -> Dataset:
    ds = Dataset()
    weight(ds, tagging, weighted)
    return ds


@pytest.mark.parametrize("tagging", CLASSIC)
@given(b=st.integers(1, 5000))
def test_every_vendor_s_b_value_is_read(tagging: Tagging, b: int) -> None:
    found = encoding_of(tagged(tagging, Weighted(float(b), trace=True)))
    assert found is not None
    assert found.b == b
    assert found.weighting is (Weighting.UNSAID if tagging is Tagging.UIH else Weighting.TRACE)


@pytest.mark.parametrize("tagging", [tagging for tagging in CLASSIC if tagging is not Tagging.SIEMENS_NAME])
def test_every_vendor_s_direction_is_read_and_its_opposite_is_the_same(tagging: Tagging) -> None:
    found = [encoding_of(tagged(tagging, Weighted(800.0, axis))) for axis in ((0.0, 0.6, 0.8), (0.0, -0.6, -0.8))]
    assert [one and (one.weighting, one.direction) for one in found] == [(Weighting.DIRECTIONAL, (0.0, 0.6, 0.8))] * 2


def test_directions_that_are_only_numbered_are_told_apart() -> None:
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 1.0, 0.0))
    found = [encoding_of(tagged(Tagging.SIEMENS_NAME, Weighted(800.0, axis))) for axis in axes]
    said = [one and (one.weighting, one.direction, one.numbered) for one in found]
    assert said == [(Weighting.DIRECTIONAL, None, number) for number in (1, 2, 2)]
    with_vector = tagged(Tagging.SIEMENS, Weighted(800.0, axes[0]))
    with_vector.SequenceName = "*ep_b800#7"
    one = encoding_of(with_vector)
    assert one is not None
    assert (one.direction, one.numbered) == (axes[0], None)


@pytest.mark.parametrize("tagging", NO_B0)
def test_every_vendor_s_b_0_has_no_direction(tagging: Tagging) -> None:
    found = encoding_of(tagged(tagging, Weighted(0.0)))
    assert found is not None
    assert (found.b, found.weighting, found.direction) == (0.0, Weighting.NONE, None)


def test_a_frame_s_functional_group_goes_before_the_header() -> None:
    found = encoding_of(
        Dataset(), (functional_group(Weighted(500.0, (1.0, 0.0, 0.0))), functional_group(Weighted(0.0)))
    )
    assert found is not None
    assert (found.b, found.weighting) == (500.0, Weighting.DIRECTIONAL)


def test_a_header_without_b_value_gives_none_and_not_zero() -> None:
    assert encoding_of(Dataset()) is None


def test_two_places_that_disagree_are_refused_by_name() -> None:
    ds = tagged(Tagging.GE, Weighted(800.0))
    ds.DiffusionBValue = 1000.0
    with pytest.raises(InvalidAttribute, match=r"\(0018,9087\) holds b = 1000, GE \(0043,1039\) holds b = 800"):
        encoding_of(ds)


@pytest.mark.parametrize("b", [-5.0, 1e6])
def test_what_is_no_b_value_is_refused_by_name(b: float) -> None:
    ds = Dataset()
    ds.DiffusionBValue = b
    with pytest.raises(InvalidAttribute, match=r"DiffusionBValue \(0018,9087\) holds"):
        encoding_of(ds)


def test_the_sequence_name_of_siemens_tells_the_b_value_where_nothing_else_does() -> None:
    ds = Dataset()
    ds.Manufacturer, ds.SequenceName = "SIEMENS", "*ep_b800t"
    found = encoding_of(ds)
    assert found is not None
    assert (found.b, found.weighting) == (800.0, Weighting.TRACE)
    ds.Manufacturer = "Somebody"
    assert encoding_of(ds) is None


@pytest.mark.parametrize(
    ("kinds", "description", "sequence", "content"),
    [
        (("ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"), "ep2d_diff", "ep_b800#1", Content.SIGNAL),
        (("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "ND"), "ep2d_diff_TRACEW", "ep_b800t", Content.SIGNAL),
        (("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND"), "ep2d_diff_ADC", "ep_b0_800", Content.ADC),
        (("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "ND", "ADC"), "ADC_high bvalue", "", Content.ADC),
        (("DERIVED", "SECONDARY", "OTHER"), "ADC (10^-6 mm²/s)", "", Content.ADC),
        (("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "ND"), "x_CALC_BVAL", "ep_b0_800", Content.OTHER),
        (("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"), "high b", "ep_b0_800", Content.OTHER),
        (("DERIVED", "PRIMARY", "DIFFUSION", "FA"), "FA", "", Content.OTHER),
        (("DERIVED", "SECONDARY", "OTHER"), "eADC", "", Content.OTHER),
    ],
)
def test_maps_and_calculated_images_are_told_from_signal(
    kinds: tuple[str, ...], description: str, sequence: str, content: Content
) -> None:
    ds = Dataset()
    ds.SeriesDescription, ds.SequenceName = description, sequence
    assert content_of(ds, kinds) is content
