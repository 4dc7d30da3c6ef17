"""What a training or an evaluation found, as a document: what it is, how good it is, and what speaks against it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import isfinite

from scipy.special import expit

from her2node.models.manifest import Output
from her2node.models.model_card import RESEARCH, model_card
from her2node.models.predicting import categories
from her2node.models.prediction import Level
from her2node.training import figures
from her2node.training.arrays import Bools, Cases, Doubles
from her2node.training.calibration import calibration, decision_curve, groups
from her2node.training.cohort import Cohort
from her2node.training.discriminants import UNITS, Nearest, Network
from her2node.training.discrimination import Interval, wilson
from her2node.training.document import Document, Plot, Section
from her2node.training.form import Form
from her2node.training.nomogram import Nomogram, nomogram
from her2node.training.pipelines import Fitted, Model
from her2node.training.validation import Validation

_NAMED = 30
"""So many inputs are named one by one."""
NOTICE = (
    "Research software, not a medical device. What is estimated is the probability of HER-2 positivity by imaging; the "
    "reference test is tissue (IHC, and ISH where IHC is 2+)."
)


def of_training(
    form: Form, cohort: Cohort, model: Fitted, validation: Validation, warnings: Sequence[str], seed: int
) -> Document:
    """The report of `her2node train`."""
    return Document(
        f"{form.name} {form.version}: {form.title}",
        (
            Section("What this is", tuple(warnings), (NOTICE, f"Intended use: {form.intended_use}")),
            _cohort(form, cohort),
            _method(form, cohort, validation, seed),
            performance(validation.log_odds, validation.labels, form.output, _areas(validation)),
            _linear(form, cohort, model) if isinstance(model, Model) else _classifier(form, model),
        ),
    )


def performance(
    log_odds: Doubles, labels: Bools, output: Output, areas: Sequence[tuple[str, Interval | float]]
) -> Section:
    """How good predictions (repeats, n) are: discrimination, at both thresholds, calibration, decision curve."""
    rows = [("measure", "value", "95 % interval"), *_measures(log_odds, labels, output, areas)]
    prevalence = float(labels.mean())
    plots = (
        Plot("ROC curve of predictions of unseen cases", lambda axes: figures.roc(axes, log_odds, labels)),
        Plot("Calibration", lambda axes: figures.calibration(axes, groups(log_odds, labels))),
        Plot(
            "Decision curve",
            lambda axes: figures.decision(axes, decision_curve(log_odds, labels), prevalence),
        ),
        Plot("Predictions by class", lambda axes: figures.scores(axes, log_odds, labels)),
    )
    return Section("How good it is", sentences=_faultless(areas), rows=tuple(rows), plots=plots)


def _faultless(areas: Sequence[tuple[str, Interval | float]]) -> tuple[str, ...]:
    if not any(isinstance(area, Interval) and area.value in (0, 1) for _, area in areas):
        return ()
    return (
        "The order is without a single fault (or all fault). Of that DeLong's variance is 0 however few cases are: "
        "the interval is the exact one (Clopper and Pearson) of as many pairs as the rarer class has patients to "
        "itself, and that of a fitted pipeline of fewer, by what its fitting adds to the variance.",
    )


def _measures(
    log_odds: Doubles, labels: Bools, output: Output, areas: Sequence[tuple[str, Interval | float]]
) -> list[tuple[str, str, str]]:
    """Name, value and interval of every figure."""
    found = calibration(log_odds, labels)
    rows = [(name, *_shown(value)) for name, value in areas]
    for threshold in dict.fromkeys((output.likely, output.unlikely)):
        sensitivity, specificity = at_threshold(log_odds, labels, threshold)
        rows.append((f"sensitivity at {threshold:g}", *_shown(sensitivity)))
        rows.append((f"specificity at {threshold:g}", *_shown(specificity)))
    return [
        *rows,
        ("calibration slope (1 is perfect)", *_determined(found.slope, ".2f")),
        ("calibration intercept (0 is perfect)", *_determined(found.intercept, "+.2f")),
        (f"Brier score (prevalence alone: {found.brier_prevalence:.3f})", f"{found.brier:.3f}", ""),
    ]


def at_threshold(log_odds: Doubles, labels: Bools, threshold: float) -> tuple[Interval, Interval]:
    """Sensitivity and specificity of 'probability >= threshold', averaged over repeats, with Wilson's intervals."""
    positive = expit(log_odds) >= threshold
    return (
        wilson(float(positive[:, labels].mean()), int(labels.sum())),
        wilson(float((~positive)[:, ~labels].mean()), int((~labels).sum())),
    )


