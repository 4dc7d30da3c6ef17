"""Any package on an external cohort: what it says of cases that had no part in making it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from her2node.errors import CohortRefused, PackageRefused, PatientInTwoFolds, Refused
from her2node.models.manifest import SCANNER, Image, Scalar
from her2node.models.package import Package
from her2node.models.predicting import Conditions, Standing, answer
from her2node.models.prediction import Category, Flag, Observation, Prediction
from her2node.training import leakage, patients
from her2node.training.arrays import Bools, Doubles, patients_by_class
from her2node.training.cohort import Row, Source, name_once
from her2node.training.discrimination import Interval, delong
from her2node.training.document import Document, Section
from her2node.training.findings import Finder, persons
from her2node.training.labels import Rule
from her2node.training.packaging import RECORD, study_digest
from her2node.training.report import NOTICE, performance

Ask = Callable[[Source, Mapping[str, str]], "Asked"]
"""The package's answer on a study, with what readers entered, as the node would give it. Raises Refused."""
_LEAST = 1e-12
"""Probabilities of 0 and 1 have no log odds; they are taken for this far from them."""
WANTED = 100
"""Patients of each class that an external validation needs. Source: Vergouwe 2005, J Clin Epidemiol 58:475."""
_INSTEAD = {
    "segmenter": "lay the regions that it draws beside readers', and evaluate the package that estimates from them",
    "form": "train it first: her2node train",
    "measured": "a form with its quantity as an input can be trained, and what comes of it evaluated",
}
"""What to do with packages that give no probability, by their kind."""
_REMEDY = "evaluate on patients who had no part in making it"


@dataclass(frozen=True)
class Asked:
    """What the package said of a study: whose it is, and the answer. ``identified``: whether the images say whose;
    ``unissued``: by PatientID alone, '' where ``patient`` is that already; ``studied``: the day of the images."""

    study_instance_uid: str
    patient: str
    prediction: Prediction
    identified: bool
    unissued: str = ""
    studied: date | None = None


@dataclass(frozen=True)
class Answered:
    """One case: its label, the probability, its category and the flags of applicability. ``patient``: as the table
    calls the person, else as ``imaged``, which goes by PatientID where the images are ``identified``."""

    study_instance_uid: str
    patient: str
    imaged: str
    identified: bool
    label: bool
    probability: float
    category: Category
    flags: tuple[Flag, ...]
    unissued: str = ""
    studied: date | None = None


@dataclass(frozen=True)
class Evaluation:
    """``excluded``: (study, why). ``apart``: how far it is known that no patient of the cohort trained the package."""

    answered: tuple[Answered, ...]
    excluded: tuple[tuple[str, str], ...]
    apart: str = ""
    rule: Rule = Rule.GUIDELINE

    @property
    def labels(self) -> Bools:
        return np.array([case.label for case in self.answered], dtype=np.bool_)

    @property
    def log_odds(self) -> Doubles:
        """Shape (1, n)."""
        said = np.clip([case.probability for case in self.answered], _LEAST, 1 - _LEAST)
        return np.asarray(np.log(said / (1 - said)))[None, :]

    @property
    def auc(self) -> Interval:
        """DeLong's interval, patients with several studies counted as clusters."""
        return delong(self.log_odds[0], self.labels, [case.patient for case in self.answered])


@dataclass(frozen=True)
class _Makers:
    """Whom a site-trained package was made of, as its ``training.json`` tells; other packages say nothing of theirs.
    ``patients``: by the digests of the site's key, None where that cannot be compared."""

    studies: frozenset[str]
    patients: frozenset[str] | None

    def check_study(self, package: str, name: str, case: Answered) -> None:
        """Raises PatientInTwoFolds where the study, ``name`` in the table, trained the package."""
        if study_digest(case.study_instance_uid) in self.studies:
            raise PatientInTwoFolds(f"the study {name} is one that {package} was trained on", remedy=_REMEDY)

    def check_patients(self, package: str, cases: Mapping[str, Answered], site_key: bytes | None) -> None:
        """Raises PatientInTwoFolds where another study of a case's patient trained the package, as far as PatientID
        tells patients apart."""
        if site_key is None or not self.patients or not _tells_apart(cases.values()):
            return
        for name, case in cases.items():
            may_be = (case.imaged, case.unissued or patients.issued(case.imaged))
            if any(patients.digest(site_key, one) in self.patients for one in may_be):
                raise PatientInTwoFolds(
                    f"the study {name} is of a patient whom {package} was trained on by another study", remedy=_REMEDY
                )

    def said(self, cases: Collection[Answered]) -> str:
        if self.patients is None:
            why = "it holds no digests of them by this site's key"
        elif not _tells_apart(cases):
            why = "PatientID, missing or the same everywhere, tells nobody of this cohort apart"
        else:
            nameless = sum(not case.identified for case in cases)
            beside = f"; {nameless} of {len(cases)} studies have none" if nameless else ""
            return (
                f"No patient of this cohort, as far as PatientID tells, is among those who trained the package{beside}."
            )
        known = "no study of this cohort trained it" if self.studies else "neither is that known of its studies"
        return f"Whether patients of this cohort trained the package cannot be told here: {why}; {known}."


