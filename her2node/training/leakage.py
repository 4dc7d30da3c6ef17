"""What makes a cross-validation lie: refused by name where it is certain, warned of where it is likely."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from her2node.errors import FeatureFromTheFuture, TargetAmongFeatures
from her2node.models.prediction import Level
from her2node.training.arrays import Bools, Cases, Doubles
from her2node.training.cohort import TARGET, Cohort, Member
from her2node.training.discrimination import area, placements
from her2node.training.findings import OWN
from her2node.training.form import Form
from her2node.training.labels import Tissue

EVENTS_PER_COEFFICIENT = 10
_TOO_GOOD = 0.95
"""An area that no single imaging feature of HER-2 has reached outside a leak."""
_FEWEST = 10
"""Cases of each class, for a perfect separation to be no accident."""


def check(form: Form, cohort: Cohort) -> None:
    """Refuse what leaks. Raises FeatureFromTheFuture and TargetAmongFeatures; ``folds.check`` refuses torn patients."""
    for member in cohort.members:
        check_dates(form, member)
    check_target(cohort.cases, [member.row.tissue for member in cohort.members])


def check_dates(form: Form, member: Member) -> None:
    """A study after treatment began or after the tumour was taken out, or a value that became known later than
    ``known_within_days`` after the study. Raises FeatureFromTheFuture. What has no date cannot be checked."""
    row, studied = member.row, member.findings.studied
    if studied is None:
        return
    if row.treated is not None and studied > row.treated:
        raise FeatureFromTheFuture(f"the study {row.study} was made after treatment began on {row.treated}")
    if row.specimen == "resection" and row.specimen_date is not None and studied > row.specimen_date:
        raise FeatureFromTheFuture(f"the study {row.study} was made after the resection of {row.specimen_date}")
    for name, known in row.dates.items():
        if known > studied + timedelta(days=form.said.training.known_within_days):
            raise FeatureFromTheFuture(
                f"{name} of the study {row.study} became known on {known}, the study is of {studied}",
                remedy="leave the input out, or set known_within_days in the form if it is known when a study is read",
            )


def check_target(cases: Cases, tissues: Sequence[Tissue]) -> None:
    """An input named as a tissue result, one that the tissue results determine, or one that orders the classes without
    a single fault. Raises TargetAmongFeatures."""
    results = [(tissue.score, tissue.amplified) for tissue in tissues]
    for name, values in zip(cases.names, cases.values.T, strict=True):
        if set(name.split("_")) & {*TARGET, "fish", "her2", "label", "cep17"}:
            raise TargetAmongFeatures(f"the input {name} is named as a tissue result")
        if _determined(values, results):
            raise TargetAmongFeatures(f"the input {name} has one value for each tissue result")
        if min(cases.positives, cases.negatives) >= _FEWEST and _area(values, cases.labels) == 1:
            raise TargetAmongFeatures(f"the input {name} alone separates positive from negative without a fault")


def warnings(form: Form, cohort: Cohort) -> tuple[str, ...]:
    """What a person must know before believing the result, loudest first."""
    cases = cohort.cases
    events, candidates = min(cases.positives, cases.negatives), len(cases.names)
    found = []
    if form.level is Level.SYNTHETIC_DEMO:
        counted = f"{cohort.synthetic} of {len(cases)} studies say that they are of phantoms"
        found.append(f"SYNTHETIC: {counted}; the package says nothing about a patient and runs in demonstrations alone")
    if events < EVENTS_PER_COEFFICIENT * candidates:
        found.append(
            f"TOO FEW EVENTS: {events} cases of the rarer class for {candidates} candidate inputs, "
            f"{events / candidates:.1f} each; fewer than {EVENTS_PER_COEFFICIENT} make a model that will disappoint"
        )
    if len(cases) < form.said.training.patients:
        found.append(f"TOO FEW PATIENTS: {len(cases)} cases, the form wants {form.said.training.patients} patients")
    for name, values in zip(cases.names, cases.values.T, strict=True):
        alone = _area(values, cases.labels)
        if alone >= _TOO_GOOD:
            found.append(f"TOO GOOD: {name} alone reaches an AUC of {alone:.3f}; look for a leak")
    undated = sum(not _dated(member) for member in cohort.members)
    if undated:
        found.append(
            f"{undated} of {len(cohort.members)} cases lack dates: whether a feature is from the future is unknown"
        )
    discordant = sum(member.row.tissue.discordant for member in cohort.members)
    if discordant:
        found.append(f"{discordant} cases have an ISH that contradicts IHC 0, 1+ or 3+; the label goes by IHC")
    return tuple(found)


def _dated(member: Member) -> bool:
    row = member.row
    return bool(
        member.findings.studied
        and (row.treated or row.specimen_date)
        and row.entered.keys() - set(OWN) <= row.dates.keys()
    )


def _determined(values: Doubles, results: Sequence[tuple[int, bool | None]]) -> bool:
    """Whether the value follows from the result, where that says something: several cases of every result."""
    by_result: dict[tuple[int, bool | None], list[float]] = defaultdict(list)
    for value, result in zip(values, results, strict=True):
        by_result[result].append(float(value))
    told = all(len(set(seen)) == 1 for seen in by_result.values()) and len(set(values.tolist())) > 1
    return told and len(values) >= 2 * _FEWEST and min(map(len, by_result.values())) > 1


def _area(values: Doubles, labels: Bools) -> float:
    """Of one feature, in whichever direction it is better."""
    found = area(placements(values, labels), labels)
    return max(found, 1 - found)
