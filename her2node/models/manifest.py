"""package.toml: everything about a package that is no weight.

The classes below are the format; unknown keys are refused. Five kinds: ``scalar`` (a probability), ``image`` (a
probability of a crop of the images; ``inputs`` fall away), ``measured`` (quantities beside printed cut-offs that are no
rule), ``form`` (a model without weights, to be trained), ``segmenter`` (a network that draws the tumour; ``roi`` and
``inputs`` fall away). Required:
``format``, ``kind``, ``name``, ``version``, ``level``, ``title``, ``citation``, ``intended_use``, ``reference_test``,
``roi``, ``inputs``, ``files``, and what the kind itself demands.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from her2node.errors import PackageRefused
from her2node.models.image import stated
from her2node.models.image.stated import CropStated
from her2node.models.prediction import Level
from her2node.models.units import known
from her2node.models.venn_abers import VennAbers, flaws
from her2node.models.wanted import SCANNER as SCANNER
from her2node.models.wanted import STRICT as _STRICT
from her2node.models.wanted import Input as Input
from her2node.models.wanted import InputName as InputName
from her2node.models.wanted import Limits as Limits
from her2node.models.wanted import QuantityInput as QuantityInput
from her2node.models.wanted import ReaderInput as ReaderInput
from her2node.models.wanted import Requirement as Requirement
from her2node.models.wanted import Said as Said
from her2node.models.wanted import ScannerInput as ScannerInput
from her2node.selection.choice import PHASES
from her2node.selection.roles import Role

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*\.[A-Za-z0-9]+$")]


def _orientation(value: str) -> str:
    if sorted({"R": "L", "A": "P", "I": "S"}.get(letter, letter) for letter in value) != ["L", "P", "S"]:
        raise ValueError(f"{value!r} does not name each of left or right, posterior or anterior, superior or inferior")
    return value


Orientation = Annotated[str, AfterValidator(_orientation)]
Fold = Annotated[str, Field(pattern=r"^fold-[a-z0-9]{1,8}\.onnx$")]
Shape = Literal["logistic", "lasso-logistic", "lda", "nomogram", "lda-1nn", "nda-ann"]
"""Of a model that is to be trained. A nomogram is a LASSO score of what is measured, then a logistic model of the score
and the clinical inputs. ``lda-1nn`` and ``nda-ann`` are those of study 20: linear discriminant and nearest neighbour,
non-linear discriminant and network."""
Label = Literal["her2-positive", "her2-negative"]
Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, config=_STRICT)
class Output:
    """The categories: likely at or above ``likely``, unlikely below ``unlikely``, else indeterminate."""

    likely: Annotated[float, Field(gt=0, le=1)]
    unlikely: Annotated[float, Field(ge=0, lt=1)]
    explanation: Said


@dataclass(frozen=True, config=_STRICT)
class Prior:
    """The cohort that the model's probability is about, and whether another prevalence may be put in its place."""

    positives: Annotated[int, Field(ge=1, le=10**9)]
    negatives: Annotated[int, Field(ge=1, le=10**9)]
    source: Said
    shift: bool = True

    @property
    def prevalence(self) -> float:
        return self.positives / (self.positives + self.negatives)


@dataclass(frozen=True, config=_STRICT)
class Logistic:
    """The coefficients of a logistic package as a person can check them; ``building`` makes the graph from them.

    ``covariance``: of the intercept and the coefficients, in the order of the inputs, a row of zeros for an input that
    only shuts patients out; with it every answer has a 95 % interval. ``covariance_source`` says how it was had.
    """

    intercept: float
    coefficients: dict[InputName, float]
    covariance: tuple[tuple[float, ...], ...] = ()
    covariance_source: str = ""


@dataclass(frozen=True, config=_STRICT)
class Threshold:
    """A published rule: positive where the input is at or above (below) the cut-off.

    The counts are patients of the cohort whom the rule placed rightly; intervals come from them.
    """

    input: InputName
    cut_off: float
    positive_if: Literal[">=", "<"]
    sensitivity: Share
    specificity: Share
    true_positives: Annotated[int, Field(ge=1)]
    true_negatives: Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=_STRICT)
class TrainingSet:
    """Where the cases lay that the model was fitted on: a case whose squared Mahalanobis distance is above ``usual``
    carries a flag."""

    inputs: Annotated[tuple[InputName, ...], Field(min_length=1)]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    usual: Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=_STRICT)
class CutOff:
    """A printed cut-off from which no probability follows. ``said``: what the paper prints of it and what it lacks."""

    input: InputName
    value: float
    said: Said


@dataclass(frozen=True, config=_STRICT)
class Candidates:
    """Radiomics features among which training selects, inside its folds: those of a configuration, of each role."""

    configuration: Said
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]


