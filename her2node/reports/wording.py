"""Every sentence that a report prints. Estimates are worded as estimates; a HER-2 status is never stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from her2node.dicom.codes import Code, Estimate, Phase, Statement, Unit
from her2node.errors import ModalityAbsent
from her2node.models.agreement import agreement
from her2node.models.prediction import (
    Answer,
    Category,
    InputUsed,
    NotPredicted,
    Observation,
    PackageRef,
    Prediction,
    Segmented,
)
from her2node.quantities.quantity import NotMeasured, Quantity
from her2node.reading import Reading
from her2node.selection.assignment import Assignment
from her2node.selection.roles import Role

NOTICE = (
    "Research use only. Not a medical device and not for diagnosis or treatment decisions. The values are made by "
    "software without review by a physician."
)
REFERENCE_TEST = (
    "HER-2 status is established on tissue only: immunohistochemistry (IHC), with in-situ hybridisation (FISH/ISH) "
    "where IHC is equivocal. What is estimated here from images is no HER-2 status and does not replace that test."
)
NOTHING_RAN = "No estimate and no measurement could be made from this study. The reasons are listed."

CATEGORIES = {
    Category.LIKELY: Estimate.LIKELY,
    Category.INDETERMINATE: Estimate.INDETERMINATE,
    Category.UNLIKELY: Estimate.UNLIKELY,
}
PHASES = {
    Role.PLAIN: Phase.PLAIN,
    Role.ARTERIAL: Phase.ARTERIAL,
    Role.PORTAL: Phase.PORTAL,
    Role.EQUILIBRIUM: Phase.EQUILIBRIUM,
    Role.CONTRAST_UNSPECIFIED: Phase.UNSPECIFIED,
}
_UNITS = {
    Unit.HU.value: "HU",
    Unit.FLOW.value: "ml/100 g/min",
    Unit.VOLUME_SHARE.value: "ml/100 ml",
    Unit.MM3.value: "mm\u00b3",
    Unit.MM2.value: "mm\u00b2",
    Unit.ONE.value: "",
}
MOST_NAMED = 8
"""Series that are named one by one."""
_SOURCES = {"measured": "measured", "entered": "entered by a reader", "header": "told by the headers",
            "assumed": "assumed, nobody entered it"}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One sentence and what it is about."""

    concept: Code
    text: str


def statements(reading: Reading) -> tuple[Said, ...]:
    """Everything that a report says in words, in the order in which it is read."""
    said = list(notices())
    if not ran(reading):
        said.append(Said(Statement.CONCLUSION, NOTHING_RAN))
    said += drawn(reading)
    agree = agreement(reading.predictions)
    said += [Said(Statement.AGREEMENT, agree)] if agree else []
    for prediction in reading.predictions:
        said += _about(prediction)
    for observation in reading.observations:
        said += _observed(observation)
    said += [Said(Statement.REFUSAL, text) for text in refusals(reading)]
    said += [Said(Statement.SERIES, series_said(reading, assignment)) for assignment in reading.assignments]
    return tuple(said)


def notices() -> tuple[Said, ...]:
    """What every report says before all else."""
    return Said(Statement.NOTICE, NOTICE), Said(Statement.REFERENCE_TEST, REFERENCE_TEST)


def ran(reading: Reading) -> bool:
    """Whether anything was measured or estimated."""
    return bool(reading.quantities or reading.predictions)


def package_name(package: PackageRef) -> str:
    return f"{package.name} {package.version}"


def percent(probability: float) -> str:
    """A probability for people: '19 %', never '0 %' or '100 %' for what is not exactly so."""
    if 0 < probability < 0.01:
        return "< 1 %"
    if 0.99 < probability < 1:
        return "> 99 %"
    return f"{100 * probability:.0f} %"


