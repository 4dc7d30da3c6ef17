"""The whole way of a training: cases, checks, cross-validation, fit, report, package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from her2node.errors import Refused
from her2node.models.manifest import ReaderInput
from her2node.training import form as forms
from her2node.training import leakage, packaging, report
from her2node.training.cohort import Cohort, join, read_table, studies_in
from her2node.training.document import write
from her2node.training.findings import Findings, Read, find
from her2node.training.form import Form
from her2node.training.pipelines import Model, apart, fit
from her2node.training.validation import Validation, validate

Say = Callable[[str], object]


@dataclass(frozen=True)
class Trained:
    """What came of it. ``package`` is the folder of the signed package."""

    validation: Validation
    model: Model
    warnings: tuple[str, ...]
    report: tuple[Path, Path]
    package: Path


def gather(
    form: Form, studies: Path, table: Path, read: Read, shaping: str, cache: Path, say: Say
) -> tuple[Form, Cohort]:
    """The form with its candidates, and its cohort: each study is read once, what was read before comes from ``cache``.

    Raises CohortRefused and LabelRefused. A study that cannot be read is excluded with its reason.
    """
    rows = read_table(table, [given.name for given in form.inputs if isinstance(given, ReaderInput)])
    found = read_all(studies, read, shaping, cache, say)
    told = forms.with_candidates(form, [one for one in found.values() if isinstance(one, Findings)])
    return told, join(told.said, rows, found, scanners=told.harmonise)


def read_all(studies: Path, read: Read, shaping: str, cache: Path, say: Say) -> Mapping[str, Findings | Refused]:
    """What was found in each study, or why nothing was, by name of its folder."""
    found: dict[str, Findings | Refused] = {}
    folders = studies_in(studies)
    for number, (name, files) in enumerate(folders.items(), start=1):
        say(f"reading {number} of {len(folders)}: {name}")
        try:
            found[name] = find(files, read, shaping, cache)
        except Refused as error:
            found[name] = error
    return found


def train(form: Form, cohort: Cohort, out: Path, private_pem: bytes, seed: int, say: Say) -> Trained:
    """Check, validate, fit, write the report and the signed package into ``out``.

    The report is written even where nothing was learned. Raises FeatureFromTheFuture, TargetAmongFeatures,
    PatientInTwoFolds, TooFewEvents, CohortRefused, ScannerUnknown, NothingLearned, PackageRefused.
    """
    leakage.check(form, cohort)
    say(f"{len(cohort.cases)} cases, {cohort.cases.positives} positive; cross-validating")
    validation = validate(form.plan, cohort.cases, seed, given_folds=cohort.given_folds)
    model = fit(form.plan, cohort.cases, seed)
    warnings = leakage.warnings(form, cohort)
    if apart(model, cohort.cases):
        warnings = ("NO FINITE MAXIMUM: the model separates its training cases without a fault", *warnings)
    for said in warnings:
        say(f"WARNING: {said}")
    document = report.of_training(form, cohort, model, validation, warnings, seed)
    written = write(document, out, "report")
    card = report.card(form, cohort, validation, warnings, seed)
    package = packaging.write(out / "packages", form, cohort, model, private_pem, seed, warnings, card)
    return Trained(validation, model, warnings, written, package)
