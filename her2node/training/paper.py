"""Coefficients that people typed in from a paper become a package of level ``published-complete``.

Two people type the same table, each into a file of their own and without the other's: only what both read alike is
believed. The first file has everything of package.toml but [files], and ``[paper]``; the second has ``[paper]`` alone.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from scipy.special import expit

from her2node.errors import PackageRefused, TranscriptsDiffer, WorkedCaseFailed
from her2node.models.building import logistic_graph, write_package
from her2node.models.manifest import InputName, Logistic, Said
from her2node.models.model_card import RESEARCH, model_card
from her2node.models.prediction import Level
from her2node.training.writing import sign_and_load, toml

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, config=_STRICT)
class Example:
    """A worked example that the paper prints: inputs and the probability, to as many digits as are printed."""

    inputs: dict[InputName, float]
    probability: Annotated[float, Field(ge=0, le=1)]
    tolerance: Annotated[float, Field(gt=0, le=1e-3)] = 1e-3


@dataclass(frozen=True, config=_STRICT)
class Transcript:
    """What one person read. Of each input either the coefficient or the odds ratio, as the paper prints it; ``table``
    says where (table or page). Cases of the paper's cohort by class."""

    typed_by: Said
    doi: Annotated[str, Field(pattern=r"^10\.\d{4,9}/\S+$")]
    table: Said
    intercept: float
    positives: Annotated[int, Field(ge=1)]
    negatives: Annotated[int, Field(ge=1)]
    coefficients: dict[InputName, float] = Field(default_factory=dict)
    odds_ratios: dict[InputName, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    @property
    def logistic(self) -> Logistic:
        """Coefficients on the log odds: as printed, or the logarithm of the odds ratio."""
        return Logistic(self.intercept, {**self.coefficients, **{k: math.log(v) for k, v in self.odds_ratios.items()}})


_TRANSCRIPT = TypeAdapter(Transcript)


def from_paper(first: Path, second: Path, out: Path, private_pem: bytes) -> Path:
    """Write the signed package into ``out``/NAME and return its folder.

    Raises TranscriptsDiffer, naming what differs or that one person typed both; PackageRefused for files that cannot be
    used, an input that no coefficient belongs to, and an example that the coefficients do not give.
    """
    content = _read(first)
    theirs = _transcript(_read(second).get("paper"), second)
    ours = _transcript(content.pop("paper", None), first)
    compare(ours, theirs)
    names = [str(given.get("name")) for given in content.get("inputs", [])]
    if set(names) != set(ours.logistic.coefficients) or set(ours.coefficients) & set(ours.odds_ratios):
        raise PackageRefused(f"the inputs {', '.join(names)} and the typed coefficients differ")
    package = out / str(content.get("name", "unnamed"))
    write_package(
        package,
        toml(_manifest(content, ours, theirs)),
        logistic_graph(ours.logistic, names),
        _cases(ours, content["inputs"]),
        _card(content, ours, theirs),
    )
    try:
        sign_and_load(package, private_pem)
    except WorkedCaseFailed as error:
        raise PackageRefused(f"the coefficients do not give what the paper prints: {error}") from error
    return package


def compare(ours: Transcript, theirs: Transcript) -> None:
    """Raises TranscriptsDiffer, naming every number that two people read differently."""
    if ours.typed_by.strip().casefold() == theirs.typed_by.strip().casefold():
        raise TranscriptsDiffer(f"both are by {ours.typed_by}", remedy="let a second person type the table")
    pairs = {"doi": (ours.doi.casefold(), theirs.doi.casefold())}
    pairs |= {key: (getattr(ours, key), getattr(theirs, key)) for key in ("intercept", "positives", "negatives")}
    for kind in ("coefficients", "odds_ratios"):
        one, other = getattr(ours, kind), getattr(theirs, kind)
        pairs |= {f"{kind}.{name}": (one.get(name), other.get(name)) for name in {**one, **other}}
    unlike = [f"{name}: {one} and {other}" for name, (one, other) in pairs.items() if one != other]
    if unlike:
        raise TranscriptsDiffer("; ".join(unlike), remedy="both look at the paper again")


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PackageRefused(f"{file} cannot be read: {error}") from error


def _transcript(said: Any, file: Path) -> Transcript:
    try:
        return _TRANSCRIPT.validate_python(said)
    except ValidationError as error:
        lines = (f"paper.{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise PackageRefused(f"{file}: {'; '.join(lines)}") from error


def _manifest(content: Mapping[str, Any], ours: Transcript, theirs: Transcript) -> dict[str, Any]:
    read = f"Coefficients from {ours.table}, typed by {ours.typed_by} and, independently, by {theirs.typed_by}."
    prior = {"positives": ours.positives, "negatives": ours.negatives, "source": f"cohort of the paper, {ours.table}"}
    return {
        **content,
        "level": Level.PUBLISHED_COMPLETE,
        "doi": ours.doi,
        "cautions": [*content.get("cautions", []), read],
        "prior": {**content.get("prior", {}), **prior},
        "logistic": ours.logistic,
    }


def _cases(ours: Transcript, inputs: list[dict[str, Any]]) -> list[dict[str, object]]:
    """The paper's examples, and two ends of every input by the formula."""
    examples: list[dict[str, object]] = [
        {"inputs": e.inputs, "probability": e.probability, "tolerance": e.tolerance, "source": f"{ours.doi}, printed"}
        for e in ours.examples
    ]
    model = ours.logistic
    for end in (0, -1):
        values = {str(given["name"]): _ends(given)[end] for given in inputs}
        odds = model.intercept + float(np.sum([model.coefficients[name] * value for name, value in values.items()]))
        said = "the formula, evaluated with numpy"
        examples.append({"inputs": values, "probability": float(expit(odds)), "tolerance": 1e-9, "source": said})
    return examples


def _ends(given: Mapping[str, Any]) -> tuple[float, float]:
    span = given.get("values") or given.get("limits", {}).get("usual") or (0.0, 1.0)
    return float(span[0]), float(span[-1])


def _card(content: Mapping[str, Any], ours: Transcript, theirs: Transcript) -> str:
    model = ours.logistic
    rows = "\n".join(f"| {name} | {value!r} |" for name, value in model.coefficients.items())
    printed = (
        "printed as odds ratios: " + ", ".join(ours.odds_ratios) if ours.odds_ratios else "printed as coefficients"
    )
    return model_card(
        f"{content.get('name')} {content.get('version')}",
        {
            "Model details": f"{content.get('title')}. Level `published-complete`: {content.get('citation')} "
            f"doi:{ours.doi}, {ours.table} ({printed}).\n\n| input | coefficient on the log odds |\n|---|---|\n"
            f"| intercept | {model.intercept!r} |\n{rows}",
            "Intended use": f"{content.get('intended_use')} The reference test: {content.get('reference_test')}",
            "Factors": "Those of the paper's cohort, as far as the paper tells them; what the package needs and where "
            "its values are usual stands in package.toml.",
            "Metrics": "Whether the coefficients give the examples that the paper prints. What the paper says of its "
            "model's performance was not typed in.",
            "Evaluation data": "None: nobody has evaluated this package on a cohort. Run `her2node evaluate`.",
            "Training data": f"The paper's cohort: {ours.positives} positive, {ours.negatives} negative.",
            "Quantitative analyses": f"Worked examples printed in the paper and reproduced: {len(ours.examples)}. "
            "No interval: the covariance of the coefficients is not known.",
            "Ethical considerations": RESEARCH,
            "Caveats and recommendations": f"Typed by {ours.typed_by}; typed a second time, independently, by "
            f"{theirs.typed_by}; all numbers agree. Units and codes of the inputs were typed by the first alone.",
        },
    )
