"""Coefficients that people typed in from a paper become a package of level ``published-complete``.

Two people type the same table, each into a file of their own and without the other's: only what both read alike is
believed. The first file has everything of package.toml but [files], and ``[paper]``; the second has ``[paper]`` and
``[[inputs]]``, for a unit or a code read wrongly spoils an answer as a coefficient does.

A radiomics model names a features file beside it (``features = "features.toml"``), in both files; an input of it says
``feature = "ih_entropy"`` in place of codes. Of inputs that the paper standardised, ``[paper.standardised]`` has mean
and standard deviation.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from scipy.special import expit

from her2node.errors import PackageRefused, SettingsRefused, TranscriptsDiffer
from her2node.models.building import logistic_graph, write_package
from her2node.models.manifest import InputName, Limits, Logistic, Name, Said
from her2node.models.model_card import RESEARCH, model_card
from her2node.models.prediction import Level
from her2node.quantities import signature
from her2node.quantities.signature import Signature
from her2node.training.form import radiomics_of
from her2node.training.toml_text import toml
from her2node.training.writing import sign_and_load

T = TypeVar("T")
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


def _digits_after_the_point(number: Decimal) -> int:
    return -int(number.as_tuple().exponent)


def _with_decimals(printed: Decimal) -> Decimal:
    if not 1 <= _digits_after_the_point(printed) <= 15:
        raise ValueError("has no decimals, or more than 15: type it as it is printed")
    return printed


@dataclass(frozen=True, config=_STRICT)
class Example:
    """A worked example that the paper prints: inputs and the probability, to as many digits as are printed."""

    inputs: dict[InputName, float]
    probability: Annotated[Decimal, Field(ge=0, le=1), AfterValidator(_with_decimals)]

    def is_printed_of(self, probability: float) -> bool:
        """Whether ``probability``, rounded, is what stands there: it lies within half a unit of the last digit."""
        half = Decimal(5).scaleb(-_digits_after_the_point(self.probability) - 1)
        return math.isfinite(probability) and abs(Decimal(probability) - self.probability) <= half


@dataclass(frozen=True, config=_STRICT)
class Standard:
    """What the paper standardised an input by: its coefficient is then that of (x - mean) / sd."""

    mean: float
    sd: Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=_STRICT)
class Transcript:
    """What one person read. Of each input either the coefficient or the odds ratio, as the paper prints it, and by what
    it was ``standardised``, if it was; ``table`` says where (table or page). Cases of the paper's cohort by class."""

    typed_by: Said
    doi: Annotated[str, Field(pattern=r"^10\.\d{4,9}/\S+$")]
    table: Said
    intercept: float
    positives: Annotated[int, Field(ge=1)]
    negatives: Annotated[int, Field(ge=1)]
    coefficients: dict[InputName, float] = Field(default_factory=dict)
    odds_ratios: dict[InputName, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    standardised: dict[InputName, Standard] = Field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    @property
    def slopes(self) -> dict[str, float]:
        """On the log odds, of inputs as the paper takes them: as printed, or the logarithm of the odds ratio."""
        return {**self.coefficients, **{name: math.log(ratio) for name, ratio in self.odds_ratios.items()}}

    @property
    def logistic(self) -> Logistic:
        """Coefficients of inputs as they are measured: b / sd, and the intercept less the sum of b mean / sd."""
        slopes = {name: b / self._scale(name).sd for name, b in self.slopes.items()}
        moved = (-b * self._scale(name).mean for name, b in slopes.items())
        return Logistic(math.fsum([self.intercept, *moved]), slopes)

    def log_odds(self, values: Mapping[str, float]) -> float:
        """Of one case, step by step as the paper would: standardise, weigh, add."""
        terms = (b * (values[name] - self._scale(name).mean) / self._scale(name).sd for name, b in self.slopes.items())
        return self.intercept + float(np.sum(list(terms)))

    def _scale(self, name: str) -> Standard:
        return self.standardised.get(name, _AS_IT_IS)


@dataclass(frozen=True)
class _TypedInput:
    """Of an input what is looked at before package.toml is judged whole."""

    name: InputName
    values: tuple[float, ...] = ()
    limits: Limits | None = None


@dataclass(frozen=True)
class _Typed:
    """Of a file what is looked at before package.toml is judged whole."""

    name: Name | None = None
    inputs: tuple[_TypedInput, ...] = ()
    prior: dict[str, Any] | None = None
    cautions: tuple[str, ...] = ()


_AS_IT_IS = Standard(0.0, 1.0)
_TYPED, _TRANSCRIPT = TypeAdapter(_Typed), TypeAdapter(Transcript)
_NOT_PRINTED = frozenset({"threshold", "training_set", "venn_abers"})
"""Keys of package.toml that a model of printed coefficients has no numbers for."""
_FOR_PEOPLE = "meaning"
"""The key of an input, and of a code, that two people may word differently."""


def from_paper(first: Path, second: Path, out: Path, private_pem: bytes) -> Path:
    """Write the signed package into ``out``/NAME and return its folder.

    Raises TranscriptsDiffer, naming what differs or that one person typed both; PackageRefused for files that cannot be
    used, an input that no coefficient belongs to, numbers that no paper prints of such a model, and an example that the
    coefficients do not give.
    """
    content, checked = _read(first), _read(second)
    if "name" not in content:
        raise PackageRefused(f"{first}: name is missing")
    if beside := _NOT_PRINTED & content.keys():
        raise PackageRefused(f"{first}: {', '.join(sorted(beside))}: nobody else has read it, and no paper prints it")
    theirs = _transcript(checked["paper"], second)
    ours = _transcript(content.pop("paper"), first)
    compare(ours, theirs)
    features, wanted = _features(content, first)
    _, seen = _features(checked, second)
    if wanted != seen:
        raise TranscriptsDiffer(f"the features of {first} and {second}", remedy="both look at the paper again")
    content["inputs"] = [_with_codes(given, wanted) for given in content.get("inputs", [])]
    compare_inputs(content["inputs"], [_with_codes(given, seen) for given in checked.get("inputs", [])])
    names = [str(given.get("name")) for given in content["inputs"]]
    if set(names) != set(ours.slopes) or set(ours.coefficients) & set(ours.odds_ratios):
        raise PackageRefused(f"the inputs {', '.join(names)} and the typed coefficients differ")
    if lacking := set(ours.standardised) - set(names):
        raise PackageRefused(f"paper.standardised names {', '.join(sorted(lacking))}, which is no input")
    _check_examples(ours, names)
    package = out / str(content["name"])
    if features:
        package.mkdir(parents=True, exist_ok=True)
        (package / str(content["features"])).write_text(features, encoding="utf-8")
    write_package(
        package,
        toml(_manifest(content, ours, theirs)),
        logistic_graph(ours.logistic, names),
        _cases(ours, content["inputs"]),
        _card(content, ours, theirs),
    )
    sign_and_load(package, private_pem)
    return package


def compare(ours: Transcript, theirs: Transcript) -> None:
    """Raises TranscriptsDiffer, naming every number that two people read differently."""
    if ours.typed_by.strip().casefold() == theirs.typed_by.strip().casefold():
        raise TranscriptsDiffer(f"both are by {ours.typed_by}", remedy="let a second person type the table")
    pairs: dict[str, tuple[Any, Any]] = {"doi": (ours.doi.casefold(), theirs.doi.casefold())}
    pairs |= {key: (getattr(ours, key), getattr(theirs, key)) for key in ("intercept", "positives", "negatives")}
    for kind in ("coefficients", "odds_ratios", "standardised"):
        one, other = getattr(ours, kind), getattr(theirs, kind)
        pairs |= {f"{kind}.{name}": (one.get(name), other.get(name)) for name in {**one, **other}}
    one, other = _printed(ours), _printed(theirs)
    pairs |= {f"the example of {inputs}": (one.get(inputs), other.get(inputs)) for inputs in {**one, **other}}
    _refuse_unlike(pairs)


def _printed(said: Transcript) -> dict[str, str]:
    """The probabilities of the examples, digit by digit, by their inputs."""
    return {_case(example): str(example.probability) for example in said.examples}


def _case(example: Example) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(example.inputs.items()))


