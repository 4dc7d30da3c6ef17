"""What makes a cross-validation lie: refused by name where it is certain, warned of where it is likely."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from her2node.errors import FeatureFromTheFuture, PatientInTwoFolds, TargetAmongFeatures
from her2node.models.prediction import Level
from her2node.training import penalised
from her2node.training.arrays import Bools, Cases, Doubles
from her2node.training.cohort import Cohort, Member, Row
from her2node.training.discrimination import area, placements
from her2node.training.findings import OWN
from her2node.training.form import Form
from her2node.training.labels import Tissue
from her2node.training.pipelines import Method

EVENTS_PER_COEFFICIENT = 10
_TOO_GOOD = 0.95
"""An area that no single imaging feature of HER-2 has reached outside a leak."""
_DETERMINED = 1e-9
"""Share of an input's variance that others leave open, below which they determine it."""
_TOLD = 1e-4
"""Standard deviations of an input that is named among those which determine another."""
_TELLING = 10
"""Different values measured in a study, that all of them are the same in another by no accident."""
_RESULT = re.compile(r"(^|_)(ihc|her_?2|c?_?erb_?b_?2|cep_?17|(ish|fish|ratio|label)(_|$))")
"""In the name of an input: what tissue results and their genes are called."""
_FEWEST = 10
"""Cases of each class, for a perfect separation to be no accident."""


@dataclass(frozen=True)
class Seen:
    """A study by its row and its images: whose they are by PatientID, where they are ``identified``, and their day."""

    row: Row
    imaged: str
    identified: bool
    studied: date | None

    @property
    def patient(self) -> str:
        """As the table calls the person, else as the images do."""
        return self.row.patient or self.imaged


def _seen(cohort: Cohort) -> list[Seen]:
    return [
        Seen(one.row, one.findings.patient, one.findings.identified, one.findings.studied) for one in cohort.members
    ]


def check(form: Form, cohort: Cohort) -> None:
    """Refuse what leaks. Raises PatientInTwoFolds, FeatureFromTheFuture and TargetAmongFeatures; ``folds.check``
    refuses patients whom given folds tear apart."""
    seen = _seen(cohort)
    check_patients(seen)
    check_copies(cohort.members)
    check_dates(form.said.training.known_within_days, seen)
    check_target(cohort.cases, [member.row.tissue for member in cohort.members])


def check_patients(seen: Sequence[Seen]) -> None:
    """Studies of one PatientID that the table calls different patients, or only some of them by a name: splits go by
    that name, so one person would stand on both sides. Raises PatientInTwoFolds, naming two of the studies.

    Where all studies have one and the same PatientID it is no person's, and the table alone says whose they are.
    """
    if _placeholder(seen):
        return
    first: dict[str, Seen] = {}
    for one in seen:
        before = first.setdefault(one.imaged, one)
        if one.identified and before.patient != one.patient:
            called = " and ".join(f"'{who}'" if who else "nothing" for who in (before.row.patient, one.row.patient))
            raise PatientInTwoFolds(
                f"the images of {before.row.study} and {one.row.study} have one PatientID, the table's column "
                f"patient says {called}",
                remedy="call a person the same in every row, or leave the column out; where the PatientID is nobody's, "
                "as one that was put in for several when they were made anonymous, take it out of those images",
            )


def _placeholder(seen: Sequence[Seen]) -> bool:
    """Whether PatientID tells nobody apart (as where all were made anonymous alike), and the table does so instead."""
    return alike([one.imaged for one in seen]) and all(one.row.patient for one in seen)


def alike(imaged: Sequence[str]) -> bool:
    """Whether the images of several studies have one PatientID: then it is nobody's."""
    return len(imaged) > 1 and len(set(imaged)) == 1


def check_copies(members: Sequence[Member]) -> None:
    """Studies of different patients in which every value that was measured is the same, as where one was made anonymous
    twice. Raises PatientInTwoFolds, naming them. Warnings name no study: they go into the package."""
    first: dict[tuple[float, ...], Member] = {}
    for member in members:
        measured = tuple(quantity.value for quantity in member.findings.quantities)
        before = first.setdefault(measured, member)
        if len(set(measured)) >= _TELLING and before.patient != member.patient:
            raise PatientInTwoFolds(
                f"all {len(measured)} values measured in {before.row.study} and {member.row.study} are the same, and "
                "the patients are not: it may be one study that was made anonymous twice",
                remedy="keep one of the two, or call the patient the same in both rows",
            )


def check_dates(known_within_days: int, seen: Sequence[Seen]) -> None:
    """A study after treatment of its patient began or after the tumour was taken out, by the earliest date in any row
    of the patient, or a value that became known later than ``known_within_days`` after the study. Raises
    FeatureFromTheFuture. What has no date cannot be checked."""
    if alike([one.imaged for one in seen]):  # no row's date is another's
        seen = [replace(one, imaged=one.row.study) for one in seen]
    treated = _earliest(seen, lambda row: row.treated)
    resected = _earliest(seen, lambda row: row.specimen_date if row.specimen == "resection" else None)
    for one in seen:
        row, studied = one.row, one.studied
        if studied is None:
            continue
        for began, what in ((treated, "treatment began on"), (resected, "the resection of")):
            if one.patient in began and studied > began[one.patient]:
                raise FeatureFromTheFuture(f"the study {row.study} was made after {what} {began[one.patient]}")
        for name, known in row.dates.items():
            if known > studied + timedelta(days=known_within_days):
                raise FeatureFromTheFuture(
                    f"{name} of the study {row.study} became known on {known}, the study is of {studied}",
                    remedy="leave the input out, or set known_within_days in the form if it is known when a study is "
                    "read",
                )