@dataclass(frozen=True, config=_STRICT)
class Training:
    """What a site must do before a form answers. ``label``: which patients are the cases (study 21 predicts the
    negative ones). ``patients`` is the fewest that make sense at 15 % prevalence.

    - ``clinical``: the inputs that a nomogram takes beside its score.
    - ``harmonise``: bring what is measured on all scanners to one level (ComBat); the package refuses a scanner that
      it was not harmonised for.
    - ``known_within_days``: how long after the study a value that a reader enters may have become known.
    - ``output``: the categories of the package that comes out, where the form wants its own.
    """

    model: Shape
    patients: Annotated[int, Field(ge=1)]
    must: Annotated[tuple[Said, ...], Field(min_length=1)]
    label: Label = "her2-positive"
    candidates: Candidates | None = None
    clinical: tuple[InputName, ...] = ()
    harmonise: bool = False
    known_within_days: Annotated[int, Field(ge=0)] = 0
    output: Output | None = None


@dataclass(frozen=True, config=_STRICT)
class Evidence:
    """Which way a quantity goes in HER2-positive tumours, study by study; printed with every answer."""

    quantity: Said
    higher: tuple[Said, ...] = ()
    lower: tuple[Said, ...] = ()
    none: tuple[Said, ...] = ()
    note: str = ""

    @property
    def words(self) -> str:
        told = (("higher in", self.higher), ("lower in", self.lower), ("no difference in", self.none))
        parts = "; ".join(f"{how} {', '.join(studies)}" for how, studies in told if studies)
        said = f"{self.quantity} of HER2-positive tumours: {parts or 'no direction at hand'}."
        return f"{said} {self.note}".rstrip()


@dataclass(frozen=True, config=_STRICT, kw_only=True)
class _Stated:
    """What every package.toml says."""

    format: Literal[1]
    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    level: Level
    title: Said
    citation: Said
    intended_use: Said
    reference_test: Said
    roi: Literal["needed", "wanted", "none"]
    """``needed``: no answer without a tumour ROI; ``wanted``: completion waits for one, the answer does not."""
    roi_protocol: str = ""
    """How the paper drew the region, as far as that is known."""
    inputs: tuple[Input, ...]
    files: dict[FileName, Sha256]
    doi: str = ""
    evidence: tuple[Evidence, ...] = ()
    """Directions of effect in the literature, contradictions among them."""
    conflicts: tuple[str, ...] = ()
    """Further statements on literature that contradicts the package; printed with every answer."""
    cautions: tuple[str, ...] = ()
    """What the node cannot check (the cohort's stage, say); printed with every answer."""
    requires: tuple[Requirement, ...] = ()
    age_years: Limits | None = None
    features: FileName | None = None
    """A file of the package that says which features it wants measured beside what always is (``signature``)."""


@dataclass(frozen=True, config=_STRICT, kw_only=True)
class Scalar(_Stated):
    """Inputs to a probability. The graph may be anything; ``logistic`` or ``threshold`` state what it calculates."""

    kind: Literal["scalar"]
    output: Output
    prior: Prior
    logistic: Logistic | None = None
    threshold: Threshold | None = None
    training_set: TrainingSet | None = None
    venn_abers: VennAbers | None = None


@dataclass(frozen=True, config=_STRICT, kw_only=True)
class Image(_Stated):
    """A crop of the images about the tumour to a probability."""

    kind: Literal["image"]
    crop: CropStated
    output: Output
    prior: Prior
    roi: Literal["needed"] = "needed"
    inputs: tuple[()] = ()


@dataclass(frozen=True, config=_STRICT, kw_only=True)
class MeasuredOnly(_Stated):
    """Quantities beside printed cut-offs, without a probability; no model."""

    kind: Literal["measured"]
    cut_offs: Annotated[tuple[CutOff, ...], Field(min_length=1)]


@dataclass(frozen=True, config=_STRICT, kw_only=True)
class Form(_Stated):
    """A model's inputs and shape without weights: refused until a site has trained it."""

    kind: Literal["form"]
    training: Training


@dataclass(frozen=True, config=_STRICT)
class NetworkStated:
    """How a network is run on images.

    ``channels``: the roles of the series, in the order of the network's inputs. ``folds``: its files, whose answers are
    averaged. ``tumour``: the label's name in dataset.json. ``mirror``: axes of the patch along which answers of mirror
    images are averaged too, as the network was trained. ``step``: from patch to patch, in patches. ``orientation``:
    where x, y and z of the images lead that it was trained on, first letters of Left or Right, Posterior or Anterior,
    Superior or Inferior; ``LPS`` is that of axial DICOM.
    """

    channels: Annotated[tuple[Role, ...], Field(min_length=1, max_length=8)]
    configuration: Said
    folds: Annotated[tuple[Fold, ...], Field(min_length=1, max_length=10)]
    tumour: Said
    mirror: tuple[Annotated[int, Field(ge=0, le=2)], ...] = ()
    step: Annotated[float, Field(ge=0.1, le=1)] = 0.5
    orientation: Orientation = "LPS"