def _areas(validation: Validation) -> list[tuple[str, Interval | float]]:
    return [
        ("AUC of the fitted pipeline on new cases", validation.fitted_auc),
        ("AUC of cross-validated predictions (DeLong)", validation.auc),
        ("AUC on the training cases themselves (too good)", validation.apparent),
        ("Agreement of models of two halves (1: the same model)", validation.agreement),
    ]


def _shown(value: Interval | float) -> tuple[str, str]:
    if isinstance(value, Interval):
        return f"{value.value:.3f}", f"{value.low:.3f} to {value.high:.3f}"
    return f"{value:.3f}", ""


def _determined(value: Interval, form: str) -> tuple[str, str]:
    if not isfinite(value.value):
        return "cannot be told", "the cases do not determine it"
    return f"{value.value:{form}}", f"{value.low:{form}} to {value.high:{form}}"


def _cohort(form: Form, cohort: Cohort) -> Section:
    cases = cohort.cases
    patients = len(set(cases.patients))
    sentences = (
        f"{len(cases)} studies of {patients} patients: {cases.positives} positive, {cases.negatives} negative "
        f"({cases.positives / len(cases):.1%} positive).",
        f"Definition of the label: {form.label}.",
    )
    rows = [("left out because", "studies"), *((why, str(count)) for why, count in cohort.reasons.items())]
    return Section("Cohort", sentences=sentences, rows=tuple(rows) if cohort.excluded else ())


def _method(form: Form, cohort: Cohort, validation: Validation, seed: int) -> Section:
    given = cohort.given_folds is not None
    splits = (
        f"the {validation.folds} folds of the table, each left out in turn"
        if given
        else f"{validation.folds} folds by patient, {validation.repeats} times (seed {seed})"
    )
    harmonised = " ComBat over scanners, fitted inside each fold." if form.harmonise else ""
    return Section(
        "Method",
        sentences=(
            f"{form.method}, candidates: {_candidates(form)}.{harmonised}",
            f"Nested cross-validation: {splits}; scaling, selection and the choice of the penalty inside each fold.",
            "Cases of one fold are ordered against each other only. The interval of the fitted pipeline allows for "
            "each case having trained the models that the others test; DeLong's does not.",
        ),
    )


def scored(cases: Cases, validation: Validation) -> str:
    """Of which cases, and how, the scores were had that intervals of answers come from."""
    return (
        f"the scores of {len(cases)} cases of {len(set(cases.patients))} patients, {cases.positives} positive, by "
        f"models that had not seen them ({validation.folds} folds, {validation.repeats} times)"
    )


def _candidates(form: Form) -> str:
    """All that may be selected from: by name, of many only how many there are and of what."""
    wanted, names = form.said.training.candidates, form.names
    if wanted is None or len(names) <= _NAMED:
        return ", ".join(names)
    return f"{len(names)} inputs, features of {wanted.configuration} in {', '.join(wanted.roles)} among them"


def _linear(form: Form, cohort: Cohort, model: Model) -> Section:
    names = form.names
    shown = model.scanners or ("",)
    rows = [("input", "unit", "per unit", "per standard deviation", *([] if shown == ("",) else ["scanner"]))]
    spread = cohort.cases.values.std(axis=0)
    for row, scanner in enumerate(shown):
        more = [scanner] if scanner else []
        rows.append(("intercept", "", f"{model.intercepts[row]:.6g}", "", *more))
        for place in model.kept:
            slope = float(model.slopes[row, place])
            scaled = f"{slope * spread[place]:+.3f}"
            rows.append((names[place], form.inputs[place].unit, f"{slope:.6g}", scaled, *more))
    left_out = [name for place, name in enumerate(names) if place not in model.kept]
    sentences = ["Log odds: the intercept plus each input times its coefficient."]
    if left_out:
        told = ", ".join(left_out) if len(left_out) <= _NAMED else f"{len(left_out)} inputs"
        sentences.append(f"Not kept: {told}.")
    labels = [given.name if given.unit == "1" else f"{given.name} ({given.unit})" for given in form.inputs]
    plots = [
        plot
        for row, scanner in enumerate(shown)
        for plot in nomogram_plots(nomogram(model, labels, cohort.cases.values, row), scanner)
    ]
    return Section("The model", sentences=tuple(sentences), rows=tuple(rows), plots=tuple(plots))