def _earliest(seen: Sequence[Seen], day: Callable[[Row], date | None]) -> dict[str, date]:
    """The earliest such day in the rows of each patient who has one."""
    found: dict[str, date] = {}
    for one in seen:
        said = day(one.row)
        if said is not None:
            found[one.patient] = min(said, found.get(one.patient, said))
    return found


def check_target(cases: Cases, tissues: Sequence[Tissue]) -> None:
    """An input named as a tissue result, one that the tissue results determine, or one that orders the classes without
    a single fault. Raises TargetAmongFeatures."""
    results = [(tissue.score, tissue.amplified) for tissue in tissues]
    for name, values in zip(cases.names, cases.values.T, strict=True):
        if _RESULT.search(name.lower()):
            raise TargetAmongFeatures(f"the input {name} is named as a tissue result")
        if _determined(values, results):
            raise TargetAmongFeatures(f"the input {name} has one value for each tissue result")
        if min(cases.positives, cases.negatives) >= _FEWEST and _area(values, cases.labels) == 1:
            raise TargetAmongFeatures(f"the input {name} alone separates positive from negative without a fault")


def warnings(form: Form, cohort: Cohort) -> tuple[str, ...]:
    """What a person must know before believing the result, loudest first."""
    cases = cohort.cases
    events, candidates = min(map(len, cases.patients_by_class)), len(cases.names)
    patients = len(set(cases.patients))
    found = []
    if form.level is Level.SYNTHETIC_DEMO:
        counted = f"{cohort.synthetic} of {len(cases)} studies say that they are of phantoms"
        found.append(f"SYNTHETIC: {counted}; the package says nothing about a patient and runs in demonstrations alone")
    if events < EVENTS_PER_COEFFICIENT * candidates:
        found.append(
            f"TOO FEW EVENTS: {events} patients of the rarer class for {candidates} candidate inputs, "
            f"{events / candidates:.1f} each; fewer than {EVENTS_PER_COEFFICIENT} make a model that will disappoint"
        )
    if patients < form.said.training.patients:
        found.append(
            f"TOO FEW PATIENTS: {patients} in {len(cases)} cases, the form wants {form.said.training.patients}"
        )
    for name, values in zip(cases.names, cases.values.T, strict=True):
        alone = _area(values, cases.labels)
        if alone >= _TOO_GOOD:
            found.append(f"TOO GOOD: {name} alone reaches an AUC of {alone:.3f}; look for a leak")
    seen = _seen(cohort)
    found += _of_patients(seen)
    found += collinear(form, cohort.cases)
    treated = _earliest(seen, lambda row: row.treated)
    undated = sum(not _dated(member, treated) for member in cohort.members)
    if undated:
        found.append(
            f"{undated} of {len(cohort.members)} cases lack dates (of the study, of the first treatment in the column "
            "treated, or of a value): whether a feature is from the future is unknown"
        )
    discordant = sum(member.row.tissue.discordant for member in cohort.members)
    if discordant:
        found.append(f"{discordant} cases have an ISH that contradicts IHC 0, 1+ or 3+; the label goes by IHC")
    return tuple(found)


def _of_patients(seen: Sequence[Seen]) -> Iterator[str]:
    nameless = sum(not (one.identified or one.row.patient) for one in seen)
    if nameless:
        yield (
            f"NO PATIENT: {nameless} of {len(seen)} studies have no PatientID and no name in the column patient; "
            "each counts as a person of its own, and two studies of one may stand on both sides of a split"
        )
    if _placeholder(seen):
        yield "all studies have one PatientID, which tells nobody apart: splits go by the table's column patient alone"


def collinear(form: Form, cases: Cases) -> Iterator[str]:
    """Of a model without selection and penalty, the inputs that the ones before them determine: how their share is
    divided among them is arbitrary."""
    if form.method not in (Method.LOGISTIC, Method.LDA):
        return
    centre, scale = penalised.standards(cases.values)
    standardised = (cases.values - centre) / scale
    kept: list[int] = []
    for place, name in enumerate(cases.names):
        column = standardised[:, place]
        if np.ptp(cases.values[:, place]) == 0:
            continue
        before = standardised[:, kept]
        shares = np.linalg.lstsq(before, column, rcond=None)[0] if kept else np.zeros(0)
        rest = column - before @ shares
        if rest @ rest > _DETERMINED * (column @ column):
            kept.append(place)
            continue
        of = [cases.names[kept[i]] for i in np.flatnonzero(np.abs(shares) > _TOLD)]
        yield (
            f"COLLINEAR: {name} follows from {', '.join(of)}; their coefficients are one choice of many that say the "
            "same of these cases. Leave one out, or train with lasso-logistic"
        )


def _dated(member: Member, treated: Collection[str]) -> bool:
    """Whether nothing about a study can be from the future unseen; phantoms are never treated."""
    row = member.row
    return bool(
        member.findings.studied
        and (member.findings.synthetic or member.patient in treated)
        and row.entered.keys() - set(OWN) <= row.dates.keys()
    )


def _determined(values: Doubles, results: Sequence[tuple[int, bool | None]]) -> bool:
    """Whether the value follows from the result, as far as results say something: those of several cases."""
    by_result: dict[tuple[int, bool | None], list[float]] = defaultdict(list)
    for value, result in zip(values, results, strict=True):
        by_result[result].append(float(value))
    several = [seen for seen in by_result.values() if len(seen) > 1]
    told = all(len(set(seen)) == 1 for seen in several) and len({seen[0] for seen in several}) > 1
    return told and sum(map(len, several)) >= 2 * _FEWEST


def _area(values: Doubles, labels: Bools) -> float:
    """Of one feature, in whichever direction it is better."""
    found = area(placements(values, labels), labels)
    return max(found, 1 - found)
