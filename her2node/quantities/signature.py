"""What is measured only when asked for, by a file: radiomics by a configuration, MaZda-like texture, in which phases.

A features file is a radiomics configuration (``radiomics.configuration``) that may also say ``mazda_like = true`` and
``phases = ["arterial", "portal"]``; with these two keys alone it asks for no radiomics. ``slice_thickness_mm = [0, 2]``
and ``kernel = "^B30"`` (a regular expression) say which reconstruction of each phase it is measured on where there are
several. A site gives one to `measure --features`, a model package carries its own. Phases and reconstructions are not
in the method's code, for they change what is measured, not how.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from her2node.dicom.codes import Code
from her2node.errors import SettingsRefused
from her2node.quantities import radiomics, texture
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.quantities.radiomics import Configuration
from her2node.quantities.radiomics.configuration import of_table
from her2node.rois.roi import Roi
from her2node.selection.reconstruction import Reconstruction
from her2node.selection.roles import Role
from her2node.volumes.volume import Volume

MAZDA_LIKE = "mazda-like"
"""The name of the signature that asks for study 20's texture alone; it ships with the node."""
PHASES = (Role.PLAIN, Role.ARTERIAL, Role.PORTAL, Role.EQUILIBRIUM)


@dataclass(frozen=True)
class Signature:
    """Features wanted of every region in each of ``phases`` (none named: in every CT series), of a phase on the
    reconstruction that fits ``reconstructions`` best (none for it: on the one that is chosen for all)."""

    radiomics: Configuration | None = None
    mazda_like: bool = False
    phases: tuple[Role, ...] = ()
    reconstructions: tuple[Reconstruction, ...] = ()

    def reconstruction(self, role: Role) -> Reconstruction | None:
        """How it wants a phase reconstructed, None where it says nothing."""
        return next((one for one in self.reconstructions if one.role is role), None)

    def wants(self, role: Role | None) -> bool:
        """Whether anything is measured on a series of this role. MaZda-like texture is that of the plain phase."""
        if self.phases and role not in self.phases:
            return False
        return self.radiomics is not None or role is Role.PLAIN

    def measured(self, volume: Volume, roi: Roi, role: Role | None) -> tuple[Quantity | NotMeasured, ...]:
        """The features of a region that was laid on ``volume``."""
        found: tuple[Quantity | NotMeasured, ...] = ()
        if not self.wants(role):
            return found
        if self.radiomics is not None:
            found += radiomics.measure(volume, roi, role, self.radiomics)
        if self.mazda_like and role is Role.PLAIN:
            found += texture.measure(volume, roi, role)
        return found

    def reach_mm(self, slice_mm: float) -> float:
        """How far beyond a region, across slices so far apart, its features look; infinite: over the whole image."""
        return 0.0 if self.radiomics is None else radiomics.reach_mm(self.radiomics, slice_mm)

    def methods(self) -> tuple[Code, ...]:
        """The codes by which its radiomics are told from those of another configuration."""
        if self.radiomics is None:
            return ()
        return (self.radiomics.method, *map(self.radiomics.method_of, self.radiomics.filters))


def measured(
    signatures: Sequence[Signature], volume: Volume, roi: Roi, role: Role | None
) -> tuple[Quantity | NotMeasured, ...]:
    """What all signatures want of a region; what several of them want stands once."""
    found: dict[object, Quantity | NotMeasured] = {}
    for signature in signatures:
        for value in signature.measured(volume, roi, role):
            found.setdefault((value.code, value.modifier, value.method), value)
    return tuple(found.values())


def shipped(name: str) -> Signature:
    """One that comes with the node: ``mazda-like``, or a radiomics configuration. Raises SettingsRefused."""
    return Signature(mazda_like=True) if name == MAZDA_LIKE else Signature(radiomics.shipped(name))


def text_of(name: str, phases: Sequence[Role]) -> str:
    """The features file that asks for one that comes with the node, in these phases. Raises SettingsRefused."""
    wanted = "phases = [" + ", ".join(f'"{phase.value}"' for phase in phases) + "]\n"
    return f"mazda_like = true\n{wanted}" if name == MAZDA_LIKE else f"{wanted}{radiomics.shipped_text(name)}"


def parse(text: str, source: str) -> Signature:
    """A signature from the text of a TOML file; ``source`` is named in refusals. Raises SettingsRefused."""
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers too long and lists too deep
        raise SettingsRefused(f"{source}: {error}", remedy="correct the TOML") from error
    return signature_of(content, source)


def signature_of(content: Mapping[str, Any], source: str) -> Signature:
    """A signature from what a TOML file holds. Raises SettingsRefused, also for a feature that does not exist."""
    rest = dict(content)
    mazda_like, phases = rest.pop("mazda_like", False), rest.pop("phases", [])
    if type(mazda_like) is not bool:
        raise SettingsRefused(f"{source}: mazda_like is {mazda_like!r}", remedy="write mazda_like = true")
    if type(phases) is not list or any(phase not in list(PHASES) for phase in phases):
        raise SettingsRefused(f"{source}: phases is {phases!r}", remedy=f"some of {', '.join(PHASES)}")
    span, kernel = rest.pop("slice_thickness_mm", None), rest.pop("kernel", "")
    if rest and not rest.keys() & {"name", "discretisation"}:
        raise SettingsRefused(
            f"{source}: {', '.join(rest)} is not known here",
            remedy="for example mazda_like = true, or a radiomics configuration",
        )
    configuration = of_table(rest, source) if rest or not mazda_like else None
    for alike in () if configuration is None else configuration.alike():
        radiomics.catalogue(alike)
    found = Signature(
        configuration,
        mazda_like,
        tuple(map(Role, phases)),
        _reconstructions(tuple(map(Role, phases)) or PHASES, span, kernel, source),
    )
    if found.mazda_like and phases and Role.PLAIN not in found.phases:
        raise SettingsRefused(f"{source}: mazda_like without the plain phase", remedy='add "plain" to phases')
    return found


def _reconstructions(phases: Sequence[Role], span: Any, kernel: Any, source: str) -> tuple[Reconstruction, ...]:
    """How each phase had best be reconstructed; none where nothing is said of it. Raises SettingsRefused."""
    if span is not None and not (
        type(span) is list and len(span) == 2 and all(type(end) in (int, float) for end in span) and span[0] <= span[1]
    ):
        remedy = "write the least and the most, as slice_thickness_mm = [0.0, 2.0]"
        raise SettingsRefused(f"{source}: slice_thickness_mm is {span!r}", remedy=remedy)
    try:
        re.compile(kernel)
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        raise SettingsRefused(f"{source}: kernel is {kernel!r}: {error}", remedy='write kernel = "^B30"') from error
    if span is None and not kernel:
        return ()
    spans = () if span is None else ((float(span[0]), float(span[1])),)
    return tuple(Reconstruction(phase, spans, kernel) for phase in phases)