def nomogram_plots(found: Nomogram, scanner: str = "") -> tuple[Plot, ...]:
    """A nomogram on as many pages as it needs; the last has the sum."""
    count, whose = len(found.sheets), f", scanner {scanner}" if scanner else ""
    plots = []
    for number, scales in enumerate(found.sheets, start=1):
        last = number == count
        which = f" ({number} of {count})" if count > 1 else ""
        plots.append(
            Plot(
                f"Nomogram{whose}{which}: add the points{', read the probability below' if last else ''}",
                partial(figures.nomogram, found=found, scales=scales, last=last),
                wide=True,
                height=figures.nomogram_height(len(scales), last=last),
            )
        )
    return tuple(plots)


def _classifier(form: Form, model: Nearest | Network) -> Section:
    """Study 20's classifiers: which inputs they take, and what they make of them. No nomogram adds them up."""
    rows = [("input", "unit"), *((form.names[place], form.inputs[place].unit) for place in model.kept)]
    if isinstance(model, Network):
        said = f"{UNITS} hidden units of all inputs (tanh), their weighted sum the log odds."
    else:
        negative, positive = (f"{float(expit(one)):.3f}" for one in model.odds)
        said = (
            f"The nearest training case on the linear discriminant decides, with {len(model.bounds)} changes of class "
            f"along it; called positive means a probability of {positive}, called negative {negative}: the shares of "
            "positives among cases that models called so without having seen them."
        )
    left_out = f"{len(form.names) - len(model.kept)} of {len(form.names)} inputs were not selected."
    beyond = "The interval of the fitted pipeline was derived for linear models; for this one it is an approximation."
    return Section("The model", sentences=(said, left_out, beyond), rows=tuple(rows))


_HOLDS = (
    "The package holds values of single cases without saying whose: the lowest and the highest of every number that "
    "is measured or entered, of age, slice thickness and tube voltage. It names scanners and kernels. Mean and "
    "covariance of the measured inputs, and of `lda-1nn` the middles between training cases on the discriminant, "
    "narrow further values down where cases are few. Edges of Venn-Abers steps, where it has them, are scores of "
    "cases, rounded to hundredths. `training.json` has the SHA-256 of the Study Instance UIDs: whoever knows a UID "
    "can tell whether it was there. Of a site's own patients it has digests that only the site's key gives again. "
    "Weigh that before handing it on."
)


def _fitted_on(form: Form) -> str:
    if form.level is Level.SYNTHETIC_DEMO:
        return "Fitted on digital phantoms, nobody's images; the node runs it in demonstration mode only."
    return "Fitted on one site's patients."


def card(form: Form, cohort: Cohort, validation: Validation, warnings: Sequence[str], seed: int) -> str:
    """CARD.md of a trained package."""
    cases = cohort.cases
    excluded = "\n".join(f"- {count} left out: {why}" for why, count in cohort.reasons.items())
    literature = (*(told.words for told in form.said.evidence), *form.said.conflicts)
    caveats = "\n".join(f"- {said}" for said in (*warnings, *form.cautions, *literature)) or "- None noted."
    ages = [member.findings.age_years for member in cohort.members]
    known = [age for age in ages if age is not None]
    age = f"Age {min(known):.0f} to {max(known):.0f} years. " if known else ""
    found_at = "; ".join(
        f"{name} {value} ({interval})" if interval else f"{name} {value}"
        for name, value, interval in _measures(validation.log_odds, validation.labels, form.output, _areas(validation))
    )
    return model_card(
        f"{form.name} {form.version}",
        {
            "Model details": f"{form.title}. Form after: {form.said.citation} Method: {form.method}; candidates: "
            f"{_candidates(form)}. Level `{form.level}`. Made by `her2node train` with seed {seed}.",
            "Intended use": f"{form.intended_use} {NOTICE}",
            "Factors": f"{age}Scanners: {', '.join(sorted({member.scanner for member in cohort.members}))}.",
            "Metrics": "Area under the ROC curve with the interval for what the fitted pipeline reaches on new cases, "
            "and with DeLong's; sensitivity and specificity at the thresholds of the categories; calibration; Brier "
            f"score. {categories(form.output)} An answer's interval: by its coefficients' covariance where the package "
            f"has one, else Venn-Abers, by {scored(cases, validation)}.",
            "Evaluation data": "The training data, by nested cross-validation with splits by patient. No external "
            "validation: run `her2node evaluate`.",
            "Training data": f"{len(cases)} studies of {len(set(cases.patients))} patients, {cases.positives} "
            f"positive. Label: {form.label}.\n{excluded}",
            "Quantitative analyses": f"Of cases that the models had not seen: {found_at}. Not broken down by age, sex, "
            "scanner or site.",
            "Ethical considerations": f"{RESEARCH} {_fitted_on(form)} {_HOLDS}",
            "Caveats and recommendations": caveats,
        },
    )
