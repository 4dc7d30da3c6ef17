"""`train`, `evaluate` and `packages from-paper`: the room of training with the settings filled in."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from her2node import reading
from her2node.errors import ExtraMissing, Refused
from her2node.models.manifest import ReaderInput
from her2node.models.package import Package, load, shipped_trust
from her2node.models.prediction import NotPredicted, Prediction
from her2node.selection.study import Study
from her2node.service.leading import rules_of
from her2node.service.workshop import methods_of, read_study
from her2node.settings import Settings

if TYPE_CHECKING:
    from her2node.training.course import Trained
    from her2node.training.evaluation import Evaluation

Say = Callable[[str], object]


@dataclass(frozen=True)
class Evaluated:
    """What a package was worth on an external cohort, and where it is written."""

    evaluation: Evaluation
    report: tuple[Path, Path]


def check_extra() -> None:
    """Raises ExtraMissing where the libraries of training are not installed: the node itself does without them."""
    lacking = [name for name in ("sklearn", "onnx") if importlib.util.find_spec(name) is None]
    if lacking:
        raise ExtraMissing(f"{', '.join(lacking)}, needed for training", remedy="pip install 'her2node[train]'")


def train(
    settings: Settings, form_file: Path, studies: Path, table: Path, out: Path, key: Path, seed: int, say: Say
) -> Trained:
    """Train a package on a site's studies and tissue results. Raises Refused."""
    check_extra()
    from her2node.training import course, form

    wanted = form.read(form_file)
    read = partial(reading.read, packages=(), rules=rules_of(settings), methods=methods_of(settings))
    cohort = course.gather(wanted, studies, table, read, _shaping(settings), settings.state_dir / "findings", say)
    return course.train(wanted, cohort, out, _key(key), seed, say)


def evaluate(settings: Settings, folder: Path, studies: Path, table: Path, out: Path) -> Evaluated:
    """Run a package on a cohort that had no part in making it. Raises Refused."""
    check_extra()
    from her2node.training import cohort, document, evaluation

    package = load(folder, shipped_trust(settings.packages.trusted_keys))
    entered = [given.name for given in package.manifest.inputs if isinstance(given, ReaderInput)]
    rows = cohort.read_table(table, entered)
    files = evaluation.by_name_and_uid(cohort.studies_in(studies))
    found = evaluation.evaluate(package, folder, rows, files, partial(_answer, settings, package))
    written = document.write(evaluation.report(package, found), out, f"evaluation-{package.manifest.name}")
    return Evaluated(found, written)


def from_paper(first: Path, second: Path, out: Path, key: Path) -> Path:
    """A package from coefficients that two people typed; its folder. Raises Refused."""
    check_extra()
    from her2node.training import paper

    return paper.from_paper(first, second, out, _key(key))


def _answer(
    settings: Settings, package: Package, study: Study, entered: Mapping[str, str]
) -> Prediction | NotPredicted:
    """As the node would answer, but for the cohort that the package is about: a site's prior is left out."""
    own = settings.model_copy(update={"packages": settings.packages.model_copy(update={"prior": None})})
    found = read_study(own, (package,), study, {}, entered)
    return found.predictions[0] if found.predictions else found.not_predicted[0]


def _shaping(settings: Settings) -> str:
    """A digest of every setting that shapes what is measured."""
    rules = [rule.model_dump(mode="json") for rule in settings.selection.rules]
    shapes: dict[str, Any] = {"rules": rules, "methods": asdict(methods_of(settings))}
    return hashlib.sha256(json.dumps(shapes, sort_keys=True, default=str).encode()).hexdigest()


def _key(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refused(
            f"the private key {file} cannot be read: {error.strerror}", remedy="`her2node packages keygen` makes one"
        ) from error