def _tells_apart(cases: Collection[Answered]) -> bool:
    """Whether PatientID says of anybody who it is: not where it is missing everywhere or one and the same."""
    alike = leakage.alike([case.imaged for case in cases])
    return not alike and any(case.identified for case in cases)


def evaluate(
    package: Package,
    folder: Path,
    rows: Sequence[Row],
    studies: Mapping[str, Source],
    ask: Ask,
    site_key: bytes | None = None,
) -> Evaluation:
    """Ask the package about every row with a label. What it does not answer, or answers only for each possible value of
    what nobody entered, is excluded with the reason. ``studies``: by the rows' names for them; ``site_key``: that of
    the site that trained the package, by which its patients are told again.

    Raises PackageRefused for a package that gives no probability, PatientInTwoFolds when a study or a patient trained
    the package or the table calls one person two, FeatureFromTheFuture as training does, CohortRefused when one class
    is missing or two rows name one study.
    """
    check_kind(package)
    cases: dict[str, Answered] = {}
    excluded: list[tuple[str, str]] = []
    makers = _makers(folder, site_key)
    names: dict[str, str] = {}
    for row in rows:
        try:
            case = _answered(row, studies, ask)
        except Refused as error:
            excluded.append((row.study, error.detail if isinstance(error, CohortRefused) else str(error)))
            continue
        name_once(names, case.study_instance_uid, row.study)
        makers.check_study(package.manifest.name, row.study, case)
        cases[row.study] = case
    makers.check_patients(package.manifest.name, cases, site_key)
    answered = _of_persons(tuple(cases.values()))
    by_name = {row.study: row for row in rows}
    seen = [
        leakage.Seen(by_name[name], case.imaged, case.identified, case.studied)
        for name, case in zip(cases, answered, strict=True)
    ]
    leakage.check_patients(seen)
    leakage.check_dates(known_within_days(folder), seen)
    found = Evaluation(answered, tuple(excluded), makers.said(answered), rule_of(folder))
    if not answered or found.labels.all() or not found.labels.any():
        reasons = "; ".join(f"{study}: {why}" for study, why in excluded[:3])
        raise CohortRefused(f"{len(answered)} answers, of which both classes are needed", remedy=reasons)
    return found


def _of_persons(cases: Sequence[Answered]) -> tuple[Answered, ...]:
    """The cases, one PatientID with and without its issuer as one person."""
    whose = persons([(case.imaged, case.unissued) for case in cases])
    return tuple(
        replace(case, imaged=one, patient=one if case.patient == case.imaged else case.patient)
        for case, one in zip(cases, whose, strict=True)
    )


def rule_of(folder: Path) -> Rule:
    """By which tissue results were positive where the package was trained; the guideline's for every other package.

    Raises PackageRefused for a rule that is not known here."""
    said = _record(folder).get("rule", Rule.GUIDELINE)
    try:
        return Rule(said)
    except ValueError as error:
        raise PackageRefused(
            f"{RECORD} labels by the rule {said!r}, which is not known here", remedy="evaluate it with a newer her2node"
        ) from error


def known_within_days(folder: Path) -> int:
    """How long after a study a value might have become known where the package was trained; 0 for every other package.

    Raises PackageRefused for what is no number of days."""
    said = _record(folder).get("known_within_days", 0)
    if isinstance(said, bool) or not isinstance(said, int) or said < 0:
        raise PackageRefused(f"{RECORD} says known_within_days = {said!r}, which is no number of days")
    return said


def _record(folder: Path) -> dict[str, Any]:
    file = folder / RECORD
    try:
        return dict(json.loads(file.read_bytes())) if file.is_file() else {}
    except (ValueError, TypeError, RecursionError) as error:
        raise PackageRefused(f"{RECORD} cannot be read: {error}") from error


