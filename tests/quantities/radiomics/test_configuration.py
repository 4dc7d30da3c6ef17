"""The settings block: what it accepts, and how it names what it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from her2node.errors import SettingsRefused
from her2node.quantities.radiomics import catalogue, shipped
from her2node.quantities.radiomics.configuration import FAMILIES, parse
from her2node.quantities.radiomics.discretisation import FixedBinNumber, FixedBinSize
from her2node.quantities.radiomics.texture import Aggregation

LEAST = """
name = "site"
title = "of a site"
[discretisation]
method = "fixed-bin-number"
bins = 32
[texture]
aggregations = ["3D_comb"]
"""


def test_the_least_that_a_configuration_says() -> None:
    found = parse(LEAST, "site.toml")
    assert found.discretisation == FixedBinNumber(32)
    assert found.aggregations == (Aggregation.VOLUME_MERGED,)
    assert found.interpolation is None
    assert found.volume_histogram is None
    assert found.families == FAMILIES


def test_the_shipped_configurations_are_those_of_ibsi() -> None:
    a, b, c, d, e = (shipped(f"ibsi-{letter}") for letter in "abcde")
    assert (a.interpolation, a.discretisation) == (None, FixedBinSize(25))
    assert b.interpolation is not None
    assert (b.interpolation.in_plane_mm, b.interpolation.slice_mm) == (2, None)
    assert (c.volume_histogram, c.resegmentation.lowest) == (FixedBinSize(2.5), -1000)
    assert (d.resegmentation.outliers_sigma, d.resegmentation.lowest) == (3, None)
    assert e.interpolation is not None
    assert (e.interpolation.order, e.volume_histogram) == (3, FixedBinNumber(1000))
    assert [len(catalogue(x)) for x in (a, b, c, d, e)] == [346, 346, 210, 210, 210]


WRONG = {
    "another key": (LEAST.replace('title = "of a site"', 'title = "t"\ncolour = "red"'), "colour is not known", "name"),
    "a key in a table": (LEAST + "distance = 1", "distance is not known", "aggregations"),
    "no name": (LEAST.replace('name = "site"', ""), "name is missing", 'name = "a-name"'),
    "a name with blanks": (LEAST.replace('"site"', '"my site"'), "name is 'my site'", "match"),
    "text for a number": (LEAST.replace("bins = 32", 'bins = "32"'), "bins is '32'", "bins = 32"),
    "a fraction of a bin": (LEAST.replace("bins = 32", "bins = 32.5"), "bins is 32.5", "bins = 32"),
    "true for a number": (LEAST.replace("bins = 32", "bins = true"), "bins is True", "bins = 32"),
    "no bins": (LEAST.replace("bins = 32", "bins = 0"), "bins is 0", "at least 1"),
    "an unknown method": (LEAST.replace("-number", "-width"), "method is 'fixed-bin-width'", "fixed-bin-size"),
    "an unknown aggregation": (LEAST.replace("3D_comb", "4D_comb"), "4D_comb", "3D_comb"),
    "no aggregation": (LEAST.replace('"3D_comb"', ""), "aggregations has nothing", "2D_avg"),
    "an unknown family": ('families = ["shape"]\n' + LEAST, "shape", "morph"),
    "a range upside down": (LEAST + "[resegmentation]\nlowest = 5\nhighest = 5", "highest is 5.0", "above 5.0"),
    "an infinite range": (LEAST + "[resegmentation]\nlowest = inf", "lowest is inf", "finite"),
    "a number for a table": ("interpolation = 2\n" + LEAST, "interpolation is 2", "{ ... }"),
    "a threshold above one": (
        LEAST + '[interpolation]\nin_plane_mm = 2\nmethod = "linear"\nround_intensities = true\nmask_threshold = 1.5',
        "mask_threshold is 1.5",
        "at most 1",
    ),
    "no TOML": ("name = ", "site.toml", "correct the TOML"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_used_is_refused_by_its_name_with_a_remedy(what: str) -> None:
    text, problem, remedy = WRONG[what]
    with pytest.raises(SettingsRefused) as refused:
        parse(text, "site.toml")
    assert problem in refused.value.detail
    assert remedy in refused.value.remedy


def test_a_name_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(SettingsRefused) as refused:
        shipped("ibsi-z")
    assert "ibsi-a" in refused.value.remedy


def test_single_features_can_be_asked_for_and_an_unknown_one_is_refused_with_a_hint() -> None:
    wanted = parse('features = ["stat_mean", "cm_contrast_3D_avg"]\n' + LEAST, "site.toml")
    assert list(catalogue(wanted)) == ["stat_mean", "cm_contrast_3D_avg"]
    with pytest.raises(SettingsRefused) as refused:
        catalogue(parse('features = ["cm_contrast_3D_average"]\n' + LEAST, "site.toml"))
    assert "cm_contrast_3D_avg" in refused.value.remedy


def test_the_method_code_changes_with_every_setting_that_shapes_a_value() -> None:
    a = shipped("ibsi-a")
    others = [
        replace(a, discretisation=FixedBinSize(24)),
        replace(a, resegmentation=replace(a.resegmentation, lowest=-501)),
        replace(a, dependence_coarseness=1),
    ]
    assert len({c.method.value for c in (a, *others)}) == 4
    assert a.method.value == shipped("ibsi-a").method.value
    assert len(a.method.value) <= 16
    assert len(a.method.meaning) <= 64
