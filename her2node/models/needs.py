"""What the enabled packages wait for, as plain values: study completion compares them with what has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from her2node.models.manifest import Form, Segmenter
from her2node.models.package import Package


@dataclass(frozen=True)
class Need:
    """One package accepts studies of ``modality`` and waits for these roles there, for a given ROI where ``roi``."""

    package: str
    modality: str
    roles: tuple[str, ...]
    roi: bool


def needs(packages: Sequence[Package]) -> tuple[Need, ...]:
    """One need for each package and each modality that it requires, in the order of the packages.

    A form answers nothing, so nobody waits for what it would need. Where a segmenter reads a modality, no package waits
    for a region there: the segmenter waits for the series that it draws one on.
    """
    found: list[Need] = []
    segmenters = (package.manifest for package in packages if isinstance(package.manifest, Segmenter))
    drawn = {requirement.modality for manifest in segmenters for requirement in manifest.requires}
    for package in packages:
        manifest = package.manifest
        if isinstance(manifest, Form):
            continue
        for modality in dict.fromkeys(requirement.modality for requirement in manifest.requires):
            roles = tuple(r.role.value for r in manifest.requires if r.modality == modality)
            waits = manifest.roi != "none" and modality not in drawn
            found.append(Need(manifest.name, modality, roles, waits))
    return tuple(found)
