"""The whole way of a training: cases, checks, cross-validation, fit, report, package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from her2node.errors import Refused
from her2node.models.manifest import ReaderInput
from her2node.models.prediction import Level
from her2node.training import form as forms
from her2node.training import leakage, packaging, report
from her2node.training.certainty import venn_abers
from her2node.training.cohort import Cohort, Row, Source, join, with_entered
from her2node.training.document import write
from her2node.training.findings import Finder, Findings
from her2node.training.form import Form
from her2node.training.pipelines import Fitted, apart, fit
from her2node.training.validation import Validation, validate

Say = Callable[[str], object]


@dataclass(frozen=True)
class Trained:
    """What came of it. ``package`` is the folder of the signed package."""

    validation: Validation
    model: Fitted
    warnings: tuple[str, ...]
    report: tuple[Path, Path]
    package: Path
    level: Level


def gather(
    form: Form, studies: Mapping[str, Source], rows: Sequence[Row], finder: Finder, say: Say
) -> tuple[Form, Cohort]:
    """The form with its candidates, and its cohort: ``studies`` by the names that the rows have for them.

    What readers entered of a study in the node counts where the table says nothing. Raises CohortRefused and
    LabelRefused. A study that cannot be read is excluded with its reason.
    """
    asked = [given.name for given in form.inputs if isinstance(given, ReaderInput)]
    rows = [with_entered(row, studies.get(row.study), asked) for row in rows]
    found = read_all(studies, rows, finder, say)
    told = forms.with_candidates(form, [one for one in found.values() if isinstance(one, Findings)])
    return told, join(told.said, rows, found, scanners=told.harmonise)


def read_all(
    studies: Mapping[str, Source], rows: Sequence[Row], finder: Finder, say: Say
) -> Mapping[str, Findings | Refused]:
    """What was found in the study of each row that has a label, or why nothing was, by the row's name for it."""
    found: dict[str, Findings | Refused] = {}
    wanted = [row for row in rows if row.study in studies and row.tissue.label is not None]
    for number, row in enumerate(wanted, start=1):
        say(f"reading {number} of {len(wanted)}: {row.study}")
        try:
            source = studies[row.study]
            found[row.study] = finder.find(source.files, row.entered, source.roles)
        except Refused as error:
            found[row.study] = error
    return found


def train(
    form: Form,
    cohort: Cohort,
    out: Path,
    private_pem: bytes,
    seed: int,
    say: Say,
    *,
    synthetic: bool = False,
    site_key: bytes | None = None,
) -> Trained:
    """Check, validate, fit, write the report and the signed package into ``out``. With the ``site_key`` the package
    remembers its patients, for that site alone (``patients``).

    A cohort with phantoms in it makes a package for the demonstration, and so does ``synthetic``, which says so of
    studies that do not; nothing makes one for patients of phantoms.
    The report is written even where nothing was learned. Raises FeatureFromTheFuture, TargetAmongFeatures,
    PatientInTwoFolds, TooFewEvents, CohortRefused, ScannerUnknown, NothingLearned, PackageRefused.
    """
    if synthetic or cohort.synthetic:
        form = replace(form, level=Level.SYNTHETIC_DEMO)
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
    unseen = venn_abers(validation.log_odds, cohort.cases.labels, report.scored(cohort.cases, validation))
    package = packaging.write(
        out / "packages", form, cohort, model, private_pem, seed, warnings, card, unseen, site_key
    )
    return Trained(validation, model, warnings, written, package, form.level)