def conclusion(prediction: Prediction) -> str:
    """The estimate in words, with every alternative where inputs are open."""
    name = package_name(prediction.package)
    if len(prediction.answers) == 1:
        return f"{name}: {_answer(prediction.answers[0])}"
    asked = ", ".join(prediction.open_inputs)
    rows = "; ".join(f"if {assumed(answer)}: {_answer(answer)}" for answer in prediction.answers)
    return f"{name}: the answer depends on what nobody has entered ({asked}). {rows}"


def assumed(answer: Answer) -> str:
    """The inputs that were assumed in this answer, e.g. 'liver_metastasis = 1'."""
    return ", ".join(f"{used.name} = {used.value:g}" for used in answer.inputs if used.source == "assumed")


def input_used(used: InputUsed) -> str:
    unit = unit_name(used.unit)
    how = f": {used.method}" if used.method else ""
    return f"{used.name} = {used.value:.6g}{' ' if unit else ''}{unit} ({_SOURCES.get(used.source, used.source)}{how})"


def unit_name(ucum: str) -> str:
    """A UCUM unit as people write it; '' for none."""
    return _UNITS.get(ucum, ucum)


def refusals(reading: Reading) -> tuple[str, ...]:
    """What was not done and why, one sentence each; the same sentence is said once."""
    said = [_not_predicted(one) for one in reading.not_predicted if not isinstance(one.refused, ModalityAbsent)]
    said += _other_modalities(reading.not_predicted)
    said += [_not_measured(reading, refused) for refused in reading.not_measured]
    said += [f"an object was set aside: {refused}" for _, refused in reading.study.set_aside]
    return tuple(dict.fromkeys(said))


def quantity_name(quantity: Quantity) -> str:
    """The quantity with its derivation, e.g. 'Attenuation Coefficient, Mean'."""
    modifier = f", {quantity.modifier.meaning}" if quantity.modifier else ""
    return f"{quantity.code.meaning}{modifier}"


def flags_of(quantities: Sequence[Quantity]) -> tuple[str, ...]:
    """What quantities are flagged with, each flag once with the quantities that it is about."""
    about: dict[str, dict[str, None]] = {}
    for quantity in quantities:
        for flag in quantity.flags:
            about.setdefault(flag, {})[quantity_name(quantity)] = None
    return tuple(f"{'; '.join(names)}: {flag}" for flag, names in about.items())


def series_name(reading: Reading, uid: str) -> str:
    """A series as a reader knows it: number and description; its UID where the study does not hold it."""
    series = reading.study.series_of(uid)
    if series is None:
        return f"series {uid}"
    number = "" if series.number is None else f" {series.number}"
    description = f" '{series.description}'" if series.description else ""
    return f"series{number}{description}"


def series_names(reading: Reading, uids: Sequence[str]) -> str:
    """Several series; of many (a time point each) how many, the first and the last."""
    if len(uids) <= MOST_NAMED:
        return ", ".join(series_name(reading, uid) for uid in uids)
    first, last = (series_name(reading, uid) for uid in (uids[0], uids[-1]))
    return f"{len(uids)} series from {first} to {last}"


def series_said(reading: Reading, assignment: Assignment) -> str:
    """Which role a series plays, and why."""
    role = "not used" if assignment.ignored else (assignment.role.value if assignment.role else "no role")
    why = "; ".join(assignment.evidence)
    return f"{series_name(reading, assignment.series_instance_uid)}: {role}" + (f" ({why})" if why else "")


def _about(prediction: Prediction) -> list[Said]:
    package = prediction.package
    name = package_name(package)
    rows = [
        (Statement.CONCLUSION, conclusion(prediction)),
        *((Statement.REMARK, f"{name}: {remark}") for remark in prediction.remarks),
        *((Statement.STABILITY, f"{name}: {said}") for said in stability(prediction)),
        *((Statement.CATEGORIES, f"{name}: {said}") for said in (prediction.categories,) if said),
        (Statement.PRIOR, f"{name}: prior probability {prediction.prior:.4g} ({prediction.prior_source})"),
        (Statement.LEVEL, f"{name}: {package.level.value}"),
        (Statement.SOURCE, f"{name}: {package.title}. {package.citation}"),
        (Statement.INTENDED_USE, f"{name}: {package.intended_use}"),
        (Statement.REFERENCE_TEST, f"{name}: {package.reference_test}"),
        *_reservations(name, prediction),
    ]
    return [Said(concept, text) for concept, text in rows]