def _check_examples(ours: Transcript, names: Sequence[str]) -> None:
    """Raises PackageRefused, naming the example that the coefficients do not give."""
    for example in ours.examples:
        if example.inputs.keys() != set(names):
            raise PackageRefused(f"the example of {_case(example)} does not give every input: {', '.join(names)}")
        answer = float(expit(ours.log_odds(example.inputs)))
        if not example.is_printed_of(answer):
            said = f"{answer:.6f} for {_case(example)}, {example.probability} printed"
            raise PackageRefused(f"the coefficients do not give what the paper prints: {said}")


def compare_inputs(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> None:
    """Raises TranscriptsDiffer, naming every unit, code, role or limit of an input that two people read differently."""
    one, other = ({str(given.get("name")): _told(given) for given in given_by} for given_by in (ours, theirs))
    keys = {name: one.get(name, {}).keys() | other.get(name, {}).keys() for name in {**one, **other}}
    _refuse_unlike(
        {
            f"inputs.{name}.{key}": (one.get(name, {}).get(key), other.get(name, {}).get(key))
            for name, found in keys.items()
            for key in sorted(found)
        }
    )


def _told(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of an input what is not for people alone."""
    return {
        key: _told(value) if isinstance(value, Mapping) else value for key, value in given.items() if key != _FOR_PEOPLE
    }


def _refuse_unlike(pairs: Mapping[str, tuple[Any, Any]]) -> None:
    unlike = [f"{name}: {one} and {other}" for name, (one, other) in pairs.items() if one != other]
    if unlike:
        raise TranscriptsDiffer("; ".join(unlike), remedy="both look at the paper again")


def _features(content: Mapping[str, Any], file: Path) -> tuple[str, Signature]:
    """The text of the features file that stands beside ``file``, where that names one, and what it asks for.

    Raises PackageRefused.
    """
    name = content.get("features")
    if name is None:
        return "", Signature()
    if not isinstance(name, str) or Path(name).name != name:
        raise PackageRefused(f"{file}: features names no file beside it")
    try:
        text = (file.parent / name).read_text(encoding="utf-8")
        return text, signature.parse(text, name)
    except (OSError, UnicodeDecodeError, SettingsRefused) as error:
        raise PackageRefused(f"{file}: features {name} cannot be used: {error}") from error


def _with_codes(given: Mapping[str, Any], wanted: Signature) -> dict[str, Any]:
    """An input with codes in place of ``feature``, the tag of one that the features file asks for.

    Raises PackageRefused.
    """
    said = dict(given)
    tag = said.pop("feature", None)
    if tag is None:
        return said
    codes = radiomics_of(wanted).get(str(tag))
    if codes is None:
        raise PackageRefused(f"{said.get('name')}: the features file asks for no {tag}")
    if clash := {"code", "modifier", "method"} & said.keys():
        raise PackageRefused(f"{said.get('name')}: names a feature and {', '.join(sorted(clash))} too")
    parts = zip(("code", "modifier", "method"), codes, strict=True)
    return said | {part: code.as_json() for part, code in parts if code is not None}


def _read(file: Path) -> dict[str, Any]:
    """The file; in [paper], numbers with as many digits as were typed."""
    try:
        text = file.read_text(encoding="utf-8")
        content, digits = tomllib.loads(text), tomllib.loads(text, parse_float=Decimal)
    except (OSError, ValueError, ArithmeticError, RecursionError) as error:  # no TOML or UTF-8, too long, too deep
        raise PackageRefused(f"{file} cannot be read: {error}") from error
    _validated(_TYPED, content, file)
    return content | {"paper": digits.get("paper")}


def _transcript(said: Any, file: Path) -> Transcript:
    return _validated(_TRANSCRIPT, said, file, "paper")


def _validated(form: TypeAdapter[T], said: Any, file: Path, *place: str) -> T:
    """What was typed at a place of the file, in its form. Raises PackageRefused, naming every key that is not."""
    try:
        return form.validate_python(said)
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, (*place, *item['loc'])))}: {item['msg']}" for item in error.errors())
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
    """The paper's examples and two ends of every input, each with what the formula gives."""
    tried = [(e.inputs, f"{ours.doi}, which prints {e.probability}; ") for e in ours.examples]
    for end in (0, -1):
        values = {str(given["name"]): _ends(given, ours.standardised.get(str(given["name"])))[end] for given in inputs}
        tried.append((values, ""))
    return [
        {
            "inputs": values,
            "probability": float(expit(ours.log_odds(values))),
            "tolerance": 1e-9,
            "source": f"{source}the formula, evaluated with numpy",
        }
        for values, source in tried
    ]


def _ends(given: Mapping[str, Any], standard: Standard | None) -> tuple[float, float]:
    if standard is not None:
        return standard.mean - 2 * standard.sd, standard.mean + 2 * standard.sd
    span = given.get("values") or given.get("limits", {}).get("usual") or (0.0, 1.0)
    return float(span[0]), float(span[-1])


def _card(content: Mapping[str, Any], ours: Transcript, theirs: Transcript) -> str:
    model = ours.logistic
    rows = "\n".join(f"| {name} | {value!r} |" for name, value in model.coefficients.items())
    printed = (
        "printed as odds ratios: " + ", ".join(ours.odds_ratios) if ours.odds_ratios else "printed as coefficients"
    )
    if ours.standardised:
        printed += f"; printed of standardised values, whose scale is folded in here: {', '.join(ours.standardised)}"
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
            f"{theirs.typed_by}. Compared, and alike: DOI, intercept, coefficients, odds ratios and scales, counts of "
            "the cohort, worked examples, the inputs with their units, codes, values and limits, and the features "
            "asked for. All else was typed once, the thresholds of the categories and the required series among it.",
        },
    )
