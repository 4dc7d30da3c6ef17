"""What shall be trained: a file in the words of package.toml, with a method in place of weights.

Inputs, required series, limits and thresholds are those of the package that comes out. Unknown keys are refused.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from her2node.errors import CohortRefused
from her2node.models.manifest import (
    Input,
    InputName,
    Limits,
    Manifest,
    Name,
    Output,
    Prior,
    QuantityInput,
    Requirement,
    Said,
)
from her2node.models.prediction import Level
from her2node.training.pipelines import Method, Plan

REFERENCE_TEST = "HER2 immunohistochemistry of tissue (0 and 1+ negative, 2+ needs in situ hybridisation, 3+ positive)"
SCANNER = "scanner"
"""The input that a harmonised package asks a reader for."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Form:
    """One training form.

    - ``method``: lasso, logistic, lda or nomogram; ``clinical``: the inputs that a nomogram takes beside its score.
    - ``harmonise``: bring measured inputs of all scanners to one level (ComBat); the package then asks for the scanner.
    - ``known_within_days``: how long after the study a value that a reader enters may have become known.
    """

    format: Literal[1]
    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    title: Said
    intended_use: Said
    method: Method
    inputs: Annotated[tuple[Input, ...], Field(min_length=1)]
    output: Output
    requires: tuple[Requirement, ...] = ()
    clinical: tuple[InputName, ...] = ()
    harmonise: bool = False
    known_within_days: Annotated[int, Field(ge=0)] = 0
    reference_test: Said = REFERENCE_TEST
    after: str = ""
    """The publication whose form this is, if any: its form, not its coefficients."""
    conflicts: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    age_years: Limits | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(given.name for given in self.inputs)

    @property
    def plan(self) -> Plan:
        """How the coefficients come about, by places of inputs."""
        measured = [place for place, given in enumerate(self.inputs) if isinstance(given, QuantityInput)]
        return Plan(
            self.method,
            tuple(place for place, name in enumerate(self.names) if name in self.clinical),
            tuple(measured) if self.harmonise else (),
        )


_FORM = TypeAdapter(Form)


def read(file: Path) -> Form:
    """Read a form. Raises CohortRefused, naming every key that cannot be used."""
    try:
        form = _FORM.validate_python(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CohortRefused(f"the form {file} cannot be read: {error}") from error
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise CohortRefused(f"the form {file}: {'; '.join(lines)}") from error
    _agree(form)
    return form


def _agree(form: Form) -> None:
    """Relations between keys that a type cannot say. Raises CohortRefused."""
    unknown = set(form.clinical) - set(form.names)
    if unknown:
        raise CohortRefused(f"the form's clinical input {sorted(unknown)[0]} is none of its inputs")
    if (form.method is Method.NOMOGRAM) is not bool(form.clinical):
        raise CohortRefused("a nomogram, and nothing else, names clinical inputs beside its score")
    if set(form.clinical) == set(form.names):
        raise CohortRefused("a nomogram needs inputs for its score, beside the clinical ones")
    if form.harmonise and not form.plan.harmonised:
        raise CohortRefused("there is no measured input to harmonise")
    if form.harmonise and SCANNER in form.names:
        raise CohortRefused(f"a harmonised package asks for the {SCANNER} by itself")


def draft(form: Form) -> Manifest:
    """The manifest of the package to be, as far as it is known before there is a cohort: enough to gather inputs by."""
    measured = any(isinstance(given, QuantityInput) for given in form.inputs)
    return Manifest(
        format=1,
        kind="scalar",
        name=form.name,
        version=form.version,
        level=Level.SITE_TRAINED,
        title=form.title,
        citation="not yet trained",
        intended_use=form.intended_use,
        reference_test=form.reference_test,
        roi="needed" if measured else "none",
        inputs=form.inputs,
        output=form.output,
        prior=Prior(positives=1, negatives=1, source="not yet trained"),
        files={},
        requires=form.requires,
        age_years=form.age_years,
    )
