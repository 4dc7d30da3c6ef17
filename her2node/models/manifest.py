"""package.toml: everything about a package that is no weight.

The classes below are the format; unknown keys are refused. Required: ``format``, ``kind``, ``name``, ``version``,
``level``, ``title``, ``citation``, ``intended_use``, ``reference_test``, ``roi``, ``inputs``, ``output``, ``prior``,
``files``.
"""

from __future__ import annotations

import tomllib
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from her2node.dicom.codes import Code
from her2node.errors import PackageRefused
from her2node.models.prediction import Level
from her2node.models.units import known
from her2node.selection.roles import Role

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
InputName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Said = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*\.[A-Za-z0-9]+$")]


@dataclass(frozen=True, config=_STRICT)
class Limits:
    """Ranges, both ends included: outside ``usual`` the answer carries a flag, outside ``hard`` there is none."""

    usual: tuple[float, float] | None = None
    hard: tuple[float, float] | None = None


@dataclass(frozen=True, config=_STRICT)
class Requirement:
    """A series that the package needs, and limits on how it was made. Thickness in mm, tube voltage in kV.

    ``phase``: the contrast phase of a dual-energy series, as of the iodine map that is wanted.
    """

    role: Role
    modality: Literal["CT"] = "CT"
    slice_thickness_mm: Limits | None = None
    kvp: Limits | None = None
    phase: Role | None = None


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
class QuantityInput:
    """What the node measures in the tumour on the series of ``role``, by code, converted to ``unit``."""

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
    """The contrast phase of a dual-energy series."""


Input = Annotated[ReaderInput | QuantityInput, Field(discriminator="source")]


@dataclass(frozen=True, config=_STRICT)
class Output:
    """The categories: likely at or above ``likely``, unlikely below ``unlikely``, else indeterminate."""

    likely: Annotated[float, Field(gt=0, le=1)]
    unlikely: Annotated[float, Field(ge=0, lt=1)]
    explanation: Said


@dataclass(frozen=True, config=_STRICT)
class Prior:
    """The cohort that the model's probability is about, and whether another prevalence may be put in its place."""

    positives: Annotated[int, Field(ge=1)]
    negatives: Annotated[int, Field(ge=1)]
    source: Said
    shift: bool = True

    @property
    def prevalence(self) -> float:
        return self.positives / (self.positives + self.negatives)


@dataclass(frozen=True, config=_STRICT)
class Logistic:
    """The coefficients of a logistic package as a person can check them; ``building`` makes the graph from them."""

    intercept: float
    coefficients: dict[InputName, float]


@dataclass(frozen=True, config=_STRICT)
class Manifest:
    """One package.toml."""

    format: Literal[1]
    kind: Literal["scalar"]
    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    level: Level
    title: Said
    citation: Said
    intended_use: Said
    reference_test: Said
    roi: Literal["needed", "wanted", "none"]
    """``needed``: no answer without a tumour ROI; ``wanted``: completion waits for one, the answer does not."""
    inputs: Annotated[tuple[Input, ...], Field(min_length=1)]
    output: Output
    prior: Prior
    files: dict[FileName, Sha256]
    doi: str = ""
    conflicts: tuple[str, ...] = ()
    """Statements on literature that contradicts the package's direction of effect; printed with every answer."""
    cautions: tuple[str, ...] = ()
    """What the node cannot check (the cohort's stage, say); printed with every answer."""
    requires: tuple[Requirement, ...] = ()
    age_years: Limits | None = None
    logistic: Logistic | None = None
    features: FileName | None = None
    """A file of the package that says which features it wants measured beside what always is (``signature``)."""


_MANIFEST = TypeAdapter(Manifest)


def parse(content: bytes) -> Manifest:
    """Read package.toml. Raises PackageRefused, naming every key that cannot be used."""
    try:
        manifest = _MANIFEST.validate_python(tomllib.loads(content.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PackageRefused(f"package.toml cannot be read: {error}") from error
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise PackageRefused(f"package.toml: {'; '.join(lines)}") from error
    _agree(manifest)
    return manifest


def _agree(manifest: Manifest) -> None:
    """Relations between keys that a type cannot say. Raises PackageRefused."""
    names = [given.name for given in manifest.inputs]
    if len(set(names)) != len(names):
        raise PackageRefused("package.toml names an input twice")
    if manifest.output.unlikely > manifest.output.likely:
        raise PackageRefused("package.toml: output.unlikely lies above output.likely")
    unknown = [given.unit for given in manifest.inputs if not known(given.unit)]
    if unknown:
        raise PackageRefused(f"package.toml declares the unknown unit '{unknown[0]}'")
    roles = {(requirement.role, requirement.phase) for requirement in manifest.requires}
    measured = [given for given in manifest.inputs if isinstance(given, QuantityInput)]
    if any((given.role, given.phase) not in roles for given in measured):
        raise PackageRefused("package.toml measures on a role that it does not require")
    if measured and manifest.roi != "needed":
        raise PackageRefused("package.toml measures in the tumour but does not need an ROI")
    if manifest.logistic and set(manifest.logistic.coefficients) != set(names):
        raise PackageRefused("package.toml: logistic.coefficients and inputs differ")
    if manifest.features and manifest.features not in manifest.files:
        raise PackageRefused(f"package.toml names {manifest.features}, but not its SHA-256")
