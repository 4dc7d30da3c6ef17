"""What a package wants of a study: series made in a certain way, and inputs."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from her2node.dicom.codes import Code
from her2node.selection.reconstruction import Reconstruction
from her2node.selection.roles import Role

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
InputName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Said = Annotated[str, Field(min_length=1)]
SCANNER = "scanner"
"""The input by which a harmonised package is told the scanner; readers enter it by this name too."""


def _expression(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from error
    return value


def _ascending(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError(f"{list(span)} has its upper end first")
    return span


Regex = Annotated[str, AfterValidator(_expression)]
Span = Annotated[tuple[float, float], AfterValidator(_ascending)]


@dataclass(frozen=True, config=STRICT)
class Limits:
    """Ranges, both ends included: outside ``usual`` the answer carries a flag, outside ``hard`` there is none."""

    usual: Span | None = None
    hard: Span | None = None


@dataclass(frozen=True, config=STRICT)
class Requirement:
    """A series that the package needs, and limits on how it was made. Thickness in mm, tube voltage in kV.

    ``phase``: the contrast phase of a dual-energy series. ``usual_kernel`` and ``usual_scanner`` are regular
    expressions; where ConvolutionKernel, or Manufacturer and ManufacturerModelName, do not match, the answer carries a
    flag. Of a phase that was reconstructed in several ways the package gets the one that fits its limits best.
    """

    role: Role
    modality: Literal["CT", "MR", "PT"] = "CT"
    phase: Role | None = None
    slice_thickness_mm: Limits | None = None
    kvp: Limits | None = None
    usual_kernel: Regex = ""
    usual_scanner: Regex = ""

    @property
    def reconstruction(self) -> Reconstruction | None:
        """How the images of a phase had best be reconstructed; None without such limits."""
        limits = self.slice_thickness_mm or Limits()
        spans = tuple(span for span in (limits.hard, limits.usual) if span is not None)
        return Reconstruction(self.role, spans, self.usual_kernel) if spans or self.usual_kernel else None


@dataclass(frozen=True, config=STRICT)
class ReaderInput:
    """What only a reader knows. ``values`` are all it may be; without them it is any number within ``limits``.

    A missing input with ``values`` is answered for each of them; without, the package cannot run.
    """

    source: Literal["reader"]
    name: InputName
    meaning: Said
    values: tuple[float, ...] = ()
    limits: Limits = Limits()
    unit: str = "1"


@dataclass(frozen=True, config=STRICT)
class QuantityInput:
    """What the node measures in the tumour on the chosen series of ``role``, by code, converted to ``unit``.

    ``method``: needed where several methods measure it; its value may end in ``*`` for methods that name what an
    examination had (b-values). ``phase`` as in the requirement that it belongs to.
    """

    source: Literal["quantity"]
    name: InputName
    meaning: Said
    role: Role
    code: Code
    unit: str
    modifier: Code | None = None
    method: Code | None = None
    limits: Limits = Limits()
    phase: Role | None = None


@dataclass(frozen=True, config=STRICT)
class ScannerInput:
    """The scanner that the study was made on, Manufacturer and ManufacturerModelName; of a scanner that is none of
    ``scanners`` nothing can be said. The graph gets its place among them, from 0."""

    source: Literal["scanner"]
    name: InputName
    meaning: Said
    scanners: Annotated[tuple[Said, ...], Field(min_length=1)]
    limits: Limits = Limits()
    unit: Literal["1"] = "1"


Input = Annotated[ReaderInput | QuantityInput | ScannerInput, Field(discriminator="source")]