def drawn(reading: Reading) -> tuple[Said, ...]:
    """What drew the tumour's region, where no reader has; nothing else."""
    return _drawn(reading.segmented) if reading.segmented else ()


def _drawn(by: Segmented) -> tuple[Said, ...]:
    package, name = by.package, package_name(by.package)
    rows = [
        (Statement.REGION, f"{name}: drew the region of the tumour, for none was given; no reader has checked it"),
        (Statement.LEVEL, f"{name}: {package.level.value}"),
        (Statement.SOURCE, f"{name}: {package.title}. {package.citation}"),
        (Statement.INTENDED_USE, f"{name}: {package.intended_use}"),
        (Statement.REGION, f"{name}: was trained on regions drawn thus: {package.reference_test}"),
        *((Statement.FLAG, f"{name}: {flag}") for flag in by.flags),
        *((Statement.CAUTION, f"{name}: {caution}") for caution in by.cautions),
    ]
    return tuple(Said(concept, text) for concept, text in rows)


def _observed(observation: Observation) -> list[Said]:
    """What a measured-only package says: no estimate, so no prior and no category."""
    package, name = observation.package, package_name(observation.package)
    rows = [
        *((Statement.OBSERVATION, f"{name}: {remark}") for remark in observation.remarks),
        (Statement.LEVEL, f"{name}: {package.level.value}"),
        (Statement.SOURCE, f"{name}: {package.title}. {package.citation}"),
        (Statement.INTENDED_USE, f"{name}: {package.intended_use}"),
        *_reservations(name, observation),
    ]
    return [Said(concept, text) for concept, text in rows]


def _reservations(name: str, of: Prediction | Observation) -> list[tuple[Code, str]]:
    return [
        *((Statement.FLAG, f"{name}: {flag}") for flag in of.flags),
        *((Statement.CAUTION, f"{name}: {caution}") for caution in of.cautions),
        *((Statement.CONFLICT, f"{name}: {conflict}") for conflict in of.conflicts),
    ]


def stability(prediction: Prediction) -> tuple[str, ...]:
    """Whether the answer holds when the region is drawn a little otherwise, in a sentence; nothing where not tried."""
    found = prediction.stability
    if found is None:
        return ()
    moved = f"; not with the region {', '.join(found.moved)}" if found.moved else ""
    return (
        f"the category holds in {found.held} of {found.tried} regions drawn a voxel otherwise, the probability changes "
        f"by at most {found.change:.4f}{moved}",
    )


def _answer(answer: Answer) -> str:
    return f"{CATEGORIES[answer.category].meaning}, probability {answer.probability:.4f}{interval(answer)}"


def interval(answer: Answer) -> str:
    """' (95 % interval 0.0290 to 0.0815)' or another kind's, or '' where the package has none."""
    if answer.interval is None:
        return ""
    low, high = answer.interval
    return f" ({answer.interval_kind} {low:.4f} to {high:.4f})"


def _other_modalities(refused: Sequence[NotPredicted]) -> list[str]:
    """Packages for other kinds of studies, all in one sentence: they are no news of this one."""
    absent = [one for one in refused if isinstance(one.refused, ModalityAbsent)]
    if not absent:
        return []
    named = "; ".join(f"{package_name(one.package)} ({one.refused.detail})" for one in absent)
    return [f"did not run, for the study has no series of their modality: {named}"]


def _not_predicted(refused: NotPredicted) -> str:
    return f"{package_name(refused.package)} did not run: {refused.refused}"


def _not_measured(reading: Reading, refused: NotMeasured) -> str:
    what = f"{refused.code.meaning}: " if refused.code else ""
    where = series_names(reading, refused.series_uids)
    place = f" ({where})" if where else ""
    return f"{what}not measured{place}: {refused.refused}"
