"""What is measured only when asked for: the file, the phases, and several askers at once."""

from __future__ import annotations

import numpy as np
import pytest

from her2node.errors import SettingsRefused
from her2node.quantities import signature
from her2node.quantities.quantity import Quantity
from her2node.quantities.signature import Signature
from her2node.rois.roi import Roi
from her2node.selection.roles import Role
from her2node.volumes.volume import Volume
from tests.quantities import made

RADIOMICS = """
name = "site"
title = "of a site"
features = ["stat_mean", "ih_entropy"]
[discretisation]
method = "fixed-bin-number"
bins = 8
[texture]
aggregations = ["3D_comb"]
"""
FILTERS = """
[[filters]]
name = "mean-3"
kind = "mean"
support = 3
dimensions = 3
boundary = "mirror"
[[filters]]
name = "level"
kind = "laws"
kernels = "L5E5"
boundary = "mirror"
features = ["stat_p90"]
"""


def scanned() -> tuple[Volume, Roi]:
    """A noisy volume and a ball of radius 4 voxels in it."""
    volume = made.volume(np.random.default_rng(1).normal(50, 12, (13, 15, 15)))
    slices, rows, columns = np.indices(volume.voxels.shape)
    ball = (slices - 6) ** 2 + (rows - 7) ** 2 + (columns - 7) ** 2 <= 16
    return volume, made.roi(ball, volume)


def test_a_file_may_ask_for_texture_alone_for_radiomics_alone_or_for_both() -> None:
    texture, radiomics = signature.parse("mazda_like = true", "x"), signature.parse(RADIOMICS, "x")
    assert (texture.radiomics, texture.mazda_like) == (None, True)
    assert (radiomics.radiomics is not None, radiomics.mazda_like) == (True, False)
    both = signature.parse('mazda_like = true\nphases = ["plain", "portal"]\n' + RADIOMICS, "x")
    assert (both.radiomics, both.mazda_like) == (radiomics.radiomics, True)
    assert both.phases == (Role.PLAIN, Role.PORTAL)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mazda_like = 1", "mazda_like is 1"),
        ('phases = ["venous"]\n' + RADIOMICS, "venous"),
        ('phases = ["iodine"]\n' + RADIOMICS, "iodine"),
        ('phases = "portal"\n' + RADIOMICS, "portal"),
        ('mazda_like = true\nphases = ["portal"]', "without the plain phase"),
        ("everything = true", "everything"),
        (RADIOMICS.replace("stat_mean", "stat_meen"), "stat_meen"),
        (RADIOMICS + FILTERS.replace("stat_p90", "stat_p91"), "stat_p91"),
        (RADIOMICS + FILTERS.replace("stat_p90", "morph_volume"), "morph_volume"),
        (RADIOMICS + FILTERS.replace("stat_p90", "cm_contrast_3D_comb"), "discretisation"),
        (RADIOMICS + FILTERS.replace('"level"', '"mean-3"'), "named twice"),
        (RADIOMICS + FILTERS.replace("L5E5", "L5E6"), "L5E6"),
        (RADIOMICS + FILTERS.replace('kind = "laws"', 'kind = "unsharp"'), "unsharp"),
        ("", "name is missing"),
        ("name = ", "x"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(text: str, problem: str) -> None:
    with pytest.raises(SettingsRefused, match=problem):
        signature.parse(text, "x")


def test_features_are_measured_in_the_phases_named_and_texture_in_the_plain_one_alone() -> None:
    wanted = signature.parse('mazda_like = true\nphases = ["plain", "portal"]\n' + RADIOMICS, "x")
    scan, region = scanned()
    plain, portal = (wanted.measured(scan, region, role) for role in (Role.PLAIN, Role.PORTAL))
    assert len([value for value in plain if value.code and value.code.value.startswith("MZ-")]) == 279
    assert [value.code.value for value in portal if value.code] == ["Q4LE", "TLU2"]
    assert wanted.measured(scan, region, Role.ARTERIAL) == ()


def test_each_filter_s_features_bear_a_method_of_their_own_and_say_the_filter_in_words() -> None:
    wanted = signature.parse(RADIOMICS + FILTERS, "x")
    found = [value for value in wanted.measured(*scanned(), None) if isinstance(value, Quantity)]
    by_method = {code.value: [q for q in found if q.method == code] for code in wanted.methods()}
    assert [len(values) for values in by_method.values()] == [2, 18, 1]
    image, mean, level = by_method.values()
    assert image[0].parameters == ()
    assert "mean-3: Mean(" in mean[0].parameters[0]
    assert level[0].method is not None
    assert level[0].method.meaning == "Radiomics by site, level: of a site"
    assert {q.unit.value for q in mean} == {"[arb'U]", "([arb'U])2", "1"}


def test_a_method_s_code_follows_what_shapes_a_value_and_nothing_else() -> None:
    def codes(text: str) -> list[str]:
        return [code.value for code in signature.parse(text, "x").methods()]

    text = RADIOMICS + FILTERS
    assert codes(text.replace('"stat_mean", ', "")) == codes(text)
    assert codes('phases = ["portal"]\n' + text) == codes(text)
    assert codes(text.replace("support = 3", "support = 5"))[0::2] == codes(text)[0::2]
    assert codes(text.replace("support = 3", "support = 5"))[1] != codes(text)[1]
    assert not set(codes(text.replace("[discretisation]", "[resegmentation]\nlowest = 0\n[discretisation]"))) & set(
        codes(text)
    )


def test_what_several_ask_for_is_measured_once() -> None:
    scan, region = scanned()
    wider = signature.parse(RADIOMICS.replace('"ih_entropy"', '"ih_entropy", "stat_max"'), "x")
    texture = Signature(mazda_like=True)
    found = signature.measured((signature.parse(RADIOMICS, "x"), wider, texture, texture), scan, region, Role.PLAIN)
    assert len(found) == 3 + 279
