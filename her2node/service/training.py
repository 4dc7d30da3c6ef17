"""`train`, `evaluate` and `packages from-paper`: the room of training with the settings filled in."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from her2node import reading
from her2node.errors import DemonstrationOnly, ExtraMissing, Refused
from her2node.jobs.classify import entered_roles
from her2node.models.manifest import Image, ReaderInput
from her2node.models.package import MANIFEST, Package, load, package_folders, shipped_trust
from her2node.models.prediction import Level
from her2node.selection.study import Study
from her2node.service import register
from her2node.service.cohorts import Query, sources
from her2node.service.leading import rules_of
from her2node.service.register import engine_of, folders_of, keys_of
from her2node.service.workshop import methods_of
from her2node.settings import Settings

if TYPE_CHECKING:
    from her2node.training.cohort import Row
    from her2node.training.course import Trained
    from her2node.training.evaluation import Evaluation
    from her2node.training.findings import Finder
    from her2node.training.labels import Rule

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
    settings: Settings,
    wanted: str,
    result: str,
    studies: Path | Query,
    table: Path,
    out: Path,
    key: Path,
    seed: int,
    say: Say,
    *,
    synthetic: bool = False,
    rule: str = "guideline",
    beside: Sequence[str] = (),
) -> Trained:
    """Train the package ``result`` of a form, by name or folder, on a site's studies and tissue results, positive by
    ``rule`` (``labels.Rule``). Studies are read for the forms ``beside`` too, which are trained on the same ones.

    Raises Refused."""
    check_extra()
    from her2node.training import course, form, patients
    from her2node.training.labels import Rule

    private_pem = _key(key)
    asked = replace(form.read(package_folder(settings, wanted), result), rule=Rule(rule))
    rows = _rows(asked.package, table, studies, asked.rule)
    site_key = patients.site_key(settings.state_dir)  # before the images are read, which takes hours
    others = tuple(form.read(package_folder(settings, name)).package for name in beside)
    finder = _finder(settings, asked.package, others)
    told, cases = course.gather(asked, sources(settings, studies, rows), rows, finder, say)
    return course.train(told, cases, out, private_pem, seed, say, synthetic=synthetic, site_key=site_key)


def package_folder(settings: Settings, wanted: str) -> Path:
    """The folder of a package: ``wanted`` itself where it is one, else that of the trusted NAME or NAME@VERSION.

    Raises PackageRefused.
    """
    if (Path(wanted) / MANIFEST).is_file():
        return Path(wanted)
    said = register.resolved(settings, wanted).manifest
    judge, names = shipped_trust(keys_of(settings)), {said.name, f"{said.name}@{said.version}"}
    folders = (folder for folder in package_folders(folders_of(settings)) if folder.name in names)
    return next(folder for folder in folders if load(folder, judge).manifest == said)


def evaluate(settings: Settings, wanted: str, studies: Path | Query, table: Path, out: Path) -> Evaluated:
    """Run a package, by name or folder, on a cohort that had no part in making it. Raises Refused."""
    check_extra()
    from her2node.training import document, evaluation, patients

    folder = package_folder(settings, wanted)
    package = load(folder, shipped_trust(keys_of(settings)), engine_of(settings))
    evaluation.check_kind(package)
    rows = _rows(package, table, studies, evaluation.rule_of(folder))
    if package.manifest.level is Level.SYNTHETIC_DEMO and not settings.demonstration:
        raise DemonstrationOnly(package.manifest.name)
    ask = partial(evaluation.asked, _finder(settings, package))
    site_key = patients.site_key(settings.state_dir)
    found = evaluation.evaluate(package, folder, rows, sources(settings, studies, rows), ask, site_key)
    written = document.write(evaluation.report(package, found), out, f"evaluation-{package.manifest.name}")
    return Evaluated(found, written)


def from_paper(first: Path, second: Path, out: Path, key: Path) -> Path:
    """A package from coefficients that two people typed; its folder. Raises Refused."""
    check_extra()
    from her2node.training import paper

    return paper.from_paper(first, second, out, _key(key))


def _rows(package: Package, table: Path, studies: Path | Query, rule: Rule) -> Sequence[Row]:
    from her2node.training.cohort import read_table

    entered = [given.name for given in package.manifest.inputs if isinstance(given, ReaderInput)]
    return read_table(table, entered, alone=isinstance(studies, Path), rule=rule)


def _finder(settings: Settings, package: Package, beside: tuple[Package, ...] = ()) -> Finder:
    """Who finds what a package, or a form, gets of a study: the node's own reading by the site's settings."""
    from her2node.training.findings import Finder

    methods = methods_of(settings)

    def read(
        study: Study, asked: Sequence[Package], entered: Mapping[str, str], roles: Mapping[str, str]
    ) -> reading.Reading:
        return reading.read(
            study,
            asked,
            rules=rules_of(settings),
            entered_roles=entered_roles(roles),
            entered=entered,
            demonstration=True,  # whether one may be evaluated here was judged before
            maps=False,
            methods=methods,
        )

    return Finder(package, read, _shaping(settings, methods, package), settings.state_dir / "findings", beside)


def _shaping(settings: Settings, methods: reading.Methods, package: Package) -> str:
    """A digest of everything beside the study that shapes what is measured: what a network runs on only where the
    package is one, and not how much time or how many crops at once it may take."""
    rules = [rule.model_dump(mode="json") for rule in settings.selection.rules]
    shaping = {name: value for name, value in asdict(methods).items() if name not in ("network_seconds", "batch")}
    shapes: dict[str, Any] = {"rules": rules, "methods": shaping}
    if isinstance(package.manifest, Image):
        shapes["engine"] = asdict(engine_of(settings))
    return hashlib.sha256(json.dumps(shapes, sort_keys=True, default=str).encode()).hexdigest()


def _key(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refused(
            f"the private key {file} cannot be read: {error.strerror}", remedy="`her2node packages keygen` makes one"
        ) from error
