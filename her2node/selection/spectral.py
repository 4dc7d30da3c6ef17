"""Which images of a dual-energy CT a series holds: iodine, one photon energy, effective atomic number, or none to use.

Three witnesses: ImageType (the values of PS3.3 C.8.15.2.1.1.5 and scanners' own), RescaleType and SeriesDescription.
Where they name different things none is believed and the series is kept out. A series of which none of them speaks is
a classic one, the mixed images of a dual-energy scanner included.

Virtual non-contrast images are kept out: what was taken away is an estimate, and they are no plain scan. So are images
that were changed for the eye, fractions, electron densities, and materials other than iodine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from her2node.dicom.attributes import items, number, text, texts
from her2node.errors import InvalidAttribute, MissingAttribute
from her2node.selection.roles import Role
from her2node.selection.study import Series

_KEPT_OUT = "kept out"
Named = Role | str
"""A role, or ``_KEPT_OUT``."""

_IMAGE_TYPES: tuple[tuple[Named, re.Pattern[str]], ...] = (
    (_KEPT_OUT, re.compile(r"MAT_(?:REMOVED|FRACTIONAL|VALUE_BASED|MODIFIED)|ELECTRON_DENSITY|VNC|VUE|VIRTUAL.*")),
    (Role.MONOENERGETIC, re.compile(r"VMI|MONO_?E(?:NERGETIC|NERGY)?|MONOCHROMATIC")),
    (Role.EFFECTIVE_Z, re.compile(r"EFF_ATOMIC_NUM|EFF_?Z|Z_?EFF")),
    (Role.IODINE, re.compile(r"(?:MD_?)?IODINE(?:_.*)?")),
)
_DESCRIPTIONS: tuple[tuple[Named, re.Pattern[str]], ...] = tuple(
    (named, re.compile(pattern, re.IGNORECASE))
    for named, pattern in (
        (
            _KEPT_OUT,
            r"(?<![a-z])(?:vnc|vue|virtual[ _-]?(?:non|un|native)\w*|(?:water|calcium|fat|hap)[ _]?\(iod\w*\))"
            r"|electron[ _]density|虚拟平扫|虛擬平掃|水[（(]碘|电子密度",
        ),
        (Role.MONOENERGETIC, r"(?<!\d)\d{2,3}[ _-]?kev|mono[ _-]?(?:energetic|e\b|chromatic)|单能|單能"),
        (Role.EFFECTIVE_Z, r"(?<![a-z])(?:z[ _-]?eff|eff(?:ective)?[ _.-]?(?:z|atomic))|有效原子序"),
        (
            Role.IODINE,
            r"(?<![a-z])iod(?:ine)?[ _-]*(?:map|density|image|overlay|conc|no[ _-]?water|\(?(?:water|fat|calcium|hap))"
            r"|碘[ _]?(?:图|圖|基|密度|浓度|濃度|分布|[（(]水)",
        ),
    )
)
_NAMES_IODINE = re.compile(r"(?<![a-z(（])iod(?:ine)?(?![a-z])|(?<![(（])碘", re.IGNORECASE)
_MATERIAL = "MAT_SPECIFIC"
_KEV = re.compile(r"(?<!\d)(\d{2,3}(?:\.\d)?)[ _-]?kev", re.IGNORECASE)


@dataclass(frozen=True)
class Spectral:
    """What a series of a dual-energy CT is: its role, None to keep it out; and in whose words."""

    role: Role | None
    evidence: tuple[str, ...]


def spectral(series: Series) -> Spectral | None:
    """What a dual-energy series is; None for a classic one."""
    said = [
        witness for witness in (_by_image_type(series), _by_rescale_type(series), _by_description(series)) if witness
    ]
    if not said:
        return None
    evidence = tuple(words for _, words in said)
    named = {name for name, _ in said}
    if len(named) > 1:
        return Spectral(None, (*evidence, "the tags name different dual-energy images"))
    (one,) = named
    return Spectral(one if isinstance(one, Role) else None, evidence)


def energy_of(series: Series) -> float:
    """The photon energy of mono-energetic images in keV: MonoenergeticEnergyEquivalent, else as SeriesDescription says.

    Raises MissingAttribute where neither tells, InvalidAttribute where they differ.
    """
    found = _KEV.search(series.description)
    described = float(found.group(1)) if found else None
    tagged = next(
        (kev for item in _characteristics(series.first) if (kev := number(item, "MonoenergeticEnergyEquivalent"))), None
    )
    if tagged is None and described is None:
        raise MissingAttribute("MonoenergeticEnergyEquivalent", remedy="name the energy in SeriesDescription: '70 keV'")
    if tagged is not None and described is not None and abs(tagged - described) > 0.5:
        raise InvalidAttribute(f"MonoenergeticEnergyEquivalent is {tagged:g}, SeriesDescription says {described:g} keV")
    return tagged if tagged is not None else float(described or 0)


def _by_image_type(series: Series) -> tuple[Named, str] | None:
    kinds = [value.upper() for value in texts(series.first, "ImageType")[2:]]
    words = f"ImageType {text(series.first, 'ImageType')}"
    for named, pattern in _IMAGE_TYPES:
        if any(pattern.fullmatch(kind) for kind in kinds):
            return named, words
    if _MATERIAL in kinds:
        return _of_material(series), words
    return None


def _by_rescale_type(series: Series) -> tuple[Named, str] | None:
    """Only what is no attenuation tells: HU is said of every image of the scan."""
    kind = text(_transformation(series.first), "RescaleType")
    name = kind.upper().replace(" ", "")
    if re.search(r"MGML|MG/ML|[U\u00b5\u03bc]G/|MG/C", name):
        return _of_material(series), f"RescaleType {kind}"
    if name in ("Z_EFF", "ZEFF", "EFF_Z"):
        return Role.EFFECTIVE_Z, f"RescaleType {kind}"
    if name in ("ED", "EDW", "PCT"):
        return _KEPT_OUT, f"RescaleType {kind}"
    return None


def _by_description(series: Series) -> tuple[Named, str] | None:
    for named, pattern in _DESCRIPTIONS:
        if pattern.search(series.description):
            return named, f"SeriesDescription '{series.description}'"
    return None


def _of_material(series: Series) -> Named:
    """Iodine where something names it; another material, or one that is not named, is kept out."""
    mappings = items(series.first, "RealWorldValueMappingSequence")
    said = (series.description, text(series.first, "ImageType"), *(text(item, "LUTExplanation") for item in mappings))
    return Role.IODINE if any(map(_NAMES_IODINE.search, said)) else _KEPT_OUT


def _transformation(header: Dataset) -> Dataset:
    """Where RescaleType stands: at the top of a classic object, else in a functional group."""
    return next(iter(_groups(header, "PixelValueTransformationSequence")), header)


def _characteristics(header: Dataset) -> tuple[Dataset, ...]:
    return (
        *items(header, "MultienergyCTCharacteristicsSequence"),
        *_groups(header, "MultienergyCTCharacteristicsSequence"),
    )


def _groups(header: Dataset, keyword: str) -> tuple[Dataset, ...]:
    shared = items(header, "SharedFunctionalGroupsSequence")
    frames = items(header, "PerFrameFunctionalGroupsSequence")[:1]
    return tuple(item for group in (*frames, *shared) for item in items(group, keyword))
