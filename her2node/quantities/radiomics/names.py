"""What a tag means: its feature, aggregation and code, and what PyRadiomics calls it.

IBSI's tags name a feature and the aggregation of its matrices (``cm_joint_max_3D_comb``). ``catalogue(configuration)``
lists those that a configuration asks for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydicom.sr.codedict import codes

from her2node.dicom.codes import Code
from her2node.errors import SettingsRefused
from her2node.quantities.radiomics import histogram, local_intensity, morphology, statistics, texture, volume_histogram
from her2node.quantities.radiomics.configuration import Configuration
from her2node.quantities.radiomics.feature import Feature
from her2node.quantities.radiomics.texture import Aggregation

_AGGREGATIONS = {
    "2D_avg": Code("BTW3", "IBSI", "2D, averaged"),
    "2D_comb": Code("SUJT", "IBSI", "2D, slice-merged"),
    "2_5D_avg": Code("JJUI", "IBSI", "2.5D, direction-merged"),
    "2_5D_comb": Code("ZW7Z", "IBSI", "2.5D, merged"),
    "3D_avg": Code("ITBB", "IBSI", "3D, averaged"),
    "3D_comb": Code("IAZD", "IBSI", "3D, merged"),
    "2D": Code("8QNN", "IBSI", "2D, averaged"),
    "2_5D": Code("62GR", "IBSI", "2.5D, merged"),
    "3D": Code("KOBO", "IBSI", "3D"),
}


@dataclass(frozen=True)
class Name:
    """A tag's feature and, for texture, how its matrices are aggregated."""

    tag: str
    feature: Feature[Any]
    aggregation: Code | None = None

    @property
    def family(self) -> str:
        return self.tag.partition("_")[0]

    @property
    def code(self) -> Code:
        """IBSI's code; the meaning is DICOM's where PS3.16 has the code."""
        return Code(self.feature.code, "IBSI", _meanings().get(self.feature.code, self.feature.name))


@cache
def _meanings() -> dict[str, str]:
    concepts = [getattr(codes.IBSI, keyword) for keyword in codes.IBSI.dir()]
    return {concept.value: concept.meaning for concept in concepts}


@cache
def names() -> dict[str, Name]:
    """Every feature that this engine knows, by tag, in IBSI's order."""
    return {name.tag: name for name in (*_plain(), *_textures())}


def _plain() -> Iterator[Name]:
    for module in (morphology, local_intensity, statistics, histogram, volume_histogram):
        for feature in module.FEATURES:
            yield Name(feature.tag, feature)


def _textures() -> Iterator[Name]:
    for family in texture.FAMILIES.values():
        endings = [a.value if family.directed else a.extent for a in Aggregation]
        for ending in dict.fromkeys(endings):
            for feature in family.features:
                yield Name(f"{feature.tag}_{ending}", feature, _AGGREGATIONS[ending])


def catalogue(configuration: Configuration) -> dict[str, Name]:
    """The features that a configuration asks for. Raises SettingsRefused for a tag that does not exist."""
    if configuration.features:
        return {tag: _known(tag) for tag in configuration.features}
    endings = {ending for a in configuration.aggregations for ending in (a.value, a.extent)}
    return {
        tag: name
        for tag, name in names().items()
        if name.family in configuration.families
        and (name.aggregation is None or tag.removeprefix(f"{name.feature.tag}_") in endings)
    }


def _known(tag: str) -> Name:
    found = names().get(tag)
    if found is None:
        near = difflib.get_close_matches(tag, names(), n=3) or ["morph_volume"]
        raise SettingsRefused(f"there is no feature {tag!r}", remedy=f"did you mean {' or '.join(near)}?")
    return found