@dataclass(frozen=True, config=_STRICT, kw_only=True)
class Segmenter(_Stated):
    """A network by the rules of nnU-Net 2 that draws the tumour where no reader has: plans.json, dataset.json, folds.

    ``reference_test``: who drew the regions that it was trained on.
    """

    kind: Literal["segmenter"]
    network: NetworkStated
    roi: Literal["none"] = "none"
    inputs: tuple[()] = ()


Manifest = Scalar | Image | MeasuredOnly | Form | Segmenter
"""One package.toml."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but tab and line feed: escapes write into TOML what DICOM and a terminal do not take."""
_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Annotated[Manifest, Field(discriminator="kind")])


def parse(content: bytes) -> Manifest:
    """Read package.toml. Raises PackageRefused, naming every key that cannot be used."""
    try:
        said = tomllib.loads(content.decode())
        for text in filter(_CONTROL.search, _texts(said)):
            raise PackageRefused(f"package.toml has a control character in {text[:80]!r}")
        manifest = _MANIFEST.validate_python(said)
    except ValidationError as error:
        # the first place is the kind that the classes are told by
        lines = (f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
        raise PackageRefused(f"package.toml: {'; '.join(lines)}") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, numbers too long, lists too deep
        raise PackageRefused(f"package.toml cannot be read: {error}") from error
    for flaw in _disagreements(manifest):
        raise PackageRefused(f"package.toml {flaw}")
    return manifest


def _texts(said: object) -> Iterator[str]:
    """Every key and every text of what was read."""
    match said:
        case str():
            yield said
        case dict():
            yield from chain.from_iterable(map(_texts, chain(said.keys(), said.values())))
        case list():
            yield from chain.from_iterable(map(_texts, said))


def _disagreements(manifest: Manifest) -> Iterator[str]:
    """Relations between keys that a type cannot say."""
    names = [given.name for given in manifest.inputs]
    if len(set(names)) != len(names):
        yield "names an input twice"
    yield from (f"declares the unknown unit '{given.unit}'" for given in manifest.inputs if not known(given.unit))
    yield from _of_scanners(manifest)
    played = {(requirement.role, requirement.phase) for requirement in manifest.requires}
    measured = [given for given in manifest.inputs if isinstance(given, QuantityInput)]
    if any((given.role, given.phase) not in played for given in measured):
        yield "measures on a role that it does not require"
    if manifest.features and manifest.features not in manifest.files:
        yield f"names {manifest.features}, but not its SHA-256"
    if measured and manifest.roi != "needed":
        yield "measures in the tumour but does not need an ROI"
    if (manifest.level is Level.MEASURED_ONLY) is not isinstance(manifest, MeasuredOnly):
        yield f"has the level {manifest.level} and the kind {manifest.kind}, which do not go together"
    if isinstance(manifest, Scalar | Image) and manifest.output.unlikely > manifest.output.likely:
        yield "sets output.unlikely above output.likely"
    match manifest:
        case Scalar():
            yield from _of_scalar(manifest, names)
        case Image():
            yield from _of_image(manifest)
        case MeasuredOnly() if {cut.input for cut in manifest.cut_offs} != set(names):
            yield "has inputs without a cut-off, or cut-offs without an input"
        case Form():
            yield from _of_form(manifest, names)
        case Segmenter():
            yield from _of_segmenter(manifest)
        case _:
            return


def _of_scanners(manifest: Manifest) -> Iterator[str]:
    scanners = [given.scanners for given in manifest.inputs if isinstance(given, ScannerInput)]
    if scanners and not isinstance(manifest, Scalar):
        yield "asks for the scanner, which only what predicts does"
    if any(len(set(known_ones)) != len(known_ones) for known_ones in scanners):
        yield "names a scanner twice"


def _of_scalar(manifest: Scalar, names: list[str]) -> Iterator[str]:
    if not names:
        yield "has no inputs"
    if manifest.logistic and set(manifest.logistic.coefficients) != set(names):
        yield "gives other logistic.coefficients than inputs: they differ"
    if manifest.logistic and manifest.logistic.covariance and not _is_of_coefficients(manifest.logistic, names):
        yield "has a logistic.covariance that is no covariance of intercept and coefficients"
    rule = manifest.threshold
    if rule is None and manifest.level is Level.PUBLISHED_THRESHOLD:
        yield "states no threshold"
    if rule and names != [rule.input]:
        yield "has other inputs than that of its threshold"
    if rule and not (_rounds_to(rule.true_positives, manifest.prior.positives, rule.sensitivity)
                     and _rounds_to(rule.true_negatives, manifest.prior.negatives, rule.specificity)):  # fmt: skip
        yield "has counts in threshold that are not its sensitivity and specificity"
    seen = manifest.training_set
    if seen and (not set(seen.inputs) <= set(names) or len(seen.mean) != len(seen.inputs)
                 or not is_covariance(seen.covariance, len(seen.inputs))):  # fmt: skip
        yield "has a training_set whose inputs, mean and covariance do not fit"
    if manifest.venn_abers and (rule or (manifest.logistic and manifest.logistic.covariance)):
        yield "states intervals of two kinds"
    yield from flaws(manifest.venn_abers) if manifest.venn_abers else ()


def _of_form(manifest: Form, names: list[str]) -> Iterator[str]:
    wanted = manifest.training
    if not names and wanted.candidates is None:
        yield "is a form without inputs"
    yield from (f"names {name} in training.clinical, which is no input" for name in set(wanted.clinical) - set(names))
    if (wanted.model == "nomogram") is not bool(wanted.clinical):
        yield "must name training.clinical for a nomogram, and for nothing else"
    scored = wanted.candidates is not None or set(wanted.clinical) != set(names)
    if wanted.clinical and not scored:
        yield "leaves the nomogram's score without inputs, beside the clinical ones"
    measured = wanted.candidates is not None or any(isinstance(given, QuantityInput) for given in manifest.inputs)
    if wanted.harmonise and not measured:
        yield "has no measured input to harmonise"
    if wanted.harmonise and wanted.model in ("lda-1nn", "nda-ann"):
        yield f"harmonises the inputs of {wanted.model}, which is not done here"
    if wanted.harmonise and SCANNER in names:
        yield f"names the input {SCANNER}, for which a harmonised package asks by itself"
    played = {requirement.role for requirement in manifest.requires}
    if wanted.candidates is not None and not set(wanted.candidates.roles) <= played:
        yield "takes candidates from a role that it does not require"


def _of_image(manifest: Image) -> Iterator[str]:
    if manifest.level is Level.PUBLISHED_THRESHOLD:
        yield "has the level of a threshold and looks at images"
    yield from _on_phases(manifest, manifest.crop.roles, "crop.channels")
    yield from stated.flaws(manifest.crop)


def _of_segmenter(manifest: Segmenter) -> Iterator[str]:
    said = manifest.network
    yield from _on_phases(manifest, said.channels, "network.channels")
    if any(len(set(several)) != len(several) for several in (said.channels, said.folds, said.mirror)):
        yield "names a channel, fold or axis of network twice"


def _is_of_coefficients(model: Logistic, names: list[str]) -> bool:
    """Whether the covariance is one of intercept and coefficients; rows of coefficients of 0 may be zero."""
    size = 1 + len(names)
    if {len(row) for row in model.covariance} != {size} or len(model.covariance) != size:
        return False
    spread = np.array(model.covariance)
    sure = [place for place, name in enumerate(names, 1) if model.coefficients[name] == 0 and not spread[place].any()]
    rest = np.delete(np.delete(spread, sure, axis=0), sure, axis=1)
    return is_covariance(tuple(map(tuple, rest.tolist())), len(rest))


def _on_phases(manifest: Manifest, channels: tuple[Role, ...], named: str) -> Iterator[str]:
    if tuple(requirement.role for requirement in manifest.requires) != channels:
        yield f"requires other roles than {named}, or in another order"
    others = [r.role for r in manifest.requires if r.modality != "CT" or r.phase or r.role not in PHASES]
    if others:
        yield f"looks at {', '.join(others)}; networks are run on the contrast phases of CT"


def _rounds_to(count: int, of: int, share: float) -> bool:
    """Whether ``count`` of ``of``, not all of them, is the share as three digits print it."""
    return count < of and abs(count / of - share) <= 0.001


def is_covariance(matrix: tuple[tuple[float, ...], ...], size: int) -> bool:
    """Whether a matrix is square, of this size, symmetric and positive definite, whatever the units of its rows.

    Inputs that determine each other up to rounding do not pass."""
    array = np.array(matrix) if {len(row) for row in matrix} == {size} and len(matrix) == size else np.zeros((0, 0))
    if not array.size or not np.allclose(array, array.T) or array.diagonal().min() <= 0:
        return False
    spread = np.sqrt(array.diagonal())
    return bool(np.linalg.eigvalsh(array / spread / spread[:, None]).min() > size * np.finfo(float).eps)
