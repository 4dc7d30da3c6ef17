"""What the enabled packages wait for, as plain values: study completion compares them with what has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from her2node.models.manifest import Form
from her2node.models.package import Package


@dataclass(frozen=True)
class Need:
    """One package accepts studies of ``modality`` and waits for these roles there, and for an ROI where ``roi``."""

    package: str
    modality: str
    roles: tuple[str, ...]
    roi: bool


def needs(packages: Sequence[Package]) -> tuple[Need, ...]:
    """One need for each package and each modality that it requires, in the order of the packages.

    A form answers nothing, so nobody waits for what it would need.
    """
    found: list[Need] = []
    for package in packages:
        manifest = package.manifest
        if isinstance(manifest, Form):
            continue
        for modality in dict.fromkeys(requirement.modality for requirement in manifest.requires):
            roles = tuple(r.role.value for r in manifest.requires if r.modality == modality)
            found.append(Need(manifest.name, modality, roles, manifest.roi != "none"))
    return tuple(found)