def check_kind(package: Package) -> Scalar | Image:
    """Its manifest. Raises PackageRefused for a package that gives no probability."""
    said = package.manifest
    if isinstance(said, Scalar | Image):
        return said
    raise PackageRefused(f"{said.name} is of the kind {said.kind} and gives no probability", remedy=_INSTEAD[said.kind])


def asked(finder: Finder, source: Source, entered: Mapping[str, str]) -> Asked:
    """Ask the finder's package about a study, about the cohort that the package itself is about: a
    site's prior is left out. What was measured before, or said of a crop, comes from the finder's cache.

    Raises Refused.
    """
    entered = {**source.entered, **entered}
    found = finder.find(source.files, entered, source.roles)
    said: Prediction | Observation | Standing | Refused = found.answer or found.standing
    if isinstance(said, Standing):
        conditions = Conditions(entered, demonstration=True)
        said = answer(finder.package, said, found.quantities, found.refusals, conditions)
    if isinstance(said, Refused):
        raise said
    assert isinstance(said, Prediction)
    return Asked(found.study_instance_uid, found.patient, said, found.identified, found.unissued, found.studied)


def _answered(row: Row, studies: Mapping[str, Source], ask: Ask) -> Answered:
    label = row.tissue.label
    if label is None:
        raise CohortRefused("IHC 2+ without ISH")
    if row.study not in studies:
        raise CohortRefused("its study is not there")
    told = ask(studies[row.study], {**row.entered, **({SCANNER: row.scanner} if row.scanner else {})})
    said = told.prediction
    if said.open_inputs:
        raise CohortRefused(f"{', '.join(said.open_inputs)} not in the table")
    only = said.answers[0]
    whose = row.patient or told.patient
    return Answered(
        told.study_instance_uid,
        whose,
        told.patient,
        told.identified,
        label,
        only.probability,
        only.category,
        said.flags,
        told.unissued,
        told.studied,
    )


def _makers(folder: Path, site_key: bytes | None) -> _Makers:
    said = _record(folder)
    ours = site_key is not None and said.get("patients_by") == patients.name_of(site_key)
    return _Makers(
        frozenset(said.get("studies_sha256", ())), frozenset(said.get("patients_hmac", ())) if ours else None
    )


def report(package: Package, found: Evaluation) -> Document:
    """The report of `her2node evaluate`."""
    said = check_kind(package)
    labels = found.labels
    flags = Counter(kind for case in found.answered for kind in {flag.kind for flag in case.flags})
    reasons: Mapping[str, int] = Counter(why for _, why in found.excluded)
    categories = [("category", "positive", "negative")]
    for word in Category:
        of_word = [case.label for case in found.answered if case.category is word]
        categories.append((word.value, str(sum(of_word)), str(len(of_word) - sum(of_word))))
    return Document(
        f"{said.name} {said.version} on an external cohort",
        (
            Section(
                "What this is",
                loud=_few(found.answered),
                sentences=(
                    NOTICE,
                    f"{said.title} ({said.level}). {said.citation}",
                    found.apart,
                    f"{len(labels)} cases, {int(labels.sum())} positive. Definition of the label: "
                    f"{found.rule.definition}.",
                    *said.conflicts,
                ),
                rows=_counted("left out because", reasons),
            ),
            performance(found.log_odds, labels, said.output, [("AUC (DeLong)", found.auc)]),
            Section("Categories by tissue result", rows=tuple(categories)),
            Section("Flags of applicability", rows=_counted("flag", flags) or (("flag", "studies"), ("none", "0"))),
        ),
    )


def _few(cases: Sequence[Answered]) -> tuple[str, ...]:
    labels = np.array([case.label for case in cases], dtype=np.bool_)
    rarer = min(map(len, patients_by_class(labels, [case.patient for case in cases])))
    if rarer >= WANTED:
        return ()
    return (
        f"FEW PATIENTS: {rarer} of the rarer class; with fewer than {WANTED} of each a package that is off may well "
        "look right, and one that is right off. Believe the intervals, not the values",
    )


def _counted(head: str, counts: Mapping[str, int]) -> tuple[tuple[str, ...], ...]:
    rows = sorted(counts.items(), key=lambda item: -item[1])
    return ((head, "studies"), *((said, str(count)) for said, count in rows)) if rows else ()
